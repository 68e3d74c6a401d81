"""The verbs of the page, in an accountant's order, and what each asks for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """A decision as the page offers it.

    Attributes:
        key: the kind of entry it becomes.
        verb: what the button says.
        done: what the log says, with the number of cases after it.
        why: what happens then, in one sentence.
        always_fresh: whether it takes a code of its own.
    """

    key: str
    verb: str
    done: str
    why: str
    always_fresh: bool = False


ACTIONS = (
    Action("accept", "Accept explanation", "accepted the explanation of", "The explanation stands. The item stays open, and in the bridge, until an entry clears it."),
    Action("change_cause", "Change cause", "changed the cause of", "The cause is another one; nature and proposed entry follow it."),
    Action("post_entry", "Post entry", "proposed the entry for", "The proposed entry goes into the import file of your ERP."),
    Action("write_off", "Write off", "wrote off", "The amount goes to the write-off account by an entry; above the limit a second person approves."),
    Action("correct_in_erp", "Correct in ERP", "asked for a correction of", "Somebody corrects the posting in the ERP; it stays open until the next export shows it."),
    Action("claim", "Ask Stripe or bank", "raised a claim for", "Stripe, the bank or the customer must act; it stays open until they did."),
    Action("carry_forward", "Carry forward", "carried forward", "It stays open into the next month, with your note beside it."),
)  # fmt: skip
APPROVE = Action("approve", "Approve", "approved", "You agree with what the other person prepared. This takes a fresh code.", always_fresh=True)
SEND_BACK = Action("send_back", "Send back to preparer", "sent back", "The preparer decides again; nothing of it takes effect.")
UNDO = Action("undo", "Undo", "undid entry", "A new entry takes the decision back; nothing is erased.")
SECOND = (APPROVE, SEND_BACK)
BY_KEY = {action.key: action for action in (*ACTIONS, *SECOND, UNDO)}
OTHER_WORDS = {
    "match": "matched by hand",
    "unmatch": "took apart the match of",
    "comment": "noted on",
    "certify": "certified",
    "unlock": "re-opened",
    "enroll": "enrolled",
    "revoke": "asked to revoke",
    "session": "signed in",
    "sign_out": "signed out",
    "settings": "proposed settings",
}


def said(kind: str) -> str:
    """Return what an entry of the log did, as a verb."""
    return BY_KEY[kind].done if kind in BY_KEY else OTHER_WORDS.get(kind, kind.replace("_", " "))
