"""A real S3-compatible server for tests: rclone, from its wheel, over HTTP, with credentials."""

import re
import secrets
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx2
import obstore
import pytest
from obstore.store import S3Store

_STARTED = re.compile(r"Starting s3 server on \[(http://[^/\]]+)/?\]")
_START_SECONDS = 20.0


@dataclass
class ObjectStoreServer:
    """One running server, with its own folder and its own key; `with` stops it."""

    folder: Path
    access_key_id: str = field(default_factory=lambda: secrets.token_hex(8))
    secret_access_key: str = field(default_factory=lambda: secrets.token_hex(16))
    endpoint: str = ""

    def __enter__(self) -> "ObjectStoreServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start on a free port of the server's choosing, or again on the port it had."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder.with_suffix(".log")
        address = self.endpoint.removeprefix("http://") or "127.0.0.1:0"
        with log.open("wb") as output:
            self._process = subprocess.Popen(self._command(address), stdout=output, stderr=output)
        try:
            self.endpoint = self._announced(log)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it at once, as a crash does; what was stored stays."""
        self._process.kill()
        self._process.wait()

    def new_bucket(self) -> str:
        """The name of a bucket that was just made and is empty."""
        name = f"bucket-{uuid4().hex[:12]}"
        store = S3Store(name, config=cast(Any, self.options), client_options={"allow_http": True})
        httpx2.put(obstore.sign(store, "PUT", "", timedelta(minutes=1))).raise_for_status()
        return name

    @property
    def options(self) -> dict[str, str | bool]:
        """What `open_storage` needs to reach it."""
        return {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "virtual_hosted_style_request": False,
        }

    def _command(self, address: str) -> list[str]:
        rclone = shutil.which("rclone", path=sysconfig.get_path("scripts")) or "rclone"
        key = f"{self.access_key_id},{self.secret_access_key}"
        return [rclone, "serve", "s3", "--config", "", "--addr", address, "--auth-key", key, str(self.folder)]

    def _announced(self, log: Path) -> str:
        """Where it listens: it says so once it does."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if found := _STARTED.search(log.read_text()):
                return found[1]
            time.sleep(0.01)
        raise RuntimeError(f"the object store did not start: {log.read_text()}")


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreServer]:
    """A server for the whole run; take a `new_bucket()` each."""
    with ObjectStoreServer(tmp_path_factory.mktemp("object-store") / "buckets") as server:
        yield server
