"""Inbox files and settings for ledger tests."""

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciliation.config import Settings
from reconciliation.connectors.inbox import InboxFile

HEADER = "Internal ID,Date,Period,Type,Document Number,Name,Account,Memo,Debit,Credit,Currency"


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(*, accounts: tuple[tuple[str, str], ...] = (("1050 Stripe Clearing", "GBP"),), **ledger: Any) -> Settings:
        book = {"ledger_accounts": [{"account": account, "currency": currency} for account, currency in accounts]}
        return Settings.model_validate(
            {
                "entity": {"name": "Example Ltd", "timezone": "Europe/London", "currency": "GBP"},
                "start": {"period": "2026-10"},
                "ledger": ledger,
                "books": [book],
                "folder": tmp_path,
            }
        )

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def export() -> Callable[..., InboxFile]:
    """Make a NetSuite export of rows (without header), or of whole content."""

    def make(*rows: str, name: str = "", delivery: int = 1, header: str = HEADER, content: bytes | None = None) -> InboxFile:
        data = content if content is not None else ("\n".join((header, *rows)) + "\n").encode()
        return InboxFile(name=name or f"inbox/ledger/{'abc'[delivery - 1]}.csv", content=data, sha256=hashlib.sha256(data).hexdigest(), delivery=delivery)

    return make


@pytest.fixture(scope="session")
def make_workbook() -> Callable[..., bytes]:
    """Return the writer of small workbooks: sheet name -> rows."""
    spec = importlib.util.spec_from_file_location("workbooks", Path(__file__).parents[3] / "workbooks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    writer: Callable[..., bytes] = module.workbook
    return writer
