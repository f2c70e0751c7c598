#!/usr/bin/env python3
"""Check that no source file has more than 450 lines and no function more than 60.

Reads Rust, Go, Python, C and C++. Unit tests at the end of a Rust file do not count. Functions are found
by their indentation, since the formatters of these languages fix it. The table under the heading
"Longer than the rule" in ARCHITECTURE.md lists the exceptions, as `path` for a file and `path::name` for a
function. An entry that is not needed any more is an error, too.
"""

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = 450
MOST_LINES_OF_A_FUNCTION = 60
HEADING = "## Longer than the rule"

RUST = re.compile(r'\s*(?:pub(?:\([a-z]+\))? )?(?:const |async |unsafe |extern "C" )*fn (\w+)')
GO = re.compile(r"func (?:\([^)]*\) )?(\w+)")
# A definition at the outermost level or in a class: its line ends in `{` and names a function.
NO_FUNCTION = "if|for|while|switch|else|do|namespace|struct|class|enum|return|static_assert"
C = re.compile(rf"(?:    )?(?!{NO_FUNCTION})[\w:~].*?([\w~]+)\(.*\{{$")
STARTS = {"rs": RUST, "go": GO, "c": C, "cc": C, "cpp": C, "h": C, "hpp": C}


def sources() -> list[Path]:
    """Return every source file that git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"],  # noqa: S607
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    paths = (Path(line) for line in listed.stdout.splitlines())
    return [path for path in paths if path.suffix[1:] in {*STARTS, "py"} and (ROOT / path).is_file()]


def braced_functions(lines: list[str], start: re.Pattern[str]) -> Iterator[tuple[str, int]]:
    """Yield the name and the length of each function that ends with a brace at its own indentation."""
    begun: tuple[str, int, int] | None = None
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        found = start.match(line)
        if found and not line.rstrip().endswith(";") and (begun is None or indent <= begun[2]):
            begun = (found[1], number, indent)
        elif begun and indent == begun[2] and line.lstrip().startswith("}"):
            yield begun[0], number - begun[1] + 1
            begun = None


def python_functions(text: str) -> Iterator[tuple[str, int]]:
    """Yield the name and the length of each function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def too_long(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the entry and a description of what exceeds the limits in a file."""
    text = (ROOT / path).read_text()
    lines = text.splitlines()
    code = len(lines)
    if path.suffix == ".rs":
        code = next((number for number, line in enumerate(lines) if line.startswith("#[cfg(test)]")), code)
    if code > MOST_LINES:
        yield str(path), f"{code} lines"
    if path.suffix == ".py":
        functions = python_functions(text)
    else:
        functions = braced_functions(lines, STARTS[path.suffix[1:]])
    for name, count in functions:
        if count > MOST_LINES_OF_A_FUNCTION:
            yield f"{path}::{name}", f"a function of {count} lines"


def exceptions() -> set[str]:
    """Return the entries of the table in ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    section = text.partition(HEADING)[2].partition("\n## ")[0]
    rows = (line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    return {entry for row in rows for entry in re.findall(r"`([^`]+)`", row)}


def main() -> None:
    """Print what exceeds the limits and is no exception, and exceptions that are not needed."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = {entry: what for path in sources() for entry, what in too_long(path)}
    allowed = exceptions()
    for entry in sorted(found.keys() - allowed):
        print(f"{entry}: {found[entry]}; split it, or say in ARCHITECTURE.md why not", file=sys.stderr)
    for entry in sorted(allowed - found.keys()):
        print(f"ARCHITECTURE.md: {entry} is not too long any more", file=sys.stderr)
    sys.exit(found.keys() != allowed)


if __name__ == "__main__":
    main()
