"""Bad input: a problem that names the field and what would be right, and nothing is stored."""

import base64
import io
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from PIL import Image

from darkroom.api import middleware
from services.app import App, Client, RunApp

ABSENT = "0199c0de-0000-7000-8000-000000000000"
LIMIT = 64 * 1024


def body(**request: Any) -> bytes:
    return json.dumps({"prompt": "a lighthouse", "model": "dummy", **request}).encode()


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


# what is sent, the field that is wrong, words that tell what would be right
BODIES: dict[str, tuple[bytes, str, str]] = {
    "empty body": (b"", "body", "required"),
    "no JSON": (b"a lighthouse", "body", "JSON"),
    "half JSON": (b'{"prompt": "a light', "body", "JSON"),
    "a list": (b"[]", "body", "JSON object"),
    "null": (b"null", "body", "JSON object"),
    "invalid UTF-8": (b'{"prompt": "\xff\xfe\xff"}', "body", "UTF-8"),
    "deep beyond reading": (b"[" * 30_000, "body", "deep"),
    "a number beyond reading": (b'{"prompt": "a", "priority": ' + b"9" * 5000 + b"}", "body", "number"),
    "many fields": (body(**{f"field{i}": 1 for i in range(200)}), "body", "prompt, model, parameters"),
    "unknown field": (body(colour="red"), "colour", "prompt, model, parameters"),
    "no prompt": (b"{}", "prompt", "required"),
    "null prompt": (body(prompt=None), "prompt", "string"),
    "number prompt": (body(prompt=7), "prompt", "string"),
    "empty prompt": (body(prompt=""), "prompt", "at least 1"),
    "blank prompt": (body(prompt=" \n\t\u2003"), "prompt", "1 to 32,000"),
    "over-long prompt": (body(prompt="x" * 32_001), "prompt", "32000"),
    "NUL prompt": (body(prompt="a\x00b"), "prompt", "NUL"),
    "lone surrogate prompt": (body(prompt="a\ud800b"), "prompt", "surrogate"),
    "raw surrogate prompt": (b'{"prompt": "a\xed\xa0\x80b"}', "prompt", "surrogate"),
    "unknown model": (body(model="flux"), "model", "dummy, sketch"),
    "number model": (body(model=1), "model", "string"),
    "NUL model": (body(model="a\x00"), "model", "NUL"),
    "empty model": (body(model=""), "model", "at least 1"),
    "unknown parameter": (body(parameters={"widht": 64}), "parameters.widht", "width"),
    "parameters no object": (body(parameters=[1]), "parameters", "dictionary"),
    "number as text": (body(parameters={"width": "64"}), "parameters.width", "integer"),
    "broken number": (body(parameters={"width": 64.5}), "parameters.width", "integer"),
    "true for a number": (body(parameters={"width": True}), "parameters.width", "integer"),
    "null parameter": (body(parameters={"width": None}), "parameters.width", "integer"),
    "too small": (body(parameters={"width": 0}), "parameters.width", '"minimum": 1'),
    "too large": (body(parameters={"width": 4097}), "parameters.width", '"maximum": 4096'),
    "huge": (body(parameters={"width": 10**300}), "parameters.width", '"maximum": 4096'),
    "negative": (body(parameters={"n": -1}), "parameters.n", '"minimum": 1'),
    "unknown choice": (body(parameters={"output_format": "bmp"}), "parameters.output_format", '"jpeg"'),
    "NaN": (b'{"prompt": "a", "parameters": {"width": NaN}}', "parameters", "finite"),
    "Infinity": (b'{"prompt": "a", "parameters": {"width": -Infinity}}', "parameters", "finite"),
    "overflow": (b'{"prompt": "a", "parameters": {"width": 1e999}}', "parameters", "finite"),
    "NUL in parameters": (body(parameters={"width": ["a\x00"]}), "parameters", "NUL"),
    "surrogate in a name": (body(parameters={"\udfff": 1}), "parameters", "surrogate"),
    "deep parameters": (body(parameters={"width": nested(40)}), "parameters", "16 deep"),
    "many parameters": (body(parameters={"width": [0] * 10_001}), "parameters", "10000 values"),
    "priority as text": (body(priority="1"), "priority", "integer"),
    "priority true": (body(priority=True), "priority", "integer"),
    "priority broken": (body(priority=1.5), "priority", "integer"),
    "priority NaN": (b'{"prompt": "a", "priority": NaN}', "priority", "integer"),
    "priority huge": (body(priority=10**300), "priority", "100"),
    "priority low": (body(priority=-101), "priority", "-100"),
    "no tries": (body(max_tries=0), "max_tries", "1"),
    "many tries": (body(max_tries=101), "max_tries", "100"),
    "tags no list": (body(tags="winter"), "tags", "list"),
    "17 tags": (body(tags=[f"t{i}" for i in range(17)]), "tags", "16"),
    "number tag": (body(tags=["a", 1]), "tags.1", "string"),
    "empty tag": (body(tags=[""]), "tags.0", "at least 1"),
    "long tag": (body(tags=["x" * 101]), "tags.0", "100"),
    "NUL tag": (body(tags=["\x00"]), "tags.0", "NUL"),
    "surrogate tag": (body(tags=["\ud800"]), "tags.0", "surrogate"),
    "metadata no object": (body(metadata=[["a", "b"]]), "metadata", "dictionary"),
    "metadata number": (body(metadata={"order": 4711}), "metadata.order", "string"),
    "metadata nested": (body(metadata={"order": {"id": "4711"}}), "metadata.order", "string"),
    "metadata too large": (body(metadata={"note": "ä" * 2045}), "metadata", "4096"),
    "metadata too many": (body(metadata={f"{i}": "" for i in range(5000)}), "metadata", "4096"),
    "NUL metadata": (body(metadata={"a": "\x00"}), "metadata.a", "NUL"),
    "surrogate metadata": (body(metadata={"a\ud800": "b"}), "metadata", "surrogate"),
}  # fmt: skip

JSON = {"Content-Type": "application/json"}
HEADERS: dict[str, tuple[dict[str, str | bytes], str, str, int]] = {
    "no content type": ({}, "body", "application/json", 422),
    "a form": ({"Content-Type": "application/x-www-form-urlencoded"}, "body", "application/json", 422),
    "text": ({"Content-Type": "text/plain"}, "body", "application/json", 422),
    "bad content type": ({"Content-Type": b"\xff;;//"}, "body", "application/json", 422),
    "empty key": ({**JSON, "Idempotency-Key": ""}, "idempotency-key", "at least 1", 422),
    "long key": ({**JSON, "Idempotency-Key": "k" * 256}, "idempotency-key", "255", 422),
    "key with a space": ({**JSON, "Idempotency-Key": "a b"}, "idempotency-key", "visible ASCII", 422),
    "key beyond ASCII": ({**JSON, "Idempotency-Key": "kä".encode()}, "idempotency-key", "visible ASCII", 422),
    "other host": ({**JSON, "Host": "evil.example"}, "Host", "DARKROOM_ALLOWED_HOSTS", 403),
    "no host": ({**JSON, "Host": ""}, "Host", "DARKROOM_ALLOWED_HOSTS", 403),
}

PATHS: dict[str, tuple[str, str]] = {
    "/media/7": ("media_id", "UUID"),
    f"/media/{ABSENT}0": ("media_id", "UUID"),
    "/media/%00": ("media_id", "UUID"),
    "/media/%FF%FE": ("media_id", "UUID"),
    "/media/status/latest": ("job_id", "UUID"),
    "/media/jobs/1/status": ("job_id", "UUID"),
    "/media/None/jobs": ("media_id", "UUID"),
    "/media/x/logs": ("media_id", "UUID"),
    f"/media/{ABSENT}/logs?cursor=-1": ("cursor", "0"),
    f"/media/{ABSENT}/logs?cursor={2**63}": ("cursor", str(2**63 - 1)),
    f"/media/{ABSENT}/logs?limit=1001": ("limit", "1000"),
    f"/media/content/{ABSENT}?index=-1": ("index", "0"),
    f"/media/content/{ABSENT}?index={10**30}": ("index", "1000"),
    f"/media/{ABSENT}/files/-1": ("index", "0"),
    f"/media/{ABSENT}/files/{10**30}": ("index", "1000"),
    f"/media/{ABSENT}/files/first": ("index", "integer"),
    f"/media/{ABSENT}/files/%00": ("index", "integer"),
    f"/media/{ABSENT}/files/0?thumbnail=perhaps": ("thumbnail", "boolean"),
    f"/media/{ABSENT}/files/0?expires={10**30}&signature=a": ("expires", str(2**40)),
    f"/media/{ABSENT}/files/0?expires=1&signature={'a' * 200}": ("signature", "128"),
    "/media?limit=0": ("limit", "1"),
    "/media?limit=101": ("limit", "100"),
    "/media?limit=ten": ("limit", "integer"),
    "/media?limit=": ("limit", "integer"),
    "/media?cursor=next": ("cursor", "UUID"),
    "/media?cursor=%00": ("cursor", "UUID"),
    "/media?status=DONE": ("status", "COMPLETED"),
    "/media?q=%00": ("q", "NUL"),
    f"/media?q={'x' * 201}": ("q", "200"),
    "/media?tag=%00": ("tag", "NUL"),
    "/media?model=%00": ("model", "NUL"),
    "/media?created_after=yesterday": ("created_after", "RFC 3339"),
    "/media?created_after=1700000000": ("created_after", "RFC 3339"),
    "/media?created_before=2026-13-01T00:00:00Z": ("created_before", "month"),
    "/media?created_before=%00": ("created_before", "RFC 3339"),
    "/media?stauts=ERROR": ("stauts", "status"),
}


@pytest.fixture
def refusing(idle: Client) -> Iterator[Client]:
    """A client of a service that has stored nothing at the end."""
    yield idle
    assert idle.listed() == []


def check(response: httpx2.Response, field: str, right: str, *statuses: int) -> None:
    assert response.status_code in statuses, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["title"]
    wrong = {error["field"]: error["message"] for error in problem["errors"]}
    assert field in wrong, problem
    assert right.lower() in wrong[field].lower(), problem
    assert len(response.content) < 5000


def test_a_request_with_a_bad_body_is_refused(refusing: Client, subtests: pytest.Subtests) -> None:
    for name, (content, field, right) in BODIES.items():
        with subtests.test(name):
            response = refusing.post("/media/generate", content=content, headers=JSON)
            check(response, field, right, *((404,) if name == "unknown model" else (400, 422)))


def test_a_request_with_bad_headers_is_refused(refusing: Client, subtests: pytest.Subtests) -> None:
    for name, (headers, field, right, status) in HEADERS.items():
        with subtests.test(name):
            check(refusing.post("/media/generate", content=body(), headers=headers), field, right, status)


def test_a_path_or_query_that_is_none_is_refused(refusing: Client, subtests: pytest.Subtests) -> None:
    for path, (field, right) in PATHS.items():
        with subtests.test(path):
            check(refusing.get(path), field, right, 422)


def test_verbs_on_ids_that_are_none_are_refused(refusing: Client) -> None:
    for method, path in (("POST", "cancel"), ("POST", "retry"), ("DELETE", "")):
        check(refusing.request(method, f"/media/nothing/{path}".rstrip("/")), "media_id", "UUID", 422)


@pytest.mark.parametrize("path", ["/media/generate", "/openai/v1/images/generations", "/fal/run/darkroom/sketch"])
def test_a_large_body_of_many_values_is_refused_before_it_is_read(refusing: Client, path: str) -> None:
    content = b'{"prompt": "a", "parameters": {"a": [' + b"{}," * 2_000_000 + b"0]}}"
    response = refusing.post(path, content=content, headers=JSON)
    assert response.status_code == 413
    assert "at most 100000 values" in response.text
    assert response.elapsed.total_seconds() < 2


def test_a_large_body_for_its_picture_is_taken(run_app: RunApp, sqlite_url: str) -> None:
    noise = Image.effect_noise((1400, 1400), 90)
    target = io.BytesIO()
    noise.save(target, "PNG")
    uri = f"data:image/png;base64,{base64.b64encode(target.getvalue()).decode()}"
    assert len(uri) > 2 * 1024 * 1024
    with run_app(database_url=sqlite_url, working=False) as app, app.client() as client:
        client.generate(model="sketch", image=uri)
        assert client.post("/files", content=target.getvalue(), headers={"Content-Type": "image/png"}).is_success
        assert client.post("/files", files={"file": target.getvalue()}).is_success


def test_a_body_over_the_limit_is_refused(refusing: Client) -> None:
    large = body(prompt="x" * 33 * 1024 * 1024)

    def in_chunks() -> Iterator[bytes]:
        for start in range(0, len(large), 100_000):
            yield large[start : start + 100_000]

    for content in (large, in_chunks()):
        response = refusing.post("/media/generate", content=content, headers=JSON)
        check(response, "body", str(32 * 1024 * 1024), 413)
        assert response.json()["code"] == "payload_too_large"
    assert refusing.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("path", "kind", "size"),
    [
        ("/files", "image/png", 32 * 1024 * 1024),
        ("/files", "image/png", 2_000),
        ("/media/generate", "application/json", 2_000),
        ("/openai/v1/images/generations", "application/json", 2_000),
    ],
)
def test_a_body_that_stays_away_is_waited_for_only_so_long(
    sqlite_app: App, monkeypatch: pytest.MonkeyPatch, path: str, kind: str, size: int
) -> None:
    monkeypatch.setattr(middleware, "BODY_WITHIN", 0.2)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    with sqlite_app.client() as client, socket.create_connection((client.base_url.host, client.base_url.port)) as other:
        other.settimeout(20)
        other.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + bytes(1_000))
        answer = b"".join(iter(lambda: other.recv(65_536), b""))
        assert client.get("/healthz").is_success
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not come within 0.2 s" in answer
    assert b"\r\nconnection: close\r\n" in answer.lower()


def test_an_answer_to_a_body_that_came_may_take_longer(sqlite_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_WITHIN", 0.1)
    with sqlite_app.client() as client:
        response = client.post("/openai/v1/images/generations", json={"prompt": "a", "model": "dummy", "delay": 0.5})
    assert (response.status_code, len(response.json()["data"])) == (200, 1)


def test_a_path_that_is_none_and_a_method_that_it_lacks_are_refused(refusing: Client) -> None:
    for path in ("/", "/media/", "/nothing", "/media/generate/", f"/media/{ABSENT}/files", "/%00"):
        response = refusing.get(path)
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), path
    lacking = {
        ("GET", "/media/generate"): "POST", ("DELETE", "/media/generate"): "POST", ("PUT", "/media/generate"): "POST",
        ("HEAD", "/media/generate"): "POST", ("PATCH", f"/media/{ABSENT}"): "DELETE, GET", ("POST", "/media"): "GET",
        ("OPTIONS", f"/media/{ABSENT}"): "DELETE, GET", ("GET", f"/media/{ABSENT}/cancel"): "POST",
        ("DELETE", "/healthz"): "GET", ("TRACE", "/models"): "GET",
    }  # fmt: skip
    for (method, path), allowed in lacking.items():
        response = refusing.request(method, path)
        assert (response.status_code, response.headers["Allow"]) == (405, allowed), (method, path)
        assert response.headers["content-type"] == "application/problem+json"


def test_a_whole_number_may_be_written_with_a_point(idle: Client) -> None:
    request = b'{"prompt": "a", "priority": 7.0, "max_tries": 2.0, "model": "dummy", "parameters": {"width": 64.0}}'
    media = idle.post("/media/generate", content=request, headers=JSON).json()
    assert (media["priority"], media["max_tries"], media["parameters"]["width"]) == (7, 2, 64)
