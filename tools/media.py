"""Paint the first pictures of README and of the tutorials by the agent of the package: tools/media.py.

Writes media/cat.json, a photograph (chelsea of scikit-image, CC0), and media/first_bird.json, a held-out built-in bird.
"""
from dataclasses import replace
from pathlib import Path

from skimage import data

from sgpaint.agent.trained import paint_with, shipped_agent
from sgpaint.lab.machine import set_threads
from sgpaint.scene.procedural import draw

MEDIA = Path(__file__).resolve().parents[1] / "media"
BIRD = 1099511627790  # the seed of a held-out bird

if __name__ == "__main__":
    set_threads(1)
    agent = shipped_agent()
    bird = draw("birds", BIRD, (256, 256)).image
    pictures = {"cat": (data.chelsea(), 300, "a cat in 300 strokes", "chelsea of scikit-image, CC0"),
                "first_bird": (bird, 100, "a bird it had never seen", f"birds, seed {BIRD}")}
    for name, (picture, strokes, title, what) in pictures.items():
        painting = paint_with(agent, picture, strokes, title)
        known = painting.provenance | {"picture": what, "command": "python tools/media.py"}
        replace(painting, provenance=known).save(MEDIA / f"{name}.json")
        print(f"{name}.json: {painting}")
