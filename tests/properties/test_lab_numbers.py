"""Measures, objectives and sheets against scikit-image, closed forms and definitions."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sgpaint.agent.discriminators import gradient_penalty, wgan_critic_loss
from sgpaint.agent.rewards import Adversarial
from sgpaint.lab import chart, measure, show

seeds = st.integers(0, 2**31)


def noise(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@given(seeds)
@settings(max_examples=10)
def test_pictures_against_skimage(seed):
    a, b = noise(seed, 2, 3, 12, 9), noise(seed + 1, 2, 3, 12, 9)
    for i in range(2):
        p, q = a[i].numpy(), b[i].numpy()
        assert measure.mse(a, b)[i] == pytest.approx(np.mean((p - q) ** 2), rel=1e-5)
        assert measure.psnr(a, b)[i] == pytest.approx(peak_signal_noise_ratio(p, q, data_range=1), rel=1e-5)
        want = structural_similarity(p, q, channel_axis=0, data_range=1)
        assert measure.ssim(a, b)[i] == pytest.approx(want, abs=1e-5)


@given(seeds)
def test_masks_against_sets(seed):
    a, b = noise(seed, 1, 1, 5, 5) > 0.5, noise(seed + 1, 1, 1, 5, 5) > 0.7
    x, y = set(map(tuple, a[0, 0].nonzero().tolist())), set(map(tuple, b[0, 0].nonzero().tolist()))
    assert measure.iou(a, b).item() == pytest.approx(len(x & y) / len(x | y) if x | y else 1)
    if y: assert measure.recall(a, b).item() == pytest.approx(len(x & y) / len(y))
    if x: assert measure.precision(a, b).item() == pytest.approx(len(x & y) / len(x))
    assert torch.equal(measure.iou(a, b), measure.iou(a.float(), b.float()))


@given(seeds)
def test_error_splits_into_foreground_and_background(seed):
    a, b, mask = noise(seed, 2, 3, 6, 4), noise(seed + 1, 2, 3, 6, 4), noise(seed + 2, 2, 1, 6, 4)
    share = mask.flatten(1).mean(1)
    inside, outside = measure.foreground_error(a, b, mask), measure.foreground_error(a, b, 1 - mask)
    torch.testing.assert_close(share * inside + (1 - share) * outside, measure.mse(a, b))


@given(seeds, st.floats(-0.2, 0.2))
def test_no_flat_colour_beats_the_best_one(seed, shift):
    image = noise(seed, 3, 3, 5, 7)
    other = (image.mean((2, 3), keepdim=True) + shift).expand_as(image)
    best = measure.flat_colour_error(image)
    torch.testing.assert_close(measure.mse(other, image), best + shift**2, rtol=1e-4, atol=1e-6)


def test_parts_weigh_the_same():
    image, canvas = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    canvas[..., :4, :] = 0.5
    canvas[..., 7, 7] = 1.0
    big, small = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    big[..., :4, :] = small[..., 7, 7] = 1
    assert measure.part_error(canvas, image, {"big": big, "small": small}).item() == pytest.approx((0.25 + 1) / 2)
    assert measure.part_error(canvas, image, {"none": torch.zeros(1, 1, 8, 8)}).isnan()
    with pytest.raises(ValueError, match="one part or more"): measure.part_error(canvas, image, {})


@pytest.mark.parametrize("wrong", [torch.zeros(3, 8, 8), torch.zeros(2, 1, 8, 8), torch.zeros(2, 3, 8, 7)])
def test_measures_refuse_shapes(wrong):
    good, mask = torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    for f in (measure.mse, measure.psnr, measure.ssim):
        with pytest.raises(ValueError, match="expected"): f(wrong, good)
    with pytest.raises(ValueError, match="expected"): measure.foreground_error(wrong, good, mask)
    with pytest.raises(ValueError, match="mask of shape"): measure.foreground_error(good, good, good)


@given(seeds, st.integers(1, 5), st.integers(1, 6))
def test_penalty_of_a_linear_critic(seed, batch, width):
    w = (noise(seed, width) + 0.1).requires_grad_()
    real, fake = noise(seed + 1, batch, width), noise(seed + 2, batch, width)
    penalty = gradient_penalty(lambda x: (x @ w)[:, None], real, fake)
    norm = w.detach().norm()
    torch.testing.assert_close(penalty.detach(), (norm - 1) ** 2, rtol=1e-4, atol=1e-6)
    penalty.backward()
    torch.testing.assert_close(w.grad, 2 * (norm - 1) * w.detach() / norm, rtol=1e-4, atol=1e-5)


def test_penalty_of_a_quadratic_critic_by_sample():
    real, fake = noise(1, 64, 3), noise(2, 64, 3)
    penalty = gradient_penalty(lambda x: x.square().sum(1) / 2, real, fake, torch.Generator().manual_seed(3))
    share = torch.rand(64, 1, generator=torch.Generator().manual_seed(3))
    point = share * real + (1 - share) * fake
    torch.testing.assert_close(penalty.detach(), (point.norm(dim=1) - 1).square().mean())


def test_penalty_works_without_gradients_around_it_and_leaves_the_samples_alone():
    real = noise(1, 2, 3, 4, 4).requires_grad_()
    with torch.no_grad():
        penalty = gradient_penalty(lambda x: x.flatten(1).sum(1), real, torch.zeros(2, 3, 4, 4))
    assert penalty.item() == pytest.approx((math.sqrt(48) - 1) ** 2, rel=1e-5) and real.grad is None
    with pytest.raises(ValueError, match="one shape"): gradient_penalty(lambda x: x, real, real[:1])


def test_distance_is_zero_at_the_target_and_rewards_point_there():
    def score(canvas, target): return -(canvas - target).abs().flatten(1).mean(1)
    distance = Adversarial(score).distance
    image, blank = noise(5, 3, 3, 6, 6), torch.zeros(3, 3, 6, 6)
    assert distance(image, image).abs().max() == 0
    steps = [distance(blank + t * image, image) for t in (0, 0.3, 0.6, 1.0)]
    assert all((a - b > 0).all() for a, b in zip(steps, steps[1:], strict=False))
    assert wgan_critic_loss(torch.tensor([3.0, 1.0]), torch.tensor([0.5])).item() == -1.5


@given(seeds)
@settings(max_examples=20)
def test_picture_and_back(seed):
    image = noise(seed, 3, 5, 7)
    back = show.to_tensor(show.to_pil(image))
    assert (back - image).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(show.to_tensor(show.to_pil(back)), back)
    assert torch.equal(show.to_tensor(show.to_pil(back, 3))[:, ::3, ::3], back)


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))
@settings(max_examples=25)
def test_sheets_keep_every_picture(n, columns, pad):
    batch = noise(n, n, 3, 4, 6)
    out = show.to_tensor(show.sheet(batch, columns=columns, pad=pad))
    for i in range(n):
        x, y = pad + i % min(columns, n) * (6 + pad), pad + i // min(columns, n) * (4 + pad)
        assert torch.equal(out[:, y:y + 4, x:x + 6], show.to_tensor(show.to_pil(batch[i])))


def test_chart_leaves_pyplot_alone():
    import matplotlib._pylab_helpers as helpers
    before = len(helpers.Gcf.get_all_fig_managers())
    figure = chart.curves({f"run {i}": ([0, 1], np.eye(2)) for i in range(8)}, "x", "y", log=False)
    assert figure.pil().size == (480, 272) and len(helpers.Gcf.get_all_fig_managers()) == before
    assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in figure.axes[0].lines}) == 8
    with pytest.raises(ValueError, match="1 to 8 series"): chart.curves({}, "x", "y")


def test_errors_of_the_mean():
    mean, error = chart.mean_and_error(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert mean.tolist() == [2, 5] and error.tolist() == [pytest.approx(1.0), 0]
