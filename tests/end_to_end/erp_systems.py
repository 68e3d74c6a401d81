"""Six ERPs as far as a round trip needs them: each writes its export of the clearing account, and posts an import file the way it would.

Nothing of the product is imported. A posting is a dictionary: `date`, `document`, `memo`, `name`, `pence` (debit positive).
"""

import csv
import io
from datetime import date, datetime

CLEARING = "1050 Stripe Clearing"
INTACCT_CLEARING = "1050 - Stripe Clearing"


def money(pence):
    return f"{'-' if pence < 0 else ''}{abs(pence) // 100}.{abs(pence) % 100:02d}"


def to_pence(text):
    whole, _, cents = (text or "0").lstrip("-").partition(".")
    return (-1 if text.startswith("-") else 1) * (int(whole) * 100 + int((cents or "0").ljust(2, "0")))


def sides(pence):
    return (money(pence), "") if pence > 0 else ("", money(-pence))


def text_of(rows):
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def rows_of(content):
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def read_day(text):
    for form in ("%d/%m/%Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise AssertionError(text)


# --- exports ----------------------------------------------------------------------------------------------------------


def export_netsuite(postings, opening):
    head = ["Internal ID", "Date", "Period", "Type", "Document Number", "Name", "Account", "Memo", "Debit", "Credit", "Currency"]
    body = [
        [9001 + n, f"{p['date']:%d/%m/%Y}", f"{p['date']:%b %Y}", "Journal", p["document"], p["name"], CLEARING, p["memo"], *sides(p["pence"]), "GBP"]
        for n, p in enumerate(postings)
    ]
    return text_of([head, *body])


def export_xero(postings, opening):
    rows = [
        ["Account Transactions"],
        ["Example Ltd"],
        [],
        ["Date", "Source", "Description", "Reference", "Currency", "Debit", "Credit", "Running Balance"],
        [CLEARING] + [""] * 7,
    ]
    rows.append(["Opening Balance", "", "", "", "", money(opening), "", money(opening)])
    running = opening
    for p in postings:
        running += p["pence"]
        # Xero shows no number of a manual journal, only its narration.
        reference = "" if p["memo"].startswith("RC-") else p["document"]
        rows.append([f"{p['date']:%d %b %Y}", "Manual Journal", f"{p['name']} {p['memo']}".strip(), reference, "GBP", *sides(p["pence"]), money(running)])
    debits = sum(p["pence"] for p in postings if p["pence"] > 0)
    credited = -sum(p["pence"] for p in postings if p["pence"] < 0)
    rows += [[f"Total {CLEARING}", "", "", "", "", money(debits), money(credited), ""], ["Closing Balance", "", "", "", "", money(running), "", money(running)]]
    return text_of(rows)


def export_quickbooks(postings, opening):
    rows = [
        ["Example Ltd"],
        ["General Ledger"],
        ["", "Date", "Transaction Type", "Num", "Name", "Memo/Description", "Split", "Amount", "Balance"],
        [CLEARING] + [""] * 8,
    ]
    rows.append(["", "Beginning Balance", "", "", "", "", "", "", money(opening)])
    running = opening
    for p in postings:
        running += p["pence"]
        rows.append(["", f"{p['date']:%d/%m/%Y}", "Journal Entry", p["document"], p["name"], p["memo"], "-Split-", money(p["pence"]), money(running)])
    rows.append([f"Total for {CLEARING}", "", "", "", "", "", "", money(running - opening), ""])
    return text_of(rows)


def export_sap(postings, opening):
    head = [
        "Company Code", "G/L Account", "Journal Entry", "Journal Entry Type", "Posting Date", "Fiscal Period", "Fiscal Year", "Amount in Company Code Currency",
        "Company Code Currency", "Amount in Transaction Currency", "Transaction Currency", "Item Text", "Assignment", "Created By",
    ]  # fmt: skip
    body = [
        ["1000", CLEARING, 1800000001 + n, "SA", f"{p['date']}", f"{p['date']:%m}".zfill(3), p["date"].year, money(p["pence"]), "GBP", money(p["pence"]), "GBP",
         f"{p['name']} {p['memo']}".strip()[:50], p["document"][:18], "BO"]
        for n, p in enumerate(postings)
    ]  # fmt: skip
    return text_of([head, *body])


def export_intacct(postings, opening):
    rows = [
        ["Example Ltd"],
        ["General Ledger report"],
        ["Posted dt.", "Doc dt.", "Doc", "Memo/Description", "Department", "Location", "Jrnl", "Curr", "Debit", "Credit", "Balance"],
    ]
    rows.append([f"{INTACCT_CLEARING} (Balance forward as of 01/{postings[0]['date']:%m/%Y})"] + [""] * 9 + [money(opening)])
    running = opening
    for p in postings:
        running += p["pence"]
        day = f"{p['date']:%d/%m/%Y}"
        rows.append([day, day, p["document"], f"{p['name']} {p['memo']}".strip(), "", "100", "GJ", "GBP", *sides(p["pence"]), money(running)])
    debits, credited = sum(p["pence"] for p in postings if p["pence"] > 0), -sum(p["pence"] for p in postings if p["pence"] < 0)
    rows.append([f"Totals for {INTACCT_CLEARING}"] + [""] * 7 + [money(debits), money(credited), money(running)])
    return text_of(rows)


def export_business_central(postings, opening):
    head = ["Entry No.", "Posting Date", "Document Type", "Document No.", "G/L Account No.", "Description", "Amount", "User ID", "External Document No."]
    body = [
        [n + 1, f"{p['date']:%d/%m/%Y}", "", p["document"], CLEARING, f"{p['name']} {p['memo']}".strip()[:100], money(p["pence"]), "BO", p["document"]]
        for n, p in enumerate(postings)
    ]
    return text_of([head, *body])


# --- posting an import file -------------------------------------------------------------------------------------------


def post(content, *, account, day, memo, document, debit="", credit="", amount="", reversal="", carried=()):
    """Post the lines on the clearing account; a native reversal is posted on its day with the memo of its journal and a number of the ERP's own."""
    postings, header = [], {}
    for number, row in enumerate(rows_of(content)):
        header = (
            {name: row[name] or header.get(name, "") for name in carried}
            if not row.get(carried[0] if carried else "", "x")
            else {name: row[name] for name in carried}
        )
        row = {**row, **header}
        if account and row[account] not in (CLEARING, "1050"):
            continue
        pence = to_pence(row[amount]) if amount else to_pence(row[debit]) - to_pence(row[credit])
        own = row[document] if document else ""
        postings.append({"date": read_day(row[day]), "document": own, "memo": row[memo], "name": "", "pence": pence})
        if reversal and row[reversal]:
            postings.append({"date": read_day(row[reversal]), "document": f"JE-{7000 + number}", "memo": row[memo], "name": "", "pence": -pence})
    return postings


SYSTEMS = {
    "netsuite": (
        export_netsuite,
        lambda c: post(c, account="Account", day="Date", memo="Memo", document="External ID", debit="Debit", credit="Credit", reversal="Reversal Date"),
    ),
    "xero": (export_xero, lambda c: post(c, account="*AccountCode", day="*Date", memo="*Narration", document="", amount="*Amount")),
    "xero_bank": (export_xero, lambda c: post(c, account="", day="*Date", memo="Description", document="Reference", amount="*Amount")),
    "quickbooks_online": (
        export_quickbooks,
        lambda c: post(c, account="*AccountName", day="*JournalDate", memo="Description", document="*JournalNo", debit="*Debits", credit="*Credits"),
    ),
    "sap": (
        export_sap,
        lambda c: post(c, account="G/L Account", day="Posting Date", memo="Item Text", document="Assignment", debit="Debit", credit="Credit", reversal="Reversal Date"),
    ),
    "sage_intacct": (
        export_intacct,
        lambda c: post(
            c, account="ACCT_NO", day="DATE", memo="MEMO", document="DOCUMENT", debit="DEBIT", credit="CREDIT", reversal="REVERSEDATE",
            carried=("JOURNAL", "DATE", "REVERSEDATE", "DESCRIPTION", "REFERENCE_NO", "STATE"),
        ),
    ),
    "business_central": (
        export_business_central,
        lambda c: post(c, account="Account No.", day="Posting Date", memo="Description", document="Document No.", amount="Amount"),
    ),
}  # fmt: skip
"""Layout -> (export of the clearing account, what an import of its file posts there)."""


def golden_postings(content):
    """Read the postings of a NetSuite export of the worked months."""
    return [
        {
            "date": read_day(row["Date"]),
            "document": row["Document Number"],
            "memo": row["Memo"],
            "name": row["Name"],
            "pence": to_pence(row["Debit"]) - to_pence(row["Credit"]),
        }
        for row in rows_of(content)
    ]


def first_of_next_month(day):
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)
