"""`darkroom generate --image`: a picture on this machine, or one that the service knows."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from services.app import App
from services.command import Command

KEEP = ("--width", 32, "--height", 32, "-p", "strength=0", "--model", "sketch")


def photo() -> Image.Image:
    return Image.linear_gradient("L").resize((32, 32)).convert("RGB")


def encoded() -> bytes:
    target = io.BytesIO()
    photo().save(target, "PNG")
    return target.getvalue()


def is_photo(path: Path) -> bool:
    with Image.open(path) as picture:
        return picture.convert("RGB").tobytes() == photo().tobytes()


def test_a_picture_on_this_machine_is_started_from_without_a_server(darkroom: Command) -> None:
    (darkroom.folder / "my photo.png").write_bytes(encoded())
    ended = darkroom.good("generate", "a fox", "--image", "my photo.png", *KEEP)
    assert is_photo(darkroom.folder / ended.out.strip())


def test_a_picture_is_uploaded_to_a_server_or_named_to_it(darkroom: Command, sqlite_app: App) -> None:
    (darkroom.folder / "a.png").write_bytes(encoded())
    words = ("--server", sqlite_app.url, "--json", *KEEP)
    media = darkroom.good("generate", "a fox", "--image", "a.png", *words).json
    stored = media["parameters"]["image"]
    with sqlite_app.client() as client:
        assert client.get(f"/files/{stored}").json()["name"] == "a.png"
    uri = f"data:image/png;base64,{base64.b64encode(encoded()).decode()}"
    for image in (stored, uri):
        again = darkroom.good("generate", "a fox", "--image", image, *words).json
        assert is_photo(darkroom.folder / again["paths"][0])


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("nothing.png", "nothing.png: No such file or directory"),
        (".", ".: Is a directory"),
        ("0199b0a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b", "there is no file 0199b0a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b"),
        ("page.html", "this is an HTML page; a PNG, JPEG or WebP picture is accepted"),
    ],
)
def test_what_is_no_picture_is_said_in_one_line(darkroom: Command, image: str, said: str) -> None:
    (darkroom.folder / "page.html").write_text("<!doctype html>")
    ended = darkroom("generate", "a fox", "--image", image)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_a_mask_goes_where_a_model_takes_one(darkroom: Command) -> None:
    (darkroom.folder / "a.png").write_bytes(encoded())
    ended = darkroom("generate", "a fox", "--model", "sketch", "--mask", "a.png")
    assert "sketch has no parameter 'mask'" in ended.err
