"""A decision + the month -> whether one person is enough.

Two are needed above `[review] four_eyes_above` (a break, or all breaks of one decision together), for causes where money may have gone astray,
when a true exception is declared an expected difference, and for every write-off of a material amount.
"""

from collections.abc import Iterable, Sequence

from reconciliation.money import readable_money
from reconciliation.review.situation import Limits, Shown
from reconciliation.review.vocabulary import CHANGE_CAUSE, GRAVE_CAUSES, WRITE_OFF
from reconciliation.schemas.breaks import EXCEPTION_CAUSES


def why_second(kind: str, shown: Sequence[Shown], limits: Limits, *, cause: str = "") -> str:
    """Return why a decision about breaks takes a second person, or an empty text.

    Args:
        kind: the decision.
        shown: the breaks.
        limits: in every currency.
        cause: what the cause is changed to.
    """
    causes = {item[2] for one in shown for item in one["items"]} | {one["cause"] for one in shown} | ({cause} if cause else set())
    if grave := sorted(causes.intersection(GRAVE_CAUSES)):
        return f"{grave[0].replace('_', ' ')} is always seen by two"
    if kind == CHANGE_CAUSE and cause not in EXCEPTION_CAUSES and causes.intersection(EXCEPTION_CAUSES):
        return "a true exception is declared an expected difference"
    amounts = [(one["currency"], weight(one)) for one in shown]
    if kind == WRITE_OFF and (text := _above(amounts, limits, is_write_off=True)):
        return text
    return _above(amounts, limits, is_write_off=False)


def why_second_for_items(amounts: Iterable[tuple[str, int]], limits: Limits) -> str:
    """Return why matching by hand takes a second person, or an empty text; amounts by currency."""
    return _above([(currency, abs(amount)) for currency, amount in amounts], limits, is_write_off=False)


def weight(shown: Shown) -> int:
    """Return what a break weighs: the sum of its items' absolute amounts, so that two large ones that cancel are not small."""
    return max(sum(abs(int(item[1])) for item in shown["items"]), abs(int(shown["amount_minor"])))


def _above(amounts: Sequence[tuple[str, int]], limits: Limits, *, is_write_off: bool) -> str:
    for currency in sorted({currency for currency, _ in amounts}):
        total = sum(amount for own, amount in amounts if own == currency)
        limit = (limits.materiality_minor if is_write_off else limits.four_eyes_minor).get(currency)
        if limit is None:
            return f"no rate translates the limit into {currency}"
        if is_write_off and total >= limit:
            return f"a write-off of {readable_money(total, currency)} {currency} is material (from {readable_money(limit, currency)} on)"
        if not is_write_off and total > limit:
            return f"{readable_money(total, currency)} {currency} gross is above {readable_money(limit, currency)}"
    return ""
