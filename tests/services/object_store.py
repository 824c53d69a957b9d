"""A real S3-compatible server for tests, over HTTP, with credentials."""

from collections.abc import Iterator

import pytest

from darkroom.errors import NotInstalled
from darkroom.stack.objects import ObjectStore
from services.needs import missing


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A server for the whole run; take a `new_bucket()` each."""
    try:
        server = ObjectStore(tmp_path_factory.mktemp("object-store"))
    except NotInstalled as error:
        missing(error.message)
    with server:
        yield server
