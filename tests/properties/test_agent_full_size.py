"The loop of a full-size run, walked on the device `meta`: it has shapes and no numbers, so whoever asks for one fails."
import pytest
import torch

from sgpaint.agent.ddpg import Game, Learner, act
from sgpaint.agent.episode import Pool
from sgpaint.agent.replay import Replay, mirrored
from sgpaint.agent.rewards import L2
from sgpaint.agent.training import build_episode, build_players, configure, distance_at, recipe_of
from sgpaint.guide.guidance import Guide

SIZE, BATCH = 32, 6


def nowhere(preset, **choices):
    "A game of a preset whose networks are on the device meta, and what draws its pictures."
    config = configure(preset, size=SIZE, strokes=20, batch=BATCH, canvases=BATCH, compile=False, acts=1, every=1,
                       episodes=0 if preset == "h100-small" else 2 * BATCH, **choices)
    episode = build_episode(config)
    players = build_players(config, episode).to("meta")
    scales = dict.fromkeys(("l2", "wgan"), 1.0)
    game = Game(episode, players, recipe_of(config), distance_at(config, players, scales, config.updates))

    def fresh(n, generator):
        mask = torch.empty(n, 1, SIZE, SIZE, device="meta")
        guide = Guide(mask, torch.empty(n, 4, device="meta"), mask) if episode.guided else None
        return episode.reset(torch.empty(n, 3, SIZE, SIZE, device="meta"), guide)
    return config, game, fresh


@pytest.mark.parametrize("preset", ["h100", "h100-small"])
def test_no_step_and_no_update_waits_for_the_device(preset, monkeypatch):
    config, game, fresh = nowhere(preset)
    generator = torch.Generator().manual_seed(0)
    pool = Pool(game.episode, fresh, config.canvases, generator, mixed=not config.lockstep)
    ring = Replay(game.episode, (SIZE, SIZE), config.episodes, config.canvases, "meta") if config.episodes else None
    learner = Learner(game)
    for _ in range(2 * game.episode.steps + 1):  # every painting begins anew at least twice
        step = pool.taken.clone()
        t = pool.advance(lambda state: act(game, state))
        if ring is not None:
            ring.add(t, step)
            t = ring.sample(config.batch, generator, "meta")
    batch = mirrored(t, game.episode, generator)
    learner.update(batch)  # an optimizer makes its own tensors once
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("a constant is carried to the device"))
    mirrored(pool.advance(lambda state: act(game, state)), game.episode, generator)
    metrics = learner.update(batch)
    assert {x.device.type for x in metrics.values()} == {"meta"}


def test_meta_does_notice_a_question():
    config, game, fresh = nowhere("h100-small")
    class Asking(L2):
        def __call__(self, canvas, target, guide=None):
            return super().__call__(canvas, target) if canvas.amax() <= 1 else canvas.sum((1, 2, 3))
    game.distance = Asking()
    t = Pool(game.episode, fresh, BATCH, torch.Generator()).advance(lambda state: act(game, state))
    with pytest.raises(RuntimeError, match="meta"): Learner(game).update(t)
