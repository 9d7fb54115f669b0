"""Killed, full, shared or damaged: a run directory stays whole, and says in one sentence what is wrong."""
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sgpaint.lab.run import Run, RunError, progress, read_metrics, save_json, atomic_write


def start(code, *args):
    "A Python process with that code; it prints a line when it is ready."
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "ready"
    return process


HOLD = """
    import sys, time
    from sgpaint.lab.run import Run
    run = Run(sys.argv[1], {"a": 1})
    step = 0
    while True:
        step += 1
        run.log(step, error=1 / step, step_time=0.1 * step)
        if step == 5: print("ready", flush=True)
        if step > 5: time.sleep(0.001)
"""


def test_kill_frees_the_lock_and_keeps_the_rows(tmp_path):
    process = start(HOLD, tmp_path)
    with pytest.raises(RunError, match=f"run directory in use: .* is held by process {process.pid}; wait") as error:
        Run(tmp_path, {"a": 1})
    assert "\n" not in str(error.value)
    process.kill()
    process.wait()
    with Run(tmp_path, {"a": 1}) as run:
        rows = run.rows()
        assert len(rows) >= 5 and [r["step"] for r in rows] == list(range(1, len(rows) + 1))
        run.rewind(3)
        run.log(4, error=0.5, step_time=0)
    assert [r["step"] for r in read_metrics(tmp_path)] == [1, 2, 3, 4]


def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    process = start("""
        import os, sys, time
        from sgpaint.lab.run import Run
        run = Run(sys.argv[1], {})
        if os.fork() == 0: time.sleep(20); os._exit(0)
        print("ready", flush=True); time.sleep(60)
    """, tmp_path)
    process.kill()
    process.wait()
    Run(tmp_path, {}).close()


def test_one_run_at_a_time_in_one_process(tmp_path):
    with Run(tmp_path, {}) as run:
        with pytest.raises(RunError, match="held by this process"): Run(tmp_path, {})
        run.close()
        with Run(tmp_path, {}), pytest.raises(RunError, match="in use"): Run(tmp_path, {})
    Run(tmp_path, {}).close()


def test_a_refused_run_gives_the_lock_back(tmp_path):
    Run(tmp_path, {"seed": 1, "rate": 0.5}).close()
    with pytest.raises(RunError, match="seed \\(there 1, here 2\\)"): Run(tmp_path, {"seed": 2, "rate": 0.5})
    with pytest.raises(RunError, match="already holds a run"): Run(tmp_path, {"seed": 1, "rate": 0.5}, resume=False)
    Run(tmp_path, {"seed": 1, "rate": 0.5}).close()
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match="is not JSON"): Run(tmp_path, {"seed": 1, "rate": 0.5})


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.integers()), min_size=1, max_size=5), st.integers(0, 6))
def test_numbers_come_back_exactly(tmp_path_factory, values, keep):
    folder = tmp_path_factory.mktemp("run")
    want = [{"step": i, "a": a, "b": b} for i, (a, b) in enumerate(values)]
    with Run(folder, {}) as run:
        for row in want: run._table.append(dict(row))
        assert run.rows() == want
        run.rewind(keep)
        assert run.rows() == [r for r in want if r["step"] <= keep]


@pytest.mark.parametrize("cut", range(1, 30))
def test_any_cut_of_the_table_is_mended(tmp_path, cut):
    with Run(tmp_path, {}) as run:
        for step in range(1, 4): run.log(step, error=0.25 * step)
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-cut])
    with Run(tmp_path, {}) as run:
        kept = run.rows()
        run.rewind(kept[-1]["step"] if kept else 0)
        for step in range(len(kept) + 1, 4): run.log(step, error=0.25 * step)
        assert run.rows() == [{"step": s, "error": 0.25 * s} for s in range(1, 4)]


def test_metrics_of_all_kinds(tmp_path):
    with Run(tmp_path, {}) as run:
        run.log(np.int64(1), a=torch.tensor(0.5), b=np.float32(2), c=3, d=float("nan"))
        run.log(2, a=1.0)
        assert run.rows()[1] == {"step": 2, "a": 1.0, "b": None, "c": None, "d": None}
        for wrong in (torch.zeros(2), "x", None):
            with pytest.raises(RunError, match="a: expected one number"): run.log(3, a=wrong)
        for step in (2, 1, -1, 2.5, True):
            with pytest.raises(RunError, match="step"): run.log(step, a=1)
        with pytest.raises(RunError, match="new at step 3"): run.log(3, e=1)
    assert not (tmp_path / "tb").exists()                      # written where it is wanted alone


def test_tensorboard_gets_its_points(tmp_path):
    with Run(tmp_path, {}) as run:
        run.tensorboard(1, a=0.5, b=torch.tensor(2.0))
        run.tensorboard(2, a=0.25)
        run.rewind(1)                                          # closes the file; a new one hides what follows
        run.tensorboard(2, a=0.125)
        run.finish({})
    files = list((tmp_path / "tb").iterdir())
    assert len(files) == 2 and all("tfevents" in file.name and file.stat().st_size for file in files)


def test_the_result_is_last_and_only_of_what_it_says(tmp_path):
    with Run(tmp_path, {}) as run:
        run.log(1, a=1)
        run.finish({"error": np.float32(0.5), "folder": tmp_path})
        assert json.loads((tmp_path / "result.json").read_text())["error"] == 0.5
        run.rewind(1)
        assert (tmp_path / "result.json").exists()
        run.log(2, a=2)
        assert not (tmp_path / "result.json").exists()


def test_an_error_leaves_nothing_behind(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "a") as aside:
        aside.write_text("new")
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="JSON can write"): save_json(tmp_path / "a", {"f": object()})
    assert (tmp_path / "a").read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(RunError, match="plain name"), Run(tmp_path / "run", {}) as run:
        run.picture("a/b", Image.new("RGB", (2, 2)))


def test_leftovers_of_a_kill_are_swept(tmp_path):
    process = start("""
        import sys, time
        from pathlib import Path
        from sgpaint.lab.run import Run, atomic_write
        run = Run(sys.argv[1], {})
        with atomic_write(Path(sys.argv[1]) / "checkpoints" / "step-1") as aside:
            aside.mkdir(); (aside / "half").write_text("x" * 1000)
            print("ready", flush=True); time.sleep(60)
    """, tmp_path)
    process.kill()
    process.wait()
    assert len(list(tmp_path.rglob("half"))) == 1
    Run(tmp_path, {}).close()
    assert not list(tmp_path.rglob("half")) and not list(tmp_path.rglob(".*.part"))


@pytest.fixture
def small_disk(tmp_path):
    "A file system of one megabyte."
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode: pytest.skip("a small tmpfs cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's own thread
def test_a_full_disk(small_disk):
    run = Run(small_disk / "run", {"a": 1})
    run.log(1, error=0.5)
    before = (small_disk / "run" / "metrics.csv").read_bytes()
    (small_disk / "ballast").write_bytes(bytes(1_000_000 - 4096 * 8))
    try:
        with open(small_disk / "more", "wb", buffering=0) as f:
            while True: f.write(bytes(4096))
    except OSError: pass
    with pytest.raises(RunError, match="the disk is full; what was there before is untouched; free some space"):
        for step in range(2, 2000): run.log(step, error=0.5)
    rows = read_metrics(small_disk / "run")
    assert (small_disk / "run" / "metrics.csv").read_bytes().startswith(before)
    with pytest.raises(RunError, match="the disk is full"): run.finish({"error": 0.5})
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    with pytest.raises(RunError, match="the disk is full"): run.picture("noise", noise)
    assert not list((small_disk / "run").rglob("*.part")) and not (small_disk / "run" / "result.json").exists()
    (small_disk / "ballast").unlink()
    run.close()
    with Run(small_disk / "run", {"a": 1}) as again:
        assert again.rows() == rows
        again.rewind(1)
        again.log(2, error=0.25)
        again.finish({"error": 0.25})


def test_a_file_that_may_not_grow(tmp_path):
    (tmp_path / "kept").write_bytes(b"old")
    code = """
        import resource, signal, sys
        from pathlib import Path
        from sgpaint.lab.run import RunError, atomic_write
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            with atomic_write(Path(sys.argv[1]) / "kept") as aside: aside.write_bytes(bytes(5000))
        except RunError as error: print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert "the file would be too large; what was there before is untouched" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["kept"] and (tmp_path / "kept").read_bytes() == b"old"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write .*choose a folder"): Run(tmp_path / "file" / "run", {})
    with pytest.raises(RunError, match="expected a metrics.csv"): read_metrics(tmp_path)


def test_progress_is_plain(capfd):
    assert list(progress(range(3), "three")) == [0, 1, 2]
    assert "three: 100%" in capfd.readouterr().err
