"""Train at full size in stretches: each call goes on where the last one stopped; at the end stand the weights, halved.

    python tools/sitting.py runs/painter --preset h100-small --minutes 9
    python tools/sitting.py runs/painter --preset h100 --minutes 9 dataset=celeba updates=200000

The state stands in RUN/checkpoints, in files of at most 16 MB, so that it can be carried to another machine. After the
last stretch RUN/half holds the weights, also in such files, their config, their record and the course of the training.
"""
import argparse
import json
import shlex
import sys
from pathlib import Path

from ship import MOST, ship

from sgpaint.agent.config import TrainConfig, configure
from sgpaint.agent.training import train
from sgpaint.lab import checkpoint


def chosen(words: list[str]) -> dict:
    "name=value words as parameters; a value is JSON where it can be, else text."
    values = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign: sys.exit(f"expected name=value, got {word!r}")
        try: values[name] = json.loads(value)
        except ValueError: values[name] = value
    return values


def carried(config: TrainConfig) -> None:
    "The newest checkpoint once more, in files that fit through a narrow door."
    newest = checkpoint.latest(Path(config.machine.out_dir) / "checkpoints")
    if newest is not None: checkpoint.save(newest, checkpoint.load(newest), most=MOST)


def main(words: list[str] | None = None) -> int:
    "0 when the run is finished, 3 when another stretch is wanted."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("--preset", default="h100-small")
    parser.add_argument("--minutes", type=float, default=9.0, help="of this stretch; 0: to the end")
    parser.add_argument("--smoke", action="store_true", help="a rehearsal of everything at the smallest size")
    parser.add_argument("choices", nargs="*", metavar="name=value", help="parameters of the training")
    asked = parser.parse_intermixed_args(words)
    config = configure(asked.preset, asked.smoke, **chosen(asked.choices), out_dir=str(asked.run))
    result = train(config, minutes=asked.minutes)
    carried(config)
    if result.result:
        ship(asked.run, asked.run / "half", f"python tools/sitting.py {shlex.join(words or sys.argv[1:])}")
        return 0
    last = result.rows[-1] if result.rows else {"step": 0}
    print(f"not finished: {last}; the same line goes on")
    return 3


if __name__ == "__main__": sys.exit(main())
