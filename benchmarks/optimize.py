"""Time strokes by gradient against plain Adam steps from a random start: one process, one thread, taking turns."""
import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from skimage import data
from torch import Tensor
from torch.nn import functional as F

from sgpaint.agent.optimize import optimize, refine, shrunk
from sgpaint.agent.paint import BUDGETS, paint
from sgpaint.lab.machine import describe
from sgpaint.stroke.canvas import blank
from sgpaint.stroke.canvas import paint as strokes_on
from sgpaint.stroke.native import eager
from sgpaint.stroke.painting import Painting

HERE, STEPS, RATES = Path(__file__).parent, 400, (0.02, 0.05, 0.1)
LADDER = (10, 20, 30, 50, 80, 120, 200, 400, 800, 1600)  # steps at which `optimize` is looked at


def photograph(name: str, side: int = 128) -> Tensor:  # (3, H, W)
    "One of the photographs that come with scikit-image."
    return shrunk(torch.from_numpy(getattr(data, name)()).permute(2, 0, 1).float() / 255, side)


def decibels(canvas: Tensor, image: Tensor) -> float: return -10 * math.log10(F.mse_loss(canvas, image).item())


def plain(image: Tensor, n: int, rate: float, widest: float, seed: int) -> Tensor:  # (3, H, W)
    "Random strokes, radii up to a widest one, through a sigmoid, 400 steps of Adam; nothing else."
    start = 0.01 + 0.98 * torch.rand(1, n, 13, generator=torch.Generator().manual_seed(seed))
    start[..., 6:8] *= widest
    free, empty = torch.logit(start).requires_grad_(), blank(1, (image.shape[1], image.shape[2]))
    adam = torch.optim.Adam([free], lr=rate)
    for _ in range(STEPS):
        adam.zero_grad()
        F.mse_loss(strokes_on(empty, free.sigmoid())[0], image).backward()
        adam.step()
    with torch.no_grad(): return strokes_on(empty, free.sigmoid())[0]


def timed(work: Callable[[], Painting | Tensor], image: Tensor) -> dict[str, float]:
    "CPU and wall clock seconds of one call, and its decibels."
    cpu, wall = time.process_time(), time.perf_counter()
    done = work()
    spent = {"cpu_s": round(time.process_time() - cpu, 3), "wall_s": round(time.perf_counter() - wall, 3)}
    canvas = done if isinstance(done, Tensor) else done.render((image.shape[1], image.shape[2]))
    return spent | {"psnr_db": round(decibels(canvas, image), 2)}


def against_plain(name: str, n: int, seed: int) -> dict:
    "The plain way at its best setting, and `optimize` up the ladder, taking turns."
    image, plains, ladder = photograph(name), {}, {}
    settings = [(rate, widest) for rate in RATES for widest in (1.0, 0.3)]
    for i, steps in enumerate(LADDER):
        if i < len(settings):
            rate, widest = settings[i]
            plains[f"rate {rate}, radii to {widest}"] = timed(lambda: plain(image, n, rate, widest, seed), image)  # noqa: B023
        ladder[steps] = timed(lambda: optimize(image, n, seed=seed, steps=steps, show=False), image)  # noqa: B023
    setting, best = max(plains.items(), key=lambda item: item[1]["psnr_db"])
    as_good = min((s for s in ladder.values() if s["psnr_db"] >= best["psnr_db"]), key=lambda s: s["cpu_s"])
    as_long = max((s for s in ladder.values() if s["cpu_s"] <= best["cpu_s"]), key=lambda s: s["psnr_db"])
    return {"picture": name, "strokes": n, "seed": seed, "plain at its best": setting, "plain": plains,
            "optimize": ladder, "share of plain's CPU time at its PSNR": round(as_good["cpu_s"] / best["cpu_s"], 3),
            "dB more at plain's CPU time or less": round(as_long["psnr_db"] - best["psnr_db"], 2)}


def budgets(name: str, n: int) -> dict:
    "What `paint` costs and brings, compiled and not."
    image = photograph(name)
    found = {b: timed(lambda: paint(image, n, b, show=False), image) for b in BUDGETS}  # noqa: B023
    with eager(): found["no compiler"] = timed(lambda: paint(image, n, "fast", show=False), image)
    return {"picture": name, "strokes": n, **found}


def greedy_and_refined(name: str, n: int) -> dict:
    "Greedy bundles; and a painting that was shaken, after forty steps of refining."
    image = photograph(name)
    whole = optimize(image, n, show=False)
    shaken = whole.strokes + 0.03 * torch.randn(whole.strokes.shape, generator=torch.Generator().manual_seed(0))
    rough = Painting(shaken.clamp(0, 1), whole.size)
    return {"picture": name, "strokes": n,
            "greedy, bundles of 5": timed(lambda: optimize(image, n, bundle=5, steps=60, show=False), image),
            "shaken": {"psnr_db": round(decibels(rough.render(), image), 2)},
            "shaken, 40 steps of refine": timed(lambda: refine(rough, image), image)}


def large(n: int = 500, side: int = 2048) -> dict:
    "A large render of a painting."
    painting = optimize(photograph("astronaut"), n, steps=60, show=False)
    began = time.process_time(), time.perf_counter()
    painting.render((side, side))
    return {"strokes": n, "pixels": side, "cpu_s": round(time.process_time() - began[0], 3),
            "wall_s": round(time.perf_counter() - began[1], 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strokes", type=int, default=200)
    parser.add_argument("--pictures", nargs="+", default=["astronaut", "coffee"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", default=["plain", "budgets", "greedy", "large"])
    parser.add_argument("--output", type=Path, default=HERE / "optimize.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    optimize(photograph("astronaut", 32), 5, steps=5, show=False)  # the kernel is built, libraries are warm
    found = {"machine": describe(), **(json.loads(asked.output.read_text()) if asked.output.exists() else {})}
    rows = {"plain": lambda p: against_plain(p, asked.strokes, asked.seed),
            "budgets": lambda p: budgets(p, asked.strokes), "greedy": lambda p: greedy_and_refined(p, asked.strokes)}
    for row in asked.rows:
        found[row] = large() if row == "large" else [rows[row](picture) for picture in asked.pictures]
        print(row, json.dumps(found[row], indent=1), flush=True)
        asked.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__": main()
