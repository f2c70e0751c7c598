"""Generates the message classes from ../proto when the package is installed, so that they cannot differ from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtoHook(BuildHookInterface[Any]):
    """Runs protoc; an editable install leaves its output beside the sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Generate `users_service/wire/*_pb2.py` and their type stubs."""
        from grpc_tools import protoc  # noqa: PLC0415 - a requirement of the build alone

        here = Path(self.root)
        protos = sorted((here.parent / "proto").glob("*.proto"))
        package = "users_service/wire"
        arguments = [
            "protoc",
            f"-I{package}={here.parent / 'proto'}",
            f"--python_out={here}",
            f"--pyi_out={here}",
            *(f"{package}/{proto.name}" for proto in protos),
        ]
        if not protos or protoc.main(arguments) != 0:
            raise RuntimeError(f"protoc failed on the contract in {here.parent / 'proto'}")
