"""Paintings to play, and what Python draws of them."""
import numpy as np
import torch
from playwright.sync_api import Locator

from rig import decoded
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.primitive import random_strokes

BOUND = 2 / 255  # what browser and Python may differ by


def soft_masks(count: int, size: tuple[int, int]) -> torch.Tensor:
    "Overlapping soft discs: no symmetry to hide behind."
    y, x = (torch.linspace(0, 1, n) for n in size)
    def far(k): return ((x - 0.3 - 0.2 * k) ** 2 + (y[:, None] - 0.4 - 0.1 * k) ** 2).sqrt()
    return torch.stack([1 - 9 * (far(k) - 0.2) for k in range(count)]).clamp(0, 1)


def a_painting(n=40, primitive="bezier", size=(48, 64), blend_mode="plain", seed=0, **more) -> Painting:
    "Random strokes; with masks, strokes of both layers and of each instance."
    if blend_mode != "plain":
        numbers = torch.arange(n)
        more |= {"masks": soft_masks(3, (40, 52)), "layer": numbers % 2, "instance": numbers // 2 % 4 - 1}
    strokes = random_strokes(n, primitive, generator=torch.Generator().manual_seed(seed))[0]
    return Painting(strokes, size, primitive, blend_mode=blend_mode, **more)


def three_circles(**more) -> Painting:
    "A red, a green and a blue disc, the blue one in the middle and last."
    rows = [[0.3, 0.5, 0.5, 1, 1, 0, 0], [0.7, 0.5, 0.5, 1, 0, 1, 0], [0.5, 0.5, 0.5, 1, 0, 0, 1]]
    return Painting(torch.tensor(rows), (32, 32), "circle", **more)


def on_canvas(canvas: Locator) -> tuple[int, np.ndarray]:  # strokes, (H, W, 4) uint8
    "What a player's canvas holds, and how many strokes it says that is."
    strokes, url = canvas.evaluate("c => [+c.dataset.strokes, c.toDataURL()]")
    return strokes, decoded(url)


def apart(found: np.ndarray, wanted: torch.Tensor) -> float:  # (H, W, 4) uint8, (3, H, W)
    "The largest difference of a channel of a pixel."
    assert (found[..., 3] == 255).all(), "a canvas with holes"
    return float(np.abs(found[..., :3] / 255 - wanted.permute(1, 2, 0).numpy()).max())


def agrees(canvas: Locator, painting: Painting, n: int) -> None:
    "The canvas comes to hold `n` strokes, and every pixel is Python's."
    canvas.page.wait_for_function("([c, n]) => +c.dataset.strokes === n", arg=[canvas.element_handle(), n])
    strokes, found = on_canvas(canvas)
    worst = apart(found, painting.render(found.shape[:2], n))
    assert strokes == n and worst <= BOUND, f"{painting!r}: {strokes} strokes at {found.shape[:2]}: {worst:.4f}"
