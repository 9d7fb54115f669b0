"An agent and a gradient take turns: any shape of picture, any number of strokes, the same twice."
import pytest
import torch

from sgpaint.agent.trained import Agent, paint_polished, paint_with, shipped_agent
from sgpaint.agent.config import build_env, configure
from sgpaint.agent.algorithms import ALGORITHMS
from sgpaint.scene.procedural import draw


@pytest.mark.parametrize("size", [(64, 64), (48, 96), (20, 10), (200, 130)])
def test_turns_bring_a_painting_nearer(size):
    agent, picture = shipped_agent("small"), draw("cars", 77, size).image
    alone, turns = paint_with(agent, picture), paint_polished(agent, picture)
    assert turns.size == size and len(turns) == len(alone) and (turns.step.diff() >= 0).all()
    assert turns.error(picture) < 0.5 * alone.error(picture)
    assert torch.equal(turns.strokes, paint_polished(agent, picture).strokes)
    fell = (picture**2).mean() - turns.error(picture)
    assert abs(turns.reward.sum() - fell) < 0.1 * fell  # measured on a copy of another size


@pytest.mark.parametrize("count", [1, 7, 130])
@pytest.mark.parametrize("name", ["small", "dense", None])
def test_any_number_of_strokes(count, name):
    picture = draw("birds", 5, (64, 64)).image
    painting = paint_polished(None if name is None else shipped_agent(name), picture, count)
    assert len(painting) == len(painting.step) == len(painting.reward) == count
    assert painting.error(picture) < (picture**2).mean()


def test_steps_may_be_none_and_counts_are_checked():
    picture = draw("birds", 5, (64, 64)).image
    assert len(paint_polished(shipped_agent(), picture, 10, each=0, last=0)) == 10
    with pytest.raises(ValueError, match="strokes: expected an integer of 1 or more, got 0"):
        paint_polished(shipped_agent(), picture, 0)


def test_a_guided_agent_is_refused():
    config = configure("guided", smoke=True)
    env = build_env(config)
    agent = Agent(ALGORITHMS[config.learning.algorithm].build_actor(env, config.learning).eval(), env, config)
    with pytest.raises(ValueError, match="without guidance; use paint_with"):
        paint_polished(agent, torch.rand(3, 32, 32))
