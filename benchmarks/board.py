"""Paint a fixed list of pictures in every way there is; write a table and a sheet of pictures. Goes on where it was."""
import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from optimize import photograph
from painterly import painterly
from torch import Tensor

from sgpaint.search.optimize import optimize
from sgpaint.agent.paint import paint
from sgpaint.agent.trained import SHIPPED, paint_polished, paint_with, shipped_agent
from sgpaint.lab.cache import digest
from sgpaint.lab.image import resize
from sgpaint.lab.machine import describe
from sgpaint.lab.measure import mse, psnr, ssim
from sgpaint.lab.run import save_json
from sgpaint.lab.show import sheet
from sgpaint.scene.picture import open_picture
from sgpaint.stroke.painting import Painting

HERE = Path(__file__).parent
MARK = "<!-- the tables below are written by board.py -->"
TERMS = {"astronaut": "NASA, public domain", "chelsea": "S. van der Walt, CC0", "coffee": "R. Michetti, CC0",
         "rocket": "SpaceX, public domain", "retina": "M. Häggström, CC0", "hubble_deep_field": "NASA, public domain"}
QUICK = {"pictures": ["astronaut", "coffee"], "strokes": [50, 200]}
SHEET, SIDE = 200, 108  # strokes of the pictures in the sheet; pixels of each
SHOWN = ("flat colour", "painterly", "greedy", "fast", "good", "agent", "agent, untrained", "agent, small",
         "agent + 20", "by turns", "placed by turns")
DENSE, SMALL = shipped_agent("dense"), shipped_agent("small")
CONTROL = replace(DENSE, actor=DENSE.actor.untrained())  # the same search on proposals that learned nothing
WAYS = {
    "flat colour": lambda image, n: Painting(torch.zeros(0, 13), tuple(image.shape[1:]), "bezier",
                                             tuple(image.mean((1, 2)).tolist())),
    "painterly": lambda image, n: painterly(image, n),
    "greedy": lambda image, n: optimize(image, n, bundle=5, steps=60, progress_bar=False),
    "fast": lambda image, n: paint(image, n, "fast", progress_bar=False),
    "good": lambda image, n: paint(image, n, "good", progress_bar=False),
    "agent": lambda image, n: paint_with(DENSE, image, n),
    "agent in cells": lambda image, n: paint_with(DENSE, image, n, divide=2),
    "agent, 64 px": lambda image, n: paint_with(DENSE, image, n, side=64),
    "agent, untrained": lambda image, n: paint_with(CONTROL, image, n),
    "agent, small": lambda image, n: paint_with(SMALL, image, n),
    "agent, opaque": lambda image, n: paint_with(DENSE, image, n, opacity="opaque"),
    "agent + colours": lambda image, n: paint_with(DENSE, image, n, colours=True),
    "agent + 20": lambda image, n: paint_with(DENSE, image, n, joint_steps=20, colours=True),
    "untrained + 20": lambda image, n: paint_with(CONTROL, image, n, joint_steps=20, colours=True),
    "by turns": lambda image, n: paint_polished(DENSE, image, n),
    "by turns, untrained": lambda image, n: paint_polished(CONTROL, image, n),
    "by turns, small": lambda image, n: paint_polished(SMALL, image, n),
    "placed by turns": lambda image, n: paint_polished(None, image, n),
    "placed, 80": lambda image, n: paint_polished(None, image, n, last=80),  # about as long as by turns
    "no agent, 20": lambda image, n: optimize(image, n, steps=20, progress_bar=False),
    "no agent, 40": lambda image, n: optimize(image, n, steps=40, progress_bar=False),  # as many steps as by turns
}
COUNTS = {"flat colour": [0], "greedy": [50, 100, 200], "good": [50, 100, 200, 500],  # the slow ones end earlier
          "agent in cells": [500], **dict.fromkeys(list(WAYS)[7:], [100])}
USED = """search/losses search/objective search/descend search/propose search/contribution search/optimize
    search/polish agent/paint agent/trained agent/dense stroke/blend stroke/distance stroke/exact stroke/gains
    stroke/native""".split()


def code() -> str:
    "A short name for all that a painting comes from: figures of other code are made again."
    files = [HERE / "painterly.py", *(HERE.parent / "sgpaint" / f"{name}.py" for name in USED),
             *sorted(file for file in SHIPPED.rglob("*") if file.is_file())]
    ways = Path(__file__).read_text().split("DENSE, SMALL = ")[1].split("COUNTS = ")[0]
    return digest(ways, *(file.read_bytes() for file in files))


CODE = code()


def kept(key: str, side: int) -> Path:
    "Where a painting is kept, so that a sheet can be made again."
    return HERE.parent / "runs" / "board" / CODE / str(side) / f"{key.replace('/', '-')}.json"


def measured(way: str, image: Tensor, n: int) -> tuple[dict[str, float], Painting]:
    "CPU seconds of one painting, and how near it is to the picture, at the size that was looked at."
    began = time.process_time()
    painting = WAYS[way](image, n)
    spent, canvas = time.process_time() - began, painting.render((image.shape[1], image.shape[2]))[None]
    how_near = {name: round(of(canvas, image[None]).item(), 5) for name, of in
                (("mse", mse), ("psnr", psnr), ("ssim", ssim))}
    return how_near | {"cpu_s": round(spent, 3), "strokes": len(painting)}, painting


def cells(ways: list[str], counts: list[int]) -> Iterator[tuple[str, int]]:
    "Which ways with how many strokes."
    for way in ways:
        for n in COUNTS.get(way, counts): yield way, n


def photos(count: int, side: int) -> dict[str, Tensor]:
    "Some photographs of SGPAINT_DATA, evenly from its list; none where there are none."
    folder = Path(os.environ.get("SGPAINT_DATA", "")) / "photos"
    if not count or "SGPAINT_DATA" not in os.environ or not folder.is_dir(): return {}
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = files[::max(1, len(files) // count)][:count]
    return {f"photo {i}": resize(open_picture(file), side, enlarge=False) for i, file in enumerate(chosen)}


def means(found: dict[str, dict], pictures: list[str]) -> Iterator[str]:
    "Rows of a table: the mean over pictures of every way with every number of strokes that all of them have."
    yield "| way | strokes | MSE | PSNR, dB | SSIM | CPU seconds |"
    yield "|---|---|---|---|---|---|"
    keys = dict.fromkeys(tuple(key.split("/")[1:]) for key in found)
    for n, way in sorted(((int(n), way) for way, n in keys), key=lambda cell: (cell[0], list(WAYS).index(cell[1]))):
        rows = [found.get(f"{picture}/{way}/{n}") for picture in pictures]
        if not all(rows): continue
        mean = {name: fmean(row[name] for row in rows) for name in ("mse", "psnr", "ssim", "cpu_s")}
        yield f"| {way} | {n} | {mean['mse']:.4f} | {mean['psnr']:.2f} | {mean['ssim']:.3f} | {mean['cpu_s']:.2f} |"


def each(found: dict[str, dict], pictures: list[str]) -> Iterator[str]:
    "Rows of a table: decibels of every picture."
    yield f"| PSNR, dB | strokes | {' | '.join(pictures)} |"
    yield "|---" * (2 + len(pictures)) + "|"
    for way, n in dict.fromkeys(tuple(key.split("/")[1:]) for key in found):
        rows = [found.get(f"{picture}/{way}/{n}") for picture in pictures]
        if all(rows): yield f"| {way} | {n} | " + " | ".join(f"{row['psnr']:.2f}" for row in rows) + " |"


def square(image: Tensor) -> Tensor:
    "The middle, as a small square."
    side = min(image.shape[1:])
    top, left = ((length - side) // 2 for length in image.shape[1:])
    return resize(image[:, top:top + side, left:left + side], SIDE, enlarge=False)


def pictures_of(found: dict[str, dict], images: dict[str, Tensor], ways: list[str], out: Path) -> None:
    "The sheet: a row for each picture, itself first."
    shown, labels, ways = [], [], [way for way in ways if way in SHOWN]
    for picture, image in images.items():
        shown, labels = [*shown, square(image)], [*labels, picture]
        for way in ways:
            counts = COUNTS.get(way, [SHEET])
            n = SHEET if SHEET in counts else counts[0]
            row = found.get(key := f"{picture}/{way}/{n}")
            where = kept(key, min(image.shape[1:]))
            if not row or not where.exists(): return print(f"no sheet: {key} is missing; remove board.json")
            shown.append(square(Painting.load(where).render((image.shape[1], image.shape[2]))))
            labels.append(f"{way} {row['psnr']:.1f}")
    title = f"{SHEET} strokes each (after the agent: 100; flat colour: none); PSNR in dB"
    sheet(shown, 1 + len(ways), labels, title=title).save(out, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", nargs="+", choices=list(TERMS), default=list(TERMS))
    parser.add_argument("--strokes", type=int, nargs="+", default=[50, 100, 200, 500, 1000])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--photos", type=int, default=4, help="so many of SGPAINT_DATA's, printed and never written")
    parser.add_argument("--side", type=int, default=128, help="pixels of the shorter side of the pictures")
    parser.add_argument("--quick", action="store_true", help="two pictures, 50 and 200 strokes, no photos")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of BOARD.md, board.json and board.png")
    asked = parser.parse_args()
    if asked.quick: asked.pictures, asked.strokes, asked.photos = QUICK["pictures"], QUICK["strokes"], 0
    torch.set_num_threads(1)
    optimize(photograph("astronaut", 32), 5, steps=5, progress_bar=False)  # the kernel is built, libraries are warm
    paint_with(DENSE, photograph("astronaut", 32))
    path = asked.out / "board.json"
    board = json.loads(path.read_text()) if path.exists() else {}
    found = board.get("found", {}) if (board.get("code"), board.get("side")) == (CODE, asked.side) else {}
    images = {name: photograph(name, asked.side) for name in asked.pictures}
    kept("", asked.side).parent.mkdir(parents=True, exist_ok=True)
    for picture, image in images.items():
        for way, n in cells(asked.ways, asked.strokes):
            if (key := f"{picture}/{way}/{n}") in found: continue
            found[key], painting = measured(way, image, n)
            painting.save(kept(key, asked.side))
            save_json(path, {"code": CODE, "side": asked.side, "machine": describe(), "found": found})
            print(key, found[key], flush=True)
    private = {f"{name}/{way}/{n}": measured(way, image, n)[0]
               for name, image in photos(asked.photos, asked.side).items()
               for way, n in cells(asked.ways, asked.strokes)}
    if private: print("\n".join(means(private, list(dict.fromkeys(key.split("/")[0] for key in private)))))
    write(asked.out, found, images, asked.ways)


def write(out: Path, found: dict[str, dict], images: dict[str, Tensor], ways: list[str]) -> None:
    "The tables below the mark of BOARD.md, and the sheet."
    pictures, machine = [name for name in TERMS if any(key.startswith(f"{name}/") for key in found)], describe()
    text = ["Pictures: " + "; ".join(f"{name} ({TERMS[name]})" for name in pictures) + ". Mean over them:", "",
            *means(found, pictures), "", "Picture by picture:", "", *each(found, pictures), "",
            f"{machine['cpu']}, one thread, torch {machine['torch']}, load {os.getloadavg()[0]:.1f} at the end."]
    path = out / "BOARD.md"
    words = path.read_text().split(MARK)[0] if path.exists() else ""
    path.write_text(f"{words}{MARK}\n\n" + "\n".join(text) + "\n")
    pictures_of(found, images, ways, out / "board.png")


if __name__ == "__main__": main()
