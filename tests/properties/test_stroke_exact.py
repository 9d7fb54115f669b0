"""The exact renderer against rasters, roots, finite differences and itself."""

import contextlib
import logging
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpaint.stroke import native
from sgpaint.stroke.blend import blank, over, over_each, paint
from sgpaint.stroke.distance import pixels
from sgpaint.stroke.exact import alpha, eager, render
from sgpaint.stroke.encoding import ENCODINGS
from sgpaint.stroke.primitive import (
    BEZIER, LINE, PRIMITIVES, RADIUS_MIN, RADIUS_SPAN, primitive, random_strokes, to_units)

seeds = st.integers(0, 2**31)
names = st.sampled_from(list(PRIMITIVES))
engines = pytest.mark.parametrize("use", ["eager", "compiled"], indirect=True)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def use(request):
    """Draw by the named engine; skip the compiled one where no compiler exists."""
    if request.param == "eager":
        with eager():
            yield request.param
    elif native.library() is None:
        pytest.skip("no C++ compiler here")
    else:
        yield request.param


def some(n, name="bezier", seed=0, batch=1):
    return random_strokes(n, name, batch, torch.Generator().manual_seed(seed))


def inside_share(strokes, size, name, times=8):
    """Share of times x times points of each pixel inside the stroke, by distance alone, times the opacity there."""
    f, fine = primitive(name), (size[0] * times, size[1] * times)
    d, t = f.distance(to_units(strokes, f, size[1] / min(size), size[0] / min(size)), *pixels(fine, strokes))
    opacity = f.split(strokes)[1].unsqueeze(-1)
    a0, a2 = opacity[..., 0, :], opacity[..., -1, :]
    value = (d < 0) * (a0 if t is None else a0 + (a2 - a0) * t)
    return torch.nn.functional.avg_pool2d(value.unflatten(-1, fine), times)


@engines
@pytest.mark.parametrize("name", PRIMITIVES)
def test_agrees_with_a_raster_eight_times_finer(name, use):
    strokes = some(24, name, 5)
    assert (alpha(strokes, (48, 64), name) - inside_share(strokes, (48, 64), name)).abs().mean() < 1e-3


@engines
def test_agrees_with_brute_force_over_t(use):
    for seed, thin in ((0, 1.0), (1, 0.05)):
        strokes = some(30, seed=seed)
        strokes[..., 6:8] *= thin
        x0, y0, x1, y1, x2, y2, r0, r2 = to_units(strokes, BEZIER, 4 / 3, 1.0)
        (x, y), best, at = (
            pixels((72, 96), strokes),
            torch.full((1, 30, 72 * 96), torch.inf),
            torch.zeros(1, 30, 72 * 96),
        )
        for t in torch.linspace(0, 1, 401).tolist():
            bx, by = ((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t * t * c for a, b, c in ((x0, x1, x2), (y0, y1, y2)))
            d = torch.hypot(bx - x, by - y) - r0 - t * (r2 - r0)
            at, best = torch.where(d < best, t, at), torch.minimum(d, best)
        a0, a2 = strokes[..., 8, None], strokes[..., 9, None]
        truth = (0.5 - best * 72).clamp(0, 1) * (a0 + (a2 - a0) * at)
        error = (alpha(strokes, (72, 96)).flatten(2) - truth).abs()
        assert error.mean() < 3e-4 and (error > 0.02).float().mean() < 1e-3


def cardano(points, p):
    """Distance from p to a quadratic Bezier, from the real roots of (B(t) - p) . B'(t) = 0."""
    (p0, p1, p2), p = points, np.asarray(p)
    a, b, c = p0 - 2 * p1 + p2, 2 * (p1 - p0), p0 - p
    roots = np.roots([2 * a @ a, 3 * a @ b, b @ b + 2 * a @ c, b @ c])
    ts = [0.0, 1.0, *(r.real for r in roots if abs(r.imag) < 1e-9 and 0 < r.real < 1)]
    return min(np.linalg.norm(a * t * t + b * t + c) for t in ts)


def test_constant_radius_agrees_with_the_roots_of_a_cubic():
    strokes = some(20, seed=3)[0]
    strokes[:, 7] = strokes[:, 6]
    size = (40, 60)
    (x, y), g = pixels(size, strokes), to_units(strokes, BEZIER, 1.5, 1.0)
    d, _ = BEZIER.distance(g, x, y)
    worst = []
    for i, s in enumerate(strokes.double().numpy()):
        points = [np.array([s[k] * 1.5, s[k + 1]]) for k in (0, 2, 4)]
        radius = RADIUS_MIN + RADIUS_SPAN * s[6]
        for m in range(0, 2400, 37):
            worst.append(abs(d[i, m].item() - (cardano(points, (x[m].item(), y[m].item())) - radius)) * 40)
    assert np.mean(worst) < 1e-3 and np.quantile(worst, 0.995) < 0.05  # pixels


def away_from_ties(seed, level=True):
    """A gentle double-precision stroke whose pixels near the edge have one nearest point."""
    s = torch.tensor(
        [[[0.15, 0.6, 0.45, 0.2, 0.85, 0.7, 0.2, 0.4, 0.9, 0.9 if level else 0.3, 0.5, 0.5, 0.5]]], dtype=torch.float64
    )
    s[..., :8] += 0.1 * (torch.rand(8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 0.5)
    return s


@pytest.mark.parametrize("name", ["line", "circle", "triangle", "block"])
def test_gradcheck_closed_forms(name):
    s = (some(2, name, 11).double() * 0.6 + 0.2).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: alpha(v, (7, 9), name, edge=2.0), s, eps=1e-7, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("seed", range(3))
def test_gradcheck_bezier_away_from_ties(seed):
    s = away_from_ties(seed).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: alpha(v, (7, 9), edge=2.0), s, eps=1e-7, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("edge", [1.0, 8.0])
@pytest.mark.parametrize("level", [True, False])
def test_gradient_agrees_with_finite_differences(edge, level):
    strokes, weight = (
        some(30, seed=2).double(),
        torch.rand(1, 30, 24, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
    )
    if level:
        strokes[..., 9] = strokes[..., 8]

    def value(s):
        return (alpha(s, (24, 32), edge=edge) * weight).sum((0, 2, 3))

    s = strokes.clone().requires_grad_()
    gradient, moved = torch.autograd.grad(value(s).sum(), s)[0][0], torch.zeros(30, 13, dtype=torch.float64)
    for k in range(10):
        h = torch.zeros_like(strokes)
        h[..., k] = 1e-6
        moved[:, k] = (value(strokes + h) - value(strokes - h)) / 2e-6
    assert (gradient - moved).norm() < 0.02 * moved.norm()


@settings(max_examples=40, deadline=None)
@given(names, seeds, st.integers(1, 70), st.integers(1, 70), st.integers(1, 3), st.integers(0, 4), st.floats(0.5, 8))
def test_compiled_equals_eager(name, seed, h, w, batch, n, edge):
    if native.library() is None:
        pytest.skip("no C++ compiler here")
    g = torch.Generator().manual_seed(seed)
    strokes, canvas = random_strokes(n, name, batch, g), torch.rand(batch, 3, h, w, generator=g)
    weight = torch.rand(batch, 3, h, w, generator=g)
    results = []
    for how in (native.eager, contextlib.nullcontext):
        with how():
            s, c = strokes.clone().requires_grad_(), canvas.clone().requires_grad_()
            out = paint(c, s, name, edge)
            results.append((out.detach(), *torch.autograd.grad((out * weight).sum(), (c, s), materialize_grads=True)))
    (a, ca, sa), (b, cb, sb) = results
    assert (a - b).abs().mean() < 1e-4 and (ca - cb).abs().mean() < 1e-4
    if n:
        wrong = (sa - sb).norm(dim=-1) > 0.05 * sa.norm(dim=-1) + 0.05 * weight.sum() / n  # ties may go either way
        assert not wrong.any()


@engines
@pytest.mark.parametrize("name", PRIMITIVES)
def test_moves_with_its_strokes(name, use):
    """A shift by whole pixels, a quarter turn and a doubled size of strokes do the same to the picture."""
    f, size = primitive(name), (48, 48)
    s = some(8, name, 4) * 0.4 + 0.3
    xs, ys = ([i for i, c in enumerate(f.columns) if c[0] == a] for a in "xy")
    a = alpha(s, size, name)
    moved = s.clone()
    moved[..., xs] += 5 / 48
    shifted = alpha(moved, size, name)
    assert (shifted[..., 5:] - a[..., :-5]).abs().mean() < 1e-4
    turned = s.clone()
    turned[..., xs], turned[..., ys] = s[..., ys], 1 - s[..., xs]
    assert (alpha(turned, size, name) - a.rot90(1, (-2, -1))).abs().mean() < 1e-4
    larger = torch.nn.functional.avg_pool2d(alpha(s, (96, 96), name), 2)
    assert (larger - a).abs().mean() < 3e-3


@engines
def test_a_wide_canvas_does_not_squash(use):
    disc = torch.tensor([[[0.5, 0.5, 0.3, 1, 1, 1, 1]]])
    a = alpha(disc, (40, 120), "circle")[0, 0]
    assert torch.allclose(a[:, 40:80], a[:, 40:80].T, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_disjoint_strokes_commute(seed):
    s = some(2, seed=seed)
    s[..., 6:8] *= 0.2
    s[0, 0, 0:6:2] *= 0.35
    s[0, 1, 0:6:2] = s[0, 1, 0:6:2] * 0.35 + 0.65
    canvas = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(paint(canvas, s), paint(canvas, s.flip(1)))


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 7))
def test_one_shot_equals_one_by_one(seed, n):
    g = torch.Generator().manual_seed(seed)
    canvas, a, colour = (torch.rand(*shape, generator=g) for shape in ((2, 3, 5, 6), (2, n, 5, 6), (2, n, 3, 1, 1)))
    a = torch.where(torch.rand(a.shape, generator=g) < 0.3, a.round(), a)  # exact zeros and ones
    leaves = [t.requires_grad_() for t in (canvas, a, colour)]
    each = over_each(*leaves)[:, -1] if n else canvas
    shot = over(*leaves)
    assert (shot - each).abs().max() < 1e-5
    if n:
        for got, wanted in zip(*(torch.autograd.grad(v.sum(), leaves) for v in (shot, each)), strict=True):
            assert torch.allclose(got, wanted, atol=1e-5)


ODD = {
    "one point": [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.3, 0.3],
    "radius 0": [0.1, 0.2, 0.5, 0.9, 0.8, 0.3, 0, 0],
    "one point, radius 0": [0.5] * 6 + [0, 0],
    "on a pixel centre": [0.53125] * 6 + [0.2, 0.2],
    "swallowed by the end": [0.5, 0.5, 0.51, 0.5, 0.52, 0.5, 0, 1],
    "swallowed by the start": [0.5, 0.5, 0.51, 0.5, 0.52, 0.5, 1, 0],
    "ends meet": [0.3, 0.3, 0.9, 0.5, 0.3, 0.3, 0.1, 0.2],
    "there and back": [0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1],
    "start is control": [0.2, 0.2, 0.2, 0.2, 0.8, 0.7, 0.1, 0.3],
    "outside": [2, 2, 2, 2, 2, 2, 0.1, 0.1],
}


@engines
@pytest.mark.parametrize("case", ODD)
def test_degenerate_strokes_stay_finite(case, use):
    s = torch.tensor([[ODD[case] + [0.4, 1.0, 1, 0.5, 0]]]).requires_grad_()
    a = alpha(s, (16, 16))
    (a * torch.rand(16, 16)).sum().backward()
    assert a.isfinite().all() and 0 <= a.min() and a.max() <= 1 and s.grad.isfinite().all()


@engines
@pytest.mark.parametrize("name", ["line", "circle", "triangle", "block"])
def test_degenerate_others_stay_finite(name, use):
    f = primitive(name)
    for value in (0.5, 0.0, 1.0, 0.53125):
        s = torch.full((1, 2, f.size), value).requires_grad_()
        a = alpha(s, (16, 16), f)
        a.sum().backward()
        assert a.isfinite().all() and s.grad.isfinite().all()


@engines
def test_bad_input_is_refused_with_a_reason(use):
    good = some(2)
    for call, word in (
        (lambda: alpha(good * torch.nan, (8, 8)), "finite"),
        (lambda: alpha(good[0], (8, 8)), "shape"),
        (lambda: alpha(good, (0, 8)), "size"),
        (lambda: alpha(good, (8, 8), edge=0), "edge"),
        (lambda: alpha(good, (8, 8), "lin"), "primitive"),
        (lambda: alpha(good[..., :12], (8, 8)), "expected shape"),
        (lambda: paint(blank(3, (8, 8)), good), "canvas"),
        (lambda: blank(1, (8, 8), "blue"), "background"),
        (lambda: random_strokes(-1), "0 or more"),
    ):
        with pytest.raises(ValueError, match=word):
            call()


@engines
@pytest.mark.parametrize("name", PRIMITIVES)
def test_tiles_make_no_difference(name, use, monkeypatch):
    strokes, canvas = some(7, name, 9, batch=2), torch.rand(2, 3, 50, 70)
    whole, a = paint(canvas, strokes, name), alpha(strokes, (50, 70), name)
    monkeypatch.setattr("sgpaint.stroke.exact.TILE", 16)
    monkeypatch.setattr("sgpaint.stroke.exact.AT_ONCE", 3)
    monkeypatch.setattr("sgpaint.stroke.exact.LARGE", 0)
    assert (paint(canvas, strokes, name) - whole).abs().max() < 1e-5 and (
        alpha(strokes, (50, 70), name) - a
    ).abs().max() < 1e-5


@engines
def test_large_pictures_need_little_memory(use):
    """Many strokes on a large canvas stay far below what planes of every stroke would need."""
    n, side = (500, 2048) if use == "compiled" else (12, 1024)
    code = f"""
import resource, torch
from sgpaint.stroke.blend import blank, paint
from sgpaint.stroke.primitive import random_strokes
torch.set_num_threads(1)
strokes, canvas = random_strokes({n}, generator=torch.Generator().manual_seed(0)), blank(1, ({side}, {side}))
strokes[..., 6:8] *= 0.1
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
paint(canvas, strokes)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    env = {**os.environ, "SGPAINT_EAGER": "0" if use == "compiled" else "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert int(done.stdout.split()[-1]) < 400  # MiB; one plane for each stroke would need 8000, forty would need 1900


def test_line_is_a_bezier_with_its_control_point_in_the_middle():
    line = some(30, LINE, 8)
    curve = torch.cat((line[..., :2], (line[..., :2] + line[..., 2:4]) / 2, line[..., 2:]), -1)
    assert (alpha(line, (48, 64), LINE) - alpha(curve, (48, 64))).abs().mean() < 1e-4


def test_a_block_on_the_pixel_grid_is_exact():
    r = ((8 / 64) - RADIUS_MIN) / RADIUS_SPAN
    a = alpha(torch.tensor([[[0.5, 0.5, r, 1, 1, 1, 1]]]), (64, 64), "block")[0, 0]
    wanted = torch.zeros(64, 64)
    wanted[24:40, 24:40] = 1
    assert (a - wanted).abs().max() < 1e-4


def huang_ground_truth(action, size=64):
    """Huang's drawing: 100 discs on a canvas of twice the size, later discs overwrite, then averaged."""
    big = 2 * size
    x0, y0, x1, y1, x2, y2, z0, z2, w0, w2 = action[:10].tolist()
    x1, y1 = x0 + (x2 - x0) * x1, y0 + (y2 - y0) * y1
    rows, columns = np.mgrid[:big, :big] + 0.5
    out = np.zeros((big, big))
    for t in np.arange(100) / 100:
        row, column = ((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t * t * c for a, b, c in ((x0, x1, x2), (y0, y1, y2)))
        inside = (
            np.hypot(rows - row * big, columns - column * big)
            < ((1 - t) * (1 + 63 * z0) + t * (1 + 63 * z2)) / 256 * big
        )
        out[inside] = (1 - t) * w0 + t * w2
    return torch.from_numpy(out).float().view(size, 2, size, 2).mean((1, 3))


def test_huangs_layout_draws_huangs_picture():
    action = torch.rand(12, 13, generator=torch.Generator().manual_seed(6))
    action[:, 8:10] = action[:, 8:9]  # one opacity: theirs is the last disc's, ours the nearest's
    ours = alpha(ENCODINGS["huang"].decode(action)[None], (64, 64))[0]
    theirs = torch.stack([huang_ground_truth(a) for a in action])
    assert (ours - theirs).abs().mean() < 5e-3
    assert (ours - theirs.mT).abs().mean() > 0.05  # rows first matters


def test_render_gives_alpha_and_colour():
    strokes = some(3, batch=2)
    a, colour = render(strokes, (9, 11))
    assert a.shape == (2, 3, 9, 11) and colour.shape == (2, 3, 3, 1, 1) and a.dtype == torch.float32
    assert torch.equal(colour.flatten(2), strokes[..., -3:])


def test_without_a_compiler_the_tensors_draw(monkeypatch, caplog):
    strokes = some(3)
    wanted = alpha(strokes, (12, 12))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CXX", "no-such-compiler")
    native.library.cache_clear()
    try:
        with caplog.at_level(logging.INFO, "sgpaint"):
            for _ in range(3):
                assert (alpha(strokes, (12, 12)) - wanted).abs().mean() < 1e-4
        said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("strokes:")]
        assert len(said) == 1 and "eager" in said[0]
    finally:
        native.library.cache_clear()


def test_a_compiler_that_fails_is_said_once(monkeypatch, caplog, tmp_path):
    if native.library() is None:
        pytest.skip("no C++ compiler here")
    bad = tmp_path / "g++"
    bad.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    bad.chmod(0o755)
    monkeypatch.setenv("CXX", str(bad))
    native.library.cache_clear()
    try:
        with caplog.at_level(logging.INFO, "sgpaint"):
            assert alpha(some(2), (8, 8)).isfinite().all()
        assert any("failed" in r.getMessage() and "broken" in r.getMessage() for r in caplog.records)
    finally:
        native.library.cache_clear()


def test_several_threads_draw_the_same():
    strokes, canvas = some(6, batch=3), torch.rand(3, 3, 33, 41)
    one = paint(canvas, strokes)
    torch.set_num_threads(3)
    try:
        assert torch.equal(paint(canvas, strokes), one)
    finally:
        torch.set_num_threads(1)


def test_area_of_a_disc():
    a = alpha(torch.tensor([[[0.5, 0.5, 0.7, 1, 1, 1, 1]]]), (128, 128), "circle")
    radius = (RADIUS_MIN + RADIUS_SPAN * 0.7) * 128
    assert math.isclose(a.sum().item(), math.pi * radius**2, rel_tol=1e-3)
