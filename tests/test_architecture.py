"""The shape of the package (DESIGN §3), read from its imports: nothing is run, nothing is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "aauthkit"

# Each line may import the lines above it. Names that share a line are beside each other and never import one another.
# DESIGN §3 draws `cli` above `demo`; `aauth demo` is a command, so the one import between them points this way.
LAYERS = (
    ("errors",),
    ("addresses", "clock", "codes", "telling"),
    ("identifiers",),
    ("drafts",),
    ("keys",),
    ("jwt",),
    ("httpsig",),
    ("sigkey",),
    ("headers",),
    ("tokens",),
    ("flow",),
    ("fetching",),
    ("trust",),
    ("discovery",),
    ("server_identity",),
    ("revocation",),
    ("revoking",),
    ("remembered",),
    ("verify",),
    # What the serving roles share: it knows requests and transactions, and no role.
    ("database", "describing", "serving"),
    ("agent", "resource", "agent_provider", "person_server", "access_server"),
    ("authz",),
    ("gateway",),
    ("observability",),
    ("demo",),
    ("cli",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# From the command line: what a page or a process is made of may appear there; elsewhere only in the places named.
ANYWHERE_FROM = ("demo/", "cli/")
STORAGE = ("database.py", "agent_provider/storage/", "person_server/storage/", "access_server/storage/")
WEB = (
    "describing.py",
    "serving.py",
    "resource/asgi.py",
    "resource/deferred.py",
    "resource/holding.py",
    "resource/protect.py",
    "resource/sessions.py",
    "resource/revocation.py",
    "agent_provider/web",
    "person_server/web",
    "authz/http.py",
)
FRAMEWORKS = {
    "a2a": (),
    "aiosqlite": STORAGE,
    "alembic": STORAGE,
    "click": (),
    "fastapi": (),
    "flask": (),
    "google": ("authz/", "gateway/"),
    "grpc": ("authz/grpc.py",),
    "jinja2": ("person_server/web",),
    "mcp": (),
    "scipy": (),
    "sqlalchemy": (*STORAGE, "person_server/web"),
    "starlette": (*WEB, "access_server/web"),
    "uvicorn": (),
    "yaml": ("authz/", "gateway/"),
}


@dataclass(frozen=True, kw_only=True)
class Import:
    """One import statement's target, and where it stands."""

    path: str
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.target}"

    @property
    def top(self) -> str:
        """The layer the importing file belongs to."""
        return self.path.partition("/")[0].removesuffix(".py")


def imports(package: Path) -> Iterator[Import]:
    """Every import in every file, also those inside functions and under TYPE_CHECKING."""
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        for node in ast.walk(ast.parse(path.read_text())):
            for target in _targets(node, relative):
                yield Import(path=str(relative), line=getattr(node, "lineno", 0), target=target)


def _targets(node: ast.AST, path: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = _absolute(node, path)
        # `from aauthkit import keys` names a module; `from aauthkit.keys import PublicKey` a thing in one.
        return [f"{base}.{alias.name}" for alias in node.names] if base == "aauthkit" else [base]
    return []


def _absolute(node: ast.ImportFrom, path: Path) -> str:
    if not node.level:
        return node.module or ""
    parents = ["aauthkit", *path.parts[:-1]]
    base = parents[: len(parents) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def wrong_directions(package: Path) -> list[str]:
    """Imports of ours that do not point upward in LAYERS."""
    found = []
    for item in imports(package):
        root, _, rest = item.target.partition(".")
        if root != "aauthkit" or item.path == "__init__.py":
            continue
        target = rest.partition(".")[0]
        if target != item.top and RANK.get(target, len(LAYERS)) >= RANK.get(item.top, -1):
            found.append(str(item))
    return found


def misplaced_frameworks(package: Path) -> list[str]:
    """Imports of a framework outside the places it has."""
    found = []
    for item in imports(package):
        framework = item.target.partition(".")[0]
        allowed = (*FRAMEWORKS.get(framework, ("",)), *ANYWHERE_FROM)
        if not item.path.startswith(allowed):
            found.append(str(item))
    return found


def test_imports_point_upward() -> None:
    assert wrong_directions(PACKAGE) == []


def test_every_module_has_its_place_in_the_order() -> None:
    present = {
        path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))
    }
    assert present - set(RANK) - {"__init__"} == set()


def test_frameworks_stay_in_their_places() -> None:
    assert misplaced_frameworks(PACKAGE) == []


def test_only_the_command_line_starts_the_demo() -> None:
    outside = [item for item in imports(PACKAGE) if item.target.startswith("aauthkit.demo") and item.top != "demo"]
    assert {item.path for item in outside} <= {"cli/demo.py"}


def test_every_import_from_elsewhere_is_declared() -> None:
    declared = declared_distributions("dependencies", "optional-dependencies")
    assert undeclared(declared, [layer for names in LAYERS for layer in names]) == []


def test_the_bare_library_needs_only_its_core_dependencies() -> None:
    """What signs, verifies, discovers and calls; httpx and segno are looked for and not required."""
    core = [layer for names in LAYERS[: RANK["verify"] + 1] for layer in names]
    assert undeclared(declared_distributions("dependencies") | {"httpx", "segno"}, [*core, "agent"]) == []


def declared_distributions(*tables: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements: list[str] = []
    for table in tables:
        entry = project[table]
        requirements += entry if isinstance(entry, list) else [line for lines in entry.values() for line in lines]
    return {_distribution(requirement) for requirement in requirements}


def _distribution(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def undeclared(declared: set[str], layers: list[str]) -> list[str]:
    distributions = metadata.packages_distributions()
    found = []
    for item in imports(PACKAGE):
        module = item.target.partition(".")[0]
        if item.top not in layers or module in sys.stdlib_module_names or module == "aauthkit":
            continue
        if not declared & {_distribution(name) for name in distributions.get(module, [module])}:
            found.append(str(item))
    return found


def planted(tmp_path: Path, path: str, source: str) -> Path:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("keys.py", "from aauthkit.jwt import parse\n"),
        ("keys.py", "from aauthkit import jwt\n"),
        ("keys.py", "import aauthkit.tokens.agent\n"),
        ("keys.py", "def late():\n    from aauthkit.verify import verify_request\n"),
        ("keys.py", "from . import jwt\n"),
        ("keys.py", "import aauthkit\n"),
        ("keys.py", "from aauthkit.nowhere import anything\n"),
        ("nowhere.py", "from aauthkit.cli import main\n"),
        ("agent/auth.py", "from aauthkit.resource.settings import Resource\n"),
        ("agent/auth.py", "from ..resource import settings\n"),
        ("person_server/tokens/auth_token.py", "from aauthkit.agent_provider import issuing\n"),
        ("authz/check.py", "from aauthkit.demo.supervisor import parts\n"),
        ("database.py", "import aauthkit.serving\n"),
    ],
)
def test_a_planted_wrong_direction_is_found(tmp_path: Path, path: str, source: str) -> None:
    assert len(wrong_directions(planted(tmp_path, path, source))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("jwt.py", "from aauthkit.keys import PublicKey\n"),
        ("jwt.py", "from aauthkit import keys\n"),
        ("agent/auth.py", "from aauthkit.agent import store\n"),
        ("agent/auth.py", "from . import store\n"),
        ("demo/backend/app.py", "from aauthkit.agent import Agent\n"),
        ("__init__.py", "from aauthkit.agent import Agent\n"),
        ("keys.py", "import json\n"),
    ],
)
def test_an_import_that_points_upward_is_not(tmp_path: Path, path: str, source: str) -> None:
    assert wrong_directions(planted(tmp_path, path, source)) == []


@pytest.mark.parametrize(
    ("path", "source", "count"),
    [
        ("verify.py", "from starlette.requests import Request\n", 1),
        ("person_server/tokens/auth_token.py", "import sqlalchemy as sa\n", 1),
        ("authz/check.py", "import grpc\n", 1),
        ("agent/auth.py", "from mcp import Client\n", 1),
        ("resource/asgi.py", "from starlette.requests import Request\n", 0),
        ("person_server/storage/schema.py", "import sqlalchemy as sa\n", 0),
        ("authz/grpc.py", "import grpc\n", 0),
        ("demo/tools/server.py", "from mcp import Client\n", 0),
        ("verify.py", "import json\n", 0),
    ],
)
def test_a_planted_framework_is_found_outside_its_places(tmp_path: Path, path: str, source: str, count: int) -> None:
    assert len(misplaced_frameworks(planted(tmp_path, path, source))) == count
