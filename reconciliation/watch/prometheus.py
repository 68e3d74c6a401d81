"""Samples -> the text that Prometheus reads (exposition format 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from collections.abc import Iterable

from reconciliation.watch.measures import Sample

PREFIX = "reconciliation_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HELP = {
    "auto_clear_audit": "Acceptances without a person in earlier months, and of them drawn, looked at and found wrong.",
    "auto_clear_sample": "The month's own sample of acceptances without a person, by what a person found.",
    "auto_clear_wrong_share_at_most": "Share of acceptances without a person that is wrong at most, at 95 % confidence.",
    "complete_through_timestamp_seconds": "How far a source reaches, as seconds since 1970.",
    "completeness_proofs": "Proofs that the pull is complete, by result.",
    "difference_amount": "Stripe less ledger at the cut-off.",
    "exceptions": "Breaks that a person must look at, by age.",
    "exceptions_amount": "Their absolute amounts.",
    "exceptions_money_at_risk": "Their absolute amounts times the probability of a true exception.",
    "items": "Items of the month: components, ledger lines, bank lines, carried ones.",
    "last_success_timestamp_seconds": "When a job last ended well, as seconds since 1970.",
    "match_rate": "Share of the items that stand in a match.",
    "matched_items": "Items that stand in a match.",
    "policy_alarms": "Why acceptance without a person is suspended: drift, findings of the audit.",
    "policy_dispositions": "Breaks by what the policy made of them.",
    "pull_lag_seconds": "Time since the instant up to which an account is pulled.",
    "run_seconds": "How long the last finished run of a job took.",
    "runs": "Runs that Dagster keeps, by job and status.",
    "undetermined_amount": "The part of the difference whose cause nobody knows.",
    "unexplained_amount": "The part of the difference that no line stands behind.",
}


def to_prometheus(samples: Iterable[Sample]) -> str:
    r"""Write samples by name, each name with its help.

    >>> print(to_prometheus([Sample("match_rate", (("book", 'a"b'),), "0.5")]), end="")
    # HELP reconciliation_match_rate Share of the items that stand in a match.
    # TYPE reconciliation_match_rate gauge
    reconciliation_match_rate{book="a\"b"} 0.5
    """
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines = []
    for name, some in sorted(by_name.items()):
        lines += [f"# HELP {PREFIX}{name} {HELP[name]}", f"# TYPE {PREFIX}{name} gauge", *(_line(sample) for sample in some)]
    return "".join(f"{line}\n" for line in lines)


def _line(sample: Sample) -> str:
    labels = ",".join(f'{name}="{_escape(value)}"' for name, value in sample.labels)
    return f"{PREFIX}{sample.name}{{{labels}}} {sample.value}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
