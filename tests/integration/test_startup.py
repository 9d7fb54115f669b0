"""Nothing heavy is imported before it is needed. benchmarks/startup.py measures the times; here, what is imported."""
import subprocess
import sys

import pytest
import torch

import sgpaint
from sgpaint import cli
from sgpaint.agent.paint import BUDGETS
from sgpaint.export.files import FORMATS
from sgpaint.search.losses import LOSSES
from sgpaint.stroke import native
from sgpaint.stroke.native import ready
from sgpaint.stroke.primitive import BEZIER, PRIMITIVES

HEAVY = ("accelerate", "captum", "kornia", "matplotlib", "pydantic", "scipy", "skimage", "tensorboard", "torch._dynamo",
         "torch._inductor", "torchvision", "timm", "IPython", "anywidget", "papermill")


def python(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True)


def imported(code: str) -> set[str]:
    "The modules that are there after some code, in a fresh interpreter."
    done = python("-c", f"{code}\nimport sys\nprint(*sys.modules, sep='\\n')")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("code", ["from sgpaint import paint", "from sgpaint import optimize, Painting",
                                  "from sgpaint import train, configure", "from sgpaint import load_agent"])
def test_a_first_import_leaves_heavy_libraries_alone(code):
    assert not imported(code) & set(HEAVY)


def test_painting_imports_no_charts_and_no_training_harness():
    code = "import torch\nfrom sgpaint import paint\npaint(torch.rand(3, 32, 32), 2, budget='fast', progress_bar=False)"
    assert not imported(code) & {"matplotlib", "kornia", "accelerate", "skimage", "scipy"}


@pytest.mark.parametrize("code", ["import sgpaint", "import sgpaint.cli", "import sgpaint\ndir(sgpaint)"])
def test_the_library_alone_imports_no_numbers(code):
    assert not imported(code) & {"numpy", "torch", "PIL", *HEAVY}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["paint", "--help"]])
def test_help_and_version_import_no_numbers(words):
    code = f"from sgpaint.cli import main\ntry: main({words})\nexcept SystemExit as done: assert not done.code"
    found = imported(code)
    assert not found & {"numpy", "torch", "PIL", *HEAVY}


def test_the_command_says_its_version():
    done = python("-m", "sgpaint", "--version")
    assert (done.stdout, done.returncode) == (f"sgpaint {sgpaint.__version__}\n", 0)


def test_the_module_is_the_command():
    done = python("-m", "sgpaint", "paint", "no such file.png", "-o", "a.svg")
    assert done.returncode == 2 and done.stderr.startswith("sgpaint: ") and done.stderr.count("\n") == 1


def test_no_command_is_refused_with_the_usage():
    done = python("-m", "sgpaint")
    assert done.returncode == 2 and "usage: sgpaint" in done.stderr


def test_the_help_lists_what_there_is():
    assert set(cli.FORMATS) == set(FORMATS) and set(cli.BUDGETS) == set(BUDGETS) and set(cli.LOSSES) == set(LOSSES)
    assert set(cli.PRIMITIVES) == set(PRIMITIVES)


def test_ctrl_c_is_one_sentence(monkeypatch, capsys):
    def interrupted(given): raise KeyboardInterrupt
    monkeypatch.setattr(cli, "_paint", interrupted)
    assert cli.main(["paint", "a.png", "-o", "b.svg"]) == 130
    assert capsys.readouterr().err == "sgpaint: interrupted; nothing was written\n"


def test_torch_compile_goes_around_the_native_code():
    strokes, canvas = torch.rand(1, 4, BEZIER.size), torch.rand(1, 3, 32, 32)
    if not ready(strokes): pytest.skip("no C++ compiler here")
    def loss(s): return (native.paint(canvas.cos(), 0.9 * s, BEZIER, 1.0) ** 2).sum()
    plain, compiled = strokes.clone().requires_grad_(), strokes.clone().requires_grad_()
    loss(plain).backward()
    torch.compile(loss, backend="eager")(compiled).backward()
    assert torch.equal(plain.grad, compiled.grad)
