"""A proposed mapping -> what a person reads before confirming it: columns with evidence, sample rows, totals."""

import polars as pl

from reconciliation.config import Settings
from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.mapper import Proposal
from reconciliation.connectors.ledger.reader import Export, ledger_profiles
from reconciliation.connectors.tabular.cells import open_grids
from reconciliation.connectors.tabular.detection import detect_layout
from reconciliation.connectors.tabular.totals import show_thousandths
from reconciliation.errors import FileRefusedError

SAMPLE_ROWS_SHOWN = 5
ACCOUNTS_SHOWN = 10


def name_known_profile(file: InboxFile, settings: Settings) -> str:
    """Return the title of the profile that recognizes a file already, or "" where none does; the plain table is a guess and does not count."""
    for grid in open_grids(file.name, file.content):
        try:
            layout = detect_layout(grid, ledger_profiles(settings))
        except FileRefusedError:
            continue
        if layout.profile.is_mapping or layout.profile.signature:
            return layout.profile.title or layout.profile.name
    return ""


def describe_columns(proposal: Proposal) -> str:
    """Describe what each column is taken for, and why; no cell of the file is in it."""
    lines = [f"  {column.header!r} is {column.field}: {column.evidence}" for column in proposal.columns]
    lines += [f"  {field} is {value!r} for every row" for field, value in proposal.profile.constants.items()]
    lines += [f"  not used: {', '.join(repr(header) for header in proposal.unused)}"] if proposal.unused else []
    return "\n".join(["proposed mapping:", *lines])


def describe_proposal(proposal: Proposal) -> str:
    """Describe a proposal with sample rows and totals."""
    return "\n".join([describe_columns(proposal), *(_describe_export(proposal.export) if proposal.export else [])])


def _describe_export(export: Export) -> list[str]:
    table, lines = export.table, export.lines
    said = [f"decimal mark {table.mark} ({table.mark_evidence}); dates {table.date_order} ({table.date_evidence})", "sample rows:"]
    for record in lines.head(SAMPLE_ROWS_SHOWN).iter_rows(named=True):
        texts = [str(record["day"]), record["account"], record["document"], record["counterparty"], record["memo"]]
        said.append(
            f"  row {record['row']}: {' | '.join(text for text in texts if text)} | {show_thousandths(record['base'])} {record['currency_stated']}".rstrip()
        )
    total = pl.col("base").fill_null(0).cast(pl.Int128)
    sums = lines.group_by("account_key", "currency_stated").agg(
        rows=pl.len(), debit=total.filter(total > 0).sum(), credit=total.filter(total < 0).sum(), net=total.sum()
    )
    said.append("totals (debit is positive):")
    for account, currency, rows, debit, credit, net in sums.sort("rows", "account_key", descending=[True, False]).head(ACCOUNTS_SHOWN).iter_rows():
        money = f"debit {show_thousandths(int(debit))}, credit {show_thousandths(-int(credit))}, net {show_thousandths(int(net))} {currency}".rstrip()
        said.append(f"  {account}: {rows} rows, {money}")
    if sums.height > ACCOUNTS_SHOWN:
        said.append(f"  and {sums.height - ACCOUNTS_SHOWN} accounts more")
    return said
