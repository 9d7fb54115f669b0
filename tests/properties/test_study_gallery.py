"""No file in a folder of runs or paintings can stop the gallery: each becomes an entry with one short sentence."""
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgpaint.lab.config import project_root
from sgpaint.study.gallery import MAX_TEXT, build_gallery, study_table

DEEP = "[" * 200_000
DIGITS = '{"size": ' + "9" * 5000 + ', "strokes": 5}'
PAINTING = json.loads((project_root() / "media/bird.json").read_text())
values = st.recursive(
    st.none() | st.booleans() | st.integers(-10**30, 10**30) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2), max_leaves=4)
names = st.sampled_from(["strokes", "updates", "size", "smoke", "held_out_error", "flat_colour_error", "held_out_on",
                         "trained_on", "results", "task"])
objects = st.dictionaries(names, values, max_size=4)
texts = st.one_of(st.just(DEEP), st.just(DIGITS), st.just(""), st.just("{"), objects.map(json.dumps),
                  values.map(json.dumps), st.binary(max_size=20).map(lambda b: b.decode("latin-1")))


def check(gallery, count):
    "As many entries as files, each with a page and a short sentence."
    assert len(gallery.entries) == count and all(e.failed for e in gallery.entries)
    assert len(list(gallery.index.parent.glob("*.html"))) == count + 1
    for entry in gallery.entries: assert 0 < len(entry.verdict) <= MAX_TEXT + 60, entry.verdict


few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(st.lists(texts, min_size=1, max_size=4))
def test_any_file_that_is_no_painting(tmp_path_factory, contents):
    root = tmp_path_factory.mktemp("files")
    for i, text in enumerate(contents): (root / f"{i}.json").write_text(text, encoding="utf-8")
    check(build_gallery(root / "runs", root / "gallery", root), len(contents))


@few
@given(st.lists(st.tuples(objects, st.none() | texts, st.none() | texts), min_size=1, max_size=3))
def test_any_run(tmp_path_factory, runs):
    root = tmp_path_factory.mktemp("runs")
    for i, (config, result, metrics) in enumerate(runs):
        (root / str(i)).mkdir()
        (root / str(i) / "config.json").write_text(json.dumps(config | {"task": config.get("task", {})}))
        for name, text in (("result.json", result), ("metrics.csv", metrics)):
            if text is not None: (root / str(i) / name).write_text(text, encoding="utf-8")
    check(build_gallery(root, root / "gallery"), len(runs))


@few
@given(texts)
def test_any_result_of_a_study(tmp_path_factory, text):
    root = tmp_path_factory.mktemp("study")
    (root / "result.json").write_text(text, encoding="utf-8")
    assert study_table(root).startswith("<p>! ") or study_table(root).startswith("<table>")


@few
@given(st.sampled_from(sorted(PAINTING)), values)
def test_a_painting_with_one_damaged_field_stops_nothing(tmp_path_factory, name, value):
    root = tmp_path_factory.mktemp("files")
    (root / "one.json").write_text(json.dumps(PAINTING | {name: value}))
    assert len(build_gallery(root / "runs", root / "gallery", root).entries) == 1


def test_folders_and_links_with_names_of_files(tmp_path):
    (tmp_path / "bad.json").mkdir()
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").mkdir()
    check(build_gallery(tmp_path, tmp_path / "gallery", tmp_path), 3)


@pytest.mark.timeout(60)
def test_a_title_of_ten_megabytes_is_shortened(tmp_path):
    (tmp_path / "long.json").write_text(json.dumps(PAINTING | {"title": "long " * 2_000_000}))
    gallery = build_gallery(tmp_path / "runs", tmp_path / "gallery", tmp_path)
    (entry,) = gallery.entries
    assert not entry.failed and len(entry.painting.title) < MAX_TEXT + 40
    assert (tmp_path / "gallery/long.html").stat().st_size < 2_000_000
