#!/usr/bin/env python3
"""Check the dependencies of every Cargo workspace against deny.toml, without cargo-deny.

The rules for licences and sources hold for all workspaces. The rules for versions hold for the main one,
which users build: each crate is there once, unless `skip` of deny.toml names it, and no crate of the
registry is required as `*`. Advisories need a database that only cargo-deny fetches.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MAIN = "Cargo.toml"
WORKSPACES = (MAIN, "bench/Cargo.toml", "fuzz/Cargo.toml", "services/Cargo.toml")
REGISTRY = "rust-lang/crates.io-index"

Package = dict[str, Any]


def packages_of(manifest: str) -> list[Package]:
    """Return every package that a workspace needs with any feature, as its Cargo.lock has it."""
    command = ["cargo", "metadata", "--quiet", "--format-version=1", "--locked", "--all-features"]
    done = subprocess.run(  # noqa: S603 (fixed words)
        [*command, f"--manifest-path={ROOT / manifest}"], stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        sys.exit(f"check_dependencies.py: cargo metadata fails for {manifest}")
    return json.loads(done.stdout)["packages"]


def is_met(expression: str, allowed: set[str]) -> bool:
    """Tell whether these licences meet a licence expression. `/` is an old way to write OR.

    Parentheses are dropped: in every expression that crates use, OR stands inside of them and AND outside.
    """
    flat = expression.replace("(", "").replace(")", "").replace("/", " OR ")
    parts = (part.split(" OR ") for part in flat.split(" AND "))
    return all(any(licence.strip() in allowed for licence in part) for part in parts)


def licence_problems(packages: list[Package], rules: dict[str, Any]) -> list[str]:
    """Name the packages whose licence deny.toml does not allow."""
    exceptions: dict[str, list[str]] = {one["crate"]: one["allow"] for one in rules.get("exceptions", [])}
    return [
        f"{package['name']} {package['version']} has the licence {package['license']!r}"
        for package in packages
        if not is_met(package["license"] or "", {*rules["allow"], *exceptions.get(package["name"], [])})
        and not (package["source"] is None and package["license"] is None)
    ]


def source_problems(packages: list[Package]) -> list[str]:
    """Name the packages that come from neither the public registry nor this repository."""
    return [
        f"{package['name']} comes from {package['source']}"
        for package in packages
        if package["source"] is not None and not package["source"].endswith(REGISTRY)
    ]


def version_problems(packages: list[Package], rules: dict[str, Any]) -> list[str]:
    """Name the crates that are there more than once, and the requirements that admit any version."""
    versions: dict[str, list[str]] = defaultdict(list)
    for package in packages:
        versions[package["name"]].append(package["version"])
    skipped = {one["crate"] for one in rules["skip"]}
    problems = []
    for name, found in versions.items():
        counted = [version for version in found if f"{name}@{version.split('.')[0]}" not in skipped]
        if len(counted) > 1:
            problems.append(f"{name} is there in several versions: {', '.join(sorted(found))}")
    for package in packages:
        if package["source"] is None:
            problems += [
                f"{package['name']} requires any version of {dependency['name']}"
                for dependency in package["dependencies"]
                if dependency["req"] == "*" and "path" not in dependency
            ]
    return problems


def main() -> None:
    """Print the problems of every workspace."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    failed = False
    for manifest in WORKSPACES:
        packages = packages_of(manifest)
        problems = licence_problems(packages, rules["licenses"]) + source_problems(packages)
        if manifest == MAIN:
            problems += version_problems(packages, rules["bans"])
        for problem in problems:
            print(f"{manifest}: {problem}", file=sys.stderr)
        failed = failed or bool(problems)
    sys.exit(failed)


if __name__ == "__main__":
    main()
