"""A study runs every arm once, survives failures and kills, and sums up what is there."""
import csv
import importlib
import json
import math
import os
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgpaint.study.tables import StudyError, learning_curves, plus_minus, run_arms, summary


def count(seed, folder, rate=1.0, fail=(), die=()):
    "A training that draws numbers, notes that it ran, and fails where it is told to."
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "calls", "a") as f: f.write("x")
    if seed in fail: raise RuntimeError(f"no luck with {seed}")
    if seed in die and not (folder / "died").exists():
        (folder / "died").write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    ys = [rate * v for v in torch.rand(3).tolist()]
    return {"error": ys[-1], "threads": torch.get_num_threads(), "curve": {"x": [0, 10, 20], "y": ys}}


def calls(folder): return {str(p.parent.relative_to(folder)): len(p.read_text()) for p in folder.rglob("calls")}


def test_each_training_runs_once_and_seeds_decide(tmp_path):
    arms = {"fast": {"rate": 2.0}, "slow one": {"rate": 1.0}}
    first = run_arms(count, arms, [1, 2], tmp_path)
    again = run_arms(count, arms, [1, 2, 3], tmp_path)
    assert calls(tmp_path) == {f"{arm}/seed-{s}": 1 for arm in ("fast", "slow-one") for s in (1, 2, 3)}
    assert first["fast"] == {s: again["fast"][s] for s in (1, 2)}
    assert again["fast"][1]["error"] == pytest.approx(2 * again["slow one"][1]["error"])
    assert {r["threads"] for by_seed in again.values() for r in by_seed.values()} == {1}
    kept = json.loads((tmp_path / "result.json").read_text())["results"]
    assert kept["fast"]["3"] == again["fast"][3]


def test_processes_give_the_same_numbers(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    here = importlib.import_module("test_study_tables")  # new processes find the function under this name
    alone = run_arms(here.count, {"a": {}, "b": {"rate": 3.0}}, [0, 1], tmp_path / "alone")
    many = run_arms(here.count, {"a": {}, "b": {"rate": 3.0}}, [0, 1], tmp_path / "many", processes=2)
    assert alone == many
    with pytest.raises(StudyError, match="trainings failed, the others are kept"):
        run_arms(here.count, {"a": {"die": [1]}}, [1], tmp_path / "dead", processes=2)
    assert run_arms(here.count, {"a": {"die": [1]}}, [1], tmp_path / "dead", processes=2)["a"][1]


def test_a_failure_keeps_the_others(tmp_path):
    run_arms(count, {"a": {}}, [0], tmp_path)
    with pytest.raises(StudyError, match=r"1 of 4 trainings failed.*b, seed 1: RuntimeError: no luck with 1"):
        run_arms(count, {"a": {}, "b": {"fail": [1]}}, [0, 1], tmp_path)
    assert not (tmp_path / "result.json").exists()
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.glob("*/*.json")} == {
        "a/seed-0.json", "a/seed-1.json", "b/seed-0.json"}


def test_records_of_other_choices_are_refused(tmp_path):
    run_arms(count, {"a": {"rate": 1.0}}, [0], tmp_path)
    with pytest.raises(StudyError, match="by other choices: choices.rate"): run_arms(count, {"a": {}}, [0], tmp_path)
    (tmp_path / "a" / "seed-0.json").write_text("{")
    with pytest.raises(StudyError, match="is not JSON; delete it"): run_arms(count, {"a": {"rate": 1.0}}, [0], tmp_path)


@pytest.mark.parametrize(("arms", "seeds", "processes", "said"), [
    ({}, [0], 1, "expected arms"), ({"a": {}}, [], 1, "expected arms"), ({"a": {}}, [0, 0], 1, "different seeds"),
    ({"a b": {}, "a/b": {}}, [0], 1, "names that differ"), ({"..": {"rate": print}}, [0], 1, "JSON can write"),
    ({"!": {}}, [0], 1, "names that differ"), ({"a": {}}, [0], 0, "processes: expected"),
])
def test_refusals(tmp_path, arms, seeds, processes, said):
    with pytest.raises(StudyError, match=said): run_arms(count, arms, seeds, tmp_path, processes)


values = st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=4)


@given(values, values)
def test_sums_by_hand(tmp_path_factory, a, b):
    n = min(len(a), len(b))
    results = {"a": {s: {"error": a[s]} for s in range(n)}, "b": {s: {"error": b[s]} for s in range(n)}}
    rows = summary(results, ["error"], {"a": {"error": 2.0}, "b": {"error": 3.0}}, "a paper", relative_to="a").rows
    assert rows[0].ratio == pytest.approx(1) and rows[0].ratio_error == pytest.approx(0)
    assert rows[1].reported_ratio == 1.5 and rows[1].mean == pytest.approx(sum(b[:n]) / n)
    error = math.sqrt(sum((v - rows[1].mean) ** 2 for v in b[:n]) / (n - 1) / n)
    assert rows[1].error == pytest.approx(error, abs=1e-9)
    path = tmp_path_factory.mktemp("table") / "t.csv"
    summary(results, ["error"]).save(path)
    assert [float(r["mean"]) for r in csv.DictReader(path.open())] == [rows[0].mean, rows[1].mean]


def test_what_cannot_be_summed_up():
    results = {"a|<b>": {0: {"error": 1.0}}, "c": {1: {"error": 2.0}}}
    table = summary(results, ["error"])
    assert "a\\|<b>" in table._repr_markdown_() and "a|&lt;b&gt;" in table._repr_html_()
    assert table.cells()[1][3] == "1"
    with pytest.raises(StudyError, match="same seeds"): summary(results, ["error"], relative_to="c")
    with pytest.raises(StudyError, match="no results for"): summary(results, ["error"], {"d": {"error": 1.0}})
    with pytest.raises(StudyError, match="expected a number 'other'"): summary(results, ["other"])
    with pytest.raises(StudyError, match="expected a curve"): learning_curves(results)
    apart = {"a": {0: {"curve": {"x": [0], "y": [1]}}, 1: {"curve": {"x": [1], "y": [1]}}}}
    with pytest.raises(StudyError, match="equal updates"): learning_curves(apart)


@given(st.floats(-1e6, 1e6), st.floats(1e-9, 1e3))
def test_digits_say_no_more_than_the_error(mean, error):
    said_mean, said_error = plus_minus(mean, error).split(" ± ")
    assert abs(float(said_mean) - mean) <= 0.5 * max(error, 1)
    assert float(said_error) == pytest.approx(error, rel=0.06, abs=0.51)
