"""Every code of the papers in the notebooks' prose is a link to its line in the glossary; its own links exist."""
import re
import sys

import pytest

from project import ROOT, notebooks, source

sys.path.insert(0, str(ROOT / "tools"))
import glossary  # noqa: E402

TEXT = (ROOT / glossary.GLOSSARY).read_text(encoding="utf-8")
COUNTS = {"SG": 47, "H": 32, "K": 14, "R": 4, "N": 14}
EVERY = {f"{paper}-{i:02}" for paper, n in COUNTS.items() for i in range(1, n + 1)}


def test_the_glossary_has_every_code_once():
    anchors = re.findall(r'<a id="([a-z0-9-]+)"></a>', TEXT)
    assert len(anchors) == len(set(anchors))
    assert glossary.known_codes() == EVERY | {f"C{i}" for i in range(1, 34)}


def test_the_glossary_links_to_notebooks_that_exist():
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert links and not [link for link in links if not (ROOT / "nbs/walks" / link).exists()]


def test_every_code_in_prose_is_a_link():
    codes, wrong = glossary.known_codes(), {}
    for name, nb in notebooks().items():
        texts = [source(cell) for cell in nb["cells"] if cell["cell_type"] == "markdown"]
        if found := [code for text in texts for code in glossary.unlinked(text, codes)]: wrong[name] = found
    assert not wrong, f"codes without a link to the glossary: {wrong}; run `python tools/glossary.py`"


def test_every_link_leads_to_its_own_code():
    for name, nb in notebooks().items():
        for cell in nb["cells"]:
            if cell["cell_type"] != "markdown": continue
            for code, anchor in re.findall(r"\[([^\]\n]+)\]\([^)\s]*glossary\.md#([^)\s]+)\)", source(cell)):
                assert anchor.upper() in glossary.known_codes() and code.lower() == anchor, f"{name}: {code} → {anchor}"


@pytest.mark.parametrize("text, wanted", [
    ("Eq 6 (SG-14, C12).", "Eq 6 ([SG-14](../walks/glossary.md#sg-14), [C12](../walks/glossary.md#c12))."),
    ("# A (H-27)\n> b H-27\n\nH-27", "# A (H-27)\n> b H-27\n\n[H-27](../walks/glossary.md#h-27)"),
    ("`H-27` and $C1$ and [C1](x) stay", "`H-27` and $C1$ and [C1](x) stay"),
    ("H-99, C34 and SC1 stay", "H-99, C34 and SC1 stay")])
def test_links_are_added_to_prose_only_and_once(text, wanted):
    codes = glossary.known_codes()
    made = glossary.linked(text, "nbs/study", codes)
    assert made == wanted and glossary.linked(made, "nbs/study", codes) == made
