"""Rewards: they telescope, point towards the target, and add up linearly."""
import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpaint.agent.networks import Discriminator
from sgpaint.agent.rewards import L2, Adversarial, WeightedSum, named_rewards, reward_scale, weight_at
from sgpaint.agent.discriminators import wgan_critic_loss


def terms():
    torch.manual_seed(0)
    l2, adversarial = L2(), Adversarial(Discriminator())
    return {"l2": l2, "adversarial": adversarial, "sum": WeightedSum([(0.3, l2), (2.0, adversarial)])}


@settings(max_examples=15)
@given(name=st.sampled_from(["l2", "adversarial", "sum"]), steps=st.integers(1, 6), seed=st.integers(0, 2**31))
def test_rewards_telescope(name, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    term, target = terms()[name], torch.rand(2, 3, 32, 32, generator=generator)
    canvases = torch.rand(steps + 1, 2, 3, 32, 32, generator=generator)
    with torch.no_grad():
        total = sum(term.reward(a, b, target) for a, b in zip(canvases, canvases[1:], strict=False))
        decrease = term.distance(canvases[0], target) - term.distance(canvases[-1], target)
        assert torch.allclose(total, decrease, atol=1e-5)


@given(seed=st.integers(0, 2**31), share=st.floats(0.01, 1))
def test_l2_rewards_every_move_to_the_target(seed, share):
    target, canvas = torch.rand(2, 4, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    l2 = L2()
    assert (l2.reward(canvas, torch.lerp(canvas, target, share), target) > 0).all()
    assert (l2.distance(canvas, target) >= 0).all() and (l2.distance(target, target) == 0).all()


def test_a_trained_discriminator_rewards_a_canvas_that_moves_to_the_target():
    torch.manual_seed(0)
    net = Discriminator()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.999))
    for _ in range(60):
        target = torch.rand(8, 3, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
        canvas = torch.lerp(torch.rand_like(target), target, torch.rand(8, 1, 1, 1) * 0.8)
        loss = wgan_critic_loss(net(target, target), net(canvas, target))
        loss = loss + 0.01 * (net(target, target) ** 2 + net(canvas, target) ** 2).mean()  # keeps the scores in range
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    target = torch.rand(8, 3, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    canvas = torch.rand_like(target)
    with torch.no_grad():
        reward = Adversarial(net).reward(canvas, torch.lerp(canvas, target, 0.7), target)
    assert reward.mean() > 0 and (reward > 0).float().mean() >= 0.75


@given(row=st.integers(1, 4), column=st.integers(1, 4))
def test_patches_are_shares_of_the_whole(row, column):
    canvas, target = torch.rand(2, 3, 3, 8 * row, 8 * column)
    patches = L2().patches(canvas, target, (row, column))
    assert patches.shape == (3, row, column)
    assert torch.allclose(patches.mean((1, 2)), L2().distance(canvas, target), atol=1e-6)
    assert torch.allclose(patches[:, 0, 0], L2().distance(canvas[..., :8, :8], target[..., :8, :8]), atol=1e-6)


@given(update=st.integers(0, 5000), warm=st.integers(0, 2000), name=st.sampled_from(["mix", "warm"]))
def test_a_warm_start_fades_from_the_first_to_the_second(update, warm, name):
    rewards, most = named_rewards(warm)[name], 0.5 if name == "mix" else 1.0
    rising, falling = rewards["adversarial"], rewards["l2"]
    assert 0 <= weight_at(rising, update) <= weight_at(rising, update + 1) <= most
    assert weight_at(rising, 2 * warm) == most and (warm == 0 or weight_at(rising, warm) == 0)
    assert weight_at(rising, update) + weight_at(falling, update) == pytest.approx(1)


@given(points=st.dictionaries(st.integers(0, 100), st.floats(0, 9), min_size=1, max_size=5), update=st.integers(0, 120))
def test_a_schedule_is_linear_between_its_points(points, update):
    schedule = [list(point) for point in sorted(points.items())]
    expected = numpy.interp(update, *zip(*schedule, strict=True))
    assert weight_at(schedule, update) == pytest.approx(expected, abs=1e-9)


def test_normalised_terms_have_spread_one():
    canvases, target = torch.rand(4, 5, 3, 32, 32), torch.rand(4, 3, 32, 32)
    for term in terms().values():
        scale = reward_scale(term, canvases, target)
        assert reward_scale(WeightedSum([(1 / scale, term)]), canvases, target) == pytest.approx(1, rel=1e-3)
    with pytest.raises(ValueError, match="rewards that differ"):
        reward_scale(L2(), target[:, None].expand(-1, 3, -1, -1, -1), target)
