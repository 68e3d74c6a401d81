import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciliation.connectors.tabular.cells import CsvGrid, read_regular
from reconciliation.errors import FileRefusedError


@given(
    text=st.lists(st.text(alphabet='ab ,;"\n\r\u00e9\u20ac', max_size=12), min_size=1, max_size=8).map("\n".join),
    delimiter=st.sampled_from(",;"),
    after_row=st.integers(0, 2),
    width=st.integers(1, 4),
)
@example(text='a,b\n"x,",y\n', delimiter=",", after_row=1, width=2)
@example(text="a,b\nx\ny,z,w\n", delimiter=",", after_row=1, width=2)
@example(text='a,b\n"x""y",z\n', delimiter=",", after_row=1, width=2)
@example(text='a,b\n"x,y",z\n', delimiter=",", after_row=1, width=2)
@example(text='"a","b"\n"",""', delimiter=",", after_row=0, width=2)
def test_what_is_read_in_one_go_is_what_is_read_record_by_record(text, delimiter, after_row, width):
    quick = read_regular(text, delimiter=delimiter, after_row=after_row, width=width)
    if quick is None:
        return

    body = CsvGrid("a.csv", text, "utf-8", (delimiter,)).body_by_record(delimiter=delimiter, after_row=after_row, width=width)

    assert body.irregular == {}
    assert quick.with_columns(pl.exclude("row").str.strip_chars()).equals(body.frame)


@pytest.mark.parametrize("text", ["a,b\n1,2\n3,4\n", 'a,b\r\n"1",2\r\n3,"4,5"\r\n', "a,b\n,\n1,2"], ids=["plain", "quoted", "empty cells"])
def test_a_plain_table_is_read_in_one_go(text):
    assert read_regular(text, delimiter=",", after_row=1, width=2).height == 2


@pytest.mark.parametrize("text", ["a,b\n1\n", "a,b\n1,2,3\n", 'a,b\n"1,2\n', "a,b\n\n1,2\n", 'a,b\n1"2,3\n', "a,b\r1,2\r", "a,b\n"])
def test_anything_else_is_left_to_the_reader_of_records(text):
    assert read_regular(text, delimiter=",", after_row=1, width=2) is None


def test_an_unclosed_quote_is_refused_with_its_row():
    with pytest.raises(FileRefusedError) as caught:
        CsvGrid("a.csv", 'a,b\n1,2\n"3,4\n', "utf-8", (",",)).body(delimiter=",", after_row=1, width=2)

    assert caught.value.row == 3
