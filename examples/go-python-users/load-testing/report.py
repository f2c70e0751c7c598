"""Turns the samples of a load test into LOAD_TEST_RESULTS.md and a plot: `report.py SAMPLES_FOLDER OUTPUT_FOLDER`."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib import pyplot as plt

WAYS = {
    "api": "REST (`users-via-api`)",
    "shm": "HTTP signal + file in shared memory (`users-via-shm`)",
    "eshm": "ESHM (`users-via-eshm`)",
}
MODES = {
    "single": "single: one user without think time",
    "closed": "closed: {users} users without think time",
    "users": "users: {users} users, 10 more per second at first, 1 to 3 s of think time",
}
PERCENTILES = [50, 90, 95, 99]


@dataclass
class Cell:
    """What one way did with one size in one mode, all rounds together."""

    ms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    seconds: float = 0
    busy: float = 0
    failures: Counter[str] = field(default_factory=Counter)
    bytes: int = 0

    def percentile(self, percent: float) -> float:
        """Return the response time that so many percent do not exceed."""
        return self.ms[max(0, math.ceil(len(self.ms) * percent / 100) - 1)] if self.ms else math.nan

    @property
    def rate(self) -> float:
        """Return requests per second, of the median round."""
        return sorted(self.rates)[len(self.rates) // 2]


Table = dict[str, dict[str, dict[str, Cell]]]  # mode, size, way


def read(folder: Path) -> tuple[Table, dict[str, int]]:
    """Read MODE_USERS_SIZE_WAY_ROUND.json, in the order of the sizes."""
    table: Table = {}
    users: dict[str, int] = {}
    for path in folder.glob("*.json"):
        mode, count, size, way, _ = path.stem.split("_")
        samples = json.loads(path.read_text())
        users[mode] = int(count)
        cell = table.setdefault(mode, {}).setdefault(size, {}).setdefault(way, Cell())
        cell.ms += samples["ms"]
        cell.rates.append(len(samples["ms"]) / samples["seconds"])
        cell.seconds += samples["seconds"]
        cell.busy += samples["busy"]
        cell.failures.update(samples["failures"])
        cell.bytes = max(cell.bytes, samples["bytes"])
    for sizes in table.values():
        for ways in sizes.values():
            for cell in ways.values():
                cell.ms.sort()
    by_size = {
        mode: dict(sorted(table[mode].items(), key=lambda entry: entry[1]["api"].bytes))
        for mode in MODES
        if mode in table
    }
    return by_size, users


def render(table: Table, users: dict[str, int], plot: str) -> str:
    """Return the report."""
    lines = ["# Load test results", "", *machine(), ""]
    total = sum(sum(cell.failures.values()) for _, _, _, cell in cells(table))
    requests = sum(len(cell.ms) for _, _, _, cell in cells(table))
    checked = "Each answer was checked: its own request's, and whole."
    lines += [f"{requests} requests succeeded and {total} failed. {checked}", ""]
    lines += verdicts(table)
    lines += ["", f"![p50 and p99 by size]({plot})", ""]
    for mode in table:
        lines += [f"## {MODES[mode].format(users=users[mode])}", ""]
        heads = ["answer", "way", "requests/s", *(f"p{percent} ms" for percent in PERCENTILES), "max ms", "failures"]
        heads += ["Locust busy"]
        lines += ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
        for size, ways in table[mode].items():
            for way in WAYS:
                lines.append(row(size, way, ways[way]))
        lines.append("")
    for mode, size, way, cell in cells(table):
        for reason, count in cell.failures.items():
            lines.append(f"- {mode}, {size}, {way}: {count} × {reason}")
    lines += [
        "Response times are those that Locust's clients see, over HTTP from the Go API; rounds are interleaved, so",
        "that what disturbs one way disturbs all. Each process, Locust included, shares the machine with the others,",
        "and Locust runs on one processor: the busier it is, the longer its users wait for each other, and the more",
        "the response times tell of Locust. The mode with a single user has no such wait.",
        "The Python service keeps the JSON of what is asked for often, so the figures are those of the way, and not of",
        "`json.dumps`.",
    ]
    return "\n".join(lines) + "\n"


def cells(table: Table) -> list[tuple[str, str, str, Cell]]:
    """Return all cells, and where each is."""
    return [
        (mode, size, way, cell)
        for mode, sizes in table.items()
        for size, ways in sizes.items()
        for way, cell in ways.items()
    ]


def row(size: str, way: str, cell: Cell) -> str:
    """Return a line of the table."""
    times = [*(cell.percentile(percent) for percent in PERCENTILES), cell.ms[-1] if cell.ms else math.nan]
    figures = [f"{cell.rate:.0f}", *(f"{ms:.2f}" for ms in times)]
    figures += [str(sum(cell.failures.values())), f"{cell.busy / cell.seconds:.0%}"]
    return f"| {size} ({cell.bytes:,} bytes) | {WAYS[way]} | " + " | ".join(figures) + " |"


def verdicts(table: Table) -> list[str]:
    """Return from which size on each kind of shared memory beats REST."""
    lines = []
    for mode, sizes in table.items():
        for way in ("eshm", "shm"):
            for percent in (50, 99):
                wins = [ways[way].percentile(percent) < ways["api"].percentile(percent) for ways in sizes.values()]
                first = next((index for index in range(len(wins)) if all(wins[index:])), None)
                if first == 0:
                    text = "at every size"
                elif first is None:
                    text = "not at the largest size" + (", though at some" if any(wins) else ", nor at any other")
                else:
                    text = f"from {list(sizes)[first]} on"
                lines.append(f"- {mode} mode, p{percent}: {WAYS[way]} is faster than REST {text}.")
    return lines


def machine() -> list[str]:
    """Return where and with what this was measured."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return [
        f"- {model}, {os.cpu_count()} processors, Linux {platform.release()}",
        f"- {said('go', 'version')}, Python {platform.python_version()}",
        f"- {said('locust', '--version').split(' from ')[0]}",
        f"- commit {said('git', 'rev-parse', '--short', 'HEAD')}",
    ]


def said(*command: str) -> str:
    """Return what a command says, or that it does not."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return f"{command[0]}: unknown"
    return result.stdout.strip()


def draw(table: Table, path: Path) -> None:
    """Draw p50 and p99 by size, one panel per mode."""
    plt.switch_backend("svg")
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, panels = plt.subplots(1, len(table), figsize=(6 * len(table), 4.5), squeeze=False)
    for panel, (mode, sizes) in zip(panels[0], table.items(), strict=True):
        for way, colour in zip(WAYS, ["tab:blue", "tab:orange", "tab:green"], strict=True):
            size = [ways[way].bytes for ways in sizes.values()]
            for percent, style in ((50, "-"), (99, "--")):
                times = [ways[way].percentile(percent) for ways in sizes.values()]
                panel.plot(size, times, style, color=colour, marker="o", label=f"{way} p{percent}")
        panel.set(xscale="log", yscale="log", xlabel="bytes per answer", ylabel="ms", title=f"{mode} mode")
        panel.grid(visible=True, which="both", alpha=0.3)
        panel.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("samples", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    table, users = read(args.samples)
    draw(table, args.output / "load_test.svg")
    report = render(table, users, "load_test.svg")
    (args.output / "LOAD_TEST_RESULTS.md").write_text(report)
    print(report)


main()
