"""The rendered references: complete, and true enough to be loaded back."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from darkroom.settings import Settings, load
from darkroom.settings.schema import ANY_NAME, ITEM, Entry, dotted, entries, env_name
from darkroom.settings_reference import Format, render_reference

ENTRIES = list(entries())
SETTABLE = [entry for entry in ENTRIES if ITEM not in entry.path]


def uncomment(text: str) -> str:
    """Every line that sets something or opens a table, without its comment sign."""
    return re.sub(r"^# (?=DARKROOM_\w+=|[a-z_]+ = |\[[\w.]+\]$)", "", text, flags=re.MULTILINE)


def test_the_walk_finds_what_pydantics_own_schema_finds():
    schema = Settings.model_json_schema()

    def leaves(node: dict[str, Any], path: str) -> Iterator[str]:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        nested = [(name, below) for name, below in node.get("properties", {}).items()]
        nested += [
            (step, node[key]) for step, key in ((ANY_NAME, "additionalProperties"), (ITEM, "items")) if key in node
        ]
        sections = [(step, below) for step, below in nested if isinstance(below, dict)]
        for step, below in sections:
            yield from leaves(below, f"{path}.{step}".removeprefix("."))
        if not sections or node.get("type") == "array":
            yield path

    found = {path for path in leaves(schema, "") if not path.endswith(ITEM)}
    assert found == {".".join(entry.path) for entry in ENTRIES}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: ".".join(entry.path))
def test_every_setting_is_described(entry: Entry):
    assert entry.field.description
    assert entry.field.description.endswith(".")
    assert entry.kind.in_words
    if entry.default is None:
        assert entry.sample is not None


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: ".".join(entry.path))
def test_every_setting_is_in_each_format(entry: Entry):
    description = entry.field.description or ""
    way = dotted(entry.path).replace(f".{ITEM}", ITEM)
    assert re.search(rf"`{re.escape(way)}` \|.*{re.escape(description)} \|$", render_reference("markdown"), re.M)
    env, toml = render_reference("env"), render_reference("toml")
    assert description in env
    assert description in toml
    if entry in SETTABLE:
        assert f"`{env_name(entry.path)}`" in render_reference("markdown")
        assert re.search(rf"^# {re.escape(env_name(entry.named))}=", env, re.M)
        assert re.search(rf"^# {entry.path[-1]} = ", toml, re.M)


def test_the_env_example_uncommented_changes_nothing(tmp_path: Path):
    (tmp_path / ".env").write_text(uncomment(render_reference("env")), encoding="utf-8")
    lines = (tmp_path / ".env").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.startswith("DARKROOM_")]) == len(SETTABLE)
    from_example = load({}, tmp_path)
    (tmp_path / ".env").unlink()
    assert from_example == load({}, tmp_path)


def test_the_toml_example_uncommented_sets_everything(tmp_path: Path):
    (tmp_path / "darkroom.toml").write_text(uncomment(render_reference("toml")), encoding="utf-8")
    settings = load({}, tmp_path)
    assert settings.database == "postgresql://darkroom:password@localhost/darkroom"
    for entry in SETTABLE:
        value: object = settings
        for key in entry.named:
            value = value[key] if isinstance(value, dict) else getattr(value, key)
        assert value is not None, entry.path


@pytest.mark.parametrize("example", ["env", "toml"])
def test_an_example_as_it_is_sets_nothing(example: Format):
    lines = render_reference(example).splitlines()
    assert all(not line or line.startswith("#") for line in lines)


def test_tables_are_whole():
    rows = [line for line in render_reference("markdown").splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
