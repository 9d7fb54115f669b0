"""The agent `dense` on held-out built-in scenes, and its untrained control: python benchmarks/dense.py [PICTURES]."""
import sys
import time
from dataclasses import replace

import torch

from sgpaint.agent.trained import paint_many, shipped_agent
from sgpaint.lab.machine import set_threads
from sgpaint.lab.measure import mse
from sgpaint.scene.loading import load

set_threads(1)
count = int(sys.argv[1]) if len(sys.argv) > 1 else 64
dense, small = shipped_agent("dense"), shipped_agent("small")
control = replace(dense, actor=dense.actor.untrained())
ways = {
    "small": lambda target: paint_many(small, target),
    "dense": lambda target: paint_many(dense, target),
    "dense, untrained": lambda target: paint_many(control, target),
    "dense + 20 joint steps": lambda target: dense.actor.paint(target, joint=20)[1],
    "dense, untrained + 20 joint steps": lambda target: control.actor.paint(target, joint=20)[1],
}
print("| scenes | " + " | ".join(ways) + " |")
print("| --- " * (1 + len(ways)) + "|")
for name in ("birds", "cars", "streets"):
    target = load(name, "test", 64, source="builtin", count=count).images()[torch.arange(count)].float() / 255
    cells = []
    for paint in ways.values():
        started = time.process_time()
        error = mse(paint(target), target).mean().item()
        cells.append(f"{error:.5f} ({(time.process_time() - started) / count:.2f} s)")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
