"""Pulled rows -> the same rows with the local day they are filed under."""

from datetime import date

import polars as pl

from reconciliation.calendar import Calendar

LOCAL_DAY = "local_on"


def file_by_moment(frame: pl.DataFrame, moment: str, calendar: Calendar) -> pl.DataFrame:
    """Add the local day of a UTC timestamp column."""
    return frame.with_columns(calendar.local_day_of(moment).alias(LOCAL_DAY))


def file_under(frame: pl.DataFrame, day: date) -> pl.DataFrame:
    """Add one local day to all rows."""
    return frame.with_columns(pl.lit(day).alias(LOCAL_DAY))


def file_by_payout(members: pl.DataFrame, payouts: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Add the local day on which each member's payout was made."""
    made = payouts.select("stripe_account", "payout_id", calendar.local_day_of("created_at").alias(LOCAL_DAY))
    return members.join(made, on=["stripe_account", "payout_id"], how="left", maintain_order="left")
