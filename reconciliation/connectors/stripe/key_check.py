"""A key -> what it may read and whether it may write, asked of Stripe itself.

Stripe tells nobody what a restricted key may do; it can only be tried. Reads are tried with one row. Writes are tried on
objects that do not exist: a key without the right is told so (403), one with it is told that there is no such object (404), and in
neither case is there anything to change.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reconciliation.connectors.stripe.client import OWN_ACCOUNT, StripeReader, StripeRefusedError
from reconciliation.connectors.stripe.pull import PAYOUTS, SOURCE_LISTS
from reconciliation.connectors.stripe.slices import OPTIONAL_LISTS, TRANSACTIONS

READS = ("/v1/balance", TRANSACTIONS, PAYOUTS, *SOURCE_LISTS, *OPTIONAL_LISTS)
WRITES = {"/v1/payouts/po_0": "Payouts", "/v1/refunds/re_0": "Charges and Refunds", "/v1/transfers/tr_0": "Transfers", "/v1/topups/tu_0": "Top-ups"}


@dataclass(frozen=True)
class KeyPower:
    """What a key may do.

    Attributes:
        missing: one message for each list and account that it may not read.
        writes: permissions that it could write with and does not need.
    """

    missing: tuple[str, ...]
    writes: tuple[str, ...]


def examine_key(reader: StripeReader, *, accounts: Sequence[str]) -> KeyPower:
    """Try what the pull reads, of every account, and what would be too much.

    Raises:
        StripeAccessError: the key is not accepted at all, or Stripe cannot be reached.
    """
    missing = []
    for account in accounts:
        for path in READS:
            try:
                reader.retrieve(path, account=account, **({} if path == "/v1/balance" else {"limit": 1}))
            except StripeRefusedError as refusal:
                if refusal.status == 403:
                    missing.append(str(refusal))
                elif refusal.status != 404 or path not in OPTIONAL_LISTS:
                    raise
    writes = {name for path, name in WRITES.items() if reader.may_write(path, account=OWN_ACCOUNT)}
    return KeyPower(tuple(dict.fromkeys(missing)), tuple(sorted(writes)))
