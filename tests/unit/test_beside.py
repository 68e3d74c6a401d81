"""Work beside: the same results and errors with a second process, without one, and when it is ended in the middle."""

import os
import signal
import time
from multiprocessing import active_children
from pathlib import Path

import polars as pl
import pytest

from reconciliation.beside import beside, second_process
from reconciliation.errors import DefectError

ROWS = pl.DataFrame({"amount_minor": [2**53 + 1, -5]})


def _process() -> int:
    return os.getpid()


def _total(frame: pl.DataFrame) -> int:
    return int(frame["amount_minor"].sum())


def _refuse(word: str) -> None:
    raise DefectError(word)


def _wait() -> None:
    time.sleep(600)


def test_without_a_second_process_the_work_is_done_here():
    assert beside(_process)() == os.getpid()


def test_the_second_process_gives_the_same_result_and_is_gone_after_the_block():
    with second_process(_process):
        result = beside(_total, ROWS)
        assert beside(_process)() != os.getpid()
        assert result() == _total(ROWS)
        assert active_children()
    assert not active_children()
    assert beside(_process)() == os.getpid()


def test_a_block_inside_another_uses_the_same_process():
    with second_process(_process):
        outer = beside(_process)()
        with second_process(_process):
            assert beside(_process)() == outer
        assert beside(_process)() == outer


def test_an_error_there_is_raised_here_as_it_is():
    with second_process(_process):
        result = beside(_refuse, "row 4: no currency")
        with pytest.raises(DefectError, match="row 4: no currency"):
            result()
        assert beside(_total, ROWS)() == _total(ROWS)


def test_when_the_process_is_killed_its_work_and_all_after_it_is_done_here():
    with second_process(_process):
        child = beside(_process)()
        waiting, totals = beside(_sleep_there, os.getpid()), beside(_total, ROWS)
        os.kill(child, signal.SIGKILL)
        assert waiting() == os.getpid()
        assert totals() == _total(ROWS)
        assert beside(_process)() == os.getpid()


def _sleep_there(home: int) -> int:
    if os.getpid() != home:
        time.sleep(600)
    return os.getpid()


def test_a_block_that_fails_does_not_wait_for_work_under_way():
    with pytest.raises(DefectError):
        _begin_and_fail()
    assert not active_children()


def _begin_and_fail() -> None:
    with second_process(_wait):
        beside(_wait)  # each would take ten minutes
        raise DefectError("refused")


def test_the_process_ends_with_a_parent_that_is_killed():
    reads, writes = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.close(reads)
        with second_process(_process):
            os.write(writes, str(beside(_process)()).encode())
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(writes)
    child = int(os.read(reads, 32))
    os.waitpid(parent, 0)
    for _ in range(300):
        try:
            os.kill(child, 0)
            is_gone = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            is_gone = True
        if is_gone:
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("it outlived its parent")
