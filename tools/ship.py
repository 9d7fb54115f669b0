"""Put a run's agent into the package, in half precision, with a record: tools/ship.py RUN NAME "how it was trained"."""
import json
import shutil
import sys
from pathlib import Path

import torch

from sgpaint.agent.painter import load_agent, paint_many, portable
from sgpaint.agent.training import load_scenes
from sgpaint.lab import checkpoint
from sgpaint.lab.measure import mse
from sgpaint.lab.run import save_json

WEIGHTS = Path(__file__).resolve().parents[1] / "sgpaint/agent/weights"
KEPT = ("trained_on", "held_out_on", "pictures", "held_out_error", "foreground_error", "parts_error",
        "flat_colour_error", "updates", "parameters", "machine")


def ship(run: Path, name: str, how: str) -> None:
    "Write WEIGHTS/name: agent/, record.json and metrics.csv."
    folder, saved = WEIGHTS / name, checkpoint.load(run / "agent")
    result = json.loads((run / "result.json").read_text())
    half = {key: value.half() if value.is_floating_point() else value for key, value in saved["actor"].items()}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    checkpoint.save(folder / "agent", {"actor": half, "config": portable(load_agent(run).config)})
    shutil.copy(run / "metrics.csv", folder / "metrics.csv")
    agent = load_agent(folder)
    scenes = load_scenes(agent.config)[1]
    target = scenes.images()[torch.arange(len(scenes))].float() / 255
    error = mse(paint_many(agent, target), target).mean().item()
    save_json(folder / "record.json", {"how": how, "held_out_error_in_half_precision": error,
                                       **{key: result[key] for key in KEPT if key in result}})
    print(f"{folder.name}: {sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) / 1e6:.1f} MB, "
          f"held-out error {error:.5f} (before halving {result['held_out_error']:.5f})")


if __name__ == "__main__":
    if len(sys.argv) != 4: sys.exit(__doc__)
    ship(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
