import os

import pytest

from reconciliation.connectors.inbox import read_inbox
from reconciliation.errors import FileRefusedError

CSV = frozenset({".csv"})


def names(folder, **options):
    return [file.name for file in read_inbox(folder / "inbox", base=folder, suffixes=CSV, deliveries={}, **options)]


@pytest.fixture
def company(tmp_path):
    (tmp_path / "inbox" / "sub").mkdir(parents=True)
    return tmp_path


def test_sub_folders_are_read_and_hidden_temporary_and_other_files_passed_over(company):
    for name in ("a.csv", "sub/B.CSV", ".hidden.csv", "~$lock.csv", "c.csv.tmp", "d.part", "e.pdf"):
        (company / "inbox" / name).write_text(name)

    assert sorted(names(company)) == ["inbox/a.csv", "inbox/sub/B.CSV"]


def test_the_same_content_under_another_name_is_read_once(company):
    for name in ("b.csv", "a.csv", "sub/c.csv"):
        (company / "inbox" / name).write_text("same")

    assert names(company) == ["inbox/a.csv"]


def test_known_content_keeps_its_delivery_and_new_content_is_one_new_delivery(company):
    for name in ("old.csv", "new.csv", "newer.csv"):
        (company / "inbox" / name).write_text(name)
    first = {file.name: file.sha256 for file in read_inbox(company / "inbox", base=company, suffixes=CSV, deliveries={})}

    files = read_inbox(company / "inbox", base=company, suffixes=CSV, deliveries={first["inbox/old.csv"]: 3})

    assert files[0].name == "inbox/old.csv"
    assert [file.delivery for file in files] == [3, 4, 4]


def test_links_are_followed_inside_the_inbox_only(company):
    (company / "secret.csv").write_text("secret")
    (company / "inbox" / "a.csv").write_text("a")
    (company / "inbox" / "out.csv").symlink_to(company / "secret.csv")
    (company / "inbox" / "dangling.csv").symlink_to(company / "nothing")
    (company / "inbox" / "folder").symlink_to(company)

    assert names(company) == ["inbox/a.csv"]


def test_files_over_the_limit_and_no_files_are_refused_together(company):
    (company / "inbox" / "big.csv").write_text("x" * 11)
    os.mkfifo(company / "inbox" / "pipe.csv")

    with pytest.raises(FileRefusedError) as caught:
        names(company, file_bytes_max=10)

    assert "more than 10 bytes" in caught.value.message
    assert "pipe.csv" in caught.value.message


def test_a_missing_inbox_is_empty(tmp_path):
    assert names(tmp_path) == []


def test_names_that_do_not_print_are_escaped(company):
    (company / "inbox" / "a\nb.csv").write_text("x")

    assert names(company) == ["inbox/a\\x0ab.csv"]
