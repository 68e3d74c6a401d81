"""A reader sees the old state or the new one; what no manifest names is swept."""

import subprocess
import sys
import textwrap
from datetime import date

import polars as pl
import pytest

from reconciliation.errors import BusyError, SettingsError
from reconciliation.lake import Lake


def rows(*days):
    return pl.DataFrame({"id": [f"t{day}" for day in days], "day": [date(2026, 10, day) for day in days]}, schema={"id": pl.String, "day": pl.Date})


def test_days_are_replaced_one_by_one_and_the_last_writing_counts(tmp_path):
    lake = Lake(tmp_path)
    lake.write_days("t", account="self", frame=rows(1, 2, 2), day_column="day", days=[date(2026, 10, 1), date(2026, 10, 2), date(2026, 10, 3)])
    lake.write_days("t", account="self", frame=rows(2), day_column="day", days=[date(2026, 10, 2)])
    assert lake.read_days("t", account="self")["id"].sort().to_list() == ["t1", "t2"]
    assert lake.pulled_days("t", account="self") == {date(2026, 10, day) for day in (1, 2, 3)}


@pytest.mark.parametrize(("limit", "again"), [(2**20, 0), (0, 2)], ids=["small", "too large to remember"])
def test_days_that_stand_are_read_once_by_a_process_and_anew_when_one_was_written(limit, again, tmp_path, monkeypatch):
    lake, load, loaded = Lake(tmp_path), Lake._load, []
    monkeypatch.setattr("reconciliation.lake.REMEMBERED_BYTES", limit)
    monkeypatch.setattr(Lake, "_load", lambda self, file, columns=None: loaded.append(file) or load(self, file, columns))
    for day in (1, 2):
        lake.write_days("t", account="self", frame=rows(day), day_column="day", days=[date(2026, 10, day)])
    assert lake.read_days("t", account="self")["id"].sort().to_list() == ["t1", "t2"]
    loaded.clear()
    assert lake.read_days("t", account="self")["id"].sort().to_list() == ["t1", "t2"]
    assert len(loaded) == again
    assert lake.read_days("t", account="self", last=date(2026, 10, 1))["id"].to_list() == ["t1"]
    lake.write_days("t", account="self", frame=rows(2, 2), day_column="day", days=[date(2026, 10, 2)])
    loaded.clear()
    assert lake.read_days("t", account="self")["id"].sort().to_list() == ["t1", "t2", "t2"]
    assert len(loaded) == max(again, 1), "of the days that stand only the new one is read"


def test_nothing_pulled_is_none_and_an_empty_day_is_an_empty_frame(tmp_path):
    lake = Lake(tmp_path)
    assert lake.read_days("t", account="self") is None
    lake.write_days("t", account="self", frame=rows(), day_column="day", days=[date(2026, 10, 1)])
    assert lake.read_days("t", account="self").height == 0


def test_sweeping_removes_only_what_no_manifest_names(tmp_path):
    lake = Lake(tmp_path)
    lake.stage("t", rows(1))
    kept = lake.stage("t", rows(2))
    lake.publish("month/main/2026-10", {"t": kept})
    assert lake.sweep() == 1
    assert lake.read("month/main/2026-10", "t")["id"].to_list() == ["t2"]


def test_raw_responses_stay_where_later_readings_replaced_them(tmp_path):
    lake, days = Lake(tmp_path), [date(2026, 10, 1)]
    for page in (b"first", b"second"):
        lake.write_days("t", account="self", frame=readings(("dp_1", page.decode(), days[0])), day_column="day", days=days, raw=[page])
    for page in (b"third", b"fourth"):
        lake.amend_days("t", account="self", frame=readings(("dp_1", page.decode(), days[0])), day_column="day", key=["id"], raw=[page])
    raw = sorted(path.name for path in (tmp_path / "files" / "raw").iterdir())
    assert len(raw) == 4
    assert lake.sweep() > 0
    assert sorted(path.name for path in (tmp_path / "files" / "raw").iterdir()) == raw
    assert lake.read_days("t", account="self")["status"].to_list() == ["fourth"]


def test_another_time_zone_on_a_lake_that_holds_data_is_refused(tmp_path):
    Lake(tmp_path).prepare(time_zone="Europe/London")
    with pytest.raises(SettingsError, match="Europe/Berlin"):
        Lake(tmp_path).prepare(time_zone="Europe/Berlin")


def test_a_second_writer_waits_and_then_fails_with_a_clear_word(tmp_path):
    holder = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from reconciliation.lake import Lake
        with Lake(Path({str(tmp_path)!r})).writer(wait_seconds=0):
            print("held", flush=True)
            sys.stdin.read()
    """)
    process = subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(BusyError, match=str(process.pid)), Lake(tmp_path).writer(wait_seconds=0.2):
        pass
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    with Lake(tmp_path).writer(wait_seconds=0):
        pass


def readings(*rows):
    return pl.DataFrame(list(rows), schema={"id": pl.String, "status": pl.String, "day": pl.Date}, orient="row")


def test_newer_readings_replace_rows_of_their_days_and_nothing_else(tmp_path):
    lake, days = Lake(tmp_path), [date(2026, 10, day) for day in (1, 2, 3)]
    first, second, third = days
    kept = ("dp_2", "won", second), ("dp_3", "open", third)
    lake.write_days("t", account="self", frame=readings(("dp_1", "open", first), *kept), day_column="day", days=days, raw=[b"page"])
    newer = readings(("dp_1", "lost", first), ("dp_0", "won", date(2026, 2, 1)), ("dp_9", "open", date(2026, 12, 1)))
    for _ in range(2):
        lake.amend_days("t", account="self", frame=newer, day_column="day", key=["id"], raw=[b"again"])
    # What is older than the first day stands under it; a day that was never pulled is not begun.
    assert lake.read_days("t", account="self", last=first).sort("id").rows() == [("dp_0", "won"), ("dp_1", "lost")]
    assert lake.read_days("t", account="self", first=second).sort("id").rows() == [row[:2] for row in kept]
    assert lake.pulled_days("t", account="self") == set(days)
    assert lake.sweep() == 0
    assert len(list((tmp_path / "files" / "raw").iterdir())) == 2


def test_a_table_that_was_never_pulled_is_not_amended(tmp_path):
    lake = Lake(tmp_path)
    lake.amend_days("t", account="self", frame=readings(("dp_1", "open", date(2026, 10, 1))), day_column="day", key=["id"])
    assert lake.read_days("t", account="self") is None


def test_only_the_columns_that_are_named_are_read(tmp_path):
    lake = Lake(tmp_path)
    lake.write_days("t", account="self", frame=readings(("dp_1", "open", date(2026, 10, 1))), day_column="day", days=[date(2026, 10, 1)])
    assert lake.read_days("t", account="self", columns=["status"]).rows() == [("open",)]
