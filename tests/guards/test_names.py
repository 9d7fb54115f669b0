"""The public names are frozen: adding or removing one is a change somebody looked at."""
from project import ROOT
from public_names import public_names

FROZEN = ROOT / "tests/guards/public_names.txt"


def test_public_names_are_the_frozen_ones():
    now, frozen = set(public_names()), set(FROZEN.read_text().split())
    assert now == frozen, f"gone: {sorted(frozen - now)}; new: {sorted(now - frozen)}; meant? then `make names`"
