"""`rewards worker`: the agents that tidy up behind the API."""

from __future__ import annotations

import asyncio

import click
import uvloop

from service import worker as agents
from service.cli.process import parents_pipe, settings_for, stop_event, with_parent
from service.observability import log


@click.command()
@with_parent
def worker(*, with_parent: bool) -> None:
    """Run the jobs behind the API."""
    settings = settings_for(with_parent=with_parent)
    log.configure(settings.log_level)

    async def run() -> None:
        await agents.run(settings, stop=stop_event(parents_pipe(with_parent=with_parent)))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
