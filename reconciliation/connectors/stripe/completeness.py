"""Pulled frames -> what is proven complete, and the refusal to go on with a short pull.

Three independent checks per account, currency and balance type: the balance rolls forward from one snapshot to the next, every
completed automatic payout equals the net of its lines, and everything that is referred to was pulled. A check that cannot be
done (a first snapshot, lines older than what was pulled) is `unproven` and says why; it never passes for proven.

Whether something absent is older than the pull or lost is told from how late things come in this very account: a payout's
line is no older than the payout before it by more than the longest wait for availability, a charge's first movement no
later than the longest time to its capture.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import dataframely as dy
import polars as pl

from reconciliation.connectors.stripe.parse import IDS_NAMED_MAX, SHOWN_IN_BALANCE
from reconciliation.errors import IncompletePullError
from reconciliation.money import exponents_of
from reconciliation.schemas.stripe import CompletenessProof

logger = logging.getLogger(__name__)

GROUP = ["stripe_account", "currency", "balance_type"]

LINE_AGE_MIN = timedelta(days=3)
"""A line waits at least this long for availability somewhere; longer where the account's own transactions waited longer."""

SOURCE_AGE_MIN = timedelta(days=7)
"""A card authorization may be captured within seven days (https://docs.stripe.com/payments/place-a-hold-on-a-payment-method)."""

CAPTURE_DELAY = timedelta(days=1)
"""A captured charge may be without its transaction for a while when the capture is asynchronous."""

# The first movement of an object's money is booked when the object is made or captured. Later ones (a dispute won, a transfer
# reversed, a refund that fails) come months after it, so their source may be older than any pull.
_FIRST_MOVEMENTS = ("charge", "payment", "refund", "payment_refund", "payout", "transfer", "application_fee", "topup")
_SOURCE_PREFIX = r"^(ch|py|re|pyr|dp|du|po|tr|fee|tu)_"


def prove_complete(
    *,
    transactions: pl.DataFrame,
    payouts: pl.DataFrame,
    members: pl.DataFrame,
    sources: pl.DataFrame,
    snapshots: pl.DataFrame,
    complete_through: datetime,
    reports: pl.DataFrame | None = None,
) -> dy.DataFrame[CompletenessProof]:
    """Say for each account, currency, balance type and check how far the pull is proven complete.

    Args:
        transactions: `BalanceTransaction`, everything pulled; the earliest one is taken for the beginning of the pull.
        payouts: `Payout`.
        members: `PayoutMember` of the completed automatic payouts.
        sources: `StripeSource`.
        snapshots: `BalanceSnapshot`, every one taken so far.
        complete_through: transactions created before this instant were pulled.
        reports: `BalanceTransaction` rows of Stripe's itemised reports, an independent control; None where there are none.

    Returns:
        `CompletenessProof`, one row per group and check; a `failed` reason names ids, at most ten, and how many there are.
    """
    payouts = _with_group(payouts.filter(pl.col("created_at") < complete_through), transactions)
    groups = pl.concat([frame.select(GROUP) for frame in (transactions, snapshots, payouts)]).unique().sort(GROUP)
    itemised = _itemised(payouts, transactions=transactions)
    lines = _look_up_lines(itemised, members=members, transactions=transactions)
    referred = [
        _check_sources(transactions, sources=sources, payouts=payouts),
        _check_booked(sources, groups=groups, transactions=transactions, complete_through=complete_through),
        _check_lines(lines),
        _check_own(payouts, transactions=transactions),
    ]
    checks = {
        "balance_rolls_forward": _roll_forward(groups, transactions=transactions, snapshots=snapshots, complete_through=complete_through),
        "payouts_equal_lines": _conclude(groups, _check_payouts(itemised, lines=lines), checked=itemised, noun="payouts with lines"),
        "references_present": _conclude(groups, pl.concat(referred), checked=transactions, noun="transactions"),
    }
    if reports is not None and reports.height:
        checks["reports_agree"] = _check_reports(groups, reports=reports, transactions=transactions, complete_through=complete_through)
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
        "\n".join(
            [
                "Stripe's data is not complete; nothing was reconciled.",
                *gaps,
                "Run again to read it once more; if it stays, look the ids up in Stripe. --accept-incomplete goes on and says so on every page.",
            ]
        )
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
        .with_columns(
            is_equal=(rest == 0) | (rest == -pl.col("at_earlier")) | (rest == pl.col("at_later")) | (rest == pl.col("at_later") - pl.col("at_earlier"))
        )
    )


# --- payouts and their lines -----------------------------------------------------------------------------------------


def _with_group(payouts: pl.DataFrame, transactions: pl.DataFrame) -> pl.DataFrame:
    """Give each payout the balance type it was paid from; without its own transaction that is payments."""
    own = transactions.select("stripe_account", "balance_transaction_id", "balance_type")
    return payouts.join(own, on=["stripe_account", "balance_transaction_id"], how="left").with_columns(pl.col("balance_type").fill_null("payments"))


def _itemised(payouts: pl.DataFrame, *, transactions: pl.DataFrame) -> pl.DataFrame:
    """Return the payouts that Stripe itemises, and whether they or some of their lines may be older than the pull.

    `is_old`: made before the earliest transaction pulled. `may_hold_old`: a line of it may have been. Such a line was not in the
    automatic payout before this one, so it became available after that one was made: it waited all the time from before the
    pull until then, and no line waits longer than the longest wait seen.
    """
    start = transactions.group_by("stripe_account").agg(start=pl.col("created_at").min())
    wait = (pl.col("available_at") - pl.col("created_at")).max()
    waits = transactions.filter(~pl.col("type").str.starts_with("payout")).group_by("stripe_account", "currency").agg(wait=wait)
    longest = pl.max_horizontal(pl.col("wait"), pl.lit(LINE_AGE_MIN))
    return (
        payouts.filter("is_automatic")
        .with_columns(payout_before=pl.col("created_at").shift(1).over("stripe_account", "currency", order_by="created_at"))
        .filter(pl.col("reconciliation_status") == "completed")
        .join(start, on="stripe_account", how="left")
        .join(waits, on=["stripe_account", "currency"], how="left")
        .with_columns(
            is_old=(pl.col("created_at") < pl.col("start")).fill_null(True),
            may_hold_old=(pl.col("payout_before") - pl.col("start") <= longest).fill_null(True),
        )
    )


def _look_up_lines(itemised: pl.DataFrame, *, members: pl.DataFrame, transactions: pl.DataFrame) -> pl.DataFrame:
    """Return the lines of itemised payouts without each payout's own transaction; `net_minor` is null where one was not pulled.

    The release of a minimum balance that the payout itself held back comes after it: it is listed with the payout, and the next
    one pays it out (https://docs.stripe.com/payouts/minimum-balances-for-automatic-payouts).
    """
    return (
        itemised.join(members.rename({"balance_transaction_id": "line_id"}), on=["stripe_account", "payout_id"])
        .filter(pl.col("line_id") != pl.col("balance_transaction_id").fill_null(""))
        .join(
            transactions.select("stripe_account", "net_minor", "type", "source_id", line_id="balance_transaction_id"),
            on=["stripe_account", "line_id"],
            how="left",
        )
        .filter((pl.col("type") == "payout_minimum_balance_release").fill_null(False).not_() | (pl.col("source_id") != pl.col("payout_id")).fill_null(True))
    )


def _check_payouts(itemised: pl.DataFrame, *, lines: pl.DataFrame) -> pl.DataFrame:
    """Compare each itemised payout with the net of its lines."""
    totals = lines.group_by("stripe_account", "payout_id").agg(net=pl.col("net_minor").sum(), missing=pl.col("net_minor").null_count())
    compared = itemised.join(totals, on=["stripe_account", "payout_id"], how="left").with_columns(pl.col("net", "missing").fill_null(0))
    has_gap = pl.col("missing") > 0
    cases = [
        (pl.col("is_old"), "noted", "payouts older than the earliest transaction pulled, not compared"),
        (has_gap & pl.col("may_hold_old"), "unproven", "payouts with lines not pulled, which may be older than the earliest transaction pulled"),
        (has_gap, "failed", "payouts with lines that were not pulled"),
        (pl.col("net") != pl.col("amount_minor"), "failed", "payouts of another amount than their lines come to"),
    ]
    detail = pl.when(has_gap | pl.col("is_old")).then(pl.lit("")).otherwise(pl.format(" ({} against {})", _money("amount_minor"), _money("net")))
    return _find(compared, cases, named=pl.col("payout_id") + detail)


# --- what is referred to ---------------------------------------------------------------------------------------------


def _check_lines(lines: pl.DataFrame) -> pl.DataFrame:
    """Find lines of payouts that are no transaction pulled."""
    missing = lines.filter(pl.col("net_minor").is_null())
    cases = [
        (pl.col("is_old"), "noted", "lines of payouts older than the earliest transaction pulled"),
        (pl.col("may_hold_old"), "unproven", "lines not pulled, which may be older than the earliest transaction pulled"),
        (pl.lit(True), "failed", "lines of payouts that were not pulled"),
    ]
    return _find(missing, cases, named=pl.format("{} of {}", "line_id", "payout_id"))


def _check_own(payouts: pl.DataFrame, *, transactions: pl.DataFrame) -> pl.DataFrame:
    """Find payouts whose own transaction, or that of their return, was not pulled."""
    start = transactions.group_by("stripe_account").agg(start=pl.col("created_at").min())
    named = ["balance_transaction_id", "failure_balance_transaction_id"]
    own = payouts.unpivot(on=named, index=[*GROUP, "payout_id", "created_at"], value_name="own_id").filter(pl.col("own_id").is_not_null())
    missing = own.join(transactions.select("stripe_account", own_id="balance_transaction_id"), on=["stripe_account", "own_id"], how="anti")
    is_old = (pl.col("created_at") < pl.col("start")).fill_null(True)
    cases = [
        (is_old, "noted", "transactions of payouts older than the earliest transaction pulled"),
        (pl.lit(True), "failed", "transactions of payouts themselves that were not pulled"),
    ]
    return _find(missing.join(start, on="stripe_account", how="left"), cases, named=pl.format("{} of {}", "own_id", "payout_id"))


def _check_sources(transactions: pl.DataFrame, *, sources: pl.DataFrame, payouts: pl.DataFrame) -> pl.DataFrame:
    """Find transactions whose source, of a kind that is pulled, is not there."""
    known = pl.concat(
        [sources.select("stripe_account", "source_id", made_at="created_at"), payouts.select("stripe_account", source_id="payout_id", made_at="created_at")]
    )
    pointing = transactions.with_columns(start=pl.col("created_at").min().over("stripe_account")).filter(pl.col("source_id").str.contains(_SOURCE_PREFIX))
    matched = pointing.join(known, on=["stripe_account", "source_id"], how="left")
    is_first = pl.col("type").is_in(_FIRST_MOVEMENTS)
    # As late as a first movement ever followed its object in this account.
    late = pl.max_horizontal((pl.col("created_at") - pl.col("made_at")).filter(is_first).max().over("stripe_account"), pl.lit(SOURCE_AGE_MIN))
    cases = [
        (is_first & (pl.col("created_at") - pl.col("start") > pl.col("late")), "failed", "sources that were not pulled"),
        (pl.lit(True), "unproven", "sources not pulled, which may be older than the earliest transaction pulled"),
    ]
    return _find(matched.with_columns(late=late).filter(pl.col("made_at").is_null()), cases, named=pl.format("{} of {}", "source_id", "balance_transaction_id"))


def _check_booked(sources: pl.DataFrame, *, groups: pl.DataFrame, transactions: pl.DataFrame, complete_through: datetime) -> pl.DataFrame:
    """Find objects whose own transaction was not pulled; that is how a lost transaction in no payout is named.

    An object names its transactions itself; a charge that took money must have one even if it does not.
    """
    start = transactions.group_by("stripe_account").agg(start=pl.col("created_at").min())
    made = (
        sources.filter(pl.col("created_at") < complete_through - CAPTURE_DELAY).join(start, on="stripe_account").filter(pl.col("created_at") >= pl.col("start"))
    )
    identity = ["stripe_account", "source_id", "presentment_currency"]
    named = made.explode("balance_transaction_ids").filter(pl.col("balance_transaction_ids").is_not_null()).rename({"balance_transaction_ids": "named"})
    unknown = named.join(transactions.select("stripe_account", named="balance_transaction_id"), on=["stripe_account", "named"], how="anti")
    took = made.filter((pl.col("object") == "charge") & (pl.col("status") == "succeeded") & (pl.col("balance_transaction_ids").list.len().fill_null(0) == 0))
    unbooked = took.join(transactions.select("stripe_account", "source_id"), on=["stripe_account", "source_id"], how="anti")
    lost = pl.concat(
        [
            unknown.select(*identity, id=pl.format("{} of {}", "named", "source_id"), is_named=True),
            unbooked.select(*identity, id=pl.col("source_id"), is_named=False),
        ]
    )
    # An object knows no settlement currency: it is shown under its own where the balance has that, else under the first.
    payments = groups.filter(pl.col("balance_type") == "payments")
    own = payments.with_columns(presentment_currency="currency")
    placed = lost.join(own, on=["stripe_account", "presentment_currency"], how="left").join(
        groups.sort(pl.col("balance_type") != "payments", "currency").group_by("stripe_account", maintain_order=True).first(),
        on="stripe_account",
        suffix="_first",
    )
    shown = placed.with_columns(pl.coalesce("currency", "currency_first"), pl.coalesce("balance_type", "balance_type_first"))
    cases = [
        (pl.col("is_named"), "failed", "transactions of objects that were not pulled"),
        (pl.lit(True), "failed", "charges that succeeded and whose transaction was not pulled"),
    ]
    return _find(shown, cases, named=pl.col("id"))


# --- Stripe's reports ------------------------------------------------------------------------------------------------


def _check_reports(groups: pl.DataFrame, *, reports: pl.DataFrame, transactions: pl.DataFrame, complete_through: datetime) -> pl.DataFrame:
    """Compare with Stripe's itemised reports: every row of theirs must have been pulled with the same money.

    A report names no balance type, and a filtered one looks like a whole one: what only the pull has is noted, and proves nothing
    against either.
    """
    key = ["stripe_account", "balance_transaction_id"]
    start = transactions.group_by("stripe_account").agg(start=pl.col("created_at").min())
    stated = reports.filter(pl.col("created_at") < complete_through).join(start, on="stripe_account").filter(pl.col("created_at") >= pl.col("start"))
    money = ["amount_minor", "fee_minor", "net_minor"]
    pulled = transactions.select(*key, *(pl.col(name).alias(f"{name}_pulled") for name in [*money, "balance_type", "currency"]))
    compared = stated.join(pulled, on=key, how="left").with_columns(balance_type=pl.coalesce("balance_type_pulled", "balance_type"))
    differs = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_pulled") for name in [*money, "currency"])
    cases = [
        (pl.col("net_minor_pulled").is_null(), "failed", "transactions of Stripe's reports that were not pulled"),
        (differs, "failed", "transactions with other money in Stripe's reports"),
    ]
    detail = pl.when(differs).then(pl.format(" ({} against {} pulled)", _money("net_minor"), _money("net_minor_pulled"))).otherwise(pl.lit(""))
    found = _find(compared, cases, named=pl.col("balance_transaction_id") + detail)
    known = pl.concat([groups, compared.select(GROUP)]).unique().sort(GROUP)
    span = stated.group_by("stripe_account", "currency").agg(first=pl.col("created_at").min(), last=pl.col("created_at").max())
    inside = transactions.join(span, on=["stripe_account", "currency"]).filter(pl.col("created_at").is_between("first", "last"))
    beyond = _find(
        inside.join(stated, on=key, how="anti"), [(pl.lit(True), "noted", "transactions that the reports do not have")], named=pl.col("balance_transaction_id")
    )
    concluded = _conclude(known, pl.concat([found, beyond]), checked=compared, noun="transactions of reports")
    covered = compared.select(GROUP).unique().with_columns(is_covered=pl.lit(True))
    return (
        concluded.join(covered, on=GROUP, how="left")
        .with_columns(
            result=pl.when(pl.col("is_covered")).then("result").otherwise(pl.lit("unproven")),
            reason=pl.when(pl.col("is_covered")).then("reason").otherwise(pl.lit("no report covers it")),
        )
        .drop("is_covered")
    )


# --- from findings to a verdict --------------------------------------------------------------------------------------


def _find(rows: pl.DataFrame, cases: Sequence[tuple[pl.Expr, str, str]], *, named: pl.Expr) -> pl.DataFrame:
    """Return one finding per row that falls under a case, the first that holds."""
    result, finding = pl.lit(None, dtype=pl.String), pl.lit(None, dtype=pl.String)
    for condition, verdict, text in reversed(cases):
        result = pl.when(condition).then(pl.lit(verdict)).otherwise(result)
        finding = pl.when(condition).then(pl.lit(text)).otherwise(finding)
    return rows.select(*GROUP, result=result, finding=finding, id=named).filter(pl.col("result").is_not_null())


def _conclude(groups: pl.DataFrame, findings: pl.DataFrame, *, checked: pl.DataFrame, noun: str) -> pl.DataFrame:
    """Sum findings up: failed before unproven; what is only noted leaves a check proven, and its reason says so."""
    counts = checked.group_by(GROUP).agg(checked=pl.len())
    more = pl.when(pl.col("count") > IDS_NAMED_MAX).then(pl.lit(", …")).otherwise(pl.lit(""))
    by_finding = (
        findings.unique()
        .group_by(*GROUP, "result", "finding")
        .agg(ids=pl.col("id").sort().head(IDS_NAMED_MAX).str.join(", "), count=pl.len())
        .with_columns(text=pl.format("{} ({}): {}", "finding", "count", pl.col("ids") + more))
        # Alphabetical is also the order of weight: failed, noted, unproven.
        .sort(*GROUP, "result", "finding")
        .group_by(GROUP, maintain_order=True)
        .agg(has_failed=(pl.col("result") == "failed").any(), has_unproven=(pl.col("result") == "unproven").any(), texts=pl.col("text").str.join("; "))
    )
    said = pl.when(pl.col("texts").is_not_null()).then(pl.format("; {}", "texts")).otherwise(pl.lit(""))
    return (
        groups.join(counts, on=GROUP, how="left")
        .join(by_finding, on=GROUP, how="left")
        .select(
            *GROUP,
            result=pl.when(pl.col("has_failed")).then(pl.lit("failed")).when(pl.col("has_unproven")).then(pl.lit("unproven")).otherwise(pl.lit("proven")),
            reason=pl.format("{} checked: {}{}", pl.lit(noun), pl.col("checked").fill_null(0), said),
            through=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
        )
    )


def _money(column: str) -> pl.Expr:
    """Write minor units as a decimal with the currency's own decimals, exactly."""
    exponents = exponents_of("currency")
    digits = pl.col(column).abs().cast(pl.String).str.pad_start(4, "0")
    whole, part = digits.str.slice(0, digits.str.len_chars() - exponents), digits.str.slice(digits.str.len_chars() - exponents)
    plain = pl.when(exponents == 0).then(whole.str.replace(r"^0+(\d)", "$1")).otherwise(whole.str.replace(r"^0+(\d)", "$1") + "." + part)
    return pl.when(pl.col(column) < 0).then(pl.lit("-")).otherwise(pl.lit("")) + plain + " " + pl.col("currency")
