"""The main job, headless: what it runs, what it leaves, and how it refuses."""

import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import fastexcel
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assets import jobs
from assets.partitions import RANGE_END_TAG, RANGE_START_TAG
from assets.planning import pulled_through
from assets.run import HEADLESS_TAG, free_dead_runs, run_month
from reconciliation.classifier.examples import undecided
from reconciliation.connectors.stripe.pull import Pulled, pull_balance_transactions
from reconciliation.errors import BusyError, DefectError, IncompletePullError, InputsMissingError, LockedPeriodError
from reconciliation.lake import Lake
from reconciliation.money import format_minor
from reconciliation.months import lock_month, month_scope
from reconciliation.simulation.dry_run import dry_company

MONTH, NEXT = "2026-08", "2026-09"
TABLES = ("items", "references", "members", "open_items", "breaks", "features", "balances", "journals", "statement")


def run(workplace, instance, core, period=MONTH, **options):
    return run_month(workplace.config, period, instance=instance, stripe=workplace.stripe, core=core, **options)


def jobs_run(instance) -> Counter[str]:
    return Counter(record.job_name for record in instance.get_runs())


def test_a_month_is_one_pull_one_reconciliation_and_one_package(reconciled):
    workplace, instance = reconciled
    assert jobs_run(instance) == {jobs.PULL: 1, jobs.RECONCILE: 1, jobs.CLOSE: 1}
    assert (workplace.folder / "close" / MONTH / "draft" / "manifest.json").is_file()


def test_a_range_of_days_is_pulled_as_one_run_and_every_day_is_noted(reconciled):
    workplace, instance = reconciled
    [pull] = [record for record in instance.get_runs() if record.job_name == jobs.PULL]
    first, last = pull.tags[RANGE_START_TAG].split("|")[1], pull.tags[RANGE_END_TAG].split("|")[1]
    noted = instance.get_materialized_partitions(dg.AssetKey("balance_transactions"))
    clock_day = workplace.settings.calendar.local_day(workplace.stripe.reader().clock())
    assert last == str(clock_day)
    assert min(noted).split("|") == ["self", first]
    assert len(noted) == (clock_day - workplace.settings.calendar.first_day(MONTH)).days + 1 + workplace.settings.start.lookback_days


def test_the_graph_and_the_pipeline_give_equal_frames(reconciled):
    workplace, _ = reconciled
    with dry_company(workplace.company, score=undecided) as months:
        expected = next(iter(months)).result
    for table in TABLES:
        stored = workplace.lake.read(month_scope("main", MONTH), table)
        assert stored is not None
        assert_frame_equal(stored, getattr(expected, table), check_row_order=False, check_exact=True)


def test_no_key_and_no_row_of_a_file_reach_dagsters_storage(reconciled):
    workplace, _ = reconciled
    stored = b"".join(path.read_bytes() for path in (workplace.folder / ".dagster").rglob("*") if path.is_file())
    lines, breaks = (workplace.lake.read(scope, table) for scope, table in (("work/main/" + MONTH, "ledger_lines"), (month_scope("main", MONTH), "breaks")))
    names = set(lines["counterparty"]) | set(lines["document"]) - {""}
    shown = set(breaks["reference"])
    assert b"close_package" in stored
    assert b"rk_test_orchestration" not in stored
    assert sorted(name for name in names - shown if name and name.encode() in stored) == []


def test_every_asset_says_how_many_rows_came_in_went_out_and_were_set_aside(reconciled):
    _, instance = reconciled
    for table in ("balance_transactions", "payouts", "ledger_lines", "bank_lines", "items", "matches", "breaks", "journal_entries"):
        event = instance.get_latest_materialization_event(dg.AssetKey(table))
        assert event is not None
        metadata = event.asset_materialization.metadata
        assert {"rows_in", "rows_out", "rows_quarantined"} <= metadata.keys(), table
        assert metadata["rows_out"].value > 0, table
    assert any(name.startswith("money_") for name in metadata)


def test_the_statement_is_shown_inline_with_a_picture_that_needs_no_network(reconciled):
    _, instance = reconciled
    event = instance.get_latest_materialization_event(dg.AssetKey("statement"))
    metadata = event.asset_materialization.metadata
    assert metadata["statement"].value.startswith("| currency | Stripe | ledger | difference | unexplained |")
    assert len(metadata["statement"].value) < 1000
    by_cause = [record.data for record in metadata["difference_by_cause"].records]
    assert by_cause
    assert all("." not in row["cause"] and "_" not in row["cause"] for row in by_cause)
    picture = metadata["bridge"].value
    assert picture.startswith("![difference by cause](data:image/svg+xml;base64,")
    assert len(picture) < 70_000


@pytest.mark.parametrize(
    ("table", "name", "heading"),
    [
        ("breaks", "most_at_risk", "at risk"),
        ("balances", "balances", "ledger closing"),
        ("matches", "found_by", "found by"),
        ("open_items", "open", "oldest"),
        ("completeness_proofs", "proofs", "why"),
    ],
)
def test_a_page_shows_a_short_table_headed_in_the_words_of_finance(reconciled, table, name, heading):
    _, instance = reconciled
    shown = instance.get_latest_materialization_event(dg.AssetKey(table)).asset_materialization.metadata[name]
    assert 0 < len(shown.records) <= 50
    assert heading in shown.records[0].data
    assert heading in [column.name for column in shown.schema.columns]


def test_nothing_is_pulled_again_while_the_servers_clock_stands_still(workplace, instance, core):
    run(workplace, instance, core)
    told = []
    run(workplace, instance, core, tell=told.append)
    assert jobs_run(instance)[jobs.PULL] == 1
    assert "nothing to read" in told[0]


def test_a_later_month_recomputes_the_open_months_before_it_in_order(workplace, instance, core):
    workplace.deliver(NEXT)
    assert run(workplace, instance, core, NEXT).months == (MONTH, NEXT)


def test_a_locked_month_is_not_recomputed_and_is_refused_by_name(workplace, instance, core):
    run(workplace, instance, core)
    lock_month(workplace.lake, workplace.settings, MONTH)
    workplace.deliver(NEXT)
    assert run(workplace, instance, core, NEXT).months == (NEXT,)
    with pytest.raises(LockedPeriodError, match=MONTH):
        run(workplace, instance, core)


def test_a_month_under_way_is_cut_at_the_day_named(workplace, instance, core):
    day = workplace.settings.calendar.first_day(MONTH) + timedelta(days=9)
    run(workplace, instance, core, as_of=day)
    assert workplace.lake.facts(month_scope("main", MONTH))["cut_off_on"] == str(day)


def test_a_broken_rule_that_must_hold_stops_the_job_before_anything_is_published(workplace, instance, core):
    def twice(*arguments, **named) -> Pulled:
        pulled = pull_balance_transactions(*arguments, **named)
        return replace(pulled, frame=pl.concat([pulled.frame, pulled.frame.head(3)]))

    with pytest.raises(DefectError, match="balance_transactions: stripe_account_and_balance_transaction_id_are_unique: 6 of"):
        run(workplace, instance, replace(core, pull_balance_transactions=twice))
    assert pulled_through(workplace.lake, "self") is None
    assert jobs_run(instance) == {jobs.PULL: 1}
    assert not (workplace.folder / "close").exists()


def test_a_refusal_of_the_core_reaches_the_caller_as_it_was_said(workplace, instance, core):
    def refuse(lake, settings):
        raise InputsMissingError("inbox/ledger: no ledger export; drop it there")

    with pytest.raises(InputsMissingError, match=r"^inbox/ledger: no ledger export; drop it there$"):
        run(workplace, instance, replace(core, read_inboxes=refuse))
    assert [record.status for record in instance.get_runs() if record.job_name == jobs.RECONCILE] == [dg.DagsterRunStatus.FAILURE]


def test_a_short_pull_is_refused_unless_it_is_accepted(workplace, instance, core):
    def short(*arguments, **named) -> Pulled:
        pulled = pull_balance_transactions(*arguments, **named)
        return replace(pulled, frame=pulled.frame.filter(pl.col("reporting_category") != "refund"), raw=())

    losing = replace(core, pull_balance_transactions=short)
    with pytest.raises(IncompletePullError, match=r"account self, GBP payments: .* txn_\w+ of "):
        run(workplace, instance, losing)
    assert not (workplace.folder / "close").exists()
    run(workplace, instance, losing, accept_incomplete=True)
    assert workplace.lake.facts(month_scope("main", MONTH))["accepted_incomplete"] is True
    # Every page says so, and those of a whole pull do not.
    assert {last_column(file) for file in pages(workplace)} == {"incomplete_pull"}
    assert {is_marked(text) for text in shown_pages(workplace)} == {True}


def test_the_pages_of_a_whole_pull_bear_no_mark(reconciled):
    assert "incomplete_pull" not in {last_column(file) for file in pages(reconciled[0])}
    assert {is_marked(text) for text in shown_pages(reconciled[0])} == {False}


def pages(workplace) -> list[Path]:
    found = sorted((workplace.folder / "close" / MONTH / "draft").glob("*.csv"))
    assert len(found) >= 8
    return found


def shown_pages(workplace) -> list[str]:
    """Return the report, and the printed head and the title of each tab of the workbook."""
    draft = workplace.folder / "close" / MONTH / "draft"
    with zipfile.ZipFile(draft / "workbook.xlsx") as parts:
        sheets = [parts.read(name).decode() for name in parts.namelist() if name.startswith("xl/worksheets/sheet")]
    heads = [re.search("<oddHeader>(.*)</oddHeader>", sheet)[1] for sheet in sheets]
    book = fastexcel.read_excel(draft / "workbook.xlsx")
    titles = [book.load_sheet(name, header_row=None, n_rows=1, dtypes="string").to_polars().item(0, 0) for name in book.sheet_names]
    assert len(heads) == len(titles) == 14
    return [(draft / "report.html").read_text(encoding="utf-8"), *heads, *titles]


def is_marked(text: str) -> bool:
    return "DATA IS NOT COMPLETE" in text


def last_column(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig").splitlines()[0].split(",")[-1]


def test_reports_in_the_inbox_stand_for_lists_and_give_the_same_month(reconciled, workplace, instance, core):
    listed = reconciled[0].lake.read_days("balance_transactions", account="self")
    rows = listed.filter(~pl.col("type").str.starts_with("payout")).sort("created_at")
    inbox = workplace.folder / "data" / "inbox" / "stripe_history"
    inbox.mkdir(parents=True)
    for currency in rows["currency"].unique().sort():
        of_currency = rows.filter(currency=currency)
        (inbox / f"{currency}.csv").write_text(as_report(of_currency))
    asked = []

    def reading(*arguments, **named) -> Pulled:
        pulled = pull_balance_transactions(*arguments, **named)
        asked.append((pulled, named["history"]))
        return pulled

    run(workplace, instance, replace(core, pull_balance_transactions=reading))
    [(pulled, history)] = asked
    assert sum(span.end - span.begin for span in history.covered) > 30 * 86_400
    said = ["balance_transaction_id", "net_minor", "fee_minor", "type", "source_id", "created_at"]
    assert_frame_equal(pulled.frame.select(said), listed.select(said), check_row_order=False)
    balances = [place.lake.read(month_scope("main", MONTH), "balances") for place in (workplace, reconciled[0])]
    assert_frame_equal(*balances)


def as_report(rows: pl.DataFrame) -> str:
    """Write rows as Stripe's itemised reports of activity are written."""
    money = {"gross": "amount_minor", "fee": "fee_minor", "net": "net_minor"}
    cells = rows.select(
        "balance_transaction_id", pl.col("created_at").dt.strftime("%Y-%m-%d %H:%M:%S").alias("created_utc"), pl.col("available_at").dt.strftime("%Y-%m-%d").alias("available_on_utc"),
        "currency", "reporting_category", "source_id", "description", *(pl.col(column).alias(name) for name, column in money.items()),
    )  # fmt: skip
    for name in money:
        cells = cells.with_columns(pl.Series(name, [format_minor(minor, currency) for minor, currency in cells.select(name, "currency").rows()]))
    return cells.write_csv()


def test_without_a_pull_the_lake_must_hold_one(workplace, instance, core):
    with pytest.raises(InputsMissingError, match="run without --no-pull"):
        run(workplace, instance, core, pull=False)
    run(workplace, instance, core)
    run(workplace, instance, core, pull=False)


HOLDER = "import pathlib, sys, time; from reconciliation.lake import Lake\nwith Lake(pathlib.Path(sys.argv[1])).writer(wait_seconds=0):\n    print('held', flush=True); time.sleep(60)"


def hold(lake: Lake) -> subprocess.Popen[str]:
    """Hold the lake's lock in another process, as a run elsewhere does."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(lake.root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_run_waits_for_the_lake_and_then_says_who_holds_it(workplace, instance, core):
    with hold(workplace.lake) as other:
        began = time.monotonic()
        with pytest.raises(BusyError, match=f"process {other.pid}"):
            run(workplace, instance, core, wait_seconds=0.3)
        assert 0.3 <= time.monotonic() - began < 10
        other.kill()


def test_a_killed_run_frees_the_lake_by_itself(workplace, instance, core):
    with hold(workplace.lake) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    run(workplace, instance, core, wait_seconds=0)


def test_runs_that_a_killed_command_left_open_are_closed_by_the_next_one(workplace, instance, core):
    left = dg.DagsterRun(job_name=jobs.PULL, tags={HEADLESS_TAG: str(workplace.lake.root.resolve())}, status=dg.DagsterRunStatus.STARTED)
    elsewhere = dg.DagsterRun(job_name=jobs.PULL, tags={HEADLESS_TAG: "/another/lake"}, status=dg.DagsterRunStatus.STARTED)
    instance.add_run(left)
    instance.add_run(elsewhere)
    assert free_dead_runs(instance, workplace.lake) == 1
    statuses = {record.run_id: record.status for record in instance.get_runs()}
    assert statuses == {left.run_id: dg.DagsterRunStatus.FAILURE, elsewhere.run_id: dg.DagsterRunStatus.STARTED}


def test_everything_a_run_leaves_lies_in_the_folders_it_was_given(workplace, instance, core, monkeypatch, tmp_path):
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    monkeypatch.chdir(empty)
    run(workplace, instance, core)
    assert list(Path.cwd().iterdir()) == []
