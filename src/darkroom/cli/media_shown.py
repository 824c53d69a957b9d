"""Media as people see them."""

import json

from rich.console import Group
from rich.table import Table

from darkroom.cli import shown
from darkroom.cli.connection import Json

LONGEST_PROMPT = 200


def listed(items: list[Json]) -> Table:
    """One line a media."""
    table = shown.table("id", "status", "model", "files", "created", "prompt")
    for column in table.columns[:-1]:
        column.no_wrap = True
    table.columns[-1].no_wrap, table.columns[-1].overflow = True, "ellipsis"
    for media in items:
        prompt = shown.plain(media["prompt"][:LONGEST_PROMPT])
        created = shown.ago(media["created_at"])
        table.add_row(media["id"], media["status"], media["model"], str(len(media["files"])), created, prompt)
    return table


def show(media: Json) -> None:
    """Print all that is known of a media."""
    parts: list[tuple[str, Table]] = [("", _facts(media))]
    if media["files"]:
        parts.append(("Files", _files(media["files"])))
    if "jobs" in media:
        parts.append(("Jobs", _jobs(media["jobs"])))
    if "logs" in media:
        parts.append(("Story", _story(media["logs"])))
    console = shown.console()
    for title, table in parts:
        console.print(Group(f"\n{title}", table) if title else table)
    for saved in media.get("tracebacks", ()):
        console.print(f"\nTraceback of job {saved['number']}, {saved['job_id']}\n{_lines(saved['traceback'])}")


def _facts(media: Json) -> Table:
    error, progress = media["error"], media["progress"]
    facts = {
        "id": media["id"],
        "job": media["job_id"],
        "status": media["status"],
        "before it": media["queue_position"],
        "progress": progress and f"{progress['step']}/{progress['total']}",
        "model": media["model"],
        "prompt": media["prompt"],
        "parameters": json.dumps(media["parameters"], ensure_ascii=False),
        "tags": ", ".join(media["tags"]),
        "metadata": media["metadata"] and json.dumps(media["metadata"], ensure_ascii=False),
        "tries": f"{media['number_of_tries']} of {media['max_tries']}",
        "error": error and f"{error['message']} ({error['code']})",
        "cost": media["cost"] and f"{media['cost']['amount']} {media['cost']['currency']}",
        "created": shown.moment(media["created_at"]),
        "started": media["started_at"] and shown.moment(media["started_at"]),
        "ended": media["completed_at"] and shown.moment(media["completed_at"]),
        "next try": media["next_run"] and shown.moment(media["next_run"]),
    }
    table = shown.pairs()
    for name, fact in facts.items():
        if fact not in (None, "", {}):
            table.add_row(name, shown.plain(fact))
    return table


def _files(files: list[Json]) -> Table:
    table = shown.table("index", "picture", "size", "seed", "sha256", "at")
    for file in files:
        picture = f"{file['content_type']} {file['width']} x {file['height']}"
        seed = "" if file["seed"] is None else str(file["seed"])
        table.add_row(
            str(file["index"]), picture, shown.size(file["bytes"]), seed, file["sha256"][:12], file["url"]
        )  # fmt: skip
    return table


def _jobs(jobs: list[Json]) -> Table:
    table = shown.table("number", "id", "state", "route", "started", "took", "error")
    for job in jobs:
        error = f"{job['error']['message']} ({job['error']['code']})" if job["error"] else ""
        started = shown.moment(job["started_at"])
        route = shown.plain(job["route"] or job["provider"] or "")
        table.add_row(str(job["number"]), job["id"], job["state"], route, started, _took(job), shown.plain(error))
    return table


def _took(job: Json) -> str:
    if not (job["started_at"] and job["finished_at"]):
        return ""
    return f"{shown.seconds_between(job['started_at'], job['finished_at']):.1f} s"


def _story(lines: list[Json]) -> Table:
    table = shown.table("at", "event", "message")
    for line in lines:
        table.add_row(shown.clock(line["at"]), line["event"], shown.plain(line["message"]))
    return table


def _lines(text: str) -> str:
    return "\n".join(shown.plain_line(line) for line in text.splitlines())
