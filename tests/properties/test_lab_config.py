"""Whatever is typed, a config is valid or refused; what is valid survives the way to disk and back."""
import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st

from sgpaint.lab.config import ABSENT, ConfigError, as_dict, build, differing, from_dict, home, nearest, smoke


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


def test_home_and_smoke(monkeypatch, tmp_path):
    assert (home() / "settings.ini").exists()
    monkeypatch.setenv("SGPAINT_HOME", str(tmp_path))
    assert home() == tmp_path.resolve()
    for value, said in [("1", True), ("0", False), ("", False)]:
        monkeypatch.setenv("IN_TEST", value)
        assert smoke() is said
