# ruff: noqa: E501, F821
"""The update: rewards telescope, networks learn in turn, every preset and reward works, a picture can be learned."""
import copy
import itertools

import pytest
import torch

from sgpaint.agent.algorithms import ALGORITHMS, Game, Learner, Players, Recipe, act, learner_state, restore_learner
from sgpaint.agent.environment import rollout
from sgpaint.agent.environment import PaintingEnv, Collector, Transition
from sgpaint.agent.attention import AttentionActor
from sgpaint.agent.networks import Critic, Discriminator
from sgpaint.agent.rewards import L2, WGAN, Mixture
from sgpaint.agent.config import PRESETS, configure
from sgpaint.agent.training import Session, collect, learn
from sgpaint.lab.config import ConfigError
from sgpaint.lab.machine import seed_everything
from sgpaint.scene.procedural import draw_images

EPISODE = PaintingEnv(strokes=10, bundle=5)


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    seed_everything(0)


def new_game(algorithm="model", rewards="l2", scale=0.02, before=False, **recipe):
    "A game of the small networks, whose distance is l2, wgan or half of each."
    actions = EPISODE.outputs if algorithm != "model" else 0
    critic = Critic("small", planes=12 if before else 9, actions=actions, patch=algorithm == "patchq")
    players = Players(AttentionActor(5), critic, None if reward == "l2" else Discriminator("small"))
    l2, wgan = L2(), None if reward == "l2" else WGAN(players.slow["discriminator"])
    distance = {"l2": l2, "wgan": wgan, "mix": Mixture([(0.5, l2), (0.5, wgan)]) if wgan else l2}[reward]
    rates = dict(polyak=0.01, actor_lr=1e-3, clip=1.0, before=before)
    return Game(EPISODE, players, Recipe(algorithm, **rates | recipe), distance, scale)


def step_of(game, target):
    "One stored step of random strokes, the last of its painting for every second picture."
    state = EPISODE.reset(target)
    state = EPISODE.next(state, torch.rand(len(target), EPISODE.outputs))
    state.step[::2] = 0
    action = torch.rand(len(target), EPISODE.outputs)
    after = EPISODE.next(state, action)
    return Transition(state, action, after, EPISODE.terminated(after))


def values(net):
    return {name: x.clone() for name, x in net.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("reward", ["l2", "wgan", "mix"])
def test_the_rewards_of_a_whole_painting_telescope(reward):
    game, target = new_game(reward=reward, scale=0.3), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        states = [EPISODE.reset(target), *(state for state, _ in rollout(EPISODE, lambda s: act(game, s), target))]
        total = sum(game.reward(a, b) for a, b in itertools.pairwise(states))
        fell = game.distance(states[0].canvas, target) - game.distance(states[-1].canvas, target)
    torch.testing.assert_close(total, fell / game.scale, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_network_learns_at_a_time(algorithm):
    reward = "l2" if algorithm == "patchq" else "mix"
    learner = Learner(new_game(algorithm, reward, bootstrap_next=False))
    live, slow = learner.game.players.live, learner.game.players.slow
    seen, resting = [], values(slow)

    def watched(name, loss):
        def ask(game, t):
            seen.append((name, {n: values(net) for n, net in live.items()}))
            assert any(p.requires_grad for p in live["critic"].parameters()) == (name == "critic")
            return loss(game, t)
        return ask

    learner.losses = {name: watched(name, loss) for name, loss in learner.losses.items()}
    learner.update(step_of(learner.game, torch.rand(4, 3, 32, 32)))
    assert [name for name, _ in seen] == [n for n in ("critic", "actor", "discriminator") if n in live]  # H-21
    end = {n: values(net) for n, net in live.items()}
    for (name, then), now in zip(seen, [*(v for _, v in seen[1:]), end], strict=True):
        assert [n for n in live if not same(then[n], now[n])] == [name]
    moved = values(slow)
    assert not same(resting, moved)
    for name, old in resting.items():
        torch.testing.assert_close(moved[name], old.lerp(live.state_dict()[name], 0.01), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("lookahead", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_what_a_critic_may_see(algorithm, lookahead, before):
    if before and not (lookahead and algorithm == "model"):
        with pytest.raises(ValueError, match="before"): Recipe(algorithm, bootstrap_next=lookahead, before=before)
        with pytest.raises(ConfigError, match="before"):
            configure(algorithm=algorithm, bootstrap_next=lookahead, before=before)
        return
    learner = Learner(new_game(algorithm, bootstrap_next=lookahead, before=before))
    metrics = learner.update(step_of(learner.game, torch.rand(4, 3, 32, 32)))
    assert metrics["critic_norm"] > 0 and metrics["actor_norm"] > 0 and all(x.isfinite() for x in metrics.values())


@pytest.mark.parametrize("lookahead", [False, True])
def test_the_critic_learns_equation_three(lookahead):
    learner = Learner(new_game(bootstrap_next=lookahead))
    game, t = learner.game, step_of(learner.game, torch.rand(4, 3, 32, 32))
    live, slow = game.players.live, game.players.slow
    with torch.no_grad():
        a, b = t.state, t.after
        if lookahead: a, b = t.after, EPISODE.next(t.after, slow["actor"](EPISODE.planes(t.after)))
        going = (a.step < EPISODE.steps).float(), (b.step < EPISODE.steps).float()
        reward = (L2()(a.canvas, a.target) - L2()(b.canvas, b.target)) / game.scale
        target = reward + 0.95**5 * slow["critic"](EPISODE.planes(b)) * going[1]
        expected = (live["critic"](EPISODE.planes(a)) * going[0] - target * going[0]).square().mean()
    torch.testing.assert_close(learner.losses["critic"](game, t), expected, rtol=1e-4, atol=1e-5)


def test_a_restored_learner_goes_on_alike():
    first, second = (Learner(new_game(rewards="mix")) for _ in range(2))
    steps = [step_of(first.game, torch.rand(2, 3, 32, 32)) for _ in range(2)]
    first.update(steps[0])
    restore_learner(second, copy.deepcopy(learner_state(first)))
    metrics = []
    for learner in (first, second):
        torch.manual_seed(1)                                   # draws where the gradient penalty looks
        metrics.append(learner.update(steps[1]))
    assert second.updates == 2 and metrics[0] == metrics[1]


def smallest(preset, **choices):
    "A session of a preset at smoke size on built-in birds, its ring filled as far as the preset's warm-up says."
    config = configure(preset, smoke=True, dataset="birds", source="builtin", device="cpu", **choices)
    session = Session(config)
    collect(session, config.collection.learning_starts)
    return session


def updates(session, count=1):
    "Every metric of so many updates is finite, and the actor has moved."
    before = values(session.players.live["actor"])
    for _ in range(count):
        assert all(x.isfinite() for x in learn(session).values())
    assert not same(before, values(session.players.live["actor"]))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_takes_an_update(preset):
    updates(smallest(preset))


@pytest.mark.parametrize("reward", ["l2", "wgan", "mix", "warm"])
def test_every_reward_takes_updates(reward):
    session = smallest("small", reward=reward)
    updates(session, 3)                                        # one before the change of reward, one in it, one after
    assert set(session.scales) == ({"l2", "wgan"} if reward in ("mix", "warm") else {reward})
    updates(smallest("paper", reward=reward))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_picture_can_be_learned(algorithm):
    bird = torch.as_tensor(draw_images("birds", [3], (32, 32))).float() / 255
    free = algorithm != "model"                                # a critic must see strokes of many kinds first: noise
    if free: seed_everything(1)                                # without the renderer not every seed gets anywhere
    learner = Learner(new_game(algorithm, scale=0.2, bootstrap_next=False, actor_lr=3e-4 if free else 1e-3))
    game, errors = learner.game, []
    pool = Collector(EPISODE, lambda n, _: EPISODE.reset(bird.expand(n, -1, -1, -1)), 8, torch.Generator().manual_seed(0))

    def error():
        *_, (state, _) = rollout(EPISODE, lambda s: act(game, s), bird)
        return L2()(state.canvas, bird).item()

    def policy(state):
        action = act(game, state)
        return (action + 0.3 * free * torch.randn(action.shape)).clamp(0, 1)

    for _ in range(3):
        errors.append(error())
        for _ in range(12 if free else 8): learner.update(pool.advance(policy))
    errors.append(error())
    assert min(errors) < (0.95 if free else 0.3) * errors[0], errors
