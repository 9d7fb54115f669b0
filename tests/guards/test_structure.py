"""The house: one module a notebook, rooms in order, no module without its notebook."""
import ast
import functools
import re
from collections import Counter

from project import PLAIN, ROOMS, ROOT, code_cells, default_exp, modules, notebooks, room_notebooks, source


@functools.cache
def exports() -> dict[str, str]:
    "Exported module -> notebook."
    return {default_exp(nb): name for name, nb in notebooks().items() if default_exp(nb)}


def number(module: str) -> float:
    "The number that orders a module among its siblings, from its notebook's name."
    if module in PLAIN:
        return PLAIN[module] + 0.5
    return int(exports()[module].split("/")[1][:2])


def imported(code: str, package: str) -> set[str]:
    "Modules of sgpaint (dotted, below the package) that code standing in `sgpaint.<package>` imports."
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = f"sgpaint.{package}".rstrip(".").split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            whole = ".".join(filter(None, [base, node.module]))
            names |= {whole} | {f"{whole}.{alias.name}" for alias in node.names}
    below = {name.removeprefix("sgpaint.") for name in names if name.startswith("sgpaint.")}
    return {name for name in below if name in modules()}


def test_every_module_has_its_notebook_and_every_notebook_its_module():
    orphans, missing = modules().keys() - exports().keys() - PLAIN.keys(), exports().keys() - modules().keys()
    assert not orphans, f"modules without a notebook: {sorted(orphans)}; remove them"
    assert not missing, f"notebooks that were not exported: {sorted(missing)}; run `make sync`"


def test_every_default_exp_is_unique():
    counts = Counter(filter(None, map(default_exp, notebooks().values())))
    double = [name for name, count in counts.items() if count > 1]
    assert not double, f"two notebooks export {double}: the later one would overwrite the other"


def test_a_notebook_stands_in_the_room_it_exports_to():
    for name, nb in room_notebooks().items():
        room, file = name.split("/")
        assert re.fullmatch(r"\d\d_[a-z_]+\.ipynb", file), f"nbs/{name}: expected NN_name.ipynb"
        assert default_exp(nb) == f"{room}.{file[3:-6]}", f"nbs/{name} exports to {default_exp(nb) or 'nothing'}"


def test_numbers_are_unique_in_a_room():
    counts = Counter(name[: name.index("/") + 3] for name in room_notebooks())
    assert not [name for name, count in counts.items() if count > 1]


def test_a_module_imports_only_earlier_rooms_and_lower_numbered_siblings():
    wrong = []
    for module, path in modules().items():
        room = module.split(".")[0]
        for other in imported(path.read_text(), room):
            theirs = other.split(".")[0]
            earlier = number(other) < number(module) if theirs == room else ROOMS.index(theirs) < ROOMS.index(room)
            if not earlier and other != module:
                wrong.append(f"{module} imports {other}")
    assert not wrong, f"against the order of rooms and numbers: {wrong}"


def test_a_lesson_needs_no_later_room():
    wrong = []
    for name, nb in room_notebooks().items():
        room = name.split("/")[0]
        for cell in code_cells(nb):
            later = [m for m in imported(plain(source(cell)), room) if ROOMS.index(m.split(".")[0]) > ROOMS.index(room)]
            wrong += [f"nbs/{name} imports {other}" for other in later]
    assert not wrong, f"a reader has not been in that room yet: {wrong}"


def plain(code: str) -> str:
    "A cell without the lines that only IPython understands."
    return "\n".join("pass" if line.lstrip()[:1] in ("%", "!") else line for line in code.splitlines())


def test_the_package_imports_without_importing_the_world():
    code = (ROOT / "sgpaint/__init__.py").read_text()
    top = [node for node in ast.parse(code).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not top, "sgpaint/__init__.py must import nothing at the top: `import sgpaint` stays instant"
