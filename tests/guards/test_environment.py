"""settings.ini, pyproject.toml, pins.txt, environment.yml and what is installed tell one story."""
import ast
import configparser
import re
import tomllib
from importlib.metadata import distribution, packages_distributions, version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from project import ROOT, code_cells, notebooks, source

SETTINGS = configparser.ConfigParser(interpolation=None)
SETTINGS.read(ROOT / "settings.ini")
INI = SETTINGS["DEFAULT"]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
PINS = dict(line.split("==") for line in (ROOT / "pins.txt").read_text().split())
CORE = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRA = [Requirement(text) for name, some in PROJECT["optional-dependencies"].items() if name != "dev" for text in some]
DEV = [Requirement(text) for text in PROJECT["optional-dependencies"]["dev"]]
BUILD = [Requirement(text) for text in PYPROJECT["build-system"]["requires"]]
# Needed, though no line of ours imports them.
UNSEEN = {
    "ipykernel": "the kernel that every notebook names",
    "tensorboard": "torch.utils.tensorboard writes through it",
    "fastcore": "holds nbdev at versions that start",
    "execnb": "holds nbdev at versions that start",
    "ghapi": "holds nbdev at versions that start",
    "fastgit": "holds nbdev at versions that start",
    "pytest-timeout": "the timeout in pyproject.toml",
    "pytest-xdist": "make test runs test files on two cores",
    "jupyterlab": "make lab",
    "setuptools": "builds the editable install",
}


def reachable(roots: list[Requirement]) -> set[str]:
    "Names of every distribution that `roots` need on this machine, by the metadata of what is installed."
    found, todo = set(), list(roots)
    while todo:
        need = todo.pop()
        name, extras = canonicalize_name(need.name), need.extras or {""}
        if (name, *sorted(extras)) in found:
            continue
        found.add((name, *sorted(extras)))
        below = map(Requirement, distribution(name).requires or [])
        todo += [b for b in below if b.marker is None or any(b.marker.evaluate({"extra": e}) for e in extras | {""})]
    return {name for name, *_ in found}


def test_settings_and_pyproject_agree():
    init = ast.parse((ROOT / "sgpaint/__init__.py").read_text())
    stated = next(ast.literal_eval(n.value) for n in init.body if isinstance(n, ast.Assign))
    assert INI["version"] == stated == version("sgpaint")
    assert (INI["lib_name"], INI["description"]) == (PROJECT["name"], PROJECT["description"])
    assert f">={INI['min_python']}" == PROJECT["requires-python"]
    assert INI["keywords"].split() == PROJECT["keywords"]
    assert {"name": INI["author"], "email": INI["author_email"]} in PROJECT["authors"]
    assert INI["git_url"] == PROJECT["urls"]["Repository"]
    assert (INI["license"], PROJECT["license"]) == ("apache2", "Apache-2.0")


def test_the_citation_agrees():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (str(cff["version"]), cff["license"]) == (INI["version"], PROJECT["license"])
    assert cff["repository-code"] == INI["git_url"]


def test_the_nbdev_table_mirrors_settings():
    table = PYPROJECT["tool"]["nbdev"]
    assert table["allowed_cell_metadata_keys"] == ["tags"], "as a string, nbdev 3 strips the `parameters` tag"
    text = {k: " ".join(v) if isinstance(v, list) else str(v) for k, v in table.items()}
    differing = {key: (value, INI.get(key)) for key, value in text.items() if INI.get(key) != value}
    assert not differing, f"pyproject.toml [tool.nbdev] against settings.ini: {differing}"


def test_pins_are_exact_sorted_and_plain():
    lines = (ROOT / "pins.txt").read_text().splitlines()
    odd = [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line)]
    assert not odd, f"pins.txt: expected name==version, without a build such as +cpu: {odd}"
    assert list(PINS) == sorted(set(PINS))


def test_every_pin_is_reachable_and_everything_reachable_is_pinned():
    needed = reachable(CORE + DEV + BUILD)
    assert not PINS.keys() - needed, f"nothing needs these pins: {sorted(PINS.keys() - needed)}"
    assert not needed - PINS.keys(), f"needed, and not pinned: {sorted(needed - PINS.keys())}"


@pytest.mark.parametrize("need", CORE + DEV + BUILD, ids=str)
def test_the_pin_lies_in_the_range(need):
    assert PINS[canonicalize_name(need.name)] in need.specifier


def test_the_environment_has_the_pinned_versions():
    installed = {f"{name}=={version(name).split('+')[0]}" for name in PINS}
    pinned = {f"{name}=={pin}" for name, pin in PINS.items()}
    assert installed == pinned, f"{installed - pinned} instead of {pinned - installed}; touch pins.txt, run make again"


def test_every_direct_dependency_is_used():
    cells = [source(cell) for nb in notebooks().values() for cell in code_cells(nb)]
    folders = ("sgpaint", "tests", "tools", "benchmarks")
    files = [p.read_text() for folder in folders for p in (ROOT / folder).rglob("*.py")]
    used = set(re.findall(r"^\s*(?:from|import)\s+(\w+)", "\n".join(cells + files), re.M))
    commands = "\n".join([*files, *(p.read_text() for p in [ROOT / "Makefile", *(ROOT / "tools").glob("*.sh")])])
    names: dict[str, set[str]] = {}
    for module, owners in packages_distributions().items():
        for owner in owners:
            names.setdefault(canonicalize_name(owner), set()).add(module)
    idle = [
        need.name
        for need in CORE + DEV
        if need.name not in UNSEEN
        and not names.get(canonicalize_name(need.name), set()) & used
        and not re.search(rf"(?:[/\"]|-m ){need.name}(?:_|\b)", commands)
    ]
    assert not idle, f"no notebook, test or tool uses {idle}; remove them from pyproject.toml and pins.txt"


def test_every_import_of_the_package_is_a_direct_dependency():
    owners = packages_distributions()
    direct = {canonicalize_name(need.name) for need in CORE}
    extra = {canonicalize_name(need.name) for need in EXTRA}  # for imports inside the function that needs them
    loose = set()
    for path in (ROOT / "sgpaint").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                top, known = name.split(".")[0], direct | extra if node.col_offset else direct
                if top in owners and top != "sgpaint" and not known & set(map(canonicalize_name, owners[top])):
                    loose.add(f"{path.relative_to(ROOT)} imports {top}")
    assert not loose, f"imported, and only there because something else needs it: {sorted(loose)}"


def test_the_conda_environment_takes_the_same_pins():
    env = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda, pip = env["dependencies"][:-1], env["dependencies"][-1]["pip"]
    assert f"python={INI['min_python']}" in conda and pip == ["-r pins.txt", "-e ."]


def test_the_licence_is_there():
    assert "Apache License" in (ROOT / "LICENSE").read_text() and PROJECT["license-files"] == ["LICENSE"]
