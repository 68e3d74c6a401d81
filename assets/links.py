"""Tables of an asset's page -> links to where people decide: relative, so that they work wherever the server stands."""

import json
from collections.abc import Sequence
from urllib.parse import urlencode

import dagster as dg

from assets.metadata import Metadata
from reconciliation.close.summaries import Frame, riskiest_breaks

JOB = "review"
PAGE = "/review/"
LOCATION = "reconciliation"
"""The code location's name, as in `workspace.yaml`; links to the Launchpad carry it."""


def link_review(breaks: Frame, period: str) -> Metadata:
    """Lead from a table of breaks to the page where they are decided, and to the job, pre-filled with the riskiest one."""
    listed = riskiest_breaks(breaks)
    address = f"{PAGE}?{urlencode({'month': period})}"
    job = launchpad_address(period, listed["break_id"].to_list()[:1])
    text = f"[Review {breaks.height:,} cases]({address}), [by root cause]({address}&tab=root), [what waits for a second person]({address}&tab=second), or decide [as a job]({job})."
    return {"review": dg.MetadataValue.md(text)}


def launchpad_address(period: str, breaks: Sequence[str]) -> str:
    """Return the address of the Launchpad with a decision filled in but for its code."""
    config = {"ops": {"decide": {"config": {"period": period, "decision": "ACCEPT", "breaks": list(breaks), "reason": "", "reviewer": "", "code": ""}}}}
    return f"/locations/{LOCATION}/jobs/{JOB}/playground/setup?{urlencode({'config': json.dumps(config, indent=1)})}"
