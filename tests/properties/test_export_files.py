"""What leaves the house is what was painted: an independent rasteriser, parsers and decoders read it back."""

import csv
import dataclasses
import io
import json
import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import resvg_py
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from imageio.v3 import imread
from PIL import Image

from sgpaint.lab.show import to_tensor
from sgpaint.stroke.blend import OPACITY_PRESETS, limit_opacity
from sgpaint.export import film as module
from sgpaint.export.files import FORMATS, ExportError, export
from sgpaint.export.film import animate
from sgpaint.export.polylines import save_csv, to_polylines
from sgpaint.export.svg import redraw, svg_error, to_svg
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.primitive import PRIMITIVES, primitive, radius_px, random_strokes


def painted(n, size=(64, 64), name="bezier", seed=0, **more):
    strokes = random_strokes(n, name, generator=torch.Generator().manual_seed(seed))[0]
    return Painting(strokes, size, name, **{"background": "white", **more})


def two_levels(n, rule, size=(64, 64), **more):
    y, x = torch.meshgrid(*[(torch.arange(40) + 0.5) / 40] * 2, indexing="ij")
    spots = [torch.sigmoid(30 * (r - torch.hypot(x - c, y - c))) for r, c in ((0.3, 0.5), (0.2, 0.2))]
    numbers = torch.arange(n)
    known = {"masks": torch.stack(spots), "layer": numbers % 2, "instance": numbers % 3 - 1}
    return painted(n, size, blend_mode=rule, **known, **more)


def rasterised(svg):
    "The picture (3, H, W) that resvg makes of an SVG."
    return to_tensor(Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_string=svg))))


def off(a, b):
    "Mean difference of two pictures in steps of 1/255."
    return (a - b).abs().mean().item() * 255


def last_frame(path):
    if path.suffix == ".mp4":
        return torch.from_numpy(imread(path, plugin="pyav")[-1].copy()).permute(2, 0, 1) / 255
    with Image.open(path) as picture:
        picture.seek(getattr(picture, "n_frames", 1) - 1)
        return to_tensor(picture)


class TestSvgIsThePicture:
    @pytest.mark.parametrize("name", PRIMITIVES)
    def test_opaque_strokes(self, name):
        painting = painted(60, (96, 128), name, opacity="opaque")
        assert off(rasterised(to_svg(painting)), painting.render()) < 2

    @pytest.mark.parametrize("kind", [kind for kind in OPACITY_PRESETS if kind != "opaque"])
    def test_opacity_that_changes_along_the_stroke(self, kind):
        painting = painted(60, (96, 128), opacity=kind)
        assert off(rasterised(to_svg(painting)), painting.render()) < 2

    @pytest.mark.parametrize("rule", ["masked", "paper"])
    @pytest.mark.parametrize("kind", ["opaque", "free"])
    def test_two_levels(self, rule, kind):
        painting = two_levels(24, rule, (64, 80), opacity=kind)
        assert off(rasterised(to_svg(painting)), painting.render()) < 2

    @pytest.mark.parametrize("size", [(40, 100), (160, 120)])
    def test_any_size_is_drawn_anew(self, size):
        for painting in (painted(12, opacity="oil"), two_levels(12, "masked")):
            assert off(rasterised(to_svg(painting, size)), painting.render(size)) < 2

    coordinate = st.sampled_from([0.0, 0.2, 0.5, 0.500001, 0.8, 1.0]) | st.floats(0, 1, width=32)

    @settings(max_examples=100)
    @example([0.5] * 6, 0, 0, False)  # a point
    @example([0.2, 0.5, 1.0, 0.5, 0.3, 0.5], 0.2, 0.2, False)  # runs back over itself
    @example([0.2, 0.5, 1.0, 0.5, 0.3, 0.5], 0.2, 0.2001, True)
    @example([0.3, 0.3, 0.8, 0.5, 0.32, 0.6], 0, 0.9, True)  # swallowed in its middle
    @example([0.5, 0.5, 0.55, 0.55, 0.6, 0.5], 1, 0.1, True)  # one end swallows the other
    @given(st.lists(coordinate, min_size=6, max_size=6), st.floats(0, 1), st.floats(0, 1), st.booleans())
    def test_any_stroke(self, points, r0, r2, fading):
        row = torch.tensor([*points, r0, r2, 1.0, 0.0 if fading else 1.0, 1, 1, 1])
        painting = Painting(row[None], (64, 64))
        exact = painting.render()
        assert off(redraw(painting), exact) < 3  # where edges of a stroke coincide, Agg adds their soft pixels up
        assert off(rasterised(to_svg(painting)), exact) < 2

    def test_a_large_picture_is_as_right(self):  # there an error of the outline could not hide in one pixel
        painting = painted(40, (512, 512), opacity="opaque")
        difference = (rasterised(to_svg(painting)) - painting.render()).abs()
        assert difference.mean() * 255 < 0.5 and (difference > 0.6).float().mean() < 1e-4

    def test_the_stated_error_was_measured(self):
        for painting in (painted(5, opacity="opaque"), painted(30, seed=3), painted(0)):
            said = ET.fromstring(to_svg(painting)).findtext("{*}desc")
            mean, worst = re.search(r"by ([\d.]+)/255 in the mean and (\d+)/255 at most", said).groups()
            error, difference = svg_error(painting), (redraw(painting) - painting.render()).abs() * 255
            assert float(mean) == round(error.mean, 2) == pytest.approx(difference.mean().item(), abs=0.006)
            assert float(worst) == round(error.worst) == pytest.approx(difference.max().item(), abs=0.6)

    def test_the_rasterisers_agree(self):
        painting = painted(40, (96, 96), opacity="opaque")
        assert off(rasterised(to_svg(painting)), redraw(painting)) < 1


def numbers(path):
    "The numbers of path data, as points (n, 2)."
    return torch.tensor([float(v) for v in re.findall(r"-?[\d.]+", path)]).view(-1, 2)


def paths(svg):
    return [g.find("{*}path").get("d") for g in ET.fromstring(svg).iterfind("{*}g")]


class TestGeometryRoundTrip:
    def test_triangles(self):
        painting = painted(20, (300, 200), "triangle")
        corners = painting.strokes[:, :6].view(-1, 3, 2) * torch.tensor([200.0, 300.0])
        read = torch.stack([numbers(d) for d in paths(to_svg(painting))])
        assert torch.allclose(read, corners, atol=0.006)

    @pytest.mark.parametrize("name", ["circle", "block"])
    def test_centres_and_radii(self, name):
        painting = painted(20, (300, 200), name)
        for row, d in zip(painting.strokes, paths(to_svg(painting)), strict=True):
            points, r = numbers(d), radius_px(row[2], (300, 200))
            low, high = points.amin(0), points.amax(0)
            assert torch.allclose((low + high) / 2, row[:2] * torch.tensor([200.0, 300.0]), atol=0.01)
            assert torch.allclose((high - low) / 2, r.expand(2), atol=0.01)

    def test_every_point_of_an_outline_lies_on_the_edge_or_inside(self):
        painting = painted(40, (300, 200), opacity="opaque")
        t = torch.linspace(0, 1, 2001)[:, None]
        for row, d in zip(painting.strokes, paths(to_svg(painting)), strict=True):
            x0, y0, x1, y1, x2, y2 = (row[:6].view(3, 2) * torch.tensor([200.0, 300.0])).flatten()
            r0, r2 = radius_px(row[6], (300, 200)), radius_px(row[7], (300, 200))
            x, y = ((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c for a, b, c in ((x0, x1, x2), (y0, y1, y2)))
            ends = torch.cat([numbers(part[1:])[-1:] for part in re.findall(r"[ML][^MLCZ]*|C[^MLCZ]*", d)])
            distance = (torch.hypot(ends[:, 0] - x, ends[:, 1] - y) - r0 - t * (r2 - r0)).amin(0)
            assert distance.max() < 0.02 and (distance > -0.02).float().mean() > 0.2

    def test_json_is_without_loss(self, tmp_path):
        for painting in (painted(9), two_levels(6, "paper"), painted(0)):
            again = Painting.load(export(painting, tmp_path / "a.json"))
            assert again.to_json() == painting.to_json() and torch.equal(again.strokes, painting.strokes)


def table(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line for line in lines if line.startswith("#")]
    rows = list(csv.DictReader(lines[len(head) :]))
    return head, [{k: float(v) for k, v in row.items()} for row in rows]


class TestMillimetres:
    @pytest.mark.parametrize("name", PRIMITIVES)
    @pytest.mark.parametrize("y", ["up", "down"])
    def test_the_file_says_where_every_stroke_starts(self, tmp_path, name, y):
        painting = painted(7, (50, 100), name, opacity="oil")
        head, rows = table(save_csv(painting, tmp_path / "a.csv", width_mm=200, y=y))
        assert f"# y: {y} (0 at the {dict(up='lower', down='upper')[y]} edge); x: right (0 at the left edge)" in head
        assert any("200 x 100 mm" in line for line in head) and any(f"primitive {name}" in line for line in head)
        looked, f = limit_opacity(painting.strokes, "oil", name), primitive(name)
        for i, row in enumerate(looked):
            first = next(r for r in rows if r["stroke"] == i and r["point"] == 0)
            down = row[1].item() * 100
            assert first["x_mm"] == pytest.approx(row[0].item() * 200, abs=1e-4)
            assert first["y_mm"] == pytest.approx(100 - down if y == "up" else down, abs=1e-4)
            assert first["opacity"] == pytest.approx(row[f.opacity[0]].item(), abs=1e-6)
            assert [first[c] for c in ("red", "green", "blue")] == pytest.approx(row[-3:].tolist(), abs=1e-6)
            wanted = radius_px(row[f.index("r0")[0]].item(), (100, 200)) if "r0" in f.columns else 0
            assert first["radius_mm"] == pytest.approx(wanted, abs=1e-4)

    @pytest.mark.parametrize("tolerance", [1.0, 0.01])
    def test_chords_keep_their_tolerance(self, tolerance):
        painting = painted(20)
        t = torch.linspace(0, 1, 400, dtype=torch.float64)[:, None]
        for row, line in zip(painting.strokes.double(), to_polylines(painting, 100, "down", tolerance), strict=True):
            p0, p1, p2 = row[:6].view(3, 2) * 100
            curve = (1 - t) ** 2 * p0 + 2 * t * (1 - t) * p1 + t**2 * p2
            knots = torch.tensor(line.points, dtype=torch.float64)[:, :2]
            start, along = knots[:-1], knots.diff(dim=0)
            share = (((curve[:, None] - start) * along).sum(-1) / along.square().sum(-1).clamp_min(1e-12)).clamp(0, 1)
            distance = (curve[:, None] - start - share[..., None] * along).norm(dim=-1).amin(1)
            assert distance.max() <= tolerance * 1.0001 and torch.allclose(knots[-1], p2)

    def test_what_cannot_be_said_is_refused(self, tmp_path):
        for wrong in (
            {"width_mm": 0},
            {"width_mm": float("nan")},
            {"width_mm": "wide"},
            {"y": "left"},
            {"tolerance_mm": 0},
            {"tolerance_mm": float("nan")},
        ):
            with pytest.raises(ExportError, match=f"{next(iter(wrong))}: expected .* got"):
                save_csv(painted(2), tmp_path / "a.csv", **wrong)
        painting = two_levels(4, "masked")
        with pytest.raises(ExportError, match="masked: polylines cannot be confined by masks; choose .svg or .json"):
            save_csv(painting, tmp_path / "a.csv")
        assert not list(tmp_path.iterdir())
        assert save_csv(dataclasses.replace(painting, blend_mode="plain"), tmp_path / "a.csv").exists()


HOSTILE = [
    "</title><script>alert(1)</script>",
    '"><svg onload="alert(1)">',
    "]]><!ENTITY x SYSTEM 'file:///etc/passwd'>&x;",
    "a\nb,=cmd\r\n# y: sideways",
    "nul \x00 bell \x07 \ufffe end",
    "javascript:alert(1)",
]


class TestHostileTitles:
    @pytest.mark.parametrize("title", HOSTILE)
    def test_svg_holds_text_only(self, title, tmp_path):
        painting = two_levels(3, "masked", title=title, provenance={"from": title})
        root = ET.fromstring(export(painting, tmp_path / "a.svg").read_bytes())
        allowed = {"svg", "title", "desc", "metadata", "defs", "mask", "image", "rect", "g", "path", "use"}
        for element in root.iter():
            assert element.tag.removeprefix("{http://www.w3.org/2000/svg}") in allowed
            assert not any(name.lower().startswith("on") or name == "style" for name in element.attrib)
            href = element.get("href", "#")
            assert href.startswith(("#", "data:image/png;base64,"))
        shown = root.findtext("{*}title")
        assert shown == re.sub("[\x00\x07\ufffe]", "\ufffd", title).replace("\r\n", "\n")

    @pytest.mark.parametrize("title", HOSTILE)
    def test_a_title_is_one_comment_in_csv_and_text_in_png(self, title, tmp_path):
        painting = painted(2, title=title)
        head, rows = table(export(painting, tmp_path / "a.csv"))
        assert json.loads(head[1].removeprefix("# title: ")) == title and {row["stroke"] for row in rows} == {0, 1}
        with Image.open(export(painting, tmp_path / "a.png")) as picture:
            assert picture.text["Title"] == title


def corner():
    "Wide, with red at the upper left, green at the upper right, blue at the lower left."
    at = [(0.1, 0.2, 1, 0, 0), (0.9, 0.2, 0, 1, 0), (0.1, 0.8, 0, 0, 1)]
    rows = torch.tensor([[x, y, 0.6, 1.0, *colour] for x, y, *colour in at])
    return Painting(rows, (48, 96), "block", "black")


class TestAxes:
    @pytest.mark.parametrize("kind", [".png", ".svg", ".gif", ".webp", ".mp4"])
    def test_pictures_are_the_right_way_round(self, kind, tmp_path):
        path = export(corner(), tmp_path / f"a{kind}")
        picture = rasterised(path.read_text()) if kind == ".svg" else last_frame(path)
        assert picture.shape == (3, 48, 96)
        seen = [picture[:, y, x].round().int().tolist() for y, x in ((9, 9), (9, 87), (39, 9), (39, 87))]
        assert seen == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]

    def test_polylines_are_the_right_way_round(self):
        for y, heights in (("up", (40, 40, 10)), ("down", (10, 10, 40))):
            points = [line.points[0][:2] for line in to_polylines(corner(), 100, y)]
            assert np.allclose(points, list(zip((10, 90, 10), heights, strict=True)), atol=1e-4)

    def test_bi_level_masks_are_the_right_way_round(self):
        mask = torch.zeros(1, 8, 8)
        mask[0, :4] = 1  # the upper half
        rows = torch.tensor([[0.5, 0.5, 1.0, 1.0, 1, 1, 1]] * 2)
        for layer, upper in ((1, 1), (0, 0)):
            painting = Painting(rows, (16, 16), "block", "black", "masked", mask, layer=torch.tensor([layer] * 2))
            picture = rasterised(to_svg(painting))
            assert picture[0, 5, 8].round() == upper and picture[0, 11, 8].round() == 1 - upper


class TestTimeLapse:
    @pytest.mark.parametrize("kind, near", [(".gif", 4), (".webp", 0.6), (".mp4", 6)])
    def test_the_last_frame_is_the_picture_and_stays(self, kind, near, tmp_path):
        painting = painted(9, (49, 63), seed=4)  # odd sizes: a film is padded to even ones
        path = animate(painting, tmp_path / f"a{kind}", every=4, fps=10, hold=1.5)
        frame = last_frame(path)
        assert off(frame[:, :49, :63], painting.render()) < near
        if kind == ".mp4":
            film = imread(path, plugin="pyav")
            assert film.shape[1:] == (50, 64, 3) and len(film) == 3 + 15
            return
        assert frame.shape == (3, 49, 63)
        with Image.open(path) as picture:
            times = []
            for k in range(picture.n_frames):
                picture.seek(k)
                picture.load()
                times.append(picture.info["duration"])
        assert times == [100, 100, 100, 1500]

    @pytest.mark.parametrize("kind", [".gif", ".webp", ".mp4"])
    def test_frames_follow_the_strokes(self, kind, tmp_path):
        painting = corner()
        path = animate(painting, tmp_path / f"a{kind}", every=1, fps=5, hold=0)
        if kind == ".mp4":
            frames = list(torch.from_numpy(imread(path, plugin="pyav")).permute(0, 3, 1, 2) / 255)
        else:
            with Image.open(path) as picture:
                frames = []
                for k in range(picture.n_frames):
                    picture.seek(k)
                    frames.append(to_tensor(picture))
        assert len(frames) == 4
        assert all(off(frame, painting.render(upto=k)) < 6 for k, frame in enumerate(frames))

    def test_frames_are_bounded(self, tmp_path):
        painting = painted(5000, (12, 16), "circle")
        with Image.open(animate(painting, tmp_path / "a.gif")) as picture:
            assert picture.n_frames <= 200
        with pytest.raises(ExportError, match="every: expected 3 or more, for at most 2000 frames of 12x16"):
            animate(painting, tmp_path / "b.gif", every=1)
        with pytest.raises(ExportError, match="every: expected 10 or more, for at most 16 frames"):
            animate(painted(150), tmp_path / "b.webp", every=9, size=(2048, 2048))
        with pytest.raises(ExportError, match="expected at most .* pixels, got 99999x99999"):
            animate(painting, tmp_path / "b.gif", size=(99999, 99999))
        with pytest.raises(ExportError, match="at most 16383 pixels for .webp, got 1x20000"):
            animate(painting, tmp_path / "b.webp", size=(1, 20000))
        assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]

    @pytest.mark.parametrize(
        "wrong",
        [{"every": 0}, {"every": 1.5}, {"fps": 0}, {"fps": 51}, {"fps": "fast"}, {"hold": -1}, {"hold": 1e9}],
        ids=str,
    )
    def test_what_cannot_be_shown_is_refused(self, wrong, tmp_path):
        with pytest.raises(ExportError, match=f"{next(iter(wrong))}: expected .* got"):
            animate(painted(3), tmp_path / "a.gif", **wrong)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("name", ["av", "imageio.v3"])
    def test_without_the_extra_a_film_says_what_to_install(self, name, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ExportError, match=r"pip install 'sgpaint\[video\]', or choose .webp"):
            export(painted(3), tmp_path / "a.mp4")
        assert not list(tmp_path.iterdir())


class TestTheDoor:
    def test_an_unknown_ending_is_told_the_known_ones(self, tmp_path):
        for name in ("a.bmp", "a", "png", "a.svg.part"):
            with pytest.raises(ExportError, match=r"expected a name that ends in \.png, .*\.mp4, got"):
                export(painted(1), tmp_path / name)
        with pytest.raises(ExportError, match="expected a name that ends in .gif, .webp, .mp4, got 'a.png'"):
            animate(painted(1), tmp_path / "a.png")

    def test_an_unknown_option_is_told_the_known_ones(self, tmp_path):
        with pytest.raises(ExportError, match=".gif has no option every_; it has every, fps, hold, size"):
            export(painted(1), tmp_path / "a.gif", every_=3)
        with pytest.raises(ExportError, match=".json has no option size; it has none"):
            export(painted(1), tmp_path / "a.json", size=(3, 3))

    @pytest.mark.parametrize("wrong", [(0, 4), (4,), 4, (4.0, 4), "big", (True, 4), (-1, 4)], ids=str)
    def test_a_wrong_size_is_refused(self, wrong, tmp_path):
        for kind in (".png", ".svg", ".gif"):
            with pytest.raises(ExportError, match="size: expected"):
                export(painted(1), tmp_path / f"a{kind}", size=wrong)

    def test_the_case_of_an_ending_does_not_matter(self, tmp_path):
        assert export(painted(1), tmp_path / "A.PNG").read_bytes()[:4] == b"\x89PNG"

    def test_a_failure_leaves_the_old_file(self, tmp_path, monkeypatch):
        path = tmp_path / "a.gif"
        path.write_text("old")
        monkeypatch.setattr(module, "_palette", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export(painted(3), path)
        assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]

    def test_png_at_any_size(self, tmp_path):
        painting = painted(9, provenance={"seed": 4}, title="nine")
        with Image.open(export(painting, tmp_path / "a.png", size=(100, 40))) as picture:
            assert picture.size == (40, 100)
            assert off(to_tensor(picture), painting.render((100, 40))) < 0.5
            assert picture.text["Title"] == "nine" and json.loads(picture.text["Provenance"]) == {"seed": 4}

    @pytest.mark.parametrize("size", [(1, 1), (2000, 300), (3, 500)])
    @pytest.mark.parametrize("n", [0, 1])
    def test_the_smallest_and_the_widest(self, n, size, tmp_path):
        painting = painted(n, size)
        for kind in set(FORMATS) - {".mp4", ".html"}:
            path = export(painting, tmp_path / f"a{kind}")
            if kind in (".png", ".gif", ".webp"):
                assert off(last_frame(path), painting.render()) < 1
        if n == 0 or min(size) > 1:  # a stroke far smaller than the one pixel: rasterisers differ, and the file says so
            assert off(rasterised((tmp_path / "a.svg").read_text()), painting.render()) < 2
        assert table(tmp_path / "a.csv")[0][0] == "# sgpaint polylines 1"

    def test_the_smallest_film(self, tmp_path):
        assert last_frame(export(painted(1, (1, 1)), tmp_path / "a.mp4", hold=0)).shape == (3, 2, 2)

    def test_five_thousand_strokes(self, tmp_path):
        painting = painted(5000, (128, 128), "line", opacity="opaque")
        svg = export(painting, tmp_path / "a.svg").read_text()
        assert len(paths(svg)) == 5000 and len(svg) < 4_000_000
        assert off(rasterised(svg), painting.render()) < 2
        head, rows = table(export(painting, tmp_path / "a.csv"))
        assert len(rows) == 10_000


def test_the_library_has_no_part_in_the_rasteriser_that_checks_it():
    from project import modules

    assert not any("resvg" in path.read_text() for path in modules().values())
