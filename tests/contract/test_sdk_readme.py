"""What client/README.md shows runs as it stands there."""

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from darkroom_client import Darkroom
from services.app import App

README = Path(__file__).parents[2] / "client" / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_every_block_runs(
    sqlite_app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One after the other, in one application."""
    monkeypatch.setenv("DARKROOM_URL", sqlite_app.url)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "application"}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"{README}, block {number + 1}", "exec", dont_inherit=True), names)
    assert {path.name for path in tmp_path.iterdir()} >= {"fox.png", "owls", "a fox.png", "an owl.png", "a hare.png"}
    assert list(names["paths"]) == sorted(Path("owls").iterdir())
    assert "parameters.colour" in capsys.readouterr().out
    check_webhook(names)


def check_webhook(names: dict[str, Any]) -> None:
    (secret,) = set(re.findall(r"whsec_\w+", "".join(BLOCKS)))
    with Darkroom() as darkroom:
        media = dict(darkroom.submit("a fox", model="dummy").raw)
    at = datetime.now(UTC)
    body = json.dumps({"type": "media.completed", "timestamp": at.isoformat(), "data": media})
    signature = Webhook(secret).sign("msg_1", at, body)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    assert names["receive"](body.encode(), headers) == 204
    assert names["receive"](body.encode() + b" ", headers) == 400
    assert base64.b64decode(secret.removeprefix("whsec_"))


def test_there_are_blocks_for_all_of_it() -> None:
    assert len(BLOCKS) == 8
