"""Progress, logs and alerts as lines: plain text for people, or one JSON object a line (`RECONCILIATION_LOG=json`) for a collector."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from reconciliation.config import logs_as_json

OWN = ("reconciliation", "assets", "expectations")


class JsonLines(logging.Formatter):
    """One record -> one JSON object: when, level, logger, message, and what was given as `extra={"facts": …}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        content: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            content["error"] = record.exc_info[0].__name__  # The text of an error may quote a row.
        return json.dumps(content, ensure_ascii=False, default=str)


def configure_logs() -> None:
    """Send our own loggers to stderr as JSON lines where that is asked for; without, they stay as they are. Calling it again changes nothing.

    Raises:
        SettingsError: the environment asks for neither text nor json.
    """
    if not logs_as_json():
        return
    for name in OWN:
        logger = logging.getLogger(name)
        if not any(isinstance(handler.formatter, JsonLines) for handler in logger.handlers):
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(JsonLines())
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            logger.propagate = False
