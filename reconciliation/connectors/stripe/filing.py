"""Pulled rows -> the same rows with the local day they are filed under in the lake.

A row belongs to the day its moment falls on in the books' zone; a payout's lines belong to the payout's day.
"""

from datetime import date, datetime

import polars as pl

from reconciliation.calendar import Calendar

LOCAL_DAY = "local_on"
PAYOUT_FINAL = ["paid", "failed", "canceled"]


def file_by_moment(frame: pl.DataFrame, moment: str, *, calendar: Calendar) -> pl.DataFrame:
    """Add the local day of a UTC timestamp column."""
    return frame.with_columns(calendar.local_day_of(moment).alias(LOCAL_DAY))


def file_by_payout(members: pl.DataFrame, payouts: pl.DataFrame, *, calendar: Calendar) -> pl.DataFrame:
    """Add the local day on which each member's payout was made."""
    made = payouts.select("stripe_account", "payout_id", calendar.local_day_of("created_at").alias(LOCAL_DAY))
    return members.join(made, on=["stripe_account", "payout_id"], how="left", maintain_order="left")


def oldest_unsettled(payouts: pl.DataFrame, *, calendar: Calendar) -> date | None:
    """Return the local day of the oldest payout whose state or lines can still change, or None.

    An automatic payout may be paid before it is itemised. One that is paid may still fail, but within days.
    """
    is_open = ~pl.col("status").is_in(PAYOUT_FINAL) | (pl.col("is_automatic") & (pl.col("reconciliation_status") == "in_progress"))
    days = payouts.filter(is_open).select(calendar.local_day_of("created_at"))
    return days.to_series().min() if days.height else None  # type: ignore[return-value]


def latest_snapshot(snapshots: pl.DataFrame) -> datetime | None:
    """Return when the balance was last read, or None."""
    return snapshots["taken_at"].max()  # type: ignore[return-value]
