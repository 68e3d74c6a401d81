"""Stored months with people's decisions -> labels of this company's own breaks, a certificate on them, the audit's findings.

A decision becomes a label late and under conditions, because a reviewer's word is not the truth:

- only months that have a later one beside them count: a second month has to be seen before the first is believed;
- a break accepted as timing that is still open `TIMING_DAYS_MAX` days after its date contradicts its label and teaches nothing;
- what was accepted without a person is never a label; if a person audited it, the person's finding is one;
- a break that two people see differently (sent back, awaiting a second) is no label until they agree.

A certificate takes census months alone: months in which a person decided every break that the policy could ever clear. Anything
else would count the exceptions that were looked for and not those that were overlooked.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from reconciliation.breaks.clearing import AUTO_CLEARED, DECIDED_BY_PERSON, audit_finding
from reconciliation.breaks.features import BOOLEAN, CATEGORICAL, FEATURES, NUMERIC
from reconciliation.classifier.examples import OWN
from reconciliation.classifier.policy import Certificate, certify_threshold
from reconciliation.classifier.scoring import score_frame
from reconciliation.classifier.versions import ModelVersion
from reconciliation.lake import Lake

WINDOW_MONTHS = 12
"""A certificate on older months says too little about this one."""
TIMING_DAYS_MAX = 60
UNCLEARABLE = ("ambiguous_match", "opening_difference", "currency_difference", "period_difference")
DAYS_A_MONTH = 30
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(["break_id", "period", "kind", "cause", "nature", "currency", "disposition", "why_not"], pl.String),
    "amount_minor": pl.Int64,
    **dict.fromkeys(["is_true_exception", "is_audited", "is_clearable_kind"], pl.Boolean),
    **dict.fromkeys(NUMERIC, pl.Float64),
    **dict.fromkeys(BOOLEAN, pl.Boolean),
    **dict.fromkeys(CATEGORICAL, pl.String),
}


@dataclass(frozen=True)
class OwnMonth:
    """A stored month of a book.

    Attributes:
        period: its name.
        breaks: `Break` with the decisions that were in force when the month was stored; a locked month is not decided about any more.
        features: what the classifier saw.
        audit_sample: what was drawn for audit.
        still_open: `item_id`s open at its end.
    """

    period: str
    breaks: pl.DataFrame
    features: pl.DataFrame
    audit_sample: pl.DataFrame
    still_open: pl.Series


@dataclass(frozen=True)
class Audit:
    """What the audit of automatic acceptances found in the window.

    Attributes:
        accepted: acceptances without a person; drawn: of them into the samples; looked_at: of these, judged by a person; wrong: true exceptions among those.
        overdue: periods whose sample was not judged to the end though a later month is stored.
    """

    accepted: int
    drawn: int
    looked_at: int
    wrong: int
    overdue: tuple[str, ...]


def read_own_months(lake: Lake, book: str, *, before: str) -> list[OwnMonth]:
    """Read the stored months of a book before a period, oldest first, as locked where they are; at most `WINDOW_MONTHS`.

    Args:
        lake: where they are.
        book: its name.
        before: the period that must not see itself or what follows.
    """
    locked = {scope.split("/")[1]: scope for scope in lake.scopes("lock") if scope.endswith(f"/{book}")}
    open_months = {scope.rsplit("/", 1)[-1]: scope for scope in lake.scopes(f"month/{book}")}
    scopes = {**open_months, **locked}
    months = []
    for period in sorted(period for period in scopes if period < before)[-WINDOW_MONTHS:]:
        tables = lake.tables(scopes[period]) or {}
        if "audit_sample" not in tables:
            continue  # A month of a version without a policy.
        breaks, features, sample, open_items = (lake.load(tables[name]) for name in ("breaks", "features", "audit_sample", "open_items"))
        if set(FEATURES) <= set(features.columns):  # Else it was judged by other features, and no version of today can be judged on it.
            months.append(OwnMonth(period, breaks, features, sample, open_items["item_id"]))
    return months


def label_own_breaks(months: list[OwnMonth]) -> pl.DataFrame:
    """Label the breaks of all months but the last, which nothing has confirmed yet.

    Returns:
        The break's `break_id, period, kind, cause, currency, amount_minor, disposition`, its features, `is_true_exception` (null where
        there is no label), `why_not` (why there is none), `is_audited`, `is_clearable_kind`.
    """
    labeled = []
    for place, month in enumerate(months[:-1]):
        labeled.append(_label_month(month, still_open=months[-1].still_open, months_later=len(months) - 1 - place))
    return pl.concat(labeled) if labeled else pl.DataFrame(schema=_SCHEMA)


def certify_own(labels: pl.DataFrame, *, model: ModelVersion, target_recall: float) -> Certificate | None:
    """Certify a threshold on a company's own census months, or return None when there is no such month.

    A break that is open at several month ends is one case, as it stood when it was first judged. Months that the version
    learned from do not count.
    """
    clearable = labels.filter(pl.col("is_clearable_kind") & ~pl.col("period").is_in(model.manifest.get("own_months", [])))
    census = clearable.group_by("period").agg(pl.col("is_true_exception").is_not_null().all().alias("is_census")).filter("is_census")["period"].sort().to_list()
    cases = clearable.filter(pl.col("period").is_in(census)).sort("period", "break_id").unique("break_id", keep="first", maintain_order=True)
    if cases.is_empty():
        return None
    scores = score_frame(model.tables, model.calibration, cases.select("break_id", *FEATURES), model=model.label)
    window = f"{len(census)} months of this company of which a person decided every break, {census[0]} to {census[-1]}"
    truth = cases["is_true_exception"].to_numpy().astype(np.bool_)
    return certify_threshold(scores.probability.to_numpy(), truth, source="audited", target_recall=target_recall, window=window)


def tally_audit(months: list[OwnMonth]) -> Audit:
    """Count what the audit of automatic acceptances found."""
    accepted = drawn = looked_at = wrong = 0
    overdue = []
    for place, month in enumerate(months):
        sample = month.audit_sample.join(month.breaks, on="break_id", how="left").with_columns(finding=audit_finding())
        findings = sample["finding"].to_list()
        accepted += sum(month.audit_sample["drawn_from"].head(1).to_list())
        drawn, wrong = drawn + len(findings), wrong + findings.count("wrong")
        judged = len(findings) - findings.count("")
        looked_at += judged
        if judged < len(findings) and place < len(months) - 1:
            overdue.append(month.period)
    return Audit(accepted, drawn, looked_at, wrong, tuple(overdue))


def as_examples(labels: pl.DataFrame, *, company: str) -> pl.DataFrame:
    """Return the labeled breaks as examples to learn from, with their provenance.

    Args:
        labels: of `label_own_breaks`.
        company: name of the company, which stands as a family and a world of its own.
    """
    known = labels.filter(pl.col("is_true_exception").is_not_null())
    return known.with_columns(
        world=pl.lit(company),
        family=pl.lit(company),
        label_source=pl.lit(OWN),
        true_cause=pl.col("cause"),
        is_true_exception=pl.col("is_true_exception").cast(pl.Boolean),
    )


def add_own_examples(examples: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """Add a company's own labeled breaks to simulated ones, each with its `label_source`.

    Args:
        examples: simulated ones, as `write_labeled` wrote them.
        own: of `as_examples`.
    """
    simulated = examples.drop("role", strict=False).with_columns(label_source=pl.lit("simulated"))
    texts = [name for name in simulated.columns if name not in own.columns and simulated.schema[name] == pl.String]
    exception = pl.when(pl.col("possible_causes") != "expected").then("true_cause").otherwise(pl.lit(""))
    unknown = [name for name in simulated.columns if name not in [*own.columns, *texts, "is_named"]]
    blank = [*(pl.lit("").alias(name) for name in texts), *(pl.lit(None).alias(name) for name in unknown)]
    filled = own.with_columns(*blank, is_named=pl.lit(value=True)).with_columns(
        expected_cause=pl.when(pl.col("is_true_exception")).then(pl.lit("")).otherwise("true_cause"), exception_cause=exception
    )
    return pl.concat([simulated, filled.select(pl.col(name).cast(dtype) for name, dtype in simulated.schema.items())])


def _label_month(month: OwnMonth, *, still_open: pl.Series, months_later: int) -> pl.DataFrame:
    decided = pl.col("disposition").is_in(DECIDED_BY_PERSON)
    open_now = (
        month.breaks.select("break_id", item_id="item_ids")
        .explode("item_id")
        .group_by("break_id")
        .agg(is_open=pl.col("item_id").is_in(still_open.implode()).any())
    )
    is_stale = (
        pl.col("is_open").fill_null(value=False)
        & (pl.col("nature") == "timing")
        & (audit_finding() == "right")
        & (pl.col("age_days") + DAYS_A_MONTH * months_later > TIMING_DAYS_MAX)
    )
    why_not = (
        pl.when(pl.col("disposition") == AUTO_CLEARED)
        .then(pl.lit("accepted without a person"))
        .when(pl.col("disposition").is_in(["awaiting_second", "reopened"]))
        .then(pl.lit("reviewers do not agree yet"))
        .when(~decided)
        .then(pl.lit("not decided"))
        .when(is_stale)
        .then(pl.lit("accepted as timing and still open"))
        .otherwise(pl.lit(""))
    )
    told = month.breaks.join(open_now, on="break_id", how="left").with_columns(why_not=why_not)
    labeled = told.with_columns(
        is_true_exception=pl.when(pl.col("why_not") == "").then(audit_finding() == "wrong"),
        is_audited=pl.col("break_id").is_in(month.audit_sample["break_id"].implode()),
        is_clearable_kind=~pl.col("kind").is_in(UNCLEARABLE),
        period=pl.lit(month.period),
    )
    facts = [name for name in _SCHEMA if name not in FEATURES]
    placed = labeled.select(facts).join(month.features, on="break_id", how="inner")
    return placed.select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items())
