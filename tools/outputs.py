"""Keep of stored outputs what a reader without a kernel can use: no view of a widget, a picture in one form."""
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VIEW = "application/vnd.jupyter.widget-view+json"


def kept(data: dict) -> dict:
    "An output's forms without a widget's view, and without a JPEG beside a PNG."
    gone = {VIEW} | ({"image/jpeg"} if "image/png" in data else set())
    return {name: value for name, value in data.items() if name not in gone}


def clean(path: Path) -> None:
    "Rewrite a notebook whose outputs keep too much."
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        for out in cell.get("outputs", []):
            if "data" in out: out["data"] = kept(out["data"])
    notebook["metadata"].pop("widgets", None)
    now = json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    if now != text and notebook != json.loads(text): path.write_text(now, encoding="utf-8")


if __name__ == "__main__":
    for path in sorted((ROOT / "nbs").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts: clean(path)
