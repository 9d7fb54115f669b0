"An agent and a gradient that take turns: the agent's order, any shape of picture, the same twice."
import pytest
import torch

from sgpaint.agent.painter import Agent, paint_polished, paint_with, shipped_agent
from sgpaint.agent.training import build_episode, build_players, configure
from sgpaint.scene.procedural import draw


@pytest.mark.parametrize("size", [(64, 64), (48, 96), (20, 10), (200, 130)])
def test_turns_bring_a_painting_nearer_in_the_order_of_the_agent(size):
    agent, picture = shipped_agent(), draw("cars", 77, size).image
    alone, turns = paint_with(agent, picture), paint_polished(agent, picture)
    assert turns.size == size and torch.equal(turns.step, alone.step) and len(turns) == agent.episode.strokes
    assert turns.error(picture) < 0.7 * alone.error(picture)
    assert torch.equal(turns.strokes, paint_polished(agent, picture).strokes)
    fell = (picture**2).mean() - turns.error(picture)
    assert abs(turns.reward.sum() - fell) < 0.1 * fell  # measured on a copy of another size


def test_a_guided_agent_is_refused():
    config = configure("guided", smoke=True)
    episode = build_episode(config)
    agent = Agent(build_players(config, episode).live["actor"].eval(), episode, config)
    with pytest.raises(ValueError, match="without guidance.*use paint_with and refine"):
        paint_polished(agent, torch.rand(3, 32, 32))
