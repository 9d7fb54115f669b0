"""The console command `sgpaint`. Nothing heavy is imported before it is needed: `--help` and `--version` are instant."""
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgpaint import __version__

if TYPE_CHECKING:
    from sgpaint.stroke.painting import Painting

# What `--help` says, without importing the modules that know; a test compares them.
FORMATS = (".svg", ".png", ".gif", ".webp", ".mp4", ".csv", ".json", ".html")
BUDGETS = ("instant", "fast", "good", "best")
LOSSES = ("l2", "l1", "features")
PRIMITIVES = ("bezier", "line", "circle", "triangle", "block")


def parse_colour(word: str) -> tuple[float, float, float]:
    """Read a colour in words.

    Parameters
    ----------
    word
        #112233, or an English name.

    Returns
    -------
    tuple
        Red, green and blue in [0, 1].

    Raises
    ------
    ValueError
        The word is no colour, or a transparent one.
    """
    from PIL import ImageColor
    try:
        levels = ImageColor.getrgb(word.strip())
        if len(levels) != 3: raise ValueError("it is transparent")
    except ValueError as error:
        raise ValueError(f"colour: expected #112233 or an English name such as black, got {word.strip()!r}") from error
    return levels[0] / 255, levels[1] / 255, levels[2] / 255


def parse_palette(words: str) -> tuple[tuple[float, float, float], ...]:
    "Colours with commas between; an empty text is no palette."
    return tuple(parse_colour(word) for word in words.split(",")) if words.strip() else ()


def _arguments() -> argparse.ArgumentParser:
    "What `sgpaint` understands."
    parser = argparse.ArgumentParser("sgpaint", description="How machines paint.")
    parser.add_argument("--version", action="version", version=f"sgpaint {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    paint = commands.add_parser("paint", help="paint a picture in strokes")
    paint.add_argument("picture", type=Path, help="any picture file")
    paint.add_argument("-o", "--output", type=Path, required=True, help=f"what to write: {', '.join(FORMATS)}")
    paint.add_argument("-n", "--strokes", type=int, default=200, help="how many; default 200")
    paint.add_argument("-b", "--budget", default="good", help=f"how long it may take: {', '.join(BUDGETS)}; default good")
    paint.add_argument("-m", "--mask", type=Path, help="a grey picture of the same size, white where the object is")
    paint.add_argument("-s", "--size", type=int, help="shorter side of what is written, in pixels")
    paint.add_argument("--primitive", default="bezier", help=f"kind of the strokes: {', '.join(PRIMITIVES)}")
    paint.add_argument("--background", default="black", help="a colour: #112233 or a name")
    paint.add_argument("--loss", default="l2", help=f"what a good painting is: {', '.join(LOSSES)}; default l2")
    paint.add_argument("--divide", type=int, default=1, help="paint k times k cells, each as a picture of its own")
    paint.add_argument("--seed", type=int, default=0, help="of the random numbers; default 0")
    learned = paint.add_argument_group("by a trained agent")
    learned.add_argument("--agent", default="", help="an agent of the package, dense or small, or the folder of a run")
    learned.add_argument("--joint-steps", type=int, default=0, help="steps of gradient on all its strokes; default 0")
    rules = paint.add_argument_group("constraints on the strokes")
    rules.add_argument("--palette", default="", help='the only colours: "#112233, #ddeeff, tomato"')
    rules.add_argument("--grey", action="store_true", help="no colours")
    rules.add_argument("--opaque", action="store_true", help="no transparency")
    rules.add_argument("--min-width", type=float, help="the smallest width of a stroke, as a share of the shorter side")
    return parser


def _check_output(path: Path, picture: Path, size: int | None) -> None:
    "Refuse an output that could not be written, before anything is painted."
    import inspect

    from sgpaint.export.files import FORMATS
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise ValueError(f"output: expected a name that ends in {', '.join(FORMATS)}, got {path.name!r}")
    if size is not None and "size" not in inspect.signature(FORMATS[kind]).parameters:
        raise ValueError(f"size: {kind} has none, as it is drawn at any size; leave it out")
    if size is not None and size < 1: raise ValueError(f"size: expected 1 or more pixels, got {size}")
    if path.is_dir(): raise ValueError(f"output: expected a file, got the folder {path}")
    if not path.parent.is_dir(): raise ValueError(f"output: there is no folder {path.parent}; make it first")
    if path.exists() and picture.exists() and path.samefile(picture):
        raise ValueError(f"output: {path} is the picture itself; choose another name")


def _paint(given: argparse.Namespace) -> Path:
    "`sgpaint paint`: the file that was written."
    _check_output(given.output, given.picture, given.size)
    from sgpaint.export.files import export
    painting = _by_agent(given) if given.agent else _by_search(given)
    shorter = given.size and given.size / min(painting.size)
    size = {} if not shorter else {"size": tuple(max(1, round(side * shorter)) for side in painting.size)}
    return export(painting, given.output, **size)


def _by_search(given: argparse.Namespace) -> "Painting":
    "A painting by gradient, without an agent."
    from sgpaint.agent.paint import paint
    from sgpaint.scene.picture import open_mask
    from sgpaint.search.objective import Constraints
    width = {} if given.min_width is None else {"min_width": given.min_width}
    constraints = Constraints(parse_palette(given.palette), given.grey, given.opaque, **width)
    masks = None if given.mask is None else open_mask(given.mask)
    if given.joint_steps: raise ValueError("joint-steps: expected --agent beside it; without one, choose a --budget")
    return paint(given.picture, given.strokes, given.budget, masks, given.seed, primitive=given.primitive,
                 background=parse_colour(given.background), constraints=constraints,
                 divide=given.divide, loss=given.loss)


def _by_agent(given: argparse.Namespace) -> "Painting":
    "A painting by a trained agent; what only the search understands is refused."
    from sgpaint.agent.trained import SHIPPED, load_agent, paint_with, shipped_agent
    from sgpaint.scene.picture import open_mask
    usual = _arguments().parse_args(["paint", "x", "-o", "x"])
    for name in ("budget", "seed", "primitive", "background", "loss", "palette", "grey", "min_width"):
        if getattr(given, name) != getattr(usual, name):
            word = name.replace("_", "-")
            raise ValueError(f"{word}: an agent paints as it was trained; leave it out, or leave --agent out")
    known = (SHIPPED / given.agent / "agent").is_dir()
    agent = shipped_agent(given.agent) if known else load_agent(given.agent)
    masks = None if given.mask is None else open_mask(given.mask)
    return paint_with(agent, given.picture, given.strokes, given.picture.stem, masks, divide=given.divide,
                      opacity="opaque" if given.opaque else None, joint_steps=given.joint_steps)


def main(words: Sequence[str] | None = None) -> int:
    """Run the console command `sgpaint`.

    Parameters
    ----------
    words
        The arguments; None: those of the process.

    Returns
    -------
    int
        The exit status: 0, 2 after a refusal in one sentence, 130 after Ctrl-C.
    """
    given = _arguments().parse_args(words)
    try: print(_paint(given))
    except (ValueError, OSError) as error:
        print(f"sgpaint: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sgpaint: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0
