"""Commands that sign for a month: close certify, close unlock."""

from typing import Annotated

import typer

from assets.cli import review
from assets.cli.month import close
from assets.cli.options import Config, Json
from assets.cli.output import say, say_json
from reconciliation.errors import LockedPeriodError
from reconciliation.review.decide import DecisionRequest, approved_unlocks, certifications, decide
from reconciliation.review.vocabulary import CERTIFY, PREPARER, REVIEWER, UNLOCK

Month = Annotated[str, typer.Argument(help="Accounting month, such as 2026-10.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    close.command("certify")(certify)
    close.command("unlock")(unlock)


def certify(
    period: Month,
    by: review.By,
    role: Annotated[str, typer.Option("--as", help=f"{PREPARER} or {REVIEWER}; the preparer first, the reviewer is somebody else.")] = PREPARER,
    package: Annotated[str, typer.Option("--package", help="The package that was read, by its hash or the first characters; default: the newest.")] = "",
    code: review.Code = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Certify the package of a month as preparer or as reviewer. Anything that changes the package takes new certifications.

    Example: reconcile close certify 2026-10 --as preparer --by anna
    """
    office = review.Office(config)
    situation = office.situation(period)
    is_newest = situation.package_hash.startswith(package)
    request = DecisionRequest(
        kind=CERTIFY,
        by=by,
        proof=review.ask_proof(code),
        at=review.now(),
        role=role,
        package_hash=situation.package_hash if is_newest else package,
    )
    entry = decide(office.log, request, situation)
    signed = certifications(office.log.entries(), period, situation.package_hash)
    missing = [one for one in (PREPARER, REVIEWER) if one not in signed]
    if json:
        say_json({"entry": entry.number, "period": period, "package": situation.package_hash, "missing": missing})
        return
    then = f"waits for the {missing[0]}" if missing else f"ready to lock: reconcile close lock {period}"
    say(f"entry {entry.number}: {period} certified by {entry.by} as {role} (package {situation.package_hash[:16]}…); {then}")


def unlock(
    period: Month,
    by: Annotated[str, typer.Option("--by", help="The reviewer who asks for it; left out to re-open a month that two have agreed to re-open.")] = "",
    reason: review.Reason = "",
    code: review.Code = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Re-open the last locked month: one reviewer asks with a reason, another approves, then this command re-opens it.

    Example: reconcile close unlock 2026-10 --by anna --reason "a sale was posted into October after the close"
    """
    from reconciliation.keeper import MonthKeeper

    office = review.Office(config)
    if by:
        entry = decide(office.log, DecisionRequest(kind=UNLOCK, by=by, proof=review.ask_proof(code), at=review.now(), reason=reason), office.situation(period))
        if json:
            say_json({"entry": entry.number, "period": period, "state": "locked", "needs_second": entry.body["needs_second"]})
        else:
            say(f"entry {entry.number}: waits for a second person: reconcile review decide approve {entry.number} --period {period} --by …")
            say(f"then: reconcile close unlock {period}")
        return
    if not approved_unlocks(office.log.entries(), period):
        raise LockedPeriodError(f"{period}: nobody has asked to re-open it, or no second person has agreed; ask with --by NAME --reason TEXT")
    MonthKeeper(lambda: office.settings).reopen(period)
    if json:
        say_json({"period": period, "state": "open"})
        return
    say(f"{period} is open again; next: reconcile run --period {period}")
