"""One piece of work in several processes that die together: whoever ends one, ends all, and nothing goes on unseen."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from thinkseg.errors import InputError, ThinkSegError

Tell = Callable[[Any], None]
"""Sends a small value to the process that waits."""

FAREWELL_SECONDS = 10.0


class ProcessLost(ThinkSegError):
    """A process ended before its work did."""


def run_processes(count: int, work: Callable[[int, Tell], Any], heard: Callable[[int, Any], None]) -> list[Any]:
    """Do the work `count` times at once.

    Args:
        count: how many processes.
        work: called in each with its number, from 0 on, and with what it tells its progress by; it and all that it
            returns travel between processes, so that it is a function of a module or a `functools.partial` of one.
        heard: called here with the number of a process and what it told.

    Returns:
        What each returned, in order.

    Raises:
        ProcessLost: a process was killed; the others were ended.
        Exception: whatever the work raised; the others were ended.
    """
    context = multiprocessing.get_context("spawn")  # PyTorch does not survive a fork
    receivers: dict[Connection, int] = {}
    processes: list[BaseProcess] = []
    results: dict[int, Any] = {}
    try:
        for number in range(count):
            receiver, sender = context.Pipe(duplex=False)
            process: BaseProcess = context.Process(target=_serve, args=(work, number, sender))
            process.start()
            sender.close()
            processes.append(process)
            receivers[receiver] = number
        while receivers:
            for ready in wait(list(receivers)):
                assert isinstance(ready, Connection)
                _receive(ready, receivers, processes, results, heard)
    finally:
        for process in processes:
            if len(results) < count:
                process.terminate()
            process.join(FAREWELL_SECONDS)
            if process.is_alive():
                process.kill()
    return [results[number] for number in range(count)]


def share_machine(number: int, count: int) -> None:
    """Let this process, one of so many, take its GPU and its part of the CPUs; called before PyTorch is loaded."""
    os.environ["LOCAL_RANK"] = str(number)  # each takes the next GPU
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))


def _receive(
    receiver: Connection,
    receivers: dict[Connection, int],
    processes: list[BaseProcess],
    results: dict[int, Any],
    heard: Callable[[int, Any], None],
) -> None:
    """Take what one process sent: news, its result, or why there is none."""
    number = receivers[receiver]
    try:
        kind, value = receiver.recv()
    except EOFError:
        processes[number].join(FAREWELL_SECONDS)
        code = processes[number].exitcode
        raise ProcessLost(
            f"process {number + 1} of {len(processes)} ended with code {code} before its work was done, and the others "
            "were ended; the same command goes on where they were"
        ) from None
    if kind == "failed":
        raise value
    if kind == "done":
        results[number] = value
        del receivers[receiver]
    else:
        heard(number, value)


def _serve(work: Callable[[int, Tell], Any], number: int, sender: Connection) -> None:
    """In the new process: work, and end at once when the process that waits is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        result = work(number, lambda news: sender.send(("news", news)))
    except KeyboardInterrupt:
        os._exit(130)  # the process that waits was interrupted, too, and says so
    except Exception as error:  # noqa: BLE001 - it is raised again where somebody waits for it
        sender.send(("failed", _portable(error)))
    else:
        sender.send(("done", result))


def _portable(error: Exception) -> Exception:
    """The error as it can travel: some cannot be built again from their message, and libraries' own may be unknown."""
    kind = InputError if isinstance(error, InputError) else ThinkSegError
    return kind(str(error) if isinstance(error, ThinkSegError) else f"{type(error).__name__}: {error}")


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
