"""What a user may get wrong in a run, named in one sentence: names, types, ranges, folders, pictures."""
import ast
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from sgpaint.agent.trained import load_agent, paint_with
from sgpaint.agent.config import configure
from sgpaint.agent.training import train
from sgpaint.lab.config import ConfigError
from sgpaint.scene.picture import DataError

NOTEBOOKS = Path(__file__).resolve().parents[2] / "nbs"
RUNS = ("train", "evaluate", "evaluate_digits", "train_segmenter", "train_expert",
        "study_algorithms", "study_bundles", "study_strokes", "study_rewards")
COUNTS = {"evaluate": "images", "evaluate_digits": "digits", "train_segmenter": "updates", "train_expert": "updates"}


def given(name, **passed):
    "Run the first cells of a run notebook as papermill would with these parameters; what they set."
    cells = [c for c in json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"] if c["cell_type"] == "code"]
    at = next(i for i, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", []))
    space = {"__name__": "__main__"}
    injected = "\n".join(f"{key} = {value!r}" for key, value in passed.items())
    for code in (*("".join(cell["source"]) for cell in cells[: at + 1]), injected): exec(code, space)
    config = next(node for node in ast.parse("".join(cells[at + 1]["source"])).body if isinstance(node, ast.Assign)
                  and ast.unparse(node.targets[0]) == "config")
    before = "".join(cells[at + 1]["source"]).splitlines()[: config.end_lineno]
    exec("\n".join(before), space)                              # no further: the rest trains
    return space["config"]


@pytest.fixture(autouse=True)
def rehearsal(monkeypatch):
    monkeypatch.setenv("IN_TEST", "1")
    monkeypatch.setenv("SGPAINT_EAGER", "1")


@pytest.mark.parametrize("name", RUNS)
def test_a_run_knows_its_parameters(name):
    assert given(name)


@pytest.mark.parametrize("name", RUNS)
def test_a_mistyped_name_is_refused_with_the_nearest(name):
    meant = COUNTS.get(name, "strokes")
    with pytest.raises(ConfigError, match=f"{meant}z: unknown parameter; did you mean '{meant}'"):
        given(name, **{f"{meant}z": 10})


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("value, said", [("many", "got 'many'"), (-5, "got -5"), (True, "got True"), (1.5, "got 1.5")])
def test_a_value_that_cannot_be_is_refused(name, value, said):
    meant = COUNTS.get(name, "strokes")
    with pytest.raises(ConfigError, match=f"{meant}: expected|{meant}: Input") as caught:
        given(name, **{meant: value})
    assert said in str(caught.value)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigError) as caught: given("train", strokes=-5, updates=0, presett="small")
    assert all(word in str(caught.value) for word in ("strokes", "updates", "presett"))


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    config = configure(dataset="folder", data_root=str(tmp_path), smoke=True, out_dir=str(tmp_path / "run"))
    with pytest.raises(DataError, match="no pictures in"): train(config)
    assert not (tmp_path / "run").exists()


def test_a_broken_picture_is_named(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(40): Image.new("RGB", (40, 30), (5 * i, 90, 200)).save(folder / f"{i}.png")
    for i in range(40): (folder / f"broken-{i}.png").write_bytes((folder / f"{i}.png").read_bytes()[:60])
    with pytest.raises(DataError, match="broken-"):
        train(configure(dataset="folder", data_root=str(folder), smoke=True, out_dir=str(tmp_path / "run")))


def test_an_unfinished_run_has_no_agent(tmp_path):
    with pytest.raises(ValueError, match="train first"): load_agent(tmp_path)


def test_an_agent_refuses_what_is_no_picture(tmp_path):
    agent = load_agent(train(configure(smoke=True, device="cpu", out_dir=str(tmp_path / "run"))).folder)
    hole = torch.full((3, 20, 30), 0.5)
    assert paint_with(agent, hole).render().shape == (3, 20, 30)
    hole[0, 3, 3] = torch.nan
    with pytest.raises(ValueError, match="NaN"): paint_with(agent, hole)
    with pytest.raises(ValueError, match="divide bytes by 255"): paint_with(agent, hole.nan_to_num(200.0))
    with pytest.raises(ValueError, match=r"\(3, H, W\)"): paint_with(agent, hole[:1])
    with pytest.raises(DataError, match="no file"): paint_with(agent, tmp_path / "nothing.png")


def write_cars(root):
    "A few cars in the layout of Cars-196."
    (root / "devkit").mkdir(parents=True)
    savemat(root / "devkit/cars_meta.mat", {"class_names": np.array([["Sedan 2012"]], object)}, do_compression=True)
    fields = [(name, object) for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
    rows = np.array([[(5, 5, 30, 20, 1, f"{i}.png") for i in range(6)]], fields)
    for split, table in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        (root / f"cars_{split}").mkdir()
        savemat(root / table, {"annotations": rows}, do_compression=True)
        for i in range(6): Image.new("RGB", (40, 30), (30 * i, 90, 200)).save(root / f"cars_{split}/{i}.png")


@pytest.mark.parametrize("there", [True, False])
def test_cars_are_trained_on_where_they_are_and_else_on_built_in_ones(there, tmp_path, monkeypatch, capsys):
    "The configuration of `papermill nbs/train.ipynb out.ipynb -p dataset cars`."
    for name in ("SGPAINT_DATA", "SGPAINT_HOME", "SGPAINT_CACHE"): monkeypatch.setenv(name, str(tmp_path))
    if there: write_cars(tmp_path / "stanford_cars")
    train(configure(dataset="cars", smoke=True, device="cpu", out_dir=str(tmp_path / "run")))
    found = f"Cars-196, files in {tmp_path / 'stanford_cars'}" if there else "built-in cars v1 (Cars-196 was NOT FOUND)"
    assert capsys.readouterr().out.startswith(f"training on {found}")
