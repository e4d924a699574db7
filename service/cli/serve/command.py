"""`rewards serve`: the API on one port, metrics and health on the operator's.

one process    this one
several        forked from this one, which supervises them (``several.py``); they share nothing but the ports and the database
"""

from __future__ import annotations

import contextlib
import sys

import click

from service.cli.process import parents_pipe, settings_for, with_parent
from service.cli.serve import api_process, several
from service.observability import log
from service.server.listening import listen
from service.settings import PROCESSES_MAX, Settings

_SWITCH_INTERVAL_S = 0.0005
"""A thread that has waited for the disk gets back to work so soon: people wait for the acts it has written."""


@click.command()
@click.option(
    "--processes",
    type=click.IntRange(1, PROCESSES_MAX),
    metavar="N",
    help="Serve from N processes on the one port, where the machine has more than one core for the API."
    "  [default: REWARDS_PROCESSES, or 1]",
)
@with_parent
def serve(*, processes: int | None, with_parent: bool) -> None:
    """Run the API."""
    settings = settings_for(with_parent=with_parent)
    log.configure(settings.log_level)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    parent = parents_pipe(with_parent=with_parent)
    count = processes or settings.processes or 1
    if count == 1:
        _serve_alone(settings, parent)
    else:
        several.serve(settings, count, parent)


def _serve_alone(settings: Settings, parent: int | None) -> None:
    with contextlib.ExitStack() as sockets:
        public = sockets.enter_context(listen(settings.host, settings.port, "REWARDS_PORT"))
        operator = sockets.enter_context(listen(settings.operator_host, settings.operator_port, "REWARDS_OPERATOR_PORT"))
        api_process.run(api_process.application(settings), settings, public, operator, parent=parent)
