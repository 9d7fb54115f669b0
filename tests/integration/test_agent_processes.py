"""Several processes learn what one does, within rounding (group norm, fixed samples)."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch


@pytest.mark.timeout(600)
def test_two_processes_equal_one(tmp_path):
    script = Path(__file__).with_name("processes.py")
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "SGPAINT_EAGER": "1", "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    for n in (1, 2):
        command = [*torchrun, f"--nproc_per_node={n}", str(script), str(tmp_path / f"{n}.pt")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    one, two = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (1, 2))
    assert (one["processes"], two["processes"]) == (1, 2)
    torch.testing.assert_close(one["losses"], two["losses"], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(one["action"], two["action"], rtol=0, atol=1e-3)
