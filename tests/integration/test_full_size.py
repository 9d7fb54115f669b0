"Full size at the smallest size: a run in stretches that leaves weights that paint, and the floor under its updates."
import subprocess
import sys

import pytest
import torch

from sgpaint.agent.trained import load_agent, paint_with
from sgpaint.agent.config import configure
from sgpaint.agent.training import train
from sgpaint.lab import checkpoint
from sgpaint.lab.config import project_root
from sgpaint.lab.run import read_metrics

SCRIPT = project_root() / "tools" / "sitting.py"
SMALL = ["compile=false", "device=cpu", "checkpoint_every=0"]


def sit(folder, *words):
    "One call of the script, as a user types it."
    done = subprocess.run([sys.executable, SCRIPT, folder, "--smoke", *words, *SMALL], capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    return done


def test_stretches_end_with_weights_that_paint(tmp_path):
    run = tmp_path / "run"
    first = sit(run, "--preset", "h100", "--minutes", "1e-6")
    assert first.returncode == 3 and "the same line goes on" in first.stdout and not (run / "half").exists()
    assert sit(run, "--preset", "h100", "--minutes", "0").returncode == 0  # one update before, the rest now
    assert [row["step"] for row in read_metrics(run)] == [3]
    files = [file for file in (run / "half" / "agent").iterdir() if file.suffix == ".safetensors"]
    assert len(files) == 2 and all(file.stat().st_size <= 16_000_000 for file in files)  # 22 MB of weights
    agent = load_agent(run / "half")
    assert agent.config.preset == "h100" and "/" not in agent.config.machine.out_dir
    assert len(paint_with(agent, torch.rand(3, 32, 32))) == agent.env.strokes


def test_the_state_of_a_stretch_fits_through_a_narrow_door(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import sitting
    monkeypatch.setattr(sitting, "MOST", 100_000)  # less than the memory of canvases and the largest layer
    config = configure("h100-small", smoke=True, out_dir=str(tmp_path / "run"), compile=False, device="cpu")
    train(config, say=lambda _: None, minutes=1e-6)
    sitting.carried(config)
    newest = checkpoint.latest(tmp_path / "run" / "checkpoints")
    sizes = [file.stat().st_size for file in newest.glob("*.safetensors")]
    assert len(sizes) > 10 and max(sizes) <= 100_000
    assert train(config, say=lambda _: None).result["updates"] == config.learning.updates  # it goes on from there


def test_a_word_that_is_no_choice_is_refused(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, tmp_path, "updates"], capture_output=True, text=True)
    assert done.returncode and "expected name=value, got 'updates'" in done.stderr


@pytest.mark.parametrize("words", [["--floor"], ["--device", "cpu", "--smoke", "--updates", "1"]])
def test_the_floor_is_counted_and_everything_can_be_timed(words):
    script = project_root() / "benchmarks" / "full_size.py"
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "h100: 1.72e12 operations" in done.stdout  # as benchmarks/GPU.md says
    assert ("| h100-small |" in done.stdout) == ("--smoke" in words)
