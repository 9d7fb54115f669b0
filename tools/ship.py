"""Put a run's agent into the package, in half precision, with a record: tools/ship.py RUN NAME "how it was trained"."""
import json
import shutil
import sys
from pathlib import Path

import torch

from sgpaint.agent.trained import load_agent, paint_many, portable
from sgpaint.agent.training import load_scenes
from sgpaint.lab import checkpoint
from sgpaint.lab.measure import mse
from sgpaint.lab.run import save_json

WEIGHTS = Path(__file__).resolve().parents[1] / "sgpaint/agent/weights"
KEPT = ("trained_on", "held_out_on", "pictures", "held_out_error", "foreground_error", "parts_error",
        "planned_error", "control_held_out_error", "control_planned_error", "flat_colour_error", "updates",
        "parameters", "machine")
MOST = 16_000_000  # bytes of a file of weights


def ship(run: Path, folder: Path, how: str) -> None:
    "Write the folder: agent/ (files of at most MOST bytes), record.json and metrics.csv."
    saved = checkpoint.load(run / "agent")
    result = json.loads((run / "result.json").read_text())
    half = {key: value.half() if value.is_floating_point() else value for key, value in saved["actor"].items()}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    checkpoint.save(folder / "agent", {"actor": half, "scales": saved["scales"],
                                         "config": portable(load_agent(run).config)}, most=MOST)
    shutil.copy(run / "metrics.csv", folder / "metrics.csv")
    agent = load_agent(folder)
    scenes = load_scenes(agent.config)[1]
    target = scenes.images()[torch.arange(len(scenes))].float() / 255
    error = torch.cat([mse(paint_many(agent, some), some) for some in target.split(64)]).mean().item()
    save_json(folder / "record.json", {"how": how, "held_out_error_in_half_precision": error,
                                       **{key: result[key] for key in KEPT if key in result}})
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    print(f"{folder.name}: {sum(sizes) / 1e6:.1f} MB in {len(sizes)} files, the largest {max(sizes) / 1e6:.1f} MB; "
          f"held-out error {error:.5f} (before halving {result['held_out_error']:.5f})")


if __name__ == "__main__":
    if len(sys.argv) != 4: sys.exit(__doc__)
    ship(Path(sys.argv[1]), WEIGHTS / sys.argv[2], sys.argv[3])
