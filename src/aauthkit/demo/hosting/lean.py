"""Imports a library as if packages it can do without were not installed. Only for a process at its own start.

`a2a-sdk` imports SQLAlchemy, FastAPI and gRPC whenever they are there, for features an agent here does not use. Beside
the person server they always are there, and cost each agent more than a second of start and 30 MB.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNUSED_BY_AGENTS = ("sqlalchemy", "fastapi", "grpc")


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Make `import name` fail inside the block, for names that are not imported yet; afterwards it works again."""
    hiding = [name for name in names if name not in sys.modules]
    # None in sys.modules is Python's own way of saying that a module is not to be found.
    sys.modules.update(dict.fromkeys(hiding))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hiding:
            sys.modules.pop(name, None)
