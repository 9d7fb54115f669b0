"""Exact renderer against a network of Huang's layers: ratios in one process, one thread, alternating, median of rounds.

OMP_NUM_THREADS=1 python benchmarks/renderer.py
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from sgpaint.lab.machine import describe
from sgpaint.stroke import native
from sgpaint.stroke.blend import blank, paint
from sgpaint.stroke.exact import alpha, eager
from sgpaint.stroke.primitive import PRIMITIVES, random_strokes


class Huang(nn.Module):
    """Four linear layers, then three times (convolution, ReLU, convolution, pixel shuffle)."""

    def __init__(self):
        super().__init__()
        sizes = (10, 512, 1024, 2048, 4096)
        self.flat = nn.Sequential(
            *(m for a, b in zip(sizes, sizes[1:], strict=False) for m in (nn.Linear(a, b), nn.ReLU()))
        )
        self.grow = nn.Sequential(
            *(
                m
                for a, b, c in ((16, 32, 32), (8, 16, 16), (4, 8, 4))
                for m in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.Conv2d(b, c, 3, padding=1), nn.PixelShuffle(2))
            )
        )

    def forward(self, strokes):
        return self.grow(self.flat(strokes).view(-1, 16, 16, 16)).sigmoid()[:, 0]


def both(draw, strokes, weight):
    """One forward and backward pass of strokes."""
    strokes.grad = None
    draw(strokes).backward(weight)


def rounds(jobs, times):
    """Median CPU milliseconds of each job, run in turn."""
    spent = {name: [] for name in jobs}
    for _ in range(times):
        for name, job in jobs.items():
            start = time.thread_time()
            job()
            spent[name].append(1e3 * (time.thread_time() - start))
    return {name: statistics.median(v[len(v) // 5 :]) for name, v in spent.items()}


def against_huang(n, size=128, times=40):
    """Forward + backward of alpha for n strokes: network, compiled, eager."""
    net, frozen = Huang(), Huang().requires_grad_(False)  # the public code leaves its frozen renderer's gradients on
    geometry, weight = torch.rand(n, 10).requires_grad_(), torch.rand(n, size, size)
    strokes = random_strokes(n).requires_grad_()

    def plain():
        with eager():
            both(lambda s: alpha(s, (size, size))[0], strokes, weight)

    jobs = {
        "network": lambda: both(net, geometry, weight),
        "network without its own gradients": lambda: both(frozen, geometry, weight),
        "compiled": lambda: both(lambda s: alpha(s, (size, size))[0], strokes, weight),
        "eager": plain,
    }
    got = rounds(jobs, times)
    print(
        f"{n} strokes, {size} px, forward+backward: "
        + ", ".join(f"{k} {v:.2f} ms" for k, v in got.items())
        + f"; ratio compiled {got['network'] / got['compiled']:.0f}, eager {got['network'] / got['eager']:.1f}",
        flush=True,
    )


def painting(batch, n, size, primitive="bezier", times=20):
    """Forward + backward of canvas.paint."""
    strokes, canvas, weight = (
        random_strokes(n, primitive, batch).requires_grad_(),
        blank(batch, (size, size)),
        torch.rand(batch, 3, size, size),
    )

    def train():
        both(lambda s: paint(canvas, s, primitive), strokes, weight)

    def show():
        with torch.no_grad():
            paint(canvas, strokes, primitive)

    got = rounds({"forward": show, "forward+backward": train}, times)
    print(
        f"paint {primitive} B={batch} N={n} {size} px: " + ", ".join(f"{k} {v:.2f} ms" for k, v in got.items()),
        flush=True
    )


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(describe())
    if native.library() is not None:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            native.build(Path(folder))
            print(f"cold compile {time.perf_counter() - start:.1f} s")
    for n in (5, 60):
        against_huang(n)
    for shape in ((32, 5, 64), (16, 5, 128), (1, 200, 128), (1, 500, 128)):
        painting(*shape)
    for primitive in PRIMITIVES:
        painting(32, 5, 64, primitive)
    for thin in (1.0, 0.2):
        strokes, canvas = random_strokes(500), blank(1, (2048, 2048))
        strokes[..., 6:8] *= thin
        seconds = rounds({"t": lambda c=canvas, s=strokes: paint(c, s)}, 2)["t"] / 1e3
        print(f"2048x2048, 500 strokes, radii x {thin}: {seconds:.2f} s")


if __name__ == "__main__":
    main()
