"The loop of a full-size run on the device `meta`: it has shapes and no numbers, so code that needs a number fails."
from dataclasses import replace

import pytest
import torch

from sgpaint.agent.algorithms import ALGORITHMS
from sgpaint.agent.buffers import EpisodeBuffer, mirror_half
from sgpaint.agent.config import build_env, configure, rewards_at
from sgpaint.agent.environment import Collector
from sgpaint.agent.rewards import L2
from sgpaint.guide.guidance import Guidance

SIZE, BATCH = 32, 6


def on_meta(preset, **choices):
    "A config of a preset, its algorithm on the device meta, and what starts its paintings."
    episodes = 0 if preset == "h100-small" else 2 * BATCH
    config = configure(preset, size=SIZE, strokes=20, batch=BATCH, num_envs=BATCH, compile=False, cuda_graphs=False,
                       collect_steps=1, collect_every=1, buffer_episodes=episodes, **choices)
    learning, env = config.learning, build_env(config)
    kind = ALGORITHMS[learning.algorithm]
    networks = kind.build_networks(env, learning, config.discriminators).to("meta")
    env = replace(env, rewards=rewards_at(config, learning.updates, {}, networks))

    def start(n, generator):
        mask = torch.empty(n, 1, SIZE, SIZE, device="meta")
        guidance = Guidance(mask, torch.empty(n, 4, device="meta"), mask) if env.guided else None
        return env.reset(torch.empty(n, 3, SIZE, SIZE, device="meta"), guidance)
    return config, kind(env, networks, learning), start


@pytest.mark.parametrize("preset", ["h100", "h100-small"])
def test_no_step_and_no_update_waits_for_the_device(preset, monkeypatch):
    config, algorithm, start = on_meta(preset)
    collection, generator, env = config.collection, torch.Generator().manual_seed(0), algorithm.env
    collector = Collector(env, start, collection.num_envs, generator, mixed=not collection.lockstep)
    buffer = None
    if collection.buffer_episodes:
        buffer = EpisodeBuffer(env, (SIZE, SIZE), collection.buffer_episodes, collection.num_envs, "meta")
    for _ in range(2 * env.steps + 1):  # every painting starts again at least twice
        step = collector.steps_taken.clone()
        t = collector.collect(algorithm.select_action)
        if buffer is not None:
            buffer.add(t, step)
            t = buffer.sample(config.learning.batch, generator, "meta")
    batch = mirror_half(t, env, generator)
    algorithm.update(batch)  # an optimizer makes its own tensors once
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("a constant is carried to the device"))
    mirror_half(collector.collect(algorithm.select_action), env, generator)
    metrics = algorithm.update(batch)
    assert {x.device.type for x in metrics.values()} == {"meta"}


def test_meta_does_notice_a_question():
    _, algorithm, start = on_meta("h100-small")

    class Asking(L2):
        def distance(self, canvas, target, guidance=None):
            return super().distance(canvas, target) if canvas.amax() <= 1 else canvas.sum((1, 2, 3))
    algorithm.env = replace(algorithm.env, rewards=Asking())
    t = Collector(algorithm.env, start, BATCH, torch.Generator()).collect(algorithm.select_action)
    with pytest.raises(RuntimeError, match="meta"): algorithm.update(t)
