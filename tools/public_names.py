"""Print the public names of the package, one `module.name` a line, read from each module's __all__."""
import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def public_names(root: Path = ROOT) -> list[str]:
    "Sorted `sgpaint.room.module.name` of every exported module under `root`."
    names = []
    for path in (root / "sgpaint").rglob("*.py"):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                names += [f"{module}.{name}" for name in ast.literal_eval(node.value)]
    return sorted(names)


if __name__ == "__main__":
    print("\n".join(public_names()))
