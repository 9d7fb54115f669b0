"""Rewards: they telescope, point towards the target, and mix linearly."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpaint.agent.networks import Discriminator
from sgpaint.agent.rewards import L2, WGAN, Mixture, WarmStart, reward_scale
from sgpaint.agent.discriminators import wgan_critic_loss


def distances():
    torch.manual_seed(0)
    l2, wgan = L2(), WGAN(Discriminator())
    return {"l2": l2, "wgan": wgan, "mixture": Mixture([(0.3, l2), (2.0, wgan)])}


@settings(max_examples=15)
@given(name=st.sampled_from(["l2", "wgan", "mixture"]), steps=st.integers(1, 6), seed=st.integers(0, 2**31))
def test_rewards_telescope(name, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    distance, target = distances()[name], torch.rand(2, 3, 32, 32, generator=generator)
    film = torch.rand(steps + 1, 2, 3, 32, 32, generator=generator)
    with torch.no_grad():
        total = sum(distance.reward(a, b, target) for a, b in zip(film, film[1:], strict=False))
        assert torch.allclose(total, distance(film[0], target) - distance(film[-1], target), atol=1e-5)


@given(seed=st.integers(0, 2**31), share=st.floats(0.01, 1))
def test_l2_rewards_every_move_to_the_target(seed, share):
    target, canvas = torch.rand(2, 4, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    l2 = L2()
    assert (l2.reward(canvas, torch.lerp(canvas, target, share), target) > 0).all()
    assert (l2(canvas, target) >= 0).all() and (l2(target, target) == 0).all()


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
        reward = WGAN(net).reward(canvas, torch.lerp(canvas, target, 0.7), target)
    assert reward.mean() > 0 and (reward > 0).float().mean() >= 0.75


@given(row=st.integers(1, 4), column=st.integers(1, 4))
def test_patches_are_shares_of_the_whole(row, column):
    canvas, target = torch.rand(2, 3, 3, 8 * row, 8 * column)
    patches = L2().patches(canvas, target, (row, column))
    assert patches.shape == (3, row, column)
    assert torch.allclose(patches.mean((1, 2)), L2()(canvas, target), atol=1e-6)
    assert torch.allclose(patches[:, 0, 0], L2()(canvas[..., :8, :8], target[..., :8, :8]), atol=1e-6)


@given(update=st.integers(0, 5000), until=st.integers(0, 2000), over=st.integers(0, 2000))
def test_a_warm_start_fades_from_the_first_to_the_second(update, until, over):
    plan = WarmStart(until, over)
    assert 0 <= plan.weight(update) <= plan.weight(update + 1) <= 1
    assert plan.weight(until + over) == 1 and (until == 0 or plan.weight(until - 1) == 0)


def test_calibrated_parts_have_spread_one():
    film, target = torch.rand(4, 5, 3, 32, 32), torch.rand(4, 3, 32, 32)
    for distance in distances().values():
        spread = reward_scale(distance, film, target)
        assert reward_scale(Mixture([(1 / spread, distance)]), film, target) == pytest.approx(1, rel=1e-3)
    with pytest.raises(ValueError, match="rewards that differ"):
        reward_scale(L2(), target[:, None].expand(-1, 3, -1, -1, -1), target)
