"""ruff and mypy find nothing in the generated modules, the tools and the tests."""
from project import run


def test_ruff():
    run("ruff", "check", "--output-format", "concise", ".")


def test_mypy():
    run("mypy")
