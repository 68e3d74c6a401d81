"""A folder of Stripe objects -> the objects of its accounts, as they are or as they were at an earlier instant.

The folder holds one `.jsonl` per list, `balance.json`, `payout_balance_transactions.json` (what `list(payout=…)` answers,
since a balance transaction names no payout), and, for Connect, `accounts/<acct_id>/` with the same layout.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from reconciliation.errors import FileRefusedError

OWN_ACCOUNT_ID = "acct_sandbox"
LISTS = ("balance_transactions", "charges", "refunds", "disputes", "payouts", "transfers", "application_fees", "topups", "events")
RECONCILED_AFTER_SECONDS = 6 * 3600
"""How long after it was made an automatic payout is itemised."""

Row = dict[str, Any]


@dataclass(frozen=True)
class StripeObjects:
    """The objects of one Stripe account.

    Attributes:
        account_id: its id.
        lists: name of a list -> its objects.
        balance: the Balance object.
        lines: payout -> ids of the balance transactions listed under it.
        account: the Account object.
    """

    account_id: str
    lists: Mapping[str, list[Row]]
    balance: Row
    lines: Mapping[str, list[str]]
    account: Row


def read_objects(folder: Path, account_id: str = OWN_ACCOUNT_ID) -> StripeObjects:
    """Read the objects of one account.

    Raises:
        FileRefusedError: a file is not what its name says.
    """
    account = read_json(folder / "account.json") or {
        "id": account_id,
        "object": "account",
        "type": "standard",
        "charges_enabled": True,
        "payouts_enabled": True,
    }
    return StripeObjects(
        account_id=str(account.get("id", account_id)),
        lists={name: _read_lines(folder / f"{name}.jsonl") for name in LISTS},
        balance=read_json(folder / "balance.json") or {"object": "balance", "available": [], "pending": [], "livemode": False},
        lines=read_json(folder / "payout_balance_transactions.json"),
        account=account,
    )


def rewind(objects: StripeObjects, now: int) -> StripeObjects:
    """Return the account as it was at an earlier instant: what was not made yet is gone, states are those of then.

    Args:
        objects: the account at its end.
        now: seconds since 1970; what was created in this second is there.
    """
    lists = {name: [row for row in rows if row["created"] <= now] for name, rows in objects.lists.items()}
    booked = {row["id"] for row in lists["balance_transactions"]}
    lists["balance_transactions"] = [
        {**row, "status": "available" if row.get("available_on", 0) <= now else "pending"} for row in lists["balance_transactions"]
    ]
    lists["payouts"] = [_rewind_payout(row, now, booked) for row in lists["payouts"]]
    lists["disputes"] = [
        {**row, "balance_transactions": [line for line in row.get("balance_transactions") or [] if line["created"] <= now]} for row in lists["disputes"]
    ]
    undone = [row for row in objects.lists["balance_transactions"] if row["created"] > now]
    return replace(
        objects,
        lists=lists,
        balance=_rewind_balance(objects.balance, undone),
        lines={payout["id"]: objects.lines.get(payout["id"], []) for payout in lists["payouts"]},
    )


def _rewind_payout(row: Row, now: int, booked: set[str]) -> Row:
    returned = row.get("failure_balance_transaction") in booked
    status = row["status"] if returned else "paid" if row.get("arrival_date", 0) <= now else "in_transit"
    itemised = row.get("reconciliation_status")
    unreturned = {} if returned else {"failure_balance_transaction": None, "failure_code": None, "failure_message": None}
    if itemised == "completed" and row["created"] + RECONCILED_AFTER_SECONDS > now:
        itemised = "in_progress"
    return {**row, **unreturned, "status": status, "reconciliation_status": itemised}


def _rewind_balance(balance: Row, undone: list[Row]) -> Row:
    sections = {name: dict(balance.get(name) or {}) for name in ("issuing", "refund_and_dispute_prefunding")}
    rewound = {**balance, **{name: section for name, section in sections.items() if section}}
    for row in undone:
        kind = row.get("balance_type", "payments")
        section = rewound if kind == "payments" else rewound.get(kind)
        if section is not None:
            section["available"] = _take_off(section.get("available") or [], row["currency"], row["net"])
    return rewound


def _take_off(parts: list[Row], currency: str, net: int) -> list[Row]:
    if all(part["currency"] != currency for part in parts):
        parts = [*parts, {"amount": 0, "currency": currency}]
    return [{**part, "amount": part["amount"] - net} if part["currency"] == currency else part for part in parts]


def _read_lines(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise FileRefusedError(file=str(path), row=number, message=f"no JSON ({error}); expected one object a line") from error
        if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not isinstance(row.get("created"), int):
            raise FileRefusedError(file=str(path), row=number, message="no Stripe object; expected at least id and created (seconds since 1970)")
        rows.append(row)
    return rows


def read_json(path: Path) -> Row:
    """Read a JSON object; a file that is not there is an empty one.

    Raises:
        FileRefusedError: no JSON, or no object.
    """
    if not path.is_file():
        return {}
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise FileRefusedError(file=str(path), message=f"no JSON ({error})") from error
    if not isinstance(content, dict):
        raise FileRefusedError(file=str(path), message=f"a JSON {type(content).__name__}; expected an object")
    return content
