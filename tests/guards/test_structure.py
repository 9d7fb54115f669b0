"""The library: one module a notebook, packages in order, no module without its notebook, lazy packages."""
import ast
import functools
import re
from collections import Counter

import pytest

from project import (
    PACKAGES, PLAIN, ROOT, code_cells, default_exp, lesson_notebooks, modules, notebooks, run, source)


@functools.cache
def exports() -> dict[str, str]:
    "Exported module -> notebook."
    return {default_exp(nb): name for name, nb in notebooks().items() if default_exp(nb)}


def number(module: str) -> float:
    "The number that orders a module among its siblings, from its notebook's name."
    if module in PLAIN:
        return PLAIN[module] + 0.5
    return int(exports()[module].split("/")[1][:2])


def rank(module: str) -> int:
    "The place of a module's package in the order of packages."
    return PACKAGES.index(module.split(".")[0])


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


def test_a_notebook_stands_in_the_folder_of_its_package():
    for name, nb in lesson_notebooks().items():
        package, file = name.split("/")
        assert re.fullmatch(r"\d\d_[a-z_]+\.ipynb", file), f"nbs/{name}: expected NN_name.ipynb"
        assert default_exp(nb) == f"{package}.{file[3:-6]}", f"nbs/{name} exports to {default_exp(nb) or 'nothing'}"


def test_numbers_are_unique_in_a_package():
    counts = Counter(name[: name.index("/") + 3] for name in lesson_notebooks())
    assert not [name for name, count in counts.items() if count > 1]


def test_a_module_imports_only_earlier_packages_and_lower_numbered_siblings():
    wrong = []
    for module, path in modules().items():
        package = module.split(".")[0]
        for other in imported(path.read_text(), package):
            theirs = other.split(".")[0]
            earlier = number(other) < number(module) if theirs == package else rank(theirs) < rank(package)
            if not earlier and other != module:
                wrong.append(f"{module} imports {other}")
    assert not wrong, f"against the order of packages and numbers: {wrong}"


def test_a_lesson_needs_no_later_package():
    wrong = []
    for name, nb in lesson_notebooks().items():
        package = name.split("/")[0]
        for cell in code_cells(nb):
            later = [m for m in imported(plain(source(cell)), package) if rank(m) > rank(package)]
            wrong += [f"nbs/{name} imports {other}" for other in later]
    assert not wrong, f"a reader does not know that package yet: {wrong}"


def plain(code: str) -> str:
    "A cell without the lines that only IPython understands."
    return "\n".join("pass" if line.lstrip()[:1] in ("%", "!") else line for line in code.splitlines())


def statements(path) -> list[ast.stmt]:
    "The statements of a file without its docstring."
    tree = ast.parse(path.read_text())
    return tree.body[1:] if ast.get_docstring(tree) else tree.body


LAZY = "__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)"


@pytest.mark.parametrize("package", ["", *PACKAGES])
def test_a_package_is_a_docstring_and_lazy_names(package):
    init = ROOT / "sgpaint" / package / "__init__.py"
    if not init.exists() or not init.read_text(): pytest.skip(f"the package {package} has no public names yet")
    lines = [ast.unparse(node) for node in statements(init)]
    version = [line for line in lines if line.startswith("__version__ = ")]
    assert lines == ["import lazy_loader", *version, LAZY] and bool(version) == (not package), f"{init}: {lines}"
    assert ast.get_docstring(ast.parse(init.read_text())), f"{init}: expected a docstring with first calls"
    for node in statements(init.with_suffix(".pyi")):
        line = ast.unparse(node)
        version = package == "" and line == "__version__: str"
        assert version or re.fullmatch(r"from \.[\w.]* import (\w+) as \1", line), (
            f"{init}i: expected lines `from .module import name as name`, got {line!r}")


def test_importing_the_packages_imports_no_module():
    names = ", ".join(f"sgpaint.{p}" for p in PACKAGES if (ROOT / "sgpaint" / p / "__init__.py").exists())
    heavy = "[m for m in sys.modules if m.startswith('sgpaint.') and m.count('.') > 1 or m in ('numpy', 'torch')]"
    assert not run("python", "-c", f"import sys, sgpaint, {names}; print(*{heavy})").split()


def test_the_packages_are_typed():
    assert (ROOT / "sgpaint/py.typed").exists()
