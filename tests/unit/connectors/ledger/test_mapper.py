import pytest

from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.mapper import Answers, mapping_path, propose_mapping, write_mapping
from reconciliation.connectors.ledger.mapping_text import describe_proposal, name_known_profile
from reconciliation.connectors.ledger.reader import read_ledger
from reconciliation.errors import FileRefusedError

STRANGE = """\
Our old system
Buchungstag;Sachkonto Nr.;Beleg-Nr;Textfeld;Sollbetrag EUR;Habenbetrag EUR
14.10.2026;1050;B-1;Ada;1.250,00;
15.10.2026;1050;B-2;Gebühren;;2,90
15.10.2026;6210;B-2;Gebühren;2,90;
"""
NAMED = """\
Effective Date|Ledger Acct|Voucher Number|Narrative|Debit Value|Credit Value|Ccy
2026-10-14|1050|V-1|Ada|1250.00||GBP
2026-10-15|1050|V-2|fees||2.90|GBP
"""


def file_of(text, name="inbox/ledger/strange.csv"):
    return InboxFile(name, text.encode(), f"{abs(hash(text)):x}", 1)


def test_columns_are_proposed_by_name_and_values_with_their_evidence(make_settings):
    proposal = propose_mapping(file_of(NAMED), make_settings(accounts=(("1050", "GBP"),)), Answers())

    assert {column.header: column.field for column in proposal.columns} == {
        "Effective Date": "date",
        "Ledger Acct": "account",
        "Voucher Number": "document",
        "Narrative": "memo",
        "Debit Value": "debit",
        "Credit Value": "credit",
        "Ccy": "currency",
    }
    said = describe_proposal(proposal)
    assert "1050: 2 rows, debit 1250.00, credit 2.90, net 1247.10 GBP" in said
    assert "row 2: 2026-10-14 | 1050 | V-1 | Ada | 1250.00 GBP" in said


def test_a_confirmed_mapping_reads_the_next_export_with_that_header(make_settings):
    settings = make_settings(accounts=(("1050", "GBP"),))
    proposal = propose_mapping(file_of(NAMED), settings, Answers())
    write_mapping(proposal.profile, mapping_path(proposal.profile, settings), evidence="found\nso")

    other = file_of(NAMED.replace("1250.00", "7.00"), name="inbox/ledger/another name.csv")
    reading = read_ledger([other], settings=settings)

    assert reading.files["profile"].item().startswith("strange-")
    assert reading.files["confidence"].item() == 1.0
    assert sorted(reading.lines["amount_minor"]) == [-290, 700]
    assert name_known_profile(other, settings) == "mapping of strange"


def test_another_header_is_not_read_by_a_kept_mapping(make_settings):
    settings = make_settings(accounts=(("1050", "GBP"),))
    proposal = propose_mapping(file_of(NAMED), settings, Answers())
    write_mapping(proposal.profile, mapping_path(proposal.profile, settings), evidence="")

    with pytest.raises(FileRefusedError):
        read_ledger([file_of(NAMED.replace("Narrative", "Narration text"))], settings=settings)


def test_what_values_contradict_is_not_proposed(make_settings):
    text = "Date|Account|Amount|Description\nfirst|1050|five|2026-10-14\nsecond|1050|six|2026-10-15\n"

    with pytest.raises(FileRefusedError, match="an amount, or debit and credit"):
        propose_mapping(file_of(text), make_settings(), Answers())


def test_two_unnamed_money_columns_are_not_guessed(make_settings):
    text = "When|Account|Left side|Right side\n2026-10-14|1050|1.00|\n2026-10-15|1050||2.00\n"

    with pytest.raises(FileRefusedError, match="an amount, or debit and credit"):
        propose_mapping(file_of(text), make_settings(), Answers())


def test_a_single_column_of_dates_and_one_of_money_need_no_known_name(make_settings):
    text = "Quand|Combien|Quoi\n2026-10-14|1.00|a\n2026-10-15|-2.00|b\n"

    proposal = propose_mapping(file_of(text), make_settings(), Answers(account="1050 Stripe Clearing"))

    assert {column.header: column.field for column in proposal.columns if column.field != "memo"} == {"Quand": "date", "Combien": "amount"}
    assert proposal.profile.constants == {"account": "1050 Stripe Clearing"}


def test_what_only_a_person_can_know_is_asked_for_and_kept(make_settings):
    text = NAMED.replace("2026-10-14", "03/10/2026").replace("2026-10-15", "04/10/2026")
    settings = make_settings(accounts=(("1050", "GBP"),))

    unanswered = propose_mapping(file_of(text), settings, Answers())
    answered = propose_mapping(file_of(text), settings, Answers(day_first=True))

    assert unanswered.refused is not None
    assert "day or the month first" in unanswered.refused.message
    assert [str(day) for day in answered.export.lines["day"]] == ["2026-10-03", "2026-10-04"]
    assert answered.profile.date_order == "day_first"


def test_german_names_are_known_from_the_profiles_of_german_systems(make_settings):
    proposal = propose_mapping(file_of(STRANGE), make_settings(accounts=(("1050", "EUR"),)), Answers(account="1050"))

    assert {column.header: column.field for column in proposal.columns}["Buchungstag"] == "date"
