"""Joint steps: gradient steps on all strokes of finished paintings together. They are search; nothing is learned.

>>> import torch
>>> from sgpaint.stroke.primitive import random_strokes
>>> canvas, target, strokes = torch.zeros(1, 3, 32, 32), torch.rand(1, 3, 32, 32), random_strokes(5)
>>> better = optimize_jointly(canvas, target, strokes, steps=2)
>>> better.shape == strokes.shape
True
"""
from collections.abc import Sequence

import torch
from torch import Tensor

from ..stroke.blend import StrokeMasks, blank, limit_opacity, paint, stroke_masks
from ..stroke.primitive import Primitive
from ..stroke.primitive import primitive as find_primitive
from ..stroke.renderer import Renderer
from .environment import PaintingEnv, State
from .rewards import is_squared


@torch.no_grad()
def optimize_jointly(canvas: Tensor, target: Tensor, strokes: Tensor, steps: int = 20, rate: float = 0.01,
                     weight: Tensor | None = None, primitive: str | Primitive = "bezier", renderer: str | Renderer = "exact",
                     confine: StrokeMasks | None = None, opacity: str = "free") -> Tensor:
    """Adam steps on all strokes of some paintings together, colours included.

    Parameters
    ----------
    canvas
        Empty canvases (B, 3, H, W).
    target
        Pictures (B, 3, H, W) in [0, 1].
    strokes
        The whole paintings (B, N, P).
    steps, rate
        How many, and the first rate; it falls to 0.
    weight
        (B, 1, H, W), how much an error counts; None: the same everywhere.
    primitive, renderer
        Of the strokes; the renderer must be differentiable.
    confine
        What confines each stroke; None: nothing.
    opacity
        Name of the opacity preset under which they are painted.

    Returns
    -------
    Tensor
        (B, N, P).
    """
    low, high = (bound.to(strokes) for bound in find_primitive(primitive).bounds())
    strokes, first, second = strokes.clone(), torch.zeros_like(strokes), torch.zeros_like(strokes)
    for i in range(steps):
        with torch.enable_grad():
            now = strokes.requires_grad_()
            drawn = paint(canvas, limit_opacity(now, opacity, primitive), primitive, stroke_masks=confine, renderer=renderer)
            left = (target - drawn).square()
            grad, = torch.autograd.grad((left if weight is None else left * weight).sum(), now)
        first, second = 0.8 * first + 0.2 * grad, 0.95 * second + 0.05 * grad.square()
        step = first / (1 - 0.8 ** (i + 1)) / ((second / (1 - 0.95 ** (i + 1))).sqrt() + 1e-6)
        strokes = torch.minimum(torch.maximum(strokes.detach() - rate * (1 - i / steps) * step, low), high)
    return strokes


@torch.no_grad()
def optimize_episode(env: PaintingEnv, episode: Sequence[tuple[State, Tensor]], steps: int) -> tuple[Tensor, Tensor]:
    """Joint steps on the strokes of whole episodes.

    Parameters
    ----------
    env
        The environment.
    episode
        What `rollout` yields: the state after each step, and the action that led to it.
    steps
        Of gradient.

    Returns
    -------
    strokes : Tensor
        (B, strokes, P).
    canvas : Tensor
        (B, 3, H, W), after them.

    Notes
    -----
    What is made small is the squared error, weighted as the rewards of the environment weight it where they are sums of
    squared errors (the mean over the steps, whose instances may differ).
    """
    states, target = [state for state, _ in episode], episode[0][0].target
    strokes = torch.cat([env.decode(action) for _, action in episode], 1)
    empty = blank(len(target), (target.shape[2], target.shape[3]), env.background, target.device)
    masks, confined = [env.stroke_masks(state) for state in states], None
    if masks[0] is not None:
        every = [m for m in masks if m is not None]
        index = [i + k * every[0].masks.shape[1] for k, m in enumerate(every) for i in m.index]
        confined = stroke_masks(torch.cat([m.masks for m in every], 1), index, env.blend_mode)
    weight = torch.stack([env.error_weight(state) for state in states]).mean(0) if is_squared(env.rewards) else None
    strokes = optimize_jointly(empty, target, strokes, steps, weight=weight, primitive=env.primitive, renderer=env.renderer,
                               confine=confined, opacity=env.opacity)
    strokes = limit_opacity(strokes, env.opacity, env.primitive)
    return strokes, paint(empty, strokes, env.primitive, stroke_masks=confined, renderer=env.renderer)
