"""What each part of the dense policy is worth: python benchmarks/policy.py train|paint [SEEDS...].

`train` trains arms that differ in one option, each for the same processor time, three seeds (built-in birds, 64 px,
100 strokes): the updates that fit into SECONDS are found from the cost of twenty. `paint` takes agents that `train`
made with the default options and paints with other searches, beside the untrained control. Finished parts are kept in
runs/policy; the results are added to policy.json, and the tables are printed.
"""
import json
import statistics
import sys
import time
from pathlib import Path

import torch

from sgpaint.agent.callbacks import Callback
from sgpaint.agent.config import configure
from sgpaint.agent.joint import optimize_jointly
from sgpaint.agent.trained import load_agent
from sgpaint.agent.training import train
from sgpaint.lab.machine import set_threads
from sgpaint.lab.measure import mse
from sgpaint.scene.loading import load
from sgpaint.stroke.blend import paint

HERE = Path(__file__).resolve().parent
RUNS, OUT = HERE.parent / "runs" / "policy", HERE / "policy.json"
BIRDS = {"dataset": "birds", "source": "builtin"}
SECONDS = 45  # of one core, for the updates of an arm
ARMS: dict[str, dict] = {
    "default": {},
    "no second network": {"options": {"passes": 0, "refine": 0}},
    "expert iteration": {"options": {"imitate": 0.1}},
    "half the widths": {"options": {"widths": [16, 24, 32, 48], "hidden": 128}},
    "twice the widths": {"options": {"widths": [48, 96, 128, 192], "hidden": 512}},
    "one proposal a place": {"options": {"turns": [1, 1, 1, 1, 1]}},
    "all built-in scenes": {"dataset": "scenes", "images": 12000},
}
SEARCHES: dict[str, dict] = {  # fields of Search
    "proposals only": {"choice": "expected"},
    "proposals only, no second network": {"choice": "expected", "refine": 0},
    "choose apart": {"choice": "apart"},
    "choose": {},
    "choose, no second network": {"refine": 0},
    "choose, 48 kept, 5 passes": {"kept": 48, "refine": 5},
    "choose, two-step look-ahead among 3 bundles": {"ahead": 3},
    "choose, 5 joint steps on each bundle": {"bundle_steps": 5},
    "all rendered": {"measured": 10_000},
    "choose after 3 steps": {"steps": 3},
    "choose after 8 steps": {"steps": 8},
}


def kept() -> dict:
    "What policy.json holds."
    return json.loads(OUT.read_text()) if OUT.is_file() else {}


def keep(name: str, value: dict) -> None:
    "Add a result to policy.json."
    OUT.write_text(json.dumps(kept() | {name: value}, indent=1, sort_keys=True) + "\n")


def held_out(count: int) -> torch.Tensor:
    "Built-in held-out birds."
    scenes = load("birds", "test", 64, source="builtin", count=count)
    return scenes.images()[torch.arange(count)].float() / 255


def cost(changes: dict) -> float:
    "Processor seconds of an update, from twenty after the first five."
    times: list[float] = []

    class Clock(Callback):
        "Notes the processor time after each update."
        def on_update(self, session, metrics): times.append(time.process_time())

    config = configure("dense", **BIRDS | changes, updates=25, learning_starts=2, threads=1, evaluate_images=1,
                       joint_steps=0, out_dir=str(RUNS / f"cost-{time.time_ns()}"), callbacks=())
    train(config, callbacks=[Clock()], say=lambda line: None)
    return (times[-1] - times[4]) / (len(times) - 5)


def train_arms(seeds: list[int]) -> None:
    "Train each arm with each seed."
    for arm, changes in ARMS.items():
        for seed in seeds:
            name = f"{arm}, seed {seed}"
            if name in kept(): continue
            first = kept().get(f"{arm}, seed {seeds[0]}")  # all seeds of an arm take as many updates
            updates = first["updates"] if first else max(25, round(SECONDS / cost(changes)))
            folder = RUNS / name.replace(", ", "-").replace(" ", "-")
            config = configure("dense", **BIRDS | changes, updates=updates, seed=seed, threads=1, joint_steps=0,
                               evaluate_every=updates, out_dir=str(folder))
            run = train(config, say=lambda line: None)
            target = held_out(64)
            with torch.no_grad(): canvas = load_agent(run.folder).actor.paint(target)[1]
            keep(name, {"updates": updates, "error": mse(canvas, target).mean().item(),
                        "parameters": run.result["parameters"], "folder": run.folder.name})
            print(name, kept()[name], flush=True)


def paint_ways(seeds: list[int], count: int = 16) -> None:
    "Paint with other searches, learned and untrained."
    target = held_out(count)
    for seed in seeds:
        learned = load_agent(RUNS / kept()[f"default, seed {seed}"]["folder"]).actor
        for way, search in SEARCHES.items():
            name = f"paint: {way}, seed {seed}"
            if name in kept(): continue
            found = {}
            for who, actor in (("learned", learned), ("control", learned.untrained(seed))):
                started = time.process_time()
                strokes, canvas = actor.with_search(**search).paint(target)
                seconds = (time.process_time() - started) / count
                joint = optimize_jointly(torch.zeros_like(target), target, strokes, 20)
                planned = paint(torch.zeros_like(target), joint)
                found[who] = {"error": mse(canvas, target).mean().item(), "seconds": seconds,
                              "with 20 joint steps": mse(planned, target).mean().item(),
                              "seconds with them": (time.process_time() - started) / count}
            keep(name, found)
            print(name, {who: round(x["error"], 5) for who, x in found.items()}, flush=True)


def middle(rows: list[dict], who: str, key: str) -> str:
    "The median of a number over the seeds."
    value = statistics.median(row[who][key] for row in rows)
    return f"{value:.2f}" if "seconds" in key else f"{value:.5f}"


def show() -> None:
    "Print the tables: medians, and the three values."
    found = kept()
    print("| arm | updates | parameters | error, median | seeds |\n| --- | --- | --- | --- | --- |")
    for arm in ARMS:
        rows = [value for name, value in found.items() if name.startswith(f"{arm}, seed")]
        if not rows: continue
        errors = [row["error"] for row in rows]
        print(f"| {arm} | {rows[0]['updates']} | {rows[0]['parameters']:,} | {statistics.median(errors):.5f} | "
              f"{', '.join(f'{e:.5f}' for e in errors)} |")
    print("\n| search | learned | control | CPU s | learned + 20 joint steps | control + 20 | CPU s |")
    print("| --- " * 7 + "|")
    for way in SEARCHES:
        rows = [value for name, value in found.items() if name.startswith(f"paint: {way}, seed")]
        if not rows: continue
        joint, both = "with 20 joint steps", "seconds with them"
        cells = (("learned", "error"), ("control", "error"), ("learned", "seconds"),
                 ("learned", joint), ("control", joint), ("learned", both))
        print(f"| {way} | " + " | ".join(middle(rows, *cell) for cell in cells) + " |")


if __name__ == "__main__":
    set_threads(1)
    what, *numbers = sys.argv[1:] or ["show"]
    chosen = [int(n) for n in numbers] or [0, 1, 2]
    if what == "train": train_arms(chosen)
    if what == "paint": paint_ways(chosen)
    show()
