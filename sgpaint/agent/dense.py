"""Dense proposals: an actor that proposes a stroke at every place of several grids and chooses among them by their exact gain.

What is learned: a convolutional network proposes a stroke, and the gain it expects, at every place of five grids; a second
network corrects each promising stroke by what it sees along it. What is searched: the most promising proposals are rendered,
each alone on the canvas, and the bundle is chosen one stroke after another by exact gain (one-step look-ahead; the transition
of this decision process is known). Gradient steps on the candidates (`Search.steps`) and on the whole painting
(`optimize_jointly`) are search too, and off unless they are wanted. `DenseActor.untrained` is the control: the same search
on proposals that learned nothing.

>>> import torch
>>> from sgpaint.agent.environment import PaintingEnv, rollout
>>> env = PaintingEnv(strokes=10)
>>> actor = DenseActor(env.bundle)
>>> action = actor(env.observe(env.reset(torch.rand(2, 3, 32, 32))))
>>> tuple(action.shape) == (2, env.action_size)
True
"""
import copy
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..stroke.blend import limit_opacity, paint
from ..stroke.composite import blank, stroke_masks
from ..stroke.gains import WeightedCanvas, differentiable_gains, stroke_gains
from ..stroke.primitive import RADIUS_MIN, RADIUS_SPAN
from ..stroke.renderer import Renderer
from .algorithms import ALGORITHMS, Algorithm, Learning, Networks
from .discriminators import DISCRIMINATORS
from .environment import PaintingEnv, State, Transition, channel
from .joint import optimize_jointly
from .rewards import is_squared

# ---- the search


@dataclass(frozen=True)
class Search:
    """What is done with the proposals of one observation.

    Attributes
    ----------
    measured
        Proposals of largest expected gain that are rendered for their exact gain.
    kept
        The best of them, which go on.
    refine
        Passes of the second network over each (learned).
    steps
        Adam steps on the gain of each (searched); 0: the choice is all that is searched.
    choice
        How the bundle is chosen. "sequential": by exact gain, measured anew after each stroke. "apart": by exact gain,
        measured once, strokes that hardly overlap. "expected": by the gain that the network expects, strokes that hardly
        overlap; then nothing is searched.
    ahead
        More than 1, with the sequential choice: so many bundles, which begin with different strokes, are followed by their
        best next bundle, and the one is painted that ends with the smallest error (two-step look-ahead).
    bundle_steps
        Adam steps on the strokes of the chosen bundle together (searched).
    """

    measured: int = 96
    kept: int = 32
    refine: int = 3
    steps: int = 0
    choice: Literal["sequential", "apart", "expected"] = "sequential"
    ahead: int = 1
    bundle_steps: int = 0


GEOMETRY = 10  # numbers of a stroke before its colour: three points, two radii, two opacities
_LOW = torch.tensor([0.0, 0, -1, -1, 0, 0, 0, 0, 0, 0])
_HIGH = torch.tensor([1.0, 1, 2, 2, 1, 1, 1, 1, 1, 1])


def _pick(values: Tensor, index: Tensor) -> Tensor:
    "Some of each picture's rows: (B, K, ...), (B, M) to (B, M, ...)."
    return values.gather(1, index.view(*index.shape, *[1] * (values.ndim - 2)).expand(*index.shape, *values.shape[2:]))


def _coloured(strokes: Tensor, colour: Tensor) -> Tensor:
    "The strokes in other colours."
    return torch.cat([strokes[..., :-3], colour], -1)


@torch.no_grad()
def choose_bundle(state: WeightedCanvas, strokes: Tensor, gain: Tensor, bundle: int, kept: int = 32) -> tuple[Tensor, WeightedCanvas]:
    """Choose a bundle by exact gain, one stroke after another.

    Parameters
    ----------
    state
        Before the bundle.
    strokes
        Candidates (B, K, 13) with their colours.
    gain
        (B, K), of each on `state`.
    bundle
        Strokes to choose.
    kept
        The best candidates, which are measured anew after each choice.

    Returns
    -------
    strokes : Tensor
        (B, bundle, 13), in the order of painting.
    after : WeightedCanvas
        After them.
    """
    best = gain.topk(min(kept, gain.shape[1]), 1).indices
    strokes, gain, chosen = _pick(strokes, best), _pick(gain, best), []
    for i in range(bundle):
        if i > 0:
            gain, colour, _ = stroke_gains(state, strokes)
            strokes = _coloured(strokes, colour)
        one = _pick(strokes, gain.argmax(1, keepdim=True))
        chosen.append(one)
        state = state.after(one)
    return torch.cat(chosen, 1), state


@torch.no_grad()
def choose_apart(state: WeightedCanvas, strokes: Tensor, value: Tensor, bundle: int, overlap: float = 0.1) -> Tensor:
    """Choose the strokes of largest value that hardly overlap.

    Parameters
    ----------
    state
        Before the bundle.
    strokes
        Candidates (B, K, 13).
    value
        (B, K), how good each is.
    bundle
        Strokes to choose.
    overlap
        The largest share of a stroke's paint that may lie on a chosen one; where no other is left, the next best is taken.

    Returns
    -------
    Tensor
        (B, bundle, 13).
    """
    alpha = state.alpha(strokes).flatten(2)
    area = alpha.sum(-1).clamp_min(1e-6)
    shared = alpha @ alpha.mT / torch.minimum(area[:, :, None], area[:, None])
    free, chosen, rank = torch.ones_like(value, dtype=torch.bool), [], value.argsort(1).argsort(1).to(value)
    for _ in range(bundle):
        best = (rank + free * value.shape[1]).argmax(1, keepdim=True)
        rank = rank.scatter(1, best, -2.0 * value.shape[1])
        free = free & (_pick(shared, best)[:, 0] <= overlap)
        chosen.append(_pick(strokes, best))
    return torch.cat(chosen, 1)


@torch.no_grad()
def optimize_each(state: WeightedCanvas, strokes: Tensor, cell: Tensor, steps: int, rate: float = 0.12) -> tuple[Tensor, Tensor]:
    """Adam steps on the gain of each stroke alone; the best of each on the way.

    Parameters
    ----------
    state
        What they are painted on.
    strokes
        (B, M, 13).
    cell
        (B, M), the side of each one's cell in pixels: steps are shares of it.
    steps
        How many.
    rate
        The first step, in cells; it falls to 0.

    Returns
    -------
    strokes : Tensor
        (B, M, 13).
    gain : Tensor
        (B, M).
    """
    low, high = _LOW.to(strokes), _HIGH.to(strokes)
    reach = (cell / min(state.canvas.shape[-2:]))[..., None]
    pace = torch.cat([reach.expand(*cell.shape, 6), (reach / RADIUS_SPAN * 0.3).expand(*cell.shape, 2),
                      torch.ones_like(reach).expand(*cell.shape, 2)], -1)
    best, top = strokes, torch.full_like(cell, -torch.inf)
    first, second = torch.zeros_like(pace), torch.zeros_like(reach)
    for i in range(steps + 1):
        gain, colour, grad = stroke_gains(state, strokes, gradient=i < steps)
        strokes = _coloured(strokes, colour)
        better = gain > top
        best, top = torch.where(better[..., None], strokes, best), torch.where(better, gain, top)
        if i == steps: break
        grad = grad[..., :GEOMETRY] * pace
        first, second = 0.8 * first + 0.2 * grad, 0.9 * second + 0.1 * grad.square().mean(-1, True)
        step = (first / (1 - 0.8 ** (i + 1))) / (second / (1 - 0.9 ** (i + 1)) + 1e-12).sqrt()
        moved = strokes[..., :GEOMETRY] + rate * (1 - i / steps) * step * pace
        strokes = _coloured(torch.cat([torch.minimum(torch.maximum(moved, low), high), colour], -1), colour)
    return best, top


@torch.no_grad()
def solve_colours(start: WeightedCanvas, strokes: Tensor, stay: float = 0.05) -> Tensor:
    """All colours of a painting by least squares: the canvas is linear in them.

    Parameters
    ----------
    start
        The empty canvas and its target.
    strokes
        (B, N, 13), the whole painting.
    stay
        Pixels; holds a colour that hardly shows where it is.

    Returns
    -------
    Tensor
        (B, N, 13). A picture keeps its colours where others are no better once they are clamped to [0, 1].
    """
    alpha = start.alpha(strokes).flatten(2)
    through = torch.cat([(1 - alpha).flip(1).cumprod(1).flip(1), torch.ones_like(alpha[:, :1])], 1)  # what later strokes let through
    seen, ground = alpha * through[:, 1:], through[:, :1] * start.canvas.flatten(2)
    heavy, old = seen * start.weight.flatten(2), strokes[..., -3:]
    ridge = stay * torch.eye(strokes.shape[1], device=strokes.device)
    colour = torch.linalg.solve(heavy @ seen.mT + ridge, heavy @ (start.target.flatten(2) - ground).mT + stay * old)
    new = _coloured(strokes, colour.clamp(0, 1))
    better = start.after(new).error() < start.after(strokes).error()
    return torch.where(better[:, None, None], new, strokes)


# ---- the networks


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    "A convolution whose output has the input's size divided by the stride."
    return nn.Conv2d(inputs, outputs, kernel, stride, (kernel - stride) // 2 if stride > 1 else kernel // 2)


class _Block(nn.Module):
    "A residual block whose correction begins at zero."
    def __init__(self, width: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.conv1, self.conv2 = _convolution(width, width), _convolution(width, width)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))


class _Head(nn.Module):
    "The numbers of the proposals at every place of one grid, and the logarithms of the gains they expect."
    def __init__(self, width: int, turns: int):
        super().__init__()
        self.turns, self.norm, self.mix = turns, nn.GroupNorm(8, width), nn.Conv2d(width, 2 * width, 1)
        self.out = nn.Conv2d(2 * width, turns * (GEOMETRY + 1), 1)
        nn.init.normal_(self.out.weight, std=0.3 / math.sqrt(2 * width))
        if self.out.bias is not None: nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:  # (B, width, h, w) to (B, h w turns, 11)
        y = self.out(F.relu(self.mix(F.relu(self.norm(x)))))
        return y.unflatten(1, (self.turns, GEOMETRY + 1)).permute(0, 3, 4, 1, 2).flatten(1, 3)


_ALONG, _ACROSS = 7, 9  # points of a stroke's own frame at which the second network looks


class Refiner(nn.Module):
    """The second network: looks at the canvas in a stroke's own frame, and corrects the stroke.

    At 7 by 9 points it gets what an opaque stroke of this colour would gain there, |t - c|² - |t - k|², and what the
    first touch of it would, (t - c)(k - c), both relative to their size: alike for all colours, places, angles and sizes.

    Parameters
    ----------
    hidden
        Width of the hidden layers.
    """

    def __init__(self, hidden: int):
        super().__init__()
        last = nn.Linear(hidden, GEOMETRY)
        self.layers = nn.Sequential(nn.Linear(2 * _ALONG * _ACROSS + 6, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last)
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.bias)

    def forward(self, state: WeightedCanvas, strokes: Tensor) -> Tensor:
        "Strokes (B, M, 13) with their colours to corrected ones."
        h, w = state.canvas.shape[-2:]
        size = strokes.new_tensor([w, h])
        points = strokes[..., :6].unflatten(-1, (3, 2)) * size
        p0, p1, p2 = points.unbind(-2)
        radius = (RADIUS_MIN + RADIUS_SPAN * strokes[..., 6:8]) * min(h, w)
        unit = radius.mean(-1, keepdim=True) + 1
        ink = self._look(state, strokes[..., -3:], p0, p1, p2, radius)
        own = [(p2 - p0).norm(dim=-1, keepdim=True) / unit / 4, (p1 - (p0 + p2) / 2) / unit / 4, unit.log() / 2, strokes[..., 8:10]]
        raw = 2 * torch.tanh(self.layers(torch.cat([*ink, *own], -1)).float() / 2)
        along = _direction(p2 - p0)
        shift = raw[..., 0:6:2, None] * along[..., None, :] + raw[..., 1:6:2, None] * _turned(along)[..., None, :]
        moved = ((points + unit[..., None] * shift) / size).flatten(-2)
        moved = torch.minimum(torch.maximum(moved, _LOW[:6].to(moved)), _HIGH[:6].to(moved))
        radius = ((radius * torch.exp(0.4 * raw[..., 6:8]) / min(h, w) - RADIUS_MIN) / RADIUS_SPAN).clamp(0, 1)
        opacity = torch.sigmoid(torch.logit(strokes[..., 8:10].clamp(0.02, 0.98)) + raw[..., 8:10])
        return torch.cat([moved, radius, opacity, strokes[..., -3:]], -1)

    def _look(self, state: WeightedCanvas, colour: Tensor, p0: Tensor, p1: Tensor, p2: Tensor, radius: Tensor) -> list[Tensor]:
        "The two numbers (B, M, 63) at the points of each stroke's frame."
        t = torch.linspace(-0.2, 1.2, _ALONG, device=p0.device)[:, None]
        q0, q1, q2 = p0[..., None, :], p1[..., None, :], p2[..., None, :]
        middle = q0 + t * (2 * (q1 - q0) + t * (q0 - 2 * q1 + q2))
        ways = _direction(2 * (q1 - q0) + 2 * t.clamp(0, 1) * (q0 - 2 * q1 + q2))
        reach = radius[..., :1] + t[:, 0].clamp(0, 1) * (radius[..., 1:] - radius[..., :1]) + 1
        side = torch.linspace(-2, 2, _ACROSS, device=p0.device)
        points = middle[..., None, :] + side[:, None] * reach[..., None, None] * _turned(ways)[..., None, :]
        h, w = state.canvas.shape[-2:]
        grid = (points / points.new_tensor([w, h]) * 2 - 1).flatten(2, 3)
        paper = [state.mask] if state.mask is not None and state.blend_mode == "paper" else []
        weight = state.weight if paper else state.seen_weight
        planes = F.grid_sample(torch.cat([state.target, state.canvas, weight, *paper], 1), grid, align_corners=False)
        target, canvas, weight, shown = planes[:, :3], planes[:, 3:6], planes[:, 6:7], planes[:, 7:]  # (B, 3 or 1, M, points)
        colour = colour.permute(0, 2, 1)[..., None]
        ink = (colour * shown if paper else colour) - canvas
        touch = ((target - canvas) * ink * weight).sum(1)
        whole = 2 * touch - (ink.square() * weight).sum(1)
        return [x / (x.square().mean(-1, keepdim=True).sqrt() + 1e-4) for x in (touch, whole)]


def _direction(v: Tensor) -> Tensor:
    "Unit vectors; along x where there is no length."
    long = v.norm(dim=-1, keepdim=True)
    return torch.where(long > 0.05, v / long.clamp_min(0.05), v.new_tensor([1.0, 0.0]))


def _turned(v: Tensor) -> Tensor:
    "Vectors turned by a right angle."
    return torch.stack([-v[..., 1], v[..., 0]], -1)


def _seen(size: tuple[int, int]) -> tuple[int, int]:
    "What the network sees of a canvas of this size: multiples of 16, 32 pixels or more."
    return max(32, math.ceil(size[0] / 16) * 16), max(32, math.ceil(size[1] / 16) * 16)


@functools.lru_cache(8)
def _places(size: tuple[int, int], turns: tuple[int, ...], device: torch.device) -> Tensor:
    "x and y of the place, side of the cell (pixels) and first angle of every proposal, (K, 4)."
    rows = []
    for level, k in enumerate(turns):
        cell = 4 * 2**level
        h, w = (side // cell for side in _seen(size))
        y, x, i = torch.meshgrid(torch.arange(h), torch.arange(w), torch.arange(k), indexing="ij")
        rows.append(torch.stack([(x + 0.5) * cell, (y + 0.5) * cell, torch.full_like(x, cell), math.pi * i / k], -1).flatten(0, 2))
    return torch.cat(rows).float().to(device)


def _decode(raw: Tensor, at: Tensor, size: tuple[int, int]) -> Tensor:
    "Strokes (B, K, 13), still black, of raw numbers (B, K, 10); each is bounded by the reach of its cell, (K, 4)."
    x, y, cell, angle = at.unbind(-1)
    (h, w) = size
    shift = torch.tanh(raw[..., 0:2] / 2) * 1.5
    half = torch.tanh(raw[..., 2:4] / 2) * 2 + 0.5 * torch.stack([angle.cos(), angle.sin()], -1)
    bend = torch.tanh(raw[..., 4:6] / 2) * 2
    cx, cy = x + shift[..., 0] * cell, y + shift[..., 1] * cell
    hx, hy = half[..., 0] * cell, half[..., 1] * cell
    bx, by = cx + bend[..., 0] * cell, cy + bend[..., 1] * cell
    points = [((cx - hx) / w).clamp(0, 1), ((cy - hy) / h).clamp(0, 1), (bx / w).clamp(-1, 2), (by / h).clamp(-1, 2),
              ((cx + hx) / w).clamp(0, 1), ((cy + hy) / h).clamp(0, 1)]
    radius = 0.22 * cell[..., None] * torch.exp(1.5 * torch.tanh(raw[..., 6:8] / 2)) / min(size)
    radius = ((radius - RADIUS_MIN) / RADIUS_SPAN).clamp(0, 1)
    opacity = torch.sigmoid(2 * raw[..., 8:10] + 2)
    return torch.cat([torch.stack(points, -1), radius, opacity, torch.zeros_like(raw[..., :3])], -1)


class DenseActor(nn.Module):
    """The actor: an observation to a bundle of strokes.

    Parameters
    ----------
    bundle
        Strokes of an action.
    observes
        Maps at the end of the observation; "weight" says how much an error counts, "mask" where the object is.
    levels
        For each stroke of the bundle 0, background, or 1, foreground; empty: one level, every stroke paints everywhere.
    blend_mode
        How strokes are confined where there are two levels, "masked" or "paper".
    search
        What is done with the proposals.
    widths
        Features at strides 2, 4, 8 and 16 (and more).
    turns
        Proposals at a place, of cells of 4, 8, 16, 32 and 64 pixels; they begin at different angles.
    hidden
        Width of the second network.
    renderer
        What draws the strokes; with another one than "exact" the gains are computed by tensors, which is slow.
    opacity
        Name of the opacity preset under which its strokes are measured and painted (H-15).
    """

    any_size = True  # it sees pictures of any size and aspect

    def __init__(self, bundle: int = 5, observes: Sequence[str] = (), levels: Sequence[int] = (), blend_mode: str = "masked",
                 search: Search = Search(),  # noqa: B008 (it is frozen)
                 widths: Sequence[int] = (24, 48, 64, 96), turns: Sequence[int] = (2, 2, 2, 2, 2), hidden: int = 256,
                 renderer: str | Renderer = "exact", opacity: str = "free"):
        super().__init__()
        self.renderer = renderer
        self.bundle, self.observes, self.search, self.turns = bundle, tuple(observes), search, tuple(turns)
        self.levels, self.blend_mode, self.opacity = tuple(levels), blend_mode, opacity
        self._arguments = (bundle, self.observes, self.levels, blend_mode, search, widths, turns, hidden, renderer, opacity)
        w2, w4, w8, w16 = widths
        self.stem = nn.Sequential(_convolution(10, w2, 4, 2), nn.ReLU(), _convolution(w2, w4, 4, 2))
        self.down4, self.down8, self.down16 = (nn.Sequential(_Block(w)) for w in (w4, w8, w16))
        self.to8, self.to16 = _convolution(w4, w8, 4, 2), _convolution(w8, w16, 4, 2)
        self.to32, self.to64 = _convolution(w16, w16, 2, 2), _convolution(w16, w16, 2, 2)
        self.up16, self.up8, self.up4 = nn.Conv2d(w16, w16, 1), nn.Conv2d(w16, w8, 1), nn.Conv2d(w8, w4, 1)
        self.join8, self.join4 = _Block(w8), _Block(w4)
        self.refiner = Refiner(hidden)
        self.heads = nn.ModuleList(_Head(w, k) for w, k in zip((w4, w8, w16, w16, w16), turns, strict=True))
        for m in self.modules():
            if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1) and m.weight.any():
                nn.init.kaiming_normal_(m.weight, nonlinearity="relu")

    # ---- the same actor otherwise

    def with_search(self, **changes: Any) -> "DenseActor":
        "A copy with another search, by the fields of `Search`: `actor.with_search(steps=8)`."
        made = copy.deepcopy(self)
        made.search = replace(self.search, **changes)
        return made

    def untrained(self, seed: int = 0, spread: float = 1.0) -> "DenseActor":
        """The control: an actor with the same search whose networks learned nothing. Fresh networks propose strokes that are
        all alike; the outputs of the first one are multiplied by `spread`, and with 10 they are random shapes, which give
        the search more to choose among."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = type(self)(*self._arguments)
        with torch.no_grad():
            for head in made.heads: head.out.weight.mul_(spread)  # type: ignore[union-attr, operator]
        made.search, made.opacity = self.search, self.opacity
        return made.to(next(self.parameters()).device).train(self.training)

    # ---- what it sees

    def read(self, observation: Tensor) -> WeightedCanvas:
        "Canvas, target and weight (mean 1) of observations (B, channels, H, W), and the mask where there are two levels."
        canvas, target = observation[:, channel("canvas")], observation[:, channel("target")]
        weight = torch.ones_like(target[:, :1])
        if "weight" in self.observes:
            seen = observation[:, channel("weight", self.observes)]
            weight = seen / seen.mean((2, 3), keepdim=True).clamp_min(1e-12)
        mask = observation[:, channel("mask", self.observes)] if self.levels else None
        return WeightedCanvas(canvas, target, weight, mask, self.blend_mode, self.renderer, self.opacity)

    # ---- what it does

    def propose(self, state: WeightedCanvas) -> tuple[Tensor, Tensor]:
        """The proposals of every place of every grid.

        Parameters
        ----------
        state
            B canvases of any size. The network sees them with their borders repeated to multiples of 16 and at least
            32 pixels; the strokes are those of the canvas itself.

        Returns
        -------
        strokes : Tensor
            (B, K, 13), their colours left at 0.
        expected : Tensor
            (B, K), logarithms of the gains that the network expects.
        """
        canvas, target, weight = state.canvas, state.target, state.seen_weight
        size = (canvas.shape[-2], canvas.shape[-1])
        left = target - canvas
        mean = weight.mean((1, 2, 3), keepdim=True)
        scale = ((left.square() * weight).mean((1, 2, 3), keepdim=True) / mean.clamp_min(1e-6)).sqrt()
        planes = torch.cat([canvas - 0.5, target - 0.5, left / (2 * scale + 0.01), weight], 1)
        down, right = (seen - side for seen, side in zip(_seen(size), size, strict=True))
        if down or right: planes = F.pad(planes, (0, right, 0, down), mode="replicate")
        f4 = self.down4(self.stem(planes))
        f8 = self.down8(self.to8(F.relu(f4)))
        f16 = self.down16(self.to16(F.relu(f8)))
        coarse = [self.to32(F.relu(f16))]
        if min(coarse[0].shape[-2:]) > 1: coarse.append(self.to64(F.relu(coarse[0])))  # a small picture has no such grid
        f16 = f16 + F.interpolate(self.up16(F.relu(coarse[-1])), f16.shape[-2:])
        f8 = self.join8(f8 + F.interpolate(self.up8(F.relu(f16)), f8.shape[-2:]))
        f4 = self.join4(f4 + F.interpolate(self.up4(F.relu(f8)), f4.shape[-2:]))
        raw = torch.cat([head(f) for head, f in zip(self.heads, (f4, f8, f16, *coarse), strict=False)], 1).float()
        # a gain is of the order of the error: what is learned is its share
        known = scale.flatten(1).clamp_min(1e-4).log() * 2
        return _decode(raw[..., :GEOMETRY], self.places(state), size), 3 * raw[..., GEOMETRY] + known + 3

    def places(self, state: WeightedCanvas) -> Tensor:
        "x and y of the place, side of the cell (pixels) and first angle of every proposal, (K, 4)."
        return _places((state.canvas.shape[-2], state.canvas.shape[-1]), self.turns, state.canvas.device)

    @torch.no_grad()
    def refine(self, state: WeightedCanvas, strokes: Tensor, gain: Tensor, passes: int) -> tuple[Tensor, Tensor]:
        "Strokes (B, M, 13) after passes of the second network, and their gains (B, M); one that would gain less stays."
        for _ in range(passes):
            new = self.refiner(state, strokes)
            other, colour, _ = stroke_gains(state, new)
            better = other > gain
            strokes = torch.where(better[..., None], _coloured(new, colour), strokes)
            gain = torch.where(better, other, gain)
        return strokes, gain

    @torch.no_grad()
    def candidates(self, state: WeightedCanvas) -> tuple[Tensor, Tensor]:
        """The strokes (B, kept, 13) that are chosen among, best colours and all, and the values that they are chosen by
        (B, kept): exact gains, or where the search has no exact choice the logarithms of the expected ones."""
        search = self.search
        strokes, expected = self.propose(state)
        if search.choice == "expected":
            top = expected.topk(min(search.kept, expected.shape[1]), 1).indices
            strokes = _pick(strokes, top)
            for i in range(search.refine + 1):
                if i > 0: strokes = self.refiner(state, strokes)
                strokes = _coloured(strokes, stroke_gains(state, strokes)[1])
            return strokes, _pick(expected, top)
        top = expected.topk(min(search.measured, expected.shape[1]), 1).indices
        strokes = _pick(strokes, top)
        gain, colour, _ = stroke_gains(state, strokes)
        best = gain.topk(min(search.kept, gain.shape[1]), 1).indices
        strokes, gain = _pick(_coloured(strokes, colour), best), _pick(gain, best)
        strokes, gain = self.refine(state, strokes, gain, search.refine)
        if not search.steps: return strokes, gain
        return optimize_each(state, strokes, self.places(state)[:, 2][_pick(top, best)], search.steps)

    @torch.no_grad()
    def act(self, state: WeightedCanvas, count: int | None = None) -> tuple[Tensor, WeightedCanvas]:
        """The bundle (B, count, 13) that is chosen, and the canvases after it; None: a whole bundle. On two levels the
        background's strokes come first, each level's chosen among candidates of its own."""
        if state.mask is None: return self._choose(state, count or self.bundle)
        whole, masks = state.mask, (1 - state.mask, state.mask)
        parts: list[Tensor] = []
        for level, some in itertools.groupby(self.levels[:count]):
            part, state = self._choose(replace(state, mask=masks[level]), len(list(some)))
            parts.append(part)
        return torch.cat(parts, 1), replace(state, mask=whole)

    def _choose(self, state: WeightedCanvas, count: int) -> tuple[Tensor, WeightedCanvas]:
        "`count` strokes on one level, and the canvases after them."
        search, (strokes, value) = self.search, self.candidates(state)
        if search.choice != "sequential": chosen = choose_apart(state, strokes, value, count)
        elif search.ahead > 1: chosen = self._look_ahead(state, strokes, value, count)
        else: chosen = choose_bundle(state, strokes, value, count, search.kept)[0]
        after = state.after(chosen)
        if not search.bundle_steps: return chosen, after
        confine = None if state.mask is None else stroke_masks(state.mask, (0,) * count, state.blend_mode)
        better = optimize_jointly(state.canvas, state.target, chosen, search.bundle_steps, weight=state.weight,
                                  renderer=state.renderer, confine=confine, opacity=state.opacity)
        gained = (state.after(better).error() < after.error())[:, None, None]
        chosen = torch.where(gained, better, chosen)
        return chosen, state.after(chosen)

    def _look_ahead(self, state: WeightedCanvas, strokes: Tensor, gain: Tensor, count: int) -> Tensor:
        "The bundle (B, count, 13) that ends with the smallest error after its best next bundle, out of `ahead` ones."
        kept, first = self.search.kept, gain.topk(min(self.search.ahead, gain.shape[1]), 1).indices
        bundles: list[Tensor] = []
        errors: list[Tensor] = []
        for one in first.split(1, 1):
            forced = gain.scatter(1, one, gain.amax(1, keepdim=True) + 1)  # so that this stroke is chosen first
            bundle, after = choose_bundle(state, strokes, forced, count, kept)
            bundles.append(bundle)
            errors.append(choose_bundle(after, *self.candidates(after), self.bundle, kept)[1].error())
        best = torch.stack(errors, 1).argmin(1, keepdim=True)
        return _pick(torch.stack(bundles, 1).flatten(2), best)[:, 0].unflatten(1, (count, -1))

    def forward(self, observation: Tensor) -> Tensor:
        "Observations (B, channels, H, W) to actions (B, bundle · 13) in the encoding `absolute`; without gradient."
        return self.act(self.read(observation.float()))[0].flatten(1)

    @torch.no_grad()
    def paint(self, target: Tensor, strokes: int = 100, weight: Tensor | None = None, joint: int = 0, solve: bool = False,
              ) -> tuple[Tensor, Tensor]:
        """Paint pictures on one level, and optionally search on when they are finished.

        Parameters
        ----------
        target
            (B, 3, H, W) in [0, 1].
        strokes
            In each painting.
        weight
            (B, 1, H, W), how much an error counts; None: the same everywhere.
        joint
            Adam steps on all strokes together at the end (`optimize_jointly`).
        solve
            Whether all colours are then solved together (`solve_colours`).

        Returns
        -------
        strokes : Tensor
            (B, strokes, 13).
        canvas : Tensor
            (B, 3, H, W).
        """
        canvas = blank(len(target), (target.shape[2], target.shape[3]), "black", target.device)
        weight = torch.ones_like(target[:, :1]) if weight is None else weight
        start = state = WeightedCanvas(canvas, target, weight, renderer=self.renderer, opacity=self.opacity)
        parts: list[Tensor] = []
        while (left := strokes - sum(part.shape[1] for part in parts)) > 0:
            part, state = self.act(state, min(left, self.bundle))
            parts.append(part)
        done = torch.cat(parts, 1)
        if solve: done = solve_colours(start, done)
        if joint:
            done = optimize_jointly(canvas, target, done, joint, weight=weight, renderer=self.renderer, opacity=self.opacity)
        return done, start.after(done).canvas if solve or joint else state.canvas


# ---- the algorithm


@dataclass(frozen=True)
class DenseOptions(Search):
    """The options of the algorithm "dense": those of its search, and of its networks and its learning.

    Attributes
    ----------
    widths
        Features at strides 2, 4, 8 and 16 (and more), multiples of 8.
    turns
        Proposals at a place, of cells of 4, 8, 16, 32 and 64 pixels.
    hidden
        Width of the second network.
    best, random
        Proposals of each picture that are rendered in an update: those of largest expected gain, and others by chance.
    refined, passes
        The best of them that the second network corrects, and how often.
    expected_weight
        Weight of the loss of the expected gains.
    random_weight
        Share of the pictures of an update whose errors count up to ten times more in an ellipse drawn by chance, so that the
        policy can later be told where to look.
    imitate, imitate_steps
        Expert iteration: weight of the distance, in cells, of each of the best proposals to itself after so many Adam steps
        on its gain; 0: none.
    """

    widths: tuple[int, int, int, int] = (24, 48, 64, 96)
    turns: tuple[int, int, int, int, int] = (2, 2, 2, 2, 2)
    hidden: int = 256
    best: int = 40
    random: int = 20
    refined: int = 24
    passes: int = 3
    expected_weight: float = 0.1
    random_weight: float = 0.0
    imitate: float = 0.0
    imitate_steps: int = 3

    def check(self) -> Iterator[str]:
        "A sentence for each value that cannot be."
        least = dict.fromkeys(("hidden", "measured", "kept", "ahead", "best", "refined", "imitate_steps"), 1)
        least |= dict.fromkeys(("refine", "steps", "bundle_steps", "random", "passes", "imitate", "expected_weight"), 0)
        for name, value in least.items():
            if getattr(self, name) < value: yield f"{name}: expected {value} or more, got {getattr(self, name)}"
        if not 0 <= self.random_weight <= 1: yield f"random_weight: expected 0 to 1, got {self.random_weight}"
        if min(self.turns) < 1: yield f"turns: expected 1 or more at each place, got {self.turns}"
        if any(w < 8 or w % 8 for w in self.widths): yield f"widths: expected multiples of 8, got {self.widths}"

    @property
    def search(self) -> Search:
        "The part of the options that is search."
        return Search(**{field.name: getattr(self, field.name) for field in fields(Search)})


@ALGORITHMS.register("dense")
class DenseProposals(Algorithm):
    """Every rendered proposal follows the gradient of its own exact gain; no critic.

    The reward may be any that is a sum of squared errors of pixels, such as "l2", "foreground_l2" and "focus": the gain
    is exact for it. What is learned are the proposals, the gains they expect and the corrections; what is searched is the
    choice. Where the reward is another one, such as a discriminator's, the proposals are rendered one by one to earn it,
    and the choice is by squared error among those that the network expects to earn most.
    """

    name = "dense"
    model_based = True
    observes_weight = True
    unused = ("norm", "gamma", "polyak", "critic_lr", "bootstrap_next", "previous_canvas")
    Options = DenseOptions

    @classmethod
    def build_actor(cls, env: PaintingEnv, learning: Learning) -> nn.Module:
        "A new actor for this environment; ValueError where it cannot paint there."
        wanted = {"primitive": "bezier", "encoding": "absolute"}
        for name, value in wanted.items():
            if getattr(env, name) != value: raise ValueError(f"{name}: algorithm 'dense' expects {value!r}, got {getattr(env, name)!r}")
        two = env.blend_mode != "plain"
        if two and "mask" not in env.observes: raise ValueError("observe_mask: algorithm 'dense' expects True where there are two levels")
        options = cls.options_of(learning)
        return DenseActor(env.bundle, env.observes, env.levels if two else (), env.blend_mode if two else "masked",
                          options.search, options.widths, options.turns, options.hidden, env.renderer, env.opacity)

    @classmethod
    def build_networks(cls, env: PaintingEnv, learning: Learning, discriminators: Sequence[str] = ()) -> Networks:
        "The actor, and the discriminators that the rewards need."
        objective = DISCRIMINATORS[learning.discriminator]
        return Networks(actor=cls.build_actor(env, learning), **{name: objective.network(learning.network) for name in discriminators})

    @property
    def _actor(self) -> DenseActor:
        "The online actor, on the levels of the environment of this update."
        actor = self.networks.online["actor"]
        assert isinstance(actor, DenseActor)
        actor.levels = self.env.levels if self.env.blend_mode != "plain" else ()
        return actor

    def select_action(self, state: State) -> Tensor:
        "The online actor's action (B, action_size) in evaluation mode, without gradient."
        return self._actor(self.env.observe(state)).detach()

    def losses(self) -> dict[str, Callable[[Transition], Tensor]]:
        "The losses of the actor and of discriminators; there is no critic."
        return super().losses()

    def _rendered(self, expected: Tensor, cell: Tensor) -> Tensor:
        "Which proposals learn, (B, M): those of largest expected gain, and others by chance, alike from every grid."
        best = expected.topk(min(self.options.best, expected.shape[1]), 1).indices
        generator = torch.Generator().manual_seed(self.updates)  # so a resumed run draws the same
        noise = torch.rand(expected.shape, generator=generator).to(expected.device)
        chance = cell.log() - (-noise.clamp(1e-9, 1 - 1e-7).log()).log()  # Gumbel: the largest are a weighted draw
        chance = chance.scatter(1, best, -torch.inf)
        return torch.cat([best, chance.topk(min(self.options.random, expected.shape[1] - best.shape[1]), 1).indices], 1)

    def _one_level(self, state: WeightedCanvas) -> WeightedCanvas:
        "Where there are two levels, each picture on one of them by chance."
        if state.mask is None: return state
        generator = torch.Generator().manual_seed(self.updates)
        coin = (torch.rand(len(state.mask), 1, 1, 1, generator=generator) < sum(self.env.levels) / self.env.bundle).to(state.mask.device)
        return replace(state, mask=torch.where(coin, state.mask, 1 - state.mask))

    def _reweighted(self, state: WeightedCanvas) -> WeightedCanvas:
        "Some of the pictures with errors that count more in an ellipse (`random_weight`)."
        if not self.options.random_weight: return state
        (batch, _, h, w), generator = state.weight.shape, torch.Generator().manual_seed(self.updates)
        draw = torch.rand(6, batch, 1, 1, 1, generator=generator).to(state.weight.device)
        y, x = torch.meshgrid(torch.linspace(0, 1, h), torch.linspace(0, 1, w), indexing="ij")
        across, down = ((x.to(draw) - draw[1]) / (0.1 + 0.4 * draw[2])), ((y.to(draw) - draw[3]) / (0.1 + 0.4 * draw[4]))
        more = 9 * draw[5] * (draw[0] < self.options.random_weight) * (across.square() + down.square() < 1)
        weight = state.weight * (1 + more)
        return replace(state, weight=weight / weight.mean((1, 2, 3), keepdim=True))

    def actor_loss(self, t: Transition) -> Tensor:
        "Minus the gains of the rendered proposals and of their corrections, in shares of the picture's best ones."
        actor = self._actor
        state = self._reweighted(self._one_level(actor.read(self.env.observe(t.state))))
        with self.autocast(): strokes, expected = actor.propose(state)
        index = self._rendered(expected.detach(), actor.places(state)[:, 2])
        strokes, expected, cell = _pick(strokes, index), _pick(expected, index), actor.places(state)[:, 2][index]
        if not is_squared(self.env.rewards): return self._loss_of_other_rewards(t.state, state, strokes, expected)
        gain, colour = differentiable_gains(state, strokes)
        exact = gain.detach()
        scale = exact.topk(self.env.bundle, 1).values.mean(1, keepdim=True).clamp_min(1e-3)
        loss = self.options.expected_weight * F.smooth_l1_loss(expected, exact.clamp_min(1e-4).log()) - (gain / scale).mean()
        if self.options.imitate: loss = loss + self.options.imitate * self._distance_to_polished(state, strokes, colour, cell)
        top = exact.topk(min(self.options.refined, exact.shape[1]), 1).indices
        strokes, exact = _pick(_coloured(strokes.detach(), colour), top), _pick(exact, top)
        for _ in range(self.options.passes):
            new = actor.refiner(state, strokes)
            gain, colour = differentiable_gains(state, new)
            loss = loss - (gain / scale).mean()
            better = gain.detach() > exact
            strokes = torch.where(better[..., None], _coloured(new.detach(), colour), strokes)
            exact = torch.where(better, gain.detach(), exact)
        return loss

    def _distance_to_polished(self, state: WeightedCanvas, strokes: Tensor, colour: Tensor, cell: Tensor) -> Tensor:
        "How far the best proposals are from themselves after some Adam steps on their gains, in cells."
        some, best = min(self.options.best, strokes.shape[1]), strokes[:, :self.options.best]
        better, _ = optimize_each(state, _coloured(best.detach(), colour[:, :some]), cell[:, :some], self.options.imitate_steps)
        points = ((best - better)[..., :6].square().sum(-1) + 1e-8).sqrt()  # its slope is finite where nothing moved
        return (points * min(state.canvas.shape[-2:]) / cell[:, :some]).mean()

    def _loss_of_other_rewards(self, before: State, state: WeightedCanvas, strokes: Tensor, expected: Tensor) -> Tensor:
        """Minus what some of the proposals, and their corrections by the second network, earn, each rendered alone in the
        colour of least squares, in standard deviations; the expected gain is taught its order (the logarithm of softplus)."""
        some = min(_RENDERED, strokes.shape[1])
        chosen = torch.cat([torch.arange(some - some // 3), torch.arange(strokes.shape[1] - some // 3, strokes.shape[1])])
        strokes, expected = strokes[:, chosen], expected[:, chosen]
        strokes = _coloured(strokes, stroke_gains(state, strokes)[1])
        corrected = self._actor.refiner(state, strokes.detach())
        strokes = torch.cat([strokes, _coloured(corrected, stroke_gains(state, corrected)[1])], 1)
        rows = torch.arange(len(strokes)).repeat_interleave(2 * some)
        many = before[rows.to(before.canvas.device)]
        mask = None if state.mask is None else stroke_masks(state.mask[rows], (0,), state.blend_mode)
        painted = limit_opacity(strokes, state.opacity).flatten(0, 1)[:, None]
        after = paint(many.canvas, painted, stroke_masks=mask, renderer=self.env.renderer)
        reward = self.env.rewards.reward(many.canvas, after, many.target, many.guidance).view(len(strokes), 2 * some)
        scale = reward.detach().std().clamp_min(1e-6)
        share = F.softplus(2 * (reward.detach()[:, :some] / scale)).log()
        return self.options.expected_weight * F.smooth_l1_loss(expected, share) - (reward / scale).mean()


_RENDERED = 12  # proposals of each picture that are rendered where the reward is no sum of squared errors
