"""Every reward term keeps the protocol, ours and a third party's; a run pays the numbers that the rule gives."""
import contextlib

import pytest
import torch

from sgpaint.agent.config import configure, reward_terms, reward_weights, rewards_at
from sgpaint.agent.guided_rewards import Background, Foreground
from sgpaint.agent.networks import Discriminator
from sgpaint.agent.rewards import L2, REWARDS, Adversarial, RewardTerm, WeightedSum, check_reward
from sgpaint.agent.training import Session
from sgpaint.guide.guidance import make_guidance
from sgpaint.lab.config import ConfigError
from sgpaint.lab.registry import RegistryError

SIZE = (32, 32)


class Edges(RewardTerm):
    "A third party's: the squared error of the differences between neighbouring pixels."
    name = "edges"

    def distance(self, canvas, target, guidance=None):
        error = canvas - target
        return error.diff(dim=2).square().mean((1, 2, 3)) + error.diff(dim=3).square().mean((1, 2, 3))


class Bare:
    "A third party's without our base class, which needs the mask."
    name, needs = "bare", ("mask",)

    @classmethod
    def build(cls, guidance, discriminator=None): return cls()

    def distance(self, canvas, target, guidance=None):
        return ((canvas - target).abs() * guidance.mask).mean((1, 2, 3))

    def reward(self, before, after, target, guidance=None):
        return self.distance(before, target, guidance) - self.distance(after, target, guidance)


@contextlib.contextmanager
def registered(*terms):
    "The terms are known by their names within the block."
    for term in terms: REWARDS.register(term.name, term)
    try: yield
    finally:
        for term in terms: REWARDS.remove(term.name)


@pytest.fixture
def guidance():
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    disc = ((x - 15) ** 2 + (y - 17) ** 2 < 90).float().expand(2, 1, 32, 32)
    return make_guidance(disc, SIZE, focus=torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)))


def ready(kind):
    "A term that can be checked: with a discriminator where it needs one."
    return kind.build(None, Discriminator("small") if "discriminator" in kind.needs else None)


@pytest.mark.parametrize("name", REWARDS.names())
def test_everything_registered_keeps_the_protocol(name, guidance):
    term = ready(REWARDS[name])
    check_reward(term, guidance if term.needs else None)
    assert term.name == name


@pytest.mark.parametrize("kind", [Edges, Bare])
def test_a_third_party_s_keeps_the_protocol(kind, guidance):
    check_reward(kind, guidance)
    with registered(kind): check_reward(REWARDS[kind.name], guidance)


@pytest.mark.parametrize("name", REWARDS.names())
def test_what_is_made_of_a_term_keeps_the_protocol(name, guidance):
    term = ready(REWARDS[name])
    check_reward(WeightedSum([(0.5, term), (2.0, Edges())]), guidance)
    if "mask" not in term.needs:
        for made in (Foreground(term), Foreground(term, aligned=False), Background(term)): check_reward(made, guidance)


@pytest.mark.parametrize("rewards", [
    {"l2": 0.5, "edges": [[0, 1.0], [2, 3.0]]}, {"adversarial": 1, "edges": 2.0},
    {"bare": 1, "l2": [[1, 0.0], [2, 1.0]]}])
def test_a_run_pays_what_the_rule_says(rewards, tmp_path):
    "The reward of a run's transition is the sum of its terms, each weight divided by the term's scale."
    with registered(Edges, Bare):
        config = configure("guided", smoke=True, device="cpu", out_dir=str(tmp_path), rewards=rewards,
                           observe_focus=False, focus_weight=0.0, foreground_weight=2.0)
        session = Session(config)
        session.collect(1)
        for update in range(config.learning.updates):
            session.prepare()
            t, networks = session.next_batch(), session.algorithm.networks
            paid = session.algorithm.reward(t.state, t.after)
            ruled = rewards_at(config, update, session.scales, networks)
            pictures = t.state.canvas, t.after.canvas, t.state.target, t.state.guidance
            assert torch.equal(paid, ruled.reward(*pictures))
            torch.testing.assert_close(paid, session.algorithm.env.step(t.state, t.action).reward, rtol=0.01, atol=0.01)
            terms, by_hand = reward_terms(config, networks), torch.zeros(len(t.state))
            for name, weight in reward_weights(config, update).items():
                before, after = (terms[name].distance(c, *pictures[2:]) for c in pictures[:2])
                by_hand = by_hand + weight / session.scales[name] * (before - after)
            torch.testing.assert_close(paid, by_hand, rtol=1e-3, atol=1e-4)
            session.algorithm.update(t)


def no_zero(self, canvas, target, guidance=None): return (canvas - target).square().mean((1, 2, 3)) + 1
def one_number(self, canvas, target, guidance=None): return (canvas - target).square().mean()
def of_the_batch(self, canvas, target, guidance=None): return (canvas - target).square().mean().expand(len(canvas))
def no_gradient(self, canvas, target, guidance=None): return (canvas - target).detach().square().mean((1, 2, 3))
def raises(self, canvas, target, guidance=None): raise RuntimeError("two\nlines")
def too_much(self, before, after, target, guidance=None): return 2 * RewardTerm.reward(self, before, after, target)


@pytest.mark.parametrize("changes, rule", [
    (dict(distance=no_zero), "distance 0 where canvas and target are equal"),
    (dict(distance=one_number), r"expected 2 finite distances of shape \(2,\)"),
    (dict(distance=of_the_batch), "distance of each picture alone"),
    (dict(distance=no_gradient), "gradient"), (dict(distance=raises), "a trial raised RuntimeError"),
    (dict(reward=too_much), "rewards that add up"), (dict(name=""), "expected a name"),
    (dict(needs="mask"), "needs: expected a tuple"), (dict(needs=("depth",)), "needs: expected names out of mask")])
def test_what_breaks_the_protocol_is_named_with_its_rule(changes, rule):
    kind = type("Broken", (Edges,), changes)
    with pytest.raises(RegistryError, match=rule) as caught: check_reward(kind)
    assert str(caught.value).startswith("reward term ") and "(Broken)" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("thing, rule", [
    (3, "expected a class"), (Edges(), "expected a class"), (RewardTerm, "expected a method `distance"),
    (type("Few", (), {"build": 1}), "expected a class with the class method `build`")])
def test_an_object_that_is_no_reward_term_cannot_be_registered(thing, rule):
    with pytest.raises(RegistryError, match=rule): REWARDS.register("thing", thing)
    assert "thing" not in REWARDS


def test_names_are_taken_once_and_unknown_ones_get_the_nearest():
    with pytest.raises(RegistryError, match="reward term 'l2': the name is taken by sgpaint.agent.rewards.L2"):
        REWARDS.register("l2", Edges)
    with pytest.raises(RegistryError, match="the name is taken"), registered(type("Mine", (L2,), {})): pass
    assert REWARDS["l2"] is L2
    with pytest.raises(ConfigError, match="rewards: .*did you mean 'focus'"): configure(rewards={"focs": 1})
    with pytest.raises(RegistryError, match="expected a discriminator, got none"): Adversarial.build(None)


@pytest.mark.parametrize("rewards, rule", [
    ({}, "at least one term"), ({"l2": -1}, "weights of 0 or more"), ({"l2": None}, "a number or points"),
    ({"l2": "much"}, "a number or points"), ({"l2": [1, 2]}, "a number or points"), ({"l2": float("nan")}, "got nan"),
    ({"l2": [[3, 1], [2, 1]]}, "rising updates"), ({"l2": 0}, "a weight above 0 at every update, got none at update 0"),
    ({"l2": [[0, 1], [500, 0]]}, "got none at update 500"), ({"l2": [[0, 0], [9, 1]]}, "got none at update 0")])
def test_weights_that_cannot_be_are_refused_before_the_run(rewards, rule):
    with pytest.raises(ConfigError, match=rule): configure(rewards=rewards)
