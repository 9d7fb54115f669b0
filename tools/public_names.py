"""Print the public names of the library, one `package.name` a line: those that the `__init__.pyi` files list."""
import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def public_names(root: Path = ROOT) -> list[str]:
    "Sorted `sgpaint.name` and `sgpaint.package.name` of every stub under `root`."
    names = []
    for stub in (root / "sgpaint").rglob("__init__.pyi"):
        package = ".".join(stub.parent.relative_to(root).parts)
        for node in ast.parse(stub.read_text()).body:
            if isinstance(node, ast.ImportFrom):
                names += [f"{package}.{alias.asname or alias.name}" for alias in node.names]
    return sorted(names)


if __name__ == "__main__":
    print("\n".join(public_names()))
