"""Labeled breaks + a version -> its figures beside rules alone, logistic regression and a reference, set by set.

Contenders learn from the same companies, are calibrated on the same later block and are judged on the same breaks: companies like those
learned from, families never seen, and mechanisms never seen (the exceptions whose cause no learned company ever had, among the held-out
families' ordinary breaks). The reference is boosting that may learn from other companies of the judged families too, and from all breaks of
companies that nothing else uses (`classifier.collecting`): what could be known of this very world from as many rows as there are.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from reconciliation.breaks.features import WATCHED
from reconciliation.breaks.kinds import choose_cause
from reconciliation.classifier.calibration import Calibration, brier_score, expected_calibration_error
from reconciliation.classifier.evaluation import RECALL_LEVEL, Flags, average_precision, clear_rate_at_recall
from reconciliation.classifier.examples import CALIBRATE, HELD_OUT, LEARN, STOP, TEST
from reconciliation.classifier.scoring import KEY_COLUMNS, score_frame
from reconciliation.classifier.versions import ModelVersion
from reconciliation.learning.additive import feature_types
from reconciliation.learning.calibrator import fit_calibration
from reconciliation.learning.probes import Across, fit_across, fit_logistic
from reconciliation.learning.tables import Floats

CLEAR_RATES = (0.80, 0.90)
R_PRECISION = "r"
"""Instead of a rate: as many breaks are left as there are true exceptions, so that a perfect order finds them all."""
CURVE = (0.25, 0.5, 1.0)
RULES, LOGISTIC, CHAMPION, REFERENCE = "rules only", "logistic regression", "this version", "reference"
IN_FAMILY, HELD_OUT_FAMILIES, UNSEEN = "in-family", "held-out families", "unseen mechanisms"
SEGMENTS = ("family", "kind", "amount_decade", "period")
SEGMENT_EXCEPTIONS_MIN = 100
SHARED = ("pr_auc", "recall_at_80", "money_recall_at_80", "recall_at_90", "recall_at_r", "money_recall_at_r")
"""Figures of which the share of the reference's gain over the rules is told."""
DRAWS = 400
SEED = 20261001
Places = npt.NDArray[np.int64]
Figure = Callable[[Floats, Flags, Floats], float]
"""Probabilities, truth and money -> a figure."""


@dataclass(frozen=True)
class Comparison:
    """What the contenders reach.

    Attributes:
        figures: set -> contender -> figure -> value.
        shares: set -> figure -> (version - rules) / (reference - rules); None where the reference is no better than the rules.
        against_rules: one row per segment with enough exceptions: the difference of recalls (`compare_segments`) and its bootstrap interval.
        reference_rows: how many rows the reference learned from, at most.
        curve: what the reference reaches with a quarter, half and all of its companies: `rows, set, pr_auc, recall_at_80`.
    """

    figures: Mapping[str, Mapping[str, Mapping[str, Any]]]
    shares: Mapping[str, Mapping[str, float | None]]
    against_rules: tuple[Mapping[str, Any], ...]
    reference_rows: int
    curve: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "sets": {name: dict(values) for name, values in self.figures.items()},
            "share_of_reference": {name: dict(values) for name, values in self.shares.items()},
            "against_rules": [dict(row) for row in self.against_rules],
            "reference_rows": self.reference_rows,
            "reference_curve": [dict(row) for row in self.curve],
        }


def compare_models(model: ModelVersion, examples: pl.DataFrame, *, others: pl.DataFrame | None = None) -> Comparison:
    """Compare a version with rules alone, logistic regression and the reference.

    Args:
        model: the version.
        examples: labeled breaks with `role`, as training wrote them.
        others: labeled breaks of companies that are not among the examples, for the reference; see `collecting.read_parts`.
    """
    decade = pl.col("amount_minor").abs().clip(lower_bound=1).log10().floor().cast(pl.Int64).cast(pl.String)
    frame = examples.with_columns(amount_decade=pl.lit("10^") + decade).with_row_index("row")
    references = [fit_reference(model, frame, others, share=share) for share in (CURVE if others is not None else (1.0,))]
    contenders = score_contenders(model, frame, references[-1].probabilities)
    sets = divide_sets(frame)
    figures = {
        name: {contender: measure_contender(part, probabilities[part["row"].to_numpy()]) for contender, probabilities in contenders.items()}
        for name, part in sets.items()
    }
    shares = {name: {figure: _share(values, figure) for figure in SHARED} for name, values in figures.items()}
    rows = [
        {"set": name, **row}
        for name in (IN_FAMILY, HELD_OUT_FAMILIES)
        for row in compare_segments(sets[name], contenders[CHAMPION][sets[name]["row"].to_numpy()], contenders[RULES][sets[name]["row"].to_numpy()])
    ]
    curve = tuple(
        {"rows": reference.rows, "set": name, **{key: measured[key] for key in ("pr_auc", "recall_at_80")}}
        for reference in references
        for name, part in sets.items()
        for measured in [measure_contender(part, reference.probabilities[part["row"].to_numpy()])]
    )
    return Comparison(figures, shares, tuple(rows), references[-1].rows, curve)


def fit_reference(model: ModelVersion, frame: pl.DataFrame, others: pl.DataFrame | None, *, share: float) -> Across:
    """Fit the reference on a share of the companies that it may learn from; each half of the examples is judged by a fit on the other.

    It reads what is only watched too: what could be known is not bounded by what a version was given to know.
    """
    watched = frame.select(name for name in WATCHED if name in frame.columns and name not in {feature.name for feature in model.tables.features})
    features = (*model.tables.features, *feature_types(watched, keys=()))
    return fit_across(frame, features=features, seed=SEED, folds=5 if others is None else 2, others=others, share=share)


def divide_sets(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the judged breaks: in-family, held-out families, unseen mechanisms."""
    learned = frame.filter(pl.col("role").is_in([LEARN, STOP]) & pl.col("is_true_exception"))["true_cause"].unique().to_list()
    held_out = frame.filter(pl.col("role") == HELD_OUT)
    is_new = ~pl.col("true_cause").is_in(learned)
    return {
        IN_FAMILY: frame.filter(pl.col("role") == TEST),
        HELD_OUT_FAMILIES: held_out,
        UNSEEN: held_out.filter(~pl.col("is_true_exception") | is_new),
    }


def score_contenders(model: ModelVersion, frame: pl.DataFrame, across: Floats) -> dict[str, Floats]:
    """Return every contender's calibrated probabilities of all rows; `across` are the reference's, not calibrated yet."""
    features = model.tables.features
    wanted = [column for column in frame.columns if column in KEY_COLUMNS or column in {feature.name for feature in features}]
    learn, labels = frame.filter(pl.col("role").is_in([LEARN, STOP])), frame["is_true_exception"]
    raw: dict[str, Floats] = {
        RULES: rule_scores(frame),
        LOGISTIC: fit_logistic(learn, learn["is_true_exception"], frame, features=features),
        REFERENCE: np.log(np.clip(across, 1e-9, 1 - 1e-9) / (1 - np.clip(across, 1e-9, 1 - 1e-9))),
    }
    block = (frame["role"] == CALIBRATE).to_numpy()
    truth = labels.to_numpy().astype(np.bool_)
    scored = {name: _calibrated(scores, scores[block], truth[block]) for name, scores in raw.items()}
    champion = score_frame(model.tables, model.calibration, frame.select(wanted), model=model.label).probability.to_numpy()
    return {RULES: scored[RULES], LOGISTIC: scored[LOGISTIC], CHAMPION: champion, REFERENCE: scored[REFERENCE]}


def rule_scores(frame: pl.DataFrame) -> Floats:
    """Rank breaks as a controller's rules would: what can only be an exception first, then what is later than usual, what can only be expected last.

    What no rule has a cause for is as open as what may be both.
    """
    lateness = pl.col("days_beyond_usual_lag").fill_null(pl.col("age_days")).fill_null(0.0)
    both = 1.0 + 1.0 / (1.0 + (-lateness / 5.0).exp())
    no_exception, no_expected = pl.col("exception_cause") == "", pl.col("expected_cause") == ""
    score = pl.when(no_exception & ~no_expected).then(0.0).when(no_expected & ~no_exception).then(3.0).otherwise(both)
    return frame.select(score.cast(pl.Float64).alias("score"))["score"].to_numpy()


def measure_contender(part: pl.DataFrame, probabilities: Floats) -> dict[str, Any]:
    """Return the figures of one contender on one set; money in the breaks' own minor units.

    `queue_money_recall_*` clears what is lowest in the order of the queue, which is probability times money; everything else what is least probable.
    """
    truth = part["is_true_exception"].to_numpy().astype(np.bool_)
    money = part["amount_minor"].abs().to_numpy().astype(np.float64)
    figures: dict[str, Any] = {"breaks": len(truth), "exceptions": int(truth.sum())}
    rates = {f"{rate:.0%}".rstrip("%"): rate for rate in CLEAR_RATES} | {R_PRECISION: 1 - float(truth.mean())}
    for name, rate in rates.items():
        cleared = clear_share(probabilities, rate)
        figures[f"recall_at_{name}"] = float(1 - cleared[truth].mean())
        figures[f"money_recall_at_{name}"] = float(money[truth & ~cleared].sum() / money[truth].sum())
        figures[f"queue_money_recall_at_{name}"] = float(money[truth & ~clear_share(probabilities * money, rate)].sum() / money[truth].sum())
        figures[f"missed_money_bp_at_{name}"] = float(10_000 * money[truth & cleared].sum() / money.sum())
    worst, recall = _worst_segment(part, probabilities)
    figures |= {
        "clear_at_99_recall": clear_rate_at_recall(probabilities, truth, RECALL_LEVEL),
        "pr_auc": average_precision(probabilities, truth),
        "brier": brier_score(probabilities, truth),
        "ece": expected_calibration_error(probabilities, truth),
        "worst_segment": worst,
        "worst_segment_recall_at_80": recall,
        "cause_accuracy": cause_accuracy(part, probabilities),
    }
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in figures.items()}


def cause_accuracy(part: pl.DataFrame, probabilities: Floats) -> float:
    """Return the share of breaks with a true cause whose named cause is it, with each break's cause chosen by the given probability."""
    natures = [pl.lit("").alias(name) for name in ("expected_nature", "exception_nature")]
    named = choose_cause(part.with_columns(pl.Series("probability_true_exception", probabilities), *natures)).filter(pl.col("true_cause") != "")
    return float((named["cause"] == named["true_cause"]).to_numpy().mean()) if named.height else 0.0


def compare_segments(part: pl.DataFrame, champion: Floats, rules: Floats, *, draws: int = DRAWS) -> list[dict[str, Any]]:
    """Compare with the rules what is found in every segment with enough exceptions when 80 % of the whole set are cleared, or as many as are no exceptions if those are fewer.

    Where more than a fifth are exceptions, 80 % cleared leave no room for all of them: what an order finds of one segment it then loses in another,
    whatever it knows.

    A paired bootstrap: whole companies are drawn with replacement, the same for both, since breaks of a company resemble each other.

    Args:
        part: one judged set: `world, is_true_exception` and the columns of `SEGMENTS`.
        champion: its probabilities.
        rules: those of the rules.
        draws: how many.

    Returns:
        `segment, value, exceptions, difference, low, high, is_below_rules` with a 95 % interval.
    """
    truth = part["is_true_exception"].to_numpy().astype(np.bool_)
    segments = [
        (column, str(value), (part[column] == value).to_numpy() & truth)
        for column in SEGMENTS
        for value, count in part.filter("is_true_exception").group_by(column).len().sort(column).iter_rows()
        if count >= SEGMENT_EXCEPTIONS_MIN
    ]
    rate = min(CLEAR_RATES[0], 1 - float(truth.mean()))
    drawn = [_found(rows, champion, rules, segments, rate=rate) for rows in draw_companies(part, draws=draws)]
    whole = _found(np.arange(part.height), champion, rules, segments, rate=rate)
    found = []
    for place, (column, value, inside) in enumerate(segments):
        low, high = (round(float(np.nanquantile([one[place] for one in drawn], level)), 6) for level in (0.025, 0.975))
        found.append({
            "segment": column, "value": value, "exceptions": int(inside.sum()), "difference": round(whole[place], 6), "low": low, "high": high, "is_below_rules": high < 0,
        })  # fmt: skip
    return found


def draw_companies(part: pl.DataFrame, *, draws: int) -> Iterator[Places]:
    """Draw companies with replacement and yield the places of their rows."""
    companies = part["world"].rank("dense").to_numpy().astype(np.int64) - 1
    rows_of = [np.flatnonzero(companies == company) for company in range(int(companies.max()) + 1)]
    random = np.random.default_rng(SEED)
    for _ in range(draws):
        yield np.concatenate([rows_of[company] for company in random.integers(0, len(rows_of), len(rows_of))])


def paired_bootstrap(part: pl.DataFrame, one: Floats, other: Floats, *, figure: Figure, draws: int = DRAWS) -> tuple[float, float, float]:
    """Return the 95 % interval of `figure(one) - figure(other)` over draws of companies: its lower end, the difference on the data itself, its upper end.

    Args:
        part: `world, is_true_exception, amount_minor`.
        one: probabilities of the first contender.
        other: of the second.
        figure: probabilities, truth and money -> a figure.
        draws: how many.
    """
    truth = part["is_true_exception"].to_numpy().astype(np.bool_)
    money = part["amount_minor"].abs().to_numpy().astype(np.float64)

    def difference(rows: Places) -> float:
        return figure(one[rows], truth[rows], money[rows]) - figure(other[rows], truth[rows], money[rows])

    found = [difference(rows) for rows in draw_companies(part, draws=draws) if truth[rows].any()]
    low, high = (round(float(np.quantile(found, level)), 6) for level in (0.025, 0.975))
    return low, round(difference(np.arange(part.height)), 6), high


def clear_share(probabilities: Floats, rate: float) -> Flags:
    """Return which breaks are cleared when exactly a share is; ties are broken by lot, the same for every contender.

    To clear ties together or not at all would favor a contender with few levels: what it cannot rank it would not have to clear.
    """
    order = np.lexsort((np.random.default_rng(SEED).random(len(probabilities)), probabilities))
    cleared = np.zeros(len(probabilities), dtype=np.bool_)
    cleared[order[: int(rate * len(probabilities) + 1e-9)]] = True
    return cleared


def missed_money(probabilities: Floats, truth: Flags, money: Floats) -> float:
    """Return the share of the money of true exceptions that is missed when the least probable 80 % are cleared."""
    return float(money[truth & clear_share(probabilities, CLEAR_RATES[0])].sum() / money[truth].sum())


def _found(rows: Places, champion: Floats, rules: Floats, segments: Sequence[tuple[str, str, Flags]], *, rate: float) -> list[float]:
    """Return for every segment the champion's recall less the rules', among some rows."""
    gained = clear_share(rules[rows], rate).astype(np.float64) - clear_share(champion[rows], rate)
    return [float(gained[inside[rows]].mean()) if inside[rows].any() else float("nan") for _, _, inside in segments]


def render_comparison(comparison: Comparison) -> list[str]:
    """Write the comparison as lines of a terminal: per figure a row, per set and contender a column."""
    names = list(comparison.figures)
    contenders = list(comparison.figures[names[0]])
    lines = []
    for name in names:
        first = comparison.figures[name][contenders[0]]
        lines += ["", f"{name}: {first['breaks']:,} breaks, {first['exceptions']:,} true exceptions", "  " + " " * 34 + "".join(f"{c:>21}" for c in contenders)]
        for figure, words in _WORDS.items():
            lines.append(f"  {words:<34}" + "".join(f"{_say(comparison.figures[name][c][figure]):>21}" for c in contenders))
        share = ", ".join(f"{_WORDS[figure]} {_say(value)}" for figure, value in comparison.shares[name].items())
        lines.append(f"  (this version - rules) / (reference - rules): {share}")
    below = [row for row in comparison.against_rules if row["is_below_rules"]]
    lines += [
        "",
        f"Against the rules, recall at 80 % cleared or as many left as there are exceptions, in {len(comparison.against_rules)} segments of {SEGMENT_EXCEPTIONS_MIN} exceptions or more: significantly below in {len(below)}"
        + "".join(f"; {row['set']} {row['segment']} {row['value']} {row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]" for row in below),
        f"The reference is boosting on other companies, the judged families included, {comparison.reference_rows:,} rows.",
    ]
    if len({row["rows"] for row in comparison.curve}) > 1:
        lines.append("What more rows change, reference with a quarter, half and all of its companies:")
        for name in names:
            points = [f"{row['rows']:,} rows {_say(row['pr_auc'])} / {_say(row['recall_at_80'])}" for row in comparison.curve if row["set"] == name]
            lines.append(f"  {name}, PR-AUC / recall at 80 % cleared: " + "; ".join(points))
    return lines


_WORDS = {
    "recall_at_80": "recall, 80 % cleared",
    "recall_at_90": "recall, 90 % cleared",
    "money_recall_at_80": "recall of money, 80 % cleared",
    "money_recall_at_90": "recall of money, 90 % cleared",
    "queue_money_recall_at_80": "the same, by money at risk, at 80 %",
    "queue_money_recall_at_90": "the same, by money at risk, at 90 %",
    "recall_at_r": "recall, as many left as exceptions",
    "money_recall_at_r": "recall of money, as many left",
    "missed_money_bp_at_80": "missed, bp of open money, at 80 %",
    "missed_money_bp_at_90": "missed, bp of open money, at 90 %",
    "clear_at_99_recall": "cleared at 99 % recall",
    "pr_auc": "PR-AUC",
    "brier": "Brier",
    "ece": "ECE",
    "worst_segment": "worst segment",
    "worst_segment_recall_at_80": "its recall, 80 % cleared",
    "cause_accuracy": "cause accuracy",
}


def _worst_segment(part: pl.DataFrame, probabilities: Floats) -> tuple[str, float]:
    cleared = pl.Series("cleared", clear_share(probabilities, CLEAR_RATES[0]))
    exceptions = part.with_columns(cleared).filter("is_true_exception")
    worst = ("none has enough", 1.0)
    for column in SEGMENTS:
        counted = (
            exceptions.group_by(column).agg(pl.len().alias("n"), (1 - pl.col("cleared").mean()).alias("recall")).filter(pl.col("n") >= SEGMENT_EXCEPTIONS_MIN)
        )
        for row in counted.sort(column).to_dicts():
            worst = min(worst, (str(row[column]), float(row["recall"])), key=lambda pair: pair[1])
    return worst


def _calibrated(scores: Floats, block: Floats, truth: Flags) -> Floats:
    method, knots, probabilities = fit_calibration(block, truth)
    return Calibration(method, tuple(knots), tuple(probabilities)).apply(scores)


def _share(values: Mapping[str, Mapping[str, Any]], figure: str) -> float | None:
    gained, possible = values[CHAMPION][figure] - values[RULES][figure], values[REFERENCE][figure] - values[RULES][figure]
    return round(gained / possible, 4) if possible > 0 else None


def _say(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
