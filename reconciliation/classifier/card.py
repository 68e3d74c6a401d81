"""A version's manifest -> its model card, in words a controller and an auditor can read. Generated, never edited."""

from collections.abc import Sequence
from typing import Any

PURPOSE = (
    "Says how likely it is that a break (a difference between Stripe, the ledger and the bank) is a **true exception**: that, without a person acting, "
    "the books would still be "
    "wrong. It ranks the review queue and chooses between the two causes that the facts of a break allow. It accepts nothing by itself: see the policy below."
)
LIMITS = (
    "Every label comes from **simulated companies**. No break of a real company has been judged by this version. The bound below holds for companies "
    "drawn like the simulated ones and says nothing certain about others; "
    "therefore nothing is ever accepted without a person on this certificate alone.",
    "Families of companies that were held out are the best stand-in for a new company. Judge the version by the worst row of the table, not the first.",
    "The breaks of one company resemble each other more than the binomial bound assumes, so the bound is somewhat too narrow.",
    "A mechanism that no simulated company has shows up, if at all, only through the features it happens to move. The row on mechanisms never learned "
    "is the measured answer.",
    "Late and lost postings look alike on the day they are judged. No model can tell them apart before time does, and this one does not pretend to.",
    "The match itself is taken as given: a wrong match is found only by the difference it leaves.",
)


def render_card(manifest: dict[str, Any]) -> str:
    """Write the model card of a version.

    Args:
        manifest: of `write_version`, with `version`, `certificates`, `metrics`, `probes`, `training_data`, `features`, `terms`.
    """
    parts = [
        f"# exception_classifier, version {manifest['version']}",
        "Generated from `manifest.json` by training; do not edit.",
        "## What it is for",
        PURPOSE,
        "## What it is",
        _describe_model(manifest),
        "## How good it is",
        _sets(manifest["metrics"]),
        "## What may be proposed for clearing",
        _certificates(manifest["certificates"]),
        "## What the rules decide and what the model decides",
        _decided(manifest["metrics"].get("decided", [])),
        "## Causes",
        _causes(manifest["metrics"]["causes"]),
        "## A mechanism it never met",
        _left_out(manifest["left_out"]),
        "## Segments",
        _segments(manifest["metrics"]["segments"]),
        "## Is the simulated world too easy?",
        _probes(manifest["probes"]),
        "## What it learned from",
        _data(manifest["training_data"], manifest["plan"]),
        "## Limits",
        "\n".join(f"- {limit}" for limit in LIMITS),
    ]
    return "\n\n".join(parts) + "\n"


def render_evaluation(metrics: dict[str, Any]) -> str:
    """Write the figures of `evaluate_version` for a terminal, as the card shows them.

    Args:
        metrics: what `evaluate_version` returned.
    """
    return "\n\n".join([_sets(metrics), _causes(metrics["causes"]), _segments(metrics["segments"])])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


def _describe_model(manifest: dict[str, Any]) -> str:
    pairs = ", ".join(f"`{term}`" for term in manifest["terms"] if " & " in term)
    names = ", ".join(f"`{feature['name']}`" for feature in manifest["features"])
    boosted = f"{manifest['boosted_share']:.0%}".replace("%", " %")
    return (
        f"An additive model (the weighted mean of an explainable boosting machine, {boosted}, and a logistic regression on binned features) of {len(manifest['features'])} features, stored as plain "
        "tables: the score of a break is the sum of one number per "
        f"table, so the reasons shown are the whole calculation. Seed {manifest['seed']}.\n\n"
        f"Features: {names}.\n\nPairs: {pairs or 'none'}."
    )


def _sets(metrics: dict[str, Any]) -> str:
    header = [
        "set",
        "breaks",
        "true exceptions",
        "PR-AUC",
        "recall when 80 % are cleared",
        "of money",
        "cleared at 99 % recall",
        "Brier",
        "ECE",
        "recall at the threshold",
        "cleared by it",
        "precision of alerts",
    ]
    names = ["pr_auc", "recall_at_clear", "money_recall_at_clear", "clear_at_recall", "brier", "calibration_error", "recall", "cleared", "alert_precision"]
    rows = [
        [name, f"{figures['breaks']:,}", f"{figures['exceptions']:,}", *(_figure(figures[key]) for key in names)] for name, figures in metrics["sets"].items()
    ]
    new = metrics["mechanisms_never_learned"]
    never = (
        f"True exceptions by mechanisms that it never learned from: {new['exceptions']:,} ({', '.join(new['causes']) or 'none'}); "
        f"recall at the threshold {_figure(new['recall'])}."
        if new["exceptions"]
        else "No true exception of a mechanism that it never learned from stands in the test sets."
    )
    return f"{table(header, rows)}\n\n**Worst set: {metrics['worst'] or 'none'}.** {never}"


def _certificates(certificates: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            f"{entry['target_recall']:.1%}",
            "none proven" if entry["threshold"] is None else f"{entry['threshold']:.6f}",
            f"{entry['exceptions']:,}",
            str(entry["misses"]) if entry["threshold"] is not None else "",
            f"{entry['recall_bound']:.3%}" if entry["threshold"] is not None else "",
            f"{entry['companies_below']} of {entry['companies']}" if entry["threshold"] is not None and "companies" in entry else "",
        ]
        for entry in certificates
    ]
    window = certificates[0]["window"] if certificates else ""
    text = (
        f"Calibration window: {window}. One-sided Clopper-Pearson bound at {certificates[0]['confidence']:.0%} confidence; the number of misses allowed "
        "was fixed before the scores were looked at, as was that of companies below the target: the bound is that of nine of ten companies. "
        if certificates
        else ""
    )
    policy = (
        "Breaks strictly below the threshold and below the materiality are proposed for clearing in copilot mode, a person confirms; observe accepts "
        "and proposes nothing; "
        "without a proven threshold nothing is proposed. Autonomous acceptance needs a certificate on the company's own audited labels, of which there "
        "are none, so it behaves as copilot and the report says so."
    )
    return f"{text}{policy}\n\n{table(['target recall', 'threshold', 'true exceptions', 'misses', 'recall at least', 'companies below'], rows)}"


def _decided(decided: Sequence[dict[str, Any]]) -> str:
    text = (
        "For every break the rules name, from facts, the expected cause and the true exception's cause that are possible. Where only one is possible, "
        "the rules have decided and the probability only ranks; "
        "the model chooses where both are. A cause that only rules name is a rule's merit or fault, and no figure above should be read as the model's "
        "skill at it."
    )
    if not decided:
        return text
    rows = [[str(entry["decided_by"]), f"{entry['breaks']:,}", f"{entry['exceptions']:,}", _figure(entry["pr_auc"])] for entry in decided]
    return f"{text}\n\n{table(['decided by', 'breaks (test sets)', 'true exceptions', 'PR-AUC within'], rows)}"


def _causes(causes: Sequence[dict[str, Any]]) -> str:
    rows = [
        [str(entry["true_cause"]), "true exception" if entry["is_true_exception"] else "ordinary", f"{entry['breaks']:,}", f"{entry['to_review']:.1%}"]
        for entry in causes
    ]
    return "Share of the breaks of each true cause that stays above the threshold and goes to a person (test sets together).\n\n" + table(
        ["cause", "", "breaks", "to a person"], rows
    )


def _left_out(left_out: Sequence[dict[str, Any]]) -> str:
    if not left_out:
        return "Not measured."
    rows = [[str(entry["cause"]), f"{entry['exceptions']:,}", _figure(entry["recall"])] for entry in left_out]
    text = (
        "The model was fitted, calibrated and certified again without each cause of true exceptions in turn; recall of that cause at the threshold of that fit."
    )
    return f"{text}\n\n{table(['cause left out', 'true exceptions in the test sets', 'recall'], rows)}"


def _segments(segments: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            str(entry["segment"]),
            str(entry["value"]),
            f"{entry['breaks']:,}",
            f"{entry['exceptions']:,}",
            *(_figure(entry[key]) for key in ("pr_auc", "recall", "cleared", "calibration_error")),
        ]
        for entry in segments
    ]
    note = "Segments of the test sets with at least 20 true exceptions; amount_decade is the power of ten of the amount in minor units."
    return f"{note}\n\n{table(['segment', 'value', 'breaks', 'true exceptions', 'PR-AUC', 'recall at the threshold', 'cleared', 'ECE'], rows)}"


def _probes(probes: dict[str, Any]) -> str:
    keys = ["base_rate", "champion_pr_auc", "challenger_pr_auc", "depth_3_tree_pr_auc", "shuffled_labels_pr_auc"]
    rows = [
        [{"test": "in-family", "held_out": "held-out families"}[role], *(_figure(probes[role][key]) for key in keys)]
        for role in ("test", "held_out")
        if role in probes
    ]
    strongest = ", ".join(f"`{name}` {area:.3f}" for name, area in probes["strongest_features_roc_auc"].items())
    return (
        "PR-AUC of this model, of a challenger (histogram gradient boosting) and of a tree of depth three; a tree above 80 % of the model means that "
        "rules would nearly do. With shuffled labels "
        f"the challenger must fall to the base rate.\n\n{table(['set', 'base rate', 'this model', 'challenger', 'depth-3 tree', 'shuffled labels'], rows)}\n\n"
        f"Strongest single features (area under ROC): {strongest}."
    )


def _data(data: dict[str, Any], plan: dict[str, Any]) -> str:
    rows = [[str(part["role"]), str(part["family"]), f"{part['companies']:,}", f"{part['breaks']:,}", f"{part['exceptions']:,}"] for part in data["parts"]]
    months = f"{data['periods'][0]} to {data['periods'][-1]}" if data["periods"] else ""
    kept = f"; mechanisms kept out of learning: {', '.join(plan['zero_day'])}" if plan["zero_day"] else ""
    return (
        f"`data/labeled/{data['file']}` (SHA-256 `{data['sha256']}`): {data['rows']:,} labeled breaks of {data['companies']:,} simulated companies, {months}; "
        f"held-out families: {', '.join(plan['held_out'])}{kept}. {_population(data)}\n\n{table(['part', 'family', 'companies', 'breaks', 'true exceptions'], rows)}"
    )


def _population(data: dict[str, Any]) -> str:
    return (
        f"{data['breaks_not_named_by_truth']:,} breaks have no item that the truth names: the matching left open what belongs together. They count as ordinary."
    )


def _figure(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
