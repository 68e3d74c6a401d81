"""Inbox files and settings for bank tests."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciliation.config import Settings
from reconciliation.connectors.inbox import InboxFile


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(**book: object) -> Settings:
        return Settings.model_validate(
            {
                "entity": {"name": "Example Ltd", "timezone": "Europe/London", "currency": "GBP"},
                "start": {"period": "2026-10"},
                "books": [book],
                "folder": tmp_path,
            }
        )

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def statement() -> Callable[..., InboxFile]:
    def make(content: str | bytes, *, name: str = "bank/a.csv", delivery: int = 1) -> InboxFile:
        data = content.encode() if isinstance(content, str) else content
        return InboxFile(name=name, content=data, sha256=hashlib.sha256(data).hexdigest(), delivery=delivery)

    return make
