"""Every loss keeps the rules that the search relies on, ours and a third party's; a broken rule is named."""
import contextlib

import pytest
import torch

from sgpaint.agent.paint import paint
from sgpaint.lab.registry import RegistryError
from sgpaint.search.losses import LOSSES, FeatureLoss, check_loss, l2
from sgpaint.search.optimize import optimize
from sgpaint.search.polish import refine


class Charbonnier:
    """A third party's: close to the absolute error, smooth at zero; an object without a name of its own."""
    def __init__(self, eps=0.1): self.eps = eps

    def __call__(self, canvas, target): return ((canvas - target).square() + self.eps**2).sqrt() - self.eps


@contextlib.contextmanager
def registered(name, loss):
    "The loss is known by its name within the block."
    LOSSES.register(name, loss)
    try: yield loss
    finally: LOSSES.remove(name)


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_registered_loss_keeps_the_rules(name): assert check_loss(name) is LOSSES[name]


@pytest.mark.parametrize("loss", [Charbonnier(), FeatureLoss(pixel_weight=0), lambda c, t: (c - t).abs().mean()])
def test_a_loss_that_is_not_registered_keeps_the_rules(loss): assert check_loss(loss) is loss


def test_a_third_party_loss_is_used_by_its_name_everywhere():
    image = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(0))
    with registered("charbonnier", Charbonnier()) as loss:
        check_loss("charbonnier")
        painting = paint(image, 6, "fast", loss="charbonnier", progress_bar=False)
        assert painting.provenance["loss"] == "charbonnier"
        one, other = (optimize(image, 6, steps=10, loss=way, progress_bar=False) for way in ("charbonnier", loss))
        assert torch.equal(one.strokes, other.strokes) and other.provenance["loss"] == "Charbonnier"
        assert not torch.equal(one.strokes, optimize(image, 6, steps=10, progress_bar=False).strokes)
        assert not torch.equal(refine(one, image, 5, loss="charbonnier").strokes, refine(one, image, 5).strokes)
    with pytest.raises(RegistryError, match="loss: unknown name 'charbonnier'"): optimize(image, 6, loss="charbonnier")


@pytest.mark.parametrize(("loss", "rule"), [
    (lambda canvas, target: 0.5, "expected a number or errors"),
    (lambda canvas, target: l2(canvas, target)[:, 1:], "expected a number or errors"),
    (lambda canvas, target: l2(canvas, target) / 0, "expected finite errors"),
    (lambda canvas, target: l2(canvas, target) + torch.rand(()), "expected the same errors"),
    (lambda canvas, target: l2(canvas.detach(), target), "gradient with respect to the canvas"),
    (lambda canvas, target: -l2(canvas, target), "smallest error where the canvas is the target"),
])
def test_a_broken_rule_is_named(loss, rule):
    with pytest.raises(RegistryError, match=rule) as said: check_loss(loss)
    assert str(said.value).startswith("loss '<lambda>': ") and "\n" not in str(said.value)


def test_what_is_no_loss_is_refused():
    with pytest.raises(RegistryError, match="did you mean 'l1'"): check_loss("l11")
    with pytest.raises(RegistryError, match="expected a function of canvas and target, got float"): check_loss(0.5)
    with pytest.raises(RegistryError, match="the name is taken"): LOSSES.register("l2", Charbonnier())
