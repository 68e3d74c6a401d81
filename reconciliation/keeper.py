"""Locking and re-opening months as the lake's only writer: what the commands and the review page call.

The rules (certified by two, re-opened by two, from the last month back) stand in `months`; here a writer waits its turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reconciliation.config import Settings
from reconciliation.lake import Lake, open_lake
from reconciliation.months import lock_month, lock_scope, unlock_month, write_package
from reconciliation.review.log import open_log
from reconciliation.review.records import approved_unlock

WAIT_SECONDS = 60.0
"""As long as a run usually takes to write a month."""


@dataclass(frozen=True)
class MonthKeeper:
    """Locks and re-opens months.

    Attributes:
        read_settings: returns the settings as they stand now.
    """

    read_settings: Callable[[], Settings]

    def lock(self, period: str) -> Path:
        """Lock a certified month and write the next version of its package, which is returned.

        Raises:
            LockedPeriodError: as `months.lock_month` and `months.write_package`.
        """
        settings, lake = self._open()
        with lake.writer(wait_seconds=WAIT_SECONDS):
            lock_month(lake, settings, period)
            return write_package(lake, settings, period, as_version=True)

    def reopen(self, period: str) -> None:
        """Re-open the last locked month, which two have agreed to.

        Raises:
            LockedPeriodError: as `months.unlock_month`.
        """
        settings, lake = self._open()
        with lake.writer(wait_seconds=WAIT_SECONDS):
            unlock_month(lake, settings, period)

    def may_reopen(self, period: str) -> bool:
        """Whether two people have asked for a locked month to be re-opened since it was locked."""
        settings, lake = self._open()
        locked = [scope for book in settings.books if lake.tables(scope := lock_scope(book.name, period)) is not None]
        after = max((int(lake.facts(scope).get("log_entries", 0)) for scope in locked), default=0)
        return bool(locked) and approved_unlock(open_log(lake).entries(), period, after=after) is not None

    def _open(self) -> tuple[Settings, Lake]:
        settings = self.read_settings()
        return settings, open_lake(settings)
