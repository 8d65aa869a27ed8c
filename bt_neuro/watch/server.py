"""Server of the page, on this machine alone by default, with ``/healthz`` for other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import Server
from tornado.web import RequestHandler

from bt_neuro.errors import NeuroError
from bt_neuro.runs.shutdown import graceful_shutdown
from bt_neuro.watch.page import WatchPage
from bt_neuro.watch.tail import read_health, read_state

LOOPBACK = "127.0.0.1"


class Healthz(RequestHandler):  # type: ignore[misc]
    """Health of the run as JSON: 200 while it is at work or complete, else 503."""

    def initialize(self, folder: Path) -> None:
        self._folder = folder

    def get(self) -> None:
        try:
            health = read_health(self._folder)
        except NeuroError as error:
            health = {"status": "damaged", "error": str(error), "is_alive": False}
        is_well = health["is_alive"] or health["status"] == "complete"
        self.set_status(200 if is_well else 503)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(health) + "\n")


def watch(
    folder: Path,
    *,
    host: str = LOOPBACK,
    port: int = 5006,
    started: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve the page of a run until Ctrl-C or SIGTERM.

    Parameters
    ----------
    folder : of the run
    host : address to bind; any but loopback shows the account to everybody who can reach it
    port : 0 for a free one
    started : called with the address of the page

    Raises
    ------
    NeuroError
        If the folder holds no run, or the port is taken.
    """
    read_state(folder)
    application = Application(FunctionHandler(partial(WatchPage, folder=folder)))
    try:
        server = Server(
            {"/": application},
            address=host,
            port=port,
            extra_patterns=[("/healthz", Healthz, {"folder": folder})],
            allow_websocket_origin=["*"] if host not in (LOOPBACK, "localhost") else None,
        )
    except OSError as error:
        raise NeuroError(f"cannot listen on {host}:{port}: {error.strerror}. Give another --port.") from error
    if host in (LOOPBACK, "localhost"):  # the port may have been chosen by the system
        server._tornado._websocket_origins = {f"{name}:{server.port}" for name in (LOOPBACK, "localhost")}
    server.start()
    started(f"http://{host}:{server.port}/")
    with graceful_shutdown(lambda: server.io_loop.add_callback_from_signal(server.io_loop.stop)):
        server.io_loop.start()
    server.stop()
