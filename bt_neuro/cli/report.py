"""bt-neuro report."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from bt_neuro.cli.common import Json, app, errors


@app.command(epilog="Example: bt-neuro report runs/EURUSD_H1-20261120-160448 --png")
def report(
    run: Annotated[
        Path | None, typer.Argument(help="The folder of a run; by default the latest one in runs/.")
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="Write a still picture, report.png, too.")] = False,
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser, at a terminal.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Write a run's report.html anew, and open it: one page that needs no network."""
    with errors():
        from bt_neuro.report.screenshot import take_picture
        from bt_neuro.studies.pages import write_page_of

        written = [write_page_of(run)]
        if png:
            written.append(written[0].with_suffix(".png"))
            take_picture(*written)
        if as_json:
            typer.echo(json.dumps({path.suffix[1:]: str(path) for path in written}, indent=2))
            return
        typer.echo("\n".join(map(str, written)))
        if show and sys.stdout.isatty():
            typer.launch(written[0].resolve().as_uri())
