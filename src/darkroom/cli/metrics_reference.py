"""The reference of the metrics, made from the metrics themselves, so that it cannot be wrong about them."""

from collections.abc import Iterator

from darkroom.telemetry.metrics import DESCRIBED


def render_metrics() -> str:
    """Every metric with its kind, its labels and what it says, as Markdown that ends in a newline."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Metrics"
    yield ""
    yield "`GET /metrics`, of the service and, on `DARKROOM_WORKER_PORT`, of each worker, in Prometheus' text format."
    yield "Counters start at 0 with their process. What is counted of media and jobs is counted once, by the process"
    yield "that wrote it down: sum over all. A histogram has `_bucket`, `_sum` and `_count`."
    yield ""
    yield "| metric | kind | labels | |"
    yield "|---|---|---|---|"
    for metric in DESCRIBED:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.text} |"
