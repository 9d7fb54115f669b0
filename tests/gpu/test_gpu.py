"""The same numbers on a GPU, where there is one."""
import pytest
import torch

from sgpaint.agent.config import configure
from sgpaint.agent.training import train
from sgpaint.lab.config import replace
from sgpaint.lab.machine import GraphedFunction
from sgpaint.stroke.blend import blank, paint
from sgpaint.stroke.primitive import PRIMITIVES, random_strokes

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]


@pytest.mark.parametrize("name", PRIMITIVES)
def test_strokes_and_gradients_agree_with_the_cpu(name):
    strokes, out = random_strokes(5, name, batch=4, generator=torch.Generator().manual_seed(0)), {}
    for device in ("cpu", "cuda"):
        s = strokes.to(device).requires_grad_()
        canvas = paint(blank(4, (64, 64), device=device), s, name)
        canvas.square().mean().backward()
        out[device] = canvas.detach().cpu(), s.grad.cpu()
    torch.testing.assert_close(out["cuda"][0], out["cpu"][0], rtol=0, atol=1e-3)
    assert (out["cuda"][1] - out["cpu"][1]).norm() < 0.01 * out["cpu"][1].norm()


@pytest.mark.parametrize("rewards", ["l2", "mix"])
def test_training_runs_in_bf16(tmp_path, rewards):
    fast = dict(device="cuda", precision="bf16", compile=True)
    result = train(configure(smoke=True, rewards=rewards, out_dir=str(tmp_path / "run"), **fast))
    assert 0 < result.result["held_out_error"] < 1


@pytest.mark.parametrize("preset", ["h100", "h100-small"])
def test_a_replayed_run_learns_what_a_plain_one_learns(tmp_path, preset):
    same = dict(device="cuda", precision="fp32", compile=False)
    errors = []
    for graphs in (False, True):  # the first three updates are plain, the fourth is recorded, the rest are replayed
        config = configure(preset, smoke=True, cuda_graphs=graphs, out_dir=str(tmp_path / str(graphs)), **same)
        errors.append(train(replace(config, updates=12, evaluate_every=12)).result["held_out_error"])
    assert abs(errors[0] - errors[1]) < 0.02 * errors[0]


def test_a_recording_reads_what_it_is_given_and_is_made_anew_for_another_key():
    made = []
    def times(key, x):
        made.append(key)
        return {"product": key * x}
    product = GraphedFunction(times)
    for key in (2, 3):
        for i in range(6):
            x = torch.full((4,), float(i), device="cuda")
            assert product(key, x=x)["product"].tolist() == [key * i] * 4
    assert made == [2] * 4 + [3] * 4  # three plain calls and one recording of each
