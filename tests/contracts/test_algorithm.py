"""Every algorithm keeps the protocol, ours and a third party's; a run that was stopped goes on bit for bit."""
import pytest
import torch

from sgpaint.agent.algorithms import ALGORITHMS, DDPG, Algorithm, ModelBasedDDPG, check_algorithm
from sgpaint.agent.callbacks import Callback
from sgpaint.agent.config import configure
from sgpaint.agent.networks import Critic
from sgpaint.agent.training import train
from sgpaint.agent.trained import load_agent
from sgpaint.lab import checkpoint
from sgpaint.lab.config import ConfigError
from sgpaint.lab.registry import RegistryError
from sgpaint.lab.run import read_metrics

OURS = ALGORITHMS.names()


class TwoCritics(DDPG):
    "A third party's: the smaller of two critics is the target, as in TD3."
    name = "two-critics"

    @classmethod
    def build_networks(cls, env, learning, discriminators=()):
        made = super().build_networks(env, learning, discriminators)
        second = Critic(learning.network, env.channels, env.action_size)
        return type(made)(**dict(made.online.items()), critic_2=second)

    def loss_of(self, name, t):
        observe = self.env.observe
        with torch.no_grad():
            inputs = observe(t.after), self.action(t.after, target=True)
            following = torch.minimum(*(self.forward(n, *inputs, target=True) for n in ("critic", "critic_2")))
            target = self.stored_reward(t) + self.discount * following * ~t.terminated
        return self.value_loss(self.forward(name, observe(t.state), t.action), target, t.weights)

    def critic_loss(self, t): return self.loss_of("critic", t)

    def losses(self): return {"critic": self.critic_loss, "critic_2": lambda t: self.loss_of("critic_2", t),
                              **{name: loss for name, loss in super().losses().items() if name != "critic"}}


@pytest.fixture
def theirs():
    yield ALGORITHMS.register("two-critics", TwoCritics)
    ALGORITHMS.remove("two-critics")


@pytest.mark.parametrize("name", OURS)
def test_everything_registered_keeps_the_protocol(name):
    check_algorithm(ALGORITHMS[name], updates=40)
    assert ALGORITHMS[name].name == name


def test_a_third_party_s_keeps_the_protocol(theirs): check_algorithm(theirs, updates=25)


class StopAt(Callback):
    "Ends a run after an update, as a deadline does."
    def __init__(self, update): self.update = update
    def on_start(self, session): self.networks = session.algorithm.networks
    def on_update(self, session, metrics): session.stopping = session.algorithm.updates == self.update


@pytest.mark.parametrize("name", [*OURS, "two-critics"])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(name, theirs, tmp_path, monkeypatch):
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    rewards = "l2" if name in ("patchq", "dense") else "mix"

    def rows(folder, stops=()):
        config = configure(smoke=True, device="cpu", algorithm=name, rewards=rewards, noise=0.1, buffer_episodes=130,
                           out_dir=str(tmp_path / folder))
        for update in (*stops, 0):
            train(config, updates=4, evaluate_every=1, callbacks=[StopAt(update)], say=lambda _: None)
        return [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in read_metrics(tmp_path / folder)]

    whole = rows("whole")
    assert len(whole) == 4 and rows("stopped", stops=(1, 3)) == whole
    last = "checkpoints", "update-0000004"
    one, other = (checkpoint.load(tmp_path.joinpath(folder, *last)) for folder in ("whole", "stopped"))
    assert same(one["algorithm"], other["algorithm"]) and same(one["collector"], other["collector"])
    actor = load_agent(tmp_path / "stopped").actor.state_dict()
    assert same(actor, load_agent(tmp_path / "whole").actor.state_dict())


def same(a, b):
    "Whether two nested states are equal, bit for bit."
    if isinstance(a, dict): return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple): return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if torch.is_tensor(a) else a == b


def no_step(self, t): return {"critic_loss": torch.zeros(()), "actor_loss": torch.zeros(())}
def undefined(self, t): return self.forward("critic", self.env.observe(t.state), t.action).mean() * torch.nan
def uncounted(self, t): return self.step(t)
def too_large(self, state): return 2 * DDPG.select_action(self, state) + 1
def opened(self): return DDPG.state_dict(self) | {"env": self.env}
def forgetful(self, saved): self.updates = saved["updates"]
def raises(self, t): raise KeyError("nothing here")


@pytest.mark.parametrize("changes, rule", [
    (dict(critic_loss=undefined), "expected finite metrics"), (dict(update=uncounted), "updates to be counted"),
    (dict(select_action=too_large), r"select_action: expected actions in \[0, 1\]"),
    (dict(state_dict=opened), "a trial raised CheckpointError"),
    (dict(load_state_dict=forgetful), "after load_state_dict"), (dict(name=""), "expected a name"),
    (dict(actor_loss=raises), "a trial raised KeyError: 'nothing here'"),
    (dict(step=no_step), "expected the critic's loss to fall")])
def test_what_breaks_the_protocol_is_named_with_its_rule(changes, rule):
    updates = 25 if {"state_dict", "load_state_dict"} & set(changes) else 3  # those come after learning
    with pytest.raises(RegistryError, match=rule) as caught:
        check_algorithm(type("Broken", (DDPG,), {"name": "ddpg"} | changes), updates)
    assert str(caught.value).startswith("algorithm ") and "(Broken): " in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_model_based_one_has_to_learn():
    with pytest.raises(RegistryError, match="expected one picture to be learned"):
        check_algorithm(type("Broken", (ModelBasedDDPG,), {"step": no_step}), updates=2)


def test_names_and_objects_that_are_no_algorithms():
    for thing, rule in ((3, "expected a class"), (type("Empty", (), {}), "expected a method `build_actor`"),
                        (Algorithm, r"expected a method `critic_loss\(t\)`"),
                        (type("Half", (Algorithm,), {"critic_loss": raises}), r"expected a method `actor_loss\(t\)`")):
        with pytest.raises(RegistryError, match=rule): check_algorithm(thing)
        with pytest.raises(RegistryError, match=rule): ALGORITHMS.register("thing", thing)
    with pytest.raises(RegistryError, match="algorithm 'ddpg': the name is taken by sgpaint.agent.algorithms.DDPG"):
        ALGORITHMS.register("ddpg", TwoCritics)
    with pytest.raises(ConfigError, match="algorithm: .*did you mean 'patchq'"): configure(algorithm="patch-q")
