"""What the guards read: the notebooks and modules of this project, and a copy to try things on."""
import functools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A package imports only those before it.
PACKAGES = ("lab", "stroke", "export", "scene", "brush", "guide", "search", "agent", "study", "explore")
# Modules that hold a container and no idea (a player, a format) need no lesson; each with the number it stands after.
PLAIN = {"stroke.page": 7, "stroke.gains": 7, "agent.joint": 7, "agent.dense": 8}
IMAGES = re.compile(r"!\[[^]]*\]\(([^)\s]+)\)|<img[^>]+src=\"([^\"]+)\"")


@functools.cache
def notebooks(under: Path = ROOT / "nbs", pattern: str = "**/*.ipynb") -> dict[str, dict]:
    "Every notebook by its path below `under`, checkpoints and private ones left out."
    paths = sorted(under.glob(pattern))
    return {
        str(path.relative_to(under)): json.loads(path.read_text())
        for path in paths
        if not any(part[0] in "._" for part in path.relative_to(under).parts)
    }


def lesson_notebooks() -> dict[str, dict]:
    "The notebooks that export a module: nbs/PACKAGE/NN_name.ipynb."
    return {name: nb for name, nb in notebooks().items() if name.split("/")[0] in PACKAGES}


def run_notebooks(under: Path = ROOT / "nbs") -> dict[str, dict]:
    "The parametrized notebooks that papermill runs: they stand at the top of nbs/."
    return {name: nb for name, nb in notebooks(under, "*.ipynb").items() if name != "index.ipynb"}


def tutorial_notebooks() -> dict[str, dict]:
    "The tutorials; they export nothing and only use the library: nbs/walks/N_name.ipynb."
    return {name: nb for name, nb in notebooks().items() if name.startswith("walks/")}


def source(cell: dict) -> str:
    return "".join(cell["source"])


def code_cells(nb: dict) -> list[dict]:
    return [cell for cell in nb["cells"] if cell["cell_type"] == "code"]


def outputs(nb: dict) -> str:
    "Everything the outputs of a notebook store, as text."
    return "".join(str(cell["outputs"]) for cell in code_cells(nb))


def parameters(nb: dict) -> list[int]:
    "Positions, among the code cells, of those tagged `parameters`."
    return [i for i, cell in enumerate(code_cells(nb)) if "parameters" in cell["metadata"].get("tags", [])]


def default_exp(nb: dict) -> str:
    "The module a notebook names in `#| default_exp`, or an empty string."
    found = re.search(r"^#\|\s*default_exp\s+(\S+)", "\n".join(map(source, code_cells(nb))), re.M)
    return found[1] if found else ""


@functools.cache
def modules(package: Path = ROOT / "sgpaint") -> dict[str, Path]:
    "The modules inside the packages by their dotted name below sgpaint; `cli` and `__main__` at the top are left out."
    return {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in sorted(package.glob("*/**/*.py"))
        if path.name != "__init__.py"
    }


def copy_project(to: Path) -> Path:
    "A copy of everything that clean, export and README read or write."
    for name in ("nbs", "sgpaint", "tools", "media"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for name in ("settings.ini", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, to / name)
    return to


def run(command: str, *arguments: str, cwd: Path = ROOT) -> str:
    "Run a command of this environment in `cwd`; its output, or an AssertionError that shows it."
    program = Path(sys.executable).parent / command
    done = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"
    return done.stdout
