"""Processes that are forked from this one, and started again when they end.

    start     one alone, and the others when it has: what is wrong with it is wrong with all of them, and is said once
    restart   at once; one that ends again and again waits, in the end ten seconds
    give up   when all that serve end as soon as they are started, each five times in a row
    stop      at SIGTERM or SIGINT, or when our own parent is gone: all are told to; who takes too long is killed

They are forked after everything was loaded, so a successor serves after a tenth of a second, and what is never written is in
memory once. Neither threads nor event loops survive a fork, so there may be none here.

A child says through a pipe that it has started; when that pipe ends, so has the child. It learns from the end of another that
we are gone, and stops by itself.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from service.concurrency.backoff import backoff_s

SETTLED_AFTER_S = 20.0
"""One that has lived for so long did not end at once."""
WAIT_S = 0.5
WAIT_MAX_S = 10.0
QUICK_ENDS_MAX = 5
STOP_TIMEOUT_S = 18.0
"""A little less than `rewards up` gives us."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class GaveUp(Exception):
    """The processes of the API end as soon as they are started; what they said before tells why."""

    def __str__(self) -> str:
        return self.__doc__ or ""


class Supervised(msgspec.Struct, frozen=True):
    """What a child has of its supervisor."""

    parent: int
    """A file that ends with the supervisor."""
    told: int
    is_successor: bool
    """Whether another did its work before."""

    def started(self) -> None:
        """Say that it has started."""
        os.write(self.told, b"+")


class Child:
    """One process after the other with the same work."""

    def __init__(self, name: str, work: Callable[[Supervised], None], *, listening: Sequence[socket.socket] = ()) -> None:
        """``listening`` are the sockets of one that serves; nobody is sent there while none is about to come."""
        self.name = name
        self.work = work
        self.listening = listening
        self.pid = 0
        self.told = -1
        """Our end of the pipe through which it says that it has started."""
        self.started_at = 0.0
        self.quick_ends = 0
        self.due_at = 0.0

    @property
    def runs(self) -> bool:
        """Whether there is a process of it."""
        return self.told >= 0

    @property
    def is_hopeless(self) -> bool:
        """Whether it has ended at once again and again, and nothing says that it will not."""
        has_settled = self.runs and time.monotonic() - self.started_at >= SETTLED_AFTER_S
        return self.quick_ends >= QUICK_ENDS_MAX and not has_settled

    def note_start(self, pid: int, told: int, now: float) -> None:
        """Note that there is a process."""
        self.pid, self.told, self.started_at = pid, told, now

    def note_end(self, now: float) -> None:
        """Note that the process has ended, and when another is due."""
        os.close(self.told)
        self.told = -1
        self.quick_ends = self.quick_ends + 1 if now - self.started_at < SETTLED_AFTER_S else 0
        wait_s = backoff_s(self.quick_ends - 1, first_s=WAIT_S, max_s=WAIT_MAX_S) if self.quick_ends > 1 else 0.0
        self.due_at = now + wait_s
        for each in self.listening if wait_s else ():
            # One that stopped in order has done so itself.
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class Supervisor:
    """Keeps children running, the first of which serves."""

    def __init__(self, children: Sequence[Child], *, parent: int | None) -> None:
        """``parent`` is a file that ends with our own parent, if we are to end with it."""
        self._children = children
        self._parent = parent
        self._has_begun = False
        self._is_over = False
        self._ends_with_us, self._our_end = os.pipe()
        self._wakes, self._wake = os.pipe()

    def run(self) -> Callable[[], None] | None:
        """Run until told to stop, and return nothing. In each of the children, it returns their work, which is to be done."""
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, _wake_up)
        while not self._is_over:
            for child in self._due():
                if (work := self._fork(child)) is not None:
                    return work
            self._wait()
        self._stop()
        return None

    def _due(self) -> list[Child]:
        wanted = self._children if self._has_begun else self._children[:1]
        now = time.monotonic()
        return [child for child in wanted if not child.runs and child.due_at <= now]

    def _fork(self, child: Child) -> Callable[[], None] | None:
        """Start a process. In it, return its work."""
        told, says = os.pipe()
        # A signal that reaches the child before it has let go of ours would be taken for one to us.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            os.close(told)
            self._let_go()
            return functools.partial(child.work, Supervised(self._ends_with_us, says, child.started_at > 0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(says)
        child.note_start(pid, told, time.monotonic())
        return None

    def _let_go(self) -> None:
        """In a child: forget what is the supervisor's."""
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        for file in (self._our_end, self._wakes, self._wake, *(each.told for each in self._children if each.runs)):
            os.close(file)
        if self._parent is not None:
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, self._parent)
            os.close(nothing)

    def _wait(self, until: float | None = None) -> None:
        """Wait for the next thing to happen, or be due, and take note of it."""
        dues = [child.due_at for child in self._children if not child.runs] if self._has_begun and not self._is_over else []
        if until is not None:
            dues.append(until)
        timeout_s = max(0.0, min(dues) - time.monotonic()) if dues else None
        running = {child.told: child for child in self._children if child.runs}
        parent = [] if self._parent is None or self._is_over else [self._parent]
        for ready in select.select([self._wakes, *parent, *running], [], [], timeout_s)[0]:
            said = os.read(ready, 64)
            if ready == self._wakes or (ready == self._parent and not said):
                self._is_over = True
            elif (child := running.get(ready)) is not None:
                self._hear(child, ended=not said)

    def _hear(self, child: Child, *, ended: bool) -> None:
        if not ended:
            self._has_begun = True
            return
        child.note_end(time.monotonic())
        status = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        if self._is_over:
            return
        if not self._has_begun and status > 0:
            # It has said why.
            raise SystemExit(status)
        structlog.get_logger().error(
            "process_ended",
            process=child.name,
            how=f"exit code {status}" if status >= 0 else signal.Signals(-status).name,
            waits_s=max(0.0, round(child.due_at - time.monotonic(), 1)),
        )
        if not self._has_begun or all(each.is_hopeless for each in self._children if each.listening):
            self._stop()
            raise GaveUp

    def _stop(self) -> None:
        """Stop all that serve, then what tells how they are."""
        self._is_over = True
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for serving in (True, False):
            children = [child for child in self._children if bool(child.listening) is serving]
            for child in children:
                if child.runs:
                    os.kill(child.pid, signal.SIGTERM)
            while any(child.runs for child in children) and time.monotonic() < deadline:
                self._wait(deadline)
            for child in children:
                if child.runs:
                    os.kill(child.pid, signal.SIGKILL)
                    os.waitpid(child.pid, 0)
                    child.note_end(time.monotonic())


def _wake_up(*_: object) -> None:
    """The signal's number is in the pipe."""
