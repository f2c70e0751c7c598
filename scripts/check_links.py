#!/usr/bin/env python3
"""Check the links and the paths in documents.

A link between documents leads to a file that exists and to a heading that it has. A path in code quotes, such
as `scripts/test.sh` or `core/tests/files.rs::a_test`, names a file of this repository; CHANGELOG.md may name
files that no longer exist.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()\s]*\))?)\)")
PATH = re.compile(
    r"`(?:\./)?([\w.-]+(?:/[\w.-]+)+\.(?:c|cc|cpp|go|h|hpp|json|md|proto|py|rs|sh|toml))(?:::\w+)?`"
)
HEADING = re.compile(r"^#{1,6} +(.*?)#* *$", re.MULTILINE)


def documents() -> list[Path]:
    """Return every Markdown file that git tracks or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "*.md"]
    found = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout  # noqa: S603 (fixed words)
    return [ROOT / name for name in found.splitlines() if (ROOT / name).is_file()]


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(FENCE.sub("", document.read_text())):
        text = LINK.sub("]", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
        if found[slug]:
            found[f"{slug}-{found[slug]}"] = 0
    return set(found)


def problems(document: Path) -> list[str]:
    """Name the links of a document that lead nowhere."""
    found = []
    for target in LINK.findall(CODE.sub("", FENCE.sub("", document.read_text()))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (document.parent / path).resolve() if path else document
        if not goal.exists():
            found.append(f"{document.relative_to(ROOT)}: {target} does not exist")
        elif anchor and goal.suffix == ".md" and anchor not in anchors(goal):
            found.append(f"{document.relative_to(ROOT)}: {target}: there is no such heading")
    return found


def missing_paths(document: Path) -> list[str]:
    """Name the paths in code quotes that do not exist, seen from the root or from the document's folder."""
    if document.name == "CHANGELOG.md":
        return []
    found = []
    for path in PATH.findall(FENCE.sub("", document.read_text())):
        bases = [base for base in (ROOT, document.parent) if (base / path.split("/")[0]).exists()]
        if bases and not any((base / path).exists() for base in bases):
            found.append(f"{document.relative_to(ROOT)}: {path} does not exist")
    return found


def main() -> None:
    """Print every link and path that leads nowhere."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = [problem for document in documents() for problem in problems(document) + missing_paths(document)]
    for problem in found:
        print(problem, file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
