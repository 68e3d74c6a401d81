"""What is published + the clock -> what somebody must be told. Each alert has a key; one that was told is told again only after it had gone.

No alert quotes a row: it names month, currency, counts, money and break ids, and says what to do. The close package has the names.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from reconciliation.config import Settings
from reconciliation.lake import Lake
from reconciliation.money import format_minor
from reconciliation.watch.measures import MonthState, exceptions_of, open_states

FAILED_PROOF, FAILED_RUN, LATE_PULL, LATE_FILE = "failed_proof", "failed_run", "late_pull", "late_file"
AGEING_EXCEPTION, DRIFT, MATERIAL_BREAK, UNEXPLAINED = "ageing_exception", "drift", "material_break", "unexplained"
BREAKS_NAMED_MAX = 20
TOLD = "watch/alerts"


@dataclass(frozen=True)
class Alert:
    """Something that somebody must be told.

    Attributes:
        kind: `failed_proof`, `late_file`, ….
        key: the same for as long as it is the same matter.
        message: place, observed, expected, next step.
        facts: the same for a machine: book, period, counts, money as decimal text.
    """

    kind: str
    key: str
    message: str
    facts: Mapping[str, Any]

    def to_json(self, *, at: datetime) -> dict[str, Any]:
        """Return what is written of it."""
        return {"at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "alert": self.kind, "key": self.key, "message": self.message, **self.facts}


def find_alerts(lake: Lake, settings: Settings, *, pulled: Mapping[str, datetime | None], now: datetime) -> list[Alert]:
    """Return everything that stands out now, by key.

    Args:
        lake: where the months are.
        settings: limits (`[watch]`), materiality, books.
        pulled: Stripe account -> the instant up to which it is pulled.
        now: the clock that lags are counted to.
    """
    found = list(_late_pulls(settings, pulled, now))
    states = open_states(lake, settings)
    for state in states:
        found += [*_failed_proofs(state), *_drift(state), *_from_tables(lake, settings, state)]
    for newest in {state.book: state for state in states}.values():
        found += _late_files(settings, newest)
    return sorted(found, key=lambda alert: alert.key)


def take_new(lake: Lake, alerts: Iterable[Alert]) -> list[Alert]:
    """Return the alerts that were not told yet, and note in the lake which matters stand."""
    standing = {alert.key: alert for alert in alerts}
    told = set(lake.facts(TOLD).get("keys", []))
    if told != standing.keys():
        lake.publish(TOLD, {}, facts={"keys": sorted(standing)})
    return [alert for key, alert in sorted(standing.items()) if key not in told]


def _late_pulls(settings: Settings, pulled: Mapping[str, datetime | None], now: datetime) -> Iterator[Alert]:
    for account, through in sorted(pulled.items()):
        if through is not None and now - through > timedelta(hours=settings.watch.pull_lag_hours):
            hours = int((now - through).total_seconds()) // 3600
            message = f"Stripe account {account} is pulled through {through:%Y-%m-%d %H:%M} UTC, {hours} hours ago, expected every night; look at the last run of the pull"
            yield Alert(LATE_PULL, f"{LATE_PULL}/{account}/{through:%Y-%m-%d}", message, {"account": account, "pulled_through": through.isoformat()})


def _failed_proofs(state: MonthState) -> Iterator[Alert]:
    for proof in state.facts.get("completeness", []):
        if str(proof["result"]) == "failed":
            place = {name: str(proof[name]) for name in ("stripe_account", "currency", "balance_type", "check")}
            message = f"{state.period}: {place['check']} failed for {place['stripe_account']}, {place['currency']} {place['balance_type']}; the month was accepted as incomplete: pull again"
            yield Alert(
                FAILED_PROOF,
                "/".join([FAILED_PROOF, state.book, state.period, *place.values()]),
                message,
                {"book": state.book, "period": state.period, **place},
            )


def _drift(state: MonthState) -> Iterator[Alert]:
    alarms = list(state.facts.get("clearing", {}).get("alarms", []))
    if alarms:
        message = f"{state.period}: nothing is accepted without a person, since {'; '.join(alarms)}"
        yield Alert(DRIFT, f"{DRIFT}/{state.book}/{state.period}/{_digest(alarms)}", message, {"book": state.book, "period": state.period, "alarms": alarms})


def _late_files(settings: Settings, state: MonthState) -> Iterator[Alert]:
    """Compare the newest month's ledger and bank files with its cut-off: Stripe has every day up to it."""
    cut_off_on = date.fromisoformat(state.facts.get("cut_off_on", date.min.isoformat()))
    for source in ("ledger", "bank"):
        through = state.facts.get("complete_through", {}).get(source)
        behind = (cut_off_on - date.fromisoformat(through)).days if through else None
        if behind is None or behind > settings.watch.file_late_days:
            reach = f"ends on {through}, {behind} days before the cut-off {cut_off_on}" if through else "holds no line"
            message = f"{state.period}: the {source} inbox {reach}; at most {settings.watch.file_late_days} days are expected: drop the newest export there"
            key = f"{LATE_FILE}/{source}/{state.book}/{state.period}/{through}"
            yield Alert(LATE_FILE, key, message, {"book": state.book, "period": state.period, "source": source, "complete_through": through})


def _from_tables(lake: Lake, settings: Settings, state: MonthState) -> Iterator[Alert]:
    if not {"breaks", "statement"} <= state.tables.keys():
        return
    exceptions = exceptions_of(lake.load(state.tables["breaks"]))
    limits = {settings.entity.currency: settings.materiality_minor, **state.facts.get("clearing", {}).get("materiality_minor", {})}
    old = pl.col("age_days") > settings.watch.exception_age_days
    material = pl.col("amount_minor").abs() > pl.col("currency").replace_strict(limits, default=None, return_dtype=pl.Int64)
    yield from _breaks(AGEING_EXCEPTION, state, exceptions.filter(old), f"open for more than {settings.watch.exception_age_days} days")
    yield from _breaks(MATERIAL_BREAK, state, exceptions.filter(material), f"above materiality ({settings.close.materiality} {settings.entity.currency})")
    statement = lake.load(state.tables["statement"])
    for row in statement.filter((pl.col("section") == "bridge") & (pl.col("line") == "unexplained") & (pl.col("difference") != 0)).sort("currency").to_dicts():
        amount = format_minor(row["difference"], row["currency"])
        message = f"{state.period}: {amount} {row['currency']} of the difference stands behind no line; compare the trial balance and the balance of Stripe"
        facts = {"book": state.book, "period": state.period, "currency": row["currency"], "amount": amount}
        yield Alert(UNEXPLAINED, f"{UNEXPLAINED}/{state.book}/{state.period}/{row['currency']}/{amount}", message, facts)


def _breaks(kind: str, state: MonthState, breaks: pl.DataFrame, why: str) -> Iterator[Alert]:
    """Tell of the breaks of a currency together, so that a bad month is one line and not a thousand."""
    for (currency,), some in sorted(breaks.partition_by("currency", as_dict=True).items()):
        ids = some.sort(pl.col("amount_minor").abs(), "break_id", descending=[True, False])["break_id"].to_list()
        amount = format_minor(int(some["amount_minor"].abs().sum()), str(currency))
        message = f"{state.period}: {len(ids)} exception(s) over {amount} {currency} {why}; decide them on the review page"
        facts = {"book": state.book, "period": state.period, "currency": currency, "count": len(ids), "amount": amount, "breaks": ids[:BREAKS_NAMED_MAX]}
        yield Alert(kind, f"{kind}/{state.book}/{state.period}/{currency}/{_digest(sorted(ids))}", message, facts)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
