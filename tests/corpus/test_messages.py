"""The message for each kind of fault, kept beside a file that has it."""

import importlib.util
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDERS = sorted((HERE / "messages").iterdir())

spec = importlib.util.spec_from_file_location("write_messages", HERE / "write_messages.py")
write_messages = importlib.util.module_from_spec(spec)
spec.loader.exec_module(write_messages)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_fault_is_refused_with_the_message_kept_beside_it(folder):
    (path,) = (path for path in folder.iterdir() if path.name.startswith("input"))

    assert write_messages.message_of(path, account="1050 Stripe Clearing") == (folder / "message.txt").read_text(encoding="utf-8")


def test_there_is_a_message_for_every_kind_of_fault():
    cases = write_messages.load_cases().cases()
    kinds = {re.sub(r"\W+", "-", case.kind) for case in cases if case.outcome != "exact"}

    assert kinds == {folder.name for folder in FOLDERS}
    assert len(kinds) >= 25
