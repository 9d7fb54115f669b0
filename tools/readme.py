"""Make README.md, and the pictures it shows, from the stored cells and outputs of nbs/index.ipynb."""
import base64
import json
import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE, TARGET, MEDIA = ROOT / "nbs/index.ipynb", ROOT / "README.md", "media"
LINK = re.compile(r"(\]\(|(?:src|href)=\")(?![a-z]+:|#|/)([^)\"\s]+)")


def from_root(text: str) -> str:
    "The same markdown with links that start at the project's root instead of nbs/."
    return LINK.sub(lambda m: m[1] + posixpath.normpath(posixpath.join("nbs", m[2])), text)


def output(out: dict, name: str) -> str:
    "One stored output as markdown; a picture is written beside it."
    data = out.get("data", {})
    if "image/png" in data:
        (ROOT / MEDIA / name).write_bytes(base64.b64decode("".join(data["image/png"])))
        alt = re.sub(r"[\[\]<>\n]", " ", "".join(data.get("text/plain", ""))).strip()
        return f"![{alt}]({MEDIA}/{name})"
    if "text/markdown" in data:
        return from_root("".join(data["text/markdown"]))
    text = "".join(out.get("text", data.get("text/plain", []))).rstrip()
    return f"```\n{text}\n```" if text else ""


def cell(c: dict) -> list[str]:
    "One cell as blocks of markdown; `#| hide` drops it, `#| echo: false` keeps its outputs alone."
    source = "".join(c["source"]).strip()
    if c["cell_type"] != "code":
        return [from_root(source)]
    directives = {line.strip() for line in source.splitlines() if line.startswith("#|")}
    if "#| hide" in directives:
        return []
    code = "\n".join(line for line in source.splitlines() if line not in directives).strip()
    shown = [output(out, f"index-{c['id']}-{i}.png") for i, out in enumerate(c["outputs"])]
    return ([] if "#| echo: false" in directives else [f"```python\n{code}\n```"]) + shown


def main() -> None:
    (ROOT / MEDIA).mkdir(exist_ok=True)
    for old in (ROOT / MEDIA).glob("index-*.png"):
        old.unlink()
    blocks = [block for c in json.loads(SOURCE.read_text())["cells"] for block in cell(c)]
    TARGET.write_text("\n\n".join(block for block in blocks if block) + "\n")


if __name__ == "__main__":
    main()
