"""What the words of the workbook mean, for its last tab."""

DEFINITIONS: dict[str, dict[str, str]] = {
    "Amounts": {
        "difference": "Stripe less ledger; in the cash section paid out less arrived. A negative amount stands in parentheses.",
        "effect": "What an open item does to Stripe less ledger: a Stripe item counts as it is, a ledger line the other way round.",
        "accepted": "The explanation is accepted by a person or by certified policy. The item stays open until an entry offsets it in the ledger.",
        "awaiting": "Still proposed or in review.",
        "money at risk": "The absolute amount times the probability of a true exception.",
        "unexplained": "A balance that moved without a line. It is computed from the balances' own sources, never from the other lines.",
        "undetermined": "Open items whose cause nobody knows yet.",
    },
    "Natures: what to do": {
        "timing": "Clears by itself in the next periods; no entry.",
        "entry": "Right in Stripe, not yet in the books: post once.",
        "reclass": "A transfer between balance-sheet accounts: a dispute held, a reserve, a payment on the wrong account.",
        "correction": "The books are wrong.",
        "claim": "Stripe, the bank or the customer must act.",
        "restatement": "Belongs to a locked month.",
        "opening_difference": "What the opening balances differed by and no old open item explains.",
    },
    "Tabs": {
        "Summary": "The statement, the checks, the sign-off. Click a line of the bridge to see its items.",
        "Bridge": "Nature, cause, item. A cause is the sum of the items below it.",
        "Roll-forward": "Carried in + new - settled = carried out, for every cause; carried out is next month's carried in.",
        "Open items": "Everything without a partner at the cut-off, with its age, its entry and what has cleared it since.",
        "Payouts": "Each payout, what it is made of, and where it arrived.",
        "Exceptions": "What a person must look at. Accepted: what somebody, or certified policy, has accepted.",
        "Journals": "Proposed, approved and posted entries. An entry's id goes into the ERP's reference and memo, so that it is recognized in the next export.",
        "Matches": "Who was matched with whom, by which strategy, and why.",
    },
    "Checks": {
        "check cells": "Formulas that must come to 0.00: green where they do, red where they do not. The totals above a list follow its filter.",
        "package": "The hash printed on every page is that of the package's figures and inputs; it stands in manifest.json and is what people sign.",
    },
}
