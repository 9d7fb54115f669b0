"""The gain of a stroke: by how much the weighted squared error falls when it alone is painted, with its best colour.

A plain module with a plain C++ file beside it, gains.cpp, which `native.build` compiles; without a compiler, on a GPU and
within `with eager():` the same numbers come from tensor operations.

>>> import torch
>>> from sgpaint.stroke.primitive import random_strokes
>>> target = torch.full((1, 3, 32, 32), 0.8)
>>> state = WeightedCanvas(torch.zeros_like(target), target, torch.ones_like(target[:, :1]))
>>> gain, colour, _ = stroke_gains(state, random_strokes(4))
>>> tuple(gain.shape), tuple(colour.shape)
((1, 4), (1, 4, 3))
"""
import ctypes
import functools
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..lab.machine import log
from . import native
from .blend import limit_opacity, paint, stroke_masks
from .distance import TINY
from .renderer import EXACT, RENDERERS, Renderer, draw

SOURCE = native.SOURCE.with_name("gains.cpp")
_NO_PAINT = 1e-9  # below so many weighted pixels the colour of a stroke does not matter


@dataclass(frozen=True)
class WeightedCanvas:
    """Canvases on the way to their targets, and how much an error counts at each pixel.

    Attributes
    ----------
    canvas, target
        Pictures (B, 3, H, W), float32 in [0, 1].
    weight
        (B, 1, H, W), 0 or more; 1 everywhere: the plain squared error.
    mask
        (B, 1, H, W) in [0, 1], where strokes may paint; None: everywhere.
    blend_mode
        How the mask confines a stroke: "masked" (its alpha times the mask) or "paper" (its colour times the mask; SG
        Eq 3 and 4 as printed).
    renderer
        What draws the strokes; only the exact one is compiled.
    opacity
        Name of an opacity preset: strokes are measured and painted as it lets them be (H-15).
    """

    canvas: Tensor
    target: Tensor
    weight: Tensor
    mask: Tensor | None = None
    blend_mode: str = "masked"
    renderer: str | Renderer = "exact"
    opacity: str = "free"

    @functools.cached_property
    def planes(self) -> Tensor:
        """(B, 9, H, W): what a stroke's gain is made of, see the notes of `stroke_gains`: w m (t - c), the sum of
        w m (t - c) c over the colours, w m m, w m m c, and the sum of w m m c c; m is 1 where nothing confines."""
        canvas, left, w = self.canvas, self.target - self.canvas, self.weight
        m = torch.ones_like(w) if self.mask is None else self.mask
        own, ground = (w * m * m, w * m * m) if self.blend_mode == "masked" else (w * m, w)  # of a a k c, and of a a c c
        touched = w * m if self.blend_mode == "masked" else w
        return torch.cat([w * m * left, touched * (left * canvas).sum(1, True), w * m * m, own * canvas,
                          ground * (canvas * canvas).sum(1, True)], 1).contiguous()

    @property
    def seen_weight(self) -> Tensor:
        "(B, 1, H, W): the weight, 0 where no stroke may paint."
        return self.weight if self.mask is None else self.weight * self.mask

    def error(self) -> Tensor:
        "The weighted squared error (B,), summed over pixels and colours."
        return ((self.target - self.canvas).square() * self.weight).flatten(1).sum(1)

    def after(self, strokes: Tensor) -> "WeightedCanvas":
        "The same after Bézier strokes (B, N, 13); differentiable."
        confine = None if self.mask is None else stroke_masks(self.mask, (0,) * strokes.shape[1], self.blend_mode)
        strokes = limit_opacity(strokes, self.opacity)
        return replace(self, canvas=paint(self.canvas, strokes, stroke_masks=confine, renderer=self.renderer))

    def alpha(self, strokes: Tensor) -> Tensor:
        "The alpha (B, N, H, W) of strokes (B, N, 13), as the opacity preset lets them be; differentiable."
        strokes = limit_opacity(strokes, self.opacity)
        return draw(self.renderer, strokes, (self.canvas.shape[-2], self.canvas.shape[-1]))[0]


@functools.cache
def _library() -> ctypes.CDLL | None:
    "The compiled gains.cpp, or None where it cannot be had; a log line says so."
    try:
        found = ctypes.CDLL(str(native.build(source=SOURCE)))
        found.gains  # noqa: B018  (AttributeError where it is other code)
        return found
    except (OSError, ValueError, RuntimeError, AttributeError, subprocess.SubprocessError) as error:
        log.warning("gains: eager, because compiling failed: %s", (str(error) or type(error).__name__).splitlines()[0][:300])
        return None


@torch.no_grad()
def stroke_gains(state: WeightedCanvas, strokes: Tensor, gradient: bool = False, solve_colour: bool = True,
                 ) -> tuple[Tensor, Tensor, Tensor]:
    """The gain of each stroke, painted alone.

    Parameters
    ----------
    state
        What they are painted on.
    strokes
        Bézier strokes (B, N, 13).
    gradient
        Whether the derivative of the gain is wanted.
    solve_colour
        True: each stroke takes the colour of least squares, clamped to [0, 1]. False: its own.

    Returns
    -------
    gain : Tensor
        (B, N), the fall of `WeightedCanvas.error`.
    colour : Tensor
        (B, N, 3), the colours that were used.
    gradient : Tensor
        (B, N, 13), of each gain in its stroke; its first ten columns count. (B, N, 0) where it was not wanted.

    Notes
    -----
    With alpha a, weight w, canvas c, target t, mask m and colour k a stroke changes the canvas by a m (k - c), so the
    gain is the sum of w a m (k - c) (2 (t - c) - a m (k - c)), and k = sum(w a m (t - c + a m c)) / sum(w a a m m) makes
    it largest. There the derivative in the other numbers is the partial one (envelope theorem). In the blend mode
    "paper" the change is a (m k - c).
    """
    if torch.compiler.is_compiling():  # torch.compile must not look inside; importing its compiler takes 1.5 s
        around: Callable[..., tuple[Tensor, Tensor, Tensor]] = torch.compiler.disable(stroke_gains)
        return around(state, strokes, gradient, solve_colour)
    if state.opacity != "free":
        return _restricted(state, strokes.detach(), gradient, solve_colour)
    strokes = strokes.detach().contiguous()
    (b, n, p), (h, w) = strokes.shape, state.canvas.shape[-2:]
    library = _library() if native.ready(strokes) and RENDERERS.find(state.renderer) is EXACT else None
    if library is None: return _gains_by_tensors(state, strokes, gradient, solve_colour)
    frame = native._Frame(0, n, p, 3, h, w, 0, 0, 1.0, TINY * min(h, w) ** 2)
    colour, gain = strokes[..., -3:].clone(memory_format=torch.contiguous_format), torch.empty(b, n)
    grad = torch.zeros_like(strokes) if gradient else None
    address: Any = native._address
    library.gains(ctypes.byref(frame), b, address(strokes), address(state.planes), int(solve_colour), address(colour),
                  address(gain), address(grad), torch.get_num_threads())
    return gain, colour, strokes[..., :0] if grad is None else grad


def _restricted(state: WeightedCanvas, strokes: Tensor, gradient: bool, solve_colour: bool) -> tuple[Tensor, Tensor, Tensor]:
    "`stroke_gains` of strokes under an opacity preset; the derivative is that in the strokes before it."
    free, planes = replace(state, opacity="free"), state.planes
    free.__dict__["planes"] = planes  # so that they are made once for a canvas
    gain, colour, grad = stroke_gains(free, limit_opacity(strokes, state.opacity), gradient, solve_colour)
    if not gradient: return gain, colour, grad
    slope = limit_opacity(torch.ones_like(grad), state.opacity) - limit_opacity(torch.zeros_like(grad), state.opacity)
    return gain, colour, grad * slope


def _gains_by_tensors(state: WeightedCanvas, strokes: Tensor, gradient: bool, solve_colour: bool) -> tuple[Tensor, Tensor, Tensor]:
    "`stroke_gains` by tensor operations, on any device."
    with torch.enable_grad():
        strokes = strokes.requires_grad_(gradient)
        a = state.alpha(strokes).flatten(2)
        r, rc, aa, c, cc = state.planes.flatten(2).split((3, 1, 1, 3, 1), 1)
        a2 = a * a
        area, by_r, by_c = a2 @ aa.mT, a @ r.mT, a2 @ c.mT  # (B, N, 1), (B, N, 3), (B, N, 3)
        with torch.no_grad():
            best = torch.where(area > _NO_PAINT, (by_r + by_c) / area.clamp_min(_NO_PAINT), 0.5)
            colour = best.clamp(0, 1) if solve_colour else strokes[..., -3:]
        linear = (colour * by_r).sum(-1) - (a @ rc.mT)[..., 0]
        square = colour.square().sum(-1) * area[..., 0] - 2 * (colour * by_c).sum(-1) + (a2 @ cc.mT)[..., 0]
        gain = 2 * linear - square
        grad = torch.autograd.grad(gain.sum(), strokes)[0] if gradient else strokes[..., :0]
    return gain.detach(), colour.detach(), grad.detach()


class _Gains(torch.autograd.Function):
    "`stroke_gains` as a differentiable operation."
    @staticmethod
    def forward(ctx: Any, strokes: Tensor, state: WeightedCanvas) -> tuple[Tensor, Tensor]:
        gain, colour, grad = stroke_gains(state, strokes, gradient=True)
        ctx.save_for_backward(grad)
        ctx.mark_non_differentiable(colour)
        return gain, colour

    @staticmethod
    def backward(ctx: Any, pull: Tensor, _: Tensor) -> tuple[Tensor, None]:
        return pull[..., None] * ctx.saved_tensors[0], None


def differentiable_gains(state: WeightedCanvas, strokes: Tensor) -> tuple[Tensor, Tensor]:
    """Gains (B, N) that can be differentiated in the strokes (B, N, 13), and their best colours (B, N, 3).

    Parameters
    ----------
    state, strokes
        As for `stroke_gains`.
    """
    gain, colour = _Gains.apply(strokes, state)
    return gain, colour
