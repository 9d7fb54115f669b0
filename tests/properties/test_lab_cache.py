"""A digest is equal exactly where the content, the shape and the type are, in every process."""
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgpaint.lab.cache import BLOCK, BLOCKS, cache_home, digest

json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                           lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def same(a, b) -> bool:
    "Equal, with 1, 1.0 and True told apart."
    return repr(a) == repr(b)


@given(json_values, json_values)
def test_values_differ_where_their_digests_do(a, b):
    assert digest(a) == digest(a) and len(digest(a)) == 20
    if isinstance(a, dict) and isinstance(b, dict): return  # their order does not count
    if not same(a, b) and a != b: assert digest(a) != digest(b)


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_a_dictionary_does_not_count(d):
    assert digest(d) == digest(dict(reversed(d.items())))


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_parts_do_not_run_into_each_other(a, b):
    assert (digest(*a) == digest(*b)) == (a == b)
    assert (digest(a, b) == digest(a + b, [])) == (not b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8, torch.int64, torch.bool,
                                   torch.complex64])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3)])
def test_tensors_of_every_type_and_shape(dtype, shape):
    x = torch.ones(shape).to(dtype)
    assert digest(x) == digest(x.clone()) != digest(x[None])
    if dtype != torch.bfloat16: assert digest(x) == digest(x.numpy())


def test_memory_layout_and_device_memory_do_not_count():
    x = torch.rand(4, 5)
    assert digest(x) == digest(x.T.contiguous().T) == digest(x.numpy().astype(">f4")) == digest(x.requires_grad_())
    assert digest(x) != digest(x.T)


def test_one_value_counts():
    x = torch.rand(3, 40, 40)
    y = x.clone()
    y[1, 20, 7] += 1e-6
    assert digest(x) != digest(y)


def test_large_arrays_are_sampled_and_their_ends_count():
    x = np.zeros(BLOCK * BLOCKS + 1000, np.uint8)
    first, last, longer = x.copy(), x.copy(), np.zeros(len(x) + 1, np.uint8)
    first[0] = last[-1] = 1
    assert len({digest(y) for y in (x, first, last, longer)}) == 4


def test_every_process_gives_the_same():
    things = '[1, 2.5, "ä", None, {"b": torch.arange(3), "a": b"x"}]'
    code = f"import torch; from sgpaint.lab.cache import digest; print(digest({things}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == digest([1, 2.5, "ä", None, {"b": torch.arange(3), "a": b"x"}])


@pytest.mark.parametrize("thing", [object(), {1, 2}, np.array(["a"]), np.array([None]), lambda: 0])
def test_what_has_no_content_is_refused(thing):
    with pytest.raises(ValueError, match="digest: expected"): digest("first", [thing])


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SGPAINT_CACHE", str(tmp_path))
    assert cache_home() == tmp_path
    monkeypatch.delenv("SGPAINT_CACHE")
    assert cache_home().name == "sgpaint"
