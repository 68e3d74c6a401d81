"""A model version + settings + this company's stored months -> the policy that a run applies, with everything it must say.

The version brings its simulated certificate and what its breaks looked like; the company's own months bring audited labels, what
the audit of earlier acceptances found, and what was usual last month. A month never looks at itself or at later ones,
so that a repeated run of an old month decides as it did then.
"""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import polars as pl

from reconciliation.breaks.clearing import Clearing, Policy
from reconciliation.breaks.features import FEATURES
from reconciliation.classifier.drift import ROWS_MIN, SCORE, find_drift
from reconciliation.classifier.own_labels import Audit, OwnMonth, certify_own, label_own_breaks, read_own_months, tally_audit
from reconciliation.classifier.policy import CONFIDENCE, Certificate, Limits, Proofs, decide_dispositions, is_beyond, wrong_share_bound
from reconciliation.classifier.scoring import score_frame
from reconciliation.classifier.versions import ModelVersion
from reconciliation.config import Settings
from reconciliation.lake import Lake
from reconciliation.money import currency_exponent, parse_minor
from reconciliation.population import Month
from reconciliation.rates import Rates, read_rates


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against clearing in a month.

    Attributes:
        audited: certificate on the company's own census months, or None.
        labels: how many of its own breaks carry a label.
        audit: what the audit of earlier acceptances found.
        before: the month before, or None.
    """

    audited: Certificate | None
    labels: int
    audit: Audit
    before: OwnMonth | None


def make_policy(version: ModelVersion, settings: Settings, lake: Lake) -> Policy:
    """Return the policy of a run; mode, target, materiality and cap are those of the month, whose settings have the controls in force.

    Args:
        version: the model that scores.
        settings: where newer exchange rates lie.
        lake: holds the company's earlier months.
    """
    rates = read_rates(settings.path(settings.fx.rates))

    def decide(breaks: pl.DataFrame, features: pl.DataFrame, month: Month) -> Clearing:
        evidence = gather_evidence(version, month.settings, read_own_months(lake, month.book.name, before=month.period))
        limits = find_limits(month.settings, rates, sorted(breaks["currency"].unique().to_list()), month)
        seen = features.join(breaks.select("break_id", SCORE), on="break_id", how="inner")
        alarms = (*_drift(version, seen, evidence.before), *audit_alarms(evidence))
        clearing = decide_dispositions(breaks, limits=limits, proofs=Proofs(version.certificate(limits.target_recall), evidence.audited, alarms))
        return Clearing(
            clearing.dispositions, clearing.mode, f"{clearing.statement} {describe_audit(evidence.audit)}", {**clearing.facts, **_facts(evidence, seen)}
        )

    return decide


def gather_evidence(version: ModelVersion, settings: Settings, months: list[OwnMonth]) -> Evidence:
    """Gather what a company's stored months say."""
    labels = label_own_breaks(months)
    audited = certify_own(labels, model=version, target_recall=settings.review.target_recall)
    known = labels.filter(pl.col("is_true_exception").is_not_null()).height
    return Evidence(audited, known, tally_audit(months), months[-1] if months else None)


def audit_alarms(evidence: Evidence) -> tuple[str, ...]:
    """Return why the audit of earlier acceptances stops new ones.

    Findings stop them when so many would turn up in fewer than one of twenty samples if the certificate held; so does a sample
    that nobody looked at to the end although a later month is reconciled.
    """
    audit, alarms = evidence.audit, []
    allowed = evidence.audited.wrong_share_allowed if evidence.audited else None
    if audit.wrong and (allowed is None or is_beyond(looked_at=audit.looked_at, wrong=audit.wrong, share_allowed=allowed)):
        limit = "nothing" if allowed is None else f"{allowed:.2%}"
        alarms.append(f"the audit found {audit.wrong} true exceptions among {audit.looked_at} acceptances it looked at; the certificate allows {limit}")
    if audit.overdue:
        alarms.append(f"the audit sample of {', '.join(audit.overdue)} was not looked at to the end")
    return tuple(alarms)


def describe_audit(audit: Audit) -> str:
    """Say the bound that the audit gives, for the report."""
    if not audit.accepted:
        return "Nothing was accepted without a person before, so there is nothing to audit."
    bound = wrong_share_bound(looked_at=audit.looked_at, wrong=audit.wrong)
    return (
        f"Audit of earlier acceptances: {audit.looked_at} of {audit.accepted} looked at, {audit.wrong} wrong; "
        f"at most {bound:.2%} are wrong at {CONFIDENCE:.0%} confidence."
    )


def find_limits(settings: Settings, rates: Rates, currencies: list[str], month: Month) -> Limits:
    """Convert materiality and cap at the ECB rate of the cut-off, rounded down; a currency without a rate has neither and clears nothing.

    The cap is the company's, so several books share it evenly: a book that is computed alone must not spend another's.
    """
    materiality, cap = {}, {}
    own = settings.entity.currency
    for currency in currencies:
        rate = 1.0 if currency == own else rates.rate(own, currency, month.cut_off_on)
        if rate is not None:
            materiality[currency] = _convert(settings.materiality_minor, own, currency, rate)
            cap[currency] = _convert(parse_minor(settings.review.auto_clear_cap, own), own, currency, rate) // len(settings.books)
    return Limits(settings.review.mode, settings.review.target_recall, materiality, cap)


def _convert(amount_minor: int, source: str, target: str, rate: float) -> int:
    scale = Decimal(10) ** (currency_exponent(target) - currency_exponent(source))
    return int((amount_minor * Decimal(repr(rate)) * scale).to_integral_value(ROUND_FLOOR))


def _drift(version: ModelVersion, seen: pl.DataFrame, before: OwnMonth | None) -> tuple[str, ...]:
    if version.reference is None:
        return ("this model version has no reference to tell drift from, train a new one",)
    return find_drift(version.reference, seen, _scored(version, before) if before is not None else None)


def _scored(version: ModelVersion, month: OwnMonth) -> pl.DataFrame:
    scores = score_frame(version.tables, version.calibration, month.features.select("break_id", *FEATURES), model=version.label)
    return month.features.with_columns(scores.probability.alias(SCORE))


def _facts(evidence: Evidence, seen: pl.DataFrame) -> dict[str, Any]:
    audit = evidence.audit
    return {
        "own_labels": evidence.labels,
        "drift_tested": seen.height >= ROWS_MIN,
        "audit": {
            "accepted": audit.accepted,
            "drawn": audit.drawn,
            "looked_at": audit.looked_at,
            "wrong": audit.wrong,
            "wrong_share_at_most": round(wrong_share_bound(looked_at=audit.looked_at, wrong=audit.wrong), 6) if audit.accepted else None,
        },
    }
