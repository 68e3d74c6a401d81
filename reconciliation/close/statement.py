"""Items, matches, open items and balances -> the three-way statement, line by line, in minor units.

Sections: books (opening, activity, closing), bridge (the closing difference by cause), cash (what is in transit). A ledger
amount stands on the lines of the components it is matched with, what is left on the largest; lines that stand on no
component are `ledger_only`. Every column foots by construction of the items, and `package_laws` re-adds it.
"""

import polars as pl

from reconciliation.population import Month
from reconciliation.schemas.items import EFFECT

NATURES = ["timing", "entry", "reclass", "correction", "claim", "restatement", "none"]
COMPONENT_ORDER = ["gross", "fee", "fee_tax", "withheld_tax", "application_fee"]
ACCEPTED = ["auto_cleared", "cleared_by_reviewer", "written_off", "settled"]
SCHEMA = pl.Schema({
    "book": pl.String, "currency": pl.String, "section": pl.String, "line": pl.String, "nature": pl.String, "cause": pl.String, "items": pl.Int64,
    "stripe": pl.Int64, "ledger": pl.Int64, "bank": pl.Int64, "difference": pl.Int64, "accepted": pl.Int64, "awaiting": pl.Int64,
})  # fmt: skip


def state_month(items: pl.DataFrame, members: pl.DataFrame, scored: pl.DataFrame, balances: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Write the statement of every currency that has an item or a balance.

    Args:
        items: every item of the month, residuals included.
        members: `MatchMember`.
        scored: open items with cause, nature, disposition.
        balances: from `close_balances`.
        month: which month.
    """
    lines = place_ledger_amounts(items, members)
    parts = []
    amounts = ["stripe_opening_minor", "ledger_opening_minor", "stripe_closing_minor", "ledger_closing_minor"]
    for balance in balances.sort("currency").to_dicts():
        currency = balance["currency"]
        own = items.filter(pl.col("currency") == currency)
        if own.is_empty() and not any(balance[name] for name in amounts):
            continue
        still_open = scored.filter(pl.col("currency") == currency)
        rows = [
            *_books(own, lines.filter(pl.col("currency") == currency), balance),
            *_bridge(still_open.filter(pl.col("leg") == "books"), balance),
            *_cash(own.filter(pl.col("leg") == "cash"), still_open.filter(pl.col("leg") == "cash")),
        ]
        parts.append(
            pl.DataFrame(rows, schema={name: dtype for name, dtype in SCHEMA.items() if name not in ("book", "currency")}).with_columns(
                currency=pl.lit(currency)
            )
        )
    empty = pl.DataFrame(schema=SCHEMA)
    return pl.concat([empty, *(part.with_columns(book=pl.lit(month.book.name)).select(SCHEMA.names()) for part in parts)])


def place_ledger_amounts(items: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Place this month's ledger lines on statement lines.

    Returns:
        `currency, line, ledger, n`: amounts of lines dated in the month; `ledger_only` holds what stands on no component.
    """
    books = items.filter(pl.col("leg") == "books").join(members.select("leg", "item_id", "match_id"), on=["leg", "item_id"], how="left")
    new = (pl.col("side") == "ledger") & (pl.col("population") == "new")
    inside = books.filter(pl.col("match_id").is_not_null())
    has_late = inside.filter((pl.col("side") == "ledger") & (pl.col("population") == "late"))["match_id"].unique()
    posted = inside.filter(new).group_by("match_id", "currency").agg(posted=pl.col("amount_minor").sum())
    placed_on = inside.filter(pl.col("side").is_in(["stripe", "residual"]) & (pl.col("line") != "")).join(posted.select("match_id"), on="match_id", how="semi")
    components = placed_on.filter((pl.col("side") == "stripe") & ~pl.col("match_id").is_in(has_late.implode()))
    largest = (
        placed_on.sort(pl.col("amount_minor").abs(), "item_id", descending=[True, False]).group_by("match_id", maintain_order=True).agg(pl.col("line").first())
    )
    on_components = components.group_by("match_id").agg(placed=pl.col("amount_minor").sum())
    rest = (
        posted.join(largest, on="match_id").join(on_components, on="match_id", how="left").with_columns(ledger=pl.col("posted") - pl.col("placed").fill_null(0))
    )
    matched = pl.concat([components.select("currency", "line", ledger="amount_minor"), rest.select("currency", "line", "ledger")])
    elsewhere = books.filter(new).join(largest, on="match_id", how="anti")
    only = elsewhere.group_by("currency").agg(line=pl.lit("ledger_only"), ledger=pl.col("amount_minor").sum(), n=pl.len().cast(pl.Int64))
    lines = matched.group_by("currency", "line").agg(pl.col("ledger").sum()).with_columns(n=pl.lit(0, dtype=pl.Int64))
    return pl.concat([lines, only.select(lines.columns)])


def _row(section: str, line: str, **values: object) -> dict[str, object]:
    empty: dict[str, object] = {
        "nature": "",
        "cause": "",
        "items": None,
        "stripe": None,
        "ledger": None,
        "bank": None,
        "difference": None,
        "accepted": None,
        "awaiting": None,
    }
    return {"section": section, "line": line, **empty, **values}


def _two_sided(line: str, stripe: int, ledger: int, items: int | None) -> dict[str, object]:
    return _row("books", line, items=items, stripe=stripe, ledger=ledger, difference=stripe - ledger)


def _books(items: pl.DataFrame, lines: pl.DataFrame, balance: dict[str, int]) -> list[dict[str, object]]:
    books = items.filter(pl.col("leg") == "books")
    late = books.filter(pl.col("population") == "late")
    late_sums = {side: int(late.filter(pl.col("side") == side)["amount_minor"].sum()) for side in ("stripe", "ledger")}
    activity = (
        books.filter((pl.col("side") == "stripe") & (pl.col("population") == "new")).group_by("line").agg(stripe=pl.col("amount_minor").sum(), n=pl.len())
    )
    both = activity.join(lines.filter(pl.col("line") != "ledger_only").select("line", "ledger"), on="line", how="full", coalesce=True).fill_null(0)
    named = {row["line"]: row for row in both.filter((pl.col("n") > 0) | (pl.col("ledger") != 0)).to_dicts()}
    only = lines.filter(pl.col("line") == "ledger_only")
    rows = [
        _two_sided("opening", balance["stripe_opening_minor"], balance["ledger_opening_minor"], None),
        _two_sided("posted_into_locked_month", late_sums["stripe"], late_sums["ledger"], late.height),
    ]
    if balance["stripe_without_lines_minor"] or balance["ledger_without_lines_minor"]:
        rows.append(_two_sided("without_lines", balance["stripe_without_lines_minor"], balance["ledger_without_lines_minor"], None))
    rows += [_two_sided(line, named[line]["stripe"], named[line]["ledger"], named[line]["n"]) for line in sorted(named, key=_line_order)]
    rows.append(_two_sided("ledger_only", 0, int(only["ledger"].sum()), int(only["n"].sum())))
    rows.append(_two_sided("closing", balance["stripe_closing_minor"], balance["ledger_closing_minor"], None))
    return rows


def _line_order(line: str) -> tuple[str, int, str]:
    category, _, component = line.partition(".")
    return category, COMPONENT_ORDER.index(component) if component in COMPONENT_ORDER else len(COMPONENT_ORDER), component


def _bridge(still_open: pl.DataFrame, balance: dict[str, int]) -> list[dict[str, object]]:
    grouped = (
        still_open.with_columns(effect=EFFECT, is_accepted=pl.col("disposition").is_in(ACCEPTED))
        .group_by("nature", "cause")
        .agg(n=pl.len(), difference=pl.col("effect").sum(), accepted=(pl.col("effect") * pl.col("is_accepted").cast(pl.Int64)).sum())
    )
    known = {(row["nature"], row["cause"]): row for row in grouped.to_dicts()}
    undetermined = known.pop(("", "undetermined"), {"n": 0, "difference": 0, "accepted": 0})
    order = {nature: place for place, nature in enumerate([*NATURES, ""])}
    rows = [
        _bridge_row(".".join(part for part in key if part), key, known[key])
        for key in sorted(known, key=lambda key: (order.get(key[0], len(order) - 1.5), key[0], key[1]))
    ]
    unexplained = balance["unexplained_minor"]
    total = {
        "n": still_open.height,
        "difference": sum(int(row["difference"]) for row in known.values()) + undetermined["difference"] + unexplained,
        "accepted": sum(int(row["accepted"]) for row in known.values()) + undetermined["accepted"],
    }
    return [
        *rows,
        _bridge_row("undetermined", ("", "undetermined"), undetermined),
        _row("bridge", "unexplained", difference=unexplained, accepted=0, awaiting=unexplained),
        _bridge_row("total", ("", ""), total),
    ]


def _bridge_row(line: str, key: tuple[str, str], values: dict[str, int]) -> dict[str, object]:
    return _row(
        "bridge",
        line,
        nature=key[0],
        cause=key[1],
        items=values["n"],
        difference=values["difference"],
        accepted=values["accepted"],
        awaiting=values["difference"] - values["accepted"],
    )


def _cash(cash: pl.DataFrame, still_open: pl.DataFrame) -> list[dict[str, object]]:
    signed = cash.with_columns(effect=EFFECT)
    carried = signed.filter(pl.col("population") == "carried")
    arrived_since = signed.filter(pl.col("population") != "carried")
    stripe = arrived_since.filter(pl.col("side") == "stripe")
    is_return = pl.col("item_id").str.ends_with("/returned")
    paid, returned, bank = stripe.filter(~is_return), stripe.filter(is_return), arrived_since.filter(pl.col("side") == "bank")
    closing = still_open.with_columns(effect=EFFECT)

    def total(frame: pl.DataFrame) -> int:
        return int(frame["effect"].sum())

    return [
        _row("cash", "in_transit_opening", items=carried.height, stripe=total(carried), difference=total(carried)),
        _row("cash", "paid_out", items=paid.height, stripe=total(paid), difference=total(paid)),
        _row("cash", "returned", items=returned.height, stripe=total(returned), difference=total(returned)),
        _row("cash", "arrived", items=bank.height, bank=-total(bank), difference=total(bank)),
        _row("cash", "in_transit_closing", items=closing.height, difference=total(closing)),
    ]
