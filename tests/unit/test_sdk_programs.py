"""What the SDK decides, without a network: programs are asked what is to be done, and told what came of it."""

import json
import pickle
from collections.abc import Generator
from contextlib import nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom_client import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    DarkroomError,
    GenerationError,
    Media,
    UnexpectedAnswer,
    WaitTimeout,
)
from darkroom_client._answers import retry_after
from darkroom_client._asking import NEVER, Patience, ask, backoff
from darkroom_client._calls import Calls
from darkroom_client._decoding import decode
from darkroom_client._effects import Answer, Close, Open, Pause, Read, Request, Send
from darkroom_client._making import media_of
from darkroom_client._orders import merged
from darkroom_client._sse import Message, Parser
from darkroom_client._telling import Listeners, event_of
from darkroom_client._waiting import Wait
from darkroom_client._watching import SILENCE, DeadlineNear, Watch
from darkroom_client.files import File, Link
from darkroom_client.media import Cost, Job, Progress

GET = Request(method="GET", path="/models")
ONCE = Request(method="POST", path="/media/1/cancel", is_repeatable=False)
EVENTS = {"content-type": "text/event-stream; charset=utf-8", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}
LOST = APIConnectionError("lost")
NEVER_SENT = APIConnectionError("refused", sent=False)
IMPOSSIBLE = APIConnectionError("illegal", sent=False, retryable=False)


class Clock:
    """Time that passes when a program pauses."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Play:
    """Runs a program against a script: each step of it is what came, or the error that came."""

    def __init__(self, program: Generator[Any, Any, Any], clock: Clock) -> None:
        self._program = program
        self._clock = clock
        self.done: list[Any] = []
        self.result: Any = None

    def through(self, *came: Any) -> list[Any]:
        """What was to be done, in order, until the script or the program ends. Pauses are no steps of the script."""
        script = list(came)
        try:
            step = next(self._program)
            while True:
                self.done.append(step)
                if isinstance(step, Pause):
                    self._clock.seconds += step.seconds
                    step = self._program.send(None)
                elif isinstance(step, Close):
                    step = self._program.send(None)
                elif not script:
                    return self.done
                elif isinstance(now := script.pop(0), Exception):
                    step = self._program.throw(now)
                else:
                    step = self._program.send(now)
        except StopIteration as stop:
            self.result = stop.value
            assert not script, "the program ended before the script"
        return self.done


def patience(clock: Clock, **given: Any) -> Patience:
    return Patience(**{"now": clock, "chance": lambda: 1.0, **given})


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    return Answer(status=status, headers=headers, content=json.dumps(body).encode())


def kinds(done: list[Any]) -> list[str]:
    return [type(step).__name__ for step in done]


# Asking again


@pytest.mark.parametrize(
    ("request_", "came", "tries"),
    [
        (GET, LOST, 4),
        (GET, NEVER_SENT, 4),
        (GET, IMPOSSIBLE, 1),
        (GET, answer(429), 4),
        (GET, answer(502), 4),
        (GET, answer(503), 4),
        (GET, answer(504), 4),
        (GET, answer(500), 1),
        (GET, answer(404), 1),
        (GET, answer(200), 1),
        (ONCE, LOST, 1),
        (ONCE, NEVER_SENT, 4),
        (ONCE, IMPOSSIBLE, 1),
        (ONCE, answer(429), 4),
        (ONCE, answer(503), 4),
        (ONCE, answer(502), 1),
        (ONCE, answer(504), 1),
    ],
)
def test_what_is_asked_for_again(request_: Request, came: Any, tries: int) -> None:
    clock = Clock()
    play = Play(ask(request_, patience(clock)), clock)
    with pytest.raises(APIConnectionError) if isinstance(came, Exception) else nullcontext():
        play.through(*[came] * tries)
    assert kinds(play.done).count("Send") == tries
    if isinstance(came, Answer):
        assert (play.result.status, play.result.tries) == (came.status, tries)


def test_pauses_grow_and_are_spread() -> None:
    clock = Clock()
    done = Play(ask(GET, patience(clock, retries=6)), clock).through(*[LOST] * 6, answer(200))
    assert [step.seconds for step in done if isinstance(step, Pause)] == [0.5, 1, 2, 4, 8, 8]
    assert (backoff(1, 0), backoff(1, 1), backoff(10_000, 1)) == (0.25, 0.5, 8)


def test_a_deadline_bounds_answers_and_pauses() -> None:
    clock = Clock()
    play = Play(ask(GET, patience(clock, retries=NEVER, until=clock() + 2)), clock)
    with pytest.raises(APIConnectionError):
        play.through(*[LOST] * 9)
    timeouts = [step.request.timeout for step in play.done if isinstance(step, Send)]
    assert timeouts == [2, 1.5, 0.5, 0.1]
    assert clock() == 1002


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("5", 5), ("0", 0), ("", None), ("soon", None), ("-1", None), ("1.5", None),
        ("Mon, 23 Nov 2026 12:00:09 GMT", 9), ("Mon, 23 Nov 2026 11:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 12:00:09 -0000", 9),
    ],
)  # fmt: skip
def test_retry_after(said: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": said}, datetime(2026, 11, 23, 12, tzinfo=UTC)) == seconds


def test_a_deadline_is_not_waited_beyond_for_a_service_that_asks_to() -> None:
    clock = Clock()
    busy = answer(503, **{"retry-after": "5"})
    play = Play(ask(GET, patience(clock, until=clock() + 3)), clock)
    assert kinds(play.through(busy)) == ["Send"]
    assert play.result.status == 503
    play = Play(ask(GET, patience(clock, until=clock() + 30)), clock)
    play.through(busy, answer(200))
    assert play.done[1] == Pause(5.5)


# Streams


def test_a_stream_goes_on_from_its_last_event() -> None:
    clock = Clock()
    watch = Watch("/media/events", patience(clock))
    play = Play(watch.next(), clock)
    play.through(answer(200, **EVENTS), b": still here\n\n", b"event: a\nid: 7\n", b"data: x\n\n")
    assert play.result == Message("a", "x", "7")
    play = Play(watch.next(), clock)
    done = play.through(LOST, answer(503), answer(200, **EVENTS), b"event: b\nid: 8\ndata: y\n\n")
    assert play.result == Message("b", "y", "8")
    opened = [step.request.headers["last-event-id"] for step in done if isinstance(step, Open)]
    assert opened == ["7", "7"]


def test_a_stream_without_an_event_goes_on_from_when_it_began() -> None:
    clock = Clock()
    watch = Watch("/media/events", patience(clock), from_now=True)
    done = Play(watch.next(), clock).through(answer(200, **EVENTS), None, answer(200, **EVENTS))
    first, second = (step.request.headers for step in done if isinstance(step, Open))
    assert "last-event-id" not in first
    assert second["last-event-id"] == "1795435200000000"


def test_a_stream_that_has_told_all_ends() -> None:
    clock = Clock()
    play = Play(Watch("/media/1/events", patience(clock)).next(), clock)
    play.through(answer(204))
    assert play.result is None


@pytest.mark.parametrize("options", [{"retries": 0}, {"until": 1000.5}])
def test_who_has_no_patience_is_told_at_once(options: dict[str, Any]) -> None:
    clock = Clock()
    play = Play(Watch("/media/1/events", patience(clock, **options)).next(), clock)
    with pytest.raises((APIConnectionError, DeadlineNear)):
        play.through(LOST)
    assert len(play.done) <= 1


def test_a_service_that_is_away_for_long_is_given_up() -> None:
    clock = Clock()
    play = Play(Watch("/media/events", patience(clock)).next(), clock)
    with pytest.raises(APIConnectionError):
        play.through(*[LOST] * 50)
    assert 60 < clock() - 1000 < 80


def test_what_is_refused_is_not_tried_again() -> None:
    clock = Clock()
    play = Play(Watch("/media/1/events", patience(clock)).next(), clock)
    with pytest.raises(APIError, match="404"):
        play.through(answer(404))
    with pytest.raises(UnexpectedAnswer):
        Play(Watch("/media/1/events", patience(clock)).next(), clock).through(answer(200))


def test_no_read_can_last_beyond_the_deadline() -> None:
    clock = Clock()
    watch = Watch("/media/1/events", patience(clock, until=clock() + 100))
    program, opened = watch.next(), []
    step = next(program)
    try:
        while True:
            if isinstance(step, Open):
                opened.append(step.request.timeout)
                step = program.send(answer(200, **EVENTS))
            elif isinstance(step, Read):
                assert clock() + opened[-1] <= 1100
                clock.seconds += opened[-1] * 0.9
                step = program.send(b": still here\n\n")
            else:
                step = program.send(None)
    except DeadlineNear:
        assert clock() > 1099
    assert opened[0] == SILENCE
    assert len(opened) < 12


# Waiting


AT = "2026-11-23T12:00:00Z"


def media(**fields: Any) -> dict[str, Any]:
    known = {"id": "m", "job_id": "j", "status": "PROCESSING", "model": "dummy", "prompt": "a fox"}
    return {**known, "created_at": AT, "updated_at": AT, **fields}


def to_media(body: Any) -> Media:
    return media_of(Media, File, body, Link())


def test_where_streams_break_the_light_status_is_polled() -> None:
    clock = Clock()
    wait = Wait(Calls(to_media, patience(clock)), "m", Listeners())
    play = Play(wait.result(), clock)
    light = {"job_id": "j", "media_id": "m", "status": "PROCESSING", "progress": None, "queue_position": None}
    ended = {**light, "status": "COMPLETED"}
    play.through(
        LOST, LOST, answer(200, media()), answer(200, light), LOST, answer(200, ended),
        answer(200, media(status="COMPLETED")),
    )  # fmt: skip
    paths = [step.request.path for step in play.done if isinstance(step, Send)]
    assert paths == ["/media/m", *["/media/jobs/j/status"] * 3, "/media/m"]
    assert play.result.status == "COMPLETED"


def test_a_wait_that_is_over_shows_the_media_as_it_was_last_seen() -> None:
    clock = Clock()
    wait = Wait(Calls(to_media, patience(clock)).until(0.5), "m", Listeners())
    play = Play(wait.result(), clock)
    light = {
        "job_id": "j",
        "media_id": "m",
        "status": "PROCESSING",
        "progress": {"step": 2, "total": 4},
        "queue_position": None,
    }
    with pytest.raises(WaitTimeout) as raised:
        play.through(answer(200, media(status="IN_QUEUE", queue_position=3)), *[answer(200, light)] * 9)
    seen = raised.value.media
    assert (seen.id, seen.prompt, seen.status, seen.queue_position) == ("m", "a fox", "PROCESSING", None)
    assert seen.progress == Progress(status="PROCESSING", step=2, total=4)
    assert clock() == 1000.5


def test_a_wait_that_is_over_while_nothing_answers_shows_the_media_as_it_was_last_seen() -> None:
    clock = Clock()
    wait = Wait(Calls(to_media, patience(clock)).until(0.9), "m", Listeners())
    light = {"job_id": "k", "media_id": "m", "status": "PROCESSING", "progress": None, "queue_position": None}
    with pytest.raises(WaitTimeout, match="is PROCESSING") as raised:
        Play(wait.result(), clock).through(
            answer(200, media(status="IN_QUEUE")), answer(200, light), *[LOST] * 9
        )  # fmt: skip
    assert raised.value.media.job_id == "k"


def test_an_end_that_is_not_known_is_no_result() -> None:
    clock = Clock()
    wait = Wait(Calls(to_media, patience(clock)), "m", Listeners())
    told = f"event: completed\nid: 1\ndata: {json.dumps(media(status='ABANDONED'))}\n\n"
    with pytest.raises(GenerationError, match="ABANDONED"):
        Play(wait.result(), clock).through(answer(200, **EVENTS), told.encode())


@pytest.mark.parametrize("error", [APITimeoutError("late", False), LOST, IMPOSSIBLE, WaitTimeout(to_media(media()))])
def test_errors_can_be_sent_to_another_process(error: DarkroomError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.retryable) == (type(error), str(error), error is not IMPOSSIBLE)
    assert getattr(again, "sent", None) == getattr(error, "sent", None)


# Texts


def events(chunks: list[bytes]) -> list[Message]:
    parser = Parser()
    return [message for chunk in chunks for message in parser.feed(chunk)]


TEXT = (
    "event: a\r\nid: 1\r\ndata: ä\r\ndata: 狐\r\n\r\n: c\n\n"
    "data:x\rid: 2\r\rid: 3\n\nevent: b\nretry: 5\ndata\n\ndata: cut"
)


@given(st.lists(st.integers(0, len(TEXT.encode())), max_size=12))
def test_events_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    content = TEXT.encode()
    edges = [0, *sorted(cuts), len(content)]
    chunks = [content[start:end] for start, end in pairwise(edges)]
    assert events(chunks) == [Message("a", "ä\n狐", "1"), Message("message", "x", "2"), Message("b", "", "3")]


def test_events_of_kinds_that_are_not_known_are_left_out() -> None:
    assert event_of(Message("mood", "good", "1"), to_media) is None
    with pytest.raises(UnexpectedAnswer):
        event_of(Message("progress", "no json", "1"), to_media)
    with pytest.raises(UnexpectedAnswer):
        event_of(Message("status", "[]", "1"), to_media)


def test_decoding_is_lenient_with_what_is_new_and_strict_with_what_is_needed() -> None:
    job = decode(
        Job,
        {"id": "j", "number": 1, "state": "x", "created_at": "2026-11-23T12:00:00", "cost": {"amount": 0.1}, "mood": 1},
    )
    assert (job.created_at, job.cost) == (datetime(2026, 11, 23, 12, tzinfo=UTC), Cost(amount=Decimal("0.1")))
    with pytest.raises(UnexpectedAnswer, match="without 'number'"):
        decode(Job, {"id": "j"})
    with pytest.raises(UnexpectedAnswer, match="'amount'"):
        decode(Cost, {"amount": "much"})
    with pytest.raises(UnexpectedAnswer, match="JSON object"):
        decode(Cost, [])


def test_parameters_come_by_name_or_as_a_mapping() -> None:
    assert merged({"timeout": 3}, {"seed": 1}) == {"timeout": 3, "seed": 1}
    assert merged(None, {}) == {}
    with pytest.raises(TypeError, match="seed"):
        merged({"seed": 1}, {"seed": 1})
