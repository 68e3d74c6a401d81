"""A second process for work that needs nothing but its arguments: checks and pages are made there while this one goes on.

It is started by whoever runs a whole month (`with second_process(prepare):`). Without it the same work is done here, so that callers
do not differ: they hand in a function, and call what they get when they need the result.
"""

import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from typing import ParamSpec, TypeVar

logger = logging.getLogger(__name__)
# Nearly all that a process of ours allocates (modules, plans of the orchestrator) lives to its end: looking for cycles in it takes time and finds none.
OBJECTS_BETWEEN_COLLECTIONS = (50_000, 20, 20)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_worker: ProcessPoolExecutor | None = None


@contextmanager
def second_process(prepare: Callable[[], object]) -> Iterator[None]:
    """Have a second process in the block; a block inside another one uses the outer one's.

    Args:
        prepare: what it does first, such as a slow import; a function of a module's top level.
    """
    global _worker
    if _worker is not None:
        yield
        return
    # Spawned, not forked: a fork would copy the locks of Polars' threads, and none of the threads that free them.
    _worker, others = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin), set(active_children())
    _worker.submit(prepare)
    started = set(active_children()) - others
    try:
        yield
    finally:
        worker, _worker = _worker, None
        # Nobody waits for what it may still be at: its results are not needed any more.
        for process in started:
            process.kill()
        worker.shutdown(wait=True, cancel_futures=True)


def beside(function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Callable[[], Result]:
    """Begin work in the second process, or do it here when there is none.

    Args:
        function: of a module's top level; it, its arguments and its result are pickled.
        *args: given to it.
        **kwargs: given to it.

    Returns:
        Waits for the result and returns it; raises what the function raised.
    """
    if _worker is None:
        result = function(*args, **kwargs)
        return lambda: result
    try:
        future = _worker.submit(function, *args, **kwargs)
    except BrokenProcessPool:
        return lambda: _again(function, *args, **kwargs)
    return lambda: _wait(future, function, *args, **kwargs)


def _wait(future: Future[Result], function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    try:
        return future.result()
    except BrokenProcessPool:
        return _again(function, *args, **kwargs)


def _again(function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    # Somebody, or a machine short of memory, ended the second process. The work is the same here.
    logger.warning("the second process ended; its work is done here")
    return function(*args, **kwargs)


def _begin() -> None:
    gc.set_threshold(*OBJECTS_BETWEEN_COLLECTIONS)
    # An interrupt at the terminal reaches every process of the command; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
