"""The policy of a run over a company's stored months: autonomous on its own census, stopped by what the audit finds."""

import dataclasses
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from reconciliation.breaks.clearing import AUDIT_SAMPLE, AUDIT_SAMPLE_A_MONTH, Clearing, draw_audit_sample, list_for_policy
from reconciliation.breaks.features import FEATURES
from reconciliation.classifier.acting import find_limits, make_policy
from reconciliation.classifier.drift import SCORE
from reconciliation.classifier.examples import LABELED
from reconciliation.classifier.policy import UNCLEARABLE_KINDS
from reconciliation.classifier.training import score_examples
from reconciliation.classifier.versions import ModelVersion, load_version
from reconciliation.config import Settings
from reconciliation.lake import Lake
from reconciliation.population import Month
from reconciliation.rates import Rates

SETTINGS = Settings.model_validate(
    {
        "entity": {"name": "Example Ltd", "timezone": "Europe/London", "currency": "GBP"},
        "start": {"period": "2026-01"},
        "review": {"mode": "autonomous", "auto_clear_cap": "5000.00"},
    }
)
EXCEPTIONS, CLEAN = 400, 300


def make_month(period: str, settings: Settings = SETTINGS) -> Month:
    """Return a month."""
    return Month(period, settings.books[0], settings, settings.calendar, datetime(2026, 5, 1, tzinfo=UTC), date(2026, 4, 30))


@pytest.fixture(scope="module")
def model() -> ModelVersion:
    """The shipped version."""
    return load_version()


@pytest.fixture(scope="module")
def company(model: ModelVersion) -> pl.DataFrame:
    """Breaks as a company of the certified families has them: the model's plain exceptions, and what it finds least risky."""
    scored = score_examples(pl.read_parquet(LABELED / "simulated.parquet"), tables=model.tables, calibration=model.calibration)
    known = scored.filter(pl.col("role").is_in(["learn", "calibrate"]) & ~pl.col("kind").is_in(UNCLEARABLE_KINDS)).sort("probability", "world", "break_id")
    chosen = pl.concat(
        [known.filter("is_true_exception").tail(EXCEPTIONS), known.filter(~pl.col("is_true_exception") & (pl.col("expected_cause") != "")).head(CLEAN)]
    )
    return chosen.with_columns(
        break_id=pl.format("br_{}", pl.int_range(pl.len())), amount_minor=pl.lit(700, dtype=pl.Int64), currency=pl.lit("GBP"), leg=pl.lit("books"),
        cause=pl.when("is_true_exception").then(pl.lit("missing_posting")).otherwise(pl.lit("fx")), nature=pl.lit("entry"), book=pl.lit("main"),
    ).with_columns(item_ids=pl.concat_list("break_id"))  # fmt: skip


def store(lake: Lake, period: str, breaks: pl.DataFrame, *, sample: list[str] | None = None) -> None:
    """Store a month as a run does."""
    drawn = pl.DataFrame(
        [{"break_id": one, "book": "main", "currency": "GBP", "place": n, "drawn_from": 500} for n, one in enumerate(sample or [], 1)], schema=AUDIT_SAMPLE
    )
    tables = {
        "breaks": breaks,
        "features": breaks.select("break_id", *FEATURES),
        "audit_sample": drawn,
        "open_items": pl.DataFrame({"item_id": []}, schema={"item_id": pl.String}),
    }
    listed = breaks.select("break_id", "kind", "cause", "nature", "currency", "amount_minor", "age_days", "disposition", "item_ids")
    tables["breaks"] = listed
    lake.publish(f"month/main/{period}", {name: lake.stage(name, frame) for name, frame in tables.items()})


def judged(company: pl.DataFrame, **changes: str) -> pl.DataFrame:
    """Return the breaks as a person decided them."""
    right, wrong = changes.get("clean", "cleared_by_reviewer"), "confirmed_exception"
    return company.with_columns(disposition=pl.when("is_true_exception").then(pl.lit(wrong)).otherwise(pl.lit(right)))


def run(model: ModelVersion, lake: Lake, company: pl.DataFrame, settings: Settings = SETTINGS) -> Clearing:
    """Let the policy decide about April."""
    breaks = company.with_columns(pl.col("probability").alias(SCORE), exposure_minor=pl.col("amount_minor").abs())
    quiet = dataclasses.replace(
        model, reference=dataclasses.replace(model.reference, pooled=dict.fromkeys(model.reference.pooled, 1e9), own=dict.fromkeys(model.reference.own, 1e9))
    )
    decide = make_policy(quiet, settings, lake)
    return decide(breaks, company.select("break_id", *FEATURES), make_month("2026-04", settings))


def test_without_own_labels_nothing_is_accepted_and_both_bounds_are_printed(model: ModelVersion, company: pl.DataFrame, tmp_path: Path) -> None:
    clearing = run(model, Lake(tmp_path), company)
    assert clearing.mode == "copilot"
    assert "auto_cleared" not in set(clearing.dispositions["disposition"])
    proven = next(certificate for certificate in model.certificates if certificate.target_recall == 0.99)
    whose = f"n = {proven.exceptions:,}, {proven.misses} missed; {proven.companies} companies, {proven.companies_below} below"
    bound = f"simulated at least {proven.recall_bound:.2%} in 90% of companies at 95% confidence ({whose})"
    assert f"{bound}; audited none (n = 0)" in clearing.statement


def test_a_census_month_of_its_own_lets_a_company_accept_below_materiality_and_up_to_the_cap(
    model: ModelVersion, company: pl.DataFrame, tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    store(lake, "2026-02", judged(company))
    store(lake, "2026-03", judged(company.head(1)))
    clearing = run(model, lake, company)
    assert (clearing.mode, clearing.facts["acted"]) == ("autonomous", "audited")
    accepted = clearing.dispositions.filter(pl.col("disposition") == "auto_cleared")
    assert accepted.height == CLEAN  # 300 of 7.00 are 2,100.00, below the cap
    assert not company.join(accepted, on="break_id")["is_true_exception"].any()
    small = SETTINGS.model_copy(update={"review": SETTINGS.review.model_copy(update={"auto_clear_cap": "70.00"})})
    assert run(model, lake, company, small).dispositions.filter(pl.col("disposition") == "auto_cleared").height == 10
    observing = SETTINGS.model_copy(update={"review": SETTINGS.review.model_copy(update={"mode": "observe"})})
    assert set(run(model, lake, company, observing).dispositions["disposition"]) == {"needs_review"}


def test_a_world_in_which_every_variance_is_a_disguise_stops_acceptance(model: ModelVersion, company: pl.DataFrame, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    store(lake, "2026-02", judged(company))
    clean = company.filter(~pl.col("is_true_exception"))["break_id"].to_list()[:AUDIT_SAMPLE_A_MONTH]
    disguised = judged(company, clean="auto_cleared").with_columns(
        disposition=pl.when(pl.col("break_id").is_in(clean)).then(pl.lit("confirmed_exception")).otherwise("disposition")
    )
    store(lake, "2026-03", disguised, sample=clean)
    clearing = run(model, lake, company)
    assert clearing.mode == "copilot"
    assert "auto_cleared" not in set(clearing.dispositions["disposition"])
    assert "the audit found 60 true exceptions among 60" in clearing.statement
    assert clearing.facts["audit"]["wrong_share_at_most"] == 1.0


def test_a_month_never_looks_at_itself_or_at_later_ones(model: ModelVersion, company: pl.DataFrame, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for period in ("2026-04", "2026-05", "2026-06"):
        store(lake, period, judged(company))
    assert run(model, lake, company).facts["own_labels"] == 0


def test_limits_are_converted_at_the_rate_of_the_cut_off_and_a_currency_without_one_has_none() -> None:
    rates = Rates({(date(2026, 4, 30), "GBP"): 0.8, (date(2026, 4, 30), "JPY"): 160.0, (date(2026, 4, 30), "KWD"): 0.4})
    limits = find_limits(SETTINGS, rates, ["GBP", "JPY", "KWD", "XXX"], make_month("2026-04"))
    assert dict(limits.materiality_minor) == {"GBP": 2500, "JPY": 5000, "KWD": 12500}
    assert dict(limits.cap_minor) == {"GBP": 500000, "JPY": 1000000, "KWD": 2500000}


def test_several_books_share_the_cap() -> None:
    two = SETTINGS.model_copy(update={"books": (SETTINGS.books[0], SETTINGS.books[0].model_copy(update={"name": "other"}))})
    assert dict(find_limits(two, Rates(), ["GBP"], make_month("2026-04", two)).cap_minor) == {"GBP": 250000}


def test_the_audit_sample_is_drawn_by_content_and_only_from_what_was_accepted(company: pl.DataFrame) -> None:
    dispositions = company.select("break_id", disposition=pl.when(pl.col("is_true_exception")).then(pl.lit("needs_review")).otherwise(pl.lit("auto_cleared")))
    clearing = Clearing(dispositions, "autonomous", "", {})
    drawn = draw_audit_sample(company, clearing, make_month("2026-04"))
    assert drawn.equals(draw_audit_sample(company.sample(fraction=1, shuffle=True, seed=1), clearing, make_month("2026-04")))
    assert (drawn.height, drawn["drawn_from"].unique().to_list(), drawn["place"].to_list()) == (60, [CLEAN], list(range(1, 61)))
    assert not company.join(drawn, on="break_id")["is_true_exception"].any()
    assert set(drawn["break_id"]) != set(draw_audit_sample(company, clearing, make_month("2026-05"))["break_id"])


def test_a_group_with_a_grave_item_or_large_items_that_cancel_is_shown_as_such() -> None:
    items = pl.DataFrame(
        {
            "break_id": ["a", "a", "b", "b"],
            "item_id": ["1", "2", "3", "4"],
            "leg": ["books"] * 4,
            "side": ["stripe", "stripe", "stripe", "stripe"],
            "kind": ["missing_in_ledger"] * 4,
            "cause": ["timing", "undetermined", "timing", "timing"],
            "currency": ["GBP"] * 4,
            "amount_minor": [900, 5, 100_000, -99_990],
            SCORE: [0.1, 0.1, 0.2, 0.2],
        }
    )
    listed = {row["break_id"]: row for row in list_for_policy(items).to_dicts()}
    assert listed["a"]["cause"] == "undetermined"
    assert (listed["b"]["amount_minor"], listed["b"]["exposure_minor"]) == (10, 199_990)
