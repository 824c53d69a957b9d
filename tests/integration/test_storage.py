"""Every store keeps the same promises: one suite, for a folder and for object stores over HTTP."""

import asyncio
import errno
import os
import socket
import subprocess
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from obstore.store import LocalStore, MemoryStore

from darkroom.errors import MissingObject, StorageUnavailable
from darkroom.stack.objects import ObjectStore
from darkroom.storage.base import Storage
from darkroom.storage.folder import FolderStorage
from darkroom.storage.keys import CHUNK
from darkroom.storage.objects import ObjectStorage
from darkroom.storage.registry import open_storage

pytestmark = pytest.mark.anyio

KEY = "018f-media/018f-job/0.png"
DIGITS = b"0123456789"
BAD_KEYS = [
    "",
    "/etc/passwd",
    "../up",
    "a/../../up",
    "a/./b",
    "a//b",
    "a/",
    "a\\b",
    "a\0b",
    "a/.hidden",
    ".tmp/x",
    "ü/b",
    "a b",
    "a\n",
    "a" * 300,
    "a/" * 600 + "b",
]


async def kept(storage: Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in storage.read(key, start=start, end=end)])


async def listed(storage: Storage, prefix: str = "") -> list[str]:
    return sorted([key async for key in storage.keys(prefix)])


async def fill(storage: Storage, *keys: str) -> None:
    for key in keys:
        await storage.put(key, key.encode(), content_type="image/png")


@pytest.fixture(params=["folder", "s3", "s3-prefix", "memory"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    opened = _open(request, tmp_path)
    yield opened
    await opened.aclose()


def _open(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    match request.param:
        case "folder":
            return open_storage((tmp_path / "some pictures").as_uri())
        case "memory":  # for the stores that do read a range as a range, which rclone does not
            return ObjectStorage(MemoryStore(), location="memory")
        case kind:
            server: ObjectStore = request.getfixturevalue("object_store")
            prefix = "/deep/prefix" if kind == "s3-prefix" else ""
            return open_storage(f"s3://{server.new_bucket()}{prefix}", options=server.options)


# What every store does


async def test_what_was_put_is_read_back(storage: Storage) -> None:
    await storage.put(KEY, b"\x89PNG\r\n\0\xff", content_type="image/png")

    assert await kept(storage, KEY) == b"\x89PNG\r\n\0\xff"


async def test_nothing_at_all_can_be_kept(storage: Storage) -> None:
    await storage.put(KEY, b"", content_type="image/png")

    assert await kept(storage, KEY) == b""
    assert await kept(storage, KEY, 0, 10) == b""


async def test_the_last_put_wins(storage: Storage) -> None:
    await storage.put(KEY, b"a long first version", content_type="image/png")
    await storage.put(KEY, b"second", content_type="image/png")

    assert await kept(storage, KEY) == b"second"
    assert await listed(storage) == [KEY]


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, None), (0, 4), (3, 7), (3, None), (9, 10), (8, 99), (10, None), (10, 12), (50, None), (50, 60), (4, 4)],
)
async def test_a_range_is_read_as_a_slice_is(storage: Storage, start: int, end: int | None) -> None:
    await storage.put(KEY, DIGITS, content_type="image/png")

    assert await kept(storage, KEY, start, end) == DIGITS[start:end]


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 4), (0, -1)])
async def test_an_impossible_range_is_refused(storage: Storage, start: int, end: int | None) -> None:
    with pytest.raises(ValueError, match="not a range"):
        await kept(storage, KEY, start, end)


@pytest.mark.parametrize(("start", "end"), [(0, None), (0, 4), (4, 4), (7, None)])
async def test_reading_a_key_that_is_not_there_says_so(storage: Storage, start: int, end: int | None) -> None:
    await fill(storage, "a/1/0.png")

    for missing in ("a/1/1.png", "a/1", "b/0.png"):
        with pytest.raises(MissingObject):
            await kept(storage, missing, start, end)


@pytest.mark.parametrize(("start", "end"), [(0, None), (CHUNK - 5, 3 * CHUNK + 5), (2 * CHUNK, None)])
async def test_a_large_picture_is_read_in_chunks_of_a_mebibyte(storage: Storage, start: int, end: int | None) -> None:
    content = os.urandom(5_000_000)
    await storage.put(KEY, content, content_type="image/png")

    chunks = [chunk async for chunk in storage.read(KEY, start=start, end=end)]

    assert b"".join(chunks) == content[start:end]
    assert max(map(len, chunks)) <= CHUNK
    assert all(type(chunk) is bytes for chunk in chunks)


async def test_a_reader_may_leave_in_the_middle(storage: Storage) -> None:
    await storage.put(KEY, bytes(5_000_000), content_type="image/png")
    chunks = storage.read(KEY)

    assert await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]

    assert len(await kept(storage, KEY)) == 5_000_000


async def test_deleting_a_prefix_spares_its_neighbours(storage: Storage) -> None:
    await fill(storage, "a/1/0.png", "a/1/t/0.webp", "a/10/0.png", "a/1.png", "b/1/0.png")

    await storage.delete_prefix("a/1/")

    assert await listed(storage) == ["a/1.png", "a/10/0.png", "b/1/0.png"]


async def test_deleting_what_is_not_there_is_no_error(storage: Storage) -> None:
    await fill(storage, KEY)

    await storage.delete_prefix("no/such/")
    await storage.delete_prefix("018f-media/")
    await storage.delete_prefix("018f-media/")

    assert await listed(storage) == []


async def test_a_deleted_prefix_can_be_filled_again(storage: Storage) -> None:
    await fill(storage, KEY)
    await storage.delete_prefix("018f-media/")
    await fill(storage, KEY)

    assert await kept(storage, KEY) == KEY.encode()


async def test_several_may_delete_the_same_prefix_at_once(storage: Storage) -> None:
    await fill(storage, *(f"a/{n}/{index}.png" for n in range(5) for index in range(5)), "b/0.png")

    await asyncio.gather(*(storage.delete_prefix("a/") for _ in range(5)))

    assert await listed(storage) == ["b/0.png"]


async def test_keys_are_those_below_the_prefix(storage: Storage) -> None:
    await fill(storage, "a/1/0.png", "a/10/0.png", "b/0.png")

    assert await listed(storage) == ["a/1/0.png", "a/10/0.png", "b/0.png"]
    assert await listed(storage, "a/") == ["a/1/0.png", "a/10/0.png"]
    assert await listed(storage, "a/1/") == ["a/1/0.png"]
    assert await listed(storage, "c/") == []


async def test_a_new_store_is_empty(storage: Storage) -> None:
    assert await listed(storage) == []
    await storage.delete_prefix("a/")


async def test_many_puts_at_once_all_arrive(storage: Storage) -> None:
    contents = {f"m{n % 7}/{n}/0.png": os.urandom(10_000 + n) for n in range(60)}

    await asyncio.gather(*(storage.put(key, content, content_type="image/png") for key, content in contents.items()))

    assert {key: await kept(storage, key) for key in contents} == contents
    assert await listed(storage) == sorted(contents)


async def test_puts_of_one_key_at_once_leave_one_of_them_whole(storage: Storage) -> None:
    versions = [bytes([n]) * 50_000 for n in range(10)]

    await asyncio.gather(*(storage.put(KEY, content, content_type="image/png") for content in versions))

    assert await kept(storage, KEY) in versions


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_a_key_that_is_none_is_refused_everywhere(storage: Storage, key: str) -> None:
    with pytest.raises(ValueError, match="storage key"):
        await storage.put(key, b"x", content_type="image/png")
    with pytest.raises(ValueError, match="storage key"):
        await kept(storage, key)
    with pytest.raises(ValueError, match="storage prefix"):
        await storage.delete_prefix(f"{key}/")


@pytest.mark.parametrize("prefix", ["", "/", "a", "../", "a/../"])
async def test_a_prefix_that_is_none_deletes_nothing(storage: Storage, prefix: str) -> None:
    await fill(storage, KEY)

    with pytest.raises(ValueError, match="storage prefix"):
        await storage.delete_prefix(prefix)
    assert await listed(storage) == [KEY]


async def test_a_store_that_works_passes_its_check_and_keeps_nothing_of_it(storage: Storage) -> None:
    await asyncio.gather(storage.check(), storage.check(), storage.check())

    assert await listed(storage) == []


# Object stores, over HTTP


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path / "buckets") as server:
        yield server


@pytest.fixture
async def bucket(object_store: ObjectStore) -> Storage:
    return open_storage(f"s3://{object_store.new_bucket()}/pictures", options=object_store.options)


async def test_a_presigned_link_needs_no_credentials(bucket: Storage) -> None:
    await bucket.put(KEY, b"a picture", content_type="image/png")

    link = await bucket.presign(KEY, expires_in=timedelta(minutes=1))

    assert link is not None
    async with httpx2.AsyncClient() as client:
        answer = await client.get(link)
        unsigned = await client.get(link.partition("?")[0])
        other = await client.get(link.replace("0.png", "1.png"))
    assert (answer.status_code, answer.content) == (200, b"a picture")
    assert answer.headers["content-type"] == "image/png"
    assert unsigned.status_code in (400, 403)
    assert other.status_code == 403


async def test_a_presigned_link_expires(bucket: Storage) -> None:
    await bucket.put(KEY, b"a picture", content_type="image/png")
    link = await bucket.presign(KEY, expires_in=timedelta(seconds=1))
    assert link is not None

    deadline = time.monotonic() + 10
    async with httpx2.AsyncClient() as client:
        while (answer := await client.get(link)).status_code == 200 and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    assert answer.status_code in (400, 403)


@pytest.mark.parametrize("expires_in", [timedelta(0), timedelta(days=8)])
async def test_a_link_that_no_store_would_honour_is_refused(bucket: Storage, expires_in: timedelta) -> None:
    with pytest.raises(ValueError, match="7 days"):
        await bucket.presign(KEY, expires_in=expires_in)


async def every_call_fails(storage: Storage) -> list[str]:
    """Expect every call to raise `StorageUnavailable`; what each says, tracebacks included."""
    calls: list[Callable[[], object]] = [
        lambda: storage.put(KEY, b"x", content_type="image/png"),
        lambda: kept(storage, KEY),
        lambda: kept(storage, KEY, 2, 5),
        lambda: storage.delete_prefix("a/"),
        lambda: listed(storage),
        storage.check,
    ]
    said = []
    for call in calls:
        with pytest.raises(StorageUnavailable) as caught:
            await call()  # type: ignore[misc]
        said.append("".join(traceback.format_exception(caught.value)))
    return said


async def test_wrong_credentials_are_named_and_not_repeated(object_store: ObjectStore) -> None:
    secret = "this-is-not-the-right-secret"
    options = object_store.options | {"secret_access_key": secret}
    storage = open_storage(f"s3://{object_store.new_bucket()}", options=options)

    for said in await every_call_fails(storage):
        assert "refuses the credentials" in said
        assert "SignatureDoesNotMatch" in said
        assert secret not in said
        assert "Debug source" not in said


async def test_a_missing_bucket_is_no_missing_picture(object_store: ObjectStore) -> None:
    storage = open_storage("s3://never-made/x", options=object_store.options)

    for said in await every_call_fails(storage):
        assert "the bucket does not exist" in said


async def test_a_server_that_is_down_is_known_soon_and_comes_back(own_server: ObjectStore) -> None:
    storage = open_storage(f"s3://{own_server.new_bucket()}", options=own_server.options)
    await storage.put(KEY, b"before", content_type="image/png")

    own_server.stop()
    began = time.monotonic()
    for said in await every_call_fails(storage):
        assert "no connection can be made" in said
    assert time.monotonic() - began < 30

    own_server.start()
    await storage.check()
    assert await kept(storage, KEY) == b"before"


async def test_a_silent_server_is_given_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        keys = {"access_key_id": "a", "secret_access_key": "b"}
        options = {"endpoint": endpoint, "read_timeout": "1 second"} | keys
        storage = open_storage("s3://bucket", options=options)

        began = time.monotonic()
        with pytest.raises(StorageUnavailable, match="did not answer in time"):
            await storage.check()

    assert time.monotonic() - began < 15


async def test_credentials_come_from_the_environment(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_store.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", object_store.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", object_store.secret_access_key)

    await open_storage(f"s3://{object_store.new_bucket()}").check()


async def test_a_store_below_a_prefix_sees_nothing_else(object_store: ObjectStore) -> None:
    name = object_store.new_bucket()
    whole = open_storage(f"s3://{name}", options=object_store.options)
    inner = open_storage(f"s3://{name}/in/here/", options=object_store.options)
    await fill(whole, "a/0.png")
    await fill(inner, "a/0.png")

    await inner.delete_prefix("a/")

    assert await listed(whole) == ["a/0.png"]


async def test_a_store_that_minds_deleting_nothing_is_emptied_all_the_same(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    storage = ObjectStorage(store, location="local")
    for n in range(200):
        await store.put_async(f"a/{n}.png", b"x")

    await asyncio.gather(*(storage.delete_prefix("a/") for _ in range(4)))

    assert await listed(storage) == []


# A folder


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[FolderStorage]:
    opened = FolderStorage(tmp_path / "new" / "pictures")
    yield opened
    await opened.aclose()


def files_below(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if not path.is_dir()]


async def test_a_put_is_synced_before_it_is_named_and_its_folders_after(
    folder: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(folder.location)
    steps: list[tuple[str, Path]] = []
    fsync, rename = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        assert Path(source).read_bytes() == b"a picture"
        steps.append(("name", Path(target)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    await folder.put("m/j/0.png", b"a picture", content_type="image/png")

    made, (temporary, *rest) = steps[:3], steps[3:]
    assert made == [("sync", root.parents[1]), ("sync", root.parents[0]), ("sync", root)]
    assert temporary[0] == "sync"
    assert temporary[1].parent == root / ".tmp"
    assert rest == [
        ("name", root / "m/j/0.png"),
        ("sync", root / "m/j"),
        ("sync", root / "m"),
        ("sync", root),
    ]


@pytest.mark.parametrize("call", ["fsync", "replace"])
async def test_a_put_that_fails_leaves_nothing(
    folder: FolderStorage, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    await folder.put("m/1/0.png", b"first", content_type="image/png")

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fails)
        with pytest.raises(StorageUnavailable, match="disk reports errors"):
            await folder.put("m/1/0.png", b"second", content_type="image/png")

    assert await kept(folder, "m/1/0.png") == b"first"
    assert len(files_below(Path(folder.location))) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "small"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mounted)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk can be mounted here: {error}")
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


async def test_a_full_disk_is_named_and_keeps_no_halves(small_disk: Path) -> None:
    folder = FolderStorage(small_disk / "pictures", min_free=0)
    await folder.check()
    await folder.put("m/1/0.png", bytes(700_000), content_type="image/png")

    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="cannot be kept: its disk is full"):
            await folder.put("m/2/0.png", bytes(700_000), content_type="image/png")
    assert len(files_below(small_disk)) == 1

    await folder.put("m/3/0.png", bytes(300_000), content_type="image/png")
    with pytest.raises(StorageUnavailable, match="its disk is full"):
        await folder.check()

    await folder.delete_prefix("m/1/")
    await folder.put("m/2/0.png", bytes(500_000), content_type="image/png")
    await folder.aclose()


async def test_a_disk_that_is_nearly_full_fails_the_check(small_disk: Path) -> None:
    folder = FolderStorage(small_disk)

    with pytest.raises(StorageUnavailable, match=r"only \d MiB"):
        await folder.check()
    await folder.aclose()


async def test_a_root_that_cannot_be_made_is_unavailable_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = FolderStorage(tmp_path / "file" / "pictures")

    for call in (folder.check, lambda: fill(folder, KEY), lambda: kept(folder, KEY)):
        with pytest.raises(StorageUnavailable, match="cannot be kept: a part of its path is a file"):
            await call()

    (tmp_path / "file").unlink()
    await folder.check()
    await fill(folder, KEY)
    await folder.aclose()


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EACCES, "owner and mode"), (errno.EROFS, "read-only"), (errno.ENOSPC, "full"), (errno.EBADF, "Bad file")],
)
async def test_what_is_wrong_with_the_folder_is_said(
    folder: FolderStorage, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    await folder.check()

    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StorageUnavailable, match=f"pictures cannot be kept: .*{said}"):
        await folder.put(KEY, b"x", content_type="image/png")


async def test_symbolic_links_are_not_followed(folder: FolderStorage, tmp_path: Path) -> None:
    await fill(folder, "a/0.png")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_text("secret")
    (Path(folder.location) / "link").symlink_to(outside)
    (Path(folder.location) / "a/1.png").symlink_to(outside / "secret.png")

    for key in ("link/secret.png", "a/1.png"):
        with pytest.raises(StorageUnavailable, match="symbolic link"):
            await kept(folder, key)
    with pytest.raises(StorageUnavailable, match="symbolic link"):
        await fill(folder, "link/new.png")
    with pytest.raises(StorageUnavailable, match="symbolic link"):
        await folder.delete_prefix("link/")
    assert await listed(folder) == ["a/0.png"]

    await folder.delete_prefix("a/")
    assert [path.name for path in outside.iterdir()] == ["secret.png"]


async def test_deleting_the_last_key_leaves_no_empty_folders(folder: FolderStorage) -> None:
    await fill(folder, "m/j/0.png", "m/j/t/0.webp", "n/j/0.png")

    await folder.delete_prefix("m/j/")

    assert sorted(path.name for path in Path(folder.location).iterdir()) == [".tmp", "n"]


async def test_a_put_survives_a_clean_up_of_its_still_empty_folder(
    folder: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned: list[Path] = []
    rename = os.replace

    def renamed(source: Path, target: Path) -> None:
        if not cleaned:
            cleaned.append(Path(target).parent)
            cleaned[0].rmdir()
            cleaned[0].parent.rmdir()
        rename(source, target)

    monkeypatch.setattr(os, "replace", renamed)
    await fill(folder, "m/j/0.png")

    assert cleaned
    assert await kept(folder, "m/j/0.png") == b"m/j/0.png"


async def test_what_a_crash_left_is_swept_once_it_is_old(tmp_path: Path) -> None:
    spool = tmp_path / ".tmp"
    spool.mkdir()
    for name, age in (("old", 2 * 3600), ("just-now", 60)):
        (spool / name).write_bytes(b"half a pict")
        os.utime(spool / name, (time.time() - age,) * 2)
    folder = FolderStorage(tmp_path)

    assert await listed(folder) == []
    await fill(folder, KEY)

    assert [path.name for path in spool.iterdir()] == ["just-now"]
    await folder.aclose()


async def test_a_cancelled_read_leaves_no_file_open(folder: FolderStorage) -> None:
    await folder.put(KEY, bytes(100_000), content_type="image/png")
    path = Path(folder.location) / KEY

    for _ in range(30):
        reading = asyncio.create_task(kept(folder, KEY))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    await folder.aclose()

    def still_open() -> bool:
        return path in [opened.resolve() for opened in Path("/proc/self/fd").iterdir()]

    deadline = time.monotonic() + 5
    while still_open() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert not still_open()


async def test_a_folder_gives_no_links(folder: FolderStorage) -> None:
    await fill(folder, KEY)

    assert await folder.presign(KEY, expires_in=timedelta(minutes=1)) is None


# Which store a URL opens


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("file:///srv/my%20pictures", "/srv/my pictures"),
        ("file://localhost/srv/pictures", "/srv/pictures"),
        ("s3://Bucket/some/prefix/", "s3://Bucket/some/prefix"),
        ("gs://bucket", "gs://bucket"),
    ],
)
async def test_a_url_opens_its_store(url: str, location: str) -> None:
    storage = open_storage(url)

    assert storage.location == location
    await storage.aclose()


async def test_a_location_names_the_endpoint_and_no_secret() -> None:
    options = {"endpoint": "https://s3.example.com/", "access_key_id": "AKIA", "secret_access_key": "hush"}
    assert open_storage("s3://b/p", options=options).location == "s3://b/p at https://s3.example.com"

    azure = open_storage("az://box/p", options={"account_name": "me", "account_key": "aHVzaA=="})
    assert azure.location == "az://box/p"


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("", {}, "begins with one of file://, s3://, gs://, az://"),
        ("/srv/pictures", {}, "begins with one of"),
        ("ftp://host/x", {}, "begins with one of"),
        ("file://pictures", {}, "file:///srv/pictures"),
        ("file://", {}, "file:///srv/pictures"),
        ("file:///a?b", {}, "%3F"),
        ("file:///a", {"region": "eu"}, "takes no storage options, and got region"),
        ("s3://", {}, "s3://bucket/prefix"),
        ("s3:///key", {}, "s3://bucket/prefix"),
        ("s3://AKIA:hush@bucket", {}, "s3://bucket/prefix"),
        ("s3://bucket?secret=hush", {}, "s3://bucket/prefix"),
        ("s3://bucket/../x", {}, "s3://bucket/prefix"),
        ("az://a bucket", {}, "letters, digits"),
        ("s3://bucket", {"endpoint": "minio:9000"}, "https://s3.example.com"),
        ("s3://bucket", {"endpoint": "http://me:hush@minio"}, "https://s3.example.com"),
        ("s3://bucket", {"acces_key": "hush"}, "'acces_key'"),
        ("az://container", {}, "Account must be specified"),
        ("gs://bucket", {"service_account": "/no/such.json"}, "/no/such.json"),
    ],
)
def test_a_wrong_url_is_refused_in_one_line(url: str, options: dict[str, str | bool], said: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as caught:
        open_storage(url, options=options)

    assert said in str(caught.value)
    assert "hush" not in str(caught.value)
