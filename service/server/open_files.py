"""How many files the process may have open, which bounds its connections."""

from __future__ import annotations

import resource

import msgspec

from service.admission.limits import Bounds

FILES_FOR_OURSELVES = 256
"""Connections to the database, the operator's, logs, the spool, what is being accepted."""
_LEAST = 64


def raise_file_limit() -> int:
    """Allow this process as many open files as it may allow itself; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = Bounds().connections_max + 2 * FILES_FOR_OURSELVES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    return wanted if soft == resource.RLIM_INFINITY else soft


def bounds_for_files(files: int) -> Bounds:
    """The bounds of a process that may have this many files open."""
    bounds = Bounds()
    connections_max = max(_LEAST, min(bounds.connections_max, files - FILES_FOR_OURSELVES))
    return msgspec.structs.replace(bounds, connections_max=connections_max)
