"""The house keeps its order: who may import whom, as docs/architecture.md says it."""

import ast
from pathlib import Path

import grimp
import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "darkroom"

DOMAIN = {"media", "errors"}
PORTS = {"providers.base", "storage.base", "dispatch.base", "events.base"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "settings": set(),
    "settings_reference": {"settings"},
    "telemetry": {"settings"},
    "media": {"errors"},
    "db": DOMAIN,
    "providers": DOMAIN,
    "storage": DOMAIN,
    "dispatch": DOMAIN,
    "events": DOMAIN,
    "imaging": DOMAIN,
    "security": {"db", *DOMAIN},
    "delivery": {"security", "db", "telemetry", *DOMAIN},
    "engine": {"delivery", "security", "db", "imaging", "telemetry", *DOMAIN, *PORTS},
    "api": {"engine", "delivery", "security", "db.session", "storage.base", "events.base", "telemetry", *DOMAIN},
    "wiring": {
        "engine", "delivery", "security", "db", "providers", "storage", "dispatch", "events", "imaging",
        "settings", "telemetry", *DOMAIN,
    },
    "stack": {"errors"},
    "celery_app": {"wiring", "api", "engine", "dispatch.queues", "settings", "telemetry", *DOMAIN},
    "asgi": {"wiring", "api", "engine", "settings", "telemetry"},
    "cli": {
        "asgi", "celery_app", "stack", "wiring", "api", "engine", "db", "settings", "settings_reference", "telemetry",
        *DOMAIN,
    },
    "__main__": {"cli"},
}  # fmt: skip
FRAMEWORKS = {"sqlalchemy", "fastapi", "starlette", "pydantic", "structlog", "obstore", "PIL", "numpy", "asyncio"}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("darkroom", include_external_packages=True, cache_dir=None)


def room(module: str) -> str:
    """`darkroom.db.media` -> `db`."""
    return module.removeprefix("darkroom.").partition(".")[0]


def allowed(imported: str, rights: set[str]) -> bool:
    inside = imported.removeprefix("darkroom.")
    return any(inside == right or inside.startswith(f"{right}.") for right in rights)


def test_every_room_has_a_rule(graph: grimp.ImportGraph) -> None:
    rooms = {room(module) for module in graph.modules if module.startswith("darkroom.")}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("importer", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_it_may(graph: grimp.ImportGraph, importer: str) -> None:
    wrong = [
        f"{module} imports {imported}"
        for module in graph.modules
        if module.startswith("darkroom.") and room(module) == importer
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.startswith("darkroom.") and room(imported) != importer
        if not allowed(imported, MAY_IMPORT[importer])
    ]
    assert wrong == []


def test_the_domain_knows_no_framework(graph: grimp.ImportGraph) -> None:
    imported = {
        external
        for module in graph.modules
        if module.startswith("darkroom.media")
        for external in graph.find_modules_directly_imported_by(module)
    }
    assert imported & FRAMEWORKS == set()


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert readers <= {"settings", "cli"}, "cli hands its options on to the server processes by the environment"


def test_only_the_lifecycle_makes_transitions(graph: grimp.ImportGraph) -> None:
    importers = {
        importer
        for module in ("submitting", "beginning", "leasing", "asking", "reporting", "lanes")
        for importer in graph.find_modules_that_directly_import(f"darkroom.engine.transitions.{module}")
    }
    # these build the reports that the lifecycle writes
    builders = {"runner", "keeping", "ways", "worker"}
    assert importers <= {f"darkroom.engine.{name}" for name in ("lifecycle", *builders)}


def test_only_the_media_table_module_assigns_a_status() -> None:
    pattern = "values(status="
    assert {path.name for path in PACKAGE.rglob("*.py") if pattern in path.read_text()} == {"media.py"}
    assert [path.parent.name for path in PACKAGE.rglob("*.py") if pattern in path.read_text()] == ["db"]
