"""`darkroom generate`: a prompt becomes picture files."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import uuid4

import typer

from darkroom.cli import sources
from darkroom.cli.exits import FAILED, INTERRUPTED, REFUSED, CommandError
from darkroom.cli.options import AsJson, Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from darkroom.cli.connection import Api, Json
    from darkroom.cli.sources import Source

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})


def generate(
    prompt: Annotated[str, typer.Argument(help='What the picture shows; "-": read it from standard input.')],
    number: Annotated[int | None, typer.Option("--number", "-n", help="How many pictures.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same picture.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures; made if absent.")] = Path(),
    model: Annotated[str | None, typer.Option("--model", "-m", help="One of `darkroom models`.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    image: Annotated[
        str | None, typer.Option(metavar="PICTURE", help="What to start from: a path, an https URL, or a file's id.")
    ] = None,
    mask: Annotated[str | None, typer.Option(metavar="PICTURE", help="Where to paint, in the same way.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="KEY=VALUE", help="A parameter of the model: JSON or text. Repeat."),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="To find the media by. Repeat.")] = None,
    picture_format: Annotated[
        Literal["png", "jpeg", "webp"] | None, typer.Option("--format", help="Left out: as the model makes them.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="Longest wait.")] = None,
    server: Server = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Make pictures from a prompt, save them and print their paths.

    Needs no server: without --server the pictures are made in this process. Ctrl-C cancels the media; a second
    one leaves at once. Files are named after the prompt, seed and index, and never overwritten.
    """
    named = {"n": number, "seed": seed, "width": width, "height": height, "output_format": picture_format}
    given = {name: value for name, value in named.items() if value is not None}
    order: dict[str, Any] = {
        "prompt": sys.stdin.read().strip() if prompt == "-" else prompt,
        "model": model,
        "parameters": dict(map(as_pair, parameter or ())) | given,
        "tags": tag or [],
    }
    pictures = {name: sources.read(text) for name, text in (("image", image), ("mask", mask)) if text is not None}
    _prepare(output)

    import asyncio

    asyncio.run(_generate(order, pictures, output, server=server, timeout=timeout, as_json=as_json, quiet=quiet))


def as_pair(text: str) -> tuple[str, Any]:
    """`key=value` with the value as JSON where it is that, else as text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise CommandError(f"-p {text}: a parameter is written KEY=VALUE", REFUSED)
    try:
        return name, json.loads(value, parse_constant=_no_number)
    except ValueError:
        return name, value


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _prepare(folder: Path) -> None:
    """Have the folder before anything is paid for."""
    if folder.suffix.lower() in PICTURES and not folder.is_dir():
        raise CommandError(f"-o {folder}: this names a folder; the files in it are named after the prompt", REFUSED)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".darkroom-{uuid4().hex}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CommandError(f"-o {folder}: {error.strerror}", REFUSED) from error


async def _generate(
    order: "Json",
    pictures: "Mapping[str, Source]",
    folder: Path,
    *,
    server: str | None,
    timeout: float | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from darkroom.cli import saving, shown, waiting
    from darkroom.cli.connection import connected

    async with connected(server) as api:
        with waiting.interruptible() as interrupt:
            given = {name: await sources.reference(api, source) for name, source in pictures.items()}
            media = await submit(api, {**order, **given})
            with waiting.progress_bar(quiet=quiet) as show:
                media = await waiting.until_ended(api, media, show=show, interrupt=interrupt, timeout=timeout)
        if interrupt.is_set():
            raise CommandError(f"interrupted; media {media['id']} is {media['status']}", INTERRUPTED)
        paths = [str(path) for path in await saving.save(api, media, folder)]
    if as_json:
        shown.print_json({**media, "paths": paths})
    else:
        typer.echo("".join(f"{path}\n" for path in paths), nl=False)
    if media["status"] != "COMPLETED":
        raise CommandError(_reason(media), FAILED)


async def submit(api: "Api", order: "Json") -> "Json":
    """Ask for the pictures. An answer that got lost is asked for again: the key makes that safe."""
    from darkroom.cli.connection import AnswerLost

    headers = {"Idempotency-Key": str(uuid4())}
    try:
        return await api.post("/media/generate", order, headers)
    except AnswerLost:
        return await api.post("/media/generate", order, headers)


def _reason(media: "Json") -> str:
    """Why a media has no pictures."""
    error = media["error"]
    ended = f"media {media['id']} ended as {media['status']}"
    if error is None or media["status"] != "ERROR":
        return ended
    tries = media["number_of_tries"]
    return f"{ended} after {tries} {'try' if tries == 1 else 'tries'}: {error['message']} ({error['code']})"
