"""The agent `dense` on held-out built-in scenes, and its untrained control: python benchmarks/dense.py [PICTURES].

Prints the table of README.md and writes dense.png: pictures, paintings by choice alone, and the untrained control.
"""
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from sgpaint.agent.trained import paint_many, shipped_agent
from sgpaint.lab.machine import set_threads
from sgpaint.lab.measure import mse
from sgpaint.lab.show import sheet
from sgpaint.scene.loading import load

set_threads(1)
count = int(sys.argv[1]) if len(sys.argv) > 1 else 64
dense, small = shipped_agent("dense"), shipped_agent("small")
control, shapes = (replace(dense, actor=dense.actor.untrained(spread=spread)) for spread in (1, 10))
ways = {
    "small": lambda target: paint_many(small, target),
    "dense": lambda target: paint_many(dense, target),
    "dense, untrained": lambda target: paint_many(control, target),
    "random shapes": lambda target: paint_many(shapes, target),
    "dense + 20 joint steps": lambda target: dense.actor.paint(target, joint=20)[1],
    "dense, untrained + 20 joint steps": lambda target: control.actor.paint(target, joint=20)[1],
    "random shapes + 20 joint steps": lambda target: shapes.actor.paint(target, joint=20)[1],
}
rows: list[torch.Tensor] = []
print("| scenes | " + " | ".join(ways) + " |")
print("| --- " * (1 + len(ways)) + "|")
for name in ("birds", "cars", "streets"):
    target = load(name, "test", 64, source="builtin", count=count).images()[torch.arange(count)].float() / 255
    cells, canvases = [], {}
    for way, paint in ways.items():
        started = time.process_time()
        canvases[way] = paint(target)
        seconds = (time.process_time() - started) / count
        cells.append(f"{mse(canvases[way], target).mean():.5f} ({seconds:.2f} s)")
    rows += [*target[:8], *canvases["dense"][:8], *canvases["dense, untrained"][:8]]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
sheet(rows, columns=8, scale=2).save(Path(__file__).with_name("dense.png"), optimize=True)
