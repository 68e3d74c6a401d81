"""Pulled frames -> what is proven complete, and the refusal to go on with a short pull.

Three independent checks per account, currency and balance type: the balance rolls forward from one snapshot to the next, every
completed automatic payout equals the net of its lines, and everything that is referred to was pulled. A check that cannot be
done (a first snapshot, lines older than what was pulled) is `unproven` and says why; it never passes for proven.

Whether something absent is older than the pull or lost is told from how late things come in this very account: a payout's
line is no older than the payout before it by more than the longest wait for availability, a charge's first movement no
later than the longest time to its capture.
"""

import logging
from datetime import datetime, timedelta

import dataframely as dy
import polars as pl

from reconciliation.connectors.stripe.parse import IDS_NAMED_MAX, SHOWN_IN_BALANCE
from reconciliation.errors import IncompletePullError
from reconciliation.money import currency_exponent
from reconciliation.schemas.stripe import CompletenessProof

logger = logging.getLogger(__name__)

GROUP = ["stripe_account", "currency", "balance_type"]

LINE_AGE_MIN = timedelta(days=3)
"""A line waits at least this long for availability somewhere; longer where the account's own transactions waited longer."""

SOURCE_AGE_MIN = timedelta(days=7)
"""A card authorization may be captured within seven days (https://docs.stripe.com/payments/place-a-hold-on-a-payment-method)."""

# The first movement of an object's money is booked when the object is made or captured. Later ones (a dispute won, a transfer
# reversed, a refund that fails) come months after it, so their source may be older than any pull.
_FIRST_MOVEMENTS = ("charge", "payment", "refund", "payment_refund", "payout", "transfer", "application_fee")
_SOURCE_PREFIX = r"^(ch|py|re|pyr|dp|du|po|tr|fee)_"

_FINDING = {**dict.fromkeys(GROUP, pl.String), "result": pl.String, "finding": pl.String, "id": pl.String}
_VERDICT = {**dict.fromkeys(GROUP, pl.String), "result": pl.String, "reason": pl.String}


def prove_complete(
    *, transactions: pl.DataFrame, payouts: pl.DataFrame, members: pl.DataFrame, sources: pl.DataFrame, snapshots: pl.DataFrame, complete_through: datetime
) -> dy.DataFrame[CompletenessProof]:
    """Say for each account, currency, balance type and check how far the pull is proven complete.

    Args:
        transactions: `BalanceTransaction`, everything pulled; the earliest one is taken for the beginning of the pull.
        payouts: `Payout`.
        members: `PayoutMember` of the completed automatic payouts.
        sources: `StripeSource`.
        snapshots: `BalanceSnapshot`, every one taken so far.
        complete_through: transactions created before this instant were pulled.

    Returns:
        `CompletenessProof`, one row per group and check; a `failed` reason names ids, at most ten, and how many there are.
    """
    payouts = payouts.filter(pl.col("created_at") < complete_through).pipe(_with_group, transactions)
    groups = pl.concat([frame.select(GROUP) for frame in (transactions, snapshots, payouts)]).unique().sort(GROUP)
    lines = _look_up_lines(payouts, members=members, transactions=transactions)
    checks = {
        "balance_rolls_forward": _roll_forward(groups, transactions=transactions, snapshots=snapshots, complete_through=complete_through),
        "payouts_equal_lines": _conclude(groups, _check_payouts(payouts, lines), done=_count(_itemised(payouts), "payout with lines", "payouts with lines")),
        "references_present": _conclude(
            groups,
            pl.concat([_check_sources(transactions, sources=sources, payouts=payouts), _check_lines(lines), _check_own(payouts, transactions=transactions)]),
            done=_count(transactions, "transaction", "transactions"),
        ),
    }
    proofs = pl.concat([verdicts.with_columns(check=pl.lit(name)) for name, verdicts in checks.items()])
    through = pl.min_horizontal(pl.lit(complete_through).cast(pl.Datetime("us", "UTC")), pl.col("through"))
    result = proofs.with_columns(complete_through=pl.when(pl.col("result") == "proven").then(through)).select(CompletenessProof.column_names())
    return CompletenessProof.validate(result.sort(*GROUP, "check"), cast=True)


def require_complete(proofs: pl.DataFrame, *, accept_incomplete: bool) -> None:
    """Refuse to go on when a check failed; what is merely unproven passes.

    Raises:
        IncompletePullError: a check failed, and it was not accepted; every gap is named.
    """
    failed = proofs.filter(pl.col("result").cast(pl.String) == "failed").sort(*GROUP, "check")
    if failed.is_empty():
        return
    gaps = failed.select(pl.format("account {}, {} {}: {}: {}", *GROUP, pl.col("check").str.replace_all("_", " "), "reason")).to_series().to_list()
    if accept_incomplete:
        logger.warning("the pull is incomplete and was accepted: %s failed checks", len(gaps))
        return
    raise IncompletePullError(
        "\n".join(["Stripe's data is not complete; nothing was reconciled.", *gaps, "Run again to read it once more; if it stays, look the ids up in Stripe. --accept-incomplete goes on and says so on every page."])
    )


# --- the balance rolls forward ---------------------------------------------------------------------------------------


def _roll_forward(groups: pl.DataFrame, *, transactions: pl.DataFrame, snapshots: pl.DataFrame, complete_through: datetime) -> pl.DataFrame:
    """Compare consecutive snapshots with the net of what was created between them."""
    taken = snapshots.select("stripe_account", "taken_at").unique().sort("stripe_account", "taken_at")
    shown = snapshots.select("stripe_account", "balance_type").unique().with_columns(is_shown=pl.lit(True))
    # A balance type that Stripe leaves out, and payments of a currency not listed yet, stand at nothing.
    listed = (
        groups.join(shown, on=["stripe_account", "balance_type"], how="left")
        .with_columns(is_shown=pl.col("balance_type").is_in(SHOWN_IN_BALANCE) & (pl.col("is_shown").fill_null(False) | (pl.col("balance_type") == "payments")))
        .join(taken.group_by("stripe_account").agg(taken_count=pl.len(), last=pl.col("taken_at").max()), on="stripe_account", how="left")
    )
    pairs = _pair_snapshots(listed.filter("is_shown"), taken=taken, snapshots=snapshots, transactions=transactions)
    unknown = pl.col("later") > complete_through
    judged = pairs.with_columns(
        result=pl.when("is_equal").then(pl.lit("proven")).when(unknown).then(pl.lit("unproven")).otherwise(pl.lit("failed")),
        text=pl.format(
            "from {} to {} the balance moved by {}, the transactions created in between by {}",
            pl.col("earlier").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), pl.col("later").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), _money("moved"), _money("net"),
        )
        + pl.when(unknown).then(pl.lit(", but they were not read that far")).otherwise(pl.lit("")),
    )  # fmt: skip
    worst = (
        judged.sort("later")
        .group_by(GROUP, maintain_order=True)
        .agg(
            has_failed=(pl.col("result") == "failed").any(),
            has_unproven=(pl.col("result") == "unproven").any(),
            gaps=pl.col("text").filter(pl.col("result") != "proven").head(IDS_NAMED_MAX).str.join("; "),
            through=pl.col("later").filter(pl.col("result") == "proven").max(),
        )
    )
    first = pl.col("taken_count") == 1
    return listed.join(worst, on=GROUP, how="left").select(
        *GROUP,
        result=pl.when(pl.col("has_failed")).then(pl.lit("failed")).when(pl.col("has_unproven").not_()).then(pl.lit("proven")).otherwise(pl.lit("unproven")),
        reason=pl.when(~pl.col("is_shown"))
        .then(pl.format("Stripe's Balance object does not show {}", "balance_type"))
        .when(pl.col("taken_count").is_null())
        .then(pl.lit("no snapshot of the balance was taken"))
        .when(first)
        .then(pl.lit("first snapshot: there is none before it to roll forward from"))
        .when(pl.col("gaps") != "")
        .then(pl.col("gaps"))
        .otherwise(pl.format("{} snapshots follow from each other", "taken_count")),
        through=pl.col("through"),
    )


def _pair_snapshots(groups: pl.DataFrame, *, taken: pl.DataFrame, snapshots: pl.DataFrame, transactions: pl.DataFrame) -> pl.DataFrame:
    """Return consecutive snapshots of each group, how the balance moved, and the net of what was created in between.

    The clock has whole seconds: what was created in the very second of a snapshot may be in it or not, so that second counts
    as a whole for whichever side it fits.
    """
    pairs = (
        groups.select(GROUP)
        .join(taken, on="stripe_account")
        .join(snapshots, on=[*GROUP, "taken_at"], how="left")
        .with_columns(pl.col("amount_minor").fill_null(0))
        .sort(*GROUP, "taken_at")
        .with_columns(later=pl.col("taken_at").shift(-1).over(GROUP), moved=pl.col("amount_minor").shift(-1).over(GROUP) - pl.col("amount_minor"))
        .filter(pl.col("later").is_not_null())
        .rename({"taken_at": "earlier"})
    )
    booked = transactions.select(*GROUP, "created_at", "net_minor").sort("created_at")
    between = (
        booked.join_asof(taken.sort("taken_at"), left_on="created_at", right_on="taken_at", by="stripe_account", check_sortedness=False)
        .group_by(*GROUP, earlier="taken_at")
        .agg(net=pl.col("net_minor").sum())
    )
    at_second = booked.group_by(*GROUP, second="created_at").agg(same=pl.col("net_minor").sum())
    rest = pl.col("moved") - pl.col("net")
    return (
        pairs.join(between, on=[*GROUP, "earlier"], how="left")
        .join(at_second.rename({"second": "earlier", "same": "at_earlier"}), on=[*GROUP, "earlier"], how="left")
        .join(at_second.rename({"second": "later", "same": "at_later"}), on=[*GROUP, "later"], how="left")
        .with_columns(pl.col("net", "at_earlier", "at_later").fill_null(0))
        .with_columns(is_equal=(rest == 0) | (rest == -pl.col("at_earlier")) | (rest == pl.col("at_later")) | (rest == pl.col("at_later") - pl.col("at_earlier")))
    )


# --- payouts and their lines -----------------------------------------------------------------------------------------


def _with_group(payouts: pl.DataFrame, transactions: pl.DataFrame) -> pl.DataFrame:
    """Give each payout the balance type it was paid from; without its own transaction that is payments."""
    own = transactions.select("stripe_account", "balance_transaction_id", "balance_type")
    return payouts.join(own, on=["stripe_account", "balance_transaction_id"], how="left").with_columns(pl.col("balance_type").fill_null("payments"))


def _itemised(payouts: pl.DataFrame) -> pl.DataFrame:
    return payouts.filter(pl.col("is_automatic") & (pl.col("reconciliation_status") == "completed"))


def _look_up_lines(payouts: pl.DataFrame, *, members: pl.DataFrame, transactions: pl.DataFrame) -> pl.DataFrame:
    """Return one row per line of an itemised payout, without the payout's own transaction; `net_minor` is null when it was not pulled.

    `is_old`: the payout itself was made before the earliest transaction pulled. `may_be_old`: one of its lines may have been.
    """
    start = transactions.group_by("stripe_account").agg(start=pl.col("created_at").min())
    waits = transactions.filter(~pl.col("type").str.starts_with("payout")).group_by("stripe_account", "currency").agg(wait=(pl.col("available_at") - pl.col("created_at")).max())
    before = pl.col("created_at").shift(1).over("stripe_account", "currency", order_by="created_at")
    known = (
        payouts.with_columns(payout_before=pl.when("is_automatic").then(pl.col("created_at").filter("is_automatic").max().over("stripe_account", "currency") * 0 + 0))
        if False
        else payouts.filter("is_automatic").with_columns(payout_before=before)
    )
    aged = (
        _itemised(known)
        .join(start, on="stripe_account", how="left")
        .join(waits, on=["stripe_account", "currency"], how="left")
        .with_columns(
            is_old=pl.col("start").is_null() | (pl.col("created_at") < pl.col("start")),
            may_be_old=(pl.col("payout_before") - pl.col("start") > pl.max_horizontal(pl.col("wait").fill_null(LINE_AGE_MIN), pl.lit(LINE_AGE_MIN))).not_().fill_null(True),
        )
    )
    return (
        aged.join(members.rename({"balance_transaction_id": "line_id"}), on=["stripe_account", "payout_id"], how="left")
        .filter(pl.col("line_id").is_null() | (pl.col("line_id") != pl.col("balance_transaction_id").fill_null("")))
        .join(transactions.select("stripe_account", "net_minor", line_id="balance_transaction_id"), on=["stripe_account", "line_id"], how="left")
    )
