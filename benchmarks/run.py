"""Time the kit against Huang et al.'s shapes used the public way: one process, one thread, taking turns."""
import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from public_way import COLUMNS, SIZE, STEPS, STROKES, Agent, NeuralRenderer
from sgpaint.agent.algorithms import Algorithm, Learning, ModelBasedDDPG
from sgpaint.agent.attention import AttentionActor
from sgpaint.agent.buffers import EpisodeBuffer, buffer_bytes
from sgpaint.agent.config import configure
from sgpaint.agent.environment import PaintingEnv, Transition
from sgpaint.agent.networks import Actor, Critic, Discriminator, count_parameters, fold
from sgpaint.agent.rewards import Adversarial
from sgpaint.agent.training import Session
from sgpaint.lab.machine import compiled, describe
from sgpaint.stroke.exact import alpha
from sgpaint.stroke.native import eager

HERE = Path(__file__).parent
PAPER = PaintingEnv(strokes=STROKES * STEPS, bundle=STROKES)
REFERENCE = "Huang's shapes, public way"
MARK = "<!-- the tables below are written by run.py -->"


def alternate(ways: dict[str, Callable[[], object]], rounds: int, reference: str = REFERENCE) -> dict[str, dict]:
    "First call (wall clock) and median CPU milliseconds of every way, taking turns."
    first, spent = {}, {name: [] for name in ways}
    for name, way in ways.items():
        began = time.perf_counter()
        way()
        first[name] = time.perf_counter() - began
        print(f"{name}: first call {first[name]:.1f} s", file=sys.stderr, flush=True)
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            spent[name].append(1000 * (time.process_time() - began))
    medians = {name: statistics.median(times) for name, times in spent.items()}
    return {name: {"median_ms": round(medians[name], 2), "first_call_s": round(first[name], 2),
                   "times_faster": round(medians[reference] / medians[name], 2)} for name in ways}


def truth(strokes: Tensor, size: int, finer: int = 8, samples: int = 1200) -> Tensor:
    "Strokes as `samples` hard discs each on a grid `finer` times finer, averaged: (N, size, size)."
    side, t = size * finer, torch.linspace(0, 1, samples)
    place = (torch.arange(side) + 0.5) / finer
    out = torch.zeros(len(strokes), side, side)
    for n, (x0, y0, x1, y1, x2, y2, r0, r2, a0, a2) in enumerate(strokes[:, :10].tolist()):
        cx = size * ((1 - t) ** 2 * x0 + 2 * (1 - t) * t * x1 + t**2 * x2)
        cy = size * ((1 - t) ** 2 * y0 + 2 * (1 - t) * t * y1 + t**2 * y2)
        radius = (1 + 63 * (r0 + t * (r2 - r0))) / 256 * size
        for rows in torch.arange(side).split(16):
            near = (cy > place[rows[0]] - radius) & (cy < place[rows[-1]] + radius)  # the others touch no row
            if not near.any(): continue
            x, y, r = (v[near, None, None] for v in (cx, cy, radius))
            nearest, where = (((place - x) ** 2 + (place[rows, None] - y) ** 2).sqrt() - r).min(0)
            out[n, rows] = (nearest < 0) * (a0 + t[near][where] * (a2 - a0))
    return torch.nn.functional.avg_pool2d(out[:, None], finer)[:, 0]


def renderer(rounds: int) -> dict:
    "Five strokes forward and backward; the error of the exact one."
    network, frozen = NeuralRenderer(), NeuralRenderer().requires_grad_(False)
    assert round(count_parameters(network) / 1e6, 2) == 11.04, "these are not the published layers"
    strokes = torch.rand(1, STROKES, COLUMNS, generator=torch.Generator().manual_seed(0))
    pull = torch.rand(1, STROKES, SIZE, SIZE)

    def drawn(draw: Callable[[Tensor], Tensor]) -> None:
        asked = strokes.clone().requires_grad_()
        (draw(asked).view_as(pull) * pull).sum().backward()

    def plain(asked: Tensor) -> Tensor:
        with eager(): return alpha(asked, (SIZE, SIZE))

    rows = alternate({
        REFERENCE: lambda: drawn(lambda s: 1 - network(s[0, :, :10])),
        "the same network, frozen": lambda: drawn(lambda s: 1 - frozen(s[0, :, :10])),
        "exact, compiled": lambda: drawn(lambda s: alpha(s, (SIZE, SIZE))),
        "exact, eager": lambda: drawn(plain),
    }, rounds)
    many = torch.rand(1, 12, COLUMNS, generator=torch.Generator().manual_seed(1))
    error = (alpha(many, (SIZE, SIZE))[0] - truth(many[0], SIZE)).abs().mean().item()
    rows["exact, compiled"]["mean_error_against_8x_supersampling"] = round(error, 6)
    return rows


def paint(rounds: int) -> dict:
    "200 strokes on one 128 px picture, no files."
    agent, target = Agent(), torch.rand(1, 3, SIZE, SIZE)
    agent.actor.eval()
    paper, small = fold(Actor("paper").eval()), AttentionActor(STROKES).eval()

    @torch.inference_mode()
    def ours(actor: Callable[[Tensor], Tensor]) -> None:
        state = PAPER.reset(target)
        for _ in range(PAPER.steps): state = PAPER.transition(state, actor(PAPER.observe(state)))

    def without_kernel() -> None:
        with eager(): ours(paper)

    small_compiled = compiled(AttentionActor(STROKES).eval(), "small actor")
    return alternate({
        REFERENCE: lambda: agent.paint(target),
        "its actor alone, the floor of `paper`": lambda: [paper_pass(agent) for _ in range(STEPS)],
        "paper": lambda: ours(paper),
        "paper, strokes eager": without_kernel,
        "small": lambda: ours(small),
        "small, actor compiled": lambda: ours(small_compiled),
    }, rounds)


@torch.inference_mode()
def paper_pass(agent: Agent) -> Tensor:
    "The actor's network once, as the public way calls it."
    return agent.actor(torch.zeros(1, 9, SIZE, SIZE))


def algorithm(preset: str, compile_networks: bool = False) -> Algorithm:
    "The kit's update with the WGAN reward; for `paper` the published networks and the same mathematics."
    learning = Learning(network=preset, norm="batch" if preset == "paper" else "group", gamma=0.95, polyak=0.001,
                        actor_lr=(3e-4, 1e-4), critic_lr=(1e-3, 3e-4), discriminator_lr=(1e-4, 1e-4),
                        max_grad_norm=0.0, bootstrap_next=True, previous_canvas=True)
    networks = ModelBasedDDPG.build_networks(PAPER, learning, ["discriminator"])
    env = replace(PAPER, rewards=Adversarial(networks.target["discriminator"]))
    return ModelBasedDDPG(env, networks, learning, compile_networks=compile_networks)


def one_update(session: Session) -> None:
    "One step and one update of a run."
    session.prepare()
    session.algorithm.update(session.next_batch())


def filled() -> EpisodeBuffer:
    "A replay buffer with two episodes of noise."
    buffer = EpisodeBuffer(PAPER, (SIZE, SIZE), 4, 2)
    state = PAPER.reset(torch.rand(2, 3, SIZE, SIZE))
    for _ in range(PAPER.steps):
        action = torch.rand(2, PAPER.action_size)
        after = PAPER.transition(state, action)
        buffer.add(Transition(state, action, after, PAPER.terminated(after)))
        state = after
    return buffer


def update(rounds: int, batch: int = 16) -> dict:
    "One full update, drawing the batch included: critic, actor, discriminator, target networks."
    agent, buffer, generator = Agent(), filled(), torch.Generator().manual_seed(0)
    agent.remember(40)
    paper, small, fast = algorithm("paper"), algorithm("small"), algorithm("paper", True)
    rows = alternate({
        REFERENCE: lambda: agent.update(batch),
        "paper": lambda: paper.update(buffer.sample(batch, generator)),
        "paper, actor and critic compiled": lambda: fast.update(buffer.sample(batch, generator)),
        "small": lambda: small.update(buffer.sample(batch, generator)),
        "floor of `paper`: its convolutions": floor(batch),
    }, rounds)
    return rows


def guidance(rounds: int, batch: int = 16) -> dict:
    "What guidance adds to an update of the small agent, the step that it learns from included."
    common = dict(batch=batch, images=64, evaluate_images=8, threads=1, single_level_fraction=0.0)
    guidance_of = dict(blend_mode="masked", observe_mask=True, foreground_weight=2.0)
    choices = {"baseline": {}, "two levels, aligned": guidance_of,
               "guidance": guidance_of | dict(focus_weight=1.0, observe_focus=True)}
    sessions = {name: Session(configure(**common, **chosen)) for name, chosen in choices.items()}
    rows = alternate({name: partial(one_update, session) for name, session in sessions.items()}, rounds, "baseline")
    for row in rows.values(): row["times_the_baseline"] = round(row["median_ms"] / rows["baseline"]["median_ms"], 2)
    return rows


def floor(batch: int) -> Callable[[], None]:
    "The network passes an update cannot do without, on fixed inputs: no strokes, no replay, no optimizer."
    actor, critic, judge = Actor("paper"), Critic("paper", channels=12), Discriminator("paper")
    slow_actor, slow_critic, slow_judge = (copy.deepcopy(n).requires_grad_(False) for n in (actor, critic, judge))
    nine, twelve = torch.rand(batch, 9, SIZE, SIZE), torch.rand(batch, 12, SIZE, SIZE)
    a, b = torch.rand(2, batch, 3, SIZE, SIZE)

    def passes() -> None:
        with torch.no_grad():  # the critic's goal: slow actor, slow critic, reward of two canvases
            slow_actor(nine), slow_critic(twelve), slow_judge(torch.cat([a, b]), torch.cat([b, b]))
        critic(twelve).sum().backward()
        actor(nine).sum().backward()
        asked = twelve.clone().requires_grad_()  # the actor's gradient runs through critic and judge to the canvas
        slow_critic(asked).sum().backward()
        seen = a.clone().requires_grad_()
        slow_judge(seen, b).sum().backward()
        with torch.no_grad(): slow_judge(b, a)
        judge(torch.cat([a, b]), torch.cat([b, b])).sum().backward()
        mixed = a.clone().requires_grad_()
        slope = torch.autograd.grad(judge(mixed, b).sum(), mixed, create_graph=True)[0]
        slope.flatten(1).norm(dim=1).sum().backward()
    return passes


def memory(rounds: int) -> dict:
    "What 32,000 transitions at 128 px take; measured on a buffer of 8 episodes, and by its formula for 800."
    eight = EpisodeBuffer(PAPER, (SIZE, SIZE), 8, 2)
    assert eight.nbytes == buffer_bytes(8, PAPER, (SIZE, SIZE))
    whole = 32_000 * (2 * 7 * SIZE * SIZE + 4 * (PAPER.action_size + 1))
    return {REFERENCE: {"GiB": round(whole / 2**30, 2)}, "replay buffer": {"GiB": round(100 * eight.nbytes / 2**30, 2)}}


ROWS = {  # what is measured, the rounds that make a steady median, and a title
    "renderer": (renderer, 40, "Five strokes at 128 px, forward and backward"),
    "paint": (paint, 7, "Paint 200 strokes at 128 px, one picture"),
    "update": (update, 5, "One full update, batch 16, 128 px"),
    "guidance": (guidance, 40, "One update of the small agent, batch 16, 64 px: what guidance adds"),
    "memory": (memory, 0, "32,000 transitions at 128 px"),
}


def table(results: dict) -> str:
    "The results as markdown."
    def line(cells: list) -> str:
        return "| " + " | ".join(map(str, cells)) + " |"

    lines = []
    for row, result in results["rows"].items():
        columns = list(dict.fromkeys(key for way in result.values() for key in way))
        lines += [f"### {ROWS[row][2]}", "", line(["", *(c.replace("_", " ") for c in columns)])]
        lines += [line(["---"] * (len(columns) + 1))]
        lines += [line([name, *(way.get(c, "") for c in columns)]) for name, way in result.items()] + [""]
    machine = results["machine"]
    return "\n".join(lines + [f"{machine['cpu']}, one thread, torch {machine['torch']}, Python {machine['python']}."])


def main() -> None:
    "Run the asked rows, keep them beside the others in results.json, write the table."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="all by default")
    parser.add_argument("--rounds", type=int, default=0, help="timed rounds; by default enough for a steady median")
    parser.add_argument("--out", type=Path, default=HERE, help="where results.json and README.md are")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    path = asked.out / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    for row in asked.rows:
        torch.manual_seed(0)
        measure, rounds, _ = ROWS[row]
        results["rows"][row] = measure(asked.rounds or rounds)
    results["machine"] = describe()
    results["rows"] = {row: results["rows"][row] for row in ROWS if row in results["rows"]}
    path.write_text(json.dumps(results, indent=1) + "\n")
    readme = asked.out / "README.md"
    words = readme.read_text().split(MARK)[0] if readme.exists() else ""
    readme.write_text(f"{words}{MARK}\n\n{table(results)}\n")
    print(table(results))


if __name__ == "__main__": main()
