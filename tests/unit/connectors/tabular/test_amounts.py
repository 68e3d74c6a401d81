import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciliation.connectors.tabular.amounts import read_amounts, take_apart
from reconciliation.connectors.tabular.dates import parse_period

GROUPS = {".": (",", "'", " ", "\u00a0", "\u202f", ""), ",": (".", "'", " ", "\u00a0", "\u202f", "")}
SIGNS = (("-", ""), ("\u2212", ""), ("(", ")"), ("", "-"), ("- ", ""))


def read(texts, mark=None):
    frame = pl.DataFrame({"text": list(dict.fromkeys(texts))}).with_columns(row=pl.int_range(2, pl.len() + 2), column=pl.lit("Amount"))
    return read_amounts(frame, stated_mark=mark)


def write(minor, *, mark, group, sign, digits):
    whole, fraction = divmod(abs(minor), 100)
    text = f"{whole:,}".replace(",", group) + mark + f"{fraction:02d}"
    before, after = sign if minor < 0 else ("", "")
    return (before + text + after).translate(digits)


PLAIN, FULL_WIDTH, ARABIC = {}, {ord(str(n)): chr(0xFF10 + n) for n in range(10)}, {ord(str(n)): chr(0x660 + n) for n in range(10)}


@given(
    minors=st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=30),
    mark=st.sampled_from(".,"),
    group=st.integers(0, 5),
    sign=st.sampled_from(SIGNS),
    digits=st.sampled_from([PLAIN, FULL_WIDTH, ARABIC]),
)
@example(minors=[10**15, -(10**15)], mark=",", group=0, sign=SIGNS[2], digits=PLAIN)
def test_an_amount_written_in_any_known_way_is_read_back_exactly(minors, mark, group, sign, digits):
    texts = {write(minor, mark=mark, group=GROUPS[mark][group], sign=sign, digits=digits): minor for minor in minors}

    reading = read(texts)

    assert reading.faults == ()
    assert reading.mark == mark
    assert {text: value // 10 for text, value in reading.values.select("text", "thousandths").iter_rows()} == texts


@given(st.text(alphabet="0123456789.,'() -+eE€CRD\u2212\u00a0", max_size=12))
def test_any_text_is_read_or_a_fault_and_never_an_exception(text):
    if not text.strip():
        return
    reading = read([text])

    assert reading.faults or reading.values.height == 1


def test_the_row_that_decides_the_mark_is_named():
    reading = read(["1,234", "12.50"])

    assert reading.mark == "."
    assert "row 3: '12.50'" in reading.evidence


def test_an_amount_that_fits_both_marks_is_refused_until_a_mapping_states_one():
    assert "may mean thousands or decimals" in read(["1,234"]).faults[0].message
    assert read(["1,234"], mark=".").values["thousandths"].to_list() == [1_234_000]
    assert read(["1,234"], mark=",").values["thousandths"].to_list() == [1_234]


@pytest.mark.parametrize(
    "text",
    ["1e3", "1.23E+15", "NaN", "inf", "--5", "(-5)", "-5-", "5%", "0x5", "1_000", "#REF!", "########", "five", "5 apples", "1 2", "=1+1", "5.00 CR DR", "²5"],
)
def test_what_is_no_amount_is_a_fault(text):
    assert read([text, "1.00"]).faults


@pytest.mark.parametrize(
    ("text", "is_negative", "marker"),
    [
        ("5.00 CR", False, "CR"),
        ("5.00Dr", False, "DR"),
        ("CR 5.00", False, "CR"),
        ("-£5.00", True, ""),
        ("£-5.00", True, ""),
        ("(5.00 EUR)", True, ""),
        ("+5.00", False, ""),
    ],
)
def test_signs_and_markers_are_told_apart(text, is_negative, marker):
    amount = take_apart(text)

    assert amount is not None
    assert (amount.is_negative, amount.marker, amount.core) == (is_negative, marker, "5.00")


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("Oct 2026", "2026-10"),
        ("October 2026", "2026-10"),
        ("Oct-26", "2026-10"),
        ("2026-10", "2026-10"),
        ("202610", "2026-10"),
        ("10/2026", "2026-10"),
        ("FY2026 : Q4 2026 : Oct 2026", "2026-10"),
        ("Oktober 2026", "2026-10"),
        ("Q4 2026", None),
        ("2026-13", None),
        ("", None),
    ],
)
def test_a_posting_period_is_read_in_the_ways_systems_write_it(text, period):
    assert parse_period(text) == period
