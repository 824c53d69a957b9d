"""The pictures over HTTP: bytes, parts, thumbnails, and links that work without credentials."""

import hashlib
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import pytest
from PIL import Image

from darkroom.stack.objects import ObjectStore
from services.app import App, Client, RunApp

SEEDED = {"seed": 7, "width": 700, "height": 400}


@pytest.fixture
def local(sqlite_app: App) -> Iterator[Client]:
    """A client of a service on SQLite: no database changes what follows."""
    with sqlite_app.client() as client:
        yield client


@pytest.fixture
def made(local: Client) -> dict[str, Any]:
    """A media with two pictures."""
    return local.completed(parameters={"n": 2, **SEEDED})


def problem(response: httpx2.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    return body


def test_the_bytes_are_those_that_the_media_tells_of(client: Client) -> None:
    made = client.completed(parameters={"n": 2, **SEEDED})
    for file in made["files"]:
        response = client.get(file["url"])
        assert response.status_code == 200
        assert response.headers["Content-Type"] == file["content_type"] == "image/png"
        assert len(response.content) == int(response.headers["Content-Length"]) == file["bytes"]
        assert hashlib.sha256(response.content).hexdigest() == file["sha256"]
        assert Image.open(io.BytesIO(response.content)).size == (file["width"], file["height"]) == (700, 400)


def test_a_browser_may_keep_a_picture_for_ever_and_may_not_guess(local: Client, made: dict[str, Any]) -> None:
    response = local.get(made["files"][0]["url"])
    assert "immutable" in response.headers["Cache-Control"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"] == f'inline; filename="{made["id"]}-0.png"'
    saved = local.get(made["files"][1]["url"], params={"download": "true"})
    assert saved.headers["Content-Disposition"] == f'attachment; filename="{made["id"]}-1.png"'
    assert saved.content == local.get(made["files"][1]["url"]).content


def test_a_thumbnail_is_a_small_webp(local: Client, made: dict[str, Any]) -> None:
    response = local.get(made["files"][0]["thumbnail_url"])
    assert response.headers["Content-Type"] == "image/webp"
    assert max(Image.open(io.BytesIO(response.content)).size) == 384
    assert response.headers["Content-Disposition"].endswith('-0.webp"')
    assert response.headers["ETag"] != local.get(made["files"][0]["url"]).headers["ETag"]


def test_head_tells_the_size_without_the_bytes(local: Client, made: dict[str, Any]) -> None:
    whole, head = local.get(made["files"][0]["url"]), local.head(made["files"][0]["url"])
    assert head.status_code == 200
    assert head.content == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges"):
        assert head.headers[name] == whole.headers[name]


def test_a_caller_who_has_it_is_sent_nothing(local: Client, made: dict[str, Any]) -> None:
    url = made["files"][0]["url"]
    etag = local.get(url).headers["ETag"]
    for having in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = local.get(url, headers={"If-None-Match": having})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["ETag"] == etag
    assert local.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert local.get(f"{url}?thumbnail=true", headers={"If-None-Match": etag}).status_code == 200


def test_a_part_can_be_asked_for(local: Client, made: dict[str, Any]) -> None:
    url, size = made["files"][0]["url"], made["files"][0]["bytes"]
    whole = local.get(url).content
    parts = {
        "bytes=0-0": (0, 1), "bytes=0-9": (0, 10), "bytes=10-": (10, size), "bytes=-5": (size - 5, size),
        f"bytes=-{size * 2}": (0, size), f"bytes=5-{size * 9}": (5, size), f"bytes={size - 1}-": (size - 1, size),
        "Bytes=1-2": (1, 3),
    }  # fmt: skip
    for asked, (start, end) in parts.items():
        response = local.get(url, headers={"Range": asked})
        assert response.status_code == 206, asked
        assert response.content == whole[start:end]
        assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert int(response.headers["Content-Length"]) == end - start


def test_a_part_beyond_the_end_is_refused_and_a_part_not_understood_is_the_whole(
    local: Client, made: dict[str, Any]
) -> None:
    url, size = made["files"][0]["url"], made["files"][0]["bytes"]
    for asked in (f"bytes={size}-", "bytes=-0", f"bytes={'9' * 19}-"):
        response = local.get(url, headers={"Range": asked})
        assert problem(response, 416)["code"] == "range_not_satisfiable"
        assert response.headers["Content-Range"] == f"bytes */{size}"
    for asked in ("bytes=5-2", "bytes=-", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", f"bytes={'9' * 99}-", ""):
        response = local.get(url, headers={"Range": asked})
        assert (response.status_code, len(response.content)) == (200, size), asked


def test_a_part_of_another_version_is_the_whole(local: Client, made: dict[str, Any]) -> None:
    url = made["files"][0]["url"]
    etag = local.get(url).headers["ETag"]
    for version, status in ((etag, 206), (f"W/{etag}", 200), ('"other"', 200), ("Mon, 23 Nov 2026 10:00:00 GMT", 200)):
        response = local.get(url, headers={"Range": "bytes=0-0", "If-Range": version})
        assert response.status_code == status, version


def test_there_is_no_file_before_the_media_is_completed(client: Client) -> None:
    media = client.generate(parameters={"delay": 60})
    for path in (f"/media/{media['id']}/files/0", f"/media/content/{media['id']}"):
        assert problem(client.get(path), 409)["code"] == "not_completed"


def test_there_is_no_file_beyond_the_last(local: Client, made: dict[str, Any]) -> None:
    for path in (f"/media/{made['id']}/files/2", f"/media/content/{made['id']}?index=2"):
        missing = problem(local.get(path), 404)
        assert missing["errors"][0]["field"] == "index"


def test_a_picture_without_a_thumbnail_says_so(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url, output={"thumbnails": False}) as app, app.client() as client:
        media = client.completed()
        assert media["files"][0]["thumbnail_url"] is None
        missing = problem(client.get(f"{media['files'][0]['url']}?thumbnail=true"), 404)
        assert missing["errors"][0]["field"] == "thumbnail"


def test_a_store_that_lost_a_picture_is_no_empty_answer(sqlite_app: App, local: Client, made: dict[str, Any]) -> None:
    for path in (sqlite_app.settings.data_dir / "files").rglob("*.png"):
        path.unlink()
    assert problem(local.get(made["files"][0]["url"]), 500)["code"] == "missing_object"


# Links


def link_to_second(client: Client, media: dict[str, Any]) -> dict[str, Any]:
    link: dict[str, Any] = client.get(f"/media/content/{media['id']}", params={"index": 1}).raise_for_status().json()
    return link


def test_our_own_link_works_until_it_expires(
    local: Client, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_to_second(local, made)
    assert link["url"].startswith(str(local.base_url))
    left = datetime.fromisoformat(link["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert httpx2.get(link["url"]).content == local.get(made["files"][1]["url"]).content
    assert httpx2.get(f"{link['url']}&thumbnail=true").headers["Content-Type"] == "image/webp"

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(minutes=60, seconds=1)

    monkeypatch.setattr("darkroom.api.native.files.datetime", Later)
    expired = problem(httpx2.get(link["url"]), 403)
    assert expired["errors"][0]["field"] == "expires"


def test_a_link_that_was_tampered_with_is_refused(local: Client, made: dict[str, Any]) -> None:
    url = link_to_second(local, made)["url"]
    signature = re.search("signature=([0-9a-f]+)", url)
    assert signature is not None
    tampered = [
        url.replace("/files/1", "/files/0"),
        url.replace(made["id"], str(uuid4())),
        re.sub(r"expires=(\d)", r"expires=9\1", url),
        re.sub(r"expires=\d+&", "", url),
        re.sub(r"&signature=.*", "", url),
        url.replace(signature[1], signature[1][:-1] + ("0" if signature[1][-1] != "0" else "1")),
        url.replace(signature[1], "%C3%A4"),
        url.replace(signature[1], ""),
    ]
    for wrong in tampered:
        assert problem(httpx2.get(wrong), 403)["code"] == "forbidden", wrong


def test_our_own_link_starts_with_the_public_address(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url, public_url="https://pictures.example.com") as app, app.client() as client:
        media = client.completed()
        link = client.get(f"/media/content/{media['id']}").json()["url"]
        assert link.startswith(f"https://pictures.example.com/media/{media['id']}/files/0?")
        assert client.get(f"{urlsplit(link).path}?{urlsplit(link).query}").status_code == 200


def test_a_store_that_signs_makes_the_link_itself(run_app: RunApp, sqlite_url: str, object_store: ObjectStore) -> None:
    bucket = object_store.new_bucket()
    options = object_store.options
    settings = {
        "storage_url": f"s3://{bucket}/pictures",
        "storage_options": {
            **{name: options[name] for name in ("endpoint", "region", "access_key_id", "secret_access_key")},
            "allow_http": True,
        },
    }
    with run_app(database_url=sqlite_url, **settings) as app, app.client() as client:
        media = client.completed(parameters=SEEDED)
        link = client.get(f"/media/content/{media['id']}").raise_for_status().json()
        assert link["url"].startswith(f"{object_store.endpoint}/{bucket}/pictures/")
        fetched = httpx2.get(link["url"])
        assert fetched.status_code == 200
        assert hashlib.sha256(fetched.content).hexdigest() == media["files"][0]["sha256"]
        assert httpx2.get(link["url"].partition("?")[0]).is_client_error
        assert client.get(media["files"][0]["url"]).content == fetched.content
        part = client.get(media["files"][0]["url"], headers={"Range": "bytes=-7"})
        assert part.content == fetched.content[-7:]
        assert client.delete(f"/media/{media['id']}").status_code == 204
        assert httpx2.get(link["url"]).status_code == 404
