"""`python -m tests.fuzz [TARGET...]`: coverage-guided fuzzing with atheris, ``FUZZ_SECONDS`` for each target.

Each target has a process of its own, because libFuzzer ends the one it runs in. Fails when one crashes, hangs or eats
memory, and says with which bytes: those go into `crashes.json`, with what was wrong.
"""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SECONDS = int(os.environ.get("FUZZ_SECONDS", "20"))
# A target reads an input of the largest size in a few milliseconds; this long is a hang.
HANG_SECONDS = 10
LARGEST_BYTES = 8192
MEGABYTES = 2048
# In the environment of a child: the one target it fuzzes.
_TARGET = "FUZZ_TARGET"


def main(names: list[str]) -> int:
    """Fuzz the named targets, or all, one after the other; the exit status is 1 when one of them failed."""
    from tests.fuzz.targets import TARGETS

    unknown = set(names) - TARGETS.keys()
    if unknown:
        print(f"fuzz: there is no target {' '.join(sorted(unknown))}; there are: {' '.join(TARGETS)}", file=sys.stderr)
        return 2
    failed = [name for name in names or TARGETS if not _survives(name)]
    return 1 if failed else 0


def _survives(name: str) -> bool:
    with TemporaryDirectory(prefix="fuzz-") as folder:
        found = Path(folder) / "found"
        found.mkdir()
        child = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", folder],
            env={**os.environ, _TARGET: name},
            capture_output=True,
            text=True,
            check=False,
        )
        runs = next((line.split()[1] for line in child.stderr.splitlines() if line.startswith("Done ")), "?")
        print(f"fuzz: {name}: {'ok' if child.returncode == 0 else 'FAILED'}, {runs} runs", flush=True)
        if child.returncode != 0:
            print(child.stdout, child.stderr, sep="\n")
            for path in found.iterdir():
                print(f"fuzz: {name}: {path.name.partition('-')[0]} with {path.read_bytes()!r}")
        return child.returncode == 0


def _fuzz(name: str, folder: Path) -> None:
    """In the child: never returns."""
    # By name: it is not in the environment the checkers look at.
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["aauthkit", "http_sf"]):
        from tests.fuzz.targets import TARGETS

    corpus = folder / "corpus"
    corpus.mkdir()
    for seed in TARGETS[name].seeds():
        (corpus / sha256(seed).hexdigest()).write_bytes(seed)
    options = {
        "max_total_time": SECONDS,
        "timeout": HANG_SECONDS,
        "max_len": LARGEST_BYTES,
        "rss_limit_mb": MEGABYTES,
        "artifact_prefix": f"{folder / 'found'}/",
        "print_final_stats": 0,
    }
    atheris.Setup([name, *(f"-{option}={value}" for option, value in options.items()), str(corpus)], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    if _TARGET in os.environ:
        _fuzz(os.environ[_TARGET], Path(sys.argv[1]))
    raise SystemExit(main(sys.argv[1:]))
