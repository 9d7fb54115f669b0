"""Run every notebook at its smoke size (nbdev_test), then say how long they took."""
import re
import statistics
import subprocess
import sys
from pathlib import Path

MEDIAN, LONGEST = 10, 60  # seconds a notebook should take; reported, never a failure


def report(seconds: dict[str, int]) -> str:
    "One line on the notebooks' times, and one more for each notebook over its budget."
    name = max(seconds, key=lambda key: seconds[key])
    median = statistics.median(seconds.values())
    lines = [f"{len(seconds)} notebooks: median {median:.0f} s (budget {MEDIAN}), longest {seconds[name]} s ({name})"]
    lines += [f"over the budget of {LONGEST} s: {key}, {value} s" for key, value in seconds.items() if value > LONGEST]
    return "\n".join(lines)


def main() -> int:
    command = [str(Path(sys.executable).parent / "nbdev_test"), "--n_workers", "2", "--timing", "--do_print"]
    seconds = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if found := re.fullmatch(r"(.+\.ipynb): (\d+) secs\n", line):
                seconds[found[1]] = int(found[2])
    if seconds:
        print(report(seconds))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
