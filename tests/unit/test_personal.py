"""Addresses, accounts and cards are masked wherever a text comes in; everything that only looks like one stays."""

import time

import polars as pl
import pytest

from reconciliation.config import Settings
from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.reader import read_ledger
from reconciliation.errors import FileRefusedError, SettingsError
from reconciliation.personal import mask_cell, mask_personal, mask_text
from tests.hard.planted import make_values, personal_hits

VALUES = make_values(1000)
SETTINGS = Settings.model_validate({"entity": {"name": "E", "timezone": "UTC", "currency": "GBP"}, "start": {"period": "2026-10"}})


@pytest.mark.parametrize("kind", ["emails", "ibans", "cards"])
@pytest.mark.parametrize("around", ["{}", "paid by {} on 3 Oct", "({})", "a {}, b", "ref {}\nnext", "{};INV-1042"])
def test_every_planted_value_is_masked_wherever_it_stands(kind, around):
    for value in getattr(VALUES, kind):
        for spelled in {value, " ".join(value[place : place + 4] for place in range(0, len(value), 4)) if kind != "emails" else value}:
            masked = mask_text(around.format(spelled))
            assert value not in masked.replace(" ", "")
            before, behind = around.split("{}")
            assert masked.startswith(before)
            assert masked.endswith(behind)


@pytest.mark.parametrize(
    "text",
    [
        "INV-2026-000123456789", "4242424242424241", "DE89370400440532013001", "pi_3Nq4242424242424242", "txn_1Pabc", "20261031 1042 0000 1", "FP12345678",
        "RC-2026-10-0007", "1.234.567.890,12", "GB12 order 34567890123", "@shop", "a@b", "2026-10-31T10:42:00", "091000019876543", "0000000000000000",
    ],
)  # fmt: skip
def test_what_only_looks_like_one_stays(text):
    assert mask_text(text) == text


def test_a_masked_text_is_masked_no_further():
    for value in VALUES.emails + VALUES.ibans + VALUES.cards:
        assert mask_text(mask_text(value)) == mask_text(value)


def test_equal_texts_stay_equal_and_a_frame_keeps_its_rows():
    frame = pl.DataFrame({"memo": [VALUES.cards[3], "plain", VALUES.cards[3], None]}, schema={"memo": pl.String})
    masked = mask_personal(frame, ["memo"])["memo"].to_list()
    assert masked[0] == masked[2] != VALUES.cards[3]
    assert masked[1::2] == ["plain", None]


def test_a_hostile_text_takes_no_time():
    began = time.process_time()
    for text in ("a." * 30_000 + "@", "GB12 " + "A1B2 " * 10_000, "4" * 60_000, "1234 " * 12_000, "a@" * 30_000):
        mask_text(text)
        mask_cell(text)
    assert time.process_time() - began < 5


def test_a_person_in_the_wrong_column_is_not_told_on():
    rows = [f"2026-10-0{1 + n % 9},1050 Stripe,{n},sale,{VALUES.names[n]} {VALUES.emails[n]} {VALUES.ibans[n]},0.00" for n in range(9)]
    content = "\n".join(["Date,Account,Document,Description,Debit,Credit", *rows]).encode()
    with pytest.raises(FileRefusedError) as refused:
        read_ledger([InboxFile("a.csv", content, "a", 1)], settings=SETTINGS)
    assert "a.csv" in str(refused.value)
    assert personal_hits(str(refused.value).encode()) == {}


def test_no_message_holds_a_key_or_a_password():
    for secret in ("rk_live_51HxCanary", "sk_test_4eCanary", "whsec_Canary", "postgres://books:Canary@db/dagster", "redis://:Canary@cache"):
        for error in (SettingsError(f"api_base = {secret!r}: not an address"), FileRefusedError(file="a", message=f"{secret} is no amount")):
            told = [str(error), repr(error), repr(error.args), getattr(error, "message", "")]
            assert [text for text in told if "Canary" in text] == []
