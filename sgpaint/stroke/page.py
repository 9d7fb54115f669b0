"""Pages that play paintings: one script, some data, a picture for where no script may run, and nothing fetched from anywhere.

A plain module beside `player.js`: it holds a container, not an idea. The idea, one formula for Python and browser, is told in the lessons
`stroke.exact` and `stroke.painting`.
"""
import base64
import hashlib
import html
import io
import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from .blend import BACKGROUNDS, OPACITY_PRESETS
from .distance import CHORDS, STEPS
from .primitive import PRIMITIVES, RADIUS_MIN, RADIUS_SPAN
from .renderer import RENDERERS

SCHEMA = "sgpaint/painting/1"  # of the files that paintings are kept in, and that the player reads
WORKING = (128, 512)  # pixels: of the shorter side, and at most of the longer, while a painting moves in a browser
CALL = "sgpaintPlayAll();"
PLAYED = ("bezier", "line", "circle", "triangle", "block")  # primitives that player.js draws


def constants() -> str:
    "The numbers that Python and the browser share, as JavaScript; each has its one home in Python."
    shared = {"CHORDS": CHORDS, "STEPS": STEPS, "RADIUS_MIN": RADIUS_MIN, "RADIUS_SPAN": RADIUS_SPAN, "OPACITY_PRESETS": OPACITY_PRESETS,
              "BACKGROUNDS": BACKGROUNDS, "SCHEMA": SCHEMA, "WORKING": WORKING,
              "PRIMITIVES": {name: PRIMITIVES[name].columns for name in PLAYED}}
    return "".join(f"const {name} = {json.dumps(value)};\n" for name, value in shared.items())


def slim(code: str) -> str:
    "A script without lines of comment, indentation and empty lines, which nobody reads in a page."
    lines = (line.strip() for line in code.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


@cache
def script(
    *files: Path,  # more scripts, which may use all that player.js defines; the last one defines `render`
) -> str:  # an ES module for anywidget; without files the player's plain script
    "The player's script, with others behind it."
    codes = [Path(__file__).with_name("player.js").read_text(encoding="utf-8"), *(f.read_text(encoding="utf-8") for f in files)]
    return constants() + slim("\n".join(codes)) + ("\nexport default { render };\n" if files else "\n")


def working(
    size: tuple[int, int],  # (H, W) of a painting
) -> tuple[int, int]:  # (H, W)
    "The size at which a browser draws while something moves; player.js has the same function."
    scale = min(WORKING[0] / min(size), WORKING[1] / max(size))
    height, width = (max(1, math.floor(v * scale + 0.5)) for v in size)
    return height, width


def data(value: Any) -> str:
    "JSON that may stand inside a script element, whatever titles are in it."
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def picture_url(
    image: Image.Image,
    kind: str = "webp",  # webp (small) or png (without loss)
) -> str:
    "A picture as a data address."
    file = io.BytesIO()
    image.save(file, kind.upper(), **({"quality": 80} if kind == "webp" else {"optimize": True}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def why_still(renderer: str, primitive: str) -> str:
    "Why the player cannot draw such a painting, in a sentence; empty where it can."
    if not RENDERERS[renderer].in_browser:
        return f"the renderer {renderer} does not run in a browser; write a picture (PNG) or a film (GIF, WebP, MP4)"
    if primitive not in PLAYED:
        return f"the player draws {', '.join(PLAYED)}, not {primitive}; write a picture (PNG) or a film (GIF, WebP, MP4)"
    return ""


def _why_still(paintings: Sequence[str]) -> str:
    "The first reason why JSON texts of paintings cannot play."
    values = map(json.loads, paintings)
    return next(filter(None, (why_still(value["renderer"], value["primitive"]) for value in values)), "")


def fragment(
    paintings: Sequence[str],  # JSON texts of paintings
    poster: Image.Image,  # shown where no script may run
    title: str,
    extras: Sequence[dict] = (),  # for each painting what else to show; see `Player` in player.js
) -> str:  # HTML
    "Paintings that play in the output of a notebook's cell: a picture, data and a script."
    still = body(paintings, poster, title, extras)
    return still if _why_still(paintings) else still + f"<script>(() => {{\n{script()}{CALL}\n}})();</script>"


def story(
    paintings: Sequence[str],  # JSON texts of paintings
    extras: Sequence[dict] = (),  # for each painting what else to show; see `Player` in player.js
) -> dict[str, Any]:
    "The data that a player reads; paintings of one picture share it. ValueError where the player cannot draw a painting."
    if reason := _why_still(paintings): raise ValueError(f"player: {reason}")
    targets = list(dict.fromkeys(e["target"] for e in extras if "target" in e))
    numbered = [{**e, "target": targets.index(e["target"])} if "target" in e else e for e in extras]
    return {"paintings": [json.loads(text) for text in paintings], "targets": targets, "extras": numbered}


def body(paintings: Sequence[str], poster: Image.Image, title: str, extras: Sequence[dict] = ()) -> str:
    "The part of a page that holds a picture and data, without the script; only the picture where a painting cannot play."
    words = html.escape(title or "a painting")
    if reason := _why_still(paintings):
        return (f'<figure class="sgpaint" style="margin:0"><img alt="{words}" style="max-width:100%" '
                f'src="{picture_url(poster)}"><figcaption>A still picture: {html.escape(reason)}.</figcaption></figure>')
    told = data(story(paintings, extras))
    return (f'<div class="sgpaint" data-sgpaint="player"><img alt="{words}" style="max-width:100%" '
            f'src="{picture_url(poster)}"><script type="application/json">{told}</script></div>')


def page(
    title: str,  # of the document
    content: str,  # HTML: several `body` with text between them
) -> str:
    "A whole document that fetches nothing and runs only the player's script."
    code = f"(() => {{\n{script()}{CALL}\n}})();"
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"
    style = ("body{max-width:72rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;color-scheme:light dark;"
             "background:Canvas;color:CanvasText}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:left}")
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{html.escape(title)}</title>'
            f"<style>{style}</style></head><body>{content}<script>{code}</script></body></html>")
