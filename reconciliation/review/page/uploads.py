"""Files sent by a browser -> the inbox, after the same checks as `reconcile check`: what is refused is not kept."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData, UploadFile

from reconciliation.config import Settings
from reconciliation.connectors.bank.reader import SUFFIXES as BANK_SUFFIXES
from reconciliation.connectors.check import describe_file
from reconciliation.connectors.inbox import FILE_BYTES_MAX, InboxFile
from reconciliation.connectors.ledger.balances import read_balances
from reconciliation.connectors.ledger.reader import SUFFIXES as LEDGER_SUFFIXES
from reconciliation.errors import FileRefusedError, InputsMissingError
from reconciliation.lake import write_atomically
from reconciliation.review.page import words

FILES_MAX = 20
STAGING = ".incoming"
"""A folder that the inbox's reader passes over, on the same disk as the inbox."""
NAME_MAX = 120
KINDS = ("ledger", "bank", "balances")
SUFFIXES = frozenset(LEDGER_SUFFIXES) | frozenset(BANK_SUFFIXES)


def take_files(form: FormData, settings: Settings, kind: str) -> list[dict[str, Any]]:
    """Read every uploaded file as the night would, and keep in the inbox those that are read exactly.

    Args:
        form: with fields `file`.
        settings: accounts, layouts and where the inboxes are.
        kind: `ledger`, `bank`, `balances`, or empty to tell by the file.

    Returns:
        Per file: its name, what was found or why it is refused, and whether it was kept.

    Raises:
        InputsMissingError: no file was chosen, or too many at once.
    """
    sent = [one for one in form.getlist("file") if isinstance(one, UploadFile) and one.filename]
    if not sent or len(sent) > FILES_MAX:
        raise InputsMissingError(f"Choose 1 to {FILES_MAX} files; {len(sent)} were sent.")
    return [_take(one, settings, kind if kind in KINDS else "") for one in sent]


def _take(sent: UploadFile, settings: Settings, kind: str) -> dict[str, Any]:
    name, content = safe_name(sent.filename or ""), sent.file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        return _refused(name, f"holds more than {FILE_BYTES_MAX:,} bytes, the most that is read; export it in parts, for example by month")
    if Path(name).suffix.lower() not in SUFFIXES:
        return _refused(name, f"its name ends in {Path(name).suffix or 'nothing'}; what is read ends in {', '.join(sorted(SUFFIXES))}")
    known = _same_content(content, settings)
    if known:
        return {"name": name, "tone": "good", "lines": [f"Is there already, as {known}; nothing was added."]}
    tried = [kind] if kind else ["", "balances"]
    faults = []
    for one in tried:
        found = _check_balances(name, content, settings) if one == "balances" else _check(name, content, settings, one)
        if found["refused"] is None:
            return _keep(name, content, settings, found)
        faults.append(found["refused"])
    return _refused(name, faults[0])


def safe_name(name: str) -> str:
    r"""Return the last part of a file's name, printable, never hidden, no longer than a file system takes.

    >>> safe_name("../../etc/passwd"), safe_name("C:\\\\exports\\\\a.csv"), safe_name(".x.csv"), safe_name("")
    ('passwd', 'a.csv', 'x.csv', 'file')
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    plain = "".join(letter if letter.isprintable() and letter not in ':*?"<>|' else "_" for letter in last).lstrip(". ~$")
    stem, point, suffix = plain.rpartition(".")
    return f"{(stem or plain)[: NAME_MAX - 12]}{point if stem else ''}{suffix[:10] if stem else ''}" or "file"


def _check(name: str, content: bytes, settings: Settings, kind: str) -> dict[str, Any]:
    """Describe a file from a staging place: below its inbox where the kind is given, which then decides how it is read."""
    base = settings.path({"ledger": settings.ledger.inbox, "bank": settings.bank.inbox}[kind]) if kind else settings.folder
    staged = base / STAGING / hashlib.sha256(content).hexdigest()[:16] / name
    write_atomically(staged, content)
    try:
        found = describe_file(staged, settings)
    finally:
        shutil.rmtree(staged.parent, ignore_errors=True)
    refused = found["refused"]
    if refused is None:
        return found
    place = (f"row {refused['row']}: " if refused["row"] else "") + (f"{refused['column']}: " if refused["column"] else "")
    return {**found, "refused": place + str(refused["message"]).replace(f"{STAGING}/{staged.parent.name}/", "")}


def _check_balances(name: str, content: bytes, settings: Settings) -> dict[str, Any]:
    file = InboxFile(name=name, content=content, sha256=hashlib.sha256(content).hexdigest(), delivery=1)
    try:
        balances, files = read_balances([file], settings=settings)
    except FileRefusedError as error:
        return {"kind": "balances", "refused": str(error)}
    if balances.is_empty():
        return {"kind": "balances", "refused": "it names none of the accounts that are reconciled"}
    totals = [
        f"{row['account']} {row['period']}: {words.money(row['closing_balance_minor'], row['currency'])} {row['currency']}"
        for row in balances.sort("account", "currency", "period").tail(6).to_dicts()
    ]
    return {"kind": "balances", "refused": None, "rows_in": int(files["rows_in"].sum()), "profile": "trial balance", "lines": totals}


def _keep(name: str, content: bytes, settings: Settings, found: dict[str, Any]) -> dict[str, Any]:
    folder = settings.path({"ledger": settings.ledger.inbox, "bank": settings.bank.inbox, "balances": settings.ledger.balances}[found["kind"]])
    target = _free_name(folder, name)
    write_atomically(target, content)
    return {"name": target.name, "tone": "good", "lines": [*_in_words(found), "Kept. The next run reads it; it is on its way."]}


def _in_words(found: dict[str, Any]) -> list[str]:
    kind = {"ledger": "Ledger export", "bank": "Bank statement", "balances": "Trial balance"}[found["kind"]]
    lines = [f"{kind}, layout {words.plain(str(found['profile']))}."]
    if found["kind"] == "balances":
        return [*lines, *found["lines"]]
    aside = found["rows_set_aside"]
    lines.append(f"{found['rows_in']:,} rows: {found['rows_used']:,} used, {len(aside):,} set aside" + (f" ({_rules(aside)})." if aside else "."))
    lines += [
        f"{currency}: {total['rows']:,} rows, debit {total['debit']}, credit {total['credit']}, net {total['net']}."
        for currency, total in found["totals"].items()
    ]
    proofs = [words.plain(proof["name"]) for proof in found["proofs"] if proof["holds"]]
    return [*lines, f"Proven: {', '.join(proofs)}."] if proofs else lines


def _rules(aside: list[dict[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for row in aside:
        counts[row["reason"]] = counts.get(row["reason"], 0) + 1
    return ", ".join(f"{words.plain(rule)}: {count:,}" for rule, count in sorted(counts.items()))


def _refused(name: str, why: str) -> dict[str, Any]:
    return {"name": name, "tone": "bad", "lines": ["Refused, and not kept:", why]}


def _same_content(content: bytes, settings: Settings) -> str:
    """Return the name of a file of the inboxes with these bytes, or an empty text."""
    for inbox in (settings.ledger.inbox, settings.bank.inbox, settings.ledger.balances):
        folder = settings.path(inbox)
        for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
            is_plain = path.is_file() and not path.is_symlink() and STAGING not in path.parts
            if is_plain and path.stat().st_size == len(content) and path.read_bytes() == content:
                return path.name
    return ""


def _free_name(folder: Path, name: str) -> Path:
    """Return a name that no file has: an upload never replaces what lies there, the newer export counts by itself."""
    stem, suffix = Path(name).stem, Path(name).suffix
    number, target = 1, folder / name
    while target.exists():
        number += 1
        target = folder / f"{stem}-{number}{suffix}"
    return target
