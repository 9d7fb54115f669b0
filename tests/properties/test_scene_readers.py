"""The published layouts, written here as their owners write them, and broken in every way that files break."""
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sgpaint.lab.config import ConfigError
from sgpaint.scene.annotated import list_cars, list_cub
from sgpaint.scene.crop import crop_box, crop_instances, isolate_subject
from sgpaint.scene.datasets import DATASETS, find
from sgpaint.scene.digits import list_svhn, read_mat, read_svhn
from sgpaint.scene.readers import SPLITS, Sample, read_table
from sgpaint.scene.loading import MixedSceneSet, load, read_scene
from sgpaint.scene.picture import DataError, open_ids
from sgpaint.scene.procedural import draw
from sgpaint.scene.record import check_scene, tight_box
from sgpaint.scene.vkitti import VEHICLES, list_vkitti


pytestmark = pytest.mark.usefixtures("own_places")


def write(path: Path, content) -> Path:
    "Text, bytes, a picture or an array of bytes, in folders made for it."
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str): path.write_text(content)
    elif isinstance(content, bytes): path.write_bytes(content)
    else: (content if isinstance(content, Image.Image) else Image.fromarray(content)).save(path)
    return path


def gradient(width, height):
    "A picture whose red tells x and whose green tells y."
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], 2).astype(np.uint8)


# CUB-200-2011 ---------------------------------------------------------------------------------------------------------

BIRDS = {  # id: file, class, in training, box, grey picture?
    2: ("001.Black_Bird/a_2.jpg", 1, 1, "20.0 10.0 40.0 30.0", False),
    15: ("001.Black_Bird/a_15.jpg", 1, 0, "-5.0 0.0 40.0 30.0", True),
    33: ("003.Red-eyed_Bird/c_33.jpg", 3, 1, "70.0 40.0 40.0 30.0", False),
    90: ("003.Red-eyed_Bird/c_90.jpg", 3, 0, "0.0 0.0 100.0 60.0", False),
}


def write_cub(root, masks="segmentations"):
    "Four birds, 100 x 60; ids with gaps, a class without pictures, a grey picture, boxes that leave the picture."
    for file, *_, grey in BIRDS.values():
        picture = Image.fromarray(gradient(100, 60))
        write(root / "images" / file, picture.convert("L") if grey else picture)
        if masks:
            average = np.zeros((60, 100), np.uint8)
            average[5:50, 30:70], average[10:40, 40:60] = 102, 153  # two of five annotators, then three of five
            write(root / masks / Path(file).with_suffix(".png"), average)
    for name, column in (("images", 0), ("image_class_labels", 1), ("train_test_split", 2), ("bounding_boxes", 3)):
        write(root / f"{name}.txt", "".join(f"{key} {row[column]}\n" for key, row in BIRDS.items()))
    write(root / "classes.txt", "1 001.Black_Bird\n2 002.No_Bird\n3 003.Red-eyed_Bird\n")
    return root


@pytest.mark.parametrize("folder", ["CUB_200_2011", "cub200/CUB_200_2011"])
def test_birds(folder, tmp_path):
    write_cub(tmp_path / folder)
    train, test = (load("birds", split, 60, root=str(tmp_path)) for split in SPLITS)
    assert (train.kind, test.kind) == ("real", "real") and "CUB-200-2011, files in" in train.title
    assert train.class_names == ("Black Bird", "No Bird", "Red-eyed Bird")
    assert train.labels.tolist() == [0, 2] and test.labels.tolist() == [0, 2]
    scene = check_scene(train[0])
    assert torch.equal(scene.boxes, torch.tensor([[20, 10, 20, 30]]) / 60), "where three of five saw it, minus the crop"
    assert scene.mask.sum() == 600 and "half of the annotators" in train.title
    assert (test[0].image[0] - test[0].image[2]).abs().max() == 0, "a grey picture has three equal planes"


def test_masks_of_birds_lie_beside_the_folder_too_and_derived_ones_are_named(tmp_path):
    root = write_cub(tmp_path / "CUB_200_2011")
    (root / "segmentations").rename(tmp_path / "segmentations")
    assert "annotators saw" in list_cub(root, "train").rule
    (tmp_path / "segmentations").rename(root / "segmentations_grabcut")
    assert "DERIVED" in load("birds", root=str(tmp_path)).title
    (root / "segmentations_grabcut").rename(root / "elsewhere")
    scenes = load("birds", size=30, root=str(tmp_path))
    assert "no masks" in scenes.title and scenes[0].mask is None
    boxes = [check_scene(scenes[i]) for i in range(2)]
    assert boxes[0].metadata["box_inside"] == 1 and 0 < boxes[1].metadata["box_inside"] < 0.3
    assert torch.allclose(boxes[0].boxes, torch.tensor([[0, 10, 40, 30]]) / 60)


SPOILED_TABLES = [
    ("images.txt", None, "is missing"), ("images.txt", "2\n", "line 1: expected <int> <str>"),
    ("bounding_boxes.txt", "2 0 0 x 4\n", "line 1"), ("bounding_boxes.txt", b"\xff\xfe\0", "not a text file"),
    ("train_test_split.txt", "2 1\n", "no line for picture 15"), ("classes.txt", "1 001.Black_Bird\n", "no class 3"),
    ("bounding_boxes.txt", "".join(f"{k} 5 5 0 10\n" for k in BIRDS), "w and h above 0"),
    ("bounding_boxes.txt", "".join(f"{k} nan 5 9 10\n" for k in BIRDS), "finite numbers"),
]


@pytest.mark.parametrize("name, content, said", SPOILED_TABLES)
def test_broken_tables_of_birds(name, content, said, tmp_path):
    root = write_cub(tmp_path / "CUB_200_2011")
    (root / name).unlink() if content is None else write(root / name, content)
    with pytest.raises(DataError, match=said):
        list_cub(root, "train")


def test_broken_masks_of_birds(tmp_path):
    root = write_cub(tmp_path / "CUB_200_2011")
    path = root / "segmentations/001.Black_Bird/a_2.png"
    whole, scenes = path.read_bytes(), load("birds", size=30, root=str(tmp_path))
    for content, said in ((whole[:-30], "broken or truncated"), (b"no picture", "not a picture"), (None, "no file"),
                          (np.zeros((60, 90), np.uint8), "is 90 x 60 pixels, its picture is 100 x 60")):
        path.unlink() if content is None else write(path, content)
        with pytest.raises(DataError, match=said) as caught: scenes[0]
        assert path.name in str(caught.value)
        assert len(scenes.images()) == 2, "pictures do not need the masks"
    write(path, np.zeros((60, 100), np.uint8))
    empty = check_scene(scenes[0])
    assert empty.mask.sum() == 0 and empty.boxes.tolist() == [[0, 0, 1, 1]] and empty.metadata["mask_empty"]
    with pytest.raises(DataError, match="a subject is cut out by its mask"):
        load("birds-cropped", size=30, root=str(tmp_path)).images()
    assert not list((tmp_path / "cache/scenes").glob("birds-cropped*"))


# Cars-196 -------------------------------------------------------------------------------------------------------------

savemat = partial(scipy.io.savemat, do_compression=True)  # as these owners do


def write_cars(root, n=(3, 2), labelled=True):
    "Cars of 80 x 60 with their boxes, in the devkit's records of small integers."
    names = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012"]
    (root / "devkit").mkdir(parents=True)
    savemat(root / "devkit/cars_meta.mat", {"class_names": np.array([names], object)})
    box = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]
    for split, count in zip(SPLITS, n, strict=True):
        for i in range(count): write(root / f"cars_{split}/{i + 1:05}.jpg", gradient(80, 60))
        rows = [(*(np.uint8(v) for v in (11, 1, 50, 60)), np.uint8(i % 2 + 1), f"{i + 1:05}.jpg") for i in range(count)]
        with_class = np.array([rows], [(f, object) for f in (*box, "class", "fname")])
        without = np.array([[(*row[:4], row[5]) for row in rows]], [(f, object) for f in (*box, "fname")])
        name = root / f"devkit/cars_{split}_annos.mat"
        savemat(name, {"annotations": with_class if split == "train" else without})
    if labelled: savemat(root / "cars_test_annos_withlabels.mat", {"annotations": with_class})
    return root


def test_cars(tmp_path):
    write_cars(tmp_path / "stanford_cars")
    train, test = (load("cars", split, 60, root=str(tmp_path)) for split in SPLITS)
    assert train.labels.tolist() == [0, 1, 0] and test.labels.tolist() == [0, 1]
    assert train.class_names[1] == "Acura RL Sedan 2012" and "no masks" in train.title
    scene = check_scene(train[0])
    assert scene.mask is None and scene.boxes.tolist() == [[0, 0, pytest.approx(40 / 60), 1]]
    with pytest.raises(DataError, match="segment the pictures first"):
        isolate_subject(scene)


def test_cars_without_labels_and_of_one_picture(tmp_path):
    root = write_cars(tmp_path / "stanford_cars", n=(1, 1), labelled=False)
    assert [e.label for e in list_cars(root, "train").samples] == [0]
    test = load("cars", "test", 20, root=str(tmp_path))
    assert test.labels.tolist() == [-1] and "classes unknown" in test.title and test[0].labels is None


def test_annotations_that_are_not_those_of_cars(tmp_path):
    root = write_cars(tmp_path / "stanford_cars")
    table = root / "devkit/cars_train_annos.mat"
    savemat(table, {"something": np.zeros(3)})
    with pytest.raises(DataError, match="no variable 'annotations'"): list_cars(root, "train")
    savemat(table, {"annotations": np.zeros(3)})
    with pytest.raises(DataError, match="no field bbox_x1"): list_cars(root, "train")
    fields = [(f, object) for f in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
    for row, said in (((5, 5, 9, 9, 3, "a.jpg"), "class 3 is not in 1..2"), ((9, 5, 5, 9, 1, "a.jpg"), "w and h")):
        savemat(table, {"annotations": np.array([[row]], fields)})
        with pytest.raises(DataError, match=said): list_cars(root, "train")
    table.unlink()
    with pytest.raises(DataError, match="is missing"): list_cars(root, "train")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_mat_file_is_one_sentence_or_the_same(tmp_path, data):
    "A byte changed, or the end cut off: never anything but a DataError that names the file."
    path = tmp_path / "small.mat"
    rows = np.array([[(1, "a.jpg"), (2, "b.jpg")]], [("class", object), ("fname", object)])
    savemat(path, {"annotations": rows})
    whole = path.read_bytes()
    at, cut = data.draw(st.integers(136, len(whole) - 1)), data.draw(st.booleans())
    content = whole[:at] if cut else whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1:]
    spoiled = write(tmp_path / "spoiled.mat", content)
    try:
        read_mat(spoiled, "annotations")
    except DataError as error:
        assert "spoiled.mat" in str(error) and "\n" not in str(error)


def test_damage_where_no_checksum_guards_it(tmp_path):
    "An uncompressed file is read in another process: SciPy dies of some wrong bytes, and this test must not."
    path, rng = tmp_path / "plain.mat", np.random.default_rng(0)
    rows = np.array([[(1, "a.jpg"), (2, "b.jpg")]], [("class", object), ("fname", object)])
    scipy.io.savemat(path, {"annotations": rows})
    assert read_mat(path, "annotations")["fname"].tolist() == ["a.jpg", "b.jpg"]
    whole = path.read_bytes()
    for at in (136, 144, 160, 200, 228):
        write(path, whole[:at] + rng.bytes(8) + whole[at + 8:])
        try:
            read_mat(path, "annotations")
        except DataError as error:
            assert "plain.mat" in str(error) and "\n" not in str(error)


# SVHN and CelebA ------------------------------------------------------------------------------------------------------

def write_svhn(path, n, first=0):
    "House numbers of one colour each; labels 1 to 10."
    x = np.empty((32, 32, 3, n), np.uint8)
    x[:] = (np.arange(n) + first) * 10
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = ((np.arange(n) + first) % 10 + 1).astype(np.uint8)[:, None]
    savemat(path, {"X": x, "y": labels})


def test_svhn(tmp_path):
    write_svhn(tmp_path / "svhn/train_32x32.mat", 11)
    write_svhn(tmp_path / "svhn/test_32x32.mat", 2)
    scenes = load("svhn", size=40, root=str(tmp_path), workers=2)
    assert scenes.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1], "the owners write 10 for 0"
    assert scenes.images()[:, 1, 20, 20].tolist() == [10 * i for i in range(11)]
    assert check_scene(scenes[9]).class_names[scenes[9].labels[0]] == "0"
    write_svhn(tmp_path / "svhn/extra_32x32.mat", 4, first=11)
    more = load("svhn", size=40, root=str(tmp_path))
    assert len(more) == 15 and "train and extra" in more.title and more.images()[14, 0, 0, 0] == 140
    assert len(load("svhn", "test", 40, root=str(tmp_path))) == 2


def test_svhn_is_listed_without_its_pictures(tmp_path, monkeypatch):
    write_svhn(tmp_path / "svhn/train_32x32.mat", 3)
    monkeypatch.setattr("sgpaint.scene.digits._pictures", lambda *_: pytest.fail("pictures were read"))
    assert len(load("svhn", root=str(tmp_path))) == 3


def test_svhn_that_changed_is_read_again(tmp_path):
    path = tmp_path / "svhn/train_32x32.mat"
    write_svhn(path, 3)
    assert read_svhn(path).shape == (3, 32, 32, 3)
    write_svhn(path, 5)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    assert len(read_svhn(path)) == 5


def test_broken_svhn(tmp_path):
    path = tmp_path / "train_32x32.mat"
    x, y = np.zeros((32, 32, 3, 4), np.uint8), np.array([[1], [2], [3], [11]])
    for variables, said in (({"X": x, "y": y}, "1 to 10"), ({"X": x, "y": y[:3]}, "got 3"), ({"X": x}, "expected X"),
                            ({"X": x[..., 0], "y": y}, "expected X")):
        savemat(path, variables)
        with pytest.raises(DataError, match=said): list_svhn(tmp_path, "train")
    savemat(path, {"X": x / 255, "y": y % 5 + 1})
    with pytest.raises(DataError, match="expected X of bytes"): load("svhn", root=str(tmp_path)).images()


@pytest.mark.parametrize("images, tables", [("", ""), ("Img/", "Eval/")])
def test_faces(images, tables, tmp_path):
    root = tmp_path / "celeba"
    for i in range(1, 7): write(root / f"{images}img_align_celeba/{i:06}.jpg", gradient(178, 218))
    parts = "".join(f"{i:06}.jpg {k}\n" for i, k in zip(range(1, 7), (0, 0, 0, 1, 2, 2), strict=True))
    write(root / f"{tables}list_eval_partition.txt", parts)
    train, test = (load("celeba", split, 89, root=str(tmp_path)) for split in SPLITS)
    assert (len(train), len(test)) == (3, 2) and "validation left out" in train.title
    green = train[0].image[1].mean(1)
    assert green[0] == pytest.approx(20.5 / 218, abs=0.02) and green[-1] == pytest.approx(197.5 / 218, abs=0.02)


# Virtual KITTI --------------------------------------------------------------------------------------------------------

OWNERS = np.zeros((60, 120), np.uint8)  # track 0: a car in the middle; 1: a van; 2: a tram; 7: a car outside the crop
OWNERS[20:50, 40:70], OWNERS[10:30, 75:85], OWNERS[:8, 50:60], OWNERS[30:50, 2:12] = 1, 2, 3, 8
COLOURS = {0: (0, 199, 0), 1: (125, 167, 251), 2: (203, 192, 242), 3: (80, 80, 80), 8: (210, 142, 236)}


def write_vkitti2(root, scenes=("Scene01", "Scene18", "Scene20"), variations=("clone", "fog"), cameras=2):
    "Frames of 120 x 60 with their palette pictures and their tracks."
    truth = Image.fromarray(OWNERS)
    truth.putpalette(list(range(0, 30)))
    for scene in scenes:
        for variation in variations:
            base = root / scene / variation
            write(base / "info.txt", "trackID label model color\n0 Car A red\n1 Van B blue\n2 Tram C x\n7 Car D y z\n")
            for camera in range(cameras):
                write(base / f"frames/rgb/Camera_{camera}/rgb_00000.jpg", gradient(120, 60))
                write(base / f"frames/instanceSegmentation/Camera_{camera}/instancegt_00000.png", truth)
    return root


def write_vkitti1(root, worlds=("0001", "0002")):
    "The same frames as version 1.3.1 stores them; the tram is a category without a number."
    codes = ((1, "Car:0"), (2, "Van:1"), (3, "Misc"), (8, "Car:7"), (0, "Tree"))
    coded = np.array([COLOURS.get(k, (0, 0, 0)) for k in range(9)], np.uint8)[OWNERS]
    table = "Category(:id) r g b\n" + "".join(f"{name} {' '.join(map(str, COLOURS[k]))}\n" for k, name in codes)
    for world in worlds:
        write(root / f"vkitti_1.3.1_rgb/{world}/rain/00000.png", gradient(120, 60))
        write(root / f"vkitti_1.3.1_scenegt/{world}/rain/00000.png", coded)
        write(root / f"vkitti_1.3.1_scenegt/{world}_rain_scenegt_rgb_encoding.txt", table)
    return root


@pytest.mark.parametrize("version, writer", [("2", write_vkitti2), ("1.3.1", write_vkitti1)])
def test_streets(version, writer, tmp_path):
    writer(tmp_path / f"vkitti{version if version == '2' else '_1.3.1'}")
    train, test = (load("streets", split, 60, root=str(tmp_path)) for split in SPLITS)
    assert f"Virtual KITTI {version}, vehicles only" in train.title
    scene = check_scene(train[0])
    assert [VEHICLES[k] for k in scene.labels] == ["Car", "Van"], "the tram is ground, the other car is cut away"
    assert scene.instances.sum((1, 2)).tolist() == [900, 200] and torch.equal(scene.boxes, tight_box(scene.instances))
    assert scene.boxes[0].tolist() == pytest.approx([10 / 60, 20 / 60, 30 / 60, 30 / 60])
    assert torch.equal(scene.mask[0], scene.instances.sum(0)) and train.labels.tolist() == [0] * len(train)
    assert not {e.name.split("/")[0] for e in train.samples} & {e.name.split("/")[0] for e in test.samples}


def test_all_variations_and_cameras_are_frames(tmp_path):
    root = write_vkitti2(tmp_path / "vkitti2")
    train, test = (list_vkitti(root, split) for split in SPLITS)
    assert len(train.samples) == 2 * 2 * 2 and train.rule.endswith("Scene01, Scene20") and len(test.samples) == 4
    assert {e.name.split("/")[2] for e in test.samples} == {"Camera_0", "Camera_1"}


def test_a_frame_without_vehicles_has_no_instance(tmp_path):
    root = write_vkitti2(tmp_path / "vkitti2", variations=("clone",), cameras=1)
    for scene in ("Scene01", "Scene20"):
        write(root / scene / "clone/frames/instanceSegmentation/Camera_0/instancegt_00000.png", np.zeros_like(OWNERS))
    scenes = load("streets", size=30, root=str(tmp_path))
    scene = check_scene(scenes[0])
    assert len(scene.instances) == len(scene.boxes) == len(scene.labels) == 0 and scene.mask.sum() == 0
    assert scenes.labels.tolist() == [-1, -1]


def test_broken_streets(tmp_path):
    root = write_vkitti2(tmp_path / "vkitti2", ("Scene01", "Scene02"), ("clone",), 1)
    truth = root / "Scene01/clone/frames/instanceSegmentation/Camera_0/instancegt_00000.png"
    scenes = load("streets", size=30, root=str(tmp_path))
    for content, said in ((truth.read_bytes()[:60], "broken|not a picture"), (None, "no file"),
                          (OWNERS[:, :-2], "is 118 x 60 pixels, its picture is 120 x 60")):
        truth.unlink() if content is None else write(truth, content)
        with pytest.raises(DataError, match=said): scenes[0]
    write(root / "Scene01/clone/info.txt", "trackID label model color\nzero Car A red\n")
    with pytest.raises(DataError, match="line 2"): list_vkitti(root, "train")
    with pytest.raises(DataError, match="needs two or more"):
        list_vkitti(write_vkitti1(tmp_path / "one", ("0001",)), "train")


# The rules of cropping ------------------------------------------------------------------------------------------------

@settings(max_examples=60)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(0, 5), st.integers(0, 10**6))
def test_instances_stay_apart_and_are_ordered(width, height, size, count, seed):
    owner = np.random.default_rng(seed).integers(0, count + 1, (max(height // 5, 1), max(width // 5, 1)))
    owner = np.kron(owner, np.ones((5, 5), int))[:height, :width]
    masks, numbers = crop_instances(owner, size)
    assert masks.shape == (len(numbers), size, size) and len(set(numbers)) == len(numbers)
    if numbers:
        assert masks.sum(0).max() <= 1 and masks.sum((1, 2)).min() >= 1
        assert (masks.sum((1, 2)).diff() <= 0).all()
    whole, _ = crop_instances(owner, None)
    assert whole.sum() == (owner > 0).sum()


boxes = st.tuples(st.floats(-300, 300), st.floats(-300, 300), st.floats(0.01, 500), st.floats(0.01, 500))


@given(boxes, st.integers(1, 200), st.integers(1, 200), st.booleans())
def test_a_clipped_box_lies_inside_and_has_area(box, width, height, whole):
    clipped, share = crop_box(box, (width, height), whole)
    x, y, w, h = clipped[0].tolist()
    assert w > 0 and h > 0 and x >= 0 and y >= 0 and x + w <= 1 + 1e-5 and y + h <= 1 + 1e-5 and 0 <= share <= 1
    assert share > 0 or clipped.tolist() == [[0, 0, 1, 1]]


@settings(max_examples=15)
@given(st.sampled_from(["birds", "cars", "streets"]), st.integers(0, 10**6), st.sampled_from([16, 33, 64]))
def test_a_subject_fills_its_frame_on_black(subject, seed, size):
    scene = check_scene(isolate_subject(draw(subject, seed, (96, 128)), size))
    assert scene.size == (size, size) and len(scene.instances) == len(scene.labels) == 1
    assert scene.boxes[0, 2:].max() >= 1 - 4 / size  # thin tips keep less than half a pixel
    far = torch.nn.functional.max_pool2d(scene.mask[None], 5, 1, 2)[0, 0] == 0
    assert scene.image[:, far].sum() <= 0.01 * scene.image.sum(), "but for tips thinner than half a pixel"


def test_a_subject_at_the_border_or_of_one_pixel():
    scene = draw("birds", 3, (40, 40))
    for rows, columns in ((slice(0, 3), slice(0, 30)), (slice(39, 40), slice(39, 40)), (slice(0, 40), slice(20, 21))):
        mask = torch.zeros(1, 40, 40)
        mask[:, rows, columns] = 1
        cut = check_scene(isolate_subject(replace(scene, mask=mask, instances=mask, parts=None), 16))
        assert cut.mask.any() and cut.boxes[0, 2:].min() > 0
    none = torch.zeros(1, 40, 40)
    with pytest.raises(DataError, match="this scene has none"): isolate_subject(replace(scene, instances=none))


def test_cut_out_birds_are_a_training_set(tmp_path):
    drawn = load("birds-cropped", size=32, count=6, source="builtin")
    assert drawn.images().shape == (6, 3, 32, 32) and "cropped to the box" in drawn.title and drawn[0].parts
    assert torch.equal(drawn.labels, load("birds", size=32, count=6, source="builtin").labels)
    write_cub(tmp_path / "CUB_200_2011")
    real = load("birds-cropped", size=32, root=str(tmp_path), workers=2)
    for scenes in (drawn, real):
        for i in range(len(scenes)):
            assert torch.equal((check_scene(scenes[i]).image * 255).round().byte(), scenes.images()[i])
    assert real[0].boxes[0].tolist() == [pytest.approx(v, abs=1 / 31) for v in (1 / 6, 0, 2 / 3, 1)], "20 x 30, squared"
    assert len({p.name for p in (tmp_path / "cache/scenes").glob("birds-cropped*")}) == 4


# Sets that stand in, and mixtures -------------------------------------------------------------------------------------

@pytest.mark.parametrize("dataset", [name for name, known in DATASETS.items() if getattr(known, "subject", "")])
def test_what_stands_in_says_so(dataset, tmp_path):
    assert re.match(r"built-in .* \(.* was NOT FOUND\), 2 train scenes", load(dataset, count=2).title)
    assert "NOT FOUND" not in load(dataset, count=2, source="builtin").title
    with pytest.raises(DataError, match="source='builtin'"): load(dataset, source="real")
    with pytest.raises(DataError, match="was not found"): load(dataset, root=str(tmp_path))


def test_streets_and_cars_mix_in_their_own_layouts(tmp_path):
    write_vkitti2(tmp_path / "vkitti2")
    write_cars(tmp_path / "stanford_cars", n=(4, 2))
    mixed = load("streets-cars", size=30, root=str(tmp_path), count=30)
    assert isinstance(mixed, MixedSceneSet) and (mixed.kind, len(mixed), len(mixed.sets)) == ("real", 30, 2)
    assert (mixed.set_index == 0).sum() == 24 and mixed.class_names[:4] == VEHICLES
    assert mixed.images().shape == (30, 3, 30, 30) and len(mixed.labels) == 30
    for i in range(30):
        scene = check_scene(mixed[i])
        assert scene.class_names == mixed.class_names and scene.labels[0] == mixed.labels[i]
        assert torch.equal((scene.image * 255).round().byte(), mixed.images()[i])
    counts = np.bincount(mixed.scene_index[mixed.set_index == 0], minlength=8)
    assert counts.tolist() == [3] * 8, "every scene before any is repeated"


def test_a_mixture_of_what_is_there_and_what_is_drawn(tmp_path, monkeypatch):
    write_cars(tmp_path / "stanford_cars", n=(4, 2))
    monkeypatch.setenv("SGPAINT_DATA", str(tmp_path))
    mixed = load("streets-cars", size=16, count=10)
    assert mixed.kind == "mixed" and "NOT FOUND" in mixed.title and "Cars-196, files in" in mixed.title
    with pytest.raises(ConfigError, match="did you mean 'streets-cars'"): load("street-cars")
    with pytest.raises(ConfigError, match="find those"): find("streets-cars")


def test_rows_of_text(tmp_path):
    path = write(tmp_path / "t.txt", "a 1\n\n b  2 \n")
    assert read_table(path, str, int) == [("a", 1), ("b", 2)]
    assert read_table(write(path, "1 two words\n"), int, str) == [(1, "two words")]


def test_values_of_pictures(tmp_path):
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(open_ids(write(tmp_path / "grey.png", levels)), levels)
    assert open_ids(write(tmp_path / "c.png", gradient(4, 3))).max() > 1 << 16
    with pytest.raises(DataError, match="no file"): open_ids(tmp_path / "none.png")


def test_an_entry_of_a_file_that_is_gone(tmp_path):
    root = write_cub(tmp_path / "CUB_200_2011")
    (root / "images/001.Black_Bird/a_2.jpg").unlink()
    scenes = load("birds", size=8, root=str(tmp_path))
    with pytest.raises(DataError, match="is not there"): scenes.images()
    with pytest.raises(DataError, match="no file"): read_scene(Sample("a", root / "gone.jpg"), (), 8)
