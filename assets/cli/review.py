"""Commands of review: list, show, decide, enroll, revoke. Whatever is decided here goes through `review.decide`, like the page."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from assets.cli.options import Config, Json, parse_day
from assets.cli.output import say, say_json, tell
from reconciliation.close.summaries import readable_money
from reconciliation.config import Settings, read_settings
from reconciliation.errors import DecisionRefusedError
from reconciliation.lake import open_lake
from reconciliation.money import format_minor
from reconciliation.review.controls import settings_in_force
from reconciliation.review.decide import DecisionRequest, ShownItem
from reconciliation.review.decide import decide as write_decision
from reconciliation.review.log import DecisionLog, Entry, open_log
from reconciliation.review.reviewers import (
    OneTimeCode,
    Proof,
    SessionToken,
    begin_enrollment,
    enroll_by_proxy,
    known_reviewers,
    open_session,
)
from reconciliation.review.reviewers import enroll as write_enrollment
from reconciliation.review.reviewers import revoke as write_revocation
from reconciliation.review.situation import Situation, read_situation, view_breaks, view_digest
from reconciliation.review.standing import find_standings, waiting_for_second
from reconciliation.review.vocabulary import ANSWERS, BREAK_DECISIONS, COMMENT, MATCH, SETTINGS, UNMATCH

review = typer.Typer(help="The review queue from a terminal: look, decide, and who may.", no_args_is_help=True)
Month = Annotated[str, typer.Option("--period", help="Accounting month, such as 2026-10.")]
By = Annotated[str, typer.Option("--by", help="The reviewer who decides.")]
Code = Annotated[str, typer.Option("--code", help="The one-time code their authenticator shows; asked for where it is left out.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in your own words; it stands in the close package.")]
CLOSED = ("auto_cleared", "cleared_by_reviewer", "written_off", "settled")
QUEUE = ["money_at_risk", "amount", "currency", "kind", "cause", "nature", "age_days", "counterparty", "reference", "disposition", "prepared_by", "break_id"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(review, name="review")


@review.command("list")
def list_queue(
    period: Month,
    everything: Annotated[bool, typer.Option("--all", help="Also what is decided.")] = False,
    cause: Annotated[str, typer.Option("--cause", help="Only breaks of this cause.")] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what waits for a person, most money at risk first, and what waits for a second one.

    Example: reconcile review list --period 2026-10
    """
    office = Office(config)
    situation, entries = office.situation(period), office.log.entries()
    breaks = situation.breaks.filter(everything | ~pl.col("disposition").is_in(CLOSED), (pl.col("cause") == cause) | (cause == ""))
    ordered = breaks.sort("money_at_risk_minor", "age_days", "break_id", descending=[True, True, False])
    views = view_breaks(situation, entries, ordered["break_id"])
    rows = [_queue_row(row, views[row["break_id"]]) for row in ordered.to_dicts()]
    waiting = [_entry_row(standing.entry, why=standing.needs_second) for standing in waiting_for_second(entries)]
    if json:
        say_json({"period": period, "queue": rows, "awaiting_second": waiting})
        return
    for row in rows:
        decided = f"  decided since: entry {row['decided']}" if row["decided"] else ""
        cells = (row["break_id"], f"{row['amount']:>14} {row['currency']}", f"{row['cause'].replace('_', ' '):<22}", f"{row['age_days']:>4} d")
        say("  ".join([*cells, f"{row['disposition'].replace('_', ' '):<18}", row["reference"] or row["counterparty"]]).rstrip() + decided)
    total = ", ".join(f"{readable_money(int(sum_), currency)} {currency}" for currency, sum_ in _sums(ordered))
    say(f"{len(rows)} waiting in {period}" + (f": {total} net" if rows else ""))
    for one in waiting:
        say(f"entry {one['entry']}: {one['kind'].replace('_', ' ')} by {one['by']} waits for a second person ({one['why']})")


@review.command("show")
def show(
    what: Annotated[str, typer.Argument(help="A break (br_…) or the number of an entry of the decision log.")],
    period: Month,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show a break with its items, reasons and what was decided about it, or an entry.

    Example: reconcile review show br_1f0c2a --period 2026-10
    """
    office = Office(config)
    situation, entries = office.situation(period), office.log.entries()
    shown = _entry_row(_entry(entries, int(what)), why="") | {"body": _entry(entries, int(what)).body} if what.isdecimal() else _case(situation, entries, what)
    if json:
        say_json(shown)
        return
    for name, value in shown.items():
        lines = [str(one) for one in value] if isinstance(value, list) else [str(value)]
        say("\n".join(f"{name.replace('_', ' ') if number == 0 else '':<18}{line}" for number, line in enumerate(lines or [""])))


@review.command("decide")
def decide(
    by: By,
    words: Annotated[list[str] | None, typer.Argument(help="What (accept, change_cause, approve, …), then breaks (br_…), entries, or setting=value.")] = None,
    period: Annotated[str, typer.Option("--period", help="Accounting month, such as 2026-10.")] = "",
    code: Code = "",
    session: Annotated[str, typer.Option("--session", help="The session that `decide session` opened, in the place of a code.")] = "",
    reason: Reason = "",
    cause: Annotated[str, typer.Option("--cause", help="The cause, for change_cause.")] = "",
    root_cause: Annotated[str, typer.Option("--root-cause", help="Decide about every waiting break of this cause at once.")] = "",
    match: Annotated[list[str] | None, typer.Option("--match", help="An item that belongs together with the others; repeatable.")] = None,
    unmatch: Annotated[str, typer.Option("--unmatch", help="A match (mt_…) that does not belong together.")] = "",
    assigned_to: Annotated[str, typer.Option("--assigned-to", help="Who corrects it, for correct_in_erp.")] = "",
    due: Annotated[str | None, typer.Option("--due", help="By when.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Decide about breaks, answer a decision (approve, send_back, undo), match and unmatch by hand, or approve settings.

    A break may be written br_…@VIEW with the view that `list --json` shows; then it is refused if anything about it has changed since.

    Example: reconcile review decide accept br_1f0c2a br_77ab10 --period 2026-10 --by anna --reason "posted on 2 November"
    """
    office = Office(config)
    kind, names = (MATCH, []) if match else (UNMATCH, []) if unmatch else ((words or [""])[0], (words or [""])[1:])
    situation = office.situation(period) if period else None
    if kind == "session":
        entry, token = open_session(office.log, by, ask_proof(code, ""), at=now())
        if json:
            say_json({"session": token.token, "expires_at": entry.body["expires_at"]})
        else:
            say(f"--session {token.token}\ngood until {entry.body['expires_at']}")
        return
    request = DecisionRequest(
        kind=kind, by=by, proof=ask_proof(code, session), at=now(), reason=reason, cause=cause, match_id=unmatch, assigned_to=assigned_to, due_on=_day(due),
        shown=_seen(office, situation, kind, names, root_cause=root_cause),
        items=_items(situation, match or []),
        targets=_targets(kind, names),
        settings=dict(name.partition("=")[::2] for name in names) if kind == SETTINGS else {},
    )  # fmt: skip
    _tell_outcome(write_decision(office.log, request, situation), json=json)


@review.command("enroll")
def enroll(
    name: Annotated[str, typer.Argument(help="The reviewer, such as anna.smith or anna@example.com.")],
    first: Annotated[
        bool, typer.Option("--first", help="One of the first two reviewers: takes effect at once. Everybody later is approved by one of them.")
    ] = False,
    proxy: Annotated[bool, typer.Option("--proxy", help="The reverse proxy signs them in ([review] identity_header); no code.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Enroll a reviewer: shows the QR code for their authenticator and asks for the code it shows. Enrolling again replaces a lost phone.

    Example: reconcile review enroll anna --first
    """
    office = Office(config)
    if proxy:
        entry = enroll_by_proxy(office.log, name, header=office.settings.review.identity_header, at=now(), is_bootstrap=first)
    else:
        drawn = begin_enrollment(_key(office.log), name, issuer=office.settings.entity.name)
        tell(drawn.qr_text())
        tell(f"Scan it with an authenticator, or type this into one: {drawn.uri}")
        entry = write_enrollment(office.log, drawn, code=typer.prompt("Code it shows now", err=True), at=now(), is_bootstrap=first)
    _tell_outcome(entry, json=json)


@review.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Who may decide no more.")], by: By, reason: Reason, code: Code = "", config: Config = None, json: Json = False
) -> None:
    """Revoke a reviewer; another one approves it.

    Example: reconcile review revoke carla --by anna --reason "left the company"
    """
    office = Office(config)
    entry = write_revocation(office.log, name, by=by, proof=ask_proof(code, ""), reason=reason, at=now())
    _tell_outcome(entry, json=json)


@review.command("reviewers")
def reviewers(config: Config = None, json: Json = False) -> None:
    """List who may decide, since when, and who approved it.

    Example: reconcile review reviewers
    """
    known = known_reviewers(Office(config).log.entries())
    rows = [
        {"reviewer": one.name, "is_active": one.is_active, "method": one.method, "enrolled_at": one.enrolled_at, "approved_by": one.approved_by, "revoked_at": one.revoked_at}
        for one in known.values()
    ]  # fmt: skip
    if json:
        say_json({"reviewers": rows})
        return
    for row in rows:
        state = "active" if row["is_active"] else f"revoked {row['revoked_at']:%Y-%m-%d}"
        by = f"approved by {row['approved_by']}" if row["approved_by"] else "one of the first two"
        say(f"{row['reviewer']:<30}{state:<20}{row['method']:<7}since {row['enrolled_at']:%Y-%m-%d}, {by}")
    if not rows:
        say("nobody yet; begin with: reconcile review enroll NAME --first")


class Office:
    """The settings in force, the lake and the log of a settings file."""

    def __init__(self, config: Path | None) -> None:
        settings = read_settings(config)
        self.lake = open_lake(settings)
        self.log: DecisionLog = open_log(self.lake)
        self.settings: Settings = settings_in_force(settings, self.log.entries())

    def situation(self, period: str) -> Situation:
        """Return the month as the last run left it."""
        self.settings.calendar.first_day(period)
        return read_situation(self.lake, self.settings, period)


def ask_proof(code: str, session: str = "") -> Proof:
    """Return what proves the reviewer, asking for a code where none was given."""
    return SessionToken(session) if session else OneTimeCode(code or typer.prompt("One-time code", err=True))


def now() -> datetime:
    """Return the time a decision is made."""
    return datetime.now(UTC)


def _day(text: str | None) -> date | None:
    return parse_day(text, flag="--due")


def _key(log: DecisionLog) -> str:
    if not log.key:
        raise DecisionRefusedError(
            "RECONCILIATION_REVIEW_KEY is not set; make one (python3 -c 'import secrets; print(secrets.token_urlsafe(32))'), keep it safe and export it"
        )
    return log.key


def _seen(office: Office, situation: Situation | None, kind: str, names: list[str], *, root_cause: str) -> dict[str, str]:
    """Return break -> view: the given one, or what stands there now."""
    if situation is None or kind not in (*BREAK_DECISIONS, COMMENT):
        return {}
    given = dict(name.partition("@")[::2] for name in names)
    if root_cause:
        waiting = situation.breaks.filter((pl.col("cause") == root_cause) & ~pl.col("disposition").is_in(CLOSED))
        given |= {break_id: "" for break_id in waiting["break_id"] if break_id not in given}
    standing = view_breaks(situation, office.log.entries(), given)
    return {name: view or (view_digest(standing[name]) if name in standing else "gone") for name, view in given.items()}


def _items(situation: Situation | None, names: list[str]) -> tuple[ShownItem, ...]:
    if situation is None or not names:
        return ()
    found = situation.items.filter(pl.col("item_id").is_in(names)).join(situation.open_items, on=["leg", "item_id"], how="semi")
    missing = sorted(set(names) - set(found["item_id"]))
    if missing:
        raise DecisionRefusedError(f"{', '.join(missing)}: no open item of {situation.period}; see reconcile review show")
    return tuple(ShownItem(*row) for row in found.select("leg", "item_id", "amount_minor").sort("leg", "item_id").iter_rows())


def _targets(kind: str, names: list[str]) -> tuple[int, ...]:
    if kind not in ANSWERS:
        return ()
    wrong = [name for name in names if not name.isdecimal()]
    if wrong:
        raise DecisionRefusedError(f"{', '.join(wrong)}: {kind.replace('_', ' ')} takes numbers of entries; see reconcile review list")
    return tuple(int(name) for name in names)


def _queue_row(row: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    money = {name: format_minor(row[f"{name}_minor"], row["currency"]) for name in ("amount", "money_at_risk")}
    return {name: {**row, **money}[name] for name in QUEUE} | {"view": view_digest(shown), "decided": shown["decided"]}


def _entry(entries: list[Entry], number: int) -> Entry:
    if not 0 < number <= len(entries):
        raise DecisionRefusedError(f"entry {number}: the decision log has {len(entries)} entries")
    return entries[number - 1]


def _entry_row(entry: Entry, *, why: str) -> dict[str, Any]:
    return {"entry": entry.number, "kind": entry.kind, "by": entry.by, "at": entry.at.isoformat(), "reason": entry.body.get("reason", ""), "why": why}


def _case(situation: Situation, entries: list[Entry], break_id: str) -> dict[str, Any]:
    views = view_breaks(situation, entries, [break_id])
    if break_id not in views:
        raise DecisionRefusedError(f"{break_id}: no break of {situation.period}; see reconcile review list --period {situation.period}")
    [row] = situation.breaks.filter(pl.col("break_id") == break_id).to_dicts()
    ids = {(row["leg"], item_id) for item_id in row["item_ids"]}
    items = situation.items.filter(pl.col("item_id").is_in(row["item_ids"]), pl.col("leg") == row["leg"]).sort("side", "item_id")
    decided = [
        f"entry {number}: {one.entry.kind.replace('_', ' ')} by {one.entry.by} on {one.entry.at:%Y-%m-%d}, {one.state.replace('_', ' ')}: {one.entry.body['reason']}"
        for number, one in find_standings(entries).items()
        if one.entry.kind in BREAK_DECISIONS and ids.intersection((shown["leg"], item[0]) for shown in one.entry.body["shown"] for item in shown["items"])
    ]
    return {
        **_queue_row(row, views[break_id]),
        "items": [
            f"{item['side']:<9}{item['item_id']:<40}{format_minor(item['amount_minor'], item['currency']):>16} {item['currency']}" for item in items.to_dicts()
        ],
        "reasons": row["reasons"],
        "suggested_action": row["suggested_action"],
        "history": decided,
    }


def _sums(breaks: pl.DataFrame) -> list[tuple[str, int]]:
    return [(str(currency), int(total)) for currency, total in breaks.group_by("currency").agg(pl.col("amount_minor").sum()).sort("currency").iter_rows()]


def _tell_outcome(entry: Entry, *, json: bool) -> None:
    needs = entry.body.get("needs_second", "")
    if json:
        say_json({"entry": entry.number, "kind": entry.kind, "by": entry.by, "needs_second": needs, "digest": entry.digest})
        return
    waits = f"; waits for a second person ({needs}): reconcile review decide approve {entry.number} --by …" if needs else ""
    say(f"entry {entry.number}: {entry.kind.replace('_', ' ')} by {entry.by}{waits}")
    if (period := entry.body.get("period")) and not needs and entry.kind != "certify":
        say(f"it takes effect in the next run: reconcile run --period {period} --no-pull")
