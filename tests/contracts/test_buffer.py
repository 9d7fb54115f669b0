"""Every replay buffer keeps the protocol, ours and a third party's; a run saves and restores both."""
import pytest
import torch

from sgpaint.agent.buffers import BUFFERS, EpisodeBuffer, check_buffer
from sgpaint.agent.config import configure
from sgpaint.agent.training import train
from sgpaint.lab.config import ConfigError
from sgpaint.lab.registry import RegistryError
from sgpaint.lab.run import read_metrics


class Prioritized(EpisodeBuffer):
    "A third party's: transitions with large errors are drawn more often, with importance weights."
    name = "prioritized"

    def __init__(self, env, size, episodes, num_envs, device="cpu", guided=False):
        super().__init__(env, size, episodes, num_envs, device, guided)
        self.priority = torch.ones(episodes * env.steps)

    def add(self, transition, step=None):
        super().add(transition, step)
        self.priority[self.row * self.env.steps + self.length[self.row] - 1] = self.priority.max()

    def sample(self, batch, generator, device="cpu"):
        steps = torch.arange(self.env.steps)
        stored = steps[None] < self.length[:, None]
        chance = (self.priority.view(stored.shape) * stored).flatten()
        indices = torch.multinomial(chance, batch, replacement=True, generator=generator)
        weights = 1 / (chance[indices] / chance.sum() * stored.sum())
        t = self.get(indices // len(steps), indices % len(steps), device)
        return t._replace(indices=indices, weights=(weights / weights.max()).to(device))

    def update(self, indices, error):
        self.priority[indices.cpu()] = error.detach().cpu().float() + 1e-3

    def state_dict(self): return super().state_dict() | {"priority": self.priority}

    def load_state_dict(self, saved):
        super().load_state_dict(saved)
        self.priority = saved["priority"].clone()


@pytest.fixture
def theirs():
    yield BUFFERS.register("prioritized", Prioritized)
    BUFFERS.remove("prioritized")


@pytest.mark.parametrize("name", BUFFERS.names())
def test_everything_registered_keeps_the_protocol(name):
    check_buffer(BUFFERS[name])
    assert BUFFERS[name].name == name


def test_a_third_party_s_keeps_the_protocol(theirs): check_buffer(theirs)


def test_a_run_tells_it_the_errors_and_resumes_with_it(theirs, tmp_path, monkeypatch):
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    seen, own = [], Prioritized.update
    monkeypatch.setattr(Prioritized, "update", lambda self, i, e: (seen.append((i, e)), own(self, i, e)))

    def rows(name, minutes=()):
        config = configure(smoke=True, device="cpu", buffer="prioritized", buffer_episodes=130,
                           out_dir=str(tmp_path / name))
        for stop in (*minutes, 0): train(config, evaluate_every=1, updates=4, minutes=stop, say=lambda _: None)
        return [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in read_metrics(tmp_path / name)]

    whole = rows("whole")
    assert len(seen) == 4 and all(i.shape == e.shape == (4,) and (e >= 0).all() for i, e in seen)
    assert rows("stopped", minutes=(1e-9, 1e-9)) == whole


def of_others(self, *given): return self.original(*given)._replace(action=torch.rand(given[0], self.env.action_size))
def never_ends(self, *given): return self.original(*given)._replace(terminated=torch.zeros(given[0], dtype=torch.bool))
def without_indices(self, *given): return self.original(*given)._replace(indices=None)
def heavy(self, *given): return self.original(*given)._replace(weights=torch.full((given[0],), 2.0))
def few(self, batch, *given): return self.original(min(batch, 9), *given)
def restless(self, batch, generator, *given):
    self.calls = getattr(self, "calls", 0) + 1
    return self.original(batch, torch.Generator().manual_seed(self.calls), *given)
def opened(self): return EpisodeBuffer.state_dict(self) | {"env": self.env}
def emptied(self, saved): self.length[:] = 0
def raises(self, transition, step=None): raise IndexError("full")


@pytest.mark.parametrize("changes, rule", [
    (dict(sample=of_others), "samples of what was added"), (dict(sample=never_ends), "`terminated` where no step"),
    (dict(sample=without_indices), "the index of every transition"), (dict(sample=few), "expected 2000 transitions"),
    (dict(sample=heavy), r"importance weights in \(0, 1\]"), (dict(sample=restless), "the same sample from the same"),
    (dict(state_dict=opened), "a trial raised CheckpointError"),
    (dict(load_state_dict=emptied), "a trial raised ValueError"),
    (dict(add=raises), "a trial raised IndexError: full")])
def test_what_breaks_the_protocol_is_named_with_its_rule(changes, rule):
    kind = type("Broken", (EpisodeBuffer,), changes | {"original": EpisodeBuffer.sample})
    with pytest.raises(RegistryError, match=rule) as caught: check_buffer(kind)
    assert str(caught.value).startswith("replay buffer 'uniform' (Broken): ")
    assert len(str(caught.value).splitlines()) == 1


def test_names_and_objects_that_are_no_buffers():
    for thing in (3, [], type("Empty", (), {})):
        with pytest.raises(RegistryError, match="replay buffer"): check_buffer(thing)
        with pytest.raises(RegistryError, match="expected a"): BUFFERS.register("thing", thing)
    with pytest.raises(RegistryError, match="replay buffer 'uniform': the name is taken"):
        BUFFERS.register("uniform", Prioritized)
    with pytest.raises(ConfigError, match="buffer: .*did you mean 'uniform'"): configure(buffer="unifrom")
