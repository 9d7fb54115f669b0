"""The same numbers on a GPU, where there is one."""
import pytest
import torch

from sgpaint.agent.training import configure, train
from sgpaint.stroke.canvas import blank, paint
from sgpaint.stroke.params import FAMILIES, random_strokes

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]


@pytest.mark.parametrize("name", FAMILIES)
def test_strokes_and_gradients_agree_with_the_cpu(name):
    strokes, out = random_strokes(5, name, batch=4, generator=torch.Generator().manual_seed(0)), {}
    for device in ("cpu", "cuda"):
        s = strokes.to(device).requires_grad_()
        canvas = paint(blank(4, (64, 64), device=device), s, name)
        canvas.square().mean().backward()
        out[device] = canvas.detach().cpu(), s.grad.cpu()
    torch.testing.assert_close(out["cuda"][0], out["cpu"][0], rtol=0, atol=1e-3)
    assert (out["cuda"][1] - out["cpu"][1]).norm() < 0.01 * out["cpu"][1].norm()


@pytest.mark.parametrize("reward", ["l2", "mix"])
def test_training_runs_in_bf16(tmp_path, reward):
    fast = dict(device="cuda", precision="bf16", compile=True)
    result = train(configure(smoke=True, reward=reward, out_dir=str(tmp_path / "run"), **fast))
    assert 0 < result.result["held_out_error"] < 1
