"""Dense proposals: gains are exact, everything painted is legal, every door takes the algorithm."""
from dataclasses import replace

import pytest
import torch

from sgpaint.agent.algorithms import ALGORITHMS, Learning, check_algorithm
from sgpaint.agent.config import build_env, configure
from sgpaint.agent.dense import DenseActor, DenseProposals, choose_apart, optimize_each, solve_colours
from sgpaint.agent.environment import PaintingEnv, Transition, rollout
from sgpaint.agent.guided_rewards import Focus, Foreground
from sgpaint.agent.joint import optimize_episode, optimize_jointly
from sgpaint.agent.rewards import L2, Adversarial, WeightedSum
from sgpaint.agent.trained import load_agent, paint_polished, paint_with
from sgpaint.agent.training import train
from sgpaint.guide.guidance import Guidance
from sgpaint.lab.config import ConfigError
from sgpaint.stroke import native
from sgpaint.stroke.blend import limit_opacity, paint
from sgpaint.stroke.exact import alpha as stroke_alpha
from sgpaint.stroke.gains import WeightedCanvas, differentiable_gains, stroke_gains
from sgpaint.stroke.primitive import check_strokes, random_strokes


def some_canvases(size=(32, 32), batch=2, seed=0):
    draw = torch.Generator().manual_seed(seed)
    canvas, target = torch.rand(2, batch, 3, *size, generator=draw)
    return WeightedCanvas(canvas, target, torch.rand(batch, 1, *size, generator=draw) + 0.5)


def some_strokes(batch=2, count=12):
    strokes = random_strokes(count, batch=batch, generator=torch.Generator().manual_seed(1))
    strokes[..., 6:8] *= 0.3
    return strokes


def small_actor(bundle=5, **changes):
    torch.manual_seed(0)
    return DenseActor(bundle, widths=(8, 16, 16, 16), hidden=16, **changes).eval()


@pytest.mark.parametrize("size", [(32, 32), (48, 80)])
def test_the_compiled_gains_are_those_of_tensor_operations(size):
    state, strokes = some_canvases(size), some_strokes()
    fast = stroke_gains(state, strokes, gradient=True)
    with native.eager(): slow = stroke_gains(state, strokes, gradient=True)
    torch.testing.assert_close(fast[0], slow[0], rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(fast[1], slow[1], rtol=1e-3, atol=1e-4)
    assert (fast[2] - slow[2]).norm() < 2e-3 * slow[2].norm()


def test_a_gain_is_the_fall_of_the_error_when_the_stroke_is_painted():
    state, strokes = some_canvases(), some_strokes()
    gain, colour, _ = stroke_gains(state, strokes)
    for i in range(4):
        one = torch.cat([strokes[:, i:i + 1, :-3], colour[:, i:i + 1]], -1)
        torch.testing.assert_close(state.error() - state.after(one).error(), gain[:, i], rtol=1e-3, atol=2e-3)
    own = stroke_gains(state, strokes, solve_colour=False)
    assert torch.equal(own[1], strokes[..., -3:]) and (own[0] <= gain + 1e-3).all()


def test_measuring_one_stroke_does_not_change_it():
    state, strokes = some_canvases(batch=1), some_strokes(1, 1)
    before = strokes.clone()
    stroke_gains(state, strokes)
    assert torch.equal(strokes, before)


def test_the_gradient_is_that_of_the_renderer():
    state, strokes = some_canvases(), some_strokes().requires_grad_()
    gain, colour = differentiable_gains(state, strokes)
    grad, = torch.autograd.grad(gain.sum(), strokes)
    alpha = stroke_alpha(strokes, (32, 32))[:, :, None]
    shift, left = colour[..., None, None] - state.canvas[:, None], (state.target - state.canvas)[:, None]
    truth, = torch.autograd.grad((state.weight[:, None] * alpha * shift * (2 * left - alpha * shift)).sum(), strokes)
    torch.testing.assert_close(grad[..., :10], truth[..., :10], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (48, 80)])
def test_proposals_and_paintings_are_legal_strokes(size):
    state = some_canvases(size)
    check_strokes(small_actor().propose(state)[0])
    for actor, search in ((small_actor(), {}), (small_actor().with_search(steps=2), {"joint": 2, "solve": True})):
        strokes, canvas = actor.paint(state.target, 12, **search)
        assert strokes.shape == (2, 12, 13)
        check_strokes(strokes)
        torch.testing.assert_close(paint(torch.zeros_like(canvas), strokes), canvas)


@pytest.mark.parametrize("size", [(40, 64), (33, 50), (7, 90), (1, 1), (16, 16)])
def test_any_size_is_painted(size):
    actor, state = small_actor(), some_canvases(size, 1)
    proposed, expected = actor.propose(state)
    assert proposed.shape[1] == expected.shape[1] == len(actor.places(state))
    check_strokes(proposed)
    strokes, canvas = actor.paint(state.target, 7)
    check_strokes(strokes)
    assert canvas.shape == state.target.shape
    assert (canvas - state.target).square().mean() < state.target.square().mean()


@pytest.mark.parametrize("preset", ["opaque", "oil", "ink"])
def test_gains_under_an_opacity_preset_are_those_of_the_strokes_as_they_are_painted(preset):
    state, strokes = replace(some_canvases(), opacity=preset), some_strokes()
    gain, colour, grad = stroke_gains(state, strokes, gradient=True)
    one = torch.cat([strokes[:, :1, :-3], colour[:, :1]], -1)
    torch.testing.assert_close(state.error() - state.after(one).error(), gain[:, 0], rtol=1e-3, atol=2e-3)
    limited = stroke_gains(replace(state, opacity="free"), limit_opacity(strokes, preset), gradient=True)
    torch.testing.assert_close(limited[0], gain)
    with native.eager(): slow = stroke_gains(state, strokes, gradient=True)
    assert (grad - slow[2]).norm() < 2e-3 * slow[2].norm()
    assert preset != "opaque" or (grad[..., 8:10] == 0).all()


@pytest.mark.parametrize("preset", ["opaque", "ink"])
def test_an_actor_chooses_under_a_preset(preset):
    env = PaintingEnv(strokes=10, opacity=preset)
    actor, target = DenseProposals.build_actor(env, Learning(algorithm="dense")).eval(), some_canvases().target
    strokes, canvas = actor.paint(target, 10, joint=1)
    torch.testing.assert_close(paint(torch.zeros_like(canvas), limit_opacity(strokes, preset)), canvas)
    strokes, canvas = actor.paint(target, 10)
    *_, (state, _) = rollout(env, lambda s: actor(env.observe(s)), target)
    torch.testing.assert_close(state.canvas, canvas)
    assert actor.untrained().opacity == preset


def test_the_actor_takes_observations_and_needs_no_compiler():
    env, actor = PaintingEnv(strokes=10), small_actor()
    target = some_canvases().target
    *_, (state, action) = rollout(env, lambda s: actor(env.observe(s)), target)
    assert action.shape == (2, env.action_size) and not action.requires_grad
    torch.testing.assert_close(state.canvas, actor.paint(target, 10)[1])
    with native.eager(): *_, (slow, _) = rollout(env, lambda s: actor(env.observe(s)), target)
    assert abs(float((slow.canvas - target).square().mean() / (state.canvas - target).square().mean()) - 1) < 0.05


def test_searching_more_never_costs():
    state, strokes = some_canvases(), some_strokes()
    gain, colour, _ = stroke_gains(state, strokes)
    better, top = optimize_each(state, strokes, torch.full((2, 12), 8.0), 5)
    assert (top >= gain - 1e-4).all() and top.sum() > 1.02 * gain.sum()
    torch.testing.assert_close(stroke_gains(state, better)[0], top)
    start = replace(state, canvas=torch.zeros_like(state.canvas))
    painted = small_actor().paint(start.target, 10, start.weight)[0]
    assert (start.after(solve_colours(start, painted)).error() <= start.after(painted).error() + 1e-3).all()
    better = optimize_jointly(start.canvas, start.target, painted, 10, weight=start.weight)
    assert start.after(better).error().sum() < start.after(painted).error().sum()


def test_the_control_has_the_same_search_and_other_weights():
    actor = small_actor().with_search(measured=7)
    control = actor.untrained(1)
    assert control.search == actor.search and control.search.measured == 7 and not control.training
    assert not torch.equal(control.heads[0].out.weight, actor.heads[0].out.weight)
    assert torch.equal(control.heads[0].out.weight, actor.untrained(1).heads[0].out.weight)


def a_batch(env, guided=False, size=32):
    target = some_canvases((size, size), 3).target
    mask = torch.zeros(3, 1, size, size)
    mask[..., 8:24, 8:24] = 1
    guidance = Guidance(mask, torch.tensor([[0.25, 0.25, 0.75, 0.75]] * 3), 0.5 * mask) if guided else None
    state = env.reset(target, guidance)
    action = torch.rand(3, env.action_size, generator=torch.Generator().manual_seed(0))
    after = env.transition(state, action)
    return Transition(state, action, after, env.terminated(after))


def guided_env(**changes):
    rewards = WeightedSum([(2.0, L2()), (4.0, Foreground(L2(), aligned=False)), (0.5, Focus(aligned=False))])
    return PaintingEnv(strokes=10, observes=("mask", "focus", "weight"), rewards=rewards, **changes)


def test_the_actor_sees_the_weights_of_the_rewards():
    env, batch = guided_env(), a_batch(guided_env(), guided=True)
    guidance = batch.state.guidance
    seen = DenseActor(observes=env.observes).read(env.observe(batch.state)).weight
    focus = guidance.focus.square() / guidance.focus.sum((1, 2, 3), keepdim=True) * 0.5
    truth = (2 + 4 * guidance.mask.square()) / (3 * 32 * 32) + focus
    torch.testing.assert_close(seen, truth / truth.mean((1, 2, 3), keepdim=True))


@pytest.mark.parametrize("blend_mode", ["plain", "masked", "paper"])
def test_the_gain_is_the_reward_of_the_step_on_every_level(blend_mode):
    env = guided_env(blend_mode=blend_mode)
    state = a_batch(env, guided=True).state
    random = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    soft = replace(state.guidance, mask=0.2 + 0.6 * random)
    state = replace(state, canvas=some_canvases(batch=3).canvas, guidance=soft)
    actor = DenseActor(observes=env.observes, levels=() if blend_mode == "plain" else env.levels, blend_mode=blend_mode)
    seen, strokes = actor.read(env.observe(state)), some_strokes(3, 5)
    for level, i in ((0, 0), (1, 4)):
        one = seen if blend_mode == "plain" else replace(seen, mask=soft.mask if level else 1 - soft.mask)
        gain, colour, _ = stroke_gains(one, strokes)
        with native.eager(): slow = stroke_gains(one, strokes)[0]
        torch.testing.assert_close(gain, slow, rtol=1e-3, atol=2e-3)
        action = torch.zeros(3, 5, 13)  # strokes of radius 0 and opacity 0, but for one
        action[:, i] = torch.cat([strokes[:, 0, :-3], colour[:, 0]], -1)
        after = env.transition(state, action.flatten(1))
        if blend_mode == "paper": continue  # there even a stroke of opacity 0 is none; the other checks hold
        reward = env.reward(state, after) / (env.rewards.distance(state.canvas, state.target, soft) / seen.error())
        torch.testing.assert_close(reward, gain[:, 0], rtol=2e-3, atol=5e-3)
    painted = torch.cat([strokes[:, :1, :-3], colour[:, :1]], -1)
    torch.testing.assert_close(one.error() - one.after(painted).error(), gain[:, 0], rtol=1e-3, atol=5e-3)


def test_on_two_levels_each_stroke_is_chosen_where_it_may_paint():
    env = guided_env(blend_mode="masked", foreground_strokes=3)
    state, (actor, two) = a_batch(env, guided=True).state, (small_actor(observes=env.observes), env.levels)
    confined = small_actor(observes=env.observes, levels=two)
    episode = list(rollout(env, lambda s: confined(env.observe(s)), state.target, state.guidance))
    loose = list(rollout(env, lambda s: actor(env.observe(s)), state.target, state.guidance))
    def error(canvas): return float(env.rewards.distance(canvas, state.target, state.guidance).mean())
    assert error(episode[-1][0].canvas) < error(loose[-1][0].canvas)
    strokes, canvas = optimize_episode(env, episode, 0)
    torch.testing.assert_close(canvas, episode[-1][0].canvas)
    assert strokes.shape == (3, 10, 13) and error(optimize_episode(env, episode, 8)[1]) < error(canvas)


def test_strokes_that_are_chosen_apart_hardly_overlap_where_that_is_possible():
    state = some_canvases((64, 64), 1)
    strokes = some_strokes(1, 40)
    strokes[..., 6:8] = 0.02
    chosen = choose_apart(state, strokes, torch.rand(1, 40), 4)
    alpha = stroke_alpha(chosen, (64, 64)).flatten(2)
    area = alpha.sum(-1)
    shared = (alpha @ alpha.mT / torch.minimum(area[:, :, None], area[:, None]))[0]
    assert (shared - shared.diag().diag()).max() < 0.11
    assert len(choose_apart(state, strokes[:, :3], torch.rand(1, 3), 3)[0].unique(dim=0)) == 3


@pytest.mark.parametrize("search", [{"choice": "apart"}, {"choice": "expected"}, {"ahead": 3}, {"bundle_steps": 3}])
def test_every_search_paints_legal_strokes(search):
    target = some_canvases().target
    strokes, canvas = small_actor().with_search(**search).paint(target, 10)
    assert strokes.shape == (2, 10, 13)
    check_strokes(strokes)
    torch.testing.assert_close(paint(torch.zeros_like(canvas), strokes), canvas)


def test_looking_further_and_improving_a_bundle_never_costs_where_it_was_looked():
    state = some_canvases()
    actor = small_actor()
    assert (actor.with_search(bundle_steps=4).act(state)[1].error() <= actor.act(state)[1].error() + 1e-3).all()
    near, far = actor.act(state)[1], actor.with_search(ahead=3).act(state)[1]
    assert (actor.act(near)[1].error() >= actor.act(far)[1].error() - 1e-3).all()


@pytest.mark.parametrize("options", [{"imitate": 0.1}, {"passes": 0}, {"random": 0}, {"random_weight": 1.0}])
def test_options_change_the_loss(options):
    def loss(**options):
        torch.manual_seed(0)
        learning = Learning(algorithm="dense", options={"widths": [8, 16, 16, 16]} | options)
        env = PaintingEnv(strokes=10)
        return DenseProposals(env, DenseProposals.build_networks(env, learning), learning).actor_loss(a_batch(env))
    assert loss(**options).isfinite() and loss(**options) != loss()


def test_a_reward_that_is_no_squared_error_teaches_by_rendering():
    env = PaintingEnv(strokes=10, rewards=Adversarial(lambda canvas, target: -(canvas - target).abs().mean((1, 2, 3))))
    torch.manual_seed(0)
    learning = Learning(algorithm="dense")
    algorithm = DenseProposals(env, DenseProposals.build_networks(env, learning), learning)
    before = {name: p.clone() for name, p in algorithm.networks.online["actor"].named_parameters()}
    assert all(x.isfinite() for x in algorithm.update(a_batch(env)).values())
    after = dict(algorithm.networks.online["actor"].named_parameters())
    assert any("heads" in name and not torch.equal(p, before[name]) for name, p in after.items())


@pytest.mark.parametrize("given, sentence", [
    ({"options": {"hiden": 1}}, "options: hiden: unknown parameter; did you mean 'hidden'"),
    ({"options": {"hidden": 0}}, "options: hidden: expected 1 or more"),
    ({"options": {"choice": "best"}}, "options: choice: expected"),
    ({"gamma": 0.95}, "gamma: algorithm 'dense' does not use it"),
    ({"preset": "small", "options": {"hidden": 1}}, "options: hidden: unknown parameter"),
])
def test_an_option_that_means_nothing_is_refused(given, sentence):
    with pytest.raises(ConfigError, match=sentence): configure(**{"preset": "dense"} | given)


def test_it_observes_weights_only_where_errors_count_differently():
    def observed(**given): return build_env(configure(**{"preset": "dense"} | given)).observes
    assert observed() == observed(rewards={"l2": 3.0}) == () and observed(foreground_weight=1.0) == ("weight",)
    assert observed(rewards="wgan") == () and observed(preset="guided") == ("mask", "focus")
    assert observed(preset="dense-guided") == ("mask", "focus", "weight")


def test_it_keeps_the_protocol(): check_algorithm(ALGORITHMS["dense"], updates=20)


@pytest.mark.parametrize("given", [{"primitive": "line"}, {"encoding": "huang"}])
def test_what_it_cannot_paint_is_refused(given):
    with pytest.raises(ValueError, match=f"{next(iter(given))}: algorithm 'dense' expects"):
        DenseProposals.build_networks(PaintingEnv(strokes=10, **given), Learning())
    with pytest.raises(ValueError, match="observe_mask: algorithm 'dense' expects True"):
        DenseProposals.build_networks(PaintingEnv(strokes=10, blend_mode="masked"), Learning())


def test_a_run_trains_goes_on_bit_for_bit_and_paints(tmp_path):
    config = configure("dense", smoke=True, strokes=10, callbacks=("evaluation", "checkpoint"))
    assert isinstance(ALGORITHMS[config.learning.algorithm].build_actor(build_env(config), config.learning), DenseActor)
    def run(name, **how): return train(config, say=lambda line: None, out_dir=str(tmp_path / name), **how)
    whole, stopped = run("whole"), run("parts", minutes=1e-9)
    assert not stopped.result and whole.result["held_out_error"] < 0.2
    assert whole.result["planned_error"] < whole.result["held_out_error"]
    assert whole.result["control_planned_error"] < whole.result["control_held_out_error"] < 0.5
    pictures = {path.name for path in (whole.folder / "pictures").iterdir()}
    assert pictures >= {"planned.png", "held_out.png", "growth.png"}
    agent, other = load_agent(whole.folder), load_agent(run("parts").folder)
    pairs = zip(agent.actor.state_dict().values(), other.actor.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    picture = some_canvases((40, 50), 1).target[0]
    painting = paint_with(agent, picture)
    assert len(painting.strokes) == 10
    check_strokes(painting.strokes)
    assert len(paint_polished(agent, picture, 6, each=1, last=2).strokes) == 6
