"""Commands of the classifier: train, evaluate."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from assets.cli.options import Config, Json
from assets.cli.output import say, say_json, tell
from reconciliation.errors import InputsMissingError

if TYPE_CHECKING:
    from reconciliation.classifier.examples import MonthRun, World
    from reconciliation.classifier.promotion import Evidence
    from reconciliation.classifier.versions import ModelVersion
    from reconciliation.config import Settings
    from reconciliation.pipeline import Reconciliation
    from reconciliation.review.log import DecisionLog

SAMPLE = Path("data/sample")
COLLECTED = Path("data/collected")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(collect)
    app.command()(train)
    app.command()(evaluate)
    versions = typer.Typer(no_args_is_help=True, help="Model versions: list, compare, promote with two people, roll back.")
    versions.command("list")(list_versions)
    for command in (compare, promote, approve, rollback):
        versions.command()(command)
    app.add_typer(versions, name="model")


def train(
    name: Annotated[str, typer.Option("--name", help="Name of the labeled data that is written to data/labeled/.")] = "simulated",
    companies: Annotated[
        int,
        typer.Option(
            "--companies", min=4, help="Simulated companies of each family; 8 or a multiple keep the parts in proportion, fewer than 16 prove no threshold."
        ),
    ] = 40,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same model.")] = 7,
    decisions: Annotated[
        bool,
        typer.Option(
            "--decisions", help="Learn from this company's reviewed months too, beside the labeled data of that name; with --pairs from its reviewed matches."
        ),
    ] = False,
    pairs: Annotated[bool, typer.Option("--pairs", help="Fit the pair scorer of the matching instead of the exception classifier.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Fit a new model version on simulated companies; whole families are held out and judged on. Takes about ten minutes on two cores for every 16 of --companies.

    It is a challenger until two people promote it: reconcile model.

    Example: reconcile train --seed 7
    """
    if pairs:
        _train_pairs(companies, seed, reviewed=_read_reviewed_pairs(config) if decisions else None, json=json)
        return
    if decisions:
        _train_with_decisions(config, name, json=json)
        return
    from reconciliation.classifier.examples import collect_examples, plan_worlds, thin_examples
    from reconciliation.classifier.training import Plan, train_version
    from reconciliation.simulation.families import FAMILIES, HELD_OUT

    worlds = plan_worlds(list(FAMILIES), companies=companies, seed=seed)
    tell(f"{len(worlds)} companies of {len(FAMILIES)} families; {', '.join(HELD_OUT)} are held out")
    examples = collect_examples(worlds, simulate=simulate_world, reconcile_company=reconcile_world, processes=os.cpu_count() or 1)
    kept = thin_examples(examples)
    tell(f"{examples.height} labeled breaks, {kept.height} of them kept; fitting")
    version = train_version(kept, plan=Plan(held_out=HELD_OUT), name=name)
    if json:
        say_json({"version": version.label})
        return
    say(f"{version.label}: see its card.md")


def collect(
    out: Annotated[Path, typer.Option("--out", help="Folder of one file per company; those already there are kept.")] = COLLECTED,
    companies: Annotated[int, typer.Option("--companies", min=1, help="Simulated companies of each family; more later goes on from what is there.")] = 100,
    seed: Annotated[int, typer.Option("--seed", help="Of the companies; other than that of the labeled data, which must not learn from itself.")] = 11,
    size: Annotated[int, typer.Option("--size", min=1, help="Times the payments of a usual company, which has 1,000 to 5,000.")] = 1,
    families: Annotated[list[str] | None, typer.Option("--family", help="Only companies of this family; may be repeated. Default: all.")] = None,
) -> None:
    """Collect labeled breaks of companies that nothing else uses, for the reference of evaluate; may be stopped and goes on where it stopped.

    About eight seconds of CPU a company of usual size, thirteen at five times the size.

    Example: reconcile collect --companies 400
    """
    from reconciliation.classifier.collecting import collect_parts
    from reconciliation.classifier.examples import plan_worlds
    from reconciliation.simulation.families import FAMILIES

    unknown = sorted(set(families or ()) - set(FAMILIES))
    if unknown:
        raise typer.BadParameter(f"no such family: {', '.join(unknown)}; there are {', '.join(FAMILIES)}", param_hint="--family")
    planned = plan_worlds(list(FAMILIES), companies=companies, seed=seed)
    drawn = [replace(world, payments=world.payments * size) for world in planned if not families or world.family in families]
    # Family by family in turns, so that a collection that was stopped is of all of them.
    worlds = sorted(drawn, key=lambda world: int(world.name.rsplit("_", 1)[-1]))
    made = 0
    for made, place in enumerate(collect_parts(worlds, out, simulate=simulate_world, reconcile_company=reconcile_world, processes=os.cpu_count() or 1), 1):
        tell(f"{place.name}, {made} made")
    say(f"{out}: {len(worlds)} companies, {made} of them new")


def _train_with_decisions(config: Path | None, name: str, *, json: bool) -> None:
    """Fit a challenger on labeled data and on what reviewers decided; its examples stay in the lake, beside the data they are about."""
    from reconciliation.classifier.examples import LABELED, read_labeled
    from reconciliation.classifier.own_labels import add_own_examples, as_examples, label_own_breaks, read_own_months
    from reconciliation.classifier.training import Plan, train_version
    from reconciliation.config import read_settings
    from reconciliation.lake import open_lake
    from reconciliation.simulation.families import HELD_OUT

    settings = read_settings(config)
    lake = open_lake(settings)
    months = {book.name: read_own_months(lake, book.name, before="9999-12") for book in settings.books}
    parts = [as_examples(label_own_breaks(own), company=f"own {book}") for book, own in months.items()]
    found = [part for part in parts if part.height]
    if not found:
        raise InputsMissingError(
            "no reviewed month has a later one beside it, so there is nothing to learn from; decide a month's breaks, lock it, reconcile the next"
        )
    own = pl.concat(found)
    tell(f"{own.height} breaks labeled by decisions, {int(own['is_true_exception'].sum())} of them true exceptions; fitting")
    examples = add_own_examples(read_labeled(LABELED / f"{name}.parquet"), own)
    version = train_version(examples, plan=Plan(held_out=HELD_OUT), name="with_decisions", labeled=lake.review_root().parent / "labeled")
    if json:
        say_json({"version": version.label, "own_breaks": own.height})
        return
    say(f"{version.label}: a challenger; see its card.md, then: reconcile model compare {version.version}")


def _read_reviewed_pairs(config: Path | None) -> pl.DataFrame:
    """Read the candidate pairs of this company's stored months that people matched or took apart."""
    from reconciliation.classifier.pair_training import label_reviewed_pairs
    from reconciliation.config import read_settings
    from reconciliation.lake import open_lake
    from reconciliation.matching.pool import ByHand
    from reconciliation.rates import Rates
    from reconciliation.review.effects import decisions_in_force
    from reconciliation.review.log import open_log

    settings = read_settings(config)
    lake = open_lake(settings)
    decisions = decisions_in_force(open_log(lake).entries())
    hands = ByHand(decisions.by_hand, decisions.apart)
    months = [tables for book in settings.books for scope in lake.scopes(f"month/{book.name}") if (tables := lake.tables(scope))]
    labeled = []
    for tables in months:
        items, references, members = (lake.load(tables[name]) for name in ("items", "references", "members"))
        labeled.append(label_reviewed_pairs(items, references, members, hands, rates=Rates()))
    found = [frame for frame in labeled if not frame.is_empty()]
    if not found:
        raise InputsMissingError(
            "nobody matched or took apart a line and a payment in a stored month, so there are no reviewed matches to learn from; train without --decisions"
        )
    return pl.concat(found)


def _train_pairs(companies: int, seed: int, *, reviewed: pl.DataFrame | None, json: bool) -> None:
    """Fit a version of the pair scorer."""
    from reconciliation.classifier.examples import plan_worlds
    from reconciliation.classifier.pair_training import collect_pairs, train_pair_scorer
    from reconciliation.simulation.families import FAMILIES, HELD_OUT

    worlds = plan_worlds(list(FAMILIES), companies=companies, seed=seed)
    tell(f"{len(worlds)} companies of {len(FAMILIES)} families; {', '.join(HELD_OUT)} are held out")
    learned, judged = collect_pairs(worlds, held_out=HELD_OUT, simulate=simulate_world, reconcile_company=reconcile_fully, processes=os.cpu_count() or 1)
    tell(f"{learned.height} labeled pairs, {judged.height} of held-out families; fitting")
    if reviewed is not None:
        tell(f"{reviewed.height} pairs that reviewers decided, {int(reviewed['is_match'].sum())} of them matches")
    weights = train_pair_scorer(learned, judged, reviewed=reviewed)
    if json:
        say_json({"version": f"pair_scorer/{weights.version}"})
        return
    say(f"pair_scorer/{weights.version}: see its card.md")


def evaluate(
    company: Annotated[Path, typer.Option("--company", help="Folder of a simulated company with its truth.")] = SAMPLE,
    model: Annotated[str, typer.Option("--model", help="A version under models/, or latest.")] = "latest",
    labeled: Annotated[str, typer.Option("--labeled", help="Name of the labeled data under data/labeled/; default: the version's own.")] = "",
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="Folder that reconcile collect filled; the reference learns from its companies too, and a learning curve is printed."),
    ] = None,
    json: Json = False,
) -> None:
    """Score a model version beside rules, logistic regression and a reference, then its matches and alerts in a simulated company.

    Example: reconcile evaluate --company data/sample
    """
    from reconciliation.classifier.collecting import read_parts
    from reconciliation.classifier.comparison import compare_models, render_comparison
    from reconciliation.classifier.examples import LABELED, read_labeled
    from reconciliation.classifier.versions import load_version

    if not (company / "truth").is_dir():
        raise InputsMissingError(f"{company}: no truth/ in it; only simulated companies have one: reconcile simulate --out {company}")
    version = load_version(model)
    file = LABELED / (f"{labeled}.parquet" if labeled else version.manifest["training_data"]["file"])
    examples = read_labeled(file)
    comparison = compare_models(version, examples, others=read_parts(reference, without=examples["break_id"]) if reference else None)
    figures = _judge(company, version)
    if json:
        say_json({"company": str(company), "model": version.label, "labeled": file.name, "comparison": comparison.to_json(), **figures})
        return
    say(f"{file.name}, model {version.label}")
    for line in render_comparison(comparison):
        say(line)
    say(f"\n{company}, model {version.label}")
    for name, value in figures.items():
        say(f"  {name.replace('_', ' '):<44}{value:>12}" if isinstance(value, int) else f"  {name.replace('_', ' '):<44}{value:>12.4f}")


def _judge(company: Path, version: "ModelVersion") -> dict[str, float | int]:
    """Judge a version's matches and alerts in a simulated company."""
    from reconciliation.classifier.against_truth import judge_company
    from reconciliation.classifier.labels import read_truth
    from reconciliation.classifier.verdicts import make_judge
    from reconciliation.close.show import show_nothing
    from reconciliation.simulation.dry_run import dry_company

    with dry_company(company, score=make_judge(version), show=show_nothing) as months:
        results = [month.result for month in months]
    truth, edges = read_truth(company)
    return judge_company(results, truth=truth, edges=edges)


def list_versions(config: Config = None, json: Json = False) -> None:
    """List the model versions, which one acts, and which promotions wait for a second person.

    Example: reconcile model list
    """
    from reconciliation.classifier.promotion import champion_in_force, load_acting_version, waiting_promotions
    from reconciliation.classifier.versions import load_version, version_numbers

    settings, log = _open_log(config)
    entries = log.entries()
    acting = load_acting_version(settings.classifier.model, entries).version
    rows = [
        {"version": number, "status": "acts" if number == acting else "challenger" if load_version(str(number)).is_challenger else "shipped"}
        for number in version_numbers()
    ]
    waiting = [{"entry": entry.number, "version": entry.body["version"], "by": entry.by} for entry in waiting_promotions(entries)]
    if json:
        say_json({"versions": rows, "promoted": champion_in_force(entries), "waiting": waiting})
        return
    for row in rows:
        say(f"version {row['version']}: {row['status']}")
    for entry in waiting:
        say(
            f"entry {entry['entry']}: version {entry['version']}, proposed by {entry['by']}, waits for another reviewer: reconcile model approve {entry['entry']}"
        )


def compare(version: Annotated[int, typer.Argument(help="The challenger.")], config: Config = None, json: Json = False) -> None:
    """Compare a challenger with the version that acts, on breaks that neither learned from, by a paired bootstrap over companies.

    Example: reconcile model compare 4
    """
    settings, log = _open_log(config)
    evidence = _evidence(settings, log, version)
    if json:
        say_json({**evidence.to_json(), "objections": list(evidence.objections)})
        return
    low, difference, high = evidence.missed_money
    say(f"version {evidence.challenger} against {evidence.champion}, {evidence.breaks:,} breaks with {evidence.exceptions:,} true exceptions")
    say(f"  missed money of true exceptions, 80 % cleared: {difference:+.2%} [{low:+.2%}, {high:+.2%}]")
    say("  may be promoted by two people" if not evidence.objections else "  may not be promoted: " + "; ".join(evidence.objections))


def promote(
    version: Annotated[int, typer.Argument(help="The challenger.")],
    by: Annotated[str, typer.Option("--by", help="The reviewer who proposes it.")],
    code: Annotated[str, typer.Option("--code", help="A one-time code.", prompt=True, hide_input=True)],
    config: Config = None,
) -> None:
    """Propose a challenger; it acts once another reviewer approves. Refused where the paired evidence does not suffice.

    Example: reconcile model promote 4 --by anna
    """
    from reconciliation.classifier.promotion import propose_promotion
    from reconciliation.classifier.versions import load_version
    from reconciliation.review.reviewers import OneTimeCode

    settings, log = _open_log(config)
    entry = propose_promotion(log, load_version(str(version)), _evidence(settings, log, version), by=by, proof=OneTimeCode(code), at=datetime.now(UTC))
    say(f"entry {entry.number}: version {version} waits for another reviewer: reconcile model approve {entry.number} --by NAME")


def approve(
    entry: Annotated[int, typer.Argument(help="Number of the proposal's entry.")],
    by: Annotated[str, typer.Option("--by", help="The second reviewer.")],
    code: Annotated[str, typer.Option("--code", help="A one-time code.", prompt=True, hide_input=True)],
    config: Config = None,
) -> None:
    """Approve a proposed version as a second person; the next run uses it.

    Example: reconcile model approve 12 --by ben
    """
    from reconciliation.classifier.promotion import approve_promotion
    from reconciliation.review.reviewers import OneTimeCode

    _, log = _open_log(config)
    approved = approve_promotion(log, entry, by=by, proof=OneTimeCode(code), at=datetime.now(UTC))
    say(f"entry {approved.number}: the next run uses the promoted version")


def rollback(
    by: Annotated[str, typer.Option("--by", help="The reviewer.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stays in the log.")],
    code: Annotated[str, typer.Option("--code", help="A one-time code.", prompt=True, hide_input=True)],
    config: Config = None,
) -> None:
    """Return to the version that acted before the last promotion.

    Example: reconcile model rollback --by anna --reason "too many false alarms since Tuesday"
    """
    from reconciliation.classifier.promotion import champion_in_force, roll_back
    from reconciliation.review.reviewers import OneTimeCode

    _, log = _open_log(config)
    entry = roll_back(log, by=by, proof=OneTimeCode(code), reason=reason, at=datetime.now(UTC))
    now = champion_in_force(log.entries())
    say(f"entry {entry.number}: version {entry.body['version']} is rolled back; {f'version {now}' if now else 'the shipped version'} acts again")


def _open_log(config: Path | None) -> "tuple[Settings, DecisionLog]":
    from reconciliation.config import read_settings
    from reconciliation.lake import open_lake
    from reconciliation.review.log import open_log

    settings = read_settings(config)
    return settings, open_log(open_lake(settings))


def _evidence(settings: "Settings", log: "DecisionLog", version: int) -> "Evidence":
    """Compare a challenger with the version that acts on the challenger's own labeled data."""
    from reconciliation.classifier.examples import LABELED, read_labeled
    from reconciliation.classifier.promotion import compare_versions, load_acting_version
    from reconciliation.classifier.versions import load_version

    champion, challenger = load_acting_version(settings.classifier.model, log.entries()), load_version(str(version))
    file = challenger.manifest["training_data"]["file"]
    places = [folder / file for folder in (LABELED, log.root.parent / "labeled") if (folder / file).exists()]
    return compare_versions(champion, challenger, read_labeled(places[0] if places else LABELED / file))


def simulate_world(world: "World", scratch: Path) -> Path:
    """Write a company below a folder; named here so that another process can call it."""
    from reconciliation.simulation.company import simulate_company
    from reconciliation.simulation.families import family_options, vary_books
    from reconciliation.simulation.writer import write_company

    folder = scratch / world.name
    options = family_options(world.family, seed=world.seed, payments=world.payments, months=3, first_period="2026-06", dirt_factor=world.dirt_factor)
    write_company(simulate_company(vary_books(options)), folder)
    return folder


def reconcile_world(folder: Path) -> "Sequence[MonthRun]":
    """Reconcile a company's months without a model."""
    from reconciliation.classifier.examples import as_month_run, undecided
    from reconciliation.close.show import show_nothing
    from reconciliation.simulation.dry_run import dry_company

    with dry_company(folder, score=undecided, show=show_nothing) as months:
        return [as_month_run(month.result) for month in months]


def reconcile_fully(folder: Path) -> "Sequence[Reconciliation]":
    """Reconcile a company's months without a model, and keep everything."""
    from reconciliation.classifier.examples import undecided
    from reconciliation.close.show import show_nothing
    from reconciliation.simulation.dry_run import dry_company

    with dry_company(folder, score=undecided, show=show_nothing) as months:
        return [month.result for month in months]
