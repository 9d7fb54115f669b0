"""Every exploration keeps the protocol, ours and a third party's."""
import copy

import pytest
import torch

from sgpaint.agent.config import configure
from sgpaint.agent.exploration import EXPLORATIONS, GaussianNoise, check_exploration
from sgpaint.agent.training import Session
from sgpaint.lab.config import ConfigError
from sgpaint.lab.registry import RegistryError


class ParameterNoise(GaussianNoise):
    "A third party's: the actor's own parameters are changed a little, in a copy."
    name = "parameters"

    def policy(self, algorithm, generator):
        actor = algorithm.networks.online["actor"]

        def behaviour(state):
            if self.size == 0: return algorithm.select_action(state)
            original = [p.detach().clone() for p in actor.parameters()]
            with torch.no_grad():
                for p in actor.parameters(): p.add_(self.size * torch.randn(p.shape, generator=generator))
                try: return algorithm.select_action(state)
                finally:
                    for p, was in zip(actor.parameters(), original, strict=True): p.copy_(was)
        return behaviour


@pytest.fixture
def theirs():
    yield EXPLORATIONS.register("parameters", ParameterNoise)
    EXPLORATIONS.remove("parameters")


@pytest.mark.parametrize("name", EXPLORATIONS.names())
def test_everything_registered_keeps_the_protocol(name):
    check_exploration(EXPLORATIONS[name])
    assert EXPLORATIONS[name].name == name


def test_a_third_party_s_keeps_the_protocol_and_explores(theirs, tmp_path):
    check_exploration(theirs)
    actions = {}
    for name in ("gaussian", "parameters"):
        config = configure(smoke=True, device="cpu", exploration=name, noise=0.1, out_dir=str(tmp_path))
        session = Session(config)
        before = copy.deepcopy(session.algorithm.networks.online["actor"].state_dict())
        session.collect(2)
        actions[name] = session.next_batch().action
        after = session.algorithm.networks.online["actor"].state_dict()
        assert all(torch.equal(x, after[key]) for key, x in before.items())
    assert not torch.equal(*actions.values())


def wild(self, algorithm, generator): return lambda state: algorithm.select_action(state) + 9 * self.size
def deaf(self, algorithm, generator): return algorithm.select_action
def restless(self, algorithm, generator): return lambda state: torch.rand_like(algorithm.select_action(state))
def forgetful(self, algorithm, generator):
    def act(state):
        action = algorithm.select_action(state)
        return action if self.size == 0 else (action + self.size * torch.randn(action.shape)).clamp(0, 1)
    return act
def destructive(self, algorithm, generator):
    for p in algorithm.networks.online["actor"].parameters(): p.data.mul_(1.0 if self.size == 0 else 1.1)
    return GaussianNoise.policy(self, algorithm, generator)
def raises(self, algorithm, generator): return algorithm.noise


@pytest.mark.parametrize("policy, rule", [
    (wild, r"expected actions \(4, 65\) in \[0, 1\]"), (deaf, "other actions at size 0.2"),
    (restless, "the actor's own actions at size 0"), (forgetful, "the same actions from the same generator"),
    (destructive, "expected"), (raises, "a trial raised AttributeError")])
def test_what_breaks_the_protocol_is_named_with_its_rule(policy, rule):
    with pytest.raises(RegistryError, match=rule) as caught:
        check_exploration(type("Broken", (GaussianNoise,), {"policy": policy}))
    assert str(caught.value).startswith("exploration 'gaussian' (Broken): ")
    assert len(str(caught.value).splitlines()) == 1


def test_names_and_objects_that_are_no_explorations():
    for thing in (3, GaussianNoise(), type("Empty", (), {})):
        with pytest.raises(RegistryError, match="exploration"): check_exploration(thing)
        with pytest.raises(RegistryError, match="expected a"): EXPLORATIONS.register("thing", thing)
    with pytest.raises(RegistryError, match="exploration 'gaussian': the name is taken"):
        EXPLORATIONS.register("gaussian", ParameterNoise)
    with pytest.raises(ConfigError, match="exploration: .*did you mean 'gaussian'"): configure(exploration="gausian")
