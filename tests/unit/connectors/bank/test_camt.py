import pytest

from reconciliation.connectors.bank.reader import read_bank
from reconciliation.errors import FileRefusedError

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.{}"


def entry(
    amount, direction="CRDT", *, status="<Sts>BOOK</Sts>", date="2026-10-14", text="STRIPE PAYMENTS", reference="PO-1", party="Stripe Payments UK", extra=""
):
    role = "Dbtr" if direction == "CRDT" else "Cdtr"
    return f"""<Ntry><Amt Ccy="GBP">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd>{extra}{status}
    <BookgDt><Dt>{date}</Dt></BookgDt><AcctSvcrRef>BANK-7</AcctSvcrRef>
    <NtryDtls><TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs><RltdPties><{role}><Nm>{party}</Nm></{role}></RltdPties>
    <RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"""


def balance(code, amount, currency="GBP"):
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-10-14</Dt></Dt></Bal>'
    )


def statement_xml(*parts):
    return f"<Stmt><Id>1</Id><Acct><Id><IBAN>GB29 NWBK 6016 1331 9268 19</IBAN></Id></Acct>{''.join(parts)}</Stmt>"


def message(*statements, version="02", prolog=""):
    body = f"<BkToCstmrStmt>{''.join(statements)}</BkToCstmrStmt>"
    return f'<?xml version="1.0" encoding="UTF-8"?>{prolog}<Document xmlns="{NAMESPACE.format(version)}">{body}</Document>'


def refused(statement, settings, content):
    with pytest.raises(FileRefusedError) as caught:
        read_bank([statement(content, name="bank/a.xml")], settings=settings)
    return caught.value


@pytest.mark.parametrize("version", ["02", "04", "08", "13"])
def test_booked_entries_of_any_version_become_signed_lines(statement, settings, version):
    status = "<Sts>BOOK</Sts>" if version < "08" else "<Sts><Cd>BOOK</Cd></Sts>"
    content = message(
        statement_xml(
            balance("OPBD", "10.00"), balance("CLBD", "12.50"), entry("5.00", status=status), entry("2.50", "DBIT", status=status, reference="NOTPROVIDED")
        ),
        version=version,
    )

    lines = read_bank([statement(content, name="bank/a.xml")], settings=settings).lines.sort("source_row")

    assert lines.select("source_row", "amount_minor", "currency", "bank_account", "description", "reference", "counterparty").rows() == [
        ("1", 500, "GBP", "GB29NWBK60161331926819", "STRIPE PAYMENTS", "PO-1 BANK-7", "Stripe Payments UK"),
        ("2", -250, "GBP", "GB29NWBK60161331926819", "STRIPE PAYMENTS", "BANK-7", "Stripe Payments UK"),
    ]


def test_a_statement_that_does_not_tie_out_is_refused(statement, settings):
    error = refused(statement, settings, message(statement_xml(balance("OPBD", "10.00"), balance("CLBD", "15.01"), entry("5.00"))))

    assert "opening 10.00 + entries 5.00 = 15.00, but the closing balance is 15.01 GBP" in error.message


def test_a_previous_closing_balance_stands_for_the_opening_one(statement, settings):
    content = message(statement_xml(balance("PRCD", "10.00"), balance("CLBD", "15.00"), entry("5.00")))

    assert read_bank([statement(content, name="a.xml")], settings=settings).lines.height == 1


def test_each_statement_of_a_message_ties_out_by_itself(statement, settings):
    good = statement_xml(balance("OPBD", "0.00"), balance("CLBD", "5.00"), entry("5.00"))
    bad = statement_xml(balance("OPBD", "0.00"), balance("CLBD", "6.00"), entry("5.00", date="2026-10-15"))

    assert refused(statement, settings, message(good, bad)).message.startswith("statement 2:")


def test_pending_entries_are_set_aside_and_move_no_balance(statement, settings):
    content = message(statement_xml(balance("OPBD", "0.00"), balance("CLBD", "5.00"), entry("5.00"), entry("9.00", status="<Sts>PDNG</Sts>")))

    reading = read_bank([statement(content, name="a.xml")], settings=settings)

    assert (reading.lines["amount_minor"].to_list(), reading.set_aside["rule"].to_list()) == ([500], ["not_booked"])


def test_a_reversal_keeps_the_direction_it_states(statement, settings):
    content = message(statement_xml(balance("OPBD", "10.00"), balance("CLBD", "5.00"), entry("5.00", "DBIT", extra="<RvslInd>true</RvslInd>")))

    assert read_bank([statement(content, name="a.xml")], settings=settings).lines["amount_minor"].to_list() == [-500]


def test_a_batch_is_one_line_with_all_its_texts(statement, settings):
    details = "".join(f"<TxDtls><RmtInf><Ustrd>STRIPE {n}</Ustrd></RmtInf></TxDtls>" for n in (1, 2))
    batch = (
        f'<Ntry><Amt Ccy="GBP">5.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-10-14</Dt></BookgDt><NtryDtls>{details}</NtryDtls></Ntry>'
    )

    lines = read_bank([statement(message(statement_xml(batch)), name="a.xml")], settings=settings).lines

    assert lines.select("amount_minor", "description").rows() == [(500, "STRIPE 1 STRIPE 2")]


def test_equal_entries_of_one_statement_are_kept_apart_and_of_two_files_counted_once(statement, settings):
    one = message(statement_xml(entry("5.00"), entry("5.00")))
    overlapping = message(statement_xml(entry("5.00"), entry("5.00"), entry("1.00", date="2026-10-15")))

    lines = read_bank([statement(one, name="a.xml"), statement(overlapping, name="b.xml", delivery=2)], settings=settings).lines

    assert sorted(lines["amount_minor"]) == [100, 500, 500]


BOMB = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (message(statement_xml(entry("5.00")), prolog=BOMB).replace("STRIPE PAYMENTS<", "&b;<"), "document type"),
        (message(statement_xml(entry("5.00")), prolog=EXTERNAL).replace("STRIPE PAYMENTS<", "&x;<"), "document type"),
        (message(statement_xml(entry("5.00")))[:-30], "not well-formed"),
        (message(), "holds no statement"),
        (message(statement_xml(entry("5.00"))).replace("camt.053", "pain.001").replace("BkToCstmrStmt", "CstmrCdtTrfInitn"), "PAIN.001"),
        ("<html><body>Session expired</body></html>", "is <html>"),
        (message(statement_xml(entry("5,00"))), "not a plain decimal"),
        (message(statement_xml(entry("5.001"))), "more than the 2 decimals"),
        (message(statement_xml(entry("5.00", "CREDIT"))), "neither CRDT nor DBIT"),
        (message(statement_xml(entry("5.00", date="2026-02-30"))), "not a date"),
        (message(statement_xml(balance("OPBD", "1.00", "EUR"), balance("CLBD", "6.00"), entry("5.00"))), "cannot tie out"),
    ],
    ids=["entities", "external entity", "cut short", "no statement", "a payment order", "a web page", "comma", "excess decimals", "direction", "date", "currencies"],
)  # fmt: skip
def test_what_cannot_be_trusted_is_refused(statement, settings, content, said):
    assert said in refused(statement, settings, content).message


def test_the_entry_is_named_where_it_is_wrong(statement, settings):
    error = refused(statement, settings, message(statement_xml(entry("5.00"), entry("12..34"))))

    assert (error.row, error.column) == (2, "Amt")
