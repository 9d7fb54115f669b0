"""The protocol of a data set, over everything that is registered and over one that another package could bring."""
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sgpaint.lab.config import ConfigError
from sgpaint.lab.registry import RegistryError
from sgpaint.scene.datasets import DATASETS, Dataset, MixedDataset, check_name
from sgpaint.scene.readers import Sample, SampleList
from sgpaint.scene.loading import check_dataset, load


def stripes(root: Path, split: str) -> SampleList:
    "A reader as another package would write it: one picture a file, its class in the file's name."
    files = sorted((root / split).glob("*.png"))
    samples = tuple(Sample(f"{split}/{f.name}", f, int(f.name[0])) for f in files)
    return SampleList(samples, ("across", "down"), "folders")


STRIPES = Dataset("Stripes", "a test", "nowhere", "none", "train/ and test/ with 0*.png and 1*.png", ("stripes",),
                  ("train",), stripes)


@pytest.fixture
def own(tmp_path, monkeypatch):
    "A cache of its own, a small set of files, and its name."
    monkeypatch.setenv("SGPAINT_CACHE", str(tmp_path / "cache"))
    for split, shift in (("train", 0), ("test", 3)):
        (tmp_path / "stripes" / split).mkdir(parents=True)
        for i in range(6):
            pixels = np.zeros((20, 24), np.uint8)
            if i % 2: pixels[:, (i + shift) % 5::5] = 255
            else: pixels[(i + shift) % 5::5] = 255
            Image.fromarray(pixels).save(tmp_path / "stripes" / split / f"{i % 2}-{i}.png")
    DATASETS.register("stripes", STRIPES)
    yield tmp_path
    for name in {"stripes", "broken"} & set(DATASETS): DATASETS.remove(name)


@pytest.mark.parametrize("dataset", DATASETS.names())
def test_everything_registered_keeps_the_protocol(dataset, own):
    check_dataset(dataset)  # built-in scenes really load; without any, its fields are checked


@pytest.mark.skipif(not os.environ.get("SGPAINT_DATA"), reason="SGPAINT_DATA is not set: no real samples")
@pytest.mark.parametrize("dataset", ["mnist", "photos", "masks", "tiny-imagenet", "birds", "birds-cropped", "cars"])
def test_real_samples_keep_the_protocol(dataset, own):
    check_dataset(dataset, root=os.environ["SGPAINT_DATA"])


def test_a_third_party_s_keeps_the_protocol(own):
    check_dataset("stripes", root=str(own))
    scenes = load("stripes", size=16, root=str(own))
    assert scenes.class_names == ("across", "down") and scenes.labels.tolist() == [0, 0, 0, 1, 1, 1]


def second(root, split): return stripes(root, "train")
def outside(root, split): return replace(stripes(root, split), class_names=("across",))
def nothing(root, split): return SampleList((), (), "nothing")
def gone(root, split): return SampleList((Sample(f"{split} none", root / "none.png"),) * 2, (), "missing files")


@pytest.mark.parametrize("read, rule", [(second, "splits: expected none in common"), (outside, "labels"),
                                        (nothing, "the train split is empty"), (gone, "none.png")])
def test_a_reader_that_breaks_a_rule_is_named_with_the_rule(read, rule, own):
    DATASETS.register("broken", replace(STRIPES, read=read))
    with pytest.raises(RegistryError, match="dataset 'broken', real") as caught: check_dataset("broken", root=str(own))
    assert rule in str(caught.value)


@pytest.mark.parametrize("change, rule", [
    ({"title": ""}, "title: expected words"), ({"read": 3}, "read: expected a function"),
    ({"marker": ()}, "marker: expected a file"), ({"folders": "here"}, "folders: expected a tuple"),
    ({"subject": "dogs"}, "subject: expected one of birds")])
def test_fields_that_break_a_rule_are_refused_at_the_door(change, rule, own):
    with pytest.raises(RegistryError, match=rule): DATASETS.register("broken", replace(STRIPES, **change))


def test_names(own):
    assert check_name("stripes") == "stripes"
    with pytest.raises(ConfigError, match="did you mean 'stripes'"): check_name("stripe")
    with pytest.raises(ConfigError, match="unknown name 'nonsense'"): load("nonsense")
    with pytest.raises(RegistryError, match="small letters"): DATASETS.register("My Set", STRIPES)
    for other in (MixedDataset("b", {"cars": 1}), STRIPES):
        with pytest.raises(RegistryError, match="taken by sgpaint.scene"): DATASETS.register("birds", other)
    with pytest.raises(RegistryError, match="above 0"): DATASETS.register("broken", MixedDataset("b", {"cars": 0}))
