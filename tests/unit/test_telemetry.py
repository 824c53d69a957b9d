"""The facade of logs, metrics and traces, by itself."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from darkroom import telemetry
from darkroom.settings import Settings
from darkroom.telemetry import logs, metrics, traces


@pytest.fixture
def as_before() -> Iterator[None]:
    """Logging is put back as it was: it is one for the whole process."""
    root, configuration = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    """The lines of the log, each of which is JSON."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("amqp://guest:s3cret@broker/vhost", "amqp://guest:***@broker/vhost"),
        ("redis://:s3cret@host:6379/0", "redis://:***@host:6379/0"),
        ("postgresql://me:s3c@ret@db/x", "postgresql://me:***@db/x"),
        ("https://host/path?mail=a@b.example", "https://host/path?mail=a@b.example"),
        ("http://host:8000/ and a@b", "http://host:8000/ and a@b"),
    ],
)
def test_no_line_holds_the_password_of_an_address(address: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.set_up(style="json")
    structlog.get_logger().warning("ours", address=address, nested={"at": [address]})
    logging.getLogger("library").warning("no answer from %s", address)
    try:
        raise OSError(address)
    except OSError:
        structlog.get_logger().exception("ours")
        logging.getLogger("library").exception("theirs")
    lines = written(capsys)
    assert lines[0]["address"] == shown
    assert lines[1]["event"] == f"no answer from {shown}"
    assert all(f"OSError: {shown}" in line["exception"] for line in lines[2:])
    assert "s3c" not in json.dumps(lines)


@pytest.mark.usefixtures("as_before")
def test_lines_of_libraries_look_like_ours(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.set_up(style="json")
    telemetry.set_up(style="json")
    with structlog.contextvars.bound_contextvars(media_id="m"):
        logging.getLogger("kombu").warning("a line")
        structlog.get_logger().warning("a line")
    theirs, ours = written(capsys)
    assert theirs.pop("logger") == "kombu"
    assert theirs.keys() == ours.keys() == {"event", "level", "media_id", "timestamp"}


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize(("level", "heard"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 0)])
def test_libraries_are_heard_from_warnings_on(level: str, heard: int, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.set_up(level=level, style="json")
    log, library = structlog.get_logger(), logging.getLogger("library")
    log.debug("ours")
    log.info("ours")
    log.warning("ours")
    library.info("theirs")
    library.warning("theirs")
    assert len(written(capsys)) == heard


@pytest.mark.usefixtures("as_before")
def test_a_line_for_people_shows_no_password_either(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.set_up(style="console")
    structlog.get_logger().warning("ours", address="amqp://me:s3cret@host")
    logging.getLogger("library").warning("at amqp://me:s3cret@host")
    text = capsys.readouterr().err
    assert text.count("amqp://me:***@host") == 2


@pytest.mark.usefixtures("as_before")
def test_ids_of_a_path_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.set_up(style="json")
    token = logs.request.set(lambda: {"request_id": "r", "media_id": "x" * 10_000})
    structlog.get_logger().warning("ours")
    logs.request.reset(token)
    [line] = written(capsys)
    assert line["media_id"] == "x" * logs.LONGEST_ID


# Traces


def test_without_a_collector_there_is_nothing() -> None:
    with traces.span("a", number=1, nothing=None):
        traces.note(name="b", failed="c", number=2)
        assert traces.traceparent() is None
        assert traces.trace_id() is None
        assert traces.headers() == {}


async def test_a_backend_is_told_of_the_span_that_is_open() -> None:
    async with traces.exporting("http://127.0.0.1:9", ratio=1):
        assert traces.headers() == {}
        with traces.span("outer"):
            outer = traces.traceparent()
            with traces.span("inner"):
                assert traces.headers() == {"traceparent": traces.traceparent()}
                assert traces.traceparent() != outer
                assert traces.trace_id() == (outer or "").split("-")[1]
    assert traces.headers() == {}


async def test_a_span_goes_on_where_another_process_left_it() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with traces.exporting("http://127.0.0.1:9", ratio=0):
        with traces.span("followed", parent=parent):
            assert traces.trace_id() == "0af7651916cd43dd8448eb211c80319c"
            assert is_sampled()
        with traces.span("by itself"):
            assert not is_sampled()


def is_sampled() -> bool:
    """What the open span's flags say to those who go on with it."""
    return bool(int((traces.traceparent() or "").rpartition("-")[2], 16) & 1)


# Metrics


def test_names_are_of_one_kind() -> None:
    for metric in metrics.DESCRIBED:
        assert metric.name.startswith("darkroom_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.name.endswith("_seconds") or metric.kind != "histogram"


def test_traces_are_off_unless_asked_for() -> None:
    assert Settings().traces_url is None
    assert Settings().worker_port is None
