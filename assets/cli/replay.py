"""`reconcile replay`: what would change in a closed month under other rules or another model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assets.cli.options import Config, Json, Period
from assets.cli.output import say, say_json, tell
from reconciliation.close.summaries import readable_money
from reconciliation.config import Settings, read_settings
from reconciliation.lake import open_lake
from reconciliation.money import format_minor

if TYPE_CHECKING:
    from reconciliation.replay import Replay

WAIT_SECONDS = 60.0
SHOWN_MAX = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    period: Period,
    against: Annotated[Path, typer.Option("--against", help="A settings file with other rules: [classifier], [review], [journals], [close] materiality.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what would change in a closed month under other rules or another model; nothing is written.

    Example: reconcile replay --period 2026-10 --against other_rules.toml
    """
    from reconciliation.replay import take_rules

    settings = read_settings(config)
    rules = take_rules(settings, read_settings(against))
    settings.calendar.first_day(period)
    replays = _replay_books(settings, rules, period)
    if json:
        say_json({"period": period, "against": str(against), "model": rules.classifier.model, "books": [_plain(one) for one in replays]})
        return
    for one in replays:
        say(f"{settings.entity.name} · {period} under {against} · book {one.book}\n" + _described(one))


def _replay_books(settings: Settings, rules: Settings, period: str) -> "list[Replay]":
    from assets.core import load_model
    from reconciliation.rates import read_rates
    from reconciliation.replay import closed_scope, define_closed_month, replay_month
    from reconciliation.review.effects import decisions_in_force
    from reconciliation.review.log import open_log
    from reconciliation.sources import assemble_sources, read_files, read_stripe_tables, register_deliveries

    lake = open_lake(settings)
    for book in rules.books:
        closed_scope(lake, book.name, period)
    decided = decisions_in_force(open_log(lake).entries()).decided
    with lake.writer(wait_seconds=WAIT_SECONDS):
        files = read_files(settings, register_deliveries(lake, settings))
    model, rates = load_model(rules, lake), read_rates(settings.path(settings.fx.rates))
    found = []
    for book in rules.books:
        tell(f"replay {period} of book {book.name} with model {model.label}")
        month = define_closed_month(lake, rules, book.name, period, lines=files["ledger_lines"])
        sources = assemble_sources(read_stripe_tables(lake, month.book), files, month.book, complete_through=month.cut_off)
        found.append(replay_month(lake, sources, month, score=model.score, policy=model.policy, rates=rates, decided=decided))
    return found


def _plain(one: "Replay") -> dict[str, Any]:
    """Return a replay with money as plain decimals."""
    tables = {name: getattr(one, name).to_dicts() for name in ("matches", "causes", "dispositions", "contradicted", "bridge")}
    plain = {
        name: [
            {key.removesuffix("_minor"): format_minor(value, row["currency"]) if key.endswith("_minor") else value for key, value in row.items()}
            for row in rows
        ]
        for name, rows in tables.items()
    }
    return {"book": one.book, "matches_kept": one.kept, **plain}


def _described(one: "Replay") -> str:
    gained, lost = (one.matches.filter(one.matches["change"] == change) for change in ("gained", "lost"))
    lines = [f"matches: {one.kept:,} kept, {gained.height:,} gained, {lost.height:,} lost"]
    largest = one.matches.sort("amount_minor", "match_id", descending=[True, False]).head(SHOWN_MAX).to_dicts()
    lines += [
        f"  {row['change']:<7} {_amount(row['amount_minor'], row['currency'])}  {row['strategy'].replace('_', ' ')}, {row['items']} items, {row['match_id']}"
        for row in largest
    ]
    lines += ["money that moves between causes:", *_moves(one.causes.to_dicts()), "who accepts it:", *_moves(one.dispositions.to_dicts())]
    lines.append(f"decisions contradicted: {one.contradicted.height:,}")
    for row in one.contradicted.head(SHOWN_MAX).to_dicts():
        words = f"entry {row['entry']} of {row['decided_by']}: {row['decided']}; replayed: {row['replayed']}".replace("_", " ")
        lines.append(f"  {_amount(row['effect_minor'], row['currency'])}  {row['item_id']}  {words}")
    changed = one.bridge.filter(one.bridge["difference_minor"] != 0)
    lines.append("bridge:" if changed.height else "bridge: no line changes")
    for row in changed.to_dicts():
        now, before = (readable_money(row[name], row["currency"]) for name in ("now_minor", "before_minor"))
        lines.append(f"  {_amount(row['difference_minor'], row['currency'])}  {row['line'].replace('_', ' ')}: {before} -> {now}")
    return "\n".join(lines)


def _moves(rows: list[dict[str, Any]]) -> list[str]:
    moves = [
        f"  {_amount(row['effect_minor'], row['currency'])}  {row['items']:>6,} items  {row['leg']}: {row['before'].replace('_', ' ')} -> {row['now'].replace('_', ' ')}"
        for row in rows
    ]
    return moves or ["  nothing"]


def _amount(minor: int, currency: str) -> str:
    return f"{readable_money(minor, currency):>16} {currency}"
