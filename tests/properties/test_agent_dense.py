"""Dense proposals: gains are exact, everything painted is legal, every door takes the algorithm."""
from dataclasses import replace

import pytest
import torch

from sgpaint.agent.algorithms import ALGORITHMS, Learning, check_algorithm
from sgpaint.agent.config import build_env, configure
from sgpaint.agent.dense import DenseActor, DenseProposals, optimize_each, optimize_jointly, solve_colours
from sgpaint.agent.environment import PaintingEnv, Transition, rollout
from sgpaint.agent.trained import load_agent, paint_polished, paint_with
from sgpaint.agent.training import train
from sgpaint.guide.guidance import Guidance
from sgpaint.stroke import native
from sgpaint.stroke.blend import paint
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
    assert start.after(optimize_jointly(start, painted, 10)).error().sum() < start.after(painted).error().sum()


def test_the_control_has_the_same_search_and_other_weights():
    actor = small_actor().with_search(measured=7)
    actor.map_weights.fill_(2.0)
    control = actor.untrained(1)
    assert control.search == actor.search and control.search.measured == 7
    assert torch.equal(control.map_weights, actor.map_weights) and not control.training
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


def test_the_weights_of_the_rewards_become_weights_of_pixels():
    env = PaintingEnv(strokes=10, observes=("mask", "focus"))
    networks = DenseProposals.build_networks(env, Learning(algorithm="dense"))
    algorithm, batch = DenseProposals(env, networks, Learning(algorithm="dense")), a_batch(env, guided=True)
    algorithm.reward_weights = (("l2", 2.0), ("foreground_l2", 4.0), ("focus", 6.0))
    algorithm.update(batch)
    actor = networks.online["actor"]
    assert actor.map_weights.tolist() == [2.0, 3.0]
    seen = actor.read(env.observe(batch.state)).weight
    torch.testing.assert_close(seen, 1 + 2 * batch.state.guidance.mask + 3 * batch.state.guidance.focus)


def test_it_keeps_the_protocol(): check_algorithm(ALGORITHMS["dense"], updates=20)


@pytest.mark.parametrize("given", [{"primitive": "line"}, {"blend_mode": "masked"}, {"encoding": "huang"}])
def test_what_it_cannot_paint_is_refused(given):
    with pytest.raises(ValueError, match=f"{next(iter(given))}: algorithm 'dense' expects"):
        DenseProposals.build_networks(PaintingEnv(strokes=10, **given), Learning())
    with pytest.raises(ValueError, match="rewards: algorithm 'dense' expects 'l2'"):
        DenseProposals.build_networks(PaintingEnv(strokes=10), Learning(rewards="wgan"))


def test_a_run_trains_goes_on_bit_for_bit_and_paints(tmp_path):
    config = configure("dense", smoke=True, strokes=10, callbacks=("evaluation", "checkpoint"))
    assert isinstance(ALGORITHMS[config.learning.algorithm].build_actor(build_env(config), config.learning), DenseActor)
    def run(name, **how): return train(config, say=lambda line: None, out_dir=str(tmp_path / name), **how)
    whole, stopped = run("whole"), run("parts", minutes=1e-9)
    assert not stopped.result and whole.result["held_out_error"] < 0.2
    agent, other = load_agent(whole.folder), load_agent(run("parts").folder)
    pairs = zip(agent.actor.state_dict().values(), other.actor.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    picture = some_canvases((40, 50), 1).target[0]
    painting = paint_with(agent, picture)
    assert len(painting.strokes) == 10
    check_strokes(painting.strokes)
    assert len(paint_polished(agent, picture, 6, each=1, last=2).strokes) == 6
