"""What an update of a full-size run must cost at least, and on a GPU what it does cost, against the public way.

    python benchmarks/full_size.py                 # where there is a GPU: everything, and a line in GPU.md
    python benchmarks/full_size.py --floor         # anywhere: operations and bytes, counted without computing
    python benchmarks/full_size.py --device cpu --smoke    # everything at the smallest size, written nowhere
"""
import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from public_way import STEPS, Agent, decode
from sgpaint.agent.algorithms import ALGORITHMS
from sgpaint.agent.config import TrainConfig, build_env, configure, rewards_at
from sgpaint.agent.environment import State, Transition
from sgpaint.agent.training import Session
from sgpaint.lab.machine import describe

HERE = Path(__file__).parent
PRESETS = ("h100", "h100-small")
UPDATES = 200_000  # of Huang et al.'s schedule
CARD = {"name": "H100 SXM, as its maker reports", "operations": 989e12, "bytes": 3.35e12}  # bf16, dense; a second
DENSE = ("convolution", "convolution_backward", "mm", "addmm", "bmm", "baddbmm")


class Traffic(TorchDispatchMode):
    "Counts the bytes that convolutions and matrix products must move, each tensor once, two bytes a number."
    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in DENSE:
            self.bytes += sum(2 * x.numel() for x in tree_leaves((args, out)) if torch.is_tensor(x))
        return out


def counted(config: TrainConfig) -> dict[str, float]:
    "Operations and bytes of one update and the steps that belong to it, on tensors without numbers."
    task, learning, collection, env = config.task, config.learning, config.collection, build_env(config)
    kind = ALGORITHMS[learning.algorithm]
    networks = kind.build_networks(env, learning, config.discriminators).to("meta")
    env = replace(env, rewards=rewards_at(config, learning.updates, {}, networks))
    algorithm = kind(env, networks, learning)
    def state(batch: int) -> State:
        picture = torch.empty(batch, 3, task.size, task.size, device="meta")
        return State(picture, picture, torch.zeros(batch, dtype=torch.long, device="meta"))
    def step(batch: int) -> Transition:
        before = state(batch)
        after = env.transition(before, action := algorithm.select_action(before))
        return Transition(before, action, after, env.terminated(after))
    algorithm.update(t := step(learning.batch))  # an optimizer makes its memory once
    spent, together = [], collection.num_envs if collection.buffer_episodes else learning.batch
    for work in (lambda: algorithm.update(t), lambda: step(together)):
        with FlopCounterMode(display=False) as operations, Traffic() as traffic: work()
        spent.append((operations.get_total_flops(), traffic.bytes))
    steps = collection.collect_steps / collection.collect_every if collection.buffer_episodes else 1
    adam = 28 * sum(p.numel() for p in networks.online.parameters())  # seven passes of four bytes over every weight
    return {"operations": spent[0][0] + steps * spent[1][0], "bytes": spent[0][1] + steps * spent[1][1] + adam}


def floor(need: dict[str, float], card: dict) -> float:
    "Milliseconds below which no update of these networks can get on a card."
    return 1000 * max(need["operations"] / card["operations"], need["bytes"] / card["bytes"])


def rates(side: int = 8192) -> dict:
    "What this card does: operations of a large bf16 product and bytes of a large copy, a second."
    a, b = torch.randn(2, side, side, device="cuda", dtype=torch.bfloat16)
    many, there = torch.randn(2, 2**29, device="cuda")
    product, copy = timed(lambda: a @ b, 20, "cuda"), timed(lambda: there.copy_(many), 20, "cuda")
    return {"name": torch.cuda.get_device_name(), "operations": 2 * side**3 / product, "bytes": 8 * 2**29 / copy}


def timed(work: Callable[[], object], rounds: int, device: str) -> float:
    "Seconds of one call: the median of five stretches, after a warm-up."
    def wait(): return torch.cuda.synchronize() if device == "cuda" else None
    spent = []
    for _ in range(6):
        wait()
        began = time.perf_counter()
        for _ in range(rounds): work()
        wait()
        spent.append((time.perf_counter() - began) / rounds)
    return statistics.median(spent[1:])


def ours(config: TrainConfig, rounds: int, profile: bool) -> float:
    "Seconds of one update of a preset, with the steps that belong to it."
    session, collection = Session(config), config.collection
    session.collect(collection.learning_starts)
    def work() -> None:
        for _ in range(collection.collect_every):
            session.prepare()
            session.algorithm.update(session.next_batch())
        if session.buffer is not None: session.collect(collection.collect_steps)
    every = collection.collect_every
    seconds = timed(work, max(1, rounds // every), session.device.type) / every
    if profile:
        with torch.profiler.profile() as seen: work()
        print(seen.key_averages().table(sort_by=f"self_{session.device.type}_time_total", row_limit=15))
    return seconds


def public_way(batch: int, steps: float, rounds: int, device: str) -> float:
    "The same for Huang's shapes the public way: 32 bits, no compiler, states stored whole."
    with torch.device(device):
        agent = Agent()
        agent.remember(8 * batch)
        state = torch.stack([agent.memory[i][0] for i in range(batch)])
        def step() -> Tensor:
            with torch.no_grad(): return decode(agent.renderer, agent.rollout(state), state[:, :3].float() / 255)
        agent.actor.train()
        return timed(lambda: agent.update(batch), rounds, device) + steps * timed(step, rounds, device)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--floor", action="store_true", help="count only")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--updates", type=int, default=50, help="of one stretch that is timed")
    parser.add_argument("--profile", action="store_true", help="where the time of each preset goes")
    parser.add_argument("--smoke", action="store_true")
    asked = parser.parse_args(words)
    needs = {name: counted(configure(name)) for name in PRESETS}
    for name, need in needs.items():
        least = floor(need, CARD)
        print(f"{name}: {need['operations'] / 1e12:.2f}e12 operations and {need['bytes'] / 1e9:.2f}e9 bytes an update; "
              f"on an {CARD['name']}, at least {least:.2f} ms, "
              f"{UPDATES / 1000 * least / 60:.1f} minutes for {UPDATES:,}")
    if asked.floor: return
    card = rates() if asked.device == "cuda" else CARD
    shared = dict(device=asked.device, images=1000, evaluate_images=8)
    if asked.smoke: shared |= dict(compile=False, images=16)
    lines, batch = [], 2 if asked.smoke else 96
    paper = public_way(batch, STEPS / 10, 1 if asked.smoke else asked.updates, asked.device)
    lines.append(("Huang's shapes, public way", paper, ""))
    for name in PRESETS:
        config = configure(name, asked.smoke, **shared)
        seconds = ours(config, asked.updates, asked.profile)
        lines.append((name, seconds, "" if asked.smoke else f"{floor(needs[name], card) / 1000 / seconds:.0%}"))
    report(lines, card, asked)


def report(lines: list[tuple[str, float, str]], card: dict, asked: argparse.Namespace) -> None:
    "A short table; on a GPU also in GPU.md."
    table = ["| way | ms an update | updates a second | minutes for 2e5 | times faster | of the floor |",
             "|---|---|---|---|---|---|"]
    for name, seconds, share in lines:
        table.append(f"| {name} | {1000 * seconds:.2f} | {1 / seconds:.1f} | {UPDATES * seconds / 60:.0f} | "
                     f"{lines[0][1] / seconds:.1f} | {share} |")
    print("\n".join(table))
    if asked.smoke: print("a rehearsal: the sizes differ, so the ratios say nothing")
    if asked.smoke or asked.device != "cuda": return
    known = describe()
    head = (f"\n### {date.today()}: {card['name']}, torch {known['torch']}\n\n"
            f"`python benchmarks/full_size.py --updates {asked.updates}`; measured here: "
            f"{card['operations'] / 1e12:.0f}e12 operations (bf16 product) and "
            f"{card['bytes'] / 1e12:.2f}e12 bytes a second (copy).\n\n")
    with open(HERE / "GPU.md", "a") as file: file.write(head + "\n".join(table) + "\n")


if __name__ == "__main__": main()
