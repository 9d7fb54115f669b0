"""The environment: gradients, mirrors, ends; collectors that stay mixed and resume; floats that do not drift."""
import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpaint.agent.environment import Collector, PaintingEnv, State, channel
from sgpaint.guide.guidance import make_guidance
from sgpaint.lab.config import ConfigError, build
from sgpaint.stroke.blend import paint
from sgpaint.stroke.primitive import PRIMITIVES

SIZE = (16, 24)
CHOICES = [dict(primitive=name) for name in PRIMITIVES] + [dict(encoding="huang"), dict(encoding="nakano")]


def starts(env):
    return lambda n, g: env.reset(torch.rand(n, 3, 1, 1, generator=g).expand(n, 3, *SIZE))


@pytest.mark.parametrize("choices", CHOICES, ids=lambda choices: next(iter(choices.values())))
def test_an_episode_from_reset_to_its_end(choices):
    env = PaintingEnv(strokes=6, bundle=3, **choices)
    state = env.reset(torch.rand(2, 3, *SIZE))
    for step in range(env.steps):
        assert (state.step == step).all() and not env.terminated(state).any()
        action = torch.rand(2, env.action_size, requires_grad=True)
        after = env.transition(state, action)
        assert torch.equal(after.canvas, paint(state.canvas, env.decode(action), env.primitive))
        assert after.canvas.dtype == torch.float32 and after.target is state.target
        slope, = torch.autograd.grad((after.canvas - after.target).square().mean(), action)
        assert slope.isfinite().all() and slope.abs().sum() > 0
        state = State(after.canvas.detach(), after.target, after.step)
    assert env.terminated(state).all()


@pytest.mark.parametrize("choices", CHOICES, ids=lambda choices: next(iter(choices.values())))
def test_a_mirrored_transition_is_a_transition(choices):
    env = PaintingEnv(strokes=4, bundle=2, **choices)
    state = env.transition(env.reset(torch.rand(3, 3, *SIZE)), torch.rand(3, env.action_size))
    action = torch.rand(3, env.action_size)
    one, other = env.transition(state.mirror(), env.mirror(action)), env.transition(state, action).mirror()
    different = ((one.canvas - other.canvas).abs() > 1e-3).float().mean()  # a pixel on a tie may differ
    assert different < 0.005
    assert torch.allclose(env.mirror(env.mirror(action)), action, atol=1e-6)


def test_channels_are_canvas_target_step_coordinates_and_the_observed_maps():
    env = PaintingEnv(strokes=4, bundle=2, observes=("mask", "focus"))
    guidance = make_guidance((torch.rand(2, 1, *SIZE) > 0.3).float(), SIZE, focus=torch.rand(2, 1, *SIZE))
    state = env.transition(env.reset(torch.rand(2, 3, *SIZE), guidance), torch.rand(2, env.action_size))
    observation = env.observe(state, previous_canvas=torch.zeros_like(state.canvas))
    assert observation.shape == (2, 14, *SIZE)
    assert (observation[:, :3] == 0).all() and torch.equal(observation[:, 3:6], state.canvas)
    assert torch.equal(observation[:, 6:9], state.target) and (observation[:, 9] == 0.5).all()
    assert torch.equal(observation[:, 12:13], guidance.mask) and torch.equal(observation[:, 13:], guidance.focus)
    plain = env.observe(state)
    assert torch.equal(plain[:, channel("target", env.observes)], state.target)
    assert torch.equal(plain[:, channel("focus", env.observes)], guidance.focus)
    second = state[[1]].guidance
    assert torch.equal(second.mask, guidance.mask[[1]]) and torch.equal(second.box, guidance.box[[1]])
    assert torch.equal(state.mirror().guidance.mask, guidance.mask.flip(-1))


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["paper", "masked"]), st.integers(0, 4), st.integers(0, 10**6))
def test_two_levels_are_eq_3_then_eq_4(blend_mode, foreground, seed):
    generator = torch.Generator().manual_seed(seed)
    env = PaintingEnv(strokes=4, bundle=4, blend_mode=blend_mode, foreground_strokes=foreground)
    mask = (torch.rand(1, 1, *SIZE, generator=generator) > 0.3).float()
    state = env.reset(torch.rand(1, 3, *SIZE, generator=generator), make_guidance(mask, SIZE))
    state = State(torch.rand(1, 3, *SIZE, generator=generator), state.target, state.step, state.guidance)
    action = torch.rand(1, env.action_size, generator=generator)
    canvas = state.canvas
    for stroke, layer in zip(env.decode(action)[0], env.levels, strict=True):
        own = mask if layer else 1 - mask
        alpha = paint(torch.zeros(1, 3, *SIZE), torch.cat([stroke[:-3], torch.ones(3)]).view(1, 1, -1))[:, :1]
        inked = paint(torch.zeros(1, 3, *SIZE), stroke.view(1, 1, -1))
        erased = alpha * own if blend_mode == "masked" else alpha
        canvas = canvas * (1 - erased) + inked * own
    assert torch.allclose(env.transition(state, action).canvas, canvas, atol=2e-4)


@pytest.mark.parametrize("blend_mode", ["paper", "masked"])
def test_a_mirrored_transition_of_two_levels_is_a_transition(blend_mode):
    env = PaintingEnv(strokes=5, blend_mode=blend_mode, observes=("mask",))
    guidance = make_guidance((torch.rand(3, 1, *SIZE) > 0.5).float(), SIZE)
    state, action = env.reset(torch.rand(3, 3, *SIZE), guidance), torch.rand(3, env.action_size)
    one, other = env.transition(state.mirror(), env.mirror(action)), env.transition(state, action).mirror()
    assert ((one.canvas - other.canvas).abs() > 1e-3).float().mean() < 0.005
    assert torch.allclose(one.guidance.box, other.guidance.box, atol=1e-6)


@settings(max_examples=15)
@given(batch=st.integers(1, 7), bundles=st.integers(1, 6), mixed=st.booleans(), seed=st.integers(0, 1000))
def test_a_collector_against_one_painting_at_a_time(batch, bundles, mixed, seed):
    env = PaintingEnv(strokes=bundles, bundle=1, primitive="block")
    generator = torch.Generator().manual_seed(seed)
    actions = torch.Generator().manual_seed(seed)
    collector = Collector(env, starts(env), batch, generator, mixed)
    before, previous = collector.state, None
    for _ in range(3 * bundles):
        t = collector.collect(lambda s: torch.rand(len(s), 7, generator=actions))
        state, action, after, terminated = t.state, t.action, t.after, t.terminated
        for i in range(batch):
            alone = env.transition(state[i:i + 1], action[i:i + 1])
            assert torch.allclose(after.canvas[i:i + 1], alone.canvas, atol=1e-6)
            assert after.step[i] == state.step[i] + 1 <= bundles
            assert terminated[i] == (after.step[i] == bundles)
            if previous is not None and state.step[i] > 0:  # the painting went on
                assert torch.equal(state.canvas[i], previous.canvas[i])
                assert torch.equal(state.target[i], previous.target[i])
            elif previous is not None:  # a new one: an empty canvas
                assert (state.canvas[i] == 0).all()
        if not mixed:
            assert len(state.step.unique()) == 1
        previous = after
    assert (before.canvas == 0).all()  # states handed out are never painted over
    if mixed and batch >= bundles:
        assert len(collector.state.step.unique()) == bundles  # every step is there


def test_a_collector_resumes_where_it_stopped():
    env = PaintingEnv(strokes=6, bundle=2)
    policy = lambda state: torch.full((len(state), env.action_size), 0.3)  # noqa: E731
    collector = Collector(env, starts(env), 5, torch.Generator().manual_seed(2))
    collector.collect(policy)
    saved = copy.deepcopy(collector.state_dict())
    ahead = [collector.collect(policy) for _ in range(7)][-1]
    restored = Collector(env, starts(env), 5, torch.Generator())
    restored.load_state_dict(saved)
    again = [restored.collect(policy) for _ in range(7)][-1]
    assert torch.equal(ahead.after.canvas, again.after.canvas) and torch.equal(ahead.after.target, again.after.target)


def test_floats_do_not_drift_and_truncated_bytes_do():
    torch.manual_seed(0)
    env = PaintingEnv(strokes=100, bundle=5)
    wide = cut = env.reset(torch.rand(2, 3, 32, 32))
    truth = wide.canvas.double()
    for _ in range(env.steps):
        action = torch.rand(2, 5, 13)
        action[..., 8:10] *= 0.1
        wide, cut = (env.transition(s, action.flatten(1)) for s in (wide, cut))
        cut = State((cut.canvas * 255).byte() / 255, cut.target, cut.step)
        truth = paint(truth, action.double())
    assert (wide.canvas - truth).abs().mean() < 1e-4 / 255 * 25
    assert 255 * (cut.canvas - truth).mean() < -1


@pytest.mark.parametrize("wrong, message", [
    (dict(strokes=12, bundle=5), "multiple of bundle"), (dict(strokes=-5), "positive"), (dict(bundle=0), "positive"),
    (dict(background="grey"), "'black' or 'white'"), (dict(encoding="public"), "known: absolute, huang, nakano"),
    (dict(primitive="circle", encoding="huang"), "use encoding 'absolute'"), (dict(primitive="spiral"), "unknown name"),
])
def test_an_environment_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        PaintingEnv(**wrong)


def test_an_environment_is_a_config():
    assert build(PaintingEnv, strokes=10).steps == 2
    with pytest.raises(ConfigError, match="strokes"):
        build(PaintingEnv, stroke=10)


@pytest.mark.parametrize("wrong", [torch.rand(3, 8, 8), torch.rand(1, 1, 8, 8), torch.full((1, 3, 8, 8), 255.0),
                                   torch.full((1, 3, 8, 8), torch.nan), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)])
def test_targets_that_are_not_pictures_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        PaintingEnv().reset(wrong)


def test_a_step_is_a_transition_with_its_reward():
    env, target = PaintingEnv(strokes=4, bundle=2), torch.rand(3, 3, *SIZE)
    state = env.reset(target)
    for taken in (1, 2):
        action = env.action_space.sample(3)
        assert env.action_space.contains(action) and env.observation_space(SIZE).contains(env.observe(state))
        after, reward, terminated = env.step(state, action)
        assert torch.equal(after.canvas, env.transition(state, action).canvas)
        fell = (state.canvas - target).square().mean((1, 2, 3)) - (after.canvas - target).square().mean((1, 2, 3))
        assert torch.allclose(reward, fell) and (terminated == (taken == env.steps)).all()
        state = after


@pytest.mark.parametrize("wrong", [torch.rand(2, 3), torch.rand(26), torch.rand(2, 2, 13)])
def test_actions_of_another_shape_are_refused(wrong):
    env = PaintingEnv(strokes=4, bundle=2)
    state = env.reset(torch.rand(2, 3, *SIZE))
    with pytest.raises(ValueError, match=r"expected actions \(B, 26\)"): env.step(state, wrong)
