"""Where the pictures of a benchmark go, in the words of both services."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from darkroom.stack.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Store:
    """Variables that name a store: for Darkroom without its prefix, and for the bare service."""

    darkroom: Mapping[str, str]
    bare: Mapping[str, str]


@contextmanager
def files(folder: Path) -> Iterator[Store]:
    """A folder of this machine."""
    url = (folder / "files").as_uri()
    yield Store({"STORAGE_URL": url}, {"BARE_STORE": url})


@contextmanager
def s3(folder: Path) -> Iterator[Store]:
    """An S3 server of this machine."""
    store = ObjectStore(folder)
    store.start()
    try:
        bucket = store.new_bucket()
        names = {"access_key_id": store.access_key_id, "secret_access_key": store.secret_access_key}
        ours = {f"STORAGE_OPTIONS__{name.upper()}": value for name, value in names.items()}
        yield Store(
            {
                "STORAGE_URL": f"s3://{bucket}", "STORAGE_OPTIONS__ENDPOINT": store.endpoint,
                "STORAGE_OPTIONS__ALLOW_HTTP": "true", **ours,
            },
            {
                "BARE_STORE": f"s3://{bucket}", "AWS_ENDPOINT_URL": store.endpoint, "AWS_REGION": "us-east-1",
                **{f"AWS_{name.upper()}": value for name, value in names.items()},
            },
        )  # fmt: skip
    finally:
        store.stop()
