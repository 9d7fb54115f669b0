"""Link every code of the papers (SG-22, H-13, C12 …) in the notebooks' prose to its line in nbs/walks/glossary.md."""
import json
import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GLOSSARY = "nbs/walks/glossary.md"
CODE = re.compile(r"(?<![\w-])(?:(?:SG|[HKRN])-\d\d|C\d{1,2})(?![\w-])")
# What is no prose: code, formulas, links, HTML tags, and whole lines that are headings or a notebook's summary line.
OTHER = re.compile(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]+\$|!?\[[^\]\n]*\]\([^)\n]*\)|<[^>\n]+>|^(?:#|>).*?$",
                   re.S | re.M)


def known_codes(root: Path = ROOT) -> set[str]:
    "The codes that the glossary has, in capitals."
    text = (root / GLOSSARY).read_text(encoding="utf-8")
    return {code.upper() for code in re.findall(r'<a id="([a-z0-9-]+)"></a>', text)}


def prose(text: str) -> list[tuple[int, int]]:
    "Where the prose of a markdown text begins and ends, part by part."
    edges = [0, *(edge for match in OTHER.finditer(text) for edge in match.span()), len(text)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def unlinked(text: str, codes: set[str]) -> list[str]:
    "Codes in the prose of a markdown text that are no links."
    return [code for start, end in prose(text) for code in CODE.findall(text[start:end]) if code in codes]


def linked(text: str, folder: str, codes: set[str]) -> str:
    "The text of a markdown cell, of a notebook in `folder`, with links for the codes in its prose."
    address = posixpath.relpath(GLOSSARY, folder)

    def link(match: re.Match) -> str:
        return f"[{match[0]}]({address}#{match[0].lower()})" if match[0] in codes else match[0]

    for start, end in reversed(prose(text)): text = text[:start] + CODE.sub(link, text[start:end]) + text[end:]
    return text


def main(root: Path = ROOT) -> None:
    "Add the links to every notebook under nbs/ that lacks some."
    codes = known_codes(root)
    for path in sorted((root / "nbs").rglob("*.ipynb")):
        notebook, folder = json.loads(path.read_text(encoding="utf-8")), path.parent.relative_to(root).as_posix()
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        old = ["".join(cell["source"]) for cell in cells]
        new = [linked(text, folder, codes) for text in old]
        if new == old: continue
        for cell, text in zip(cells, new, strict=True): cell["source"] = text.splitlines(keepends=True)
        path.write_text(json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(path.relative_to(root))


if __name__ == "__main__":
    main()
