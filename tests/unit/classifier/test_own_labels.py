"""Decisions become labels late and under conditions; a certificate takes only months that were judged whole; the audit is counted."""

import numpy as np
import polars as pl
import pytest

from reconciliation.breaks.clearing import AUDIT_SAMPLE
from reconciliation.breaks.features import BOOLEAN, CATEGORICAL, FEATURES, NUMERIC
from reconciliation.classifier.acting import Evidence, audit_alarms, describe_audit
from reconciliation.classifier.own_labels import Audit, OwnMonth, as_examples, certify_own, label_own_breaks, tally_audit
from reconciliation.classifier.policy import Certificate
from reconciliation.classifier.versions import ModelVersion, load_version

NOTHING = pl.Series("item_id", [], dtype=pl.String)
CONFIRMED, CLEARED, AUTO = "confirmed_exception", "cleared_by_reviewer", "auto_cleared"


def make_own(period: str, rows: list[dict[str, object]], *, still_open: list[str] | None = None, sample: list[str] | None = None) -> OwnMonth:
    """Return a stored month whose breaks are named and decided as given."""
    defaults = {
        "kind": "missing_in_ledger",
        "cause": "timing",
        "nature": "timing",
        "currency": "GBP",
        "amount_minor": 500,
        "age_days": 5,
        "disposition": CLEARED,
    }
    full = [defaults | {"break_id": f"{period}-{n}", "item_ids": [f"item-{period}-{n}"]} | row for n, row in enumerate(rows)]
    breaks = pl.DataFrame(full, infer_schema_length=None)
    features = breaks.select(
        "break_id",
        *(pl.lit(1.0).alias(name) for name in NUMERIC),
        *(pl.lit(value=False).alias(name) for name in BOOLEAN),
        *(pl.lit("gross").alias(name) for name in CATEGORICAL),
    )
    drawn = pl.DataFrame(
        [{"break_id": name, "book": "main", "currency": "GBP", "place": n + 1, "drawn_from": 10} for n, name in enumerate(sample or [])], schema=AUDIT_SAMPLE
    )
    return OwnMonth(period, breaks, features, drawn, pl.Series("item_id", still_open or [], dtype=pl.String))


@pytest.fixture(scope="module")
def model() -> ModelVersion:
    """The shipped version."""
    return load_version()


def test_what_nobody_decided_or_nobody_confirmed_is_no_label() -> None:
    rows = [
        {"disposition": CONFIRMED, "cause": "missing_posting"},
        {"disposition": CLEARED},
        {"disposition": CLEARED, "cause": "wrong_amount"},
        {"disposition": AUTO},
        {"disposition": "needs_review"},
        {"disposition": "awaiting_second"},
        {"disposition": CLEARED, "age_days": 40},
        {"disposition": CLEARED, "age_days": 40, "nature": "entry", "cause": "fx"},
    ]
    open_still = ["item-2026-01-6", "item-2026-01-7"]
    labels = label_own_breaks([make_own("2026-01", rows), make_own("2026-02", [{}], still_open=open_still)])
    assert set(labels["period"]) == {"2026-01"}
    told = dict(labels.select("break_id", "is_true_exception").iter_rows())
    assert [told[f"2026-01-{n}"] for n in range(8)] == [True, False, True, None, None, None, None, False]
    reasons = labels.sort("break_id")["why_not"].to_list()
    assert reasons == ["", "", "", "accepted without a person", "not decided", "reviewers do not agree yet", "accepted as timing and still open", ""]


def test_only_months_judged_whole_make_a_certificate(model: ModelVersion) -> None:
    whole = [{"disposition": CONFIRMED, "cause": "missing_posting"}] * 320 + [{"disposition": CLEARED}] * 50
    months = [make_own("2026-01", whole), make_own("2026-02", [*whole, {"disposition": "needs_review"}]), make_own("2026-03", [{}])]
    certificate = certify_own(label_own_breaks(months), model=model, target_recall=0.99)
    assert certificate is not None
    assert (certificate.source, certificate.exceptions, certificate.breaks) == ("audited", 320, 370)
    assert certificate.recall_bound >= 0.99
    assert "2026-01 to 2026-01" in certificate.window
    assert certify_own(label_own_breaks(months[1:]), model=model, target_recall=0.99) is None
    few = certify_own(label_own_breaks([make_own("2026-01", whole[:298]), make_own("2026-02", [{}])]), model=model, target_recall=0.99)
    assert few is not None
    assert few.threshold is None


def test_a_break_open_at_two_month_ends_is_one_case(model: ModelVersion) -> None:
    rows = [{"break_id": f"same-{n}", "disposition": CONFIRMED, "cause": "missing_posting"} for n in range(30)]
    months = [make_own("2026-01", rows), make_own("2026-02", rows), make_own("2026-03", [{}])]
    certificate = certify_own(label_own_breaks(months), model=model, target_recall=0.5)
    assert certificate is not None
    assert certificate.exceptions == 30


def test_kinds_that_never_clear_do_not_hold_a_census_up(model: ModelVersion) -> None:
    rows = [{"disposition": CONFIRMED, "cause": "missing_posting"}] * 10 + [{"kind": "ambiguous_match", "disposition": "needs_review"}]
    certificate = certify_own(label_own_breaks([make_own("2026-01", rows), make_own("2026-02", [{}])]), model=model, target_recall=0.5)
    assert certificate is not None
    assert certificate.breaks == 10


def test_labels_carry_where_they_come_from_and_never_an_unseen_acceptance() -> None:
    rows = [{"disposition": AUTO}, {"disposition": CLEARED}, {"disposition": CONFIRMED, "cause": "double_charge"}]
    examples = as_examples(label_own_breaks([make_own("2026-01", rows), make_own("2026-02", [{}])]), company="own")
    assert examples["label_source"].unique().to_list() == ["decision"]
    assert sorted(examples["is_true_exception"].to_list()) == [False, True]
    assert set(FEATURES) <= set(examples.columns)


def test_the_audit_is_counted_and_a_sample_nobody_looked_at_is_named() -> None:
    rows = [{"disposition": CLEARED}, {"disposition": CONFIRMED, "cause": "missing_posting"}, {"disposition": AUTO}]
    first = make_own("2026-01", rows, sample=["2026-01-0", "2026-01-1", "2026-01-2"])
    last = make_own("2026-02", [{"disposition": AUTO}], sample=["2026-02-0"])
    assert tally_audit([first, last]) == Audit(accepted=20, drawn=4, looked_at=2, wrong=1, overdue=("2026-01",))


@pytest.mark.parametrize(
    ("audit", "alarms"),
    [
        (Audit(200, 60, 60, 0, ()), 0),
        (Audit(200, 60, 60, 1, ()), 0),
        (Audit(200, 60, 60, 4, ()), 1),
        (Audit(200, 60, 60, 60, ()), 1),
        (Audit(200, 60, 30, 0, ("2026-01",)), 1),
    ],
    ids=["clean", "one, as allowed", "four, more than allowed", "every variance is a disguise", "not looked at"],
)
def test_findings_beyond_the_certificate_stop_automatic_acceptance(audit: Audit, alarms: int) -> None:
    certificate = Certificate("audited", 0.05, 1000, 5, 0.99, 0.99, 0.95, "w", 4000, 700)
    found = audit_alarms(Evidence(certificate, 100, audit, None))
    assert len(found) == alarms
    assert f"{audit.wrong} wrong" in describe_audit(audit)


def test_the_bound_of_the_audit_is_kept_in_nineteen_of_twenty_worlds() -> None:
    random = np.random.default_rng(8)
    broken = 0
    for _ in range(400):
        share = random.uniform(0.0, 0.1)
        audit = Audit(1000, 60, 60, int(random.binomial(60, share)), ())
        bound = float(describe_audit(audit).rsplit("at most ", 1)[1].split("%", maxsplit=1)[0]) / 100
        broken += share > bound + 5e-5
    assert broken <= 400 * 0.05 + 13
