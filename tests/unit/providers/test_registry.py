"""The table of providers."""

import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.errors import InvalidRequest
from darkroom.providers import registry
from darkroom.providers.dummy import Dummy

PLUGIN = """
from darkroom.providers.dummy import Dummy

class Mine(Dummy):
    pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a distribution with these entry points on the path, as `pip install` would."""

    def install(*points: str, modules: dict[str, str] | None = None) -> None:
        info = tmp_path / "someone_elses-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: someone-elses\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join(["[darkroom.providers]", *points]))
        for name, code in (modules or {}).items():
            (tmp_path / f"{name}.py").write_text(code)
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(tmp_path)

    return install


def test_a_built_in_provider_is_found_by_its_name() -> None:
    assert registry.load("dummy") is Dummy


def test_the_built_in_providers_are_listed() -> None:
    assert {"dummy", "sketch"} <= set(registry.names())
    assert registry.names() == sorted(registry.names())


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match=r"'dali'.*dummy.*sketch") as refusal:
        registry.load("dali")
    assert refusal.value.field == "provider"


def test_an_installed_package_adds_a_provider(install) -> None:
    install("mine = plugin_that_adds:Mine", modules={"plugin_that_adds": PLUGIN})
    assert "mine" in registry.names()
    assert registry.load("mine")(seed=1).describe("dummy")


def test_an_installed_package_cannot_take_the_name_of_a_built_in(install) -> None:
    install("dummy = plugin_that_takes:Mine", modules={"plugin_that_takes": PLUGIN})
    assert registry.load("dummy") is Dummy


@pytest.mark.parametrize(
    ("point", "code"),
    [
        ("gone = plugin_without:Mine", "import a_package_that_is_not_installed"),
        ("gone = plugin_without:Mine", "there = 'nothing'"),
        ("gone = no_such_plugin_module:Mine", ""),
    ],
)
def test_a_provider_that_cannot_be_imported_is_named(install, point: str, code: str) -> None:
    install(point, modules={"plugin_without": code})
    with pytest.raises(InvalidRequest, match="'gone' cannot be imported") as refusal:
        registry.load("gone")
    assert "\n" not in refusal.value.message


def test_nothing_is_imported_until_it_is_asked_for() -> None:
    code = (
        "import sys; from darkroom.providers import registry; registry.names();"
        "loaded = lambda: sorted(m for m in sys.modules if m in registry_modules);"
        "registry_modules = {path.partition(':')[0] for path in registry.BUILT_IN.values()};"
        "print(loaded()); registry.load('dummy'); print(loaded())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == ["[]", "['darkroom.providers.dummy']"]
