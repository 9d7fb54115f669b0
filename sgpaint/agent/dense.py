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
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..stroke.composite import blank
from ..stroke.exact import alpha as stroke_alpha
from ..stroke.gains import WeightedCanvas, differentiable_gains, stroke_gains
from ..stroke.primitive import RADIUS_MIN, RADIUS_SPAN
from .algorithms import ALGORITHMS, Algorithm, Learning, Networks
from .environment import PaintingEnv, State, Transition, channel

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
    """

    measured: int = 96
    kept: int = 32
    refine: int = 3
    steps: int = 0


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
    alpha = stroke_alpha(strokes, (start.canvas.shape[-2], start.canvas.shape[-1])).flatten(2)
    through = torch.cat([(1 - alpha).flip(1).cumprod(1).flip(1), torch.ones_like(alpha[:, :1])], 1)  # what later strokes let through
    seen, ground = alpha * through[:, 1:], through[:, :1] * start.canvas.flatten(2)
    heavy, old = seen * start.weight.flatten(2), strokes[..., -3:]
    ridge = stay * torch.eye(strokes.shape[1], device=strokes.device)
    colour = torch.linalg.solve(heavy @ seen.mT + ridge, heavy @ (start.target.flatten(2) - ground).mT + stay * old)
    new = _coloured(strokes, colour.clamp(0, 1))
    better = start.after(new).error() < start.after(strokes).error()
    return torch.where(better[:, None, None], new, strokes)


@torch.no_grad()
def optimize_jointly(start: WeightedCanvas, strokes: Tensor, steps: int = 20, rate: float = 0.01) -> Tensor:
    """Adam steps on all strokes of finished paintings together, colours included: search, nothing is learned.

    Parameters
    ----------
    start
        The empty canvas and its target.
    strokes
        (B, N, 13), the whole painting.
    steps, rate
        How many, and the first rate; it falls to 0.

    Returns
    -------
    Tensor
        (B, N, 13).
    """
    low, high = (F.pad(bound, (0, 3), value=value).to(strokes) for bound, value in ((_LOW, 0.0), (_HIGH, 1.0)))
    strokes, first, second = strokes.clone(), torch.zeros_like(strokes), torch.zeros_like(strokes)
    for i in range(steps):
        with torch.enable_grad():
            now = strokes.requires_grad_()
            grad, = torch.autograd.grad(start.after(now).error().sum(), now)
        first, second = 0.8 * first + 0.2 * grad, 0.95 * second + 0.05 * grad.square()
        step = first / (1 - 0.8 ** (i + 1)) / ((second / (1 - 0.95 ** (i + 1))).sqrt() + 1e-6)
        strokes = torch.minimum(torch.maximum(strokes.detach() - rate * (1 - i / steps) * step, low), high)
    return strokes


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
        ink = [*self._look(state, strokes[..., -3:], p0, p1, p2, radius)]
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
        planes = F.grid_sample(torch.cat([state.target, state.canvas, state.weight], 1), grid, align_corners=False)
        target, canvas, weight = planes.split((3, 3, 1), 1)  # (B, 3, M, points)
        ink = colour.permute(0, 2, 1)[..., None] - canvas
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


_MAPS = ("mask", "focus")  # in the order of `DenseActor.map_weights`


class DenseActor(nn.Module):
    """The actor: an observation to a bundle of strokes.

    Parameters
    ----------
    bundle
        Strokes of an action.
    observes
        Maps of the guidance at the end of the observation, out of "mask" and "focus".
    search
        What is done with the proposals.
    widths
        Features at strides 2, 4, 8 and 16 (and more).
    turns
        Proposals at a place, of cells of 4, 8, 16, 32 and 64 pixels; they begin at different angles.
    hidden
        Width of the second network.

    Attributes
    ----------
    map_weights : Tensor
        How much more an error counts where the mask and the focus map are 1; the algorithm sets it from the weights of
        the rewards, and it is saved with the network.
    """

    map_weights: Tensor

    def __init__(self, bundle: int = 5, observes: Sequence[str] = (), search: Search = Search(),  # noqa: B008 (it is frozen)
                 widths: tuple[int, int, int, int] = (24, 48, 64, 96), turns: tuple[int, int, int, int, int] = (2, 2, 2, 2, 2),
                 hidden: int = 256):
        super().__init__()
        self.bundle, self.observes, self.search, self.turns = bundle, tuple(observes), search, turns
        self._arguments = (bundle, self.observes, search, widths, turns, hidden)
        w2, w4, w8, w16 = widths
        self.stem = nn.Sequential(_convolution(10, w2, 4, 2), nn.ReLU(), _convolution(w2, w4, 4, 2))
        self.down4, self.down8, self.down16 = (nn.Sequential(_Block(w)) for w in (w4, w8, w16))
        self.to8, self.to16 = _convolution(w4, w8, 4, 2), _convolution(w8, w16, 4, 2)
        self.to32, self.to64 = _convolution(w16, w16, 2, 2), _convolution(w16, w16, 2, 2)
        self.up16, self.up8, self.up4 = nn.Conv2d(w16, w16, 1), nn.Conv2d(w16, w8, 1), nn.Conv2d(w8, w4, 1)
        self.join8, self.join4 = _Block(w8), _Block(w4)
        self.refiner = Refiner(hidden)
        self.heads = nn.ModuleList(_Head(w, k) for w, k in zip((w4, w8, w16, w16, w16), turns, strict=True))
        self.register_buffer("map_weights", torch.zeros(2))
        for m in self.modules():
            if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1) and m.weight.any():
                nn.init.kaiming_normal_(m.weight, nonlinearity="relu")

    # ---- the same actor otherwise

    def with_search(self, **changes: int) -> "DenseActor":
        "A copy with another search, by the fields of `Search`: `actor.with_search(steps=8)`."
        made = copy.deepcopy(self)
        made.search = replace(self.search, **changes)
        return made

    def untrained(self, seed: int = 0) -> "DenseActor":
        "The control: an actor with the same search whose networks learned nothing."
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = type(self)(*self._arguments)
        made.search = self.search
        made.map_weights.copy_(self.map_weights)
        return made.to(self.map_weights.device).train(self.training)

    # ---- what it sees

    def weighted(self, canvas: Tensor, target: Tensor, mask: Tensor | None = None, focus: Tensor | None = None) -> WeightedCanvas:
        "Canvases and targets (B, 3, H, W) with the weight 1 + foreground_weight mask + focus_weight focus, maps (B, 1, H, W)."
        weight = torch.ones_like(target[:, :1])
        for value, known in zip(self.map_weights, (mask, focus), strict=True):
            if known is not None: weight = weight + value * known
        return WeightedCanvas(canvas, target, weight)

    def read(self, observation: Tensor) -> WeightedCanvas:
        "What matters of observations (B, channels, H, W)."
        maps = {name: observation[:, channel(name, self.observes)] for name in _MAPS if name in self.observes}
        return self.weighted(observation[:, channel("canvas")], observation[:, channel("target")], **maps)

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
        canvas, target, weight = state.canvas, state.target, state.weight
        size = (canvas.shape[-2], canvas.shape[-1])
        left = target - canvas
        scale = ((left.square() * weight).mean((1, 2, 3), keepdim=True) / weight.mean((1, 2, 3), keepdim=True)).sqrt()
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
        "The strokes (B, kept, 13) that are chosen among, best colours and all, and their exact gains (B, kept)."
        search = self.search
        strokes, expected = self.propose(state)
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
        "The bundle (B, count, 13) that is chosen, and the canvases after it; None: a whole bundle."
        strokes, gain = self.candidates(state)
        return choose_bundle(state, strokes, gain, count or self.bundle, self.search.kept)

    def forward(self, observation: Tensor) -> Tensor:
        "Observations (B, channels, H, W) to actions (B, bundle · 13) in the encoding `absolute`; without gradient."
        return self.act(self.read(observation.float()))[0].flatten(1)

    @torch.no_grad()
    def paint(self, target: Tensor, strokes: int = 100, weight: Tensor | None = None, joint: int = 0, solve: bool = False,
              ) -> tuple[Tensor, Tensor]:
        """Paint pictures, and optionally search on when they are finished.

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
        start = state = WeightedCanvas(canvas, target, torch.ones_like(target[:, :1]) if weight is None else weight)
        parts: list[Tensor] = []
        while (left := strokes - sum(part.shape[1] for part in parts)) > 0:
            part, state = self.act(state, min(left, self.bundle))
            parts.append(part)
        done = torch.cat(parts, 1)
        if solve: done = solve_colours(start, done)
        if joint: done = optimize_jointly(start, done, joint)
        return done, start.after(done).canvas if solve or joint else state.canvas


# ---- the algorithm


@ALGORITHMS.register("dense")
class DenseProposals(Algorithm):
    """Every rendered proposal follows the gradient of its own exact gain; no critic.

    The reward is the squared error, more inside the mask and where the focus map is high: the gain is exact for it. What
    is learned are the proposals, the gains they expect and the corrections; what is searched is the choice.

    Attributes
    ----------
    best, random
        Proposals of each picture that are rendered: those of largest expected gain, and others by chance.
    refined, passes
        The best of them that the second network corrects, and how often.
    expected_weight
        Weight of the loss of the expected gains.
    """

    name = "dense"
    model_based = True
    best, random = 40, 20
    refined, passes = 24, 3
    expected_weight = 0.1

    @classmethod
    def build_actor(cls, env: PaintingEnv, learning: Learning) -> nn.Module:
        "A new actor for this environment; ValueError where it cannot paint there."
        wanted = {"primitive": "bezier", "encoding": "absolute", "renderer": "exact", "blend_mode": "plain"}
        for name, value in wanted.items():
            if getattr(env, name) != value: raise ValueError(f"{name}: algorithm 'dense' expects {value!r}, got {getattr(env, name)!r}")
        if learning.rewards not in ("l2", {"l2": 1}):
            raise ValueError(f"rewards: algorithm 'dense' expects 'l2', whose gain is exact, got {learning.rewards!r}")
        return DenseActor(env.bundle, env.observes)

    @classmethod
    def build_networks(cls, env: PaintingEnv, learning: Learning, discriminators: Sequence[str] = ()) -> Networks:
        "The actor alone."
        return Networks(actor=cls.build_actor(env, learning))

    def losses(self) -> dict[str, Callable[[Transition], Tensor]]:
        "The loss of the actor; there is no other network."
        return {"actor": self.actor_loss}

    def weighted(self, state: State) -> WeightedCanvas:
        "The state with the weights of the rewards."
        actor, weights = self._actor, dict(self.reward_weights)
        if weights:
            found = [weights.get(name, 0.0) / weights.get("l2", 1.0) for name in ("foreground_l2", "focus")]
            actor.map_weights.copy_(torch.tensor(found))
        known = state.guidance
        maps = {} if known is None else {"mask": known.mask, "focus": known.focus}
        return actor.weighted(state.canvas, state.target, **maps)

    @property
    def _actor(self) -> DenseActor:
        "The online actor."
        actor = self.networks.online["actor"]
        assert isinstance(actor, DenseActor)
        return actor

    def _rendered(self, expected: Tensor, cell: Tensor) -> Tensor:
        "Which proposals learn, (B, M): those of largest expected gain, and others by chance, alike from every grid."
        best = expected.topk(min(self.best, expected.shape[1]), 1).indices
        generator = torch.Generator().manual_seed(self.updates)  # so a resumed run draws the same
        noise = torch.rand(expected.shape, generator=generator).to(expected.device)
        chance = cell.log() - (-noise.clamp(1e-9, 1 - 1e-7).log()).log()  # Gumbel: the largest are a weighted draw
        chance = chance.scatter(1, best, -torch.inf)
        return torch.cat([best, chance.topk(min(self.random, expected.shape[1] - best.shape[1]), 1).indices], 1)

    def actor_loss(self, t: Transition) -> Tensor:
        "Minus the gains of the rendered proposals and of their corrections, in shares of the picture's best ones."
        actor, state = self._actor, self.weighted(t.state)
        with self.autocast(): strokes, expected = actor.propose(state)
        index = self._rendered(expected.detach(), actor.places(state)[:, 2])
        strokes, expected = _pick(strokes, index), _pick(expected, index)
        gain, colour = differentiable_gains(state, strokes)
        exact = gain.detach()
        scale = exact.topk(self.env.bundle, 1).values.mean(1, keepdim=True).clamp_min(1e-3)
        loss = self.expected_weight * F.smooth_l1_loss(expected, exact.clamp_min(1e-4).log()) - (gain / scale).mean()
        top = exact.topk(min(self.refined, exact.shape[1]), 1).indices
        strokes, exact = _pick(_coloured(strokes.detach(), colour), top), _pick(exact, top)
        for _ in range(self.passes):
            new = actor.refiner(state, strokes)
            gain, colour = differentiable_gains(state, new)
            loss = loss - (gain / scale).mean()
            better = gain.detach() > exact
            strokes = torch.where(better[..., None], _coloured(new.detach(), colour), strokes)
            exact = torch.where(better, gain.detach(), exact)
        return loss
