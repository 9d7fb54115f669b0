"""The real command, tiny: papermill runs the notebooks as a reader would, at the smoke size."""
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def papermill(notebook: str, folder: Path, **parameters: str) -> subprocess.CompletedProcess:
    "Run nbs/`notebook` from the project's root with IN_TEST set."
    passed = [word for name, value in parameters.items() for word in ("-p", name, value)]
    return subprocess.run(
        [Path(sys.executable).parent / "papermill", "--no-progress-bar", f"nbs/{notebook}", folder / notebook, *passed],
        cwd=ROOT, env=os.environ | {"IN_TEST": "1"}, capture_output=True, text=True,
    )


def test_train_rehearses_and_says_so(tmp_path):
    done = papermill("train.ipynb", tmp_path, dataset="cars", out_dir=str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run/config.json").read_text())["machine"]["smoke"] is True
    assert (tmp_path / "run/result.json").exists() and list((tmp_path / "run/pictures").glob("*.png"))
    written = (tmp_path / "train.ipynb").read_text()
    assert "smoke" in written
    assert "training on Cars-196, files in" in written or "training on built-in cars v1 (Cars-196 was NOT" in written


def test_a_mistyped_parameter_is_refused_with_the_nearest_name(tmp_path):
    done = papermill("train.ipynb", tmp_path, updats="5", out_dir=str(tmp_path / "run"))
    assert done.returncode != 0 and "updats" in done.stderr and "'updates'" in done.stderr
    assert not (tmp_path / "run").exists()
