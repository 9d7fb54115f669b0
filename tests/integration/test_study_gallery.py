"""A gallery of any folder of runs: finished, killed, damaged, hostile, or empty."""
import json
import re
import shutil

import pytest

from sgpaint.agent.config import configure
from sgpaint.agent.training import train
from sgpaint.lab.config import project_root
from sgpaint.study.gallery import NO_RUNS, build_gallery, run_folders, study_table
from sgpaint.study.tables import StudyError

SAVED = {path.stem for path in (project_root() / "media").glob("*.json")}
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    "One tiny training, and what may become of it."
    root = tmp_path_factory.mktemp("runs")
    few = dict(size=32, images=16, strokes=10, updates=2, batch=4, num_envs=4, learning_starts=1, evaluate_every=1,
               evaluate_images=4, checkpoint_every=0, threads=1, device="cpu")
    whole = train(configure(**few, out_dir=str(root / "study/arm a/seed-0")), say=lambda line: None).folder
    ended = ("killed", "no agent", "damaged", "diverged", "smoke test", HOSTILE)
    for name in ended: shutil.copytree(whole, root / name)
    (root / "killed/result.json").unlink()
    shutil.rmtree(root / "no agent/agent")
    (root / "damaged/config.json").write_text("{")
    for name, changes in (("diverged", {"held_out_error": float("nan")}), ("smoke test", {})):
        change(root / name / "result.json", **changes)
    machine = json.loads((root / "smoke test/config.json").read_text())["machine"]
    change(root / "smoke test/config.json", machine=machine | {"smoke": True})
    (root / "study/config.json").write_text('{"study": "train_arm"}')
    line = {"held_out_error": 0.25, "folder": "elsewhere"}
    seeds = {"0": line, "1": line | {"held_out_error": 0.75}}
    (root / "study/result.json").write_text(json.dumps({"results": {HOSTILE: seeds}}))
    (root / "segmenter").mkdir()
    (root / "segmenter/config.json").write_text('{"updates": 3}')
    return root


def change(path, **values): path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture(scope="module")
def gallery(runs, tmp_path_factory):
    return build_gallery(runs, tmp_path_factory.mktemp("out"), project_root() / "media")


def test_every_run_is_shown_with_how_it_ended(gallery):
    said = {e.name: e.verdict for e in gallery.entries}
    ended = {"study/arm a/seed-0", "killed", "no agent", "damaged", "diverged", "smoke test", HOSTILE}
    assert set(said) == SAVED | ended
    assert said["killed"] == "not finished: 2 of 2 updates" and "holds no agent" in said["no agent"]
    assert "is not JSON" in said["damaged"] and said["diverged"].startswith("failed: its error, nan")
    assert said["smoke test"].startswith("a smoke test")
    for name in ("killed", "no agent", "damaged", "diverged", "smoke test"):
        assert next(e for e in gallery.entries if e.name == name).failed


def test_pages_are_whole_and_fetch_nothing(gallery):
    folder = gallery.index.parent
    pages = {path.name: path.read_text() for path in folder.glob("*.html")}
    assert len(pages) == len(gallery.entries) + 1
    for name, text in pages.items():
        assert "default-src 'none'" in text and "<title>" in text, name
        assert "<img src=x" not in text, name
        markup = re.sub(r"<script.*?</script>", "", text, flags=re.S)
        links = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', markup)
        assert all((folder / link).exists() for link in links), name
    assert "&lt;img src=x onerror=alert(1)&gt;" in pages["index.html"]
    assert "0.50 ± 0.25" in pages["index.html"]


def test_a_study_without_an_end_says_so(runs, tmp_path):
    (tmp_path / "result.json").write_text("[")
    assert "is not JSON" in study_table(tmp_path)
    assert "not finished" in study_table(tmp_path / "none")
    assert [folder.name for folder in run_folders(runs, "study")] == ["study"]


def test_nothing_to_show_is_a_sentence(tmp_path):
    with pytest.raises(StudyError, match="nothing to show: no runs in .*make paint"):
        build_gallery(tmp_path / "runs", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    alone = build_gallery(tmp_path / "runs", tmp_path / "out", project_root() / "media")
    assert NO_RUNS in alone.index.read_text() and len(alone.entries) == len(SAVED)


def test_a_bad_file_is_shown_as_what_it_is(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files/bad.json").write_text('{"schema": "sgpaint/painting/1"}')
    shown = build_gallery(tmp_path / "runs", tmp_path / "out", tmp_path / "files").entries
    assert shown[0].failed and shown[0].verdict.startswith("cannot be shown: ")
