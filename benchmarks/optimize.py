"""Time strokes by gradient against plain Adam steps from a random start; budgets, first calls, losses, memory."""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

import torch
from skimage import data
from torch import Tensor
from torch.nn import functional as F

from sgpaint.search.optimize import optimize
from sgpaint.search.polish import refine
from sgpaint.agent.paint import BUDGETS, paint
from sgpaint.lab.image import resize
from sgpaint.lab.machine import describe
from sgpaint.lab.measure import ssim
from sgpaint.lab.show import to_pil
from sgpaint.stroke.blend import blank
from sgpaint.stroke.blend import paint as strokes_on
from sgpaint.stroke.native import eager
from sgpaint.stroke.painting import Painting

HERE, STEPS, RATES = Path(__file__).parent, 400, (0.02, 0.05, 0.1)
PICTURES = ("astronaut", "coffee", "chelsea", "rocket", "hubble_deep_field", "retina", "immunohistochemistry")
LADDER = (10, 20, 30, 50, 80, 120, 200, 400, 800, 1600)  # steps at which `optimize` is looked at


def photograph(name: str, side: int = 128) -> Tensor:  # (3, H, W)
    "One of the photographs that come with scikit-image."
    return resize(torch.from_numpy(getattr(data, name)()).permute(2, 0, 1).float() / 255, side, enlarge=False)


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
        ladder[steps] = timed(lambda: optimize(image, n, seed=seed, steps=steps, progress_bar=False), image)  # noqa: B023
    setting, best = max(plains.items(), key=lambda item: item[1]["psnr_db"])
    as_good = min((s for s in ladder.values() if s["psnr_db"] >= best["psnr_db"]), key=lambda s: s["cpu_s"])
    as_long = max((s for s in ladder.values() if s["cpu_s"] <= best["cpu_s"]), key=lambda s: s["psnr_db"])
    return {"picture": name, "strokes": n, "seed": seed, "plain at its best": setting, "plain": plains,
            "optimize": ladder, "share of plain's CPU time at its PSNR": round(as_good["cpu_s"] / best["cpu_s"], 3),
            "dB more at plain's CPU time or less": round(as_long["psnr_db"] - best["psnr_db"], 2)}


def plain_greedy(image: Tensor, n: int, rate: float, seed: int, bundle: int = 5, steps: int = 80) -> Tensor:
    "Bundles found one after the other: each from a random start, through a sigmoid, by Adam; then never touched."
    canvas, generator = blank(1, (image.shape[1], image.shape[2])), torch.Generator().manual_seed(seed)
    for _ in range(n // bundle):
        start = 0.01 + 0.98 * torch.rand(1, bundle, 13, generator=generator)
        start[..., 6:8] *= 0.3
        free = torch.logit(start).requires_grad_()
        adam = torch.optim.Adam([free], lr=rate)
        for _ in range(steps):
            adam.zero_grad()
            F.mse_loss(strokes_on(canvas, free.sigmoid())[0], image).backward()
            adam.step()
        with torch.no_grad(): canvas = strokes_on(canvas, free.sigmoid())
    return canvas[0]


@contextmanager
def threads(count: int):
    "Within this block torch may use so many threads."
    torch.set_num_threads(count)
    try: yield
    finally: torch.set_num_threads(1)


def budgets(name: str, n: int) -> dict:
    "What `paint` costs and brings with one thread and with two, and without a compiler."
    image = photograph(name)
    def each(**how): return {b: timed(lambda: paint(image, n, b, progress_bar=False, **how), image) for b in BUDGETS}  # noqa: B023
    found = {"one thread": each()}
    with threads(2): found["two threads"] = each()
    with eager(): found["no compiler"] = timed(lambda: paint(image, n, "fast", progress_bar=False), image)
    for budget in ("good", "best"):
        found[f"features, {budget}"] = timed(
            lambda: paint(image, n, budget, loss="features", progress_bar=False), image)  # noqa: B023
    return {"picture": name, "strokes": n, **found}


def losses(name: str, n: int, seeds: tuple[int, ...] = (0, 1)) -> dict:
    "The same strokes and steps by each loss, and by squares in as many seconds; each is judged twice."
    image = photograph(name)
    ways = {"l2": {}, "l1": {"loss": "l1"}, "features": {"loss": "features"}, "l2, 600 steps": {"steps": 600}}
    found: dict[str, dict] = {}
    for way, how in ways.items():
        rows = []
        for seed in seeds:
            began = time.process_time()
            painting = optimize(image, n, seed=seed, progress_bar=False, **how)
            canvas = painting.render((image.shape[1], image.shape[2]))
            rows.append((time.process_time() - began, decibels(canvas, image), ssim(canvas[None], image[None]).item()))
        spent, db, alike = map(mean, zip(*rows, strict=True))
        found[way] = {"cpu_s": round(spent, 2), "psnr_db": round(db, 2), "ssim": round(alike, 4)}
    return {"picture": name, "strokes": n, "seeds": len(seeds), **found}


def greedy_the_plain_way(name: str) -> list[dict]:
    "Plain greedy bundles at the better of two rates, and `optimize`'s, of 100 and 200 strokes."
    image, found = photograph(name), []
    for n in (100, 200):
        plains = {f"rate {rate}": timed(lambda: plain_greedy(image, n, rate, 0), image) for rate in (0.05, 0.1)}  # noqa: B023
        found.append({"picture": name, "strokes": n, **plains, "best": max(p["psnr_db"] for p in plains.values()),
                      "optimize, bundles of 5": timed(
                          lambda: optimize(image, n, bundle=5, steps=60, progress_bar=False), image)})  # noqa: B023
    return found


FRESH = """
import json, sys, time
began = time.perf_counter()
from sgpaint import paint
imported = time.perf_counter()
painting = paint(sys.argv[1], 200, "fast", progress_bar=False)
with open("/proc/self/status") as status: lines = status.read().splitlines()
peak = int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024  # of this process alone
print(json.dumps({"import_s": round(imported - began, 2), "paint_s": round(time.perf_counter() - imported, 2),
                  "cpu_s": round(time.process_time(), 2), "peak_mib": round(peak)}))
"""


def fresh(picture: Path, **environment: str) -> dict:
    "What one call costs in a process of its own, from the start of Python; the CPU time of a compiler is not in it."
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"} | environment
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", FRESH, str(picture)], env=environment, capture_output=True, text=True,
                          check=True)
    return {"wall_s": round(time.perf_counter() - began, 2), **json.loads(done.stdout)}


def first_calls() -> dict:
    "The first call in a fresh process: nothing compiled yet, compiled before, no compiler; and of 24 megapixels."
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.jpg", Path(folder) / "large.jpg"
        picture = to_pil(photograph("astronaut"))
        picture.save(small)
        picture.resize((6000, 4000)).save(large)
        cache = {"XDG_CACHE_HOME": str(Path(folder) / "cache")}  # empty before the first of these calls
        return {"nothing compiled yet": fresh(small, **cache), "compiled before": fresh(small, **cache),
                "no compiler": fresh(small, SGPAINT_EAGER="1"), "24 megapixels": fresh(large, **cache)}


def greedy_and_refined(name: str, n: int) -> dict:
    "Greedy bundles; and a painting that was shaken, after forty steps of refining."
    image = photograph(name)
    whole = optimize(image, n, progress_bar=False)
    shaken = whole.strokes + 0.03 * torch.randn(whole.strokes.shape, generator=torch.Generator().manual_seed(0))
    rough = Painting(shaken.clamp(0, 1), whole.size)
    return {"picture": name, "strokes": n,
            "greedy, bundles of 5": timed(lambda: optimize(image, n, bundle=5, steps=60, progress_bar=False), image),
            "shaken": {"psnr_db": round(decibels(rough.render(), image), 2)},
            "shaken, 40 steps of refine": timed(lambda: refine(rough, image), image)}


def large(n: int = 500, side: int = 2048) -> dict:
    "A large render of a painting."
    painting, found = optimize(photograph("astronaut"), n, steps=60, progress_bar=False), {}
    for count in (1, 2):
        with threads(count):
            began = time.process_time(), time.perf_counter()
            painting.render((side, side))
            found["one thread" if count == 1 else "two threads"] = {
                "cpu_s": round(time.process_time() - began[0], 3), "wall_s": round(time.perf_counter() - began[1], 3)}
    return {"strokes": n, "pixels": side, **found}


ROWS: dict[str, Callable[[argparse.Namespace], list | dict]] = {
    "plain": lambda asked: [against_plain(name, asked.strokes, asked.seed) for name in asked.pictures],
    "budgets": lambda asked: [budgets(name, asked.strokes) for name in asked.pictures],
    "greedy": lambda asked: [greedy_and_refined(name, asked.strokes) for name in asked.pictures],
    "plain greedy": lambda asked: [row for name in asked.pictures for row in greedy_the_plain_way(name)],
    "losses": lambda asked: [losses(name, asked.strokes) for name in PICTURES],
    "first calls": lambda asked: first_calls(),
    "large": lambda asked: large(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strokes", type=int, default=200)
    parser.add_argument("--pictures", nargs="+", default=["astronaut", "coffee"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--output", type=Path, default=HERE / "optimize.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    optimize(photograph("astronaut", 32), 5, steps=5, progress_bar=False)  # the kernel is built, libraries are warm
    found = {**(json.loads(asked.output.read_text()) if asked.output.exists() else {}), "machine": describe()}
    for row in asked.rows:
        found[row] = ROWS[row](asked)
        print(row, json.dumps(found[row], indent=1), flush=True)
        asked.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__": main()
