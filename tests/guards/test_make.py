"""What `make` says when something is missing, and when something is there already."""
import os
import subprocess

import pytest

from project import ROOT


def sh(script: str, *arguments: str, cwd=ROOT, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["sh", ROOT / "tools" / script, *arguments],
        cwd=cwd, env=os.environ | environment, capture_output=True, text=True,
    )


@pytest.fixture
def stub(tmp_path):
    "A folder of commands to stand in for the real ones."
    def write(name: str, body: str) -> str:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)
    return write


def test_no_python_is_said_in_one_sentence(tmp_path):
    done = sh("setup.sh", str(tmp_path / "venv"), "no-such-python")
    assert done.returncode == 1 and done.stderr.startswith("sgpaint needs Python 3.11 or newer")
    assert done.stderr.count("\n") == 1 and not (tmp_path / "venv").exists()


def test_an_old_python_is_refused(tmp_path, stub):
    old = stub("old", "exit 1")
    assert "needs Python 3.11" in sh("setup.sh", str(tmp_path / "venv"), old).stderr


def test_a_python_without_venv_is_told_what_to_install(tmp_path, stub):
    no_venv = stub("no-venv", 'case "$2" in *ensurepip*) exit 1;; *3.%d*) echo python3.11-venv;; esac')
    done = sh("setup.sh", str(tmp_path / "venv"), no_venv)
    assert done.returncode == 1 and "apt install python3.11-venv" in done.stderr


def test_paint_runs_the_notebook_and_says_where_the_pictures_are(tmp_path, stub):
    stub("papermill", 'echo "papermill $*"; mkdir -p run/pictures; touch run/pictures/bird.png')
    done = sh("paint.sh", "run", cwd=tmp_path, BIN=str(tmp_path / "bin"))
    named = tmp_path.resolve() / "run"
    assert f"nbs/train.ipynb run/train.ipynb -r out_dir {named}\n" in done.stdout
    assert "run/pictures:\n  bird.png" in done.stdout


def test_paint_takes_up_an_interrupted_run(tmp_path, stub):
    stub("papermill", "mkdir -p run/pictures")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").touch()
    assert "interrupted: taking it up" in sh("paint.sh", "run", cwd=tmp_path, BIN=str(tmp_path / "bin")).stdout


def test_paint_leaves_a_finished_run_alone(tmp_path, stub):
    stub("papermill", "echo papermill was called; exit 1")
    (tmp_path / "run/pictures").mkdir(parents=True)
    (tmp_path / "run/result.json").touch()
    done = sh("paint.sh", "run", cwd=tmp_path, BIN=str(tmp_path / "bin"))
    assert done.returncode == 0 and "run is finished" in done.stdout and "was called" not in done.stdout


def test_paint_fails_when_the_run_fails(tmp_path, stub):
    stub("papermill", "exit 1")
    done = sh("paint.sh", "run", cwd=tmp_path, BIN=str(tmp_path / "bin"))
    assert done.returncode != 0 and "The pictures are" not in done.stdout


def test_help_lists_every_target():
    done = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True)
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    assert listed == "help paint gallery test sync names lab bench".split()
