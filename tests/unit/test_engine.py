"""The door to SQL opens on the frames it is given and on nothing else, whatever is asked or stands in a cell."""

import duckdb
import polars as pl
import pytest

from reconciliation.engine import content_ids, query

FRAME = pl.DataFrame({"text": ["a"], "amount_minor": [1]})
ATTEMPTS = {
    "write a file": "copy (select 1) to '{place}'",
    "write Parquet": "copy frame to '{place}' (format parquet)",
    "export": "export database '{place}'",
    "attach": "attach '{place}' as other",
    "read a file": "select * from read_csv('/etc/hostname')",
    "read any text": "select * from read_text('/etc/hostname')",
    "read by name": "select * from '/etc/hostname.csv'",
    "list files": "select * from glob('/etc/*')",
    "read the network": "select * from read_parquet('http://127.0.0.1:9/x.parquet')",
    "install": "install httpfs",
    "load": "load httpfs",
    "read the environment": "select getenv('PATH')",
    "unlock": "set lock_configuration = false",
    "allow files": "set enable_external_access = true",
    "move the temporary folder": "set temp_directory = '{place}'",
    "write beside": "set memory_limit = '1GB'",
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_nothing_but_the_frames_can_be_reached(attempt, tmp_path):
    with pytest.raises(duckdb.Error):
        query(attempt.format(place=tmp_path / "canary"), frame=FRAME)
    assert list(tmp_path.iterdir()) == []


def test_what_stands_in_a_cell_is_data():
    hostile = ["'); copy frame to '/tmp/canary'; --", "\"; attach 'x'", "read_csv('/etc/passwd')", "$(id)", "{{ 1 }}", "a\x00b", "\u202e"]
    frame = pl.DataFrame({"content": hostile})
    assert query("select content from frame", frame=frame)["content"].sort().to_list() == sorted(hostile)
    assert content_ids(frame, prefix="x_").n_unique() == len(hostile)


def test_the_frames_of_a_statement_are_gone_with_it():
    query("select * from given", given=FRAME)
    with pytest.raises(duckdb.CatalogException):
        query("select * from given")


def test_sums_beyond_64_bits_are_exact_or_refused():
    large = pl.DataFrame({"amount_minor": [2**62] * 4})
    assert query("select cast(sum(amount_minor) as decimal(38, 0)) as total from large", large=large)["total"].item() == 2**64
    with pytest.raises(duckdb.Error):
        query("select cast(sum(amount_minor) as bigint) as total from large", large=large)
