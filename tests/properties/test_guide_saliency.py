"""Guided maps against the rule by hand, what cannot be asked, and the distance that uses them."""
import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from sgpaint.guide.saliency import edge_maps, energy_inside, focus_distance, guided_maps, normalise_maps


class GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        return (ctx.saved_tensors[0] > 0) * g.clamp(min=0)


class GuidedSiLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return F.silu(x)

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        s = torch.sigmoid(x)
        return (g * (s + x * s * (1 - s))).clamp(min=0)


class Wrapped(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Swish(nn.Module):
    def forward(self, x):
        return x * x.sigmoid()


class Net(nn.Module):
    "Convolutions, group norm, pooling and one activation module used in all places, in a chain or with skips."

    def __init__(self, act, skips):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.GroupNorm(2, 6)
        self.second, self.head = nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 4)
        self.act, self.skips = act, skips

    def forward(self, x):
        h = self.norm(self.first(x))
        h = self.second(self.act(h)) + (h if self.skips else 0)
        h = F.max_pool2d(self.act(h), 2) + (h[..., ::2, ::2] if self.skips else 0)
        return self.head(h.mean((2, 3)))


def net(act, skips=False, seed=0):
    torch.manual_seed(seed)
    return Net(act, skips)


def asked(batch=5, seed=0, size=(12, 10)):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, *size, generator=generator), torch.randint(4, (batch,), generator=generator)


def by_hand(expert, act, images, classes):
    "The map when the activation itself knows the rule."
    expert = copy.deepcopy(expert)
    expert.act = Wrapped(act.apply)
    pixels = images.clone().requires_grad_()
    scores = expert(pixels)[range(len(images)), classes]
    return normalise_maps(torch.autograd.grad(scores.sum(), pixels)[0])


@given(st.integers(0, 9999), st.booleans(), st.booleans(), st.integers(1, 7))
def test_maps_are_the_rule_by_hand(seed, skips, inplace, batch):
    images, classes = asked(seed=seed)
    expert = net(nn.ReLU(inplace and not skips), skips, seed)
    assert_close(guided_maps(expert, images, classes, batch=batch), by_hand(expert, GuidedReLU, images, classes))


@given(st.integers(0, 9999), st.booleans(), st.sampled_from([nn.SiLU, Swish]))
def test_the_extension_is_its_own_rule_by_hand(seed, skips, kind):
    images, classes = asked(seed=seed)
    expert = net(kind(), skips, seed)
    found = guided_maps(expert, images, classes, swish="extension")
    assert_close(found, by_hand(expert, GuidedSiLU, images, classes))


def test_relu_and_silu_may_be_mixed():
    images, classes = asked()
    expert = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                           nn.Flatten(), nn.Linear(4, 4))
    reference = copy.deepcopy(expert)
    reference[1], reference[3] = Wrapped(GuidedSiLU.apply), Wrapped(GuidedReLU.apply)
    pixels = images.clone().requires_grad_()
    scores = reference(pixels)[range(len(images)), classes]
    assert_close(guided_maps(expert, images, classes, swish="extension"),
                 normalise_maps(torch.autograd.grad(scores.sum(), pixels)[0]))


def test_the_plain_gradient_is_the_plain_gradient():
    images, classes = asked()
    for act in (nn.ReLU(), Wrapped(F.relu), nn.SiLU(), nn.GELU()):
        expert = net(act)
        pixels = images.clone().requires_grad_()
        scores = expert(pixels)[range(len(images)), classes]
        assert_close(guided_maps(expert, images, classes, "gradient"),
                     normalise_maps(torch.autograd.grad(scores.sum(), pixels)[0]))


@pytest.mark.parametrize(("act", "name"), [
    (Wrapped(F.relu), "Relu"), (Wrapped(torch.relu_), "Relu"), (Wrapped(lambda x: x.clamp(min=0)), "Clamp"),
    (Wrapped(lambda x: x.clamp_min(0)), "ClampMin"), (Wrapped(F.leaky_relu), "LeakyRelu"), (nn.PReLU(), "PreluKernel"),
    (nn.GELU(), "Gelu"), (nn.ELU(), "Elu"), (nn.ReLU6(), "Hardtanh"), (nn.Hardswish(), "Hardswish"),
    (nn.Softplus(), "Softplus"), (nn.Mish(), "Mish"), (Wrapped(lambda x: torch.maximum(x, x.new_zeros(1))), "Maximum"),
    (Wrapped(F.silu), "Silu"),
])
@pytest.mark.parametrize("mixed", [False, True])
def test_what_the_rule_cannot_reach_is_refused_by_name(act, name, mixed):
    images, classes = asked()
    expert = nn.Sequential(net(act), nn.ReLU(), nn.Linear(4, 4)) if mixed else net(act)
    for swish in ("refuse", "extension"):
        with pytest.raises(ValueError, match=f"computes {name} outside nn.ReLU modules"):
            guided_maps(expert, images, classes, swish=swish)


@pytest.mark.parametrize("kind", [nn.SiLU, Swish])
def test_swish_has_to_be_asked_for(kind):
    images, classes = asked()
    with pytest.raises(ValueError, match=f"Net has {kind.__name__} .* swish='extension'"):
        guided_maps(net(kind()), images, classes)


def test_compiled_and_scripted_experts_are_refused():
    images, classes = asked()
    whole = torch.compile(net(nn.ReLU()), backend="eager")
    part, itself = net(nn.ReLU()), net(nn.ReLU())
    part.second = torch.compile(part.second, backend="eager")
    itself.compile(backend="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is on its way out
        traced = torch.jit.trace(net(nn.ReLU()), images)
    for expert in (whole, part, itself, traced):
        with pytest.raises(ValueError, match="is compiled"):
            guided_maps(expert, images, classes)


def test_an_expert_without_relu_is_refused():
    images, classes = asked()
    flat = nn.Sequential(nn.Flatten(), nn.Linear(360, 4))
    with pytest.raises(ValueError, match="no nn.ReLU module on its way"):
        guided_maps(flat, images, classes)
    assert guided_maps(flat, images, classes, "gradient").shape == (5, 1, 12, 10)


def test_questions_that_are_not_well_formed():
    expert, (images, classes) = net(nn.ReLU()), asked()
    for bad, why in [
        (dict(images=images[0]), "images: expected float"), (dict(images=images.byte()), "images: expected float"),
        (dict(images=images[:0], classes=classes[:0]), "picture or more"), (dict(classes=classes[:2]), "expected 5"),
        (dict(classes=classes.float()), "expected 5 integers"), (dict(classes=classes + 4), r"expected 0\.\.3"),
        (dict(classes=classes - 9), r"expected 0\.\.3"), (dict(method="guidd"), "method"), (dict(swish="yes"), "swish"),
        (dict(expert=nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())), r"expected logits \(B, K\)"),
    ]:
        with pytest.raises(ValueError, match=why):
            guided_maps(**{"expert": expert, "images": images, "classes": classes, **bad})


def test_a_class_that_was_never_seen_is_refused():
    images, classes = asked()
    expert = net(nn.ReLU())
    expert.register_buffer("seen", torch.tensor([3, 0, 2, 1]))
    guided_maps(expert, images, torch.tensor([0, 2, 3, 3, 0]))
    with pytest.raises(ValueError, match="never seen class 1"):
        guided_maps(expert, images, torch.tensor([0, 1, 3, 3, 0]))


def test_weights_made_under_inference_mode_are_refused():
    images, classes = asked()
    with torch.inference_mode():
        expert = net(nn.ReLU())
    with pytest.raises(ValueError, match="made under inference_mode"):
        guided_maps(expert, images, classes)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_maps_come_out_in_every_mode_and_nothing_is_left_behind(mode):
    expert = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1),
                           nn.Flatten(), nn.Linear(4, 4))
    expert[3].eval()
    before = copy.deepcopy(expert.state_dict())
    images, classes = asked()
    expected = guided_maps(expert, images, classes)
    with mode(), warnings.catch_warnings():
        warnings.simplefilter("error")  # Captum's two warnings too
        found = guided_maps(expert, images.clone(), classes.clone())
    assert_close(found, expected)
    assert not found.is_inference() and not found.requires_grad and not images.requires_grad
    assert [m.training for m in expert] == [True, True, True, False, True, True, True] and expert.training
    assert all(p.grad is None for p in expert.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in expert.modules())
    for name, value in expert.state_dict().items():
        assert_close(value, before[name])


def test_a_refusal_leaves_the_expert_as_it_was():
    images, classes = asked()
    expert = nn.Sequential(net(Wrapped(F.relu)), nn.ReLU(), nn.Linear(4, 4))
    with pytest.raises(ValueError):
        guided_maps(expert, images, classes)
    assert all(m.training for m in expert.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in expert.modules())


@given(st.integers(1, 4), st.integers(0, 99), st.floats(1e-6, 1e6))
def test_maps_lie_between_zero_and_one_whatever_the_scale(batch, seed, scale):
    gradients = torch.randn(batch, 3, 5, 6, generator=torch.Generator().manual_seed(seed))
    found = normalise_maps(gradients * scale)
    assert_close(found, normalise_maps(gradients))
    assert_close(found.amax((1, 2, 3)), torch.ones(batch))
    assert found.min() >= 0
    assert not normalise_maps(0 * gradients).any()


def test_edges_are_where_the_step_is():
    step = torch.zeros(1, 3, 8, 8)
    step[..., 4:] = 1
    found = edge_maps(step)
    assert_close(found[0, 0, :, 3:5], torch.ones(8, 2), atol=1e-3, rtol=0)
    assert found[..., :2].max() < 1e-2


def test_energy_by_hand():
    maps = torch.tensor([[[[1.0, 2], [3, 0]]]])
    parts = torch.tensor([[[[0.0, 1], [0, 1]]]])
    assert energy_inside(maps, parts).item() == pytest.approx(4 / 14)
    assert energy_inside(maps, torch.ones_like(maps)).item() == 1
    assert energy_inside(0 * maps, parts).isnan().all()
    with pytest.raises(ValueError, match="of one shape"):
        energy_inside(maps, parts[0])


@given(st.integers(1, 3), st.integers(0, 99), st.sampled_from(["invariant", "eq14"]))
def test_the_distance_is_zero_at_the_target_only(batch, seed, variant):
    generator = torch.Generator().manual_seed(seed)
    image, canvas = (torch.rand(batch, 3, 6, 5, generator=generator) for _ in range(2))
    focus = torch.rand(batch, 1, 6, 5, generator=generator)
    assert not focus_distance(image, image, focus, variant).any()
    far, near = (focus_distance(image + s * (canvas - image), image, focus, variant) for s in (1.0, 0.5))
    assert_close(near, far / 4)
    assert (far > 0).all()
    elsewhere = focus_distance(torch.where(focus > 0.5, image, canvas), image, (focus > 0.5).float(), variant)
    assert not elsewhere.any()


def test_the_two_readings_of_eq14_by_hand():
    image, canvas, focus = torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), 0.3), torch.zeros(1, 1, 4, 4)
    focus[0, 0, 0, :2] = torch.tensor([0.6, 0.8])
    above = 3 * 0.2**2 * (0.6**2 + 0.8**2)
    assert focus_distance(canvas, image, focus).item() == pytest.approx(above / 1.4, rel=1e-4)
    assert focus_distance(canvas, image, focus, "eq14").item() == pytest.approx(above / 1.0, rel=1e-4)


@pytest.mark.parametrize("variant", ["invariant", "eq14"])
def test_gradients_reach_the_canvas_and_an_empty_map_harms_nothing(variant):
    generator = torch.Generator().manual_seed(0)
    image, canvas = (torch.rand(2, 3, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    focus = torch.rand(2, 1, 4, 4, generator=generator, dtype=torch.float64)
    canvas.requires_grad_()
    assert torch.autograd.gradcheck(lambda c: focus_distance(c, image, focus, variant), (canvas,))
    nothing = focus_distance(canvas, image, 0 * focus, variant)
    grad, = torch.autograd.grad(nothing.sum(), canvas)
    assert not nothing.any() and not grad.any()


def test_distances_refuse_what_does_not_fit():
    image, focus = torch.rand(2, 3, 4, 4), torch.rand(2, 1, 4, 4)
    for bad, why in [((image[:1], image, focus), "expected canvas and image"), ((image, image, image), "focus"),
                     ((image, image, focus[:1]), "focus"), ((image, image, focus, "eq15"), "variant: expected")]:
        with pytest.raises(ValueError, match=why):
            focus_distance(*bad)
