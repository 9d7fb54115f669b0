"""The public names: what they are, where they are defined, what a numpy docstring of each must have."""
import functools
import importlib
import inspect
import re
from dataclasses import is_dataclass
from typing import Any, NamedTuple

from project import ROOT
from public_names import public_names

SECTION = re.compile(r"^([A-Z][\w ]+)\n-{3,}$", re.M)


class Public(NamedTuple):
    "A public name and its object."
    name: str  # sgpaint.lab.build
    item: Any

    @property
    def documented(self) -> bool:
        "Whether the object can have a docstring: a function or a class of ours."
        return inspect.isroutine(self.item) or inspect.isclass(self.item)


@functools.cache
def resolved() -> list[Public]:
    "Every public name with its object, imported as a user does."
    return [Public(name, getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2]))
            for name in public_names()]


def sections(text: str) -> dict[str, str]:
    "The sections of a numpy docstring by their headings."
    parts = SECTION.split(inspect.cleandoc(text))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def takes(item: Any) -> list[str]:
    "The names that a caller passes."
    if getattr(item, "_is_protocol", False): return []
    if inspect.isclass(item) and "__init__" not in vars(item) and not is_dataclass(item): return []
    names = [name for name in inspect.signature(item).parameters if not name.startswith("_")]
    return [name for name in names if name not in ("self", "cls")]


def gives(item: Any) -> bool:
    "Whether a function gives something back."
    return inspect.isroutine(item) and inspect.signature(item).return_annotation not in (None, "None")


def missing(public: Public) -> list[str]:
    "What the docstring of a public name lacks."
    text = inspect.getdoc(public.item) if public.documented else None
    if not public.documented: return []
    if not text or public.item.__doc__ is None: return ["a docstring"]
    found = sections(text)
    described = set(re.findall(r"^\*{0,2}(\w+(?:, \w+)*)(?: :.*)?$", found.get("Parameters", "") + "\n" +
                               found.get("Attributes", ""), re.M))
    described = {name for names in described for name in names.split(", ")}
    lacks = [f"the parameter {name}" for name in takes(public.item) if name not in described]
    if gives(public.item) and not found.keys() & {"Returns", "Yields"}: lacks.append("Returns")
    return lacks


def frozen(name: str) -> set[str]:
    "The lines of a file of exceptions beside the guards."
    return set((ROOT / "tests/guards" / name).read_text().split())
