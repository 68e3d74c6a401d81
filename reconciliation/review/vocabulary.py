"""The verbs of review, what each asks of the one who decides, and the nature a cause has by itself."""

ACCEPT, CHANGE_CAUSE, WRITE_OFF, POST_ENTRY = "accept", "change_cause", "write_off", "post_entry"
CLAIM, CORRECT_IN_ERP, CARRY_FORWARD = "claim", "correct_in_erp", "carry_forward"
BREAK_DECISIONS = (ACCEPT, CHANGE_CAUSE, WRITE_OFF, POST_ENTRY, CLAIM, CORRECT_IN_ERP, CARRY_FORWARD)
"""Decisions about breaks."""
MATCH, UNMATCH = "match", "unmatch"
ITEM_DECISIONS = (MATCH, UNMATCH)
"""Decisions about who belongs together."""
APPROVE, SEND_BACK, UNDO = "approve", "send_back", "undo"
ANSWERS = (APPROVE, SEND_BACK, UNDO)
"""What a person says about an earlier entry."""
COMMENT, CERTIFY, UNLOCK, SETTINGS = "comment", "certify", "unlock", "settings"
ENROLL, REVOKE = "enroll", "revoke"
KINDS = (*BREAK_DECISIONS, *ITEM_DECISIONS, *ANSWERS, COMMENT, CERTIFY, UNLOCK, SETTINGS)
"""What `decide` takes; enrolling and revoking have functions of their own and are approved like the rest."""
APPROVABLE = (*BREAK_DECISIONS, *ITEM_DECISIONS, UNLOCK, SETTINGS, ENROLL, REVOKE)
UNDOABLE = (*BREAK_DECISIONS, *ITEM_DECISIONS, CERTIFY)

FRESH = (APPROVE, CERTIFY, UNLOCK, SETTINGS)
"""A session is not enough for these; nor for a write-off that needs a second person."""
REASONED = (CHANGE_CAUSE, WRITE_OFF, CLAIM, CORRECT_IN_ERP, CARRY_FORWARD, MATCH, UNMATCH, SEND_BACK, UNDO, COMMENT, UNLOCK, SETTINGS)
"""These say why, in the reviewer's own words."""
GRAVE_CAUSES = ("payout_destination_changed", "changed_after_close", "posted_after_close")
"""Where money may have gone to another account, or a closed month was changed: two people, whatever the amount."""
POSTED_NATURES = ("correction", "entry", "reclass")
"""Breaks of these natures have a proposed entry."""
PREPARER, REVIEWER = "preparer", "reviewer"

NATURE_OF_CAUSE = {
    **dict.fromkeys(
        ("timing", "fee_accrual", "summary_posting", "payout_in_transit", "payout_returned", "refund_pending", "top_up", "accrual_release"), "timing"
    ),
    **dict.fromkeys(
        (
            "processing_fee", "billing_fee", "fx", "rounding", "tax", "withheld_tax", "dispute_fee", "refund_failed", "charge_failed", "partial_capture", "bank_charge",
            "application_fee", "connect_transfer", "missing_posting", "unrecorded_refund", "unrecorded_dispute",
        ),
        "entry",
    ),
    **dict.fromkeys(("dispute_held", "dispute_won", "reserve", "minimum_balance", "wrong_account"), "reclass"),
    **dict.fromkeys(("duplicate_posting", "wrong_amount", "wrong_currency", "reversed_sign", "unknown_entry"), "correction"),
    **dict.fromkeys(("double_charge", "missing_settlement", "fee_off_contract", "payout_destination_changed"), "claim"),
    **dict.fromkeys(("wrong_period", "posted_after_close", "changed_after_close"), "restatement"),
}  # fmt: skip
"""The causes a reviewer may name, each with its nature."""
