"""Pictures that were made here, as those to start from: by the links that were given for them."""

import io
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from PIL import Image

from services.app import App, Client, RunApp

SIZE = {"width": 64, "height": 48, "seed": 1}
SKETCH: dict[str, Any] = {"model": "sketch", "prompt": "a pier", "parameters": SIZE}


def link_to(client: Client, media: dict[str, Any]) -> str:
    link: str = client.get(f"/media/content/{media['id']}").raise_for_status().json()["url"]
    return link


def pixels(client: Client, media: dict[str, Any]) -> bytes:
    content = client.get(media["files"][0]["url"]).raise_for_status().content
    return Image.open(io.BytesIO(content)).convert("RGB").tobytes()


def refusal(client: Client, link: str) -> str:
    response = client.post("/media/generate", json={**SKETCH, "image": link})
    assert response.status_code == 422, response.text
    (error,) = response.json()["errors"]
    assert error["field"] == "parameters.image"
    message: str = error["message"]
    return message


@pytest.mark.parametrize("base", [None, "https://pictures.example/below"])
def test_a_link_of_ours_is_a_picture_to_start_from_whatever_its_host(app: App, base: str | None) -> None:
    """Nothing is fetched: this service may be where nobody may be sent to."""
    with app.client() as client:
        first = client.completed(**SKETCH)
        parts = urlsplit(link_to(client, first))
        link = f"{base or app.url}{parts.path}?{parts.query}"
        kept = client.completed(
            model="sketch", prompt="a lake", image=link, parameters={**SIZE, "seed": 2, "strength": 0}
        )
        assert pixels(client, kept) == pixels(client, first)


def test_a_link_that_is_not_ours_is_fetched_like_any_other(sqlite_app: App) -> None:
    with sqlite_app.client() as client:
        link = link_to(client, client.completed(**SKETCH)).replace("http://", "https://")
        forged = f"{link[:-1]}{'0' if link[-1] != '0' else '1'}"
        for changed in (forged, link.replace("/files/0", "/files/1"), link.replace("expires=", "expires=1")):
            assert "public internet" in refusal(client, changed)


def test_a_link_whose_picture_is_gone_is_explained(sqlite_app: App) -> None:
    with sqlite_app.client() as client:
        media = client.completed(**SKETCH)
        link = link_to(client, media)
        client.delete(f"/media/{media['id']}").raise_for_status()
        assert f"the media {media['id']} is not there any more" in refusal(client, link)


def test_a_link_that_has_expired_is_explained(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url) as app, app.client() as client:
        signature = app.options.links.sign(media_id := uuid4(), 0, 1)
        assert "expired" in refusal(client, f"{app.url}/media/{media_id}/files/0?expires=1&signature={signature}")
