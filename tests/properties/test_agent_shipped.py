"""The agent of the package: small, complete, as good as its record says."""
import json

import pytest
import torch

from sgpaint.agent.trained import SHIPPED, load_agent, paint_many, shipped_agent
from sgpaint.agent.training import load_scenes
from sgpaint.lab.measure import mse

NAMES = sorted(folder.name for folder in SHIPPED.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_it_is_as_good_as_its_record_says(name):
    record, agent = json.loads((SHIPPED / name / "record.json").read_text()), shipped_agent(name)
    scenes = load_scenes(agent.config)[1]
    target = scenes.images()[torch.arange(len(scenes))].float() / 255
    error = mse(paint_many(agent, target), target).mean().item()
    assert abs(error - record["held_out_error"]) < 1e-4
    assert record["held_out_on"] == scenes.title and "built-in" in record["trained_on"]


def test_all_of_them_are_small_and_never_pickles():
    files = [f for f in SHIPPED.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 10e6
    assert {f.suffix for f in files} <= {".json", ".csv", ".safetensors"}


def test_another_name_and_an_agent_that_does_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected one of dense, small"): shipped_agent("large")
    with pytest.raises(ValueError, match="train first"): load_agent(tmp_path)
