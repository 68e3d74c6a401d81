"""Write, for each kind of fault, one file that has it and the message that refuses it, side by side. `python tests/corpus/write_messages.py`.

To be run when a message changes, and read before it is committed.
"""

import importlib.util
import re
import shutil
import sys
import tempfile
from pathlib import Path

from reconciliation.config import Settings
from reconciliation.connectors.check import describe_file

HERE = Path(__file__).parent
MESSAGES = HERE / "messages"
INPUT_BYTES_MAX = 72_000
"""A cell that is too long takes 64 KB to show."""


def load_cases():
    """Return the module that makes the corpus."""
    spec = importlib.util.spec_from_file_location("make_files", HERE / "make_files.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_files"] = module
    spec.loader.exec_module(module)
    return module


def message_of(path, *, account):
    """Return what a person reads when a file is refused, with its own name for a place."""
    content = {
        "entity": {"name": "Example Ltd", "timezone": "Europe/London", "currency": "GBP"},
        "start": {"period": "2026-10"},
        "books": [{"ledger_accounts": [{"account": account, "currency": "GBP"}], "bank_match": [""]}],
        "folder": path.parent,
    }
    described = describe_file(path, Settings.model_validate(content))
    refused = described["refused"]
    if refused is None:
        return None
    place = described["file"] + (f":{refused['row']}" if refused["row"] else "") + (f" [{refused['column']}]" if refused["column"] else "")
    return f"{place}: {refused['message']}\n"


def chosen(module):
    """Yield folder name and case: the first small refused file of each kind."""
    seen = set()
    with tempfile.TemporaryDirectory() as folder:
        for case in module.cases():
            if case.kind in seen or case.outcome == "exact" or len(case.content) > INPUT_BYTES_MAX:
                continue
            path = Path(folder) / case.name
            path.write_bytes(case.content)
            if message_of(path, account=module.ACCOUNT) is not None:
                seen.add(case.kind)
                yield re.sub(r"\W+", "-", case.kind), case


def main():
    """Write all of them anew."""
    module = load_cases()
    shutil.rmtree(MESSAGES, ignore_errors=True)
    for name, case in chosen(module):
        place = MESSAGES / name
        place.mkdir(parents=True)
        path = place / f"input{Path(case.name).suffix}"
        path.write_bytes(case.content)
        (place / "message.txt").write_text(message_of(path, account=module.ACCOUNT), encoding="utf-8")


if __name__ == "__main__":
    main()
