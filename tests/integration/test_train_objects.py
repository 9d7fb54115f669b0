"""A run takes objects or names: its checkpoints and its agent know them by name, and say so where a name is missing."""
import contextlib
import json

import pytest
import torch

from sgpaint.agent.algorithms import ALGORITHMS, ModelBasedDDPG
from sgpaint.agent.buffers import BUFFERS, EpisodeBuffer
from sgpaint.agent.callbacks import Callback
from sgpaint.agent.config import configure
from sgpaint.agent.discriminators import DISCRIMINATORS, WGANGP
from sgpaint.agent.exploration import EXPLORATIONS, GaussianNoise
from sgpaint.agent.rewards import REWARDS, RewardTerm
from sgpaint.agent.trained import load_agent, paint_with
from sgpaint.agent.training import train
from sgpaint.lab.registry import RegistryError
from sgpaint.lab.run import RunError
from sgpaint.stroke.exact import render
from sgpaint.stroke.renderer import RENDERERS


class Pale:
    "A renderer whose strokes cover half."
    name, differentiable, primitives, in_browser = "pale", True, ("bezier",), False

    def __call__(self, strokes, size, primitive):
        alpha, colour = render(strokes, size, primitive)
        return alpha / 2, colour / 2


class Grey(RewardTerm):
    "The squared error of the grey values."
    name = "grey"

    def distance(self, canvas, target, guidance=None): return (canvas - target).mean(1).square().mean((1, 2))


class Cautious(ModelBasedDDPG):
    "Model-based DDPG with half the discount."
    name = "cautious"

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.discount = self.discount / 2


class Uniform(GaussianNoise):
    "Another name for what there is."
    name = "uniform-noise"

    def policy(self, algorithm, generator):
        def behaviour(state):
            action = algorithm.select_action(state)
            return (action + self.size * (torch.rand(action.shape, generator=generator) - 0.5)).clamp(0, 1)
        return behaviour


class Small(EpisodeBuffer):
    "A buffer that is told apart by its name."
    name = "small-buffer"


class Gentle(WGANGP):
    "WGAN-GP with a weaker penalty."
    name = "gentle"

    def __init__(self): super().__init__(1.0)


class Count(Callback):
    "Counts the updates."
    total = 0
    def on_update(self, session, metrics): Count.total += 1


FADE = [[0, 1.0], [2, 0.5]]
OBJECTS = dict(renderer=Pale(), rewards={Grey: 0.5, "l2": FADE, "adversarial": 0.1}, algorithm=Cautious,
               exploration=Uniform, buffer=Small, discriminator=Gentle())
NAMES = dict(renderer="pale", rewards={"grey": 0.5, "l2": FADE, "adversarial": 0.1}, algorithm="cautious",
             exploration="uniform-noise", buffer="small-buffer", discriminator="gentle")
DOORS = {RENDERERS: "pale", REWARDS: "grey", ALGORITHMS: "cautious", EXPLORATIONS: "uniform-noise",
         BUFFERS: "small-buffer", DISCRIMINATORS: "gentle"}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    "What a test registers is gone after it."
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    yield
    forget()


def forget():
    for registry, name in DOORS.items():
        with contextlib.suppress(RegistryError): registry.remove(name)


def rows(result): return [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in result.rows]


def test_objects_and_their_names_give_the_same_run_and_the_agent_remembers_them(tmp_path):
    common = dict(smoke=True, device="cpu", noise=0.1, buffer_episodes=130)
    Count.total = 0
    one = train(configure(**common, **OBJECTS, out_dir=str(tmp_path / "objects")), callbacks=[Count, Count()], say=len)
    assert Count.total == 2 * 3 and one.result["updates"] == 3
    assert set(one.result["scales"]) == {"grey", "l2", "adversarial"}
    saved = json.loads((one.folder / "config.json").read_text())
    assert saved["task"]["renderer"] == "pale" and saved["learning"]["rewards"] == NAMES["rewards"]
    other = train(configure(**common, **NAMES), out_dir=str(tmp_path / "names"), say=len)
    assert rows(one) == rows(other)
    again = train(configure(**common, **OBJECTS, out_dir=str(tmp_path / "objects")), say=len)  # nothing is left to do
    assert rows(again) == rows(one)
    with pytest.raises(RunError, match="renderer"):
        train(configure(**common, **OBJECTS | {"renderer": "exact"}, out_dir=str(tmp_path / "objects")), say=len)

    agent = load_agent(one.folder)
    painting = paint_with(agent, torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0)))
    assert painting.renderer == "pale" and painting.render().shape == (3, 40, 50)
    start, whitest = agent.env.reset(torch.rand(1, 3, 32, 32)), torch.ones(1, agent.env.action_size)
    canvas = agent.env.transition(start, whitest).canvas
    assert canvas.max() < 0.98                                 # five pale strokes do not cover
    forget()
    with pytest.raises(ValueError, match="unknown name 'cautious'|unknown name 'pale'"): load_agent(one.folder)


@pytest.mark.parametrize("given, rule", [
    (dict(renderer=Pale), "renderer"), (dict(rewards={print: 1}), "reward term"),
    (dict(algorithm=GaussianNoise), "algorithm"), (dict(exploration=Pale()), "exploration"),
    (dict(buffer=Grey), "buffer"), (dict(discriminator=WGANGP), "discriminator objective"),
    (dict(algorithm=3), "expected a name or an object with a name")])
def test_an_object_of_another_kind_is_refused_before_the_run(given, rule, tmp_path):
    with pytest.raises(ValueError, match=rule) as caught: train(smoke=True, out_dir=str(tmp_path / "run"), **given)
    assert len(str(caught.value).splitlines()) == 1 and not (tmp_path / "run").exists()


def test_a_second_object_does_not_take_a_name_silently():
    # another setting of a registered class would change every later run of the process
    with pytest.raises(ValueError, match="'wgan-gp': the name stands for another object"):
        configure(discriminator=WGANGP(1.0))
    assert configure(discriminator=DISCRIMINATORS["wgan-gp"]).learning.discriminator == "wgan-gp"
