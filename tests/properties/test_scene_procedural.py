"""The built-in scenes: masks, boxes and parts agree with each other and across sizes; a seed is a scene."""
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpaint.lab.config import ConfigError
from sgpaint.scene.raster import CAMOUFLAGED
from sgpaint.scene.procedural import CLASSES, PARTS, SUBJECTS, draw, draw_arrays, draw_images
from sgpaint.scene.record import check_scene, tight_box

subjects, seeds = st.sampled_from(SUBJECTS), st.integers(0, 2**40)
sizes = st.tuples(st.integers(24, 72), st.integers(36, 48))
few = settings(max_examples=25)


@few
@given(subjects, seeds, sizes)
def test_everything_that_is_known_agrees(subject, seed, size):
    scene = check_scene(draw(subject, seed, size))
    assert scene.size == size
    assert torch.equal(scene.instances.sum(0, keepdim=True), scene.mask)
    assert torch.equal(scene.boxes, tight_box(scene.instances))
    assert tuple(scene.parts) == PARTS[subject]
    assert sum(scene.parts.values()).max() <= 1, "a pixel shows one part"
    assert scene.class_names == CLASSES[subject] and len(scene.labels) == len(scene.instances)


@few
@given(subjects, seeds, st.integers(10, 40), st.integers(0, 1))
def test_masks_agree_exactly_in_the_pixel_centres_two_sizes_share(subject, seed, side, wide):
    size = (side, side + wide * side // 2)
    small, large = draw(subject, seed, size), draw(subject, seed, (3 * size[0], 3 * size[1]))
    assert torch.equal(small.instances, large.instances[:, 1::3, 1::3])
    for name, part in small.parts.items():
        assert torch.equal(part, large.parts[name][:, 1::3, 1::3]), name
    assert torch.equal(small.labels, large.labels) and small.metadata == large.metadata


@few
@given(subjects, seeds)
def test_colours_agree_across_sizes(subject, seed):
    small, large = draw(subject, seed, (48, 48)).image, draw(subject, seed, (144, 144)).image
    averaged = torch.nn.functional.avg_pool2d(large[None], 3)[0]
    assert (small - averaged).square().mean().sqrt() < 0.06


@few
@given(subjects, seeds)
def test_difficulty_is_the_stated_one(subject, seed):
    scene = draw(subject, seed)
    assert 0.10 < scene.mask.mean() < 0.45
    assert scene.instances.sum((1, 2)).min() > 5, "every instance can be seen"
    assert scene.image.min() >= 0 and scene.image.max() <= 1


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_stated_share_is_camouflaged_and_classes_are_uniform(subject):
    scenes = [draw(subject, seed, (12, 12)) for seed in range(300)]
    share = np.mean([s.metadata["camouflaged"] for s in scenes])
    assert abs(share - CAMOUFLAGED) < 4 * (CAMOUFLAGED * (1 - CAMOUFLAGED) / 300) ** 0.5
    labels = torch.cat([s.labels for s in scenes])
    counts = torch.bincount(labels, minlength=len(CLASSES[subject])) / len(labels)
    assert (counts - 1 / len(counts)).abs().max() < 0.08


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_flat_colours_error_is_the_stated_one(subject):
    images = draw_images(subject, range(200)) / 255
    assert 0.03 < images.var((2, 3), correction=0).mean() < 0.05


def test_another_process_draws_the_same():
    code = ("import hashlib; from sgpaint.scene.procedural import SUBJECTS, draw_images\n"
            "drawn = b''.join(draw_images(s, range(4), (40, 40)).numpy().tobytes() for s in SUBJECTS)\n"
            "print(hashlib.sha256(drawn).hexdigest())")
    first, second = (subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
                     for _ in range(2))
    assert first == second and len(first) > 60


def test_order_and_company_do_not_matter():
    together, labels = draw_arrays("birds", [5, 6, 7])
    alone, label = draw_arrays("birds", [6])
    assert np.array_equal(together[1], alone[0]) and labels[1] == label[0]
    assert np.abs(draw("birds", 6).image.numpy() * 255 - alone[0]).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (3, 5), (300, 200)])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_any_size_can_be_drawn(subject, size):
    check_scene(draw(subject, 11, size))


def test_bad_input_is_refused_in_words():
    with pytest.raises(ConfigError, match="did you mean 'streets'"):
        draw("street", 0)
    with pytest.raises(ValueError, match="0 or more"):
        draw("cars", -3)
    with pytest.raises(ValueError, match="height, width"):
        draw("cars", 0, (0, 10))
