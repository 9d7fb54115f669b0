"""What limits a painter: each measure on strokes and agents for which the answer is known."""
from dataclasses import replace

import pytest
import torch

from sgpaint.agent.algorithms import ALGORITHMS
from sgpaint.agent.config import build_env, configure
from sgpaint.agent.diagnosis import (
    CHANCE,
    Diagnosis,
    bundle_gains,
    crowding,
    diagnose,
    diagnose_paintings,
    diagnosis_chart,
    diagnosis_table,
    episode,
    late_states,
    memorise,
    polish_bundle,
    stroke_shapes,
    stroke_spread,
)
from sgpaint.agent.environment import PaintingEnv
from sgpaint.agent.trained import Agent, paint_many, paint_with
from sgpaint.lab.measure import mse
from sgpaint.scene.loading import load
from sgpaint.stroke.primitive import PRIMITIVES, random_strokes


def some_targets(count=4, size=32):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def an_agent(preset="small", **given):
    config = configure(preset, size=32, strokes=20, **given)
    torch.manual_seed(0)
    actor = ALGORITHMS[config.learning.algorithm].build_actor(build_env(config), config.learning)
    return Agent(actor.eval(), build_env(config), config)


def straight(angle, length=0.4, count=40):
    "Strokes through the middle at an angle in degrees."
    angle = torch.deg2rad(torch.as_tensor(angle, dtype=torch.float32)).expand(count)
    half = torch.stack([angle.cos(), angle.sin()], -1) * length / 2
    strokes = torch.rand(1, count, 13, generator=torch.Generator().manual_seed(0))
    strokes[..., 0:2], strokes[..., 2:4], strokes[..., 4:6] = 0.5 - half, torch.tensor(0.5), 0.5 + half
    strokes[..., 6:8] = 0.1
    return strokes


# ---- the strokes


@pytest.mark.parametrize("angle, share", [(0, 1), (90, 1), (172, 1), (8, 1), (45, 0), (101, 0), (78, 0)])
def test_strokes_within_ten_degrees_of_an_axis_are_counted(angle, share):
    spread = stroke_spread(straight(angle), stages=2)
    assert spread["axis_share"].tolist() == [share, share]
    assert spread["long_share"].tolist() == [1.0, 1.0] and spread["disc_share"].tolist() == [0.0, 0.0]


def test_random_angles_are_near_an_axis_by_chance():
    angles = 360 * torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    share = stroke_spread(straight(angles, count=20_000), stages=1)["axis_share"].item()
    assert abs(share - CHANCE) < 0.01 and CHANCE == pytest.approx(20 / 90)


def test_lengths_and_angles_are_those_of_the_picture_not_of_its_square():
    wide = stroke_shapes(straight(45.0), size=(32, 64))  # twice as wide as high
    torch.testing.assert_close(wide["length"], torch.full((1, 40), 0.2 * (2.0**2 * 2 + 2.0) ** 0.5))
    assert (wide["angle"] - torch.rad2deg(torch.atan(torch.tensor(0.5)))).abs().max() < 1e-3
    turned = straight(45.0)
    turned[..., 0:6] = turned[..., [4, 5, 2, 3, 0, 1]]  # painted from the other end
    torch.testing.assert_close(stroke_shapes(turned, size=(32, 64))["angle"], wide["angle"])


def test_a_short_stroke_is_a_disc_and_stages_follow_the_order():
    strokes = torch.cat([straight(0.0), straight(0.0, length=0.01)], 1)
    spread = stroke_spread(strokes, stages=2)
    assert spread["disc_share"].tolist() == [0.0, 1.0] and spread["long_share"].tolist() == [1.0, 0.0]
    assert spread["axis_share"][0] == 1 and spread["axis_share"][1].isnan()
    assert spread["length"][:, 1].tolist() == pytest.approx([0.4, 0.01], abs=1e-6)
    with pytest.raises(ValueError, match="stages: expected 1 to 80"): stroke_spread(strokes, stages=81)


@pytest.mark.parametrize("kind", sorted(PRIMITIVES))
def test_every_primitive_has_a_place_and_an_opacity(kind):
    strokes = random_strokes(30, kind, batch=2)
    shapes = stroke_shapes(strokes, kind)
    assert shapes["centre"].shape == (2, 30, 2) and shapes["opacity"].isfinite().all()
    assert shapes["length"].isfinite().all() == ("r2" in PRIMITIVES[kind].columns)
    assert 0 <= crowding(strokes, kind)["same_cell"] <= 1
    assert stroke_spread(strokes, kind)["opacity"].shape == (4, 3)


def test_equal_strokes_crowd_and_strokes_in_different_cells_do_not():
    assert crowding(straight(30.0)) == {"same_cell": 1.0, "distinct_cells": pytest.approx(1 / 40)}
    places = (torch.arange(8) + 0.5) / 8
    apart = torch.full((3, 8, 13), 0.5)
    apart[..., 0], apart[..., 2], apart[..., 4] = places, places, places
    assert crowding(apart) == {"same_cell": 0.0, "distinct_cells": 1.0}
    pair = torch.cat([apart, apart], 1)  # every cell twice: 8 of 120 pairs
    assert crowding(pair) == {"same_cell": pytest.approx(8 / 120), "distinct_cells": 0.5}
    with pytest.raises(ValueError, match="bundles of 2 strokes or more"): crowding(apart[:, :1])


# ---- the gains


@pytest.mark.parametrize("env", [
    PaintingEnv(strokes=10),
    PaintingEnv(strokes=10, primitive="circle"),
    PaintingEnv(strokes=10, encoding="huang", background="white"),
    PaintingEnv(strokes=10, opacity="ink"),
])
def test_adam_never_loses_and_steps_help(env):
    state = env.reset(some_targets())
    strokes = env.decode(env.action_space.sample(4, torch.Generator().manual_seed(1)))
    same, first = polish_bundle(env, state, strokes, steps=0)
    torch.testing.assert_close(same, strokes)
    torch.testing.assert_close(first, mse(env.draw(state, strokes), state.target))
    better, least = polish_bundle(env, state, strokes, steps=8)
    assert (least <= first).all() and least.sum() < 0.98 * first.sum()
    low, high = PRIMITIVES[env.primitive].bounds()
    assert ((better >= low) & (better <= high)).all()


def test_pictures_are_polished_each_by_itself():
    env, targets = PaintingEnv(strokes=10), some_targets(3)
    strokes = random_strokes(5, batch=3, generator=torch.Generator().manual_seed(2))
    together = polish_bundle(env, env.reset(targets), strokes, 4)[1]
    alone = torch.cat([polish_bundle(env, env.reset(targets[i:i + 1]), strokes[i:i + 1], 4)[1] for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-5)


def test_the_course_is_the_painting_and_its_gains_add_up():
    agent, targets = an_agent(), some_targets()
    course = list(episode(agent, targets))
    assert len(course) == agent.env.steps and torch.equal(course[-1][2].canvas, paint_many(agent, targets))
    assert [int(state.step[0]) for state, _, _ in course] == list(range(agent.env.steps))
    gains = bundle_gains(agent.env, course, at=99, steps=2)
    assert gains["step"].tolist() == list(range(agent.env.steps)) and (gains["adam"] >= gains["own"]).all()
    left = gains["error"][0] * (1 - gains["own"]).prod(0)  # the shares that each bundle leaves
    torch.testing.assert_close(left, mse(course[-1][2].canvas, targets), rtol=1e-3, atol=1e-5)


def test_states_to_memorise_are_late_and_one_for_each_picture():
    agent, targets = an_agent(), some_targets(5)
    course = list(episode(agent, targets))
    states = late_states(course)
    assert torch.equal(states.target, targets) and (states.step >= agent.env.steps // 2).all()
    assert all(torch.equal(states.canvas[i], course[int(t)][0].canvas[i]) for i, t in enumerate(states.step))


# ---- memory


@pytest.mark.parametrize("preset", ["small", "dense"])
def test_what_is_memorised_gets_better_and_the_agent_stays(preset):
    agent = an_agent(preset)
    states = late_states(list(episode(agent, some_targets(4))))
    before = [p.clone() for p in agent.actor.parameters()]
    found = memorise(agent, states[:2], states[2:], updates=12, rate=3e-3, steps=3)
    assert found["update"] == [0, 2, 4, 6, 8, 10, 12] and found["memorised"][-1] > found["memorised"][0]
    assert all(torch.equal(a, b) for a, b in zip(before, agent.actor.parameters(), strict=True))
    assert all(p.grad is None for p in agent.actor.parameters())


def test_a_fresh_actor_follows_the_seed_alone():
    agent = an_agent()
    states = late_states(list(episode(agent, some_targets(2))))
    def run(seed): return memorise(agent, states, states, updates=1, fresh=True, steps=1, seed=seed)
    torch.manual_seed(1)
    one = run(5)
    torch.manual_seed(2)
    assert run(5) == one != run(6) and one["memorised"] == one["held_out"]
    with pytest.raises(ValueError, match="updates: expected 1 or more, got 0"):
        memorise(agent, states, states, updates=0)


# ---- all of it


def test_a_diagnosis_has_its_numbers_a_table_and_a_chart():
    scenes = load("birds", "test", 32, source="builtin", count=4)
    found = {"small": diagnose(an_agent(), scenes, steps=2, updates=2)}
    numbers = found["small"].numbers()
    assert numbers["adam_gain"] >= numbers["own_gain"] and numbers["amortisation_gap"] == pytest.approx(
        1 - numbers["own_gain"] / numbers["adam_gain"])
    assert {"same_cell", "memorised", "unseen", "long_share"} <= numbers.keys()
    without = diagnose(an_agent(), scenes, steps=2, updates=0)
    assert without.memory is None and "memorised" not in without.numbers()
    assert without.numbers().items() <= numbers.items()
    found["paintings"] = diagnose_paintings([paint_with(an_agent(), scenes[0].image)] * 2)
    table = diagnosis_table(found).splitlines()
    assert table[0] == "| | small | paintings |" and all(line.count("|") == 4 for line in table)
    assert any(line.startswith("| amortisation gap |") and line.endswith("| – |") for line in table)
    assert diagnosis_chart(found).pil().width > 400


def test_a_guided_agent_on_two_levels_is_measured_too():
    agent = an_agent("guided", focus_weight=0.0, observe_focus=False)
    found = diagnose(agent, load("birds", "test", 32, source="builtin", count=4), steps=2, updates=2)
    assert isinstance(found, Diagnosis) and found.memory is not None and found.gains is not None
    assert (found.gains["adam"] >= found.gains["own"]).all()


def test_without_a_gradient_only_strokes_are_measured():
    agent = an_agent()
    blind = type("Blind", (), {"name": "blind", "differentiable": False, "primitives": ("bezier",), "in_browser": False,
                               "__call__": lambda self, *given: None})
    with pytest.raises(ValueError, match="differentiable renderer"):
        polish_bundle(replace(agent.env, renderer=blind()), agent.env.reset(some_targets()), random_strokes(5, batch=4))


def test_what_cannot_be_measured_is_refused():
    agent = an_agent()
    with pytest.raises(ValueError, match="2 pictures or more"):
        diagnose(agent, load("birds", "test", 32, source="builtin", count=1))
    with pytest.raises(ValueError, match="32 pixels, the agent's size, got 64"):
        diagnose(agent, load("birds", "test", 64, source="builtin", count=2))
