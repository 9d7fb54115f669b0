"""CPU seconds (user and system) until a command or an import is ready: fresh processes in turn, median of rounds.

OMP_NUM_THREADS=1 python benchmarks/startup.py
"""
import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from sgpaint.lab.machine import describe

HERE = Path(__file__).parent
JOBS = {
    "import torch": ("-c", "import torch"),
    "from sgpaint import paint": ("-c", "from sgpaint import paint"),
    "from sgpaint import train": ("-c", "from sgpaint import train"),
    "import sgpaint": ("-c", "import sgpaint"),
    "sgpaint --help": ("-m", "sgpaint", "--help"),
    "sgpaint --version": ("-m", "sgpaint", "--version"),
    "sgpaint paint --help": ("-m", "sgpaint", "paint", "--help"),
}
# What is to be reached: at most so many times `import torch`, or so many seconds.
TIMES = {"from sgpaint import paint": 1.3}
SECONDS = {"sgpaint --help": 0.3, "sgpaint --version": 0.3}


def seconds(words: tuple[str, ...]) -> float:
    "CPU seconds of one fresh interpreter."
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int) -> dict[str, dict[str, float]]:
    "Median seconds of every job, the jobs in turn; the first round fills caches and does not count."
    spent: dict[str, list[float]] = {name: [] for name in JOBS}
    for i in range(rounds + 1):
        for name, words in JOBS.items():
            taken = seconds(words)
            if i: spent[name].append(taken)
    torch = spent["import torch"]
    return {name: {"cpu_s": round(statistics.median(s), 3),
                   "times_torch": round(statistics.median(a / b for a, b in zip(s, torch, strict=True)), 2)}
            for name, s in spent.items()}


def missed(found: dict[str, dict[str, float]]) -> list[str]:
    "A sentence for each figure that is larger than what is to be reached."
    return [f"{name}: expected at most {most} times import torch, got {found[name]['times_torch']}"
            for name, most in TIMES.items() if found[name]["times_torch"] > most] + [
            f"{name}: expected at most {most} s, got {found[name]['cpu_s']}"
            for name, most in SECONDS.items() if found[name]["cpu_s"] > most]


def table(found: dict[str, dict[str, float]]) -> str:
    "The figures as markdown."
    rows = [f"| `{name}` | {row['cpu_s']:.2f} | {row['times_torch']:.2f} |" for name, row in found.items()]
    return "\n".join(["|  | CPU s | times `import torch` |", "| --- | --- | --- |", *rows])


def main() -> int:
    "Measure, keep the figures in startup.json and in README.md; 1 where something is too slow."
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    found = measure(parser.parse_args().rounds)
    (HERE / "startup.json").write_text(json.dumps({"rows": found, "machine": describe()}, indent=1) + "\n")
    readme = HERE / "README.md"
    section = f"<!-- startup -->\n\n{table(found)}\n\n<!-- /startup -->"
    readme.write_text(re.sub(r"<!-- startup -->.*<!-- /startup -->", lambda _: section, readme.read_text(), flags=re.S))
    print(table(found))
    for sentence in missed(found): print(sentence, file=sys.stderr)
    return bool(missed(found))


if __name__ == "__main__":
    sys.exit(main())
