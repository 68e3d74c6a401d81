"""The graph as Dagster sees it: partitions, jobs, schedule, sensors, instance."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

import assets.definitions
from assets import jobs
from assets.definitions import Overrides, build_defs
from assets.instance import CONFIGURATION, open_instance, prepare_home
from assets.instance_storage import KeptConnections, with_driver
from assets.partitions import RANGE_END_TAG, RANGE_START_TAG, book_month, build_partitions, split_book_month
from assets.resources import open_lake
from assets.sensors import HEADLESS_TAG, follow_month, follow_pull, inbox_state
from reconciliation.config import Settings, read_settings
from reconciliation.errors import SettingsError
from reconciliation.schemas.stripe import Payout

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 10, 15, 12, tzinfo=UTC)
TOML = """
[entity]
name = "E"
timezone = "Europe/London"
currency = "GBP"
[start]
period = "2026-08"
lookback_days = 10
"""


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "reconciliation.toml"
    path.write_text(TOML)
    return path


@pytest.fixture
def settings(config) -> Settings:
    return read_settings(config)


@pytest.fixture
def definitions(config) -> dg.Definitions:
    return build_defs(Overrides(config, now=lambda: NOW))


def only_settings(definitions: dg.Definitions) -> dict[str, object]:
    """Return what sensors and schedules take; the lake's lock is for runs."""
    return {"settings": definitions.resources["settings"]}


def month_run(job: str, partition: str, **tags: str) -> dg.DagsterRun:
    return dg.DagsterRun(job_name=job, tags={"dagster/partition": partition, **tags})


def reconciled(lake, *periods: str, book: str = "main") -> None:
    for period in periods:
        lake.publish(f"month/{book}/{period}", {})


def test_the_definitions_load_and_every_asset_belongs_to_a_stage(definitions):
    dg.Definitions.validate_loadable(definitions)
    groups = {definitions.resolve_asset_graph().get(key).group_name for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert groups == {"pull", "read", "match", "explain", "close"}


def test_every_asset_says_what_one_row_of_it_is(definitions):
    graph = definitions.resolve_asset_graph()
    said = {key.to_user_string(): graph.get(key).description or "" for key in graph.get_all_asset_keys()}
    assert [name for name, text in said.items() if not text.startswith("One ")] == []


def test_the_module_can_be_imported_without_settings_and_says_what_is_missing_when_it_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("RECONCILIATION_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(SettingsError, match="no settings file could be read"):
        assets.definitions.defs()


def test_days_begin_with_the_lookback_and_reach_today(settings):
    days = build_partitions(settings, now=NOW, clock=NOW).days_by_account.get_partitions_def_for_dimension("day").get_partition_keys(current_time=NOW)
    assert (days[0], days[-1]) == ("2026-07-22", "2026-10-15")


def test_days_and_months_reach_a_sandbox_whose_clock_is_ahead(settings):
    partitions = build_partitions(settings, now=NOW, clock=datetime(2027, 1, 4, 23, tzinfo=UTC))
    assert partitions.days_by_account.get_partitions_def_for_dimension("day").get_partition_keys(current_time=NOW)[-1] == "2027-01-04"
    assert partitions.months.get_partition_keys(current_time=NOW) == ["2026-08", "2026-09", "2026-10", "2026-11", "2026-12", "2027-01"]


def test_a_sandbox_whose_clock_is_behind_takes_nothing_away(settings):
    partitions = build_partitions(settings, now=NOW, clock=datetime(2026, 9, 1, tzinfo=UTC))
    assert partitions.months.get_partition_keys(current_time=NOW)[-1] == "2026-10"


def test_a_listed_calendar_gives_its_periods(tmp_path):
    (tmp_path / "periods.csv").write_text("period,first day,last day\n2026-08,2026-08-03,2026-08-30\n2026-09,2026-08-31,2026-10-04\n")
    (tmp_path / "reconciliation.toml").write_text(TOML + '[close]\ncalendar = "periods.csv"\n')
    listed = build_partitions(read_settings(tmp_path / "reconciliation.toml"), now=NOW, clock=NOW)
    assert listed.months.get_partition_keys() == ["2026-08", "2026-09"]
    assert listed.days_by_account.get_partitions_def_for_dimension("day").get_partition_keys(current_time=NOW)[0] == "2026-07-24"


def test_a_month_of_a_book_is_named_so_that_both_can_be_told_apart():
    assert split_book_month(book_month("main", "2026-10")) == ("main", "2026-10")


def test_the_night_asks_for_one_range_an_account(definitions, tmp_path):
    with open_instance(tmp_path) as instance:
        night = definitions.resolve_schedule_def("night")
        with dg.build_schedule_context(
            instance=instance, scheduled_execution_time=datetime(2026, 10, 15, 0, 15, tzinfo=UTC), resources=only_settings(definitions)
        ) as context:
            tick = night.evaluate_tick(context)
        [request] = tick.run_requests
        assert (request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]) == ("self|2026-07-22", "self|2026-10-15")
        assert request.run_key == "2026-10-15/self"
        assert instance.get_dynamic_partitions("stripe_account") == ["self"]
        assert instance.get_dynamic_partitions("book") == ["main"]
    assert night.cron_schedule == "15 1 * * *"
    assert night.execution_timezone == "Europe/London"


def test_a_pull_is_followed_by_the_first_open_month_of_the_accounts_books(settings, tmp_path):
    lake = open_lake(settings)
    lake.publish("pull/self", {}, facts={"pulled_through": NOW.isoformat()})
    pull = dg.DagsterRun(job_name=jobs.PULL, tags={RANGE_START_TAG: "self|2026-10-01", RANGE_END_TAG: "self|2026-10-15"})
    assert [(request.job_name, request.partition_key) for request in follow_pull(lake, settings, pull)] == [("reconcile", "main|2026-08")]
    lake.publish("lock/2026-08/main", {})
    assert [request.partition_key for request in follow_pull(lake, settings, pull)] == ["main|2026-09"]
    other = dg.DagsterRun(job_name=jobs.PULL, tags={RANGE_START_TAG: "acct_9|2026-10-01", RANGE_END_TAG: "acct_9|2026-10-15"})
    assert list(follow_pull(lake, settings, other)) == []


def test_a_month_is_followed_by_its_package_and_the_next_month_up_to_the_current_one(settings):
    lake = open_lake(settings)
    lake.publish("pull/self", {}, facts={"pulled_through": NOW.isoformat()})
    reconciled(lake, "2026-09", "2026-10")
    asked = [(request.job_name, request.partition_key) for request in follow_month(lake, settings, month_run(jobs.RECONCILE, "main|2026-09"))]
    assert asked == [("close", "2026-09"), ("reconcile", "main|2026-10")]
    assert [(request.job_name, request.partition_key) for request in follow_month(lake, settings, month_run(jobs.RECONCILE, "main|2026-10"))] == [
        ("close", "2026-10")
    ]


def test_a_package_waits_until_every_book_has_the_month(tmp_path):
    (tmp_path / "reconciliation.toml").write_text(TOML + '[[books]]\nname = "one"\n[[books]]\nname = "two"\nstripe_accounts = ["acct_2"]\n')
    settings = read_settings(tmp_path / "reconciliation.toml")
    lake = open_lake(settings)
    for account in ("self", "acct_2"):
        lake.publish(f"pull/{account}", {}, facts={"pulled_through": NOW.isoformat()})
    reconciled(lake, "2026-10", book="one")
    assert list(follow_month(lake, settings, month_run(jobs.RECONCILE, "one|2026-10"))) == []
    reconciled(lake, "2026-10", book="two")
    assert [request.job_name for request in follow_month(lake, settings, month_run(jobs.RECONCILE, "two|2026-10"))] == ["close"]


def test_the_inbox_asks_once_for_a_new_file(definitions, settings, tmp_path):
    inbox = definitions.resolve_sensor_def("inbox")
    file = settings.path(settings.ledger.inbox) / "2026-08.csv"
    file.parent.mkdir(parents=True)
    file.write_text("a,b\n")
    with open_instance(tmp_path) as instance:

        def evaluate(cursor: str | None) -> dg.SensorResult | dg.SkipReason:
            with dg.build_sensor_context(instance=instance, cursor=cursor, resources=only_settings(definitions)) as context:
                return inbox(context)

        early = evaluate(None)
        assert "Stripe was not pulled yet" in early.skip_message
        open_lake(settings).publish("pull/self", {}, facts={"pulled_through": NOW.isoformat()})
        first = evaluate(None)
        assert [request.partition_key for request in first.run_requests] == ["main|2026-08"]
        assert isinstance(evaluate(first.cursor), dg.SkipReason)
        file.write_text("a,b\n1,2\n")
        again = evaluate(first.cursor)
        assert [request.run_key == first.run_requests[0].run_key for request in again.run_requests] == [False]


def test_a_copy_still_under_way_is_no_new_file(settings):
    folder = settings.path(settings.bank.inbox)
    folder.mkdir(parents=True)
    for name in ("a.xml", ".b.xml", "c.xml.tmp", "d.part"):
        (folder / name).write_text("x")
    assert [Path(name).name for name in inbox_state(settings)] == ["a.xml"]


def test_the_nights_that_an_outage_missed_are_left_to_the_last_one(config, tmp_path):
    back = datetime(2026, 10, 15, 9, tzinfo=UTC)
    definitions = build_defs(Overrides(config, now=lambda: back))
    night = definitions.resolve_schedule_def("night")
    lake = open_lake(read_settings(config))
    lake.publish("pull/self", {}, facts={"pulled_through": datetime(2026, 10, 10, 1, tzinfo=UTC).isoformat()})
    lake.write_days("payouts", account="self", frame=Payout.create_empty().with_columns(local_day=pl.lit(None, dtype=pl.Date)), day_column="local_day", days=[])
    requested = []
    with open_instance(tmp_path) as instance:
        for day in (11, 12, 13, 14, 15):
            at = datetime(2026, 10, day, 0, 15, tzinfo=UTC)
            with dg.build_schedule_context(instance=instance, scheduled_execution_time=at, resources=only_settings(definitions)) as context:
                requested += night.evaluate_tick(context).run_requests
    [request] = requested
    assert (request.tags[RANGE_START_TAG] <= "self|2026-10-10", request.tags[RANGE_END_TAG]) == (True, "self|2026-10-15")


def test_runs_that_a_command_holds_in_its_own_hands_are_followed_by_nothing(definitions, settings):
    open_lake(settings).publish("pull/self", {}, facts={"pulled_through": NOW.isoformat()})
    reconciled(open_lake(settings), "2026-08")
    sensor = definitions.resolve_sensor_def("after_month")
    with dg.DagsterInstance.ephemeral() as instance:

        def requested(run: dg.DagsterRun) -> list[dg.RunRequest]:
            event = dg.DagsterEvent(event_type_value="PIPELINE_SUCCESS", job_name=run.job_name)
            context = dg.build_run_status_sensor_context("after_month", event, instance, run, resources=only_settings(definitions))
            return [request for request in sensor(context) if isinstance(request, dg.RunRequest)]

        assert requested(month_run(jobs.RECONCILE, "main|2026-08"))
        assert requested(month_run(jobs.RECONCILE, "main|2026-08", **{HEADLESS_TAG: "x"})) == []


def test_the_shipped_configuration_serves_the_command_and_a_server_alike():
    assert (ROOT / "deploy" / "dagster.yaml").read_bytes() == (ROOT / "assets" / CONFIGURATION).read_bytes()


def test_the_instance_reports_nothing_and_keeps_its_files_in_its_folder(tmp_path):
    with open_instance(tmp_path) as instance:
        assert instance.telemetry_enabled is False
        assert instance.nux_enabled is False
        assert isinstance(instance.event_log_storage, KeptConnections)
        assert instance.run_retries_enabled
        instance.add_dynamic_partitions("book", ["main"])
    home = prepare_home(tmp_path)
    assert home == tmp_path / ".dagster"
    assert (home / "storage").is_dir()
    with open_instance(tmp_path) as again:
        assert again.get_dynamic_partitions("book") == ["main"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql+psycopg2://u:p@h:5432/d"),
        ("postgres://h/d", "postgresql+psycopg2://h/d"),
        ("postgresql+psycopg2://h/d", "postgresql+psycopg2://h/d"),
    ],
)
def test_a_postgresql_address_names_the_driver_that_is_installed(url, expected):
    assert with_driver(url) == expected


def test_a_package_is_expected_every_night_in_the_books_zone(definitions):
    [policy] = {spec.freshness_policy for spec in definitions.resolve_all_asset_specs() if spec.key == dg.AssetKey("close_package")}
    assert (policy.deadline_cron, policy.lower_bound_delta, policy.timezone) == ("0 6 * * *", timedelta(hours=5), "Europe/London")


def test_blocking_checks_are_those_of_money_and_identity(definitions):
    specs = [spec for key in definitions.resolve_asset_graph().asset_check_keys for spec in [definitions.resolve_asset_graph().get(key)]]
    assert {(spec.key.asset_key.to_user_string(), spec.key.name) for spec in specs if spec.blocking} == {
        (table, "must_hold") for table in ("balance_transactions", "payouts", "ledger_lines", "bank_lines", "items", "breaks")
    }
    assert json.dumps(sorted(spec.key.name for spec in specs if not spec.blocking)) == json.dumps(["usually_holds"] * 7)
