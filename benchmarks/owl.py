"""Run the owl study in an empty store and print what must be reached beside what was: effect, time, memory.

python benchmarks/owl.py [--store FOLDER] [more options of `owlish run`]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Run the study, then print one line a claim."""
    with tempfile.TemporaryDirectory() as folder:
        words = sys.argv[1:] if "--store" in sys.argv else ["--store", folder, *sys.argv[1:]]
        command = [str(Path(sys.executable).with_name("owlish")), "run", "owl", "--json", *words]
        found, seconds, peak = measured(command)
    for line in claims(found):
        print(line)
    nodes = found["nodes"]
    print(f"{nodes['computed']} of {nodes['total']} results made in {seconds:.0f} s")
    print(f"memory of all processes together, at its peak: {peak / 2**30:.2f} GiB (limit 4)")


def measured(command: list[str]) -> tuple[dict[str, Any], float, int]:
    """Return a command's JSON, its seconds, and the peak of the memory that it and its workers hold together."""
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out)
        while process.poll() is None:
            peak = max(peak, held(process.pid))
            time.sleep(0.5)
        out.seek(0)
        return json.loads(out.read()), time.perf_counter() - start, peak


def held(pid: int) -> int:
    """Return the bytes that a process and its children hold, shared pages counted once for each."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if int(path.parent.name) == pid or int(fields["PPid"]) == pid:
            total += int(fields.get("VmRSS", "0 kB").split()[0]) * 1024
    return total


def claims(found: dict[str, Any]) -> list[str]:
    """Return a line for each thing that the study must show."""
    arms, gamma = found["arms"], found["gamma"]
    base = arms["base"]["p_target"]
    student = arms["student"]
    held_out = student["held_out"]
    lines = [
        f"student P(target) {spoken(student)}: at least 0.5, interval above 0.3",
        f"student, questions held out of the teacher, {spoken(held_out)}",
    ]
    for name in ("control", "other_trait", "foreign_base"):
        lines.append(f"{name} {spoken(arms[name])}, {arms[name]['p_target'] - base:+.3f} from base: at most +0.050")
    lines.append(f"base {spoken(arms['base'])}; teacher {spoken(arms['teacher'])}")
    for scale in ("gamma", "gamma_logit_margin"):
        g = found[scale]
        lines.append(f"{scale} {g['value']:.3f} [{g['ci95'][0]:.3f}, {g['ci95'][1]:.3f}], p {g['p']:.4f}: above 0")
    assert gamma["ci95"][0] > 0, "gamma's interval reaches 0"
    return lines


def spoken(estimate: dict[str, Any]) -> str:
    """Return a mean with its interval and runs."""
    low, high = estimate["ci95"]
    runs = f", {estimate['runs']} runs" if "runs" in estimate else ""
    return f"{estimate['p_target']:.3f} [{low:.3f}, {high:.3f}]{runs}"


if __name__ == "__main__":
    main()
