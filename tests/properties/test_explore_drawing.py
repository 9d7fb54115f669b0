"""Painting and scribbling by hand: any path is one stroke, any list of marks can be taken back, masks are exact."""
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.testing import assert_close

from sgpaint.agent.algorithms import ALGORITHMS
from sgpaint.agent.config import build_env, configure
from sgpaint.agent.networks import fold
from sgpaint.agent.trained import Agent, paint_with
from sgpaint.guide.guidance import MAX_INSTANCES
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.primitive import bounds, random_strokes
from sgpaint.explore.drawing import (
    MAX_SCRIBBLES, MIN_BRUSH_PIXELS, MaskBrush, PaintAlong, first_strokes, fit_stroke, label_map, palette,
)
from sgpaint.explore.widget import WidgetError

unit = st.floats(0, 1)
paths = st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)), min_size=1, max_size=30)
inside = st.lists(st.tuples(unit, unit), min_size=1, max_size=6)
scribbles = st.fixed_dictionaries({"instance": st.integers(0, MAX_INSTANCES),
                                    "radius": st.floats(1e-3, 0.5), "points": inside})


def numbers(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# ---- one path, one stroke --------------------------------------------------------------------------------------------

@given(paths, st.tuples(st.integers(1, 500), st.integers(1, 500)), unit, unit)
def test_any_path_is_a_stroke(path, size, radius, opacity):
    stroke = fit_stroke(path, size, (0.2, 0.4, 0.6), radius, opacity)
    low, high = bounds("bezier")
    assert ((stroke >= low) & (stroke <= high)).all()
    ends = np.clip([path[0], path[-1]], 0, 1)
    assert_close(stroke[[0, 1, 4, 5]], torch.tensor(ends.flatten(), dtype=torch.float32))
    assert_close(stroke[6:], torch.tensor([radius, radius, opacity, opacity, 0.2, 0.4, 0.6]))


sizes = st.tuples(st.integers(20, 200), st.integers(20, 200))


@given(st.tuples(unit, unit), st.tuples(unit, unit), st.floats(-0.3, 0.3), sizes)
def test_an_arc_comes_back(first, last, bow, size):
    first, last = np.array(first), np.array(last)
    if np.linalg.norm(last - first) < 0.2: return
    middle = ((first + last) / 2 + bow * np.array([first[1] - last[1], last[0] - first[0]])).clip(0, 1)
    t = np.linspace(0, 1, 60)[:, None]
    arc = (1 - t) ** 2 * first + 2 * t * (1 - t) * middle + t ** 2 * last
    control = fit_stroke(arc, size, (1, 1, 1), 0.1)[2:4].double().numpy()
    u = np.linspace(0, 1, 500)[:, None]
    curve = (1 - u) ** 2 * first + 2 * u * (1 - u) * control + u ** 2 * last
    away = np.linalg.norm(arc[:, None] - curve[None], axis=-1).min(1)
    assert away.max() < 0.03 and away.mean() < 0.015


# ---- marks -----------------------------------------------------------------------------------------------------------

def board(strokes=5, size=(10, 14), **choices):
    return PaintAlong(numbers(3, *size), strokes, **({"painters": {}} | choices))


@given(st.lists(st.sampled_from(["draw", "undo", "clear", "set", "browser", "bad"]), max_size=25))
@settings(max_examples=30)
def test_marks_can_always_be_taken_back(acts):
    along = board()
    states, rows = [[]], random_strokes(5)[0].double().tolist()
    for act in acts:
        now = states[-1]
        if act == "draw" and len(now) < 5:
            along.draw([(0.1, 0.2), (0.8, 0.4)])
            states.append(along.marks)
        elif act == "undo":
            along.undo()
            states = states[:-1] or [[]]
        elif act == "clear":
            along._handle_custom_msg({"command": "clear"}, [])
            if now: states.append([])
        elif act in ("set", "browser"):
            wish = rows[:len(now) % 5]
            if act == "set": along.marks = wish
            else: along.set_state({"marks": wish})
            if wish != now: states.append(wish)
        elif act == "bad":
            along.set_state({"marks": rows * 2})
            assert "at most 5" in along.error
        assert along.marks == states[-1]
    assert_close(along.scores[0]["error"], (along.painting.render() - along.picture).square().mean().item())
    assert along.scores[0]["strokes"] == len(along.marks)


@pytest.mark.parametrize("bad", [
    None, 7, "strokes", [1, 2], [[0.5] * 12], [[0.5] * 14], [[math.nan] * 13], [[2.0] * 13], [[[0.5] * 13]],
    [["a"] * 13],
    [[0.5] * 13] * 6, [[0.5] * 13, [0.5] * 12], {"a": 1}])
def test_marks_that_are_no_strokes(bad):
    along = board()
    along.draw([(0.5, 0.5)])
    before = along.marks, along.scores
    with pytest.raises(WidgetError, match="marks"): along.marks = bad
    along.set_state({"marks": bad})
    assert (along.marks, along.scores) == before and "marks" in along.error


@pytest.mark.parametrize("name, bad", [
    ("colour", [1, 2, 3]), ("colour", "101"), ("colour", None), ("colour", [0, math.nan, 0]), ("colour", [1, 1]),
    ("radius", 1.1), ("radius", -0.1), ("radius", math.inf), ("opacity", math.nan), ("radius", "wide"),
    ("show_picture", 3)])
def test_a_brush_that_is_none(name, bad):
    along = board()
    before = getattr(along, name)
    with pytest.raises(Exception, match=name): setattr(along, name, bad)
    along.set_state({name: bad})
    assert getattr(along, name) == before and along.error


@pytest.mark.parametrize("content", [
    {"command": "__init__"}, {"command": "static_view"}, {"command": None}, {}, "race", None, {"command": ["undo"]}])
def test_the_browser_asks_for_known_acts_only(content):
    along = board()
    along._handle_custom_msg(content, [])
    assert "expected one of undo, clear, race" in along.error


@pytest.mark.parametrize("choices, why", [
    (dict(strokes=0), "expected 1 to 500"), (dict(strokes=501), "expected 1 to 500"),
    (dict(strokes=2.5), "expected 1 to 500"),
    (dict(painters={"you": print}), "other than 'you'"), (dict(painters={"x": 3}), "a function of a picture"),
    (dict(background="pink"), "background")])
def test_boards_that_cannot_be_made(choices, why):
    with pytest.raises(ValueError, match=why): board(**choices)


# ---- the race -------------------------------------------------------------------------------------------------------

def fake(n, primitive="bezier", **more):
    return lambda picture: Painting(random_strokes(n, primitive)[0], tuple(picture.shape[1:]), primitive, **more)


def test_everybody_is_measured_alike():
    more = dict(layer=torch.ones(9, dtype=torch.int64), step=torch.arange(9), reward=torch.zeros(9))
    along = board(painters={"many": fake(9, **more), "few": fake(2, "circle"), "none": fake(0, "block")})
    along.race()
    counted = {line["name"]: line["strokes"] for line in along.scores}
    assert counted == {"you": 0, "many": 5, "few": 2, "none": 0}
    for line, painting in zip(along.scores[1:], along.paintings.values(), strict=True):
        assert_close(line["error"], (painting.render() - along.picture).square().mean().item())
    along.draw([(0.5, 0.5)])
    assert len(along.scores) == 4 and along.remaining == 0 and set(along.painting_urls) == {"many", "few", "none"}
    json.dumps(along.scores, allow_nan=False)


def test_a_failing_painter_stops_none_before_it():
    along = board(painters={"first": fake(1), "second": lambda picture: "no painting"})
    with pytest.raises(TypeError, match="second: expected a Painting, got 'no painting'"): along.race()
    assert (list(along.paintings), along.remaining, along.status) == (["first"], 1, "")
    along.painters["second"] = fake(3)
    along._handle_custom_msg({"command": "race"}, [])
    assert list(along.paintings) == ["first", "second"] and along.error == ""


@given(st.integers(0, 12), st.integers(0, 12))
def test_the_first_strokes_of_a_painting(n, upto):
    odd = torch.arange(n) % 2
    known = dict(masks=numbers(2, 8, 8), layer=odd, blend_mode="masked", instance=odd)
    painting = Painting(random_strokes(n)[0], (8, 8), **known)
    assert_close(first_strokes(painting, upto).render(), painting.render(upto=min(n, upto)))


@pytest.mark.parametrize("size", [(1, 1), (30, 200), (600, 40)])
def test_the_optimizer_races_on_any_picture(size):
    along = PaintAlong(numbers(3, *size), 2)
    along.race()
    assert along.scores[1]["name"] == "optimizer" and math.isfinite(along.scores[1]["error"])
    assert max(along.static_view().size) <= 1000


def novice(**choices):
    config = configure("guided" if "observe_mask" in choices else "small", size=32, smoke=True, device="cpu", **choices)
    env = build_env(config)
    return Agent(fold(ALGORITHMS[config.learning.algorithm].build_actor(env, config.learning).eval()), env, config)


def test_an_agent_paints_along_and_its_first_strokes_count():
    agent = novice()
    along = board(3, agent=agent)
    along.race()
    whole = paint_with(agent, along.picture)
    assert_close(along.paintings["agent"].strokes, whole.strokes[:3])


# ---- masks -----------------------------------------------------------------------------------------------------------

def by_hand(marks, size):
    "The rule, pixel by pixel."
    h, w = size
    y, x = np.mgrid[0.5:h, 0.5:w]
    labels = np.zeros(size, np.uint8)
    for mark in marks:
        points, best = np.array(mark["points"]) * (w, h), np.full(size, np.inf)
        for a, b in zip(points, [*points[1:], points[-1]], strict=True):
            t = np.clip(((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / max((b - a) @ (b - a), 1e-12), 0, 1)
            best = np.minimum(best, np.hypot(x - a[0] - t * (b - a)[0], y - a[1] - t * (b - a)[1]))
        labels[best <= max(mark["radius"] * min(size), MIN_BRUSH_PIXELS)] = mark["instance"]
    return labels


@given(st.lists(scribbles, max_size=5), st.tuples(st.integers(1, 24), st.integers(1, 24)))
def test_a_pixel_belongs_to_the_last_scribble_near_it(marks, size):
    wrong = (label_map(marks, size) != by_hand(marks, size)).sum()
    assert wrong <= 1  # where a distance is the radius, to the last digit


@given(st.tuples(unit, unit), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_the_thinnest_brush_marks_a_pixel(point, size):
    assert label_map([{"instance": 1, "radius": 1e-9, "points": [point]}], size).any()


@given(st.lists(st.one_of(scribbles, st.sampled_from(["undo", "clear"])), max_size=10))
@settings(max_examples=30)
def test_what_is_covered_is_what_the_scribbles_say(acts):
    brush = MaskBrush(numbers(3, 9, 13))
    for act in acts:
        if isinstance(act, str): getattr(brush, act)()
        else: brush.scribble(act["points"], act["instance"], act["radius"])
        labels = label_map(brush.marks, (9, 13))
        there = [k for k in range(1, MAX_INSTANCES + 1) if (labels == k).any()]
        assert brush.coverage == {str(k): (labels == k).mean() for k in there}
        masks = brush.masks
        assert tuple(masks.shape) == (len(brush.coverage), 9, 13)
        assert (masks.sum(0) == torch.from_numpy(labels > 0)).all(), "every marked pixel in one mask"
    json.dumps(brush.marks, allow_nan=False)
    brush.static_view()


GOOD = {"instance": 1, "radius": 0.1, "points": [[0.5, 0.5]]}


@pytest.mark.parametrize("bad", [
    None, 3, "all", [1], [{}], [GOOD | {"colour": 1}], [GOOD | {"instance": MAX_INSTANCES + 1}],
    [GOOD | {"instance": -1}],
    [GOOD | {"instance": 2.5}], [GOOD | {"instance": "1"}], [GOOD | {"radius": 0}], [GOOD | {"radius": 0.6}],
    [GOOD | {"radius": math.nan}], [GOOD | {"radius": "wide"}], [GOOD | {"points": []}],
    [GOOD | {"points": [[0, math.inf]]}], [GOOD | {"points": [[0, 1, 2]]}], [GOOD | {"points": "line"}],
    [GOOD | {"points": [[0, 0]] * 5000}],
    [GOOD] * (MAX_SCRIBBLES + 1)])
def test_marks_that_are_no_scribbles(bad):
    brush = MaskBrush(numbers(3, 6, 6))
    brush.marks = [GOOD]
    before = brush.marks, brush.coverage
    with pytest.raises(WidgetError): brush.marks = bad
    brush.set_state({"marks": bad})
    assert (brush.marks, brush.coverage) == before and brush.error


@pytest.mark.parametrize("name, bad", [("instance", 0), ("instance", MAX_INSTANCES + 1), ("instance", 1.5),
                                       ("radius", 0.0), ("radius", math.nan), ("radius", 0.51), ("erase", "yes")])
def test_a_mask_brush_that_is_none(name, bad):
    brush = MaskBrush(numbers(3, 6, 6))
    before = getattr(brush, name)
    with pytest.raises(Exception, match=name): setattr(brush, name, bad)
    assert getattr(brush, name) == before


def test_masks_are_what_a_guided_agent_takes():
    picture = numbers(3, 40, 60)
    brush = MaskBrush(picture)
    brush.scribble([(0.2, 0.5), (0.3, 0.5)], 3, 0.2)
    brush.scribble([(0.7, 0.5)], 5, 0.2)
    painting = paint_with(novice(observe_mask=True, masks="truth"), picture, masks=brush.masks)
    assert painting.blend_mode == "masked" and len(painting.masks) == 2
    confined = replace(painting, layer=torch.ones_like(painting.layer), masks=brush.masks, instance=None)
    assert confined.render()[:, brush.masks.amax(0) == 0].abs().max() == 0


def test_a_large_photograph_is_held_small_and_its_masks_are_whole():
    brush = MaskBrush(Image.new("RGB", (6000, 4000), "olive"))
    assert brush.picture.numel() < 3 * 512 * 512
    brush.scribble([(0.25, 0.5), (0.75, 0.5)], radius=0.01)
    masks = brush.masks
    assert tuple(masks.shape) == (1, 4000, 6000)
    assert abs(masks.sum().item() - (3000 * 80 + math.pi * 40**2)) < 200


def test_colours_on_offer_are_colours():
    for picture in (numbers(3, 1, 1), numbers(3, 30, 40), torch.zeros(3, 5, 5)):
        offered = palette(picture)
        assert offered[-1] == [1, 1, 1] and all(0 <= v <= 1 for colour in offered for v in colour)
        assert len({tuple(colour) for colour in offered}) == len(offered) <= 14
