"""Whatever is typed, a config is valid or refused; what is valid survives the way to disk and back."""
import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st

from sgpaint.lab.config import (
    ABSENT, ConfigError, Leaf, as_dict, build, differing, flatten, from_dict, is_smoke_test, leaves, nearest,
    project_root, replace)


@dataclasses.dataclass(frozen=True)
class Config:
    dataset: Literal["birds", "cars"] = "birds"
    updates: Annotated[int, Ge(1)] = 10
    rate: float = 0.1
    size: tuple[int, int] = (8, 8)
    flip: bool = False
    out_dir: Path = Path("runs")
    note: str | None = None

    def check(self):
        if self.updates * self.rate > 1e9: yield "updates: too many for that rate"


configs = st.builds(
    Config, dataset=st.sampled_from(["birds", "cars"]), updates=st.integers(1, 10**6), rate=st.floats(0, 1),
    size=st.tuples(st.integers(1, 999), st.integers(1, 999)), flip=st.booleans(), note=st.none() | st.text())
anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=3)


@given(configs)
def test_to_disk_and_back(cfg):
    written = json.loads(json.dumps(as_dict(cfg)))
    assert from_dict(Config, written) == cfg
    assert differing(written, as_dict(cfg)) == {}


@given(st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(Config)]) | st.text(min_size=1), anything))
def test_valid_or_refused(params):
    try: cfg = build(Config, **params)
    except ConfigError: return
    for f in dataclasses.fields(Config):
        value = getattr(cfg, f.name)
        if f.name in ("updates",): assert type(value) is int and value >= 1
        if f.name == "rate": assert type(value) is float and abs(value) < float("inf")
        if f.name == "flip": assert type(value) is bool
        if f.name == "size": assert type(value) is tuple and len(value) == 2


@pytest.mark.parametrize(("params", "said"), [
    (dict(datset="cars"), "datset: unknown parameter; did you mean 'dataset'?"),
    (dict(dataset="carz"), "did you mean 'cars'?"),
    (dict(updates="64"), "updates: expected a valid integer, got '64' (str)"),
    (dict(updates=64.0), "got 64.0 (float)"),
    (dict(updates=True), "got True (bool)"),
    (dict(updates=0), "greater than or equal to 1, got 0"),
    (dict(flip="true"), "flip: expected a valid boolean, got 'true'"),
    (dict(flip=1), "got 1 (int)"),
    (dict(rate=float("nan")), "rate: "),
    (dict(rate=float("inf")), "rate: "),
    (dict(rate="0.1"), "got '0.1' (str)"),
    (dict(size=[1, 2, 3]), "size: "),
    (dict(rate=1e9, updates=10), "too many for that rate"),
    (dict(qqqq=1), "known: dataset, updates"),
])
def test_refusals(params, said):
    with pytest.raises(ConfigError) as error: build(Config, **params)
    assert said in str(error.value)


def test_every_error_in_one_message():
    with pytest.raises(ConfigError) as error: build(Config, datset="x", updates="1", flip=0, rate="fast")
    assert str(error.value).count("\n  - ") == 4


def test_lax_where_it_is_natural():
    assert build(Config, rate=1, size=[3, 4], out_dir="there") == Config(rate=1.0, size=(3, 4), out_dir=Path("there"))


def test_a_needed_value_is_named():
    needed = dataclasses.make_dataclass("Needed", [("path", str)], frozen=True)
    with pytest.raises(ConfigError, match="path: a value is needed"): build(needed)


def test_check_may_raise():
    class Loud(Config):
        def check(self): raise ValueError("loud")
    with pytest.raises(ConfigError, match="- loud"): build(dataclasses.dataclass(frozen=True)(Loud))


@given(st.text(), st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_nearest_always_answers(name, names):
    assert nearest(name, names).startswith("; ")


def test_differing_names_both_sides():
    assert differing({"a": 1}, {"b": 1}) == {"a": (1, ABSENT), "b": (ABSENT, 1)}


@dataclasses.dataclass(frozen=True)
class Machine:
    threads: Annotated[int, Ge(0)] = 0
    device: str = "auto"


@dataclasses.dataclass(frozen=True)
class Learning:
    rates: tuple[float, float] = (0.1, 0.01)
    rewards: dict[str, float] = dataclasses.field(default_factory=lambda: {"l2": 1.0})
    machine: Machine = Machine(threads=2)

    def check(self):
        if min(self.rates) < 0: yield f"rates: expected 0 or more, got {self.rates}"


@dataclasses.dataclass(frozen=True)
class Nested:
    task: Config = Config()
    learning: Learning = Learning()
    seed: int = 0

    def check(self):
        if self.task.flip and self.seed: yield "seed: expected 0 with flip"


flat_values = {
    "dataset": st.sampled_from(["birds", "cars"]), "updates": st.integers(1, 10**6), "flip": st.just(False),
    "rates": st.tuples(st.floats(0, 1), st.floats(0, 1)), "rewards": st.dictionaries(st.text(), st.floats(0, 1)),
    "threads": st.integers(0, 8), "device": st.text(), "seed": st.integers()}
nested_params = st.fixed_dictionaries({}, optional=flat_values)


@given(nested_params, st.data())
def test_flat_nested_and_mixed_names_build_the_same(flat, data):
    made = build(Nested, **flat)
    mixed: dict = {}
    for name, value in flat.items():
        inner = mixed
        if data.draw(st.booleans()):
            for section in filter(None, leaves(Nested)[name].section.split(".")): inner = inner.setdefault(section, {})
        inner[name] = value
    assert build(Nested, **mixed) == made
    assert {name: flatten(made)[name] for name in flat} == flat
    assert flatten(made) == {name: leaf.default for name, leaf in leaves(Nested).items()} | flat


@given(nested_params)
def test_sections_go_to_disk_and_back(flat):
    made = build(Nested, **flat)
    written = json.loads(json.dumps(as_dict(made)))
    assert set(written) == {"task", "learning", "seed"}
    assert written["learning"]["machine"]["device"] == made.learning.machine.device
    assert from_dict(Nested, written) == made == build(Nested, **flatten(made)) == replace(Nested(), **flat)


def test_leaves_know_section_type_and_default():
    assert leaves(Nested)["seed"] == Leaf("", int, 0)
    assert leaves(Nested)["threads"] == Leaf("learning.machine", Annotated[int, Ge(0)], 2)
    assert leaves(Nested)["rewards"].default == {"l2": 1.0}
    assert leaves(dataclasses.make_dataclass("Needed", [("path", str)]))["path"].default is dataclasses.MISSING


def test_a_default_section_keeps_its_values():
    assert build(Nested, device="cpu").learning.machine == Machine(threads=2, device="cpu")


def test_a_section_may_be_an_object():
    machine = Machine(threads=5)
    whole = Learning(machine=machine)
    assert build(Nested, machine=machine) == build(Nested, learning=whole) == build(Nested, threads=5)


@pytest.mark.parametrize(("params", "said"), [
    (dict(thread=1), "- thread: unknown parameter; did you mean 'threads'?"),
    (dict(learning=dict(thread=1)), "- learning.thread: unknown parameter; did you mean 'threads'?"),
    (dict(taks={}), "- taks: unknown parameter; did you mean 'task'?"),
    (dict(task=dict(seed=1)), "- task.seed: expected it at the top"),
    (dict(task=dict(threads=1)), "- task.threads: expected it in the section 'learning.machine', or at the top"),
    (dict(task=dict(machine={})), "- task.machine: expected it in the section 'learning', or at the top"),
    (dict(learning=3), "- learning: expected a dictionary of parameters, got 3 (int)"),
    (dict(learning=Machine()), "- learning: expected a dictionary of parameters"),
    (dict(learning={1: 2}), "- learning.1: unknown parameter"),
    (dict(seed=1, threads=1, machine={"threads": 1}), "- threads: given twice"),
    (dict(threads=-1), "- threads: expected greater than or equal to 0, got -1 (int)"),
    (dict(rates=(-1, 0)), "- rates: expected 0 or more"),
    (dict(flip=True, seed=1), "- seed: expected 0 with flip"),
])
def test_refusals_of_sections(params, said):
    with pytest.raises(ConfigError) as error: build(Nested, **params)
    assert said in str(error.value)
    with pytest.raises(ConfigError) as error: replace(Nested(), **params)
    assert said in str(error.value)


def test_every_section_is_checked_in_one_message():
    with pytest.raises(ConfigError) as error:
        build(Nested, datset="x", dataset="x", rates=(0, "y"), machine={"device": 3}, thread=1)
    assert str(error.value).count("\n  - ") == 5
    with pytest.raises(ConfigError) as error: build(Nested, rates=(-1, 0), flip=True, seed=1)
    assert str(error.value).count("\n  - ") == 2


@pytest.mark.parametrize("twice", ["seed", "task", "dataset"])
def test_a_name_that_stands_twice_is_refused(twice):
    other = dataclasses.make_dataclass("Other", [(twice, int, 0)], frozen=True)
    both = dataclasses.make_dataclass("Both", [("other", other, other())], bases=(Nested,), frozen=True)
    with pytest.raises(TypeError, match=f"Both: the name '{twice}' stands at .* and at .*expected each name once"):
        build(both)


def test_what_json_cannot_write_is_refused():
    with pytest.raises(ConfigError, match="expected values that JSON can write"): as_dict(Config(note={1, 2}))


@pytest.mark.parametrize("name", ["cls", "self", "cfg", "params"])
def test_any_name_of_a_parameter_can_be_a_field(name):
    made = dataclasses.make_dataclass("Odd", [(name, int, 0)], frozen=True)
    assert flatten(replace(build(made, **{name: 1}), **{name: 2})) == {name: 2}


def test_project_root_and_smoke_test(monkeypatch, tmp_path):
    assert (project_root() / "settings.ini").exists()
    monkeypatch.setenv("SGPAINT_HOME", str(tmp_path))
    assert project_root() == tmp_path.resolve()
    for value, said in [("1", True), ("0", False), ("", False)]:
        monkeypatch.setenv("IN_TEST", value)
        assert is_smoke_test() is said
