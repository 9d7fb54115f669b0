"""Huang et al.'s shapes used the way the public code uses them, written anew from their description: what the kit is
timed against.

The networks are the kit's own preset `paper` (the same layers and counts); the renderer is a network of the published
layers. What is kept on purpose is the known waste: states stored whole as bytes, gradients accumulated for the frozen
renderer and the slow discriminator, a stored transition rendered again, critic gradients computed and thrown away in
the actor's step, the slow discriminator asked again for scores it has given.
"""
import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgpaint.agent.networks import Actor, Critic, Discriminator
from sgpaint.agent.environment import coordinates

STROKES, COLUMNS, STEPS, SIZE = 5, 13, 40, 128


class NeuralRenderer(nn.Module):
    "FC 10-512-1024-2048-4096, three times two convolutions and a pixel shuffle: (n, 10) to (n, 128, 128), 0 = paint."
    def __init__(self):
        super().__init__()
        widths = (10, 512, 1024, 2048, 4096)
        layers: list[nn.Module] = []
        for i, o in zip(widths, widths[1:], strict=False): layers += [nn.Linear(i, o), nn.ReLU()]
        layers.append(nn.Unflatten(1, (16, 16, 16)))
        for i, middle, o in ((16, 32, 32), (8, 16, 16), (4, 8, 4)):
            layers += [nn.Conv2d(i, middle, 3, 1, 1), nn.ReLU(), nn.Conv2d(middle, o, 3, 1, 1), nn.PixelShuffle(2)]
        self.net = nn.Sequential(*layers)

    def forward(self, shape: Tensor) -> Tensor:
        return torch.sigmoid(self.net(shape)).squeeze(1)


def decode(renderer: NeuralRenderer, action: Tensor, canvas: Tensor) -> Tensor:
    "Paint a bundle: every stroke through the network, then one over the other."
    strokes = action.view(-1, COLUMNS)
    alpha = (1 - renderer(strokes[:, :10])).view(-1, 1, SIZE, SIZE)
    colour = alpha * strokes[:, 10:, None, None]
    alpha, colour = alpha.view(-1, STROKES, 1, SIZE, SIZE), colour.view(-1, STROKES, 3, SIZE, SIZE)
    for i in range(STROKES): canvas = canvas * (1 - alpha[:, i]) + colour[:, i]
    return canvas


class Agent:
    "Actor, critic and discriminator with slow copies, a renderer, a memory of whole transitions."
    def __init__(self):
        self.place = coordinates((SIZE, SIZE))[None]
        self.renderer = NeuralRenderer()
        self.actor, self.critic, self.judge = Actor("paper"), Critic("paper", channels=12), Discriminator("paper")
        self.slow_actor, self.slow_critic, self.slow_judge = map(copy.deepcopy, (self.actor, self.critic, self.judge))
        self.actor_steps = torch.optim.Adam(self.actor.parameters(), 3e-4)
        self.critic_steps = torch.optim.Adam(self.critic.parameters(), 1e-3)
        self.judge_steps = torch.optim.Adam(self.judge.parameters(), 1e-4, betas=(0.5, 0.999))
        self.memory: list[tuple[Tensor, Tensor, Tensor, bool]] = []

    def remember(self, count: int) -> None:
        "Fill the memory with transitions of noise: (state 7 planes, action, state after, finished)."
        for _ in range(count):
            state, after = torch.randint(256, (2, 7, SIZE, SIZE), dtype=torch.uint8)
            step = int(torch.randint(STEPS - 1, ()))
            state[6], after[6], after[3:6] = step, step + 1, state[3:6]
            self.memory.append((state, torch.rand(STROKES * COLUMNS), after, False))

    def rollout(self, state: Tensor, slow: bool = False) -> Tensor:
        "What the actor answers to states (B, 7, H, W) of bytes."
        canvas, target, step = state[:, :6].float() / 255, state[:, 6:7].float() / STEPS, self.place
        planes = torch.cat([canvas, target, step.expand(len(state), -1, -1, -1)], 1)
        return (self.slow_actor if slow else self.actor)(planes)

    def evaluate(self, state: Tensor, action: Tensor, slow: bool = False) -> tuple[Tensor, Tensor]:
        "Reward plus value after an action, and the reward."
        step, target = state[:, 6:7].float() / STEPS, state[:, 3:6].float() / 255
        before = state[:, :3].float() / 255
        after = decode(self.renderer, action, before)
        reward = self.slow_judge(after, target) - self.slow_judge(before, target)
        seen = torch.cat([before, after, target, step + 1 / STEPS, self.place.expand(len(state), -1, -1, -1)], 1)
        return (self.slow_critic if slow else self.critic)(seen) + reward, reward

    def update_judge(self, state: Tensor) -> None:
        "One WGAN-GP step on stored canvases."
        canvas, target = state[:, :3].float() / 255, state[:, 3:6].float() / 255
        real, fake = self.judge(target, target), self.judge(canvas, target)
        share = torch.rand(len(state), 1, 1, 1)
        mixed = torch.cat([torch.lerp(target, canvas, share), target], 1).requires_grad_()
        slope = torch.autograd.grad(self.judge(*mixed.chunk(2, 1)).sum(), mixed, create_graph=True)[0]
        penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean() * 10
        self.judge_steps.zero_grad()
        (fake.mean() - real.mean() + penalty).backward()
        self.judge_steps.step()
        self.follow(self.slow_judge, self.judge)

    def update(self, batch: int = 16) -> None:
        "Draw a batch; discriminator, critic, actor, slow copies."
        drawn = [self.memory[i] for i in torch.randint(len(self.memory), (batch,))]
        state, action, after, finished = (torch.stack([torch.as_tensor(t[k]) for t in drawn]) for k in range(4))
        self.update_judge(after)
        with torch.no_grad():
            following, _ = self.evaluate(after, self.rollout(after, slow=True), slow=True)
            goal = 0.95**STROKES * (1 - finished.float()) * following
        value, reward = self.evaluate(state, action)  # the stored transition, rendered again
        self.critic.zero_grad()
        # renderer and slow judge gather gradients nobody asked for; below, so does the critic
        F.mse_loss(value, goal + reward.detach()).backward(retain_graph=True)
        self.critic_steps.step()
        value, _ = self.evaluate(state, self.rollout(state))
        self.actor.zero_grad()
        (-value.mean()).backward(retain_graph=True)
        self.actor_steps.step()
        self.follow(self.slow_actor, self.actor)
        self.follow(self.slow_critic, self.critic)

    @torch.no_grad()
    def paint(self, target: Tensor, steps: int = STEPS) -> Tensor:
        "Paint one picture (1, 3, H, W): 200 strokes, no files."
        canvas = torch.zeros_like(target)
        for step in range(steps):
            plane = torch.full_like(target[:, :1], step / STEPS)
            action = self.actor(torch.cat([canvas, target, plane, self.place], 1))
            canvas = decode(self.renderer, action, canvas)
        return canvas

    @staticmethod
    def follow(slow: nn.Module, live: nn.Module, rate: float = 0.001) -> None:
        "Move a slow copy's parameters."
        for s, p in zip(slow.parameters(), live.parameters(), strict=True):
            s.data.copy_(s.data * (1 - rate) + p.data * rate)
