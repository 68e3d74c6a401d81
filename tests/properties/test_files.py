"""Any table written in any dialect is read back to the same money, or refused; it is never read to other money."""

import csv
import io
from datetime import date, timedelta

import polars as pl
from hypothesis import event, given, settings
from hypothesis import strategies as st

from reconciliation.config import Settings
from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.reader import read_ledger
from reconciliation.errors import FileRefusedError

ACCOUNT = "1050 Stripe Clearing"
SETTINGS = {
    day_first: Settings.model_validate(
        {
            "entity": {"name": "Example Ltd", "timezone": "Europe/London", "currency": "GBP"},
            "start": {"period": "2026-10"},
            "ledger": {"day_first": day_first},
            "books": [{"ledger_accounts": [{"account": ACCOUNT, "currency": "GBP"}]}],
        }
    )
    for day_first in (None, True, False)
}
MINUSES = {"before": ("-", ""), "behind": ("", "-"), "parentheses": ("(", ")"), "typographic": ("\u2212", ""), "spaced": ("- ", "")}
DIGITS = {"ascii": {}, "full-width": {ord(str(n)): chr(0xFF10 + n) for n in range(10)}, "arabic": {ord(str(n)): chr(0x660 + n) for n in range(10)}}
DAYS = {"iso": "%Y-%m-%d", "compact": "%Y%m%d", "day first": "%d/%m/%Y", "month first": "%m/%d/%Y", "dots": "%d.%m.%Y", "named": "%d %b %Y"}

lines = st.lists(
    st.tuples(
        st.integers(-(10**13), 10**13), st.integers(0, 364), st.text(alphabet="abcXYZ 0123,;|\t\"'é€=-", max_size=12), st.text(alphabet="ABC123-", max_size=6)
    ),
    min_size=1,
    max_size=12,
)
dialects = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|"),
        "mark": st.sampled_from(".,"),
        "group": st.sampled_from(["", "other", " ", "'", "\u00a0", "\u202f"]),
        "minus": st.sampled_from(sorted(MINUSES)),
        "digits": st.sampled_from(sorted(DIGITS)),
        "days": st.sampled_from(sorted(DAYS)),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
        "end": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "layout": st.sampled_from(["split", "split with zeros", "signed", "side"]),
        "preamble": st.integers(0, 3),
        "has_total": st.booleans(),
        "day_first": st.sampled_from([None, True, False]),
    }
)


def write_money(minor, dialect):
    whole, fraction = divmod(abs(minor), 100)
    group = {"other": "," if dialect["mark"] == "." else "."}.get(dialect["group"], dialect["group"])
    text = (f"{whole:,}".replace(",", group) + dialect["mark"] + f"{fraction:02d}").translate(DIGITS[dialect["digits"]])
    before, behind = MINUSES[dialect["minus"]] if minor < 0 else ("", "")
    return before + text + behind


def cells_of(minor, dialect):
    """Return the money cells of a line in the dialect's layout."""
    nothing = write_money(0, dialect) if dialect["layout"] == "split with zeros" else ""
    if dialect["layout"].startswith("split"):
        return [write_money(minor, dialect), nothing] if minor >= 0 else [nothing, write_money(-minor, dialect)]
    if dialect["layout"] == "signed":
        return [write_money(minor, dialect)]
    return [write_money(abs(minor), dialect), "D" if minor >= 0 else "C"]


def write_table(rows, dialect):
    money = {"signed": ["Amount"], "side": ["Amount", "D/C"]}.get(dialect["layout"], ["Debit", "Credit"])
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=dialect["delimiter"], quoting=dialect["quoting"], lineterminator=dialect["end"])
    for number in range(dialect["preamble"]):
        writer.writerow([f"Report line {number}"])
    writer.writerow(["Date", "Account", "Document", "Description", *money])
    for minor, day, memo, document in rows:
        written = (date(2026, 1, 1) + timedelta(days=day)).strftime(DAYS[dialect["days"]])
        writer.writerow([written, ACCOUNT, document, memo, *cells_of(minor, dialect)])
    if dialect["has_total"] and dialect["layout"].startswith("split"):
        debit, credit = (sum(max(sign * minor, 0) for minor, *_ in rows) for sign in (1, -1))
        writer.writerow(["Total", "", "", "", write_money(debit, dialect), write_money(credit, dialect)])
    return buffer.getvalue().encode(dialect["encoding"], errors="replace")


@settings(max_examples=400, deadline=None)
@given(rows=lines, dialect=dialects)
def test_any_table_in_any_dialect_is_read_to_the_same_money_or_refused(rows, dialect):
    content = write_table(rows, dialect)
    if dialect["encoding"] == "cp1252" and (dialect["digits"] != "ascii" or dialect["group"] == "\u202f" or dialect["minus"] == "typographic"):
        return  # the encoding has no such letters

    try:
        reading = read_ledger([InboxFile("a.csv", content, "a", 1)], settings=SETTINGS[dialect["day_first"]])
    except FileRefusedError:
        event("refused")
        return

    event("read")
    assert reading.lines["amount_minor"].sort().to_list() == sorted(minor for minor, *_ in rows)
    if dialect["days"] in {"iso", "compact", "named", "dots"} and dialect["day_first"] is not False:
        written = sorted(date(2026, 1, 1) + timedelta(days=day) for _, day, *_ in rows)
        assert reading.lines["posting_on"].sort().to_list() == written


@settings(max_examples=60, deadline=None)
@given(rows=lines, dialect=dialects)
def test_an_unambiguous_table_is_never_refused(rows, dialect):
    """Refusing everything would satisfy the law above; with dates and amounts that can be read in one way, there is nothing to refuse."""
    plain = dialect | {"days": "iso", "encoding": "utf-8", "group": "", "quoting": csv.QUOTE_ALL, "layout": "split with zeros"}

    reading = read_ledger([InboxFile("a.csv", write_table(rows, plain), "a", 1)], settings=SETTINGS[None])

    assert reading.lines.select(pl.col("amount_minor").cast(pl.Int128).sum()).item() == sum(minor for minor, *_ in rows)
