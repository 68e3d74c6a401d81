"""The tables of a package -> `report.html`: one page that needs no network, to read on a screen or to print.

Pictures are static SVG; every figure they show stands beside them as text. Nothing in the page runs.
"""

import base64
import html
from collections.abc import Iterable, Sequence

import polars as pl

from reconciliation.breaks.clearing import AUTO_CLEARED, NEEDS_REVIEW, PROPOSED_CLEAR
from reconciliation.close import charts
from reconciliation.close.cause_words import say_cause, say_causes
from reconciliation.close.content import Content
from reconciliation.close.fees import with_price_words
from reconciliation.close.sheet import words
from reconciliation.close.summaries import bridge_lines, readable_money
from reconciliation.schemas.items import EFFECT

BUCKETS = ["0-3", "4-7", "8-30", "31-60", "61-90", "91+"]
ROWS_MAX = 12
DISPOSITION_WORDS = {AUTO_CLEARED: "accepted", PROPOSED_CLEAR: "proposed, for a person to confirm", NEEDS_REVIEW: "left to a person"}
STYLE = """
:root { color: #1f2933; font: 15px/1.45 Helvetica, Arial, sans-serif; }
body { margin: 0 auto; max-width: 1020px; padding: 28px 24px 60px; background: #fff; }
h1 { font-size: 24px; margin: 0 0 2px; } h2 { font-size: 18px; margin: 34px 0 8px; border-bottom: 1px solid #d5dce2; padding-bottom: 4px; }
p { margin: 6px 0; max-width: 72ch; } .quiet { color: #5b6770; font-size: 13px; }
table { border-collapse: collapse; margin: 8px 0 12px; font-size: 13px; } th { text-align: left; color: #41505c; border-bottom: 1px solid #b8c2cc; padding: 3px 12px 3px 0; }
td { padding: 3px 12px 3px 0; border-bottom: 1px solid #eef2f6; vertical-align: top; } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.sum td { font-weight: bold; border-top: 1px solid #1f2933; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 14px 0; } .tile { border: 1px solid #d5dce2; border-radius: 6px; padding: 10px 14px; min-width: 135px; }
.tile b { display: block; font-size: 19px; font-variant-numeric: tabular-nums; } .tile span { color: #5b6770; font-size: 12px; } .bad { background: #fbe3e3; border-color: #d99; }
.good { background: #e3f4e8; border-color: #9c9; } .side { display: flex; flex-wrap: wrap; gap: 28px; align-items: flex-start; } img { max-width: 100%; height: auto; }
.notice { background: #fbe3e3; border: 1px solid #d99; padding: 6px 10px; font-weight: bold; max-width: none; }
@page { size: A4; margin: 14mm 12mm; } @media print { .notice { position: fixed; bottom: -10mm; left: 0; margin: 0; padding: 1px 6px; } body { padding: 0; font-size: 12px; } h2 { break-after: avoid; } .side, table, img { break-inside: avoid; } }
"""


def make_report(content: Content) -> bytes:
    """Make the report; the same content gives the same bytes."""
    manifest = content.manifest
    entity, period = str(manifest["entity"]), str(manifest["period"])
    statement = content.table("statement.csv")
    parts = [f"<h1>{_text(entity)}: Stripe against the books, {_text(period)}</h1>", *_notice(content), _sources(content)]
    blocks = [(str(book), str(currency)) for book, currency in statement.select("book", "currency").unique(maintain_order=True).iter_rows()]
    for block in blocks:
        parts += _block(content, block, is_alone=len(blocks) == 1)
    parts += [*_accepted(content), *_entries(content), *_matching(content), *_fees(content), *_coverage(content), *_controls(content)]
    body = "\n".join(parts)
    page = f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_text(entity)} {_text(period)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n'
    return page.encode()


def _notice(content: Content) -> list[str]:
    """Return the mark of an incomplete pull; printed, it stands on every page."""
    return [f'<p class="notice">{_text(content.notice)}</p>'] if content.notice else []


def _sources(content: Content) -> str:
    manifest = content.manifest
    through = "; ".join(
        f"book {book['book']}: Stripe through {str(book['complete_through']['stripe'])[:16].replace('T', ' ')}, ledger through {book['complete_through']['ledger'] or 'nothing'}, "
        f"bank through {book['complete_through']['bank'] or 'nothing'}"
        for book in manifest["books"]
    )
    digest = str(manifest.get("package_sha256", ""))[:16]
    return f'<p class="quiet">Cut-off {_text(str(manifest["cut_off_on"]))}. {_text(through)}. Package {_text(digest)}. All rows are in the CSV files beside this page.</p>'


def _block(content: Content, block: tuple[str, str], *, is_alone: bool) -> list[str]:
    book, currency = block
    own = (pl.col("book") == book) & (pl.col("currency") == currency)
    statement = content.table("statement.csv").filter(own)
    name = "" if is_alone else f"{book}, {currency}: "
    breaks = content.table("exceptions.csv").filter(own)
    parts = [f"<h2>{_text(name)}The month in one line</h2>" if name else "", _tiles(statement, breaks, currency), *_waterfall(statement, currency, name)]
    return [*parts, *_aging(content.table("open_items.csv").filter(own), currency, name), *_risk(breaks, currency, name)]


def _tiles(statement: pl.DataFrame, breaks: pl.DataFrame, currency: str) -> str:
    lines = {(row["section"], row["line"]): row for row in statement.to_dicts()}
    closing, total = lines["books", "closing"], lines["bridge", "total"]
    unexplained, transit = lines["bridge", "unexplained"]["difference"], lines["cash", "in_transit_closing"]["difference"]
    risk = int(breaks["money_at_risk"].sum())
    tiles = [
        ("Stripe closing", readable_money(closing["stripe"], currency), ""),
        ("ledger closing", readable_money(closing["ledger"], currency), ""),
        ("difference", readable_money(closing["difference"], currency), ""),
        ("accepted", readable_money(total["accepted"], currency), ""),
        ("unexplained", readable_money(unexplained, currency), "bad" if unexplained else "good"),
        ("in transit to the bank", readable_money(transit, currency), ""),
        (f"at risk in {breaks.height:,} open cases", readable_money(risk, currency), ""),
    ]
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile {kind}"><b>{_text(value)}</b><span>{_text(label)}, {currency}</span></div>' for label, value, kind in tiles)
        + "</div>"
    )


def _waterfall(statement: pl.DataFrame, currency: str, name: str) -> list[str]:
    lines = bridge_lines(statement)
    heading = f"<h2>{_text(name)}Why Stripe and the ledger differ</h2>"
    if lines.is_empty():
        return [heading, "<p>They do not differ.</p>"]
    rows = [[row["label"], f"{row['items'] or 0:,}", readable_money(row["difference_minor"], currency)] for row in lines.to_dicts()]
    total = int(lines["difference_minor"].sum())
    table = _table(["cause", "items", f"difference, {currency}"], rows, numbers=(1, 2), total=["closing difference", "", readable_money(total, currency)])
    return [heading, _picture(charts.draw_waterfall(lines, currency), "waterfall of the closing difference by cause"), table]


def _aging(items: pl.DataFrame, currency: str, name: str) -> list[str]:
    books = items.filter(pl.col("leg") == "books").with_columns(size_minor=EFFECT.abs(), effect=EFFECT, nature=pl.col("nature").replace({"": "no nature"}))
    heading = f"<h2>{_text(name)}How old the open items are</h2>"
    if books.is_empty():
        return [heading, "<p>Nothing is open.</p>"]
    ages = books.group_by("age_bucket", "nature").agg(pl.col("size_minor").sum()).sort("age_bucket", "nature")
    sums = {row["age_bucket"]: row for row in books.group_by("age_bucket").agg(pl.len(), pl.col("effect").sum(), pl.col("size_minor").sum()).to_dicts()}
    rows = [
        [bucket, f"{sums[bucket]['len']:,}", readable_money(sums[bucket]["effect"], currency), readable_money(sums[bucket]["size_minor"], currency)]
        for bucket in BUCKETS
        if bucket in sums
    ]
    cleared = books.filter(pl.col("cleared_after_cutoff_on").is_not_null()).height
    note = f'<p class="quiet">{cleared:,} of {books.height:,} open items have cleared since the cut-off.</p>'
    table = _table(["days", "items", f"net, {currency}", f"absolute, {currency}"], rows, numbers=(1, 2, 3))
    return [heading, f'<div class="side">{_picture(charts.draw_aging(ages, currency, BUCKETS), "open money by age and nature")}<div>{table}{note}</div></div>']


def _risk(breaks: pl.DataFrame, currency: str, name: str) -> list[str]:
    heading = f"<h2>{_text(name)}Where money is at risk</h2>"
    causes = (
        breaks.group_by("cause")
        .agg(pl.len(), pl.col("money_at_risk").sum())
        .sort("money_at_risk", "cause", descending=[True, False])
        .filter(pl.col("money_at_risk") > 0)
    )
    if causes.is_empty():
        return [heading, "<p>No open case has money at risk.</p>"]
    shown = causes.head(ROWS_MAX).with_columns(label=say_causes())
    largest = breaks.sort("money_at_risk", "break_id", descending=[True, False]).head(8).to_dicts()
    rows = [
        [say_cause(row["cause"]), row["reference"] or row["counterparty"], str(row["date"]), readable_money(row["amount"], currency), row["suggested_action"]]
        for row in largest
    ]
    picture = _picture(charts.draw_money(shown, currency, label="label", amount="money_at_risk", title="money at risk"), "money at risk by cause")
    note = '<p class="quiet">The absolute amount times the probability of a true exception. The largest cases:</p>'
    return [heading, picture, note, _table(["cause", "reference", "date", f"amount, {currency}", "what to do"], rows, numbers=(3,))]


def _accepted(content: Content) -> list[str]:
    """Say what the policy accepted without a person, which certificate acted, and the bounds on what that may miss."""
    parts = ["<h2>What was accepted without a person</h2>"]
    for book in content.manifest["books"]:
        clearing = book["clearing"]
        name = "" if len(content.manifest["books"]) == 1 else f"{book['book']}: "
        counted = clearing["dispositions"]
        said = "; ".join(f"{counted.get(disposition, 0):,} {meaning}" for disposition, meaning in DISPOSITION_WORDS.items())
        parts += [f"<p>{_text(name)}Of {sum(counted.values()):,} breaks that the policy looked at {said}.</p>", f"<p>{_text(clearing['statement'])}</p>"]
    return parts


def _entries(content: Content) -> list[str]:
    lines = content.table("journal_entries.csv").filter(pl.col("account_role") == "clearing")
    heading = "<h2>Entries</h2>"
    if lines.is_empty():
        return [heading, "<p>No entry is proposed.</p>"]
    counted = lines.group_by("status", "currency").agg(pl.len(), debit=pl.col("debit").sum(), credit=pl.col("credit").sum()).sort("status", "currency")
    rows = [
        [row["status"], f"{row['len']:,}", row["currency"], readable_money(row["debit"], row["currency"]), readable_money(row["credit"], row["currency"])]
        for row in counted.to_dicts()
    ]
    described = content.manifest.get("journal_import", {})
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in described.get("reasons", ()))
    files = ", ".join(dict.fromkeys(row["file"] for row in described.get("control", ())))
    said = f"<p>To import: {_text(files)}, layout {_text(described['layout'])}.</p>" if files else "<p>No import file is written yet:</p>"
    table = _table(["status", "entries", "currency", "debits to clearing", "credits to clearing"], rows, numbers=(1, 3, 4))
    return [heading, table, said, f"<ul>{reasons}</ul>" if reasons else ""]


def _matching(content: Content) -> list[str]:
    members = content.table("matches.csv").filter(pl.col("side").is_in(["stripe", "ledger", "bank"]))
    still_open = content.table("open_items.csv").filter(pl.col("side").is_in(["stripe", "ledger", "bank"])).height
    whole = members.height + still_open
    if not whole:
        return []
    counted = (
        members.group_by(pl.col("strategy").cast(pl.String))
        .agg(items=pl.len(), matches=pl.col("match_id").n_unique())
        .sort("items", "strategy", descending=[True, False])
    )
    named = counted.with_columns(label=pl.col("strategy").str.replace_all("_", " "), share=pl.col("items") / whole)
    picture = _picture(charts.draw_shares(named, label="label", share="share", title="share of all items"), "share of items matched by each strategy")
    rows = [[row["label"], f"{row['matches']:,}", f"{row['items']:,}"] for row in named.to_dicts()]
    table = _table(["found by", "matches", "items"], [*rows, ["still open", "", f"{still_open:,}"]], numbers=(1, 2), total=["all items", "", f"{whole:,}"])
    rate = f"<p>{100 * members.height / whole:.2f} % of {whole:,} items are matched.</p>"
    return ["<h2>What was matched, and by what</h2>", rate, f'<div class="side">{picture}{table}</div>']


def _fees(content: Content) -> list[str]:
    fees = with_price_words(content.table("fees"))
    payments = fees.filter((pl.col("what") == "payments") & (pl.col("gross") > 0))
    heading = "<h2>What Stripe charged</h2>"
    if payments.is_empty():
        return [heading, "<p>No payment in this month.</p>"]
    labeled = payments.with_columns(label=pl.format("{}, {} to {}", "origin", "paid_in", "currency")).head(ROWS_MAX)
    picture = _picture(charts.draw_shares(labeled, label="label", share="rate", title="effective fee rate"), "effective fee rate by card origin and currency")
    rows = [
        [
            row["origin"] or words(row["what"]), row["paid_in"], row["currency"], f"{row['payments']:,}", readable_money(row["gross"], row["currency"]) if row["gross"] else "",
            readable_money(row["fee"], row["currency"]), f"{100 * row['rate']:.2f} %" if row["rate"] is not None else "", row["price"],
            f"{row['off']:,}" if row["price"] else "", readable_money(row["off_fee"], row["currency"]) if row["off"] else "",
        ]
        for row in fees.to_dicts()
    ]  # fmt: skip
    heads = ["card from", "paid in", "balance", "payments", "gross", "fee", "effective", "price read off them", "off it", "more charged"]
    off = int(fees["off"].sum())
    said = (
        f"{off:,} payments were charged off the price that the others of their kind show."
        if off
        else "Every payment of a kind with a price of its own was charged that price."
    )
    note = '<p class="quiet">Stripe does not give its price list: the share and the fixed part are those that explain most payments of a kind to the minor unit.</p>'
    return [heading, f"<p>{said}</p>", picture, _table(heads, rows, numbers=(3, 4, 5, 6, 8, 9)), note]


def _coverage(content: Content) -> list[str]:
    coverage = content.table("coverage").filter(pl.col("items") > 0).sort("open_unnamed", "items", "source", descending=[True, True, False])
    heading = "<h2>Where your own data causes the work</h2>"
    if coverage.is_empty():
        return [heading, "<p>No item in this month.</p>"]
    shown = coverage.with_columns(share=pl.col("named") / pl.col("items")).head(ROWS_MAX)
    picture = _picture(
        charts.draw_shares(shown, label="source", share="share", title="lines that name what they are about"), "share of lines with a reference, by source"
    )
    rows = [[row["source"], f"{row['items']:,}", f"{100 * row['share']:.1f} %", f"{row['open']:,}", f"{row['open_unnamed']:,}"] for row in shown.to_dicts()]
    note = '<p class="quiet">A line that names its invoice, order or Stripe id is matched by it; one that names nothing waits for an equal amount on a near day, or for a person.</p>'
    table = _table(["source", "lines", "with a reference", "open", "open, without one"], rows, numbers=(1, 2, 3, 4))
    return [heading, f'<div class="side">{picture}{table}</div>', note]


def _controls(content: Content) -> list[str]:
    controls = content.table("controls.csv")
    results = dict(controls.group_by("result").len().sort("result").iter_rows())
    said = ", ".join(f"{count:,} {result}" for result, count in results.items())
    noted = controls.filter(pl.col("result") != "passed").to_dicts()
    rows = [
        [words(row["control"]), f"{row['currency']} {row['scope']}".strip(), row["expected"], row["actual"], row["result"], row["evidence"]] for row in noted
    ]
    table = _table(["control", "of", "expected", "actual", "result", "evidence"], rows, numbers=()) if rows else ""
    return ["<h2>Controls</h2>", f"<p>{_text(said)}.</p>", table]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int], total: Sequence[str] = ()) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}{' class=n' if place in numbers else ''}>{_text(cell)}</{tag}>" for place, cell in enumerate(cells))

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    last = f'<tr class="sum">{line(total, "td")}</tr>' if total else ""
    return f"<table><thead><tr>{line(heads, 'th')}</tr></thead><tbody>{body}{last}</tbody></table>"


def _picture(svg: str, meaning: str) -> str:
    return f'<img alt="{_text(meaning)}" src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}">'


def _text(value: str) -> str:
    return html.escape(value or "")
