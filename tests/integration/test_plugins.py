"""A package outside this repository adds a reward, a renderer and a primitive: the real commands, tiny."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PARTS = '''
"Parts of another package."
from sgpaint.agent.rewards import REWARDS, RewardTerm
from sgpaint.stroke import exact
from sgpaint.stroke.primitive import PRIMITIVES, Primitive
from sgpaint.stroke.renderer import RENDERERS


@REWARDS.register("mine")
class Mine(RewardTerm):
    "The mean absolute error."
    name = "mine"

    def distance(self, canvas, target, guidance=None): return (canvas - target).abs().mean((1, 2, 3))


class Soft:
    "A wide edge."
    name, differentiable, in_browser, resolution_free, primitives = "mine", True, False, True, ("bezier", "dot")

    def __call__(self, strokes, size, primitive): return exact.render(strokes, size, primitive, edge=min(size) / 8)


def dot_distance(geometry, x, y):
    x0, y0, r0 = geometry
    return ((x - x0) ** 2 + (y - y0) ** 2 + 1e-12).sqrt() - r0, None


RENDERERS.register("mine", Soft())
PRIMITIVES.register("dot", Primitive("dot", ("x0", "y0", "r0", "a0", "red", "green", "blue"), dot_distance))
'''
BROKEN = {  # a module, and the rule that it breaks
    "no_such_import": ("import a_module_that_is_not_there\n", "No module named 'a_module_that_is_not_there'"),
    "taken_name": (PARTS.replace('register("mine")', 'register("l2")'), "taken by sgpaint.agent.rewards.L2"),
    "broken_rule": ("""from sgpaint.stroke.renderer import RENDERERS
class Soft: name, differentiable, in_browser, primitives, __call__ = "soft", "yes", False, ("bezier",), print
RENDERERS.register("soft", Soft())
""", "differentiable: expected bool, got 'yes'"),
}
SMALL = dict(size=32, strokes=10, images=16, updates=4, batch=4, num_envs=4, learning_starts=2, evaluate_every=1,
             evaluate_images=4, checkpoint_every=2, device="cpu", threads=1, rewards={"l2": 1, "mine": 0.5},
             renderer="mine")
PROGRAM = '''
import json, sys
from pathlib import Path
import torch
from sgpaint.agent.config import configure
from sgpaint.agent.rewards import REWARDS
from sgpaint.agent.trained import load_agent, paint_with
from sgpaint.agent.training import train
from sgpaint.explore.painting import RewardExplorer
from sgpaint.stroke.painting import Painting

small, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
def run(name, **options): return train(configure(**small, out_dir=str(folder / name)), say=lambda line: None, **options)
def rows(result): return [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in result.rows]

assert "sgpaint.agent.rewards" in sys.modules and "mine" in REWARDS.names()
whole = run("whole")
stretch = run("stretches", minutes=1e-9)
assert not stretch.result and len(stretch.rows) < 4
assert rows(run("stretches")) == rows(whole)                    # resumed from its checkpoint

picture = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
painting = paint_with(load_agent(whole.folder), picture)
assert painting.renderer == "mine" and len(painting) == 10
assert Painting.from_json(painting.to_json()).renderer == "mine"

explorer = RewardExplorer(Painting(painting.strokes, painting.size), picture)
assert "mine" in explorer.terms, list(explorer.terms)
try: RewardExplorer(painting, picture)
except ValueError as refusal: assert "the renderer mine does not run in a browser" in str(refusal)
else: raise AssertionError("a page cannot play what another package draws")
print("all of it")
'''


def install(site: Path, module: str, code: str) -> None:
    "What `pip install` leaves of a package: a module, and metadata with an entry point."
    info = site / f"{module}-0.1.dist-info"
    info.mkdir(parents=True)
    (site / f"{module}.py").write_text(code)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[sgpaint.plugins]\n{module} = {module}\n")
    (info / "RECORD").write_text("")


def run(command: list, site: Path, **variables: str) -> subprocess.CompletedProcess:
    "A command in the project's root, with the packages of `site` installed."
    path = os.pathsep.join([str(site), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"} | variables
    return subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True)


def papermill(folder: Path, *parameters: str) -> list:
    "The command of the README, at the smoke size."
    command = [Path(sys.executable).parent / "papermill", "--no-progress-bar", "nbs/train.ipynb", folder / "out.ipynb"]
    return [*command, *parameters, "-p", "out_dir", folder / "run"]


@pytest.fixture
def site(tmp_path):
    install(tmp_path / "site", "parts_of_another_package", PARTS)
    return tmp_path / "site"


def test_the_command_of_the_tutorial_trains(tmp_path, site):
    chosen = ["-p", "rewards", '{"l2": 1, "mine": 0.5}', "-p", "renderer", "mine"]
    done = run(papermill(tmp_path, *chosen), site, IN_TEST="1")
    assert done.returncode == 0, done.stderr
    config, result = (json.loads((tmp_path / "run" / name).read_text()) for name in ("config.json", "result.json"))
    assert (config["task"]["renderer"], config["learning"]["rewards"]) == ("mine", {"l2": 1, "mine": 0.5})
    assert set(result["scales"]) == {"l2", "mine"} and result["held_out_error"] > 0


def test_checkpoints_agents_and_explorers_see_it(tmp_path, site):
    done = run([sys.executable, "-c", PROGRAM, json.dumps(SMALL), tmp_path], site)
    assert done.returncode == 0 and "all of it" in done.stdout, done.stderr


def test_the_console_command_sees_it(tmp_path, site):
    Image.new("RGB", (32, 32), "tomato").save(tmp_path / "in.png")
    command = [sys.executable, "-m", "sgpaint", "paint", tmp_path / "in.png", "-o", tmp_path / "out.png"]
    done = run([*command, "-n", "10", "-b", "fast", "-s", "32", "--primitive", "dot"], site)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").stat().st_size > 0
    done = run([*command, "-n", "10", "-b", "fast", "-s", "32", "--primitive", "dott"], site)
    assert done.returncode != 0 and "'dot'" in done.stderr and "Traceback" not in done.stderr


def test_broken_plug_ins_are_one_sentence_each_and_stop_no_other(tmp_path, site):
    for name, (code, _) in BROKEN.items(): install(site, name, code)
    program = """from sgpaint.agent.config import configure
print(configure(renderer="mine", rewards={"mine": 1}).task.renderer)
configure(renderer="mine_too")"""
    done = run([sys.executable, "-c", program], site)
    assert done.returncode != 0 and done.stdout.split() == ["mine"], done.stderr
    for name, (_, rule) in BROKEN.items():
        assert f"plug-in '{name}' cannot be imported" in done.stderr and rule in done.stderr, done.stderr


def test_a_module_named_in_the_environment(tmp_path):
    (tmp_path / "loose_parts.py").write_text(PARTS)
    program = "from sgpaint.agent.config import configure\nprint(configure(primitive='dot').task.primitive)"
    done = run([sys.executable, "-c", program], tmp_path, SGPAINT_PLUGINS="loose_parts")
    assert (done.returncode, done.stdout.split()) == (0, ["dot"]), done.stderr


def test_the_command_with_a_broken_package_is_refused(tmp_path):
    install(tmp_path / "site", "no_such_import", BROKEN["no_such_import"][0])
    done = run(papermill(tmp_path, "-p", "renderer", "mine"), tmp_path / "site", IN_TEST="1")
    assert done.returncode != 0 and "unknown name 'mine'" in done.stderr and not (tmp_path / "run").exists()
    assert "plug-in 'no_such_import' cannot be imported" in done.stderr


def test_a_plugin_may_import_any_module_of_the_library(tmp_path):
    # The registries are asked for names while the library is imported; a plug-in must wait until all of it is there.
    (tmp_path / "late.py").write_text(
        "from sgpaint.agent.algorithms import ALGORITHMS, ModelBasedDDPG\n"
        "class Mine(ModelBasedDDPG): name = 'mine'\n"
        "ALGORITHMS.register('mine', Mine)\n")
    code = "from sgpaint.agent.config import configure; print(configure(algorithm='mine').learning.algorithm)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path,
                          env=os.environ | {"SGPAINT_PLUGINS": "late", "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"})
    assert done.stdout.strip() == "mine", done.stderr
