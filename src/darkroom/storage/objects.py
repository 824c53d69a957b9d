"""Pictures in an object store: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import obstore
from obstore.exceptions import BaseError, GenericError
from obstore.store import AzureStore, GCSStore, S3Store

from darkroom.errors import MissingObject, StorageUnavailable
from darkroom.storage.keys import CHUNK, checked_key, checked_prefix, checked_range, is_key

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

_STORES: Mapping[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
_PROBE = ".check"
_DELETE_AT_ONCE = 1000
_LONGEST_LINK = timedelta(days=7)  # what S3 and Google Cloud Storage allow

# A store that is down is known to be in 5 seconds, one that accepts and is silent in 15. The silence
# counts from the start of an upload, so 15 seconds also bound how slow a line may be; reading may take
# long, as a slow client holds the stream up.
_CLIENT: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=15),
    "timeout": timedelta(minutes=5),
}
_CLIENT_OPTIONS = {  # obstore panics at one of these among a store's own options
    *_CLIENT,
    *("allow_http", "allow_invalid_certificates", "http1_only", "http2_only", "pool_idle_timeout"),
    *("pool_max_idle_per_host", "proxy_ca_certificate", "proxy_excludes", "proxy_url"),
    *("randomize_addresses", "root_certificate", "user_agent"),
}
_RETRY: "RetryConfig" = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=5),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
}

_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist")
_WHY = (
    (_NO_BUCKET, "the bucket does not exist"),
    (re.compile(r"169\.254\.169\.254|metadata\.google"), "no credentials are set, and this machine has none"),
    (re.compile(r"status code: 40[13]"), "it refuses the credentials, or they do not allow this"),
    (re.compile(r"status code: (\d{3})"), "it answered {}"),
    (re.compile(r"kind: Timeout|TimedOut"), "it did not answer in time"),
    (re.compile(r"kind: Connect"), "no connection can be made"),
)
_CODE = re.compile(r"<Code>(\w+)</Code>")


class ObjectStorage:
    """A `Storage` in a bucket, below a prefix. Two processes, or a fork, never share one."""

    def __init__(self, store: "ObjectStore", *, location: str) -> None:
        """`location`: the store's address for people; it holds no credentials."""
        self._store = store
        self._location = location

    @property
    def location(self) -> str:
        """The bucket's URL, and the endpoint's where one was given."""
        return self._location

    async def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Keep `content` under `key` in one request, which the store makes whole or not at all."""
        path = checked_key(key)
        with self._translated():
            await obstore.put_async(
                self._store, path, content, attributes={"Content-Type": content_type}, use_multipart=False
            )

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` to `end`, streamed from one request."""
        checked_range(start, end)
        path = checked_key(key)
        with self._translated(key):
            result = await self._open(path, start, end)
            if result is None:
                return
            at = result.range[0]
            async for chunk in result.stream(min_chunk_size=CHUNK // 2):
                for piece in _pieces(chunk, at, start, end):
                    yield piece
                at += len(chunk)
                if end is not None and at >= end:
                    return

    async def delete_prefix(self, prefix: str) -> None:
        """Remove every key below `prefix`."""
        paths = [path async for path in self._list(checked_prefix(prefix))]
        with self._translated():
            for first in range(0, len(paths), _DELETE_AT_ONCE):
                await self._delete(paths[first : first + _DELETE_AT_ONCE])

    async def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """Every key below `prefix`; what is no key of ours is left out."""
        async for path in self._list(checked_prefix(prefix) if prefix else None):
            if is_key(path):
                yield path

    async def presign(self, key: str, *, expires_in: timedelta) -> str | None:
        """A link to the store itself, for at most 7 days (else ValueError). It is made without asking it."""
        if not timedelta(seconds=1) <= expires_in <= _LONGEST_LINK:
            raise ValueError(f"a link can be valid for 1 second to 7 days, not {expires_in}")
        if not isinstance(self._store, S3Store | GCSStore | AzureStore):
            return None
        path = checked_key(key)
        with self._translated():
            return await obstore.sign_async(self._store, "GET", path, expires_in)

    async def check(self) -> None:
        """Write and remove a small object, always the same, so that no crash can leave many."""
        with self._translated():
            await obstore.put_async(self._store, _PROBE, b"ok", use_multipart=False)
            await self._delete([_PROBE])

    async def aclose(self) -> None:
        """Nothing to do: connections close with the last reference to the store."""

    async def _open(self, path: str, start: int, end: int | None) -> "GetResult | None":
        """The object from `start`, or all of it where the store knows no ranges; None: no such bytes."""
        if start == 0 and end is None:
            return await obstore.get_async(self._store, path)
        if start == end:
            await obstore.head_async(self._store, path)
            return None
        wanted: Any = {"offset": start} if end is None else (start, end)
        try:
            return await obstore.get_async(self._store, path, options={"range": wanted})
        except GenericError as error:
            if "non-partial" in str(error):  # a 200 where 206 is due: rclone is known for it
                return await obstore.get_async(self._store, path)
            if start >= (await obstore.head_async(self._store, path))["size"]:
                return None
            raise

    async def _list(self, prefix: str | None) -> AsyncIterator[str]:
        with self._translated():
            async for batch in obstore.list(self._store, prefix, chunk_size=_DELETE_AT_ONCE):
                for found in batch:
                    yield found["path"]

    async def _delete(self, paths: list[str]) -> None:
        try:
            await obstore.delete_async(self._store, paths)
        except FileNotFoundError:  # some stores stop at what another process has just deleted
            for path in paths:
                with suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, path)

    @contextmanager
    def _translated(self, key: str | None = None) -> Iterator[None]:
        """Turn the library's errors into ours, without a cause: theirs may hold a signed URL."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a panic of the library is a bare Exception
            if key is not None and isinstance(error, FileNotFoundError) and not _NO_BUCKET.search(str(error)):
                raise MissingObject(f"there is no file {key}") from None
            raise StorageUnavailable(f"pictures cannot be kept: {_why(error)}") from None


def _pieces(chunk: bytes, at: int, start: int, end: int | None) -> Iterator[bytes]:
    """What of `chunk`, which begins at byte `at`, lies from `start` to `end`, in pieces of at most `CHUNK`."""
    first = max(start - at, 0)
    last = len(chunk) if end is None else min(end - at, len(chunk))
    for left in range(first, last, CHUNK):
        yield chunk[left : min(left + CHUNK, last)]


def _why(error: Exception) -> str:
    """Say what is wrong in words of our own, as the library's may hold an address with a signature."""
    text = str(error)
    for pattern, words in _WHY:
        if found := pattern.search(text):
            code = _CODE.search(text)
            return words.format(*found.groups()) + (f" ({code[1]})" if code else "")
    return type(error).__name__


def from_url(parts: SplitResult, options: Mapping[str, str | bool]) -> ObjectStorage:
    """The bucket, and the prefix in it, of `s3://`, `gs://` or `az://`; ValueError for what is wrong.

    `options` go by obstore's names: for S3 `endpoint`, `region`, `access_key_id`, `secret_access_key`,
    `session_token`, `virtual_hosted_style_request`; for Azure `account_name`, `account_key`; for Google
    `service_account`; for all `root_certificate` (PEM), `proxy_url`, `read_timeout` ("15s"). What is not
    given comes from the environment under the vendor's usual names (`AWS_ACCESS_KEY_ID`, …). An endpoint
    that begins with `http://` is taken at its word; one of `https://` never falls back to it.
    """
    address = _checked_address(parts)
    endpoint = _checked_endpoint(options.get("endpoint"))
    config: Any = {name: value for name, value in options.items() if name not in _CLIENT_OPTIONS}
    chosen = {name: value for name, value in options.items() if name in _CLIENT_OPTIONS}
    client: Any = {"allow_http": not endpoint.startswith("https://"), **_CLIENT, **chosen}
    try:
        store = _STORES[parts.scheme].from_url(address, config=config, client_options=client, retry_config=_RETRY)
    except (BaseError, ValueError) as error:
        raise ValueError(f"{address} cannot be opened: {_first_line(error)}") from None
    return ObjectStorage(store, location=f"{address} at {endpoint}" if endpoint else address)


def _checked_address(parts: SplitResult) -> str:
    bucket, prefix = parts.netloc, parts.path.strip("/")
    more = parts.username or parts.port or parts.query or parts.fragment
    if not bucket or more or not is_key(prefix or bucket):
        raise ValueError(
            f"an object store's URL is {parts.scheme}://bucket or {parts.scheme}://bucket/prefix, "
            "in letters, digits and - . _"
        )
    return f"{parts.scheme}://{bucket}/{prefix}".rstrip("/")


def _checked_endpoint(endpoint: object) -> str:
    if endpoint is None:
        return ""
    parts = urlsplit(str(endpoint))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("the storage endpoint is an address like https://s3.example.com, without credentials")
    return str(endpoint).rstrip("/")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].removeprefix("Generic ")
