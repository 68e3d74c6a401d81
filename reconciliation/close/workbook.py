"""The tables of a package -> `workbook.xlsx`, the same for people, with formulas that re-add it.

Tabs in the order in which a controller reads: what is printed and signed first, evidence after it, definitions last. Every figure comes from the
tables the CSVs are written from; every total is a formula, and the checks are the ones an auditor would write.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from reconciliation.close.cause_words import say_cause, say_causes, say_line
from reconciliation.close.content import Content
from reconciliation.close.fees import with_price_words
from reconciliation.close.sheet import LINE, PALE, ROWS_MAX, Column, Footing, Sheet, Workbook, area, cell, shown_columns, words
from reconciliation.close.workbook_words import DEFINITIONS
from reconciliation.schemas.items import EFFECT

DIGEST_LENGTH = 16
NUMBERS = ("items", "Stripe", "ledger", "bank", "difference", "accepted", "awaiting")
NATURES = ["timing", "entry", "reclass", "correction", "claim", "restatement", "none", "opening_difference", ""]


def make_workbook(content: Content) -> bytes:
    """Make the workbook of a package; the same content gives the same bytes."""
    manifest = content.manifest
    book = Workbook(Footing(str(manifest["entity"]), str(manifest["period"]), str(manifest.get("package_sha256", ""))[:DIGEST_LENGTH], content.notice))
    summary = book.sheet("Summary", f"{manifest['entity']}: Stripe, ledger and bank, {manifest['period']}", landscape=False)
    places = _bridge(book.sheet("Bridge", "Why Stripe and the ledger differ: nature, cause, item"), content)
    _summary(summary, content, places)
    _roll_forward(book.sheet("Roll-forward", "How each cause moved: carried in + new - settled = carried out"), content)
    _open_items(book.sheet("Open items", "Open items at the cut-off"), content)
    _payouts(book.sheet("Payouts", "Payouts and where they arrived"), content)
    _breaks(book.sheet("Exceptions", "Breaks a person must look at, most money at risk first"), content, "exceptions.csv")
    _breaks(book.sheet("Accepted", "Breaks whose explanation is accepted"), content, "expected_variances.csv")
    _plain(book.sheet("Disputes and reserves", "Disputes: held, won, lost"), content, "disputes.csv")
    _fees(book.sheet("Fees", "What Stripe charged, by currency of the card and of the balance"), content)
    _journals(book.sheet("Journals", "Entries: to post, approved first, and those that came back"), content)
    _inputs(book.sheet("Controls and inputs", "Controls, and what this was computed from"), content)
    _plain(book.sheet("Decisions", "What people decided, as the log holds it"), content, "decisions.csv")
    _matches(book.sheet("Matches", "Who belongs together"), content)
    _definitions(book.sheet("Definitions", "What the words mean", landscape=False))
    return book.content()


# --- Summary ------------------------------------------------------------------------------------------------------------


def _summary(sheet: Sheet, content: Content, places: Mapping[tuple[str, str, str, str], int]) -> None:
    sheet.widths([36, 7, 14, 14, 14, 14, 14, 14])
    statement = content.table("statement.csv")
    row = 2
    for (book, currency), part in statement.partition_by("book", "currency", as_dict=True, maintain_order=True).items():
        row = _statement(sheet, part, row, places, book=str(book), currency=str(currency))
    row = _sign_offs(sheet, content, row)
    _control_ticks(sheet, content, row)
    sheet.page.repeat_rows(0)


def _statement(sheet: Sheet, part: pl.DataFrame, row: int, places: Mapping[tuple[str, str, str, str], int], *, book: str, currency: str) -> int:
    sheet.text(row, 0, f"Book {book}, {currency}", bold=True, font_size=11)
    books, bridge, cash = (part.filter(pl.col("section") == name).to_dicts() for name in ("books", "bridge", "cash"))
    sheet.headings(row + 1, ["Books", "items", "Stripe", "ledger", "", "difference", "", ""], right=NUMBERS)
    start = row + 2
    closing = start + len(books) - 1
    for number, line in enumerate(books, start=start):
        is_closing = number == closing
        style: dict[str, Any] = {"bold": True, "top": 1} if is_closing else {}
        sheet.text(number, 0, words(line["line"]) + (" balance" if line["line"] in ("opening", "closing") else ""), **style)
        _count(sheet, number, line["items"], **style)
        sheet.amount(number, 2, line["stripe"], currency, **style)
        sheet.amount(number, 3, line["ledger"], currency, **style)
        sheet.formula(number, 5, f"={cell(number, 2)}-{cell(number, 3)}", line["difference"], currency, **style)
    sheet.text(closing + 1, 0, "lines less closing balance", italic=True)
    for column, name in ((2, "stripe"), (3, "ledger"), (5, "difference")):
        left = sum(line[name] for line in books[:-1]) - books[-1][name]
        sheet.check(closing + 1, column, f"=SUM({area(start, closing - 1, column)})-{cell(closing, column)}", left, currency)
    row = _bridge_lines(sheet, bridge, closing + 3, (book, currency), places, closing=(closing, books[-1]["difference"]))
    return _cash_lines(sheet, cash, row, currency)


def _bridge_lines(
    sheet: Sheet, bridge: list[dict[str, Any]], row: int, block: tuple[str, str], places: Mapping[tuple[str, str, str, str], int], *, closing: tuple[int, int]
) -> int:
    currency = block[1]
    sheet.headings(row, ["Bridge: why they differ", "items", "", "", "", "difference", "accepted", "awaiting"], right=NUMBERS)
    start, total = row + 1, row + len(bridge)
    for number, line in enumerate(bridge, start=start):
        style: dict[str, Any] = {"bold": True, "top": 1} if number == total else {}
        if line["line"] == "unexplained":
            style = {"bold": True, "border": 2}
        target = places.get((*block, line["nature"], line["cause"]))
        label = say_line(line["nature"], line["cause"]) if line["cause"] else {"total": "total = closing difference"}.get(line["line"], words(line["line"]))
        if target is None:
            sheet.text(number, 0, label, **style)
        else:
            sheet.page.write_url(number, 0, f"internal:'Bridge'!A{target + 1}", sheet.workbook.style(font_color="#1a56a0", underline=1), label)
        _count(sheet, number, line["items"], **style)
        if number == total:
            for column, name in ((5, "difference"), (6, "accepted"), (7, "awaiting")):
                sheet.formula(number, column, f"=SUM({area(start, total - 1, column)})", line[name], currency, **style)
        else:
            sheet.amount(number, 5, line["difference"], currency, **style)
            sheet.amount(number, 6, line["accepted"], currency, **style)
            sheet.formula(number, 7, f"={cell(number, 5)}-{cell(number, 6)}", line["awaiting"], currency, **style)
    sheet.text(total + 1, 0, "total less closing difference", italic=True)
    sheet.check(total + 1, 5, f"={cell(total, 5)}-{cell(closing[0], 5)}", bridge[-1]["difference"] - closing[1], currency)
    return total + 3


def _cash_lines(sheet: Sheet, cash: list[dict[str, Any]], row: int, currency: str) -> int:
    sheet.headings(row, ["Cash: what is on its way to the bank", "items", "Stripe", "", "bank", "difference", "", ""], right=NUMBERS)
    start, closing = row + 1, row + len(cash)
    for number, line in enumerate(cash, start=start):
        style: dict[str, Any] = {"bold": True, "top": 1} if number == closing else {}
        sheet.text(number, 0, words(line["line"]), **style)
        _count(sheet, number, line["items"], **style)
        sheet.amount(number, 2, line["stripe"], currency, **style)
        sheet.amount(number, 4, line["bank"], currency, **style)
        if number == closing:
            sheet.amount(number, 5, line["difference"], currency, **style)
        else:
            sheet.formula(number, 5, f"=N({cell(number, 2)})-N({cell(number, 4)})", line["difference"], currency)
    left = sum(line["difference"] for line in cash[:-1]) - cash[-1]["difference"]
    sheet.text(closing + 1, 0, "lines less in transit, closing", italic=True)
    sheet.check(closing + 1, 5, f"=SUM({area(start, closing - 1, 5)})-{cell(closing, 5)}", left, currency)
    return closing + 3


def _count(sheet: Sheet, row: int, value: int | None, **style: Any) -> None:
    shape = sheet.workbook.style(num_format="#,##0", **style)
    if value is None:
        sheet.page.write_blank(row, 1, None, shape)
    else:
        sheet.page.write_number(row, 1, value, shape)


def _sign_offs(sheet: Sheet, content: Content, row: int) -> int:
    sheet.headings(row, ["Sign-off", "", "by", "on", "package", "", "", ""])
    signed = {line["role"]: line for line in content.table("signoffs.csv").to_dicts()}
    for number, (role, label) in enumerate((("preparer", "prepared"), ("reviewer", "reviewed")), start=row + 1):
        line = signed.get(role, {})
        sheet.text(number, 0, label, bottom=1, border_color=LINE)
        for column, text in ((2, line.get("by", "")), (3, str(line.get("at", ""))[:10]), (4, str(line.get("package_sha256", ""))[:DIGEST_LENGTH])):
            sheet.text(number, column, text, bottom=1, border_color=LINE)
    return row + 4


def _control_ticks(sheet: Sheet, content: Content, row: int) -> None:
    controls = content.table("controls.csv")
    sheet.headings(row, ["Controls", "items", "", "", "", "", "", ""], right=NUMBERS)
    results = controls.group_by("result").len().sort("result").to_dicts()
    marks = {"passed": "✓", "failed": "✗"}
    for number, line in enumerate(results, start=row + 1):
        sheet.text(number, 0, f"{marks.get(line['result'], '–')} {line['result']}", bold=line["result"] == "failed")
        _count(sheet, number, line["len"])
    failed = controls.filter(pl.col("result") == "failed").head(20).to_dicts()
    for number, line in enumerate(failed, start=row + 2 + len(results)):
        said = f"✗ {words(line['control'])} {line['currency']} {line['scope']}: expected {line['expected']}, actual {line['actual']}"
        sheet.text(number, 0, said, font_color="#a61b1b", bold=True)


# --- Bridge -------------------------------------------------------------------------------------------------------------


def _bridge(sheet: Sheet, content: Content) -> dict[tuple[str, str, str, str], int]:
    """Write the bridge down to the item, collapsed to causes; returns the row of each cause."""
    sheet.headings(
        2,
        ["nature", "cause", "item", "date", "reference", "counterparty", "items", "amount", "accepted", "awaiting", "entry", "prior month", "change", "id"],
        right=("items", "amount", "accepted", "awaiting", "prior month", "change"),
        stepped=("entry",),
    )
    sheet.widths([12, 20, 24, 10, 14, 16, 6, 13, 13, 13, 24, 13, 13, 34])
    sheet.page.outline_settings(True, False, False, False)
    items = content.table("open_items.csv").filter(pl.col("leg") == "books").with_columns(effect=EFFECT)
    rolled = content.table("rollforward.csv").filter(pl.col("leg") == "books")
    prior = {(line["book"], line["currency"], line["cause"]): line["carried_in"] for line in rolled.to_dicts()}
    lines = content.table("statement.csv").filter((pl.col("section") == "bridge") & ~pl.col("line").is_in(["total", "unexplained"]))
    places, row, room = {}, 3, ROWS_MAX
    for line in lines.filter(pl.col("items") > 0).to_dicts():
        own = items.filter(
            (pl.col("book") == line["book"])
            & (pl.col("currency") == line["currency"])
            & (pl.col("cause") == (line["cause"] or "undetermined"))
            & (pl.col("nature") == line["nature"])
        ).sort(pl.col("effect").abs(), "item_id", descending=[True, False])
        shown = own.head(max(room, 0))
        room -= shown.height
        places[line["book"], line["currency"], line["nature"], line["cause"]] = row
        row = _cause(sheet, line, own, shown, row, prior.get((line["book"], line["currency"], line["cause"]), 0))
    row = _bridge_totals(sheet, content, places, row + 1)
    sheet.text(
        1, 0, "open the outline (+) to see a cause's items; smaller ones are added in one line where there are too many", italic=True, font_color="#5b6770"
    )
    sheet.page.print_area(0, 0, max(row - 1, 3), 12)
    sheet.page.freeze_panes(3, 2)
    sheet.page.repeat_rows(2)
    return places


def _bridge_totals(sheet: Sheet, content: Content, places: Mapping[tuple[str, str, str, str], int], row: int) -> int:
    """Add the causes of each book and currency up, and check them against the statement."""
    bridge = content.table("statement.csv").filter(pl.col("section") == "bridge")
    for line in bridge.filter(pl.col("line") == "total").to_dicts():
        book, currency = line["book"], line["currency"]
        unexplained = int(bridge.filter((pl.col("line") == "unexplained") & (pl.col("book") == book) & (pl.col("currency") == currency))["difference"].sum())
        causes = [place for (name, code, _, _), place in places.items() if (name, code) == (book, currency)]
        stated = line["difference"] - unexplained
        sheet.text(row, 0, f"all causes, book {book}, {currency}", bold=True)
        sheet.formula(row, 7, "=" + ("+".join(cell(place, 7) for place in causes) or "0"), stated, currency, bold=True, top=1)
        sheet.text(row + 1, 0, "as stated, without unexplained")
        sheet.amount(row + 1, 7, stated, currency)
        sheet.check(row + 1, 8, f"={cell(row, 7)}-{cell(row + 1, 7)}", 0, currency)
        row += 3
    return row


def _cause(sheet: Sheet, line: Mapping[str, Any], own: pl.DataFrame, shown: pl.DataFrame, row: int, prior: int) -> int:
    """Write a cause and its items below it, hidden until the outline is opened."""
    currency, accepted = line["currency"], ["auto_cleared", "cleared_by_reviewer", "written_off", "settled"]
    rest = own.join(shown, on="item_id", how="anti")
    last = row + shown.height + (1 if rest.height else 0)
    style = {"bold": True, "bg_color": PALE}
    for column, text in ((0, words(line["nature"])), (1, say_cause(line["cause"] or line["line"])), (2, currency), (3, ""), (4, ""), (5, "")):
        sheet.text(row, column, text, **style)
    sheet.page.write_number(row, 6, line["items"], sheet.workbook.style(num_format="#,##0", **style))
    sums = {7: line["difference"], 8: line["accepted"], 9: line["awaiting"]}
    for column, value in sums.items():
        # A plain sum: SUBTOTAL would leave out the rows that the outline hides, in some programs whatever its number is.
        sheet.formula(row, column, f"=SUM({area(row + 1, last, column)})", value, currency, **style)
    journals = own.filter(pl.col("journal_id") != "")["journal_id"].unique().sort().to_list()
    sheet.text(row, 10, " and ".join([*journals[:1], *([f"{len(journals) - 1} more"] if len(journals) > 1 else [])]), align="left", indent=1, **style)
    sheet.amount(row, 11, prior, currency, **style)
    sheet.formula(row, 12, f"={cell(row, 7)}-{cell(row, 11)}", line["difference"] - prior, currency, **style)
    sheet.text(row, 13, "", **style)
    sheet.page.set_row(row, None, None, {"level": 1, "collapsed": True})
    hidden = {"level": 2, "hidden": True}
    for number, item in enumerate(shown.to_dicts(), start=row + 1):
        sheet.page.set_row(number, None, None, hidden)
        effect, is_accepted = item["effect"], item["disposition"] in accepted
        # Nature and cause stand on every item too, so that a filter on them keeps its rows.
        texts = {0: words(line["nature"]), 1: say_cause(line["cause"]), 2: item["description"] or item["side"], 4: item["reference"], 5: item["counterparty"]}
        for column, text in {**texts, 3: str(item["date"]), 10: item["journal_id"], 13: item["item_id"]}.items():
            if text:
                sheet.text(number, column, text)
        for column, value in ((7, effect), (8, effect if is_accepted else 0), (9, 0 if is_accepted else effect)):
            sheet.amount(number, column, value, currency)
    if rest.height:
        sheet.page.set_row(last, None, None, hidden)
        sheet.text(last, 2, f"{rest.height:,} smaller items, in open_items.csv", italic=True)
        kept = int(rest.filter(pl.col("disposition").is_in(accepted))["effect"].sum())
        for column, value in ((7, int(rest["effect"].sum())), (8, kept), (9, int(rest["effect"].sum()) - kept)):
            sheet.amount(last, column, value, currency)
    return last + 1


# --- lists --------------------------------------------------------------------------------------------------------------


def _roll_forward(sheet: Sheet, content: Content) -> None:
    frame = content.table("rollforward.csv").with_columns(
        check=pl.col("carried_in") + pl.col("new") - pl.col("settled") - pl.col("carried_out"), cause=say_causes()
    )
    money = [Column(name.replace("_", " "), name, 15, "money", is_added=True) for name in ("carried_in", "new", "settled", "carried_out")]
    counts = [Column(f"{name.replace('_', ' ')} items", f"{name}_count", 10, "count") for name in ("carried_in", "new", "settled", "carried_out")]
    columns = [Column("cause", "cause", 24), Column("book", "book", 10), Column("leg", "leg", 8), Column("currency", "currency", 9), *money, *counts]
    blocks = sheet.list_rows(frame, columns, file="rollforward.csv")
    place = len(columns)
    checks = {row: left for (first, last) in blocks.values() for row, left in zip(range(first, last + 1), [0] * (last - first + 1), strict=True)}
    if checks:
        sheet.headings(min(checks) - 1, ["check"], first=place)
    for code, (first, last) in blocks.items():
        for row in range(first, last + 1):
            sheet.check(row, place, f"={cell(row, 4)}+{cell(row, 5)}-{cell(row, 6)}-{cell(row, 7)}", 0, code)


def _open_items(sheet: Sheet, content: Content) -> None:
    order = pl.col("nature").replace_strict(NATURES, list(range(len(NATURES))), default=len(NATURES), return_dtype=pl.Int64)
    frame = (
        content.table("open_items.csv")
        .with_columns(effect=EFFECT, cause=say_causes(), kind=pl.col("kind").str.replace_all("_", " "))
        .sort("currency", order, pl.col("effect").abs(), "item_id", descending=[False, False, True, False])
    )
    columns = [
        Column("nature", "nature", 12), Column("cause", "cause", 20), Column("kind", "kind", 20), Column("leg", "leg", 7), Column("side", "side", 9),
        Column("date", "date", 11, "date"), Column("age", "age_days", 6, "count"), Column("age bucket", "age_bucket", 9),
        Column("amount", "amount_minor", 14, "money"), Column("effect on Stripe - ledger", "effect", 14, "money", is_added=True), Column("currency", "currency", 9),
        Column("counterparty", "counterparty", 20), Column("reference", "reference", 15), Column("description", "description", 34), Column("entry", "journal_id", 17),
        Column("disposition", "disposition", 14), Column("origin month", "origin_period", 10), Column("cleared since on", "cleared_after_cutoff_on", 11, "date"),
        Column("cleared by", "cleared_by_item", 24), Column("book", "book", 9), Column("item", "item_id", 34), Column("break", "break_id", 28),
    ]  # fmt: skip
    blocks = sheet.list_rows(frame, columns, file="open_items.csv", by="effect")
    _buckets(sheet, frame, blocks, at=len(columns) + 1)


def _buckets(sheet: Sheet, frame: pl.DataFrame, blocks: Mapping[str, tuple[int, int]], *, at: int) -> None:
    """Add up the books leg by age, beside the list; formulas over the rows shown."""
    names = ["0-3", "4-7", "8-30", "31-60", "61-90", "91+"]
    sheet.page.set_column(at, at + len(names) + 1, 13)
    sheet.text(1, at, "Books leg by age in days", bold=True)
    for number, (code, (first, last)) in enumerate(blocks.items()):
        sheet.text(2 + number, at, code, bold=True)
        own = frame.filter((pl.col("currency") == code) & (pl.col("leg") == "books"))
        for column, name in enumerate(names, start=at + 1):
            if number == 0:
                sheet.text(1, column, name, bold=True, align="right")
            value = int(own.filter(pl.col("age_bucket") == name)["effect"].sum())
            legs, ages, effects = (area(first, last, place) for place in (3, 7, 9))
            sheet.formula(2 + number, column, f'=SUMIFS({effects},{legs},"books",{ages},"{name}")', value, code)


def _payouts(sheet: Sheet, content: Content) -> None:
    frame = content.table("payouts.csv").sort("currency", pl.col("in_transit_at_cutoff") != 0, "created", "payout_id")
    money = [
        "amount",
        "gross",
        "fees",
        "refunds",
        "disputes",
        "other",
        "lines_net",
        "lines_difference",
        "bank_amount",
        "bank_difference",
        "in_transit_at_cutoff",
    ]
    first = [
        Column("payout", "payout_id", 26),
        Column("created", "created", 11, "date"),
        Column("arrival", "arrival_date", 11, "date"),
        Column("currency", "currency", 9),
    ]
    columns = [
        *first, *(Column(name.replace("_", " "), name, 13, "money", is_added=True) for name in money), Column("bank date", "bank_date", 11, "date"),
        Column("status at cut-off", "status_at_cutoff", 12), Column("status today", "status_latest", 12), Column("itemised", "itemised", 10), Column("method", "method", 10),
        Column("ledger date", "ledger_date", 11, "date"), Column("ledger amount", "ledger_amount", 13, "money"), Column("bank row", "bank_row", 10), Column("book", "book", 9),
    ]  # fmt: skip
    blocks = sheet.list_rows(frame, columns, file="payouts.csv", by="amount")
    if frame.height > ROWS_MAX:
        return
    place, transit = len(columns), 4 + money.index("in_transit_at_cutoff")
    cash = content.table("statement.csv").filter(pl.col("section") == "cash")
    for number, (code, (start, last)) in enumerate(blocks.items()):
        closing = int(cash.filter((pl.col("line") == "in_transit_closing") & (pl.col("currency") == code))["difference"].sum())
        others = closing - int(frame.filter(pl.col("currency") == code)["in_transit_at_cutoff"].sum())
        sheet.text(2 + number, place, "in transit, as stated" + (f"; of it not payouts {others / 100:,.2f}" if others else ""), italic=True)
        sheet.amount(2 + number, place + 1, closing, code)
        if not others:
            sheet.check(2 + number, place + 2, f"=SUM({area(start, last, transit)})-{cell(2 + number, place + 1)}", 0, code)
    sheet.page.set_column(place, place, 24)
    sheet.page.set_column(place + 1, place + 2, 13)


def _breaks(sheet: Sheet, content: Content, file: str) -> None:
    frame = content.table(file).with_columns(
        *(pl.col(name).str.replace_all("_", " ") for name in ("kind", "disposition")),
        cause=say_causes(),
        confidence=confidence_words(pl.col("probability_true_exception")),
    )
    columns = [
        Column("money at risk", "money_at_risk", 13, "money", is_added=True), Column("amount", "amount", 13, "money", is_added=True), Column("currency", "currency", 9),
        Column("what", "kind", 21), Column("cause", "cause", 20), Column("nature", "nature", 11), Column("looks like an exception", "confidence", 12),
        Column("age", "age_days", 6, "count"), Column("counterparty", "counterparty", 20), Column("reference", "reference", 15), Column("date", "date", 11, "date"),
        Column("status", "disposition", 16), Column("why", "reasons", 60, "list"), Column("what to do", "suggested_action", 36), Column("prepared by", "prepared_by", 14),
        Column("approved by", "approved_by", 14), Column("reason given", "decision_reason", 30), Column("source rows", "source_rows", 34, "list"), Column("leg", "leg", 7),
        Column("book", "book", 9), Column("break", "break_id", 28),
    ]  # fmt: skip
    sheet.list_rows(frame, columns, file=file, by="money_at_risk")


def confidence_words(probability: pl.Expr) -> pl.Expr:
    """Say in a word how much a break looks like a true exception."""
    return pl.when(probability >= 0.8).then(pl.lit("High")).when(probability >= 0.3).then(pl.lit("Medium")).otherwise(pl.lit("Low"))


def _fees(sheet: Sheet, content: Content) -> None:
    frame = with_price_words(content.table("fees"))
    money = [Column(name, name, 15, "money", is_added=True) for name in ("gross", "fee")]
    columns = [
        Column("what", "what", 26), Column("card from", "origin", 16), Column("paid in", "paid_in", 10), Column("currency", "currency", 9), Column("payments", "payments", 10, "count"),
        *money, Column("effective rate", "rate", 12, "ratio"), Column("price read off the payments", "price", 20), Column("payments off it", "off", 11, "count"),
        Column("charged more than it", "off_fee", 14, "money"), Column("book", "book", 9),
    ]  # fmt: skip
    sheet.list_rows(frame, columns, file="matches.csv and open_items.csv (components charge.fee, fee.gross)")


def _journals(sheet: Sheet, content: Content) -> None:
    rank = pl.col("status").replace_strict(["approved", "proposed", "posted"], [0, 1, 2], default=3, return_dtype=pl.Int64)
    frame = content.table("journal_entries.csv").sort(rank, "journal_id", "line").with_columns(account_role=pl.col("account_role").str.replace_all("_", " "))
    columns = [
        Column("entry", "journal_id", 20), Column("status", "status", 11), Column("type", "type", 12), Column("date", "posting_date", 11, "date"), Column("account", "account", 28),
        Column("role", "account_role", 20), Column("debit", "debit", 14, "money", is_added=True), Column("credit", "credit", 14, "money", is_added=True),
        Column("currency", "currency", 9), Column("memo", "memo", 56), Column("reverses on", "reverses_on", 11, "date"), Column("reverses", "reverses_journal", 17),
        Column("period", "period", 9), Column("prepared by", "prepared_by", 14), Column("approved by", "approved_by", 14), Column("items", "items", 40, "list"),
    ]  # fmt: skip
    blocks = sheet.list_rows(frame, columns, file="journal_entries.csv")
    sheet.page.set_column(len(columns), len(columns), 24)
    for number, (code, (first, last)) in enumerate(blocks.items()):
        sheet.text(2 + number, len(columns), "debit less credit", italic=True)
        sheet.check(2 + number, len(columns) + 1, f"=SUM({area(first, last, 6)})-SUM({area(first, last, 7)})", 0, code)


def _inputs(sheet: Sheet, content: Content) -> None:
    controls = content.table("controls.csv").with_columns(pl.col("control").str.replace_all("_", " "))
    columns = [
        Column("control", "control", 34), Column("result", "result", 14), Column("expected", "expected", 20), Column("actual", "actual", 20), Column("currency", "currency", 9),
        Column("scope", "scope", 22), Column("evidence", "evidence", 60), Column("book", "book", 9),
    ]  # fmt: skip
    sheet.list_rows(controls, columns, file="controls.csv")
    row = 6 + controls.height
    sheet.headings(row, ["input", "kind", "profile", "rows read", "used", "set aside", "SHA-256", "book"])
    for book in content.manifest["books"]:
        for entry in book["inputs"]:
            row += 1
            for column, text in ((0, entry["path"]), (1, entry["kind"]), (2, entry["profile"]), (6, entry["sha256"]), (7, book["book"])):
                sheet.text(row, column, str(text))
            for column, name in ((3, "rows"), (4, "rows_used"), (5, "rows_set_aside")):
                sheet.page.write_number(row, column, entry[name], sheet.workbook.style(num_format="#,##0", align="left"))
    facts: Sequence[tuple[str, str]] = [
        (name.replace("_", " "), str(content.manifest.get(name, "")))
        for name in ("cut_off", "materiality", "model", "code_version", "settings_sha256", "package_sha256")
    ]
    for number, (name, value) in enumerate(facts, start=row + 2):
        sheet.text(number, 0, name, bold=True)
        sheet.text(number, 1, value)


def _matches(sheet: Sheet, content: Content) -> None:
    frame = content.table("matches.csv").with_columns(pl.col("strategy").cast(pl.String).str.replace_all("_", " "))
    columns = [
        Column("match", "match_id", 28), Column("found by", "strategy", 18), Column("leg", "leg", 7), Column("side", "side", 9), Column("item", "item_id", 32),
        Column("date", "date", 11, "date"), Column("amount", "amount", 13, "money"), Column("currency", "currency", 9), Column("counterparty", "counterparty", 20),
        Column("reference", "reference", 15), Column("payout", "payout_id", 22), Column("source file", "source_file", 24), Column("row", "source_row", 7),
        Column("why", "evidence", 48), Column("difference", "match_difference", 12, "money", is_added=True), Column("book", "book", 9),
    ]  # fmt: skip
    sheet.list_rows(frame, columns, file="matches.csv", by="amount")


def _plain(sheet: Sheet, content: Content, file: str) -> None:
    frame, money = content.table(file), content.money.get(file, {})
    columns = shown_columns(frame, {"entry": 40, "reason": 36, "dispute_id": 24, "charge_id": 24}, money)
    sheet.list_rows(frame, [column for column in columns if column.source != "entry"], file=file)


def _definitions(sheet: Sheet) -> None:
    sheet.widths([26, 96])
    row = 2
    for heading, entries in DEFINITIONS.items():
        sheet.headings(row, [heading, ""])
        for name, meaning in entries.items():
            row += 1
            sheet.text(row, 0, words(name), bold=True)
            sheet.text(row, 1, meaning, text_wrap=True)
        row += 2
