"""The tutorial with the whole algorithm: its program stands alone, on one page."""
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES = 200  # of code, blank lines and comments left out


def program() -> str:
    "The code cells between the headings `The program` and `What it learned`."
    cells = json.loads((ROOT / "nbs/walks/7_the_whole_algorithm.ipynb").read_text())["cells"]
    text = ["".join(cell["source"]) for cell in cells]
    headings = "## The program", "## What it learned"
    first, last = (next(i for i, t in enumerate(text) if heading in t) for heading in headings)
    return "\n\n".join(t for t, cell in zip(text[first:last], cells[first:last], strict=True)
                       if cell["cell_type"] == "code")


def test_it_is_one_page():
    lines = [line for line in program().splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(lines) <= LINES, f"expected at most {LINES} lines of code, got {len(lines)}"
    assert max(map(len, lines)) <= 120


def test_it_runs_without_the_library(tmp_path):
    code = program()
    assert "sgpaint" not in code and code.count("UPDATES, BATCH, ENVS, WARMUP = 200, ") == 1
    code = code.replace("UPDATES, BATCH, ENVS, WARMUP = 200, ", "UPDATES, BATCH, ENVS, WARMUP = 2, ")
    blocked = "import sys\nsys.modules['sgpaint'] = None\n"
    script = tmp_path / "program.py"
    script.write_text(blocked + code + "\nassert len(log) == 2 and all(x == x for x in log[-1].values())\n")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
