"""`darkroom doctor`: each part, whether it answers, and what to do if not."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from darkroom.cli.exits import FAILED
from darkroom.cli.options import AsJson, Server

if TYPE_CHECKING:
    from darkroom.cli.examination import Finding


def doctor(server: Server = None, as_json: AsJson = False) -> None:
    """Check every part, and say what to do about what is wrong.

    Exits with 1 if anything is wrong. With --server, it asks the Darkroom there.
    """
    import asyncio

    from darkroom.cli import examination, shown

    examine = examination.of_this_machine() if server is None else examination.of_server(server)
    findings = asyncio.run(examine)
    if as_json:
        shown.print_json([{"ok": finding.ok, **asdict(finding)} for finding in findings])
    else:
        _print(findings)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else FAILED)


def _print(findings: "list[Finding]") -> None:
    from darkroom.cli import shown

    table = shown.table("", "part", "where", "state")
    for finding in findings:
        state = finding.detail if finding.problem is None else finding.problem
        table.add_row("ok" if finding.ok else "--", finding.part, shown.plain(finding.where), shown.plain(state))
        if finding.advice:
            table.add_row("", "", "", f"-> {finding.advice}")
    shown.console().print(table)
