"""Pictures in a folder, each written so that it survives a power cut.

A put is: a temporary file, its bytes, fsync, rename, and fsync of every folder from the file's up
to the root. The whole way up, always: whoever made a folder may not have synced it yet, and on a
journalling file system the ones that are clean cost next to nothing.
"""

import asyncio
import errno
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import SplitResult
from urllib.request import url2pathname
from uuid import uuid4

from darkroom.errors import MissingObject, StorageUnavailable
from darkroom.storage.keys import CHUNK, checked_key, checked_prefix, checked_range, is_key

P = ParamSpec("P")
R = TypeVar("R")

_THREADS = 8
_KEYS_AT_ONCE = 1000
_PROBE_BYTES = 64 * 1024
_STALE_SECONDS = 3600.0
_MOVES = 10

_WHY = {
    errno.ENOSPC: "its disk is full",
    errno.EDQUOT: "the disk quota is spent",
    errno.EACCES: "this user may not use it: check its owner and mode",
    errno.EPERM: "this user may not use it: check its owner and mode",
    errno.EROFS: "it is mounted read-only",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EEXIST: "a part of its path is a file, not a folder",
    errno.EIO: "its disk reports errors",
    errno.ELOOP: "a symbolic link inside it is in the way",
    errno.EXDEV: "a part of it is another file system",
    errno.EMFILE: "this process has too many files open",
}


class FolderStorage:
    """A `Storage` in a folder of this machine, or one that is mounted; processes may share it.

    Nothing is touched before the first use: a folder that is missing is made then, and one that
    cannot be used now may be usable later. Symbolic links below the root are never followed.
    """

    def __init__(self, root: Path, *, min_free: int = 64 * 1024 * 1024) -> None:
        """`min_free`: the bytes of free disk below which `check` complains."""
        self._root = root.absolute()
        self._spool = self._root / ".tmp"
        self._min_free = min_free
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="darkroom-storage")
        self._preparing = threading.Lock()
        self._next_sweep = 0.0

    @property
    def location(self) -> str:
        """The folder's absolute path."""
        return str(self._root)

    async def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Keep `content` under `key`. A folder has no place for `content_type`."""
        await self._run(self._write, checked_key(key), content)

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` to `end`; one hop to a thread for each MiB."""
        checked_range(start, end)
        wanted = _step(start, end)
        file, chunk = await self._opened(checked_key(key), start, wanted)
        with file:
            while chunk:
                yield chunk
                if len(chunk) < wanted:
                    return
                start += wanted
                wanted = _step(start, end)
                chunk = await self._run(os.pread, file.fileno(), wanted, start)

    async def delete_prefix(self, prefix: str) -> None:
        """Remove every key below `prefix`, and the folders left empty by that, up to the root."""
        await self._run(self._remove, checked_prefix(prefix))

    async def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """Every key below `prefix`; what is no key of ours is left out."""
        found = _walk(self._root, checked_prefix(prefix) if prefix else "")
        while batch := await self._run(lambda: list(islice(found, _KEYS_AT_ONCE))):
            for key in batch:
                yield key

    async def presign(self, key: str, *, expires_in: timedelta) -> str | None:
        """None: a folder has no address of its own."""
        return None

    async def check(self) -> None:
        """Write, sync and remove a small file; raise `StorageUnavailable` if that fails or space runs out."""
        await self._run(self._probe)

    async def aclose(self) -> None:
        """Wait for what is being written, and end the threads."""
        await asyncio.to_thread(self._pool.shutdown)

    async def _run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` in a thread of ours; an OSError leaves as `StorageUnavailable`."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, partial(function, *args, **kwargs))
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> StorageUnavailable:
        why = _WHY.get(error.errno or 0) or error.strerror or type(error).__name__
        return StorageUnavailable(f"pictures cannot be kept: {why}")

    async def _opened(self, key: str, start: int, size: int) -> tuple[FileIO, bytes]:
        opening = asyncio.ensure_future(self._run(self._open, key, start, size))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unread)
            raise

    def _open(self, key: str, start: int, size: int) -> tuple[FileIO, bytes]:
        try:
            file = FileIO(self._locate(key), opener=_without_following)
        except (FileNotFoundError, IsADirectoryError):
            raise MissingObject(f"there is no file {key}") from None
        try:
            return file, os.pread(file.fileno(), size, start)
        except OSError:
            file.close()
            raise

    def _locate(self, key: str) -> Path:
        """The path of `key`; OSError (ELOOP) where a folder on the way to it is a symbolic link."""
        path = self._root / key
        for folder in self._ancestors(path)[:-1]:
            if folder.is_symlink():
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return path

    def _ancestors(self, path: Path) -> list[Path]:
        """The folders that `path` is in, from the nearest up to the root, which is the last."""
        depth = len(path.parts) - len(self._root.parts)
        return list(path.parents[:depth])

    def _write(self, key: str, content: bytes) -> None:
        target = self._locate(key)
        self._prepare()
        temporary = self._spool / uuid4().hex
        try:
            _write_synced(temporary, content)
            _move(temporary, target)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        for folder in self._ancestors(target):
            with suppress(FileNotFoundError):  # deleted already, by a clean-up of this prefix
                _sync_folder(folder)

    def _prepare(self) -> None:
        """Make the folders that are missing; now and then, remove what crashes left behind.

        Only what is older than an hour: other processes, on other machines too, write here.
        """
        with self._preparing:
            _make_synced(self._spool)
            if time.monotonic() >= self._next_sweep:
                self._next_sweep = time.monotonic() + _STALE_SECONDS
                _remove_older(self._spool, _STALE_SECONDS)

    def _remove(self, prefix: str) -> None:
        top = self._locate(prefix.rstrip("/"))
        if top.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        with suppress(FileNotFoundError):
            _remove_tree(top)
        remaining = next((f for f in self._ancestors(top)[:-1] if not _remove_if_empty(f)), self._root)
        with suppress(FileNotFoundError):
            _sync_folder(remaining)  # what was cleared stays cleared: nobody would come for it again

    def _probe(self) -> None:
        self._prepare()
        probe = self._spool / uuid4().hex
        try:
            _write_synced(probe, bytes(_PROBE_BYTES))
        finally:
            probe.unlink(missing_ok=True)
        free = shutil.disk_usage(self._root).free
        if free < self._min_free:
            left = f"only {free >> 20} MiB of disk are left"
            raise StorageUnavailable(f"pictures can soon not be kept: {left}")


def _step(start: int, end: int | None) -> int:
    """How many bytes to read next, at `start`, to get to `end`."""
    return CHUNK if end is None else min(CHUNK, end - start)


def _without_following(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _close_unread(opening: asyncio.Future[tuple[FileIO, bytes]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_synced(folder: Path) -> None:
    """Make `folder` and the folders above it that are missing, each kept by a sync of its parent."""
    if folder.is_dir():
        return
    _make_synced(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _move(source: Path, target: Path) -> None:
    """Rename into a folder that a clean-up may remove for being empty, just before."""
    for tries_left in reversed(range(_MOVES)):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        except FileNotFoundError:
            if not tries_left:
                raise
        else:
            return


def _remove_older(folder: Path, seconds: float) -> None:
    limit = time.time() - seconds
    for path in folder.iterdir():
        with suppress(OSError):  # another process sweeps too
            if path.stat().st_mtime < limit:
                path.unlink()


def _remove_tree(folder: Path) -> None:
    """Remove `folder` and all below it but what others put there meanwhile; follow no link."""
    for path in list(folder.iterdir()):
        with suppress(FileNotFoundError):
            if path.is_dir() and not path.is_symlink():
                _remove_tree(path)
            else:
                path.unlink()
    _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> bool:
    """Say if `folder` is gone afterwards."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _walk(root: Path, prefix: str) -> Iterator[str]:
    """The keys below `prefix`, one folder at a time; symbolic links are none."""
    for folder, folders, names in os.walk(root / prefix, onerror=_unless_gone):
        folders[:] = [name for name in folders if not name.startswith(".")]
        above = Path(folder)
        for path in (above / name for name in names):
            key = path.relative_to(root).as_posix()
            if is_key(key) and not path.is_symlink():
                yield key


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def from_url(parts: SplitResult, options: Mapping[str, str | bool]) -> FolderStorage:
    """The folder of `file:///path`; ValueError where the path is not absolute or options are given."""
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ValueError("a folder's storage URL has an absolute path: file:///srv/pictures")
    if parts.query or parts.fragment:
        raise ValueError("a folder's storage URL has no '?' or '#': write them as %3F and %23")
    if options:
        raise ValueError(f"a folder takes no storage options, and got {', '.join(sorted(options))}")
    return FolderStorage(Path(url2pathname(parts.path)))
