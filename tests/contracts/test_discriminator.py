"""Every discriminator objective keeps the protocol, ours and a third party's, and a run can use both."""
import pytest
import torch

from sgpaint.agent.config import configure
from sgpaint.agent.discriminators import DISCRIMINATORS, WGANGP, check_discriminator
from sgpaint.agent.training import Session
from sgpaint.lab.config import ConfigError
from sgpaint.lab.registry import RegistryError


class LeastSquares(WGANGP):
    "A third party's: scores of real pairs near 1, of painted ones near 0, with a penalty on the scores."
    name = "least-squares"

    def penalty(self, network, canvas, target): return network(target, target).square().mean()

    def loss(self, network, canvas, target):
        real, fake = network(target, target), network(canvas, target)
        return (real - 1).square().mean() + fake.square().mean() + 1e-3 * self.penalty(network, canvas, target)


@pytest.fixture
def theirs():
    DISCRIMINATORS.register("least-squares", LeastSquares())
    yield DISCRIMINATORS["least-squares"]
    DISCRIMINATORS.remove("least-squares")


@pytest.mark.parametrize("name", DISCRIMINATORS.names())
def test_everything_registered_keeps_the_protocol(name):
    check_discriminator(DISCRIMINATORS[name])
    assert DISCRIMINATORS[name].name == name


def test_a_third_party_s_keeps_the_protocol_and_trains(theirs, tmp_path):
    check_discriminator(theirs)
    check_discriminator(LeastSquares(), size=(64, 32))
    session = Session(configure("guided", smoke=True, device="cpu", discriminator="least-squares", rewards="wgan",
                                observe_focus=False, focus_weight=0.0, out_dir=str(tmp_path)))
    session.collect(1)
    for _ in range(2):
        session.prepare()
        assert all(x.isfinite() for x in session.algorithm.update(session.next_batch()).values())
    assert session.algorithm.objective is theirs
    assert {"discriminator", "foreground_discriminator"} <= set(session.algorithm.networks.online)


class Blind(torch.nn.Module):
    "A discriminator that does not look at the canvas."
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, canvas, target): return self.weight * target.mean((1, 2, 3))


def upside_down(self, network, canvas, target): return -network(canvas, target)
def of_the_batch(self, network, canvas, target): return network(canvas, target) - network(canvas, target).mean()
def vector(self, network, canvas, target): return network(canvas, target)
def below(self, network, canvas, target): return -torch.ones(())
def raises(self, network, canvas, target): raise KeyError("nothing here")
def rising(self, network, canvas, target):
    self.calls = getattr(self, "calls", 0) + 1
    return self.calls + 0 * sum(p.sum() for p in network.parameters())


@pytest.mark.parametrize("changes, rule", [
    (dict(score=upside_down), r"expected higher scores nearer to the target \(C1\)"),
    (dict(score=of_the_batch), "score of each pair alone"), (dict(loss=vector), "expected a finite scalar loss"),
    (dict(loss=rising), "expected a loss that falls"), (dict(penalty=below), "penalty of 0 or more"),
    (dict(loss=raises), "a trial raised KeyError: 'nothing here'"), (dict(network=lambda self, preset: 3), "network: "),
    (dict(network=lambda self, preset: Blind()), "expected|trial")])
def test_what_breaks_the_protocol_is_named_with_its_rule(changes, rule):
    broken = type("Broken", (LeastSquares,), changes)()
    with pytest.raises(RegistryError, match=rule) as caught: check_discriminator(broken, updates=8)
    assert str(caught.value).startswith("discriminator objective 'least-squares' (Broken): ")
    assert len(str(caught.value).splitlines()) == 1


def test_names_and_objects_that_are_no_objectives():
    with pytest.raises(RegistryError, match=r"expected an object, got a class; write WGANGP\(\)"):
        DISCRIMINATORS.register("class", WGANGP)
    for thing in (3, object(), LeastSquares):
        with pytest.raises(RegistryError, match="discriminator objective"): check_discriminator(thing)
        with pytest.raises(RegistryError, match="expected"): DISCRIMINATORS.register("thing", thing)
    with pytest.raises(RegistryError, match="'wgan-gp': the name is taken"):
        DISCRIMINATORS.register("wgan-gp", LeastSquares())
    with pytest.raises(ConfigError, match="discriminator: .*did you mean 'wgan-gp'"): configure(discriminator="wgan_gp")
