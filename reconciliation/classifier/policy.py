"""Scored breaks + certificates + settings -> what becomes of each break without a person, and who said it may.

Nothing is cleared that no certificate covers. A certificate is a threshold with a proof: on a calibration window of
labeled breaks, so few true exceptions lay below it that recall is at least the target with 95 % confidence. How many may
lie below is fixed by their number alone before the scores are looked at (299 allow none at 99 %, 473 one, 628 two), so
choosing the threshold costs no confidence: it is the exact tolerance limit of an order statistic (Clopper and Pearson, 1934).

A simulated certificate is about companies that it has not met, whose errors come in runs: a bound on the breaks of all of them together would break in
more than a few single ones. There the company counts as one: each has the highest threshold that keeps its own recall at the target, and the same
limit is taken of those, so that with 95 % confidence the target holds in nine of ten companies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from reconciliation.breaks.clearing import AUTO_CLEARED, NEEDS_REVIEW, PROPOSED_CLEAR, Clearing
from reconciliation.learning.tables import Floats
from reconciliation.schemas.breaks import EXCEPTION_CAUSES, UNDETERMINED

CONFIDENCE = 0.95
UNCLEARABLE_KINDS = ("ambiguous_match", "opening_difference", "currency_difference")
"""Kinds that a person always sees: several explanations are equally good, the difference is older than the first month, or two currencies meet."""
UNCLEARABLE_CAUSES = (UNDETERMINED, "opening_difference", "payout_in_transit", *EXCEPTION_CAUSES)
"""What has no cause, or one that is a true exception, goes to a person however improbable the model finds it. So does a payout on its way: nothing
but its arrival tells it from one that never comes, and there are few of them."""
NEVER_CLEARED = 1.0
COMPANY_SHARE = 0.9
"""Share of companies in which a threshold of simulated labels must keep the target."""
Mode = Literal["observe", "copilot", "autonomous"]


@dataclass(frozen=True)
class Certificate:
    """A threshold and what proves it.

    Attributes:
        source: `simulated` (labels of simulated companies) or `audited` (this company's own audited labels).
        threshold: breaks with a probability strictly below it may be cleared; None when no threshold is proven.
        exceptions: true exceptions in the calibration window.
        misses: how many of them lie below the threshold.
        recall_bound: one-sided lower bound of recall at the confidence; 0 without a threshold. By company where `companies` are counted, then it is the target.
        target_recall: what was asked for.
        confidence: of the bound.
        window: in words, which labels.
        breaks: how many labeled breaks the window holds; 0 where an older version did not say.
        cleared: how many of them lie below the threshold.
        companies: how many companies the window holds, where the bound holds for nine of ten of them; 0 where it is about breaks of one company.
        companies_below: how many of them have a recall below the target at the threshold.
    """

    source: Literal["simulated", "audited"]
    threshold: float | None
    exceptions: int
    misses: int
    recall_bound: float
    target_recall: float
    confidence: float
    window: str
    breaks: int = 0
    cleared: int = 0
    companies: int = 0
    companies_below: int = 0

    @property
    def wrong_share_allowed(self) -> float | None:
        """Share of true exceptions among what is cleared that the target of recall allows in a window like this one; None where unknown."""
        return min(1.0, (1 - self.target_recall) * self.exceptions / self.cleared) if self.cleared else None

    def to_json(self) -> dict[str, Any]:
        """Return the certificate as plain JSON values."""
        optional = {"breaks": self.breaks, "cleared": self.breaks, "companies": self.companies, "companies_below": self.companies}
        return {name: value for name, value in vars(self).items() if optional.get(name, 1)}

    @staticmethod
    def from_json(content: dict[str, Any]) -> "Certificate":
        """Read what `to_json` wrote."""
        return Certificate(**content)


def is_clearable() -> pl.Expr:
    """Say whether a break with `kind` and `cause` may ever be cleared without a person."""
    return (~pl.col("kind").is_in(UNCLEARABLE_KINDS) & ~pl.col("cause").is_in(UNCLEARABLE_CAUSES)).fill_null(value=False)


def recall_bound(*, exceptions: int, misses: int, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided Clopper-Pearson lower bound of recall.

    >>> round(recall_bound(exceptions=299, misses=0), 4), round(recall_bound(exceptions=473, misses=1), 4), recall_bound(exceptions=0, misses=0)
    (0.99, 0.99, 0.0)
    """
    found = exceptions - misses
    if found <= 0:
        return 0.0
    from scipy.stats import beta

    return float(beta.ppf(1 - confidence, found, misses + 1))


def misses_allowed(*, exceptions: int, target_recall: float, confidence: float = CONFIDENCE) -> int | None:
    """Return how many exceptions may lie below a threshold so that its bound reaches the target, or None when even none is too many.

    >>> [misses_allowed(exceptions=n, target_recall=0.99) for n in (298, 299, 472, 473, 628, 1049)]
    [None, 0, 0, 1, 2, 5]
    """
    if recall_bound(exceptions=exceptions, misses=0, confidence=confidence) < target_recall:
        return None
    low, high = 0, exceptions
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if recall_bound(exceptions=exceptions, misses=middle, confidence=confidence) >= target_recall else (low, middle)
    return low


def certify_threshold(
    probabilities: Floats,
    labels: npt.NDArray[np.bool_],
    *,
    source: Literal["simulated", "audited"],
    target_recall: float,
    window: str,
    confidence: float = CONFIDENCE,
    clearable: npt.NDArray[np.bool_] | None = None,
    companies: npt.NDArray[np.str_] | None = None,
) -> Certificate:
    """Choose the highest threshold that is proven on a calibration window.

    Args:
        probabilities: of the window's breaks, from a model that did not learn from them.
        labels: whether each was a true exception.
        clearable: which of them the policy could clear at all (`is_clearable`); an exception among the others is never missed.
        source: whose labels they are.
        target_recall: of true exceptions.
        window: in words, which labels.
        confidence: of the proof.
        companies: whose break each is, where the proof is about companies that are not among them; None where all are of the company it is about.

    Returns:
        A certificate; its threshold is None when the window holds too few exceptions or companies for any proof.
    """
    if clearable is not None:
        probabilities = np.where(clearable, probabilities, NEVER_CLEARED)
    exceptions, breaks = np.sort(probabilities[labels]), len(labels)
    allowed = misses_allowed(exceptions=len(exceptions), target_recall=target_recall, confidence=confidence)
    highest = None if companies is None else _highest_by_company(probabilities, labels, companies, target_recall=target_recall)
    may_fail = None if highest is None else misses_allowed(exceptions=len(highest), target_recall=COMPANY_SHARE, confidence=confidence)
    counted = 0 if highest is None else len(highest)
    if allowed is None or (highest is not None and may_fail is None):
        return Certificate(source, None, len(exceptions), 0, 0.0, target_recall, confidence, window, breaks, companies=counted)
    threshold = float(exceptions[allowed])
    if highest is not None and may_fail is not None:
        threshold = min(threshold, float(highest[may_fail]))
    misses = int((exceptions < threshold).sum())  # equal probabilities at the threshold are not cleared, so this may be fewer than allowed
    bound = recall_bound(exceptions=len(exceptions), misses=misses, confidence=confidence)
    return Certificate(
        source,
        threshold,
        len(exceptions),
        misses,
        bound if highest is None else target_recall,
        target_recall,
        confidence,
        window,
        breaks,
        cleared=int((probabilities < threshold).sum()),
        companies=counted,
        companies_below=0 if highest is None else int((highest < threshold).sum()),
    )


def _highest_by_company(probabilities: Floats, labels: npt.NDArray[np.bool_], companies: npt.NDArray[np.str_], *, target_recall: float) -> Floats:
    # Each company's highest threshold that keeps its own recall at the target, lowest first; one without exceptions keeps it at any.
    highest = [NEVER_CLEARED] * (len(np.unique(companies)) - len(np.unique(companies[labels])))
    for company in np.unique(companies[labels]):
        own = np.sort(probabilities[labels & (companies == company)])
        highest.append(float(own[int((1 - target_recall) * len(own) + 1e-9)]))
    return np.sort(np.array(highest, dtype=np.float64))


def wrong_share_bound(*, looked_at: int, wrong: int, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided Clopper-Pearson upper bound of the share of wrong acceptances, from a random sample of them.

    >>> [round(wrong_share_bound(looked_at=n, wrong=0), 4) for n in (0, 60, 300, 598)]
    [1.0, 0.0487, 0.0099, 0.005]
    """
    if wrong >= looked_at:
        return 1.0
    from scipy.stats import beta

    return float(beta.ppf(confidence, wrong + 1, looked_at - wrong))


def is_beyond(*, looked_at: int, wrong: int, share_allowed: float, confidence: float = CONFIDENCE) -> bool:
    """Say whether so many wrong acceptances would be found in fewer than one of twenty samples if the allowed share held.

    >>> is_beyond(looked_at=60, wrong=1, share_allowed=0.01), is_beyond(looked_at=60, wrong=3, share_allowed=0.01)
    (False, True)
    """
    if wrong == 0:
        return False
    from scipy.stats import binom

    return float(binom.sf(wrong - 1, looked_at, share_allowed)) < 1 - confidence


@dataclass(frozen=True)
class Limits:
    """What the settings allow.

    Attributes:
        mode: `[review] mode`.
        target_recall: `[review] target_recall`; a certificate for a lower target does not act.
        materiality_minor: per currency; a currency without one clears nothing.
        cap_minor: per currency, most that may be accepted without a person in the month, summed absolutely.
    """

    mode: Mode
    target_recall: float
    materiality_minor: Mapping[str, int]
    cap_minor: Mapping[str, int]


@dataclass(frozen=True)
class Proofs:
    """What speaks for and against clearing without a person.

    Attributes:
        simulated: the model version's own certificate.
        audited: one on this company's audited labels.
        alarms: why automatic acceptance is suspended (drift, findings of the audit); empty when nothing is wrong.
    """

    simulated: Certificate | None
    audited: Certificate | None = None
    alarms: tuple[str, ...] = ()


def decide_dispositions(breaks: pl.DataFrame, *, limits: Limits, proofs: Proofs) -> Clearing:
    """Decide what each break needs.

    Args:
        breaks: `break_id, kind, cause, exposure_minor, currency, probability_true_exception` (`list_for_policy`).
        limits: what the settings allow.
        proofs: certificates and alarms.

    Returns:
        `needs_review` for everything in observe. In copilot `proposed_clear` strictly below the threshold and the materiality,
        for kinds and causes a person need not see. In autonomous, with an audited certificate and no alarm, those become
        `auto_cleared` up to the cap, least probable exception first.
    """
    acting, certificate, because = _acting(limits, proofs)
    facts = {
        "acted": certificate.source if certificate else "none",
        "simulated": proofs.simulated.to_json() if proofs.simulated else None,
        "audited": proofs.audited.to_json() if proofs.audited else None,
        "alarms": list(proofs.alarms),
        "target_recall": limits.target_recall,
        "materiality_minor": dict(sorted(limits.materiality_minor.items())),
        "auto_clear_cap_minor": dict(sorted(limits.cap_minor.items())),
    }
    statement = f"{because} Bounds on recall of true exceptions: {describe_certificate(proofs.simulated, 'simulated')}; {describe_certificate(proofs.audited, 'audited')}."
    if certificate is None or certificate.threshold is None:
        return Clearing(breaks.select("break_id", disposition=pl.lit(NEEDS_REVIEW)), acting, statement, facts)
    tables = (("_material", limits.materiality_minor), ("_cap", limits.cap_minor))
    currency = pl.col("currency").cast(pl.String)
    judged = breaks.with_columns(currency.replace_strict(dict(table), default=0, return_dtype=pl.Int64).alias(name) for name, table in tables)
    is_cleared = ((pl.col("probability_true_exception") < certificate.threshold) & (pl.col("exposure_minor") < pl.col("_material")) & is_clearable()).fill_null(
        value=False
    )
    judged = judged.with_columns(_clearable=is_cleared)
    disposition = pl.when("_clearable").then(pl.lit(PROPOSED_CLEAR)).otherwise(pl.lit(NEEDS_REVIEW))
    if acting == "autonomous":
        disposition = pl.when(_within_cap()).then(pl.lit(AUTO_CLEARED)).otherwise(disposition)
    return Clearing(judged.select("break_id", disposition=disposition), acting, statement, facts)


def describe_certificate(certificate: Certificate | None, source: str) -> str:
    """Say a bound as the report prints it: `audited at least 99.03% at 95% confidence (n = 939, 4 missed)`, of how many companies, or that there is none."""
    if certificate is None:
        return f"{source} none (n = 0)"
    if certificate.threshold is None:
        return f"{certificate.source} none (n = {certificate.exceptions:,}, too few for {certificate.target_recall:.1%})"
    whose = f" in {COMPANY_SHARE:.0%} of companies" if certificate.companies else ""
    of_them = f"; {certificate.companies} companies, {certificate.companies_below} below" if certificate.companies else ""
    counts = f"n = {certificate.exceptions:,}, {certificate.misses} missed{of_them}"
    return f"{certificate.source} at least {certificate.recall_bound:.2%}{whose} at {certificate.confidence:.0%} confidence ({counts})"


def _within_cap() -> pl.Expr:
    # Least probable exceptions first, then the smallest, so that the cap is spent where it risks least; a break that would exceed it ends the list.
    order = ["probability_true_exception", "exposure_minor", "break_id"]
    running = pl.when("_clearable").then("exposure_minor").otherwise(0).cum_sum().over("currency", order_by=order)
    return pl.col("_clearable") & (running <= pl.col("_cap"))


def _acting(limits: Limits, proofs: Proofs) -> tuple[Mode, Certificate | None, str]:
    if limits.mode == "observe":
        return "observe", None, "Mode is observe: nothing is accepted or proposed; every break waits for a person."
    alarm = "; ".join(proofs.alarms)
    if limits.mode == "autonomous" and not alarm and _proves(proofs.audited, limits.target_recall):
        return "autonomous", proofs.audited, "Accepted without a person on the audited certificate, below materiality and up to the cap of the month."
    because = ""
    if limits.mode == "autonomous":
        because = f"Automatic acceptance is off ({alarm or 'no certificate on audited labels of this company'}), so breaks are only proposed. "
    elif alarm:
        because = f"Alarm: {alarm}. "
    certificate = proofs.audited if _proves(proofs.audited, limits.target_recall) else proofs.simulated
    if certificate is not None and _proves(certificate, limits.target_recall):
        return "copilot", certificate, f"{because}Proposed for clearing on the {certificate.source} certificate; a person confirms each."
    return (
        "copilot",
        None,
        f"{because}No threshold is proven for a recall of {limits.target_recall:.1%}, so nothing is proposed; every break waits for a person.",
    )


def _proves(certificate: Certificate | None, target_recall: float) -> bool:
    return certificate is not None and certificate.threshold is not None and certificate.recall_bound >= target_recall
