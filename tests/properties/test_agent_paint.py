"""Painting whatever somebody has: odd files are painted upright and in their colours, or refused in one sentence."""
import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from sgpaint.search.objective import Constraints
from sgpaint.search.optimize import optimize
from sgpaint.agent.paint import paint, working_copy, working_size
from sgpaint.cli import main, parse_colour, parse_palette
from sgpaint.guide.segment import Segmenter
from sgpaint.scene.picture import decode_picture
from sgpaint.scene.procedural import draw
from sgpaint.stroke.painting import Painting

STEPS = {"instant": 12, "fast": 12, "good": 12, "best": 12}
LEFT, RIGHT = (220, 60, 40), (40, 90, 200)  # the halves of what is painted here


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch): monkeypatch.setattr("sgpaint.agent.paint.BUDGETS", STEPS)


def halves(height, width):
    "A picture whose left is red and whose right is blue."
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, :(width + 1) // 2], pixels[:, (width + 1) // 2:] = LEFT, RIGHT
    return Image.fromarray(pixels)


def quick(picture, strokes=10, **more):
    return paint(picture, strokes, **{"budget": "fast", "progress_bar": False} | more)


def near(painting, place, colour, off=0.2):
    "Whether a painting has about this colour at a place (y, x) in shares."
    h, w = size = working_size(painting.size)
    found = painting.render(size)[:, int(place[0] * h), int(place[1] * w)]
    return (found - torch.tensor(colour) / 255).abs().max() < off


def png(width, height, depth, kind, rows):
    "The bytes of a PNG of a kind that Pillow does not write."
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    lines = b"".join(b"\0" + row for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def written(kind, path):
    "A file of one kind, 40 x 60, red on the left and blue on the right, as a viewer shows it."
    picture = halves(40, 60)
    if kind == "jpeg": picture.save(path, "JPEG", quality=95)
    if kind == "cmyk": picture.convert("CMYK").save(path, "JPEG", quality=95)
    if kind == "gif": picture.save(path, "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40), "lime")] * 2)
    if kind == "16 bit": path.write_bytes(png(60, 40, 16, 2, [
        b"".join(struct.pack(">3H", *(257 * c for c in (LEFT if x < 30 else RIGHT))) for x in range(60))] * 40))
    if kind == "turned":  # the file lies on its side and says so
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", quality=95, exif=exif)
    if kind == "palette":
        few = picture.quantize(4)
        few.save(path, "PNG", transparency=few.getpixel((59, 0)))  # blue is what nobody sees


@pytest.mark.parametrize("kind", ["jpeg", "cmyk", "gif", "16 bit", "turned", "palette"])
def test_files_are_painted_upright_in_their_size_and_colours(kind, tmp_path):
    path = tmp_path / f"{kind}.bin"  # what is in a file counts, not its name
    written(kind, path)
    painting = quick(path)
    assert painting.size == (40, 60) and painting.title == kind
    assert near(painting, (0.5, 0.2), LEFT)
    assert near(painting, (0.5, 0.8), (255, 255, 255) if kind == "palette" else RIGHT)


def test_grey_of_sixteen_bits(tmp_path):
    ramp = np.full((30, 50), 12_000, np.uint16)
    ramp[:, 25:] = 52_000
    Image.fromarray(ramp).save(tmp_path / "scan.png")
    painting = quick(tmp_path / "scan.png")
    assert painting.size == (30, 50)
    assert near(painting, (0.5, 0.2), (12_000 / 257,) * 3) and near(painting, (0.5, 0.8), (52_000 / 257,) * 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (50, 2), (40, 4000), (400, 8000)])
def test_points_lines_and_panoramas(size, tmp_path, monkeypatch):
    monkeypatch.setattr("sgpaint.agent.paint.BUDGETS", {"fast": 30})
    halves(*size).save(tmp_path / "odd.png")
    painting = quick(tmp_path / "odd.png", 60)
    assert painting.size == size and painting.strokes.isfinite().all()
    assert near(painting, (0.5, 0.2), LEFT) and (size[1] == 1 or near(painting, (0.5, 0.8), RIGHT))
    copy, _ = working_copy(decode_picture(tmp_path / "odd.png"))
    assert copy[0].numel() <= 5 * 128**2


def test_without_a_compiler_copies_are_small_whatever_the_shape(monkeypatch, caplog):
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    monkeypatch.setattr("sgpaint.agent.paint.EAGER_PIXELS", 400)
    monkeypatch.setattr("sgpaint.agent.paint.EAGER_STEPS", 6)
    for size in ((400, 300), (400, 8000), (20, 30), (1, 1)):
        caplog.clear()
        painting = quick(halves(*size), 4, divide=2, masks=torch.ones(size) if size == (20, 30) else None)
        assert painting.size == size and len(painting) == 4
        said = [r.levelname for r in caplog.records if "no C++ compiler" in r.getMessage()]
        assert said == ["WARNING"]  # one more line says that the tiles get few strokes
    seen = []
    def watched(image, *rest, **how): return seen.append(image[0].numel()) or optimize(image, *rest, **how)
    monkeypatch.setattr("sgpaint.agent.paint.optimize", watched)
    for size in ((400, 300), (400, 8000), (128, 128)): quick(halves(*size), 4)
    assert all(pixels < 450 for pixels in seen) and len(seen) == 3


PAINTS = """
import sys
import sgpaint.agent.paint as painting
painting.BUDGETS = {"fast": 12}
peaks = []
for name in sys.argv[1:]:
    found = painting.paint(name, 10, "fast", progress_bar=False)
    with open("/proc/self/status") as status: lines = status.read().splitlines()
    peaks.append(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024)
print(*found.size, peaks[1] - peaks[0])
"""


# ru_maxrss would not do: a process inherits that of the one that started it
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux tells the peak of one process")
@pytest.mark.parametrize(("kind", "most"), [("RGB", 180), ("CMYK", 330)])  # measured: 91 and 183 MiB
def test_a_photograph_of_24_megapixels_takes_little_memory(kind, most, tmp_path):
    halves(40, 60).convert(kind).save(tmp_path / "small.jpg")
    halves(4000, 6000).convert(kind).save(tmp_path / "large.jpg")
    done = subprocess.run([sys.executable, "-c", PAINTS, str(tmp_path / "small.jpg"), str(tmp_path / "large.jpg")],
                          capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    height, width, more = map(float, done.stdout.split())
    assert (height, width) == (4000, 6000) and 40 < more < most


def broken(kind, folder):
    "A file, or none, that nobody can paint."
    path = folder / "me.jpg"
    if kind == "text": path.write_text("Dear painter, this is a letter.")
    if kind == "empty": path.write_bytes(b"")
    if kind == "folder": path.mkdir()
    if kind == "truncated":
        whole = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)).save(whole, "JPEG")
        path.write_bytes(whole.getvalue()[:2000])
    if kind == "huge": path.write_bytes(png(60_000, 60_000, 8, 0, []))
    return path


SAYS = {"text": "not a picture", "empty": "not a picture", "folder": "folder", "truncated": "broken or truncated",
        "missing": "no file", "huge": "too large"}


@pytest.mark.parametrize("kind", SAYS)
def test_what_cannot_be_painted_is_refused_in_one_sentence(kind, tmp_path, capsys):
    path, out = broken(kind, tmp_path), tmp_path / "out.svg"
    with pytest.raises(ValueError, match=SAYS[kind]) as said: quick(path)
    assert "\n" not in str(said.value) and "me.jpg" in str(said.value)
    before = sorted(tmp_path.iterdir())
    assert main(["paint", str(path), "-o", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and SAYS[kind] in printed.err
    assert printed.err.startswith("sgpaint: ") and sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("wrong", [torch.full((3, 8, 8), torch.nan), torch.full((3, 8, 8), torch.inf),
                                   torch.rand(3, 8, 8) * 255, np.full((8, 8, 3), np.nan),
                                   np.zeros((8, 0, 3), np.uint8)])
def test_tensors_and_arrays_that_are_no_pictures(wrong):
    with pytest.raises(ValueError, match="expected"): quick(wrong)


def scene(size=(40, 60)): return draw("birds", 3, size)


def test_cells_keep_to_their_masks():
    one = scene((48, 48))
    empty = torch.zeros_like(one.mask)
    masks = torch.cat((torch.cat((one.mask, empty), 2), torch.cat((empty, one.mask), 2)))
    masks[:, :24] = 0  # the upper cells have no object
    image = torch.cat((one.image, one.image), 2)
    painting = quick(image, 40, masks=masks, divide=2)
    assert (painting.size, len(painting), painting.blend_mode, painting.masks.shape[0]) == ((48, 96), 40, "masked", 2)
    assert torch.equal(painting.layer, (painting.instance >= 0).long())
    assert set(painting.instance.tolist()) == {-1, 0, 1}
    assert painting.error(image) < image.square().mean() / 4
    for number in (0, 1):
        mine = painting.instance == number
        alone = Painting(painting.strokes[mine], painting.size, blend_mode="masked", masks=painting.masks,
                         layer=painting.layer[mine], instance=painting.instance[mine])
        assert (alone.render() * (masks[number] == 0)).abs().max() == 0


def test_cells_without_any_mask_and_cells_by_a_segmenter():
    image = scene().image
    none = quick(image, 8, masks=torch.zeros(1, 40, 60), divide=2)
    assert (none.layer == 0).all() and (none.instance == -1).all()
    found = quick(image, 8, masks=Segmenter(), divide=2)
    assert found.blend_mode == "masked" and len(found) == 8 and found.size == (40, 60)
    with pytest.raises(ValueError, match="masks: expected"): quick(image, 8, masks=torch.ones(1, 5, 5), divide=2)


def test_cells_are_seen_in_more_pixels_and_no_more_than_there_are():
    picture = halves(300, 400)
    assert [working_copy(picture, k)[0].shape[1:] for k in (1, 2, 3)] == [(128, 171), (256, 341), (300, 400)]
    assert working_copy(halves(20, 30), 4)[0].shape[1:] == (32, 48)
    assert quick(picture, 9, divide=3).size == (300, 400)
    with pytest.raises(ValueError, match="divide: expected at most"): quick(halves(1, 60_000), 9, divide=2)


def test_paint_takes_a_loss_and_a_focus():
    one = scene()
    found = {loss: quick(one.image, loss=loss).strokes for loss in ("l2", "l1", "features")}
    assert not torch.equal(found["l2"], found["l1"]) and not torch.equal(found["l2"], found["features"])
    cells = [quick(one.image, loss=loss, divide=2).strokes for loss in ("l2", "features")]
    assert not torch.equal(*cells)
    def number(canvas, image): return (canvas - image).abs().mean()
    assert quick(one.image, masks=one.mask, foreground_weight=1.0, loss=number).blend_mode == "masked"
    with pytest.raises(ValueError, match="foreground_weight: expected a loss"):
        quick(one.image, masks=one.mask, loss=number)
    with pytest.raises(ValueError, match="loss: unknown name"): quick(one.image, loss="vgg")


def test_colours_in_words():
    assert parse_colour(" #ff8000") == (1, 128 / 255, 0) and parse_colour("white") == (1, 1, 1)
    assert parse_palette("#000,#ffffff") == ((0, 0, 0), (1, 1, 1)) and parse_palette(" ") == ()
    for wrong in ("no colour", "", "#12", "#11223344"):
        with pytest.raises(ValueError, match="colour: expected"): parse_colour(wrong)
    with pytest.raises(ValueError, match="colour: expected"): parse_palette("red,,blue")


def command(folder, *words, out="a.json"):
    halves(40, 60).save(folder / "me.png")
    return main(["paint", str(folder / "me.png"), "-o", str(folder / out), "-n", "8", *words])


def test_the_command_knows_the_rules(tmp_path):
    rules = ["--palette", "#e03020, #2050d0", "--opaque", "--min-width", "0.1", "--background", "tomato"]
    assert command(tmp_path, *rules, "--loss", "features", "-b", "best") == 0
    painting = Painting.load(tmp_path / "a.json")
    assert (painting.strokes[:, 8:10] == 1).all() and painting.provenance["loss"] == "features"
    colours = {tuple(round(c * 255) for c in row) for row in painting.strokes[:, 10:].tolist()}
    assert colours <= {(224, 48, 32), (32, 80, 208)}
    assert (2 * (1 + 63 * painting.strokes[:, 6:8]) / 256 >= 0.1 - 1e-6).all()
    assert tuple(painting.background) == parse_colour("tomato")
    assert command(tmp_path, "--grey", "--divide", "2") == 0
    cells = Painting.load(tmp_path / "a.json")
    assert torch.equal(cells.strokes[:, 10], cells.strokes[:, 12]) and cells.provenance["divide"] == 2


def test_the_command_writes_at_any_size_and_with_masks(tmp_path):
    Image.new("L", (60, 40), 255).save(tmp_path / "mask.png")
    assert command(tmp_path, "-s", "80", "-m", str(tmp_path / "mask.png"), "--divide", "2", out="a.png") == 0
    assert Image.open(tmp_path / "a.png").size == (120, 80)


@pytest.mark.parametrize(("words", "out", "says"), [
    (["--palette", "no colour"], "a.png", "colour: expected"), (["--min-width", "2"], "a.png", "min_width: expected"),
    (["--grey", "--palette", "red"], "a.png", "grey or a palette"), (["--divide", "0"], "a.png", "divide: expected"),
    (["--background", "dull"], "a.png", "colour: expected"), (["-s", "0"], "a.png", "size: expected"),
    (["-s", "64"], "a.json", "size: "), ([], "a.xyz", "output: expected"), ([], "none/a.png", "output: there is no"),
    ([], "me.png", "output: "), (["-n", "0"], "a.png", "strokes: expected"),
    (["--primitive", "spray"], "a.png", "primitive"),
    (["--seed", "-1"], "a.png", "seed: expected"), (["-m", "gone.png"], "a.png", "no file gone.png"),
])
def test_the_command_refuses_before_it_paints(words, out, says, tmp_path, capsys):
    assert command(tmp_path, *words, out=out) == 2
    printed = capsys.readouterr()
    assert says in printed.err and printed.err.count("\n") == 1 and printed.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["me.png"]


def test_an_instant_is_by_turns_where_it_helps_and_the_gradient_s_elsewhere():
    picture = draw("cars", 3, (64, 96)).image
    def how(strokes=60, **more): return quick(picture, strokes, budget="instant", **more).provenance["how"]
    assert how() == how(100) == "rule and gradient"
    elsewhere = [dict(strokes=101), dict(primitive="line"), dict(background="white"), dict(loss="l1"),
                 dict(constraints=Constraints(grey=True)), dict(masks=torch.ones(1, 64, 96)), dict(divide=2)]
    assert {how(**more) for more in elsewhere} == {"optimize"}
    assert quick(picture, 60, budget="instant").error(picture) < 0.01


def test_an_instant_without_a_compiler_is_the_gradient_s(monkeypatch):
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    monkeypatch.setattr("sgpaint.agent.paint.EAGER_PIXELS", 400)
    monkeypatch.setattr("sgpaint.agent.paint.EAGER_STEPS", 2)
    assert quick(draw("cars", 3, (64, 64)).image, 5, budget="instant").provenance["how"] == "optimize"
