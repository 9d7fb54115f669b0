"""Paint without learning and without a gradient of strokes, in Hertzmann's manner: what any better way has to beat."""
import math

import torch
from torch import Tensor

from sgpaint.search.propose import gaussian_blur
from sgpaint.stroke.blend import paint
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.primitive import RADIUS_MIN, RADIUS_SPAN

SHARES = 0.15, 0.3, 0.55  # of the strokes: coarse, middle, fine; each layer's brush has half the radius of the last
LONGEST = 6  # steps of one radius that a stroke may go on for


def walked(seen: Tensor, along: Tensor, canvas: Tensor, y: int, x: int, radius: float) -> list[tuple[float, float]]:
    "Points (x, y) from a pixel on, each a radius further along the grain, while its colour is better than the canvas."
    (h, w), colour, before = seen.shape[1:], seen[:, y, x], None
    points = [(x + 0.5, y + 0.5)]
    for i in range(LONGEST):
        dx, dy = along[:, y, x].tolist()
        if math.hypot(dx, dy) < 1e-6: break  # nothing to follow
        if before and before[0] * dx + before[1] * dy < 0: dx, dy = -dx, -dy  # the gentler of the two turns
        before = dx, dy
        at_x, at_y = points[-1][0] + radius * dx, points[-1][1] + radius * dy
        if not (0 <= at_x < w and 0 <= at_y < h): break
        y, x = int(at_y), int(at_x)
        if i and (seen[:, y, x] - canvas[:, y, x]).norm() < (seen[:, y, x] - colour).norm(): break
        points.append((at_x, at_y))
    return points


def curve(points: list[tuple[float, float]], colour: Tensor, radius: float, size: tuple[int, int]) -> Tensor:  # (13,)
    "One opaque Bezier stroke from the first point to the last, through the middle one."
    scale = torch.tensor([size[1], size[0]])
    first, middle, last = (torch.tensor(points[i]) / scale for i in (0, len(points) // 2, -1))
    control = (2 * middle - (first + last) / 2 if len(points) > 2 else (first + last) / 2).clamp(-1, 2)
    wide = min(max((radius / min(size) - RADIUS_MIN) / RADIUS_SPAN, 0.0), 1.0)
    return torch.cat((first, control, last, torch.tensor([wide, wide, 1.0, 1.0]), colour))


def layer(image: Tensor, canvas: Tensor, count: int, cell: float, generator: torch.Generator) -> Tensor:  # (n, 13)
    "Strokes for the cells of a grid in which the canvas is most wrong, from the worst pixel of each, in random order."
    (h, w), radius = image.shape[1:], 0.7 * cell
    seen = gaussian_blur(image, 0.5 * radius)
    grey = gaussian_blur((seen * torch.tensor([0.3, 0.59, 0.11]).view(3, 1, 1)).sum(0, keepdim=True), 1.0)[0]
    down, right = torch.gradient(grey)
    along = torch.stack((-down, right)) / torch.hypot(down, right).clamp_min(1e-6)
    wrong, rows, columns = (seen - canvas).square().sum(0), max(1, round(h / cell)), max(1, round(w / cell))
    found, top = [], 0
    for band in wrong.tensor_split(rows, 0):
        left = 0
        for part in band.tensor_split(columns, 1):
            y, x = divmod(int(part.argmax()), part.shape[1])
            found.append((part.mean().item(), top + y, left + x))
            left += part.shape[1]
        top += band.shape[0]
    worst = [found[i] for i in torch.tensor([f[0] for f in found]).argsort(descending=True, stable=True)[:count]]
    order = torch.randperm(len(worst), generator=generator).tolist()
    places = [worst[i][1:] for i in order]
    return torch.stack([curve(walked(seen, along, canvas, y, x, radius), seen[:, y, x], radius, (h, w))
                        for y, x in places])


def painterly(
    image: Tensor,  # (3, H, W) in [0, 1]
    strokes: int = 200,
    seed: int = 0,
) -> Painting:  # in the picture's size, on a ground of its mean colour
    "Coarse to fine: a blurred reference, a grid, curved strokes across the gradient, until so many are spent."
    generator, size, ground = torch.Generator().manual_seed(seed), (image.shape[1], image.shape[2]), image.mean((1, 2))
    canvas, done = ground[:, None, None].expand_as(image), torch.zeros(0, 13)
    cell = math.sqrt(size[0] * size[1] / max(1, round(SHARES[0] * strokes)))
    for k, spent in enumerate((SHARES[0], SHARES[0] + SHARES[1], 1.0)):
        while (left := max(k == 0, round(spent * strokes)) - len(done)) > 0:  # again where the grid has fewer cells
            more = layer(image, canvas, left, cell / 2**k, generator)
            canvas, done = paint(canvas[None], more[None])[0], torch.cat((done, more))
    return Painting(done, size, "bezier", tuple(ground.tolist()), title=f"painterly, {strokes} strokes")
