"""Stripe's itemised report CSVs -> the tables of the API, as a second source and a control total.

Reads `balance_change_from_activity.itemized`, `payout_reconciliation.itemized` (also by payout), `payouts.itemized` and
`ending_balance_reconciliation.itemized`, in every version that has the columns below, whatever else it has. Reports write amounts in
major units where the API writes minor ones; a report names no type, no balance type and no parts of the fee, so the type is the one that
the category mostly has and the fee is one. A filtered report looks like a whole one: as a control total, what it lacks proves nothing and
what it has must have been pulled; how reports take the place of lists is told in `history`.

Left out: summary reports, and report runs, which would be a write.
Alone: `read_report(Path("payout_reconciliation.csv"), account="self", time_zone="UTC")`.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dataframely as dy
import polars as pl

from reconciliation.connectors.stripe.client import OWN_ACCOUNT
from reconciliation.connectors.stripe.parse import shape_transactions
from reconciliation.connectors.stripe.types import type_of_category
from reconciliation.errors import FileRefusedError
from reconciliation.money import exponents_of
from reconciliation.schemas.stripe import BalanceTransaction, PayoutMember

BYTES_MAX = 4 * 2**30
NEEDED = ("balance_transaction_id", "currency", "gross", "fee", "net", "reporting_category")
_MONEY = r"^-?\d+(?:[.,]\d+)?$"
_MOMENTS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")


@dataclass(frozen=True)
class Report:
    """An itemised report.

    Attributes:
        transactions: `BalanceTransaction`.
        members: `PayoutMember`, where the report names automatic payouts.
    """

    transactions: dy.DataFrame[BalanceTransaction]
    members: dy.DataFrame[PayoutMember]


def read_report(path: Path, *, account: str, time_zone: str) -> Report:
    """Read one report.

    Args:
        path: the CSV.
        account: whose balance it is of.
        time_zone: of the columns that do not say `_utc`; it is chosen when the report is run.

    Raises:
        FileRefusedError: not an itemised report, or a cell that is not what its column holds; every fault of the first kind found.
    """
    cells = _read_cells(path)
    missing = [name for name in NEEDED if name not in cells.columns]
    if missing or not {"created", "created_utc"} & set(cells.columns):
        found = ", ".join(cells.columns[:12])
        raise FileRefusedError(
            file=str(path),
            row=1,
            message=f"no itemised report of Stripe's: {', '.join([*missing, *([] if missing else ['created'])])} missing; found {found}. Download it with these columns",
        )
    rows = cells.with_row_index("row", offset=2).with_columns(currency=pl.col("currency").str.to_uppercase())
    amounts = {name: _minor(rows, name, path) for name in ("gross", "fee", "net")}
    withheld = _minor(rows, "withheld_tax", path) if "withheld_tax" in rows.columns else pl.Series("withheld_tax", [0] * rows.height, dtype=pl.Int64)
    created = _moment(rows, "created", path, time_zone=time_zone)
    available = _moment(rows, "available_on", path, time_zone=time_zone) if {"available_on", "available_on_utc"} & set(rows.columns) else created
    raw = rows.select(
        "currency",
        "reporting_category",
        id="balance_transaction_id",
        created=created.dt.epoch("s"),
        available_on=available.fill_null(created).dt.epoch("s"),
        amount=amounts["gross"],
        fee=amounts["fee"],
        net=amounts["net"],
        tax=pl.lit(0, dtype=pl.Int64),
        withheld_tax=withheld.fill_null(0),
        application_fee=pl.lit(0, dtype=pl.Int64),
        fee_details=amounts["fee"],
        type=pl.lit(""),
        balance_type=_text(rows, "balance_type", "payments"),
        status=_text(rows, "status", "available"),
        source=_text(rows, "source_id", None),
        description=_text(rows, "description", ""),
    )
    frame = shape_transactions(raw.with_columns(type=type_of_category(category="reporting_category", source="source")), account)
    return Report(_checked(frame.with_columns(rows["row"]), path), _members(rows, account))


def read_reports(folder: Path, *, accounts: Sequence[str], time_zone: str) -> pl.DataFrame:
    """Read every report of a folder: at its top those of the key's own account, in a folder named after a connected account those of that one.

    Returns:
        `BalanceTransaction`; a transaction of several reports stands once.

    Raises:
        FileRefusedError: see `read_report`; or two reports contradict each other.
    """
    frames = [BalanceTransaction.create_empty()]
    for account in accounts:
        frames += [read_report(path, account=account, time_zone=time_zone).transactions for path in list_reports(folder, account=account)]
    return join_reports(frames, folder)


def list_reports(folder: Path, *, account: str) -> list[Path]:
    """Return the files of an account, in order: those of a folder named after it, and for the key's own account those at the top too."""
    places = [folder / account, *([folder] if account == OWN_ACCOUNT else [])]
    return sorted(path for place in places if place.is_dir() for path in place.glob("*.csv") if not path.name.startswith("."))


def join_reports(frames: Sequence[pl.DataFrame], folder: Path) -> pl.DataFrame:
    """Join the rows of several reports; a transaction of several stands once.

    Raises:
        FileRefusedError: two reports contradict each other.
    """
    fixed = ["stripe_account", "balance_transaction_id", "amount_minor", "fee_minor", "net_minor", "currency"]
    rows = pl.concat(frames)
    torn = rows.select(fixed).unique().filter(pl.struct(fixed[:2]).is_duplicated())["balance_transaction_id"].unique().sort()
    if torn.len():
        raise FileRefusedError(file=str(folder), message=f"two reports give different amounts for {', '.join(torn.head(10))}; take the wrong one out")
    return rows.unique(fixed[:2], keep="first", maintain_order=True)


def _read_cells(path: Path) -> pl.DataFrame:
    """Read every cell as text; a byte-order mark and either line end are Stripe's own habits."""
    content = path.read_bytes()
    if len(content) > BYTES_MAX:
        raise FileRefusedError(file=str(path), message=f"larger than {BYTES_MAX} bytes; split it by dates")
    if content[:2] in (b"\x1f\x8b", b"PK"):
        raise FileRefusedError(file=str(path), message="compressed; unpack it")
    try:
        content.decode("utf-8")
        cells = pl.read_csv(io.BytesIO(content.removeprefix(b"\xef\xbb\xbf")), infer_schema=False, truncate_ragged_lines=False)
    except UnicodeDecodeError as error:
        raise FileRefusedError(file=str(path), message="not UTF-8, as Stripe's reports are; download it again, without opening it in a spreadsheet") from error
    except pl.exceptions.PolarsError as error:
        raise _locate(content, path) from error
    return cells.rename({name: name.strip().lower() for name in cells.columns})


def _locate(content: bytes, path: Path) -> FileRefusedError:
    """Say which row is not as wide as the header."""
    rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    width = len(next(rows, []))
    for row in rows:
        if row and len(row) != width:
            return FileRefusedError(file=str(path), row=rows.line_num, message=f"{len(row)} cells where the header has {width}; download the report again")
    return FileRefusedError(file=str(path), message="no CSV with one header and rows of its width; download it again")


def _minor(rows: pl.DataFrame, name: str, path: Path) -> pl.Series:
    """Turn decimal major units into minor ones, by digits and never through a float."""
    text = pl.col(name).str.strip_chars().str.replace(",", ".", literal=True)
    decimals = exponents_of("currency")
    parts = text.str.strip_prefix("-").str.split_exact(".", 1).struct
    fraction = parts.field("field_1").fill_null("")
    digits = parts.field("field_0") + fraction.str.slice(0, decimals).str.pad_end(3, "0").str.slice(0, decimals)
    has_more = fraction.str.slice(decimals).str.strip_chars("0") != ""
    value = digits.cast(pl.Int64, strict=False) * pl.when(text.str.starts_with("-")).then(-1).otherwise(1)
    is_wrong = (~pl.col(name).str.strip_chars().str.contains(_MONEY) | has_more | value.is_null()) & pl.col(name).is_not_null()
    judged = rows.select(
        "row", "currency", cell=pl.col(name), value=value, is_wrong=is_wrong.fill_null(False) | (pl.col(name).is_null() & pl.lit(name in NEEDED))
    )
    _refuse(judged.filter("is_wrong"), name, path, expected="a plain decimal with no more decimals than its currency has, such as -12.50")
    return judged["value"].alias(name)


def _moment(rows: pl.DataFrame, name: str, path: Path, *, time_zone: str) -> pl.Series:
    """Read a time, from the UTC column where there is one."""
    column = f"{name}_utc" if f"{name}_utc" in rows.columns else name
    zone = "UTC" if column.endswith("_utc") else time_zone
    text = pl.col(column).str.strip_chars()
    naive = pl.coalesce(text.str.to_datetime(layout, strict=False) for layout in _MOMENTS)
    # `Z` says UTC whatever the column is called; of an hour that a clock change repeats the first is meant, which decides no day.
    local = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    moment = pl.when(text.str.ends_with("Z")).then(naive.dt.replace_time_zone("UTC")).otherwise(local).dt.cast_time_unit("us")
    judged = rows.select("row", "currency", cell=pl.col(column), value=moment)
    _refuse(judged.filter(pl.col("value").is_null() & pl.col("cell").is_not_null()), column, path, expected="a time such as 2026-05-01 12:00:00")
    return judged["value"].alias(name)


def _refuse(faults: pl.DataFrame, column: str, path: Path, *, expected: str) -> None:
    if faults.height:
        more = f" (and {faults.height - 1} more rows)" if faults.height > 1 else ""
        cell = str(faults["cell"][0])[:40]
        raise FileRefusedError(file=str(path), row=faults["row"][0], column=column, message=f"{cell!r} for {faults['currency'][0]}{more}; expected {expected}")


def _text(rows: pl.DataFrame, name: str, default: str | None) -> pl.Expr:
    return pl.col(name).fill_null(pl.lit(default, dtype=pl.String)).alias(name) if name in rows.columns else pl.lit(default, dtype=pl.String).alias(name)


def _checked(frame: pl.DataFrame, path: Path) -> dy.DataFrame[BalanceTransaction]:
    plain = frame.unique([name for name in frame.columns if name != "row"], keep="first", maintain_order=True)
    result = BalanceTransaction.filter(plain.drop("row"), cast=True)
    broken = result.failure.counts()
    if broken:
        ids = result.failure.invalid()["balance_transaction_id"].fill_null("?")
        row = plain.filter(pl.col("balance_transaction_id").fill_null("?") == ids[0])["row"].first()
        rules = ", ".join(f"{rule} ({count})" for rule, count in sorted(broken.items()))
        raise FileRefusedError(file=str(path), row=row, message=f"breaks {rules}: {', '.join(ids.head(10))}; download the report again")  # type: ignore[arg-type]
    return result.result


def _members(rows: pl.DataFrame, account: str) -> dy.DataFrame[PayoutMember]:
    if "automatic_payout_id" not in rows.columns:
        return PayoutMember.create_empty()
    named = rows.filter(pl.col("automatic_payout_id").fill_null("") != "").select(
        stripe_account=pl.lit(account), payout_id="automatic_payout_id", balance_transaction_id="balance_transaction_id"
    )
    return PayoutMember.validate(named.unique(maintain_order=True), cast=True)
