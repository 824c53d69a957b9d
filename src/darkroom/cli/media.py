"""`darkroom media`: list, show, save, cancel, retry, delete."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from darkroom.cli.asking import every, with_api
from darkroom.cli.exits import REFUSED, CommandError, complain
from darkroom.cli.options import AsJson, Server

if TYPE_CHECKING:
    from darkroom.cli.connection import Api, Json

app = typer.Typer(help="What became of what was asked for.", rich_markup_mode=None)

Id = Annotated[UUID, typer.Argument(metavar="ID", help="Of a media, or of any of its jobs.")]
Ids = Annotated[list[UUID], typer.Argument(metavar="ID...", help="Of media, or of any of their jobs.")]
Status = Literal["IN_QUEUE", "PROCESSING", "COMPLETED", "ERROR", "CANCELLED"]


@app.command("list")
def list_(
    status: Annotated[Status | None, typer.Option(case_sensitive=False, help="Only these.")] = None,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    words: Annotated[str | None, typer.Option("--query", "-q", help="Only with these words in the prompt.")] = None,
    after: Annotated[str | None, typer.Option(metavar="TIME", help="Only newer: 2026-11-23T18:00, 2h.")] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help="Only older.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most media to list.")] = 20,
    all_: Annotated[bool, typer.Option("--all", help="List every one.")] = False,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List media, newest first."""
    from darkroom.cli import media_shown, shown

    filters = {
        "status": status,
        "model": model,
        "tag": tag,
        "q": words,
        "created_after": after and shown.instant("--after", after),
        "created_before": before and shown.instant("--before", before),
    }
    items = with_api(server, lambda api: every(api, "/media", filters, None if all_ else limit))
    if as_json:
        shown.print_json(items)
    else:
        shown.console().print(media_shown.listed(items))


@app.command()
def show(
    media: Id,
    jobs: Annotated[bool, typer.Option("--jobs", help="Every try at it, too.")] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Its story, too.")] = False,
    tracebacks: Annotated[
        bool, typer.Option("--tracebacks", help="Where its jobs failed in the code, too; not with --server.")
    ] = False,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Show a media."""
    from darkroom.cli import media_shown, shown

    if tracebacks and server is not None:
        raise CommandError("--tracebacks: a server does not send them; ask without --server, on its machine", REFUSED)

    async def gather(api: "Api") -> "Json":
        found = await _find(api, media)
        at = f"/media/{found['id']}"
        if jobs:
            found["jobs"] = (await api.get(f"{at}/jobs"))["items"]
        if logs:
            found["logs"] = await every(api, f"{at}/logs", {}, None)
        if tracebacks:
            found["tracebacks"] = await _tracebacks(api, UUID(found["id"]))
        return found

    found = with_api(server, gather)
    if as_json:
        shown.print_json(found)
    else:
        media_shown.show(found)


@app.command()
def save(
    ids: Ids,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures; made if absent.")] = Path(),
    server: Server = None,
) -> None:
    """Save the pictures of media and print their paths."""
    from darkroom.cli import saving

    async def save_one(api: "Api", found: "Json") -> None:
        if found["status"] != "COMPLETED":
            raise CommandError(f"media {found['id']} is {found['status']}; it has no pictures", REFUSED)
        for path in await saving.save(api, found, output):
            typer.echo(path)

    output.mkdir(parents=True, exist_ok=True)
    _each(server, ids, save_one)


@app.command()
def cancel(ids: Ids, server: Server = None) -> None:
    """Cancel media that have not ended."""

    async def cancel_one(api: "Api", found: "Json") -> None:
        after = await api.post(f"/media/{found['id']}/cancel")
        typer.echo(f"{found['id']} {after['status']}")

    _each(server, ids, cancel_one)


@app.command()
def retry(ids: Ids, server: Server = None) -> None:
    """Put media that ended as ERROR or CANCELLED back into the queue; `darkroom serve` makes them."""

    async def retry_one(api: "Api", found: "Json") -> None:
        after = await api.post(f"/media/{found['id']}/retry")
        typer.echo(f"{found['id']} {after['status']}")

    _each(server, ids, retry_one)


@app.command()
def delete(
    ids: Ids,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    server: Server = None,
) -> None:
    """Delete media with their pictures, whatever their status."""
    if not yes:
        if not sys.stdin.isatty():
            raise CommandError("nobody is here to ask whether to delete; add --yes", REFUSED)
        typer.confirm(f"Delete {len(ids)} media with their pictures?", abort=True, err=True)

    async def delete_one(api: "Api", found: "Json") -> None:
        await api.delete(f"/media/{found['id']}")
        typer.echo(f"{found['id']} deleted")

    _each(server, ids, delete_one)


def _each(server: str | None, ids: list[UUID], work: Callable[["Api", "Json"], Awaitable[None]]) -> None:
    """Have `work` done on each media. One that is refused does not keep the others from it; the worst code counts."""

    async def do_each(api: "Api") -> int:
        worst = 0
        for media_id in ids:
            try:
                await work(api, await _find(api, media_id))
            except CommandError as error:
                worst = max(worst, complain(error.message, error.code))
        return worst

    raise typer.Exit(with_api(server, do_each))


async def _find(api: "Api", some_id: UUID) -> "Json":
    """The media with this id, or with this job."""
    from darkroom.cli.connection import Refused

    try:
        return await api.get(f"/media/{some_id}")
    except Refused:
        try:
            return await api.get(f"/media/status/{some_id}")
        except Refused as error:
            raise Refused(f"there is no media, and no job, {some_id}", error.status) from error


async def _tracebacks(api: "Api", media_id: UUID) -> list["Json"]:
    assert api.engine is not None
    jobs = await api.engine.queries.jobs(media_id)
    return [
        {"job_id": str(job.id), "number": job.number, "traceback": job.error.traceback}
        for job in jobs
        if job.error is not None and job.error.traceback
    ]
