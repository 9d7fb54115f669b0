"""Files of every odd kind, splits, boxes, the cache: all on small files written here, none in the user's cache."""
import gzip
import itertools
import os
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sgpaint.lab.config import ConfigError
from sgpaint.scene import loading
from sgpaint.scene.datasets import DATASETS, find, list_samples, search_places
from sgpaint.scene.readers import Sample, held_out_names, list_folder
from sgpaint.scene.loading import MixedSceneSet, hflip, load, read_scene
from sgpaint.scene.picture import DataError, open_picture
from sgpaint.scene.procedural import SUBJECTS, draw
from sgpaint.scene.record import check_scene, tight_box


pytestmark = pytest.mark.usefixtures("own_places")


@pytest.fixture
def red(tmp_path):
    "A red picture, left half dark, 40 x 20."
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20], pixels[:, 20:] = (100, 0, 0), (200, 0, 0)
    return Image.fromarray(pixels)


def saved(picture, path, **how):
    picture.save(path, **how)
    return path


MODES = [("L", "png"), ("1", "png"), ("P", "png"), ("P", "gif"), ("CMYK", "tif"), ("CMYK", "jpg"), ("YCbCr", "jpg"),
         ("LA", "png"), ("RGBA", "webp"), ("RGB", "bmp")]


@pytest.mark.parametrize("mode, suffix", MODES)
def test_modes_open_as_rgb(mode, suffix, red, tmp_path):
    picture = red.quantize(4) if mode == "P" else red.convert(mode)
    image = open_picture(saved(picture, tmp_path / f"a.{suffix}"))
    assert image.shape == (3, 20, 40) and image.dtype == torch.float32 and 0 <= image.min() <= image.max() <= 1
    if mode not in ("L", "1", "LA"):
        assert (image - open_picture(saved(red, tmp_path / "plain.png"))).abs().max() < 0.12


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_brightness(suffix, tmp_path):
    levels = np.array([[0, 257, 32896, 65535]], np.uint16)
    image = open_picture(saved(Image.fromarray(levels), tmp_path / f"deep.{suffix}"))
    assert torch.equal((image[0, 0] * 255).round(), torch.tensor([0.0, 1, 128, 255]))


def test_transparency_shows_white_or_what_is_said(tmp_path):
    path = saved(Image.new("RGBA", (3, 3), (10, 20, 30, 0)), tmp_path / "clear.png")
    assert torch.equal(open_picture(path), torch.ones(3, 3, 3))
    assert torch.equal(open_picture(path, over=(0, 0, 255))[:, 0, 0], torch.tensor([0.0, 0, 1]))
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    image = open_picture(saved(palette, tmp_path / "p.png", transparency=0))
    assert torch.equal(image[:, 0], torch.tensor([[1.0, 0], [1, 1], [1, 0]]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation, red, tmp_path):
    tag = Image.Exif()
    tag[0x0112] = orientation
    image = open_picture(saved(red, tmp_path / "turned.png", exif=tag))
    assert image.shape[1:] == ((20, 40) if orientation < 5 else (40, 20))


def test_one_pixel_is_a_picture(tmp_path):
    saved(Image.new("RGB", (1, 1), (0, 255, 0)), tmp_path / "one.png")
    saved(Image.new("RGB", (500, 1), (0, 255, 0)), tmp_path / "line.png")
    for name in ("one.png", "line.png"):
        scene = read_scene(Sample(name, tmp_path / name), (), 16)
        assert torch.equal(scene.image, torch.tensor([0.0, 1, 0]).reshape(3, 1, 1).expand(3, 16, 16))


def bad_files(folder, red):
    "One file of each kind that cannot be used, with a word of the reason."
    whole = saved(red.resize((200, 200)), folder / "ok.jpg").read_bytes()
    png = saved(red.resize((200, 200)), folder / "ok.png").read_bytes()
    contents = {
        "text.jpg": (b"hello", "not a picture"),
        "empty.png": (b"", "not a picture"),
        "cut.jpg": (whole[: len(whole) // 2], "broken or truncated"),
        "cut.png": (png[: len(png) // 2], "broken or truncated"),
        "head.jpg": (whole[:30], "not a picture|broken"),
        "flipped.png": (png[:60] + b"\0" * 40 + png[100:], "broken"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    saved(Image.fromarray(np.ones((2, 2), np.float32)), folder / "float.tif")
    saved(Image.fromarray(np.full((2, 2), 70000, np.int32)), folder / "deep.tif")
    reasons = {name: reason for name, (_, reason) in contents.items()}
    return {**reasons, "float.tif": "floating-point", "deep.tif": "8 or 16 bits"}


def test_unusable_files_are_refused_by_name_in_one_line(tmp_path, red):
    for name, reason in {**bad_files(tmp_path, red), "none.png": "no file"}.items():
        with pytest.raises(DataError, match=reason) as caught:
            open_picture(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(DataError):
        open_picture(tmp_path)


def test_a_bad_file_leaves_no_cache_behind(tmp_path, red):
    folder = tmp_path / "pictures"
    folder.mkdir()
    bad = bad_files(folder, red)
    names = {**bad, "ok.jpg": "", "ok.png": ""}
    missing = len(set(bad) - held_out_names(list(names)))
    with pytest.raises(DataError, match=f"{missing} of"):
        load("folder", root=str(folder), size=8).images()
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


@settings(max_examples=30)
@given(st.integers(2, 300), st.integers(0, 5))
def test_held_out_tenth_is_a_tenth_and_splits_are_disjoint(n, seed):
    names = [f"{i}.png" for i in range(n)]
    test = held_out_names(names, seed)
    assert test < set(names) and len(test) == max(1, n // 10)
    assert test == held_out_names(names[::-1], seed)


def test_folder_splits(tmp_path, red):
    for name in ("train/a/1.png", "train/2.JPG", "val/3.png", "train/.hidden/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        saved(red, tmp_path / name)
    names = {split: {e.name for e in list_folder(tmp_path, split).samples} for split in ("train", "test")}
    assert names == {"train": {"train/a/1.png", "train/2.JPG"}, "test": {"val/3.png"}}


def test_search_order(tmp_path, monkeypatch, red):
    places = {"root": tmp_path / "r", "SGPAINT_DATA": tmp_path / "d", "data": tmp_path / "home/data",
              "cache": tmp_path / "cache/data"}
    for place in places.values():
        (place / "photos").mkdir(parents=True)
        (place / "photos/manifest.csv").write_text("file,split,class\na.png,train,x\n")
    monkeypatch.setenv("SGPAINT_DATA", str(places["SGPAINT_DATA"]))
    assert find("photos", root=str(places["root"])).path == places["root"] / "photos"
    assert find("photos", root=str(places["root"] / "photos")).path == places["root"] / "photos"
    for place in list(places.values())[1:]:
        assert find("photos").path == place / "photos"
        (place / "photos/manifest.csv").unlink()
    with pytest.raises(DataError, match="Put it there"):
        find("photos")
    assert [name for name, _ in search_places("x")] == ["root"]


@pytest.mark.parametrize("dataset", [name for name, known in DATASETS.items() if getattr(known, "folders", ())])
def test_what_is_missing_says_what_to_get(dataset):
    with pytest.raises(DataError) as caught:
        find(dataset, "real")
    known = DATASETS[dataset]
    for text in (known.owner, known.url, known.terms, known.layout, known.folders[0]):
        assert text in str(caught.value)


def test_words_for_wrong_parameters(tmp_path):
    wrong = [({"dataset": "brids"}, "did you mean 'birds'"), ({"split": "val"}, "train or test"),
             ({"count": -1}, "count"), ({"source": "real"}, "CUB-200-2011 was not found"),
             ({"root": str(tmp_path)}, "CUB-200-2011 was not found"),
             ({"root": str(tmp_path), "source": "builtin"}, "drawn by seed"),
             ({"dataset": "mnist", "source": "builtin"}, "not built in")]
    for parameters, text in wrong:
        with pytest.raises((ConfigError, DataError), match=text):
            load(**parameters)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="no pictures in"):
        load("folder", root=str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="no folder|is not a folder"):
        load("folder", root=str(tmp_path / "nowhere"))


def write_mnist(folder, n=(30, 12)):
    "A small MNIST: digit k is k columns of white."
    (folder / "raw").mkdir(parents=True)
    for kind, count in zip(("train", "t10k"), n, strict=True):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = np.zeros((count, 28, 28), np.uint8)
        for image, k in zip(images, labels, strict=True):
            image[4:24, 4:4 + 2 * k] = 255
        for name, array in ((f"{kind}-images-idx3-ubyte", images), (f"{kind}-labels-idx1-ubyte", labels)):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / "raw" / f"{name}.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return folder


def test_mnist(tmp_path):
    root = str(write_mnist(tmp_path / "MNIST"))
    digits = load("mnist", size=56, root=root)
    assert digits.kind == "real" and len(digits) == 30 and "files in" in digits.title
    assert digits.images().shape == (30, 3, 56, 56) and digits.labels.tolist() == [k % 10 for k in range(30)]
    scene = check_scene(digits[9])
    assert scene.class_names[scene.labels[0]] == "9" and torch.equal(scene.image[0], scene.image[2])
    assert scene.image[0, 28, 16] == 1 and scene.image[0, 2, 2] == 0, "white on black"
    assert len(load("mnist", "test", root=root, count=5, seed=3)) == 5
    all_there_are = load("mnist", root=root, count=31)
    assert len(all_there_are) == 30 and "all there are, fewer than the 31 requested" in all_there_are.title


SPOILED = [(lambda b: b[:-1], "truncated"), (lambda b: b"\1" + b[1:], "not an idx file"), (lambda b: b"", "not an idx")]


@pytest.mark.parametrize("spoil, text", SPOILED)
def test_broken_mnist(tmp_path, spoil, text):
    root = write_mnist(tmp_path / "MNIST")
    path = root / "raw/train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(spoil(gzip.decompress(path.read_bytes()))))
    with pytest.raises(DataError, match=text):
        load("mnist", root=str(root))
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(DataError, match="cannot be unpacked"):
        load("mnist", root=str(root))
    path.unlink()
    with pytest.raises(DataError, match="not complete"):
        load("mnist", root=str(root))


def test_imagenet_layouts(tmp_path, red):
    for name in ("train/n01/1.JPEG", "train/n02/2.JPEG", "val/n02/3.JPEG"):
        (tmp_path / "imagenet" / name).parent.mkdir(parents=True, exist_ok=True)
        saved(red, tmp_path / "imagenet" / name)
    test = load("imagenet", "test", 8, root=str(tmp_path))
    assert test.class_names == ("n01", "n02") and test.labels.tolist() == [1]
    tiny = tmp_path / "tiny-imagenet-200"
    for name in ("train/n01/images/n01_0.JPEG", "val/images/val_0.JPEG"):
        (tiny / name).parent.mkdir(parents=True, exist_ok=True)
        saved(red.resize((64, 64)), tiny / name)
    (tiny / "wnids.txt").write_text("n01\n")
    (tiny / "words.txt").write_text("n01\tgoldfish, carp\n")
    (tiny / "train/n01/n01_boxes.txt").write_text("n01_0.JPEG\t0\t16\t31\t63\n")
    (tiny / "val/val_annotations.txt").write_text("val_0.JPEG\tn01\t32\t0\t63\t31\n")
    for split, box in (("train", [0, 0.25, 0.5, 0.75]), ("test", [0.5, 0, 0.5, 0.5])):
        scene = check_scene(load("tiny-imagenet", split, 32, root=str(tmp_path))[0])
        assert scene.boxes.tolist() == [box] and scene.class_names == ("goldfish",)


def test_masks_and_boxes_are_cropped_with_their_picture(tmp_path, red):
    folder = tmp_path / "masks"
    folder.mkdir()
    saved(red, folder / "a.png")
    mask = Image.new("L", (40, 20))
    mask.paste(255, (15, 5, 25, 15))
    saved(mask, folder / "m.png")
    table = "image,mask,split,class,box_x,box_y,box_w,box_h\na.png,m.png,train,thing,15,5,10,10\n"
    (folder / "annotations.csv").write_text(table)
    scene = check_scene(load("masks", size=40, root=str(tmp_path))[0])
    assert torch.equal(scene.boxes, torch.tensor([[0.25, 0.25, 0.5, 0.5]])) and scene.mask.mean() == 0.25
    outside = read_scene(Sample("b", folder / "a.png", None, (-5, 0, 20, 20)), (), 10)
    assert outside.boxes.tolist() == [[0, 0, 0.25, 1]] and outside.metadata["box_inside"] == 0.25
    saved(mask.resize((10, 10)), folder / "m.png")
    with pytest.raises(DataError, match="a mask has the size of its picture"):
        load("masks", size=40, root=str(tmp_path))[0]


def test_the_cache_is_used_and_never_stale(tmp_path, red, monkeypatch):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(4):
        saved(red, folder / f"{i}.png")
    sets = [load("folder", root=str(folder), size=12) for _ in range(3)]
    first = sets[0].images().clone()
    monkeypatch.setattr(loading, "_fill", lambda *_: pytest.fail("the cache was not used"))
    assert torch.equal(sets[1].images(), first)
    sets[1].images()[0] = 0
    assert torch.equal(sets[2].images(), first), "writing to the tensor leaves the file as it is"
    monkeypatch.undo()
    for place in ("SGPAINT_CACHE", "SGPAINT_HOME"):
        monkeypatch.setenv(place, str(tmp_path / ("cache" if place == "SGPAINT_CACHE" else "home")))
    path = sets[0].samples[0].image
    saved(red.transpose(Image.Transpose.FLIP_LEFT_RIGHT), path)
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 1))
    assert not torch.equal(load("folder", root=str(folder), size=12).images(), first)


def test_caches_differ_in_everything_that_matters(tmp_path):
    variants = itertools.product(("birds", "cars"), ("train", "test"), (8, 9), (3, 4), (0, 1))
    for dataset, split, size, count, seed in variants:
        load(dataset, split, size, count=count, seed=seed).images()
    assert len(list((tmp_path / "cache/scenes").iterdir())) == 2 * 32  # pictures and labels


def test_processes_fill_the_same_cache(tmp_path, monkeypatch):
    alone = load("cars", count=300, size=16).images().clone()
    monkeypatch.setenv("SGPAINT_CACHE", str(tmp_path / "other"))
    assert torch.equal(load("cars", count=300, size=16, workers=2).images(), alone)


def test_scenes_are_lazy_and_load_in_processes():
    scenes = load("birds", count=8, size=16)
    loader = torch.utils.data.DataLoader(scenes, batch_size=4, num_workers=2, collate_fn=list)
    batches = list(loader)
    assert [s.name for b in batches for s in b] == [f"birds-{i}" for i in range(8)]
    assert (scenes[-1].image - batches[1][3].image).abs().max() == 0
    assert [s.name for s in scenes][-1] == "birds-7", "iteration ends"


@settings(max_examples=20)
@given(st.sampled_from(SUBJECTS), st.integers(0, 10**6))
def test_mirroring(subject, seed):
    scene = draw(subject, seed, (30, 40))
    once = check_scene(hflip(scene))
    assert (once.boxes - tight_box(once.instances)).abs().max() < 1e-6
    twice = hflip(once)
    assert torch.equal(twice.image, scene.image) and torch.equal(twice.mask, scene.mask)
    assert all(torch.equal(twice.parts[k], scene.parts[k]) for k in scene.parts)


def test_mixing():
    streets, cars = (load(s, count=10, size=16, source="builtin") for s in ("streets", "cars"))
    mixed = MixedSceneSet([streets, cars], [8, 2], 50, seed=1)
    assert [(mixed.set_index == k).sum() for k in (0, 1)] == [40, 10] and "0.8 built-in streets" in mixed.title
    assert all(mixed[i].name.startswith(("streets", "cars")[mixed.set_index[i]]) for i in range(50))
    assert (mixed.images()[7] / 255 - mixed[7].image).abs().max() < 0.0021
    assert np.array_equal(mixed.set_index, MixedSceneSet([streets, cars], [8, 2], 50, seed=1).set_index)
    with pytest.raises(ValueError, match="one size"):
        MixedSceneSet([streets, load("cars", count=2, size=8, source="builtin")], [1, 1], 4)
    with pytest.raises(ValueError, match="positive weight"):
        MixedSceneSet([streets], [0], 4)


def test_nothing_is_listed_of_what_is_drawn():
    with pytest.raises(DataError, match="nothing to list"):
        list_samples(find("streets"), "train")
