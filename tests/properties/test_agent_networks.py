"""The networks: any size they can halve, gradients everywhere, counts of the paper, errors that say what to do."""
import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpaint.agent.networks import NETWORKS, Actor, Critic, Discriminator, TReLU, count_parameters, fold, macs
from sgpaint.agent.environment import coordinates


@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_coordinates_are_pixel_centres_right_and_down(height, width):
    x, y = coordinates((height, width))
    assert x.shape == y.shape == (height, width)
    assert torch.equal(x, x[:1].expand_as(x)) and torch.equal(y, y[:, :1].expand_as(y))
    assert torch.allclose(x[0] * width - 0.5, torch.arange(width).float(), atol=1e-4)
    assert torch.allclose(y[:, 0] * height - 0.5, torch.arange(height).float(), atol=1e-4)


@given(alpha=st.floats(-3, 3), x=st.lists(st.floats(-5, 5), min_size=1, max_size=9))
def test_trelu_is_a_maximum(alpha, x):
    layer, x = TReLU(), torch.tensor(x)
    layer.alpha.data.fill_(alpha)
    assert torch.allclose(layer(x), x.clamp(min=alpha), atol=1e-5)


@settings(max_examples=8)
@given(preset=st.sampled_from(sorted(NETWORKS)), rows=st.integers(1, 3), columns=st.integers(1, 3))
def test_any_size_the_networks_can_halve(preset, rows, columns):
    size = (32 * rows, 32 * columns)
    assert Actor(preset, 26).eval()(torch.rand(2, 9, *size)).shape == (2, 26)
    assert Critic(preset, channels=12)(torch.rand(2, 12, *size)).shape == (2,)
    patches = Critic(preset, actions=26, patch=True)
    stride = patches.spec.stride
    assert patches(torch.rand(2, 9, *size), torch.rand(2, 26)).shape == (2, size[0] // stride, size[1] // stride)
    assert Discriminator(preset)(*torch.rand(2, 2, 3, *size)).shape == (2,)


@pytest.mark.parametrize("preset", sorted(NETWORKS))
def test_every_parameter_gets_a_gradient(preset):
    nets = [
        (Actor(preset), (torch.rand(3, 9, 64, 64),)),
        (Critic(preset, actions=65), (torch.rand(3, 9, 64, 64), torch.rand(3, 65))),
        (Discriminator(preset), tuple(torch.rand(2, 3, 3, 64, 64))),
    ]
    for net, inputs in nets:
        net(*inputs).square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("net", [Actor("paper"), Actor("small"), Critic("paper"), Discriminator()])
def test_a_target_network_is_a_deep_copy(net):
    twin = copy.deepcopy(net)
    assert not {id(p) for p in net.parameters()} & {id(p) for p in twin.parameters()}
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)
    loaded = copy.deepcopy(net)
    loaded.load_state_dict(net.state_dict())


def test_group_norm_does_not_look_at_its_neighbours():
    x = torch.rand(4, 9, 32, 32)
    for preset in NETWORKS:
        actor = Actor(preset, norm="group")
        assert torch.allclose(actor(x)[:1], actor(x[:1]), atol=1e-5)
    with pytest.raises(ValueError, match="expected 'batch' or 'group'"):
        Actor("paper", norm="weight")


@pytest.mark.parametrize("preset", sorted(NETWORKS))
def test_a_folded_actor_answers_alike(preset):
    torch.manual_seed(0)
    actor = Actor(preset, 13)
    for _ in range(4):
        actor(3 * torch.rand(6, 9, 32, 32))
    before = copy.deepcopy(actor.eval()).state_dict()
    x = torch.rand(3, 9, 64, 32)
    assert torch.allclose(fold(actor)(x), actor(x), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in actor.state_dict().items())


def test_the_published_counts():
    nets = {
        "actor": (Actor("paper").eval(), torch.rand(1, 9, 128, 128)),
        "critic": (Critic("paper", channels=12), torch.rand(1, 12, 128, 128)),
        "discriminator": (Discriminator(), *torch.rand(2, 1, 3, 128, 128)),
    }
    rounded = {name: (round(count_parameters(net) / 1e6, 2), round(macs(net, *inputs) / 1e6))
               for name, (net, *inputs) in nets.items()}
    assert rounded == {"actor": (11.21, 579), "critic": (11.18, 586), "discriminator": (0.27, 49)}
    assert count_parameters(Actor("small")) <= 5e6 and count_parameters(Critic("small", channels=12)) <= 5e6


@pytest.mark.parametrize("observation", [torch.rand(9, 64, 64), torch.rand(1, 12, 64, 64), torch.rand(1, 9, 64, 50)])
def test_what_a_network_cannot_read_is_refused(observation):
    with pytest.raises(ValueError, match="expected"):
        Actor("small")(observation)
