"""The tables of a package -> the files made for people: `workbook.xlsx` and `report.html`.

They show the figures and add none, so they are made last and cost the most; a draft and the version that is locked from it show the same, and are
made once a process. Where nobody reads them, as in a simulated company whose breaks are labeled, `show_nothing` takes their place.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import orjson

from reconciliation.beside import beside
from reconciliation.close.content import Content
from reconciliation.close.report import make_report
from reconciliation.close.workbook import make_workbook

Show = Callable[[Content], Mapping[str, bytes]]
"""What a package shows -> the files made for people, by name."""


@dataclass(frozen=True, eq=False)
class _Told:
    """Content that is told by what it shows."""

    digest: str
    content: Content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Told) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def show_package(content: Content) -> dict[str, bytes]:
    """Make workbook and report; name -> bytes, the same for the same content."""
    manifest = orjson.dumps(dict(content.manifest), option=orjson.OPT_SORT_KEYS)
    beside = b"".join(content.table(name).write_csv().encode() for name in ("fees", "coverage"))
    return dict(_show(_Told(hashlib.sha256(manifest + beside).hexdigest(), content)))


def show_nothing(content: Content) -> dict[str, bytes]:
    """Make no file for people: the package is its tables."""
    del content
    return {}


@lru_cache(maxsize=1)
def _show(told: _Told) -> dict[str, bytes]:
    report = beside(make_report, told.content)
    return {"workbook.xlsx": make_workbook(told.content), "report.html": report()}


__all__ = ["Content", "Show", "show_nothing", "show_package"]
