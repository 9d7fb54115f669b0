"""An update in bf16 against float32 on this machine: python benchmarks/precision.py [ROUNDS].

Prints a line for each preset: median CPU milliseconds of one update in each precision, taking turns, and their ratio.
More than 1: bf16 is faster. A processor without instructions for bf16 (amx_bf16, avx512_bf16) emulates them.
"""
import sys
import tempfile
from functools import partial
from pathlib import Path

from run import alternate, one_update
from sgpaint.agent.config import configure
from sgpaint.agent.training import Session

PRESETS = {"small": {}, "dense": {}, "paper": dict(size=64, rewards="l2", learning_starts=1, num_envs=16)}


def session(preset: str, precision: str) -> Session:
    "A session on 64 pictures whose next update can be timed; 16 transitions an update, no replay buffer."
    made = Session(configure(preset, **PRESETS[preset], images=64, batch=16, buffer_episodes=0, precision=precision,
                             dataset="birds", source="builtin", device="cpu", threads=1, out_dir=tempfile.mkdtemp()))
    made.collect(1)
    return made


def flags() -> list[str]:
    "What the processor says that it can do with bf16."
    info = Path("/proc/cpuinfo")
    found = info.read_text().split() if info.exists() else []
    return sorted({flag for flag in found if "bf16" in flag})


def main() -> None:
    "Print the table."
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(f"bf16 of this processor: {', '.join(flags()) or 'none'}\n")
    print("| preset | fp32, ms an update | bf16, ms | times faster |\n| --- | --- | --- | --- |")
    for preset in PRESETS:
        ways = {precision: partial(one_update, session(preset, precision)) for precision in ("fp32", "bf16")}
        fp32, bf16 = alternate(ways, rounds, "fp32").values()
        numbers = f"{fp32['median_ms']:.0f} | {bf16['median_ms']:.0f} | {bf16['times_faster']:.2f}"
        print(f"| {preset} | {numbers} |", flush=True)


if __name__ == "__main__": main()
