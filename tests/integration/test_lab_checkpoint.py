"""A checkpoint comes back as it was, or is refused by name; a kill in the middle of a save leaves the one before."""
import random
import shutil
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgpaint.lab import checkpoint
from sgpaint.lab.checkpoint import CheckpointError, latest, load, prune, random_state, save, set_random_state

leaves = (st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
          | st.lists(st.integers(-9, 9), min_size=1, max_size=4).map(torch.tensor)
          | st.just(torch.tensor(0.5, dtype=torch.bfloat16)) | st.just(torch.zeros(0, 3)))
keys = st.text(max_size=4) | st.integers() | st.tuples(st.integers(), st.text(max_size=2))
def nested(s): return st.dictionaries(keys, s, max_size=3) | st.lists(s, max_size=3) | st.tuples(s, s)
states = st.dictionaries(st.text(max_size=5), st.recursive(leaves, nested, max_leaves=8), max_size=4)


def same(a, b):
    if isinstance(a, torch.Tensor): return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict): return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple): return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@given(states)
def test_any_state_comes_back(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("checkpoint") / "step-1"
    save(path, state)
    assert same(load(path), state)


def test_a_training_comes_back(tmp_path):
    def step(net, optimizer, scheduler):
        loss = net(torch.rand(8, 3)).square().mean()
        optimizer.zero_grad(); loss.backward(); optimizer.step(); scheduler.step()
        return loss.item(), random.random(), np.random.rand(), np.random.randn()

    def fresh():
        net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
        optimizer = torch.optim.Adam(net.parameters(), betas=(0.5, 0.999))
        return net, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 2)

    parts = fresh()
    for _ in range(3): step(*parts)
    save(tmp_path / "a", {"parts": [p.state_dict() for p in parts], "random": random_state()})
    want = [step(*parts) for _ in range(4)]
    parts, kept = fresh(), load(tmp_path / "a")
    for part, state in zip(parts, kept["parts"], strict=True): part.load_state_dict(state)
    set_random_state(kept["random"])
    assert [step(*parts) for _ in range(4)] == want


def test_views_and_tied_tensors(tmp_path):
    ring = torch.arange(12).reshape(3, 4)
    save(tmp_path / "a", {"all": ring, "row": ring[1], "column": ring[:, 1], "again": ring})
    back = load(tmp_path / "a")
    assert torch.equal(back["again"], ring)
    assert torch.equal(back["column"], ring[:, 1]) and torch.equal(back["row"], ring[1])
    back["again"][0, 0] = 99
    assert back["all"][0, 0] == 0 and load(tmp_path / "a")["again"][0, 0] == 0


@pytest.fixture
def saved(tmp_path):
    for step in (9, 10, 100): save(tmp_path / f"step-{step}", {"w": torch.randn(50, 50), "step": step})
    return tmp_path


def cut(path, n): path.write_bytes(path.read_bytes()[:n])
def swap(path, old, new): path.write_text(path.read_text().replace(old, new))


DAMAGES = {
    "last byte gone": (lambda p: cut(p / "state.safetensors", -1), "is truncated or swapped"),
    "tensors empty": (lambda p: cut(p / "state.safetensors", 0), "is truncated or swapped"),
    "tensors of another": (lambda p: shutil.copy(p.parent / "step-10/state.safetensors", p), "is corrupt"),
    "tensors missing": (lambda p: (p / "state.safetensors").unlink(), "state.safetensors is missing"),
    "json missing": (lambda p: (p / "state.json").unlink(), "state.json is missing"),
    "json cut": (lambda p: cut(p / "state.json", -9), "state.json is truncated or corrupt"),
    "json empty": (lambda p: cut(p / "state.json", 0), "state.json is truncated or corrupt"),
    "json not text": (lambda p: (p / "state.json").write_bytes(b"\xff\x00"), "state.json is truncated or corrupt"),
    "json a list": (lambda p: (p / "state.json").write_text("[]"), "expected the format"),
    "json without a state": (lambda p: swap(p / "state.json", '"state": ', '"stat": '), "expected the format"),
    "json changed": (lambda p: swap(p / "state.json", '"step": 100', '"step": 101'), "state.json is corrupt"),
    "all gone": (shutil.rmtree, "found none"),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_one_sentence_and_the_one_before_is_found(saved, damage, said):
    assert latest(saved).name == "step-100"
    damage(saved / "step-100")
    with pytest.raises(CheckpointError, match=said) as error: load(saved / "step-100")
    assert "\n" not in str(error.value) and "step-100" in str(error.value)
    assert latest(saved).name == "step-10" and load(latest(saved))["step"] == 10


@given(st.integers(0, 10_000))
def test_every_flipped_byte_of_a_small_file_is_noticed(tmp_path_factory, at):
    path = tmp_path_factory.mktemp("flip") / "a"
    save(path, {"w": torch.zeros(20, 20)})
    file = path / "state.safetensors"
    data = bytearray(file.read_bytes())
    data[at % len(data)] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="corrupt"): load(path)


def test_a_large_file_is_sampled(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "BLOCK", 64)
    save(tmp_path / "a", {"w": torch.zeros(100_000, dtype=torch.uint8)})
    file = tmp_path / "a" / "state.safetensors"
    data = bytearray(file.read_bytes())
    for at, noticed in [(0, True), (len(data) - 1, True), (100, False)]:
        data[at] ^= 1
        file.write_bytes(data)
        if noticed:
            with pytest.raises(CheckpointError, match="corrupt"): load(tmp_path / "a")
        else: assert "w" in load(tmp_path / "a")
        data[at] ^= 1


def test_prune_keeps_the_newest(saved):
    assert [p.name for p in prune(saved, 1)] == ["step-9", "step-10"] and prune(saved, 3) == []
    assert [p.name for p in saved.iterdir()] == ["step-100"]
    for keep in (0, -1, True, 1.0):
        with pytest.raises(ValueError, match="keep: expected"): prune(saved, keep)


def test_refusals(tmp_path):
    with pytest.raises(CheckpointError, match="/net/f: expected tensors"): save(tmp_path / "a", {"net": {"f": print}})
    with pytest.raises(CheckpointError, match="/x: expected tensors"): save(tmp_path / "a", {"x": np.zeros(3)})
    assert not list(tmp_path.iterdir()) and latest(tmp_path) is None


SAVE = """
    import sys, torch
    from sgpaint.lab.checkpoint import save
    torch.set_num_threads(1)
    n = 0
    while True:
        n += 1
        save(sys.argv[1], {"n": n, "w": torch.full((500_000,), float(n))})
        if n == 1: print("ready", flush=True)
"""


@pytest.mark.parametrize("after", [0.0, 0.011, 0.023, 0.037, 0.051, 0.067])
def test_a_kill_in_the_middle_of_a_save(tmp_path, after):
    "One path, overwritten again and again: at any moment the old one or the new one is there."
    command = [sys.executable, "-c", textwrap.dedent(SAVE), tmp_path / "last"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "ready"
    time.sleep(after)
    process.kill()
    process.wait()
    state = load(tmp_path / "last")
    assert state["n"] >= 1 and (state["w"] == state["n"]).all() and latest(tmp_path) == tmp_path / "last"
    save(tmp_path / "last", {"n": 0})
    assert load(tmp_path / "last") == {"n": 0}


@pytest.mark.parametrize("renames", [1, 2])
def test_a_death_between_the_renames(tmp_path, renames):
    "The two moments that a kill rarely meets: the old one is moved and the new one not there; both are there."
    save(tmp_path / "last", {"n": 1})
    (tmp_path / "last").rename(tmp_path / ".last.old")
    if renames == 2:
        shutil.copytree(tmp_path / ".last.old", tmp_path / "kept")
        save(tmp_path / "last", {"n": 2})
        (tmp_path / "kept").rename(tmp_path / ".last.old")
    assert load(tmp_path / "last") == {"n": renames} and latest(tmp_path) == tmp_path / "last"
    assert not (tmp_path / ".last.old").exists()


def test_a_full_disk(tmp_path):
    save(tmp_path / "last", {"w": torch.zeros(10)})
    code = """
        import resource, signal, sys, torch
        from sgpaint.lab.checkpoint import CheckpointError, save
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try: save(sys.argv[1], {"w": torch.ones(1_000_000)})
        except CheckpointError as error: print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path / "last"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "was not written" in done.stdout and done.stdout.count("\n") == 1, done.stdout + done.stderr
    assert load(tmp_path / "last")["w"].sum() == 0 and len(list(tmp_path.iterdir())) == 1


def test_a_big_ring_is_saved_without_a_copy(tmp_path):
    code = """
        import resource, sys, torch
        from sgpaint.lab.checkpoint import save
        ring = torch.zeros(300_000_000, dtype=torch.uint8)
        ring[::4096] = 1
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        save(sys.argv[1], {"ring": ring})
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path / "a"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100, f"{done.stdout} MiB more than the ring itself"
