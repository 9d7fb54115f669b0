"""A run that was killed resumes as if it had not been."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from sgpaint.agent.config import configure
from sgpaint.agent.training import train
from sgpaint.lab.run import Run, RunError, read_metrics

SMALL = dict(size=32, strokes=10, images=16, updates=14, batch=4, num_envs=4, buffer_episodes=6, learning_starts=2,
             warm_updates=5, rewards="mix", evaluate_every=1, evaluate_images=4, checkpoint_every=3, device="cpu",
             threads=1)
PROGRAM = """
import json, sys
from sgpaint.agent.config import configure
from sgpaint.agent.training import train
train(configure(**json.loads(sys.argv[1])))
"""
BY_CLOCK = """
import itertools, json, os, signal, sys
from sgpaint.agent.callbacks import Callback, Checkpoint
from sgpaint.agent.config import configure
from sgpaint.agent.training import train

class Killed(Callback):
    name = "killed"
    def on_update(self, session, metrics):
        if session.algorithm.updates == 8: os.kill(os.getpid(), signal.SIGKILL)

clock = itertools.count(step=20).__next__  # every look at it is 20 seconds later
config = configure(**json.loads(sys.argv[1]), callbacks=("evaluation",), checkpoint_minutes=1)
train(config, callbacks=[Checkpoint(clock), *[Killed()] * (sys.argv[2] == "killed")])
"""


def start(folder):
    environment = os.environ | {"SGPAINT_EAGER": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(SMALL | {"out_dir": str(folder)})]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said


def rows(folder):
    "What a run logged, but for the time it took."
    return [{name: value for name, value in row.items() if name != "cpu_seconds"} for row in read_metrics(folder)]


@pytest.mark.timeout(600)
def test_killed_run_gives_the_metrics_of_the_one_that_was_not(tmp_path):
    finish(start(tmp_path / "whole"))
    for at in (2, 8):                                          # before the first checkpoint, and between two
        folder = tmp_path / f"killed-{at}"
        process, limit = start(folder), time.monotonic() + 240
        while not (folder / "metrics.csv").exists() or len(read_metrics(folder)) < at:
            assert process.poll() is None and time.monotonic() < limit, process.communicate()[0]
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (folder / "result.json").exists()
        finish(start(folder))
        assert rows(folder) == rows(tmp_path / "whole")


def test_a_run_that_saves_by_the_clock_alone_loses_no_more_than_a_minute(tmp_path):
    def run(folder, mode):
        given = json.dumps(SMALL | {"out_dir": str(tmp_path / folder), "checkpoint_every": 0})
        environment = os.environ | {"SGPAINT_EAGER": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", BY_CLOCK, given, mode]
        return subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run("killed", "killed").returncode == -signal.SIGKILL
    saved = sorted(path.name for path in (tmp_path / "killed" / "checkpoints").iterdir())
    assert saved == ["update-0000003", "update-0000006"]       # looks at 60, and at 140 after the save at 80
    for folder in ("killed", "whole"):
        done = run(folder, "to the end")
        assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


def test_a_directory_in_use_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    with Run(tmp_path / "busy", {}), pytest.raises(RunError, match="in use"):
        train(configure(**SMALL | {"out_dir": str(tmp_path / "busy")}))


def test_a_truncated_checkpoint_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    config = configure(**SMALL | {"updates": 6, "buffer_episodes": 0, "out_dir": str(tmp_path / "run")})
    folder = train(config).folder
    first = rows(folder)
    tensors = folder / "checkpoints" / "update-0000006" / "state.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:1000])
    train(config)                                              # goes on from update 3
    assert rows(folder) == first
