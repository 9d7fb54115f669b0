"""Compiled or eager, the numbers are the same, the log says which, and errors are the function's own."""
import logging
import os
import subprocess
import sys

import pytest
import torch

from sgpaint.lab.machine import (
    _quota, available_cores, can_compile, compiled, default_threads, describe, pick_device, seed_everything,
    set_threads)

SCRIPT = """
import logging, sys, torch
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
from sgpaint.lab.machine import can_compile, compiled
print(can_compile("cpu"))
wave = compiled(lambda x: torch.sin(x) * 2 + x, "wave")
x = torch.linspace(0, 1, 7, requires_grad=True)
for _ in range(2): y = wave(x)
torch.testing.assert_close(y, torch.sin(x) * 2 + x)
y.sum().backward()
torch.testing.assert_close(x.grad, 2 * torch.cos(x.detach()) + 1)
"""


def machine(**env):
    "What a fresh process says on a machine with that environment."
    env = {**os.environ, "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in env.items()}}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    return [line for line in done.stdout.splitlines() if line.startswith(("(", "wave"))]


def test_no_compiler():
    said = machine(CXX="/nonexistent/g++")
    assert said == ["(False, 'no C++ compiler (/nonexistent/g++ was not found)')",
                    "wave: eager (no C++ compiler (/nonexistent/g++ was not found))"]


def test_broken_compiler(tmp_path):
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    broken.chmod(0o755)
    said = machine(CXX=broken, TORCHINDUCTOR_CACHE_DIR=tmp_path)
    assert len(said) == 2 and said[0].startswith("(True") and said[1].startswith("wave: eager (compiling failed:")


def test_compiler_that_dies_late(tmp_path):
    late = tmp_path / "g++"
    late.write_text('#!/bin/sh\ncase "$*" in *--version*|*-dumpversion*) exec /usr/bin/g++ "$@";; esac\nexit 1\n')
    late.chmod(0o755)
    said = machine(CXX=late, TORCHINDUCTOR_CACHE_DIR=tmp_path)
    assert said[1].startswith("wave: eager (compiling failed:")


def test_asked_to_be_eager():
    assert machine(SGPAINT_EAGER="1")[1] == "wave: eager (SGPAINT_EAGER is set)"


@pytest.mark.skipif(not can_compile("cpu")[0], reason=f"this machine cannot compile: {can_compile('cpu')[1]}")
def test_compiles_where_it_can():
    assert machine()[1] == "wave: compiled"


def test_modules_keep_their_parameters(monkeypatch):
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    net = torch.nn.Linear(3, 2)
    fast = compiled(net, "net")
    fast(torch.ones(1, 3)).sum().backward()
    assert net.weight.grad.abs().sum() > 0
    assert compiled(net, "net", enabled=False) is net


def test_a_wrong_call_is_the_functions_error():
    def picky(x):
        if x.ndim != 2: raise ValueError("expected two dimensions")
        return x + 1
    fast = compiled(picky, "picky")
    with pytest.raises(ValueError, match="expected two dimensions"): fast(torch.zeros(3))
    with pytest.raises(TypeError, match="picky"): fast()
    assert torch.equal(fast(torch.zeros(1, 1)), torch.ones(1, 1))


def test_one_line_for_each_name(caplog, monkeypatch):
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    with caplog.at_level(logging.INFO, "sgpaint"):
        for _ in range(3): compiled(torch.sin, "sine of a test")(torch.ones(1))
    assert [r.getMessage() for r in caplog.records] == ["sine of a test: eager (SGPAINT_EAGER is set)"]


@pytest.mark.parametrize("name", ["gpu", "", "cpu:1", "cuda:77", "tpu"])
def test_devices_refused(name):
    with pytest.raises(ValueError, match="device: expected"): pick_device(name)


def test_small_refusals():
    for n in (-1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="threads: expected"): set_threads(n)
    for seed in (-1, 2**32, 0.5, True, "1"):
        with pytest.raises(ValueError, match="seed: expected"): seed_everything(seed)
    assert describe()["cores"] == os.cpu_count()


@pytest.mark.parametrize(("said", "expected"), [
    ("3", 3), ("4,2", 4), (" 2 ", 2), ("", None), ("0", None), ("-1", None), ("many", None), (None, None)])
def test_the_environment_says_how_many_threads(monkeypatch, said, expected):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None: monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert default_threads() == (expected or 1)
    assert default_threads(small=False) == (expected or available_cores())


def test_zero_threads_are_the_default(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    try: assert set_threads() == 2 == torch.get_num_threads()
    finally: set_threads(before)


V2, V1 = "0::/inner/box\n", "5:cpu,cpuacct:/box\n4:memory:/box\n"


@pytest.mark.parametrize(("groups", "files", "cores"), [
    (V2, {"inner/box/cpu.max": "150000 100000"}, 1.5),
    (V2, {"inner/cpu.max": "50000 100000", "inner/box/cpu.max": "max 100000"}, 0.5),
    (V2, {"inner/cpu.max": "400000 100000", "inner/box/cpu.max": "300000 100000"}, 3),
    (V2, {"cpu.max": "200000 100000"}, 2),  # a container sees its own group as the root
    ("0::/../other\n", {"cpu.max": "200000 100000"}, 2),
    (V2, {"cpu.max": "garbage"}, float("inf")),
    (V2, {}, float("inf")),
    (V1, {"cpu/box/cpu.cfs_quota_us": "250000", "cpu/box/cpu.cfs_period_us": "100000"}, 2.5),
    (V1, {"cpu/box/cpu.cfs_quota_us": "-1", "cpu/box/cpu.cfs_period_us": "100000"}, float("inf")),
    ("", {"cpu.max": "200000 100000"}, float("inf")),
])
def test_a_container_limits_the_cores(tmp_path, groups, files, cores):
    written = {"proc/self/cgroup": groups} | {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _quota(tmp_path) == cores


def test_no_cgroup_no_limit(tmp_path):
    assert _quota(tmp_path) == float("inf")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinities")
def test_affinity_limits_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert available_cores() == 1
