"""Supervises a plan read from a file, as `aauth demo` supervises its own. Run as a program by the tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from aauthkit.demo.supervisor import commands
from aauthkit.demo.supervisor.part import Address, Health, Part, Preparation
from aauthkit.demo.supervisor.runner import Plan
from aauthkit.errors import AAuthError


def part_of(row: dict[str, Any]) -> Part:
    return Part(
        name=row["name"],
        argv=[sys.executable, str(Path(__file__).with_name("fake_part.py")), str(row["port"]), *row["arguments"]],
        listens=(Address(host=row["host"], port=row["port"]),),
        health=Health(url=f"http://127.0.0.1:{row['port']}/health"),
        after=tuple(row["after"]),
        prepare=tuple(Preparation(argv=step["argv"], saves_as=step["saves_as"]) for step in row["prepare"]),
        url=f"http://127.0.0.1:{row['port']}",
        about="a test's",
    )


def main() -> None:
    state, plan, *flags = sys.argv[1:]
    document = json.loads(Path(plan).read_text())
    parts = [part_of(row) for row in document["parts"]]
    try:
        status = commands.start(
            Path(state),
            lambda: Plan(parts=parts, only_loopback=document["only_loopback"]),
            detach="--detach" in flags,
        )
    except AAuthError as error:
        sys.exit(f"Error: {error}")
    sys.exit(status)


if __name__ == "__main__":
    main()
