"""Statement -> pictures. The only door to Altair; vl-convert renders them without a network."""

import polars as pl

from reconciliation.close.summaries import bridge_lines
from reconciliation.money import currency_exponent

BARS_MAX = 20
GROWS, SHRINKS = "#2f6f9f", "#b8562f"


def draw_bridge(statement: pl.DataFrame) -> str | None:
    """Draw the closing difference by cause as an SVG picture, one row of bars a currency.

    Returns:
        The picture, under 50 kB; None when there is no difference to draw.
    """
    lines = bridge_lines(statement)
    if lines.is_empty():
        return None
    # Display only: bars are as long as floats allow, the figures stand beside them as text elsewhere.
    rows = [
        {"currency": currency, "cause": cause.replace("_", " "), "value": difference / 10 ** currency_exponent(currency)}
        for currency, cause, difference in lines.sort(pl.col("difference_minor").abs(), "cause", descending=[True, False])
        .head(BARS_MAX)
        .select("currency", "cause", "difference_minor")
        .iter_rows()
    ]
    import altair as alt
    import vl_convert

    bars = alt.Chart(alt.InlineData(values=rows)).mark_bar().encode(
        x=alt.X("value:Q", title="Stripe less ledger", axis=alt.Axis(tickCount=5)),
        y=alt.Y("cause:N", sort=None, title=None),
        color=alt.condition("datum.value > 0", alt.value(GROWS), alt.value(SHRINKS)),
    )  # fmt: skip
    chart = bars.properties(width=420).facet(row=alt.Row("currency:N", title=None)).resolve_scale(x="independent", y="independent")
    return str(vl_convert.vegalite_to_svg(chart.to_dict()))
