"""The update: rewards telescope, networks learn in turn, every preset and reward works, a picture can be learned."""
import copy
import itertools
from dataclasses import replace

import pytest
import torch

from sgpaint.agent.algorithms import ALGORITHMS, Learning
from sgpaint.agent.buffers import EpisodeBuffer
from sgpaint.agent.config import PRESETS, configure
from sgpaint.agent.environment import Collector, PaintingEnv, Transition, rollout
from sgpaint.agent.rewards import L2, Adversarial, WeightedSum
from sgpaint.agent.training import Session, train
from sgpaint.lab.config import ConfigError
from sgpaint.lab.config import replace as replace_options
from sgpaint.lab.machine import seed_everything
from sgpaint.scene.procedural import draw_images

ENV = PaintingEnv(strokes=10, bundle=5)
WITH_CRITIC = [name for name in ALGORITHMS if name != "dense"]  # test_agent_dense.py tries that one


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    seed_everything(0)


def new_algorithm(algorithm="model-based", rewards="l2", scale=0.02, **options):
    "An algorithm with the small networks, whose reward is l2, adversarial or half of each."
    options = dict(polyak=0.01, actor_lr=(1e-3, 1e-3), critic_lr=(1e-3, 1e-3), discriminator_lr=(1e-4, 1e-4),
                   gamma=0.95, max_grad_norm=1.0) | options
    learning, kind = Learning(algorithm=algorithm, **options), ALGORITHMS[algorithm]
    networks = kind.build_networks(ENV, learning, [] if rewards == "l2" else ["discriminator"])
    parts = [(1.0, L2())]
    if rewards != "l2":
        adversarial = Adversarial(networks.target["discriminator"])
        parts = [(1.0, adversarial)] if rewards == "wgan" else [(0.5, L2()), (0.5, adversarial)]
    made = kind(replace(ENV, rewards=WeightedSum(parts)), networks, learning)
    made.reward_scale = scale
    return made


def random_transition(target):
    "One stored step of random strokes, the first of its painting for every second picture."
    state = ENV.transition(ENV.reset(target), torch.rand(len(target), ENV.action_size))
    state.step[::2] = 0
    action = torch.rand(len(target), ENV.action_size)
    after = ENV.transition(state, action)
    return Transition(state, action, after, ENV.terminated(after))


def values(net):
    return {name: x.clone() for name, x in net.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("rewards", ["l2", "wgan", "mix"])
def test_the_rewards_of_a_whole_painting_telescope(rewards):
    algorithm, target = new_algorithm(rewards=rewards, scale=0.3), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        states = [ENV.reset(target), *(state for state, _ in rollout(ENV, algorithm.select_action, target))]
        total = sum(algorithm.reward(a, b) for a, b in itertools.pairwise(states))
        first, last = (algorithm.env.rewards.distance(states[i].canvas, target) for i in (0, -1))
    torch.testing.assert_close(total, (first - last) / algorithm.reward_scale, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", WITH_CRITIC)
def test_one_network_learns_at_a_time(name):
    algorithm = new_algorithm(name, "l2" if name == "patchq" else "mix")
    online, target = algorithm.networks.online, algorithm.networks.target
    seen, resting, losses = [], values(target), algorithm.losses()

    def watched(network, loss):
        def compute(t):
            seen.append((network, {n: values(net) for n, net in online.items()}))
            assert any(p.requires_grad for p in online["critic"].parameters()) == (network == "critic")
            return loss(t)
        return compute

    algorithm.losses = lambda: {network: watched(network, loss) for network, loss in losses.items()}
    algorithm.update(random_transition(torch.rand(4, 3, 32, 32)))
    assert [network for network, _ in seen] == [n for n in ("critic", "actor", "discriminator") if n in online]  # H-21
    end = {n: values(net) for n, net in online.items()}
    for (network, then), now in zip(seen, [*(v for _, v in seen[1:]), end], strict=True):
        assert [n for n in online if not same(then[n], now[n])] == [network]
    moved = values(target)
    assert not same(resting, moved)
    for key, old in resting.items():
        rate = 1.0 if key.startswith("discriminator") else 0.01
        torch.testing.assert_close(moved[key], old.lerp(online.state_dict()[key], rate), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", WITH_CRITIC)
@pytest.mark.parametrize("bootstrap_next", [False, True])
@pytest.mark.parametrize("previous_canvas", [False, True])
def test_what_a_critic_may_observe(name, bootstrap_next, previous_canvas):
    if previous_canvas and not (bootstrap_next and name == "model-based"):
        with pytest.raises(ConfigError, match="previous_canvas"):
            configure(algorithm=name, bootstrap_next=bootstrap_next, previous_canvas=previous_canvas)
        return
    algorithm = new_algorithm(name, bootstrap_next=bootstrap_next, previous_canvas=previous_canvas)
    metrics = algorithm.update(random_transition(torch.rand(4, 3, 32, 32)))
    assert metrics["critic_norm"] > 0 and metrics["actor_norm"] > 0 and all(x.isfinite() for x in metrics.values())


@pytest.mark.parametrize("bootstrap_next", [False, True])
def test_the_critic_learns_equation_three(bootstrap_next):
    algorithm, t = new_algorithm(bootstrap_next=bootstrap_next), random_transition(torch.rand(4, 3, 32, 32))
    online, target, distance = algorithm.networks.online, algorithm.networks.target, L2().distance
    with torch.no_grad():
        a, b = t.state, t.after
        if bootstrap_next: a, b = t.after, ENV.transition(t.after, target["actor"](ENV.observe(t.after)))
        going_on = (a.step < ENV.steps).float(), (b.step < ENV.steps).float()
        reward = (distance(a.canvas, a.target) - distance(b.canvas, b.target)) / algorithm.reward_scale
        expected = reward + 0.95**5 * target["critic"](ENV.observe(b)) * going_on[1]
        loss = (online["critic"](ENV.observe(a)) * going_on[0] - expected * going_on[0]).square().mean()
    torch.testing.assert_close(algorithm.critic_loss(t), loss, rtol=1e-4, atol=1e-5)


def test_importance_weights_scale_the_errors_of_the_critic():
    target = torch.rand(4, 3, 32, 32)
    algorithm, t = new_algorithm(), random_transition(target)
    plain = algorithm.critic_loss(t)
    errors = algorithm.td_error
    torch.testing.assert_close(errors.square().mean(), plain)
    torch.testing.assert_close(algorithm.critic_loss(t._replace(weights=torch.ones(4))), plain)
    weights = torch.tensor([1.0, 0.5, 0.25, 0.1])
    weighted = algorithm.critic_loss(t._replace(weights=weights))
    torch.testing.assert_close(weighted, (weights * errors.square()).mean())


def test_a_restored_algorithm_goes_on_alike():
    first, second = (new_algorithm(rewards="mix") for _ in range(2))
    transitions = [random_transition(torch.rand(2, 3, 32, 32)) for _ in range(2)]
    first.update(transitions[0])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    metrics = []
    for algorithm in (first, second):
        torch.manual_seed(1)                                   # draws the points of the gradient penalty
        metrics.append(algorithm.update(transitions[1]))
    assert second.updates == 2 and metrics[0] == metrics[1]


def smallest(preset, **choices):
    "A session of a preset at smoke size on built-in birds, its buffer filled as far as the preset says."
    config = configure(preset, smoke=True, dataset="birds", source="builtin", device="cpu", **choices)
    session = Session(config)
    session.collect(config.collection.learning_starts)
    return session


def updates(session, count=1):
    "Every metric of so many updates is finite, and the actor has moved."
    before = values(session.algorithm.networks.online["actor"])
    for _ in range(count):
        session.prepare()
        assert all(x.isfinite() for x in session.algorithm.update(session.next_batch()).values())
    assert not same(before, values(session.algorithm.networks.online["actor"]))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_takes_an_update(preset):
    updates(smallest(preset))


@pytest.mark.parametrize("rewards", ["l2", "wgan", "mix", "warm"])
def test_every_reward_takes_updates(rewards):
    session = smallest("small", rewards=rewards)
    updates(session, 3)                                        # one before the change of reward, one in it, one after
    assert set(session.scales) == {"l2": {"l2"}, "wgan": {"adversarial"}}.get(rewards, {"l2", "adversarial"})
    updates(smallest("paper", rewards=rewards))


@pytest.mark.parametrize("preset", ["small", "dense"])
def test_an_update_in_bf16_on_a_cpu_is_the_update_rounded(preset):
    "The weights stay float32; losses differ from those in float32 by rounding, and do differ."
    losses = []
    for precision in ("fp32", "bf16"):
        session = smallest(preset, precision=precision)
        session.prepare()
        losses.append(session.algorithm.update(session.next_batch())["actor_loss"])
        assert {x.dtype for x in session.algorithm.networks.parameters()} == {torch.float32}
        action = session.algorithm.select_action(session.draw(2, session.generator))
        assert action.dtype == torch.float32 and 0 <= action.min() and action.max() <= 1
    assert losses[0] != losses[1]
    torch.testing.assert_close(losses[1], losses[0], rtol=0.2, atol=0.05)


def test_an_actor_that_starts_later_rests_while_the_others_learn():
    config = replace_options(configure("wgan", smoke=True, device="cpu"), actor_starts=2)
    session = Session(config)
    online, target = session.algorithm.networks.online, session.algorithm.networks.target
    first = {name: values(net) for name, net in online.items()}
    for update in (1, 2, 3):
        session.prepare()
        session.algorithm.update(session.next_batch())
        assert same(first["actor"], values(online["actor"])) == (update <= 2)
        assert not same(first["critic"], values(online["critic"]))
        for key, x in target["discriminator"].state_dict().items():  # it scores as it is now
            torch.testing.assert_close(x, online["discriminator"].state_dict()[key], rtol=1e-6, atol=1e-8)


def test_what_a_recorded_update_cannot_follow_is_refused():
    configure(cuda_graphs=True)
    configure("wgan", cuda_graphs=True, normalise_rewards=False)
    with pytest.raises(ConfigError, match="cannot follow the scale"): configure("wgan", cuda_graphs=True)


def test_the_scale_of_a_learned_reward_follows_its_discriminator():
    "The discriminator's scores grow a thousandfold: the rewards that the agent learns from do not."
    session = smallest("small", rewards="wgan")

    def size():
        session.prepare()
        batch = session.next_batch()
        return session.algorithm.reward(batch.state, batch.after).square().mean().sqrt().item()
    first = [size() for _ in range(20)][-1]
    scale = session.scales["adversarial"]
    with torch.no_grad():
        discriminator = session.algorithm.networks.target["discriminator"]
        last = [x for name, x in discriminator.named_parameters() if "weight.original0" in name][-1]
        last.mul_(1000)
    then = [size() for _ in range(20)]
    assert 0.2 < first < 5 and max(then) < 25 and 0.2 < then[-1] < 5
    assert session.scales["adversarial"] > 100 * scale
    fixed = smallest("small", rewards="l2")
    updates(fixed)
    kept = dict(fixed.scales)
    updates(fixed, 2)
    assert fixed.scales == kept                                # no discriminator: measured once


@pytest.mark.parametrize("name", WITH_CRITIC)
def test_one_picture_can_be_learned(name):
    bird = torch.as_tensor(draw_images("birds", [3], (32, 32))).float() / 255
    free = not ALGORITHMS[name].model_based                    # its critic must see many kinds of strokes first: noise
    if free: seed_everything(1)                                # without the renderer not every seed gets anywhere
    algorithm, errors = new_algorithm(name, scale=0.2, actor_lr=(3e-4, 3e-4) if free else (1e-3, 1e-3)), []
    def start(n, _): return ENV.reset(bird.expand(n, -1, -1, -1))
    collector = Collector(ENV, start, 8, torch.Generator().manual_seed(0))

    def error():
        *_, (state, _) = rollout(ENV, algorithm.select_action, bird)
        return L2().distance(state.canvas, bird).item()

    def policy(state):
        action = algorithm.select_action(state)
        return (action + 0.3 * free * torch.randn(action.shape)).clamp(0, 1)

    for _ in range(3):
        errors.append(error())
        for _ in range(12 if free else 8): algorithm.update(collector.collect(policy))
    errors.append(error())
    assert min(errors) < (0.95 if free else 0.3) * errors[0], errors


TINY = dict(smoke=True, device="cpu", evaluate_every=1)
LOOPS = {"the step just taken": dict(rewards="warm"), "a buffer": dict(rewards="mix", buffer_episodes=130),
         "a guided agent": dict(preset="guided", observe_focus=False, focus_weight=0.0, rewards="wgan")}


@pytest.mark.parametrize("name", LOOPS)
def test_train_is_collect_prepare_sample_update(name, tmp_path):
    "The rows that `train` logs are those of its loop written out, bit for bit."
    config = replace_options(configure(**TINY | LOOPS[name], out_dir=str(tmp_path)), evaluate_every=1)
    rows = train(config, say=lambda _: None).rows
    session = Session(config)
    session.collect(config.collection.learning_starts)
    for row in rows:
        if session.buffer is not None: session.collect(config.collection.collect_steps)
        session.prepare()
        metrics = session.algorithm.update(session.next_batch())
        assert row["step"] == session.algorithm.updates and set(metrics) < set(row)
        assert {key: float(value) for key, value in metrics.items()} == {key: row[key] for key in metrics}
    assert len(rows) == config.learning.updates


@pytest.mark.parametrize("bootstrap_next", [False, True])
def test_a_buffer_gives_the_batch_that_the_collector_gave(bootstrap_next):
    "Within the rounding to bytes the update is the same."
    algorithm, twin = (new_algorithm(bootstrap_next=bootstrap_next, scale=0.2) for _ in range(2))
    twin.load_state_dict(copy.deepcopy(algorithm.state_dict()))
    def start(n, g): return ENV.reset(torch.rand(n, 3, 1, 1, generator=g).expand(n, 3, 32, 32))
    collector, buffer = Collector(ENV, start, 4, torch.Generator().manual_seed(0)), EpisodeBuffer(ENV, (32, 32), 9, 4)
    for _ in range(3):
        taken = collector.steps_taken.clone()
        t = collector.collect(algorithm.select_action)
        buffer.add(t, taken)
    stored = buffer.get(buffer.row, taken)
    for name, x in t.state.tensors().items():
        torch.testing.assert_close(stored.state.tensors()[name], x, rtol=0, atol=0.5 / 255 + 1e-6)
    assert torch.equal(stored.action, t.action) and torch.equal(stored.terminated, t.terminated)
    one, other = algorithm.update(t), twin.update(stored)
    for name in one: torch.testing.assert_close(one[name], other[name], rtol=0.1, atol=0.02)
