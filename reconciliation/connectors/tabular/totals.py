"""Total rows of a table + its lines -> proof that they agree, or a fault at the total that does not."""

import polars as pl

from reconciliation.connectors.tabular.detection import Layout
from reconciliation.connectors.tabular.faults import Faults
from reconciliation.connectors.tabular.profiles import cell_key
from reconciliation.connectors.tabular.rows import totaled_section

Proofs = tuple[tuple[str, bool], ...]

_TOTALED = ("debit", "credit", "amount", "foreign_debit", "foreign_credit")


def prove_totals(lines: pl.DataFrame, totals: pl.DataFrame, layout: Layout, starts: dict[str, int], faults: Faults) -> Proofs:
    """Compare each total row with its lines: those below the heading it names, else those since the total before it, all so far, or those of its account or currency.

    Args:
        lines: with `row`, `account` and `<field>_thousandths`.
        totals: the same, with `label`.
        layout: which fields there are.
        starts: heading -> its row.
        faults: takes totals that differ.
    """
    fields = [field for field in _TOTALED if field in layout.fields]
    if totals.is_empty() or not fields:
        return ()
    sums = [pl.col(f"{field}_thousandths").fill_null(0).cast(pl.Int128).cum_sum().alias(field) for field in fields]
    running = lines.sort("row").select("row", *sums)
    found = totals.sort("row").select("row", "label", "section", "currency", *(pl.col(f"{field}_thousandths").alias(f"{field}_stated") for field in fields))
    found = found.join_asof(running, on="row", strategy="backward").with_columns(pl.col(fields).fill_null(0))
    found = found.with_columns((pl.col(field) - pl.col(field).shift(1, fill_value=0)).alias(f"{field}_since") for field in fields)
    proved = 0
    for record in found.iter_rows(named=True):
        start = starts.get(totaled_section(record["label"], layout.profile))
        around = starts.get(cell_key(record["section"]))
        for field in fields:
            stated = record[f"{field}_stated"]
            if stated is None:
                _refuse_blank(record, field, fields, layout, faults)
                continue
            proved += 1
            if start is not None:
                below = _sum_between(lines, field, start, record["row"])
                if stated != below:
                    message = (
                        f"total {show_thousandths(stated)} differs from the lines below its heading in row {start}, which add to {show_thousandths(below)}"
                    )
                    faults.add(row=record["row"], column=layout.header(field), message=f"{message}; export it again")
                continue
            if stated in (record[field], record[f"{field}_since"]) or stated == _sum_of_account(lines, record["label"], field):
                continue
            if record["currency"] and stated == _sum_of_currency(lines, record, field):
                continue
            if around is not None and stated == _sum_between(lines, field, around, record["row"]):
                continue
            since, in_all = show_thousandths(record[f"{field}_since"]), show_thousandths(record[field])
            message = (
                f"total {show_thousandths(stated)} differs from the lines above it, which add to {since} since the last total and {in_all} in all; "
                "export it again"
            )
            faults.add(row=record["row"], column=layout.header(field), message=message)
    return (("total_rows_equal_their_lines", True),) if proved else ()


def _refuse_blank(record: dict[str, int | None], field: str, fields: list[str], layout: Layout, faults: Faults) -> None:
    """Refuse a total of debits without one of credits, or the other way, though there are some: the row was cut short."""
    partner = {"debit": "credit", "credit": "debit"}.get(field)
    if partner in fields and record[f"{partner}_stated"] is not None and record[field] and record[f"{field}_since"]:
        message = f"the total is blank, but the lines above it add to {show_thousandths(record[f'{field}_since'])}; the file was cut short: export it again"
        faults.add(row=int(record["row"] or 0), column=layout.header(field), message=message)


def _sum_between(lines: pl.DataFrame, field: str, start: int, end: int) -> int:
    inside = lines.filter(pl.col("row").is_between(start, end))
    return int(inside[f"{field}_thousandths"].fill_null(0).cast(pl.Int128).sum())


def _sum_of_currency(lines: pl.DataFrame, record: dict[str, int | str | None], field: str) -> int:
    own = lines.filter((pl.col("currency") == record["currency"]) & (pl.col("row") < record["row"]))
    return int(own[f"{field}_thousandths"].fill_null(0).cast(pl.Int128).sum())


def _sum_of_account(lines: pl.DataFrame, label: str, field: str) -> int | None:
    key = cell_key(label)
    accounts = [account for account in lines["account"].unique() if account and key.endswith(cell_key(account))]
    if len(accounts) != 1:
        return None
    return int(lines.filter(pl.col("account") == accounts[0])[f"{field}_thousandths"].fill_null(0).cast(pl.Int128).sum())


def show_thousandths(thousandths: int | None) -> str:
    """Write thousandths as a decimal number for a message.

    >>> show_thousandths(-1234500)
    '-1234.50'
    """
    if thousandths is None:
        return "nothing"
    sign = "-" if thousandths < 0 else ""
    whole, fraction = divmod(abs(thousandths), 1000)
    digits = f"{fraction:03d}"
    return f"{sign}{whole}.{digits[:2] if digits.endswith('0') else digits}"
