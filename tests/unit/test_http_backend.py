"""What a backend's answers mean, and whom our credentials reach: real HTTP against a small fake."""

import gzip
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from darkroom.errors import (
    AccountRefused,
    Interrupted,
    InvalidOutput,
    OutputExpired,
    OutputTooLarge,
    Permanent,
    ProviderError,
    Rejected,
    SubmissionUncertain,
    Throttled,
    Transient,
)
from darkroom.providers import http
from darkroom.providers.http import TIMES, Backend, retry_after, said
from services.backends.base import Fake, data_uri, picture
from services.routes import nowhere

pytestmark = pytest.mark.anyio

KEY = "a-key-that-nobody-may-see"


class Small(Fake):
    """Endpoints: `create`, `status`, `output`, `away` (redirects to `to`), `zipped` (much, in few bytes)."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        self.created, self.calls, self.faults = [], [], []
        self.answer: Any = {"id": "1"}
        self.to = ""

    @property
    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/v1/create", self._create, methods=["POST"], name="create"),
            Route("/v1/status", self._status, methods=["GET", "POST"], name="status"),
            Route("/v1/empty", self._empty, methods=["POST"], name="empty"),
            Route("/output", self._output, methods=["GET"], name="output"),
            Route("/away", self._away, methods=["GET"], name="away"),
            Route("/zipped", self._zipped, methods=["GET"], name="zipped"),
        ]

    async def _create(self, request: Request) -> Response:
        self.record("1", json.loads(await request.body()))
        return JSONResponse(self.answer)

    async def _status(self, request: Request) -> Response:
        return JSONResponse(self.answer)

    async def _empty(self, request: Request) -> Response:
        return Response(b"", 204)

    async def _output(self, request: Request) -> Response:
        return Response(picture(), media_type="image/png")

    async def _away(self, request: Request) -> Response:
        return RedirectResponse(self.to)

    async def _zipped(self, request: Request) -> Response:
        return Response(gzip.compress(bytes(2_000_000)), headers={"content-encoding": "gzip"})


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[Small, Small]]:
    with Small().running() as fake, Small().running() as other:
        yield fake, other


@pytest.fixture
def fake(started: tuple[Small, Small]) -> Small:
    started[0].reset()
    return started[0]


@pytest.fixture
def other(started: tuple[Small, Small]) -> Small:
    """A server that is not the backend's own."""
    started[1].reset()
    return started[1]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_REST", 0.001)


@pytest.fixture
async def backend(fake: Small) -> AsyncIterator[Backend]:
    opened = Backend(
        "Small", f"{fake.url}/v1/", authorization={"Authorization": f"Bearer {KEY}"}, timeout=0.5,
        headers=lambda: {"traceparent": "00-1"},
    )  # fmt: skip
    yield opened
    await opened.aclose()


async def create(backend: Backend) -> Any:
    return await backend.create("create", json={"prompt": "a test"})


# What costs money is asked for once


async def test_what_is_created_is_answered_as_json(backend: Backend, fake: Small) -> None:
    assert await create(backend) == {"id": "1"}
    (call,) = fake.calls
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.headers["traceparent"] == "00-1"
    assert json.loads(call.body) == {"prompt": "a test"}


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (400, Permanent), (404, Permanent), (422, Permanent), (409, Transient), (425, Transient),
        (401, AccountRefused), (402, AccountRefused), (403, AccountRefused),
        (429, Throttled),
        (500, Transient), (503, Transient), (529, Transient),
        (408, SubmissionUncertain), (502, SubmissionUncertain), (504, SubmissionUncertain), (524, SubmissionUncertain),
    ],
)  # fmt: skip
async def test_what_a_refused_request_means(
    backend: Backend, fake: Small, status: int, meaning: type[ProviderError]
) -> None:
    fake.fail("create", status=status, body=b'{"error": {"message": "no, sorry"}}', headers={"retry-after": "7"})
    with pytest.raises(ProviderError) as caught:
        await create(backend)
    assert type(caught.value) is meaning
    assert f"Small answered {status}: no, sorry" in caught.value.message
    assert caught.value.retry_after == (7.0 if meaning in (Throttled, Transient) else None)
    assert len(fake.calls) == 1


@pytest.mark.parametrize("how", ["cut", "cut_body", "hang", "garbage"])
async def test_an_answer_that_got_lost_leaves_it_open(backend: Backend, fake: Small, how: Any) -> None:
    fake.fail("create", how, handled=how == "garbage")
    with pytest.raises(SubmissionUncertain, match=r"took the request|may have taken"):
        await create(backend)
    assert len(fake.calls) == 1


async def test_what_certainly_was_not_sent_may_be_sent_again() -> None:
    backend = Backend("Small", nowhere())
    with pytest.raises(Transient, match="Small cannot be reached") as caught:
        await create(backend)
    assert type(caught.value) is Transient
    await backend.aclose()


async def test_a_status_counts_though_its_words_do_not_come(backend: Backend, fake: Small) -> None:
    fake.fail("create", status=402, body=b"\x00 not JSON")
    with pytest.raises(AccountRefused, match=r"^Small answered 402$"):
        await create(backend)


# What may be repeated is


@pytest.mark.parametrize(("how", "more"), [("answer", {"status": 503}), ("cut", {}), ("cut_body", {}), ("garbage", {})])
async def test_what_costs_nothing_is_asked_again(backend: Backend, fake: Small, how: Any, more: dict[str, Any]) -> None:
    fake.fail("status", how, times=TIMES - 1, **more)
    assert await backend.ask("GET", "status") == {"id": "1"}
    assert len(fake.calls) == TIMES


@pytest.mark.parametrize(("how", "more"), [("answer", {"status": 500}), ("cut", {}), ("garbage", {})])
async def test_what_is_not_answered_goes_on_there(
    backend: Backend, fake: Small, how: Any, more: dict[str, Any]
) -> None:
    fake.fail("status", how, times=99, **more)
    with pytest.raises(Interrupted, match="Small"):
        await backend.ask("GET", "status")
    assert len(fake.calls) == TIMES


async def test_what_is_down_goes_on_there() -> None:
    backend = Backend("Small", nowhere())
    with pytest.raises(Interrupted, match="Small does not answer"):
        await backend.ask("GET", "status")
    await backend.aclose()


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(429, Throttled), (401, AccountRefused), (404, Permanent), (422, Permanent)],
)
async def test_what_would_be_refused_again_is_not_repeated(
    backend: Backend, fake: Small, status: int, meaning: type[ProviderError]
) -> None:
    fake.fail("status", status=status, headers={"retry-after": "3"})
    with pytest.raises(meaning):
        await backend.ask("GET", "status")
    assert len(fake.calls) == 1


async def test_an_empty_answer_is_none(backend: Backend) -> None:
    assert await backend.ask("POST", "empty") is None


async def test_a_poll_waits_as_long_as_it_is_told_to(backend: Backend, fake: Small) -> None:
    fake.fail("status", status=429, headers={"retry-after": "0.01"}, times=3)
    polls = backend.poll("status", first=0.001)
    assert [await anext(polls) for _ in range(2)] == [{"id": "1"}] * 2
    await polls.aclose()
    assert len(fake.calls) == 5


async def test_an_adapter_says_what_a_refusal_means(fake: Small) -> None:
    def refusal(response: Any, body: Any) -> ProviderError | None:
        return Rejected("not this prompt") if body == {"code": "moderation"} else None

    backend = Backend("Small", f"{fake.url}/v1", refusal=refusal)
    fake.fail("create", status=400, body=b'{"code": "moderation"}')
    with pytest.raises(Rejected):
        await create(backend)
    fake.fail("create", status=400)
    with pytest.raises(Permanent):
        await create(backend)
    await backend.aclose()


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 410, 422])
async def test_what_was_accepted_goes_on_whatever_a_look_is_answered(
    backend: Backend, fake: Small, status: int
) -> None:
    fake.fail("status", status=status)
    with pytest.raises(Interrupted, match=str(status)):
        await backend.look("status", rest=0.001)
    fake.fail("status", status=status)
    with pytest.raises(Interrupted, match=str(status)):
        await anext(backend.poll("status", first=0.001))
    assert len(fake.calls) == 2, "it would be refused again"


@pytest.mark.parametrize("meaning", [OutputExpired, Rejected])
async def test_what_an_adapter_knows_to_be_the_end_is_the_end(fake: Small, meaning: type[ProviderError]) -> None:
    backend = Backend("Small", f"{fake.url}/v1", refusal=lambda response, body: meaning("it has ended"))
    fake.fail("status", status=410)
    with pytest.raises(meaning):
        await backend.look("status", rest=0.001)
    await backend.aclose()


# Pictures


@pytest.mark.parametrize("status", [400, 401, 402, 422])
async def test_a_refused_download_leaves_the_picture_there(backend: Backend, fake: Small, status: int) -> None:
    fake.fail("output", status=status)
    with pytest.raises(Interrupted, match=str(status)):
        await backend.download(f"{fake.url}/output")


@pytest.mark.parametrize("url", ["http://[", "http://a:b/", "ftp://a/b", "nowhere"])
async def test_a_picture_at_no_address_may_get_one(backend: Backend, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_REST", 0.001)
    with pytest.raises(Interrupted):
        await backend.download(url)


async def test_a_picture_may_be_within_the_result(backend: Backend, fake: Small) -> None:
    assert await backend.picture(data_uri(picture())) == picture()
    assert await backend.picture(f"{fake.url}/output") == picture()
    for uri in ("data:text/html,x", "data:image/png;base64,?"):
        with pytest.raises(InvalidOutput):
            await backend.picture(uri)


async def test_a_picture_is_downloaded_whole(backend: Backend, fake: Small) -> None:
    fake.fail("output", "cut_body")
    fake.fail("output", status=503)
    assert await backend.download(f"{fake.url}/output") == picture()
    assert len(fake.calls) == 3


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_picture_that_is_gone_is_gone(backend: Backend, fake: Small, status: int) -> None:
    fake.fail("output", status=status)
    with pytest.raises(OutputExpired, match=str(status)):
        await backend.download(f"{fake.url}/output")


@pytest.mark.parametrize(("how", "more"), [("cut_body", {}), ("answer", {"status": 500}), ("answer", {"status": 429})])
async def test_a_picture_that_does_not_come_is_still_there(
    backend: Backend, fake: Small, how: Any, more: dict[str, Any]
) -> None:
    fake.fail("output", how, times=99, **more)
    with pytest.raises(Interrupted):
        await backend.download(f"{fake.url}/output")


async def test_more_than_is_wanted_is_not_read(backend: Backend, fake: Small) -> None:
    with pytest.raises(OutputTooLarge, match="more than 10 bytes"):
        await backend.download(f"{fake.url}/output", most=10)
    with pytest.raises(OutputTooLarge):
        await backend.download(f"{fake.url}/zipped", most=1_000_000)  # a few kB that unpack to two million


async def test_an_answer_without_end_is_not_read_to_it(
    backend: Backend, fake: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MOST_JSON", 1000)
    fake.answer = {"much": "x" * 5000}
    with pytest.raises(OutputTooLarge):
        await backend.ask("GET", "status")
    fake.fail("status", status=500, body=b"x" * 5000)
    with pytest.raises(OutputTooLarge):
        await backend.ask("GET", "status")


# Credentials


async def test_credentials_do_not_leave_their_origin(backend: Backend, fake: Small, other: Small) -> None:
    await backend.download(f"{other.url}/output")
    await backend.ask("GET", f"{other.url}/v1/status")
    assert [call.headers.get("authorization") for call in other.calls] == [None, None]
    await backend.download(f"{fake.url}/output")
    assert fake.calls[0].headers["authorization"] == f"Bearer {KEY}"


async def test_credentials_do_not_follow_a_redirect(backend: Backend, fake: Small, other: Small) -> None:
    fake.to = f"{other.url}/output"
    assert await backend.download(f"{fake.url}/away") == picture()
    assert fake.calls[0].headers["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in other.calls[0].headers


async def test_redirects_come_to_an_end(backend: Backend, fake: Small) -> None:
    fake.to = f"{fake.url}/away"
    with pytest.raises(Interrupted, match="redirects more than 5 times"):
        await backend.download(f"{fake.url}/away")


async def test_a_request_that_costs_money_follows_no_redirect(backend: Backend, fake: Small, other: Small) -> None:
    fake.fail("create", status=307, headers={"location": f"{other.url}/v1/create"})
    with pytest.raises(Permanent):
        await create(backend)
    assert other.calls == []


@pytest.mark.parametrize("trusted", [True, False])
async def test_credentials_go_to_origins_that_the_settings_trust(fake: Small, other: Small, trusted: bool) -> None:
    origins = [other.url] if trusted else []
    backend = Backend("Small", fake.url, authorization={"x-key": KEY}, origins=origins)
    await backend.download(f"{other.url}/output")
    assert other.calls[0].headers.get("x-key") == (KEY if trusted else None)
    await backend.aclose()


async def test_no_error_repeats_our_credentials(backend: Backend, fake: Small) -> None:
    fake.fail("create", status=401, body=json.dumps({"detail": f"the key {KEY} is not known"}).encode())
    with pytest.raises(AccountRefused) as caught:
        await create(backend)
    assert KEY not in caught.value.message
    assert "the key *** is not known" in caught.value.message


async def test_the_proxy_of_the_environment_is_not_used(
    backend: Backend, fake: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, nowhere())
    assert await backend.ask("GET", "status") == {"id": "1"}


# Words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "no"}}, "no"),
        ({"detail": "no"}, "no"),
        ({"detail": [{"msg": "no", "loc": ["body"]}]}, "no"),
        ({"title": "no"}, "no"),
        ({"error": "", "message": "no"}, "no"),
        ({"message": "x" * 9000}, "x" * 500),
        ({"secret": "of the backend"}, ""),
        ({"error": {"message": {"deep": 1}}}, ""),
        ([], ""),
        ("no", "no"),
        (None, ""),
        (7, ""),
    ],
)
def test_the_words_of_an_error_are_found(body: Any, words: str) -> None:
    assert said(body) == words


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("1e12", 86_400.0),
        ("soon", None),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct", None),
        (None, None),
    ],
)
def test_how_long_to_wait(header: str | None, seconds: float | None) -> None:
    asked = {"retry-after": header} if header else {}
    answer = http.httpx2.Response(429, headers={"date": "Wed, 21 Oct 2026 07:28:00 GMT", **asked})
    assert retry_after(answer) == seconds


@pytest.mark.parametrize("header", ["nan", "inf"])
def test_a_wait_that_is_no_number_is_none(header: str) -> None:
    assert retry_after(http.httpx2.Response(429, headers={"retry-after": header})) is None


async def test_closing_twice_is_fine(backend: Backend) -> None:
    await backend.ask("GET", "status")
    await backend.aclose()
    await backend.aclose()
