"""One thread beside the event loop, for what Arrow does with a page: each thread that allocates keeps memory of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_beside = ThreadPoolExecutor(1, "arrow")


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Do ``work`` beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_beside, work, *arguments)
