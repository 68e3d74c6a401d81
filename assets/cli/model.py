"""Commands of the classifier: train, evaluate."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assets.cli.options import Json
from assets.cli.output import say, say_json, tell
from reconciliation.errors import InputsMissingError

if TYPE_CHECKING:
    from reconciliation.classifier.training import MonthRun, World
    from reconciliation.pipeline import Reconciliation

SAMPLE = Path("data/sample")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)
    app.command()(evaluate)


def train(
    name: Annotated[str, typer.Option("--name", help="Name of the labeled data that is written to data/labeled/.")] = "simulated",
    companies: Annotated[int, typer.Option("--companies", min=4, help="Simulated companies of each family; 8 or a multiple keep the parts in proportion.")] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same model.")] = 7,
    pairs: Annotated[bool, typer.Option("--pairs", help="Fit the pair scorer of the matching instead of the exception classifier.")] = False,
    json: Json = False,
) -> None:
    """Fit a new model version on simulated companies; whole families are held out and judged on. Takes about half an hour on two cores.

    Example: reconcile train --companies 8 --seed 7
    """
    if pairs:
        _train_pairs(companies, seed, json=json)
        return
    from reconciliation.classifier.training import Plan, collect_examples, plan_worlds, thin_examples, train_version
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


def _train_pairs(companies: int, seed: int, *, json: bool) -> None:
    """Fit a version of the pair scorer."""
    from reconciliation.classifier.pair_training import collect_pairs, train_pair_scorer
    from reconciliation.classifier.training import plan_worlds
    from reconciliation.simulation.families import FAMILIES, HELD_OUT

    worlds = plan_worlds(list(FAMILIES), companies=companies, seed=seed)
    tell(f"{len(worlds)} companies of {len(FAMILIES)} families; {', '.join(HELD_OUT)} are held out")
    learned, judged = collect_pairs(worlds, held_out=HELD_OUT, simulate=simulate_world, reconcile_company=reconcile_fully, processes=os.cpu_count() or 1)
    tell(f"{learned.height} labeled pairs, {judged.height} of held-out families; fitting")
    weights = train_pair_scorer(learned, judged)
    if json:
        say_json({"version": f"pair_scorer/{weights.version}"})
        return
    say(f"pair_scorer/{weights.version}: see its card.md")


def evaluate(
    company: Annotated[Path, typer.Option("--company", help="Folder of a simulated company with its truth.")] = SAMPLE,
    model: Annotated[str, typer.Option("--model", help="A version under models/, or latest.")] = "latest",
    json: Json = False,
) -> None:
    """Score the matches and a model version against the truth of a simulated company.

    Example: reconcile evaluate --company data/sample
    """
    from reconciliation.classifier.against_truth import judge_company
    from reconciliation.classifier.labels import read_truth
    from reconciliation.classifier.verdicts import make_judge
    from reconciliation.classifier.versions import load_version
    from reconciliation.simulation.dry_run import dry_company

    if not (company / "truth").is_dir():
        raise InputsMissingError(f"{company}: no truth/ in it; only simulated companies have one: reconcile simulate --out {company}")
    version = load_version(model)
    with dry_company(company, score=make_judge(version)) as months:
        results = [month.result for month in months]
    truth, edges = read_truth(company)
    figures = judge_company(results, truth=truth, edges=edges)
    if json:
        say_json({"company": str(company), "model": version.label, **figures})
        return
    say(f"{company}, model {version.label}")
    for name, value in figures.items():
        say(f"  {name.replace('_', ' '):<44}{value:>12}" if isinstance(value, int) else f"  {name.replace('_', ' '):<44}{value:>12.4f}")


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
    from reconciliation.classifier.training import as_month_run, undecided
    from reconciliation.simulation.dry_run import dry_company

    with dry_company(folder, score=undecided) as months:
        return [as_month_run(month.result) for month in months]


def reconcile_fully(folder: Path) -> "Sequence[Reconciliation]":
    """Reconcile a company's months without a model, and keep everything."""
    from reconciliation.classifier.training import undecided
    from reconciliation.simulation.dry_run import dry_company

    with dry_company(folder, score=undecided) as months:
        return [month.result for month in months]
