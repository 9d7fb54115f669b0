"""Every callback keeps the protocol, ours and a third party's; the loop calls them in a fixed order."""
import pytest
import torch

from sgpaint.agent.callbacks import CALLBACKS, MOMENTS, Callback, Callbacks, check_callback
from sgpaint.agent.config import configure
from sgpaint.agent.training import Session, train
from sgpaint.lab.registry import RegistryError
from sgpaint.lab.run import Run

TINY = dict(smoke=True, device="cpu")


class Recorder(Callback):
    "A third party's: notes the moments and the updates at which they come."
    name = "recorder"

    def __init__(self): self.calls = []
    def on_start(self, session): self.calls.append(("on_start", session.algorithm.updates))
    def on_collect(self, session): self.calls.append(("on_collect", session.algorithm.updates))
    def on_update(self, session, metrics): self.calls.append(("on_update", session.algorithm.updates))
    def on_evaluate(self, session, evaluation): self.calls.append(("on_evaluate", session.algorithm.updates))
    def on_log(self, session, numbers): self.calls.append(("on_log", session.algorithm.updates))
    def on_end(self, session): self.calls.append(("on_end", session.algorithm.updates))


class Bare:
    "A third party's without our base class; it ends a run after its second update."
    name = "second"

    def on_update(self, session, metrics): session.stopping = session.algorithm.updates == 2
    on_start = on_collect = on_evaluate = on_log = on_end = lambda self, session, *more: None


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    "A session of a run that is open."
    folder = tmp_path_factory.mktemp("run")
    made = Session(configure(**TINY, out_dir=str(folder)))
    with Run(folder, {}) as made.run: yield made


@pytest.mark.parametrize("name", CALLBACKS.names())
def test_everything_registered_keeps_the_protocol(name, session, tmp_path):
    with Run(tmp_path, {}) as session.run: check_callback(CALLBACKS[name], session)
    assert CALLBACKS[name].name == name


@pytest.mark.parametrize("kind", [Recorder, Bare])
def test_a_third_party_s_keeps_the_protocol(kind, session):
    check_callback(kind, session)
    check_callback(kind(), session)


@pytest.mark.parametrize("buffer_episodes", [0, 130])
def test_the_order_of_calls(buffer_episodes, tmp_path):
    recorder = Recorder()
    config = configure(**TINY, buffer_episodes=buffer_episodes, out_dir=str(tmp_path))
    train(config, evaluate_every=2, collect_every=2, callbacks=[recorder], say=lambda _: None)
    evaluated = ["on_evaluate", "on_log"]
    expected = [("on_start", 0), ("on_collect", 0)]
    if buffer_episodes: expected += [("on_collect", 0)]  # at update 1, and at every second one
    expected += [("on_update", 1), *((moment, 2) for moment in [*evaluated, "on_update"])]
    if buffer_episodes: expected += [("on_collect", 2)]
    expected += [*((moment, 3) for moment in [*evaluated, "on_update"]), ("on_end", 3)]
    assert recorder.calls == expected
    assert {moment for moment, _ in recorder.calls} == set(MOMENTS)


def test_callbacks_by_name_class_and_object_and_a_run_that_one_of_them_stops(tmp_path):
    CALLBACKS.register("second", Bare)
    try:
        recorder = Recorder()
        config = configure(**TINY, callbacks=("second", "checkpoint"), out_dir=str(tmp_path))
        stopped = train(config, callbacks=[recorder], say=lambda _: None)
        assert not stopped.result and recorder.calls[-1] == ("on_end", 2)
        assert [f.name for f in (tmp_path / "checkpoints").iterdir()] == ["update-0000002"]
        finished = train(config, callbacks=[Recorder], say=lambda _: None)  # a new call goes on
        assert finished.result["updates"] == 3
    finally: CALLBACKS.remove("second")


def test_a_list_of_callbacks_is_called_in_its_order(session):
    calls = []

    def noted(letter):
        made = Recorder()
        made.on_start = lambda session: calls.append(letter)
        return made
    Callbacks([noted("a"), noted("b"), noted("c")])("on_start", session)
    assert calls == ["a", "b", "c"]


def raises(self, session, *more): raise KeyError("nothing here")
def learns(self, session, *more):
    with torch.no_grad(): next(session.algorithm.networks.online.parameters()).add_(1)
def draws(self, session, *more): torch.rand(1, generator=session.generator)
def draws_globally(self, session, *more): torch.rand(1)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("method, rule", [
    (raises, "raised KeyError: 'nothing here'"), (learns, "networks that stay as they are"),
    (draws, "random numbers of the run"), (draws_globally, "random numbers of the run")])
def test_what_breaks_the_protocol_is_named_with_its_rule(moment, method, rule, session):
    with pytest.raises(RegistryError, match=rule) as caught:
        check_callback(type("Broken", (Callback,), {"name": "broken", moment: method}), session)
    assert str(caught.value).startswith("callback 'broken': ") and len(str(caught.value).splitlines()) == 1


def test_names_and_objects_that_are_no_callbacks(tmp_path, session):
    class Needy(Callback):
        name = "needy"
        def __init__(self, folder): self.folder = folder
    with pytest.raises(RegistryError, match="'needy': a trial raised TypeError"): check_callback(Needy, session)
    for thing in (3, print, type("Few", (), {"on_start": print})):
        with pytest.raises(RegistryError, match="callback.*expected a method `on_"): check_callback(thing, session)
        with pytest.raises(RegistryError, match="callback.*expected a method `on_"): Callbacks([thing])
        with pytest.raises(RegistryError, match="expected a method"): CALLBACKS.register("thing", thing)
    with pytest.raises(RegistryError, match="callback 'progress': the name is taken"):
        CALLBACKS.register("progress", Recorder)
    config = configure(**TINY, callbacks=("evaluaton",), out_dir=str(tmp_path / "run"))
    with pytest.raises(RegistryError, match="did you mean 'evaluation'"): train(config)  # before any work
    assert not (tmp_path / "run").exists()
