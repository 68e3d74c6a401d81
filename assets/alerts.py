"""Alerts -> a line each in a file, and a program or an address where one is set. Without either no connection is made and nothing is started."""

import json
import logging
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import requests

from assets.planning import pulled_through
from reconciliation.config import Settings, alert_webhook
from reconciliation.lake import Lake, beside_lake
from reconciliation.watch.alerts import Alert, find_alerts, take_new

FILE = "alerts.jsonl"
SECONDS_MAX = 30.0
logger = logging.getLogger(__name__)


def pulls(lake: Lake, settings: Settings) -> Mapping[str, datetime | None]:
    """Return how far each account is pulled."""
    return {account: pulled_through(lake, account) for book in settings.books for account in book.stripe_accounts}


def alerts_file(settings: Settings) -> Path:
    """Return the file that alerts are appended to."""
    return settings.path(settings.watch.alerts) if settings.watch.alerts else beside_lake(settings) / FILE


def watch(lake: Lake, settings: Settings, *, now: datetime) -> list[Alert]:
    """Tell of what stands out since the last look, and return it."""
    new = take_new(lake, find_alerts(lake, settings, pulled=pulls(lake, settings), now=now))
    tell_alerts(settings, new, at=now)
    return new


def tell_alerts(settings: Settings, alerts: Iterable[Alert], *, at: datetime) -> None:
    """Write each alert as a line; a program or an address that fails is logged, since the line stands in the file."""
    for alert in alerts:
        content = alert.to_json(at=at)
        line = json.dumps(content, ensure_ascii=False)
        logger.info("alert %s", alert.kind, extra={"facts": content})
        path = alerts_file(settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")
        if settings.watch.alert_command:
            _start(settings, line)
        webhook = alert_webhook()
        if webhook:
            _post(webhook, line)


def _start(settings: Settings, line: str) -> None:
    try:
        subprocess.run(settings.watch.alert_command, input=line + "\n", text=True, check=True, capture_output=True, timeout=SECONDS_MAX, cwd=settings.folder)
    except (OSError, subprocess.SubprocessError) as error:
        logger.error("[watch] alert_command failed (%s); the alert stands in %s", type(error).__name__, alerts_file(settings))  # noqa: TRY400 - a traceback says no more


def _post(webhook: str, line: str) -> None:
    try:
        requests.post(webhook, data=line.encode(), headers={"Content-Type": "application/json"}, timeout=SECONDS_MAX).raise_for_status()
    except requests.RequestException as error:
        logger.error("RECONCILIATION_ALERT_WEBHOOK could not be reached (%s)", type(error).__name__)  # noqa: TRY400 - the text holds the secret address
