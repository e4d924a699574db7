"""`rewards serve`: the API on one port, metrics and health on the operator's, in one process.

More processes are more copies of this, behind one address; they share nothing but the database.
"""

from __future__ import annotations

import contextlib
import sys

import click

from service.cli.process import parents_pipe, settings_for, with_parent
from service.cli.serve import api_process
from service.observability import log
from service.server.listening import listen

_SWITCH_INTERVAL_S = 0.0005
"""A thread that has waited for the disk gets back to work so soon: people wait for the acts it has written."""


@click.command()
@with_parent
def serve(*, with_parent: bool) -> None:
    """Run the API."""
    settings = settings_for(with_parent=with_parent)
    log.configure(settings.log_level)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with contextlib.ExitStack() as sockets:
        public = sockets.enter_context(listen(settings.host, settings.port, "REWARDS_PORT"))
        operator = sockets.enter_context(listen(settings.operator_host, settings.operator_port, "REWARDS_OPERATOR_PORT"))
        parent = parents_pipe(with_parent=with_parent)
        api_process.run(api_process.application(settings), settings, public, operator, parent=parent)
