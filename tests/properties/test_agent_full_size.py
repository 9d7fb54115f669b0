# ruff: noqa: E501, F821
"The loop of a full-size run, walked on the device `meta`: it has shapes and no numbers, so whoever asks for one fails."
import pytest
import torch

from sgpaint.agent.algorithms import Game, Learner, act
from sgpaint.agent.environment import Collector
from sgpaint.agent.buffers import EpisodeBuffer, mirrored
from sgpaint.agent.rewards import L2
from sgpaint.agent.config import build_env, configure
from sgpaint.agent.training import build_players, distance_at, recipe_of
from sgpaint.guide.guidance import Guidance

SIZE, BATCH = 32, 6


def nowhere(preset, **choices):
    "A game of a preset whose networks are on the device meta, and what draws its pictures."
    config = configure(preset, size=SIZE, strokes=20, batch=BATCH, num_envs=BATCH, compile=False, collect_steps=1, every=1,
                       episodes=0 if preset == "h100-small" else 2 * BATCH, **choices)
    env = build_env(config)
    players = build_players(config, env).to("meta")
    scales = dict.fromkeys(("l2", "wgan"), 1.0)
    game = Game(env, players, recipe_of(config), distance_at(config, players, scales, config.learning.updates))

    def fresh(n, generator):
        mask = torch.empty(n, 1, SIZE, SIZE, device="meta")
        guidance = Guidance(mask, torch.empty(n, 4, device="meta"), mask) if env.guided else None
        return env.reset(torch.empty(n, 3, SIZE, SIZE, device="meta"), guidance)
    return config, game, fresh


@pytest.mark.parametrize("preset", ["h100", "h100-small"])
def test_no_step_and_no_update_waits_for_the_device(preset, monkeypatch):
    config, game, fresh = nowhere(preset)
    generator = torch.Generator().manual_seed(0)
    pool = Collector(game.env, fresh, config.collection.num_envs, generator, mixed=not config.collection.lockstep)
    ring = EpisodeBuffer(game.env, (SIZE, SIZE), config.collection.buffer_episodes, config.collection.num_envs, "meta") if config.collection.buffer_episodes else None
    learner = Learner(game)
    for _ in range(2 * game.env.steps + 1):  # every painting begins anew at least twice
        step = pool.taken.clone()
        t = pool.advance(lambda state: act(game, state))
        if ring is not None:
            ring.add(t, step)
            t = ring.sample(config.learning.batch, generator, "meta")
    batch = mirrored(t, game.env, generator)
    learner.update(batch)  # an optimizer makes its own tensors once
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("a constant is carried to the device"))
    mirrored(pool.advance(lambda state: act(game, state)), game.env, generator)
    metrics = learner.update(batch)
    assert {x.device.type for x in metrics.values()} == {"meta"}


def test_meta_does_notice_a_question():
    config, game, fresh = nowhere("h100-small")
    class Asking(L2):
        def __call__(self, canvas, target, guidance=None):
            return super().__call__(canvas, target) if canvas.amax() <= 1 else canvas.sum((1, 2, 3))
    game.distance = Asking()
    t = Collector(game.env, fresh, BATCH, torch.Generator()).advance(lambda state: act(game, state))
    with pytest.raises(RuntimeError, match="meta"): Learner(game).update(t)
