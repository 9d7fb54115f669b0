"""Started by torchrun: learn from this process's share of fixed transitions; process 0 writes the results."""
import functools
import sys

import torch
from accelerate import Accelerator

from sgpaint.agent.algorithms import Learning, ModelBasedDDPG
from sgpaint.agent.environment import PaintingEnv, Transition
from sgpaint.lab.machine import seed_everything, set_threads


def main(out):
    accelerator = Accelerator(cpu=True)
    set_threads(1)
    seed_everything(0)
    env = PaintingEnv(strokes=10, bundle=5)
    learning = Learning(gamma=0.95, polyak=0.001, actor_lr=(3e-4, 3e-4), critic_lr=(1e-3, 1e-3), max_grad_norm=1.0,
                        bootstrap_next=True)
    mean = functools.partial(accelerator.reduce, reduction="mean")
    algorithm = ModelBasedDDPG(env, ModelBasedDDPG.build_networks(env, learning), learning,
                               average=mean if accelerator.num_processes > 1 else None)
    algorithm.reward_scale = 0.1
    losses = []
    for _ in range(3):
        state = env.reset(torch.rand(8, 3, 32, 32))
        action = torch.rand(8, env.action_size)
        after = env.transition(state, action)
        share = slice(accelerator.process_index, None, accelerator.num_processes)
        step = Transition(state[share], action[share], after[share], env.terminated(after)[share])
        metrics = algorithm.update(step)
        names = ("critic_loss", "actor_loss", "critic_norm", "actor_norm")
        losses.append([accelerator.reduce(metrics[name], "mean").item() for name in names])
    if accelerator.is_main_process:
        action = algorithm.select_action(env.reset(torch.full((2, 3, 32, 32), 0.5)))
        torch.save({"processes": accelerator.num_processes, "losses": torch.tensor(losses), "action": action}, out)
    accelerator.wait_for_everyone()  # nobody leaves while another still talks: threads that are cut off abort a process
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1])
