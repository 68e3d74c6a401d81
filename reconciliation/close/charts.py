"""Statement -> pictures. The only door to Altair; vl-convert renders them without a network."""

from typing import Any

import polars as pl

from reconciliation.close.summaries import bridge_lines, readable_money
from reconciliation.money import currency_exponent

BARS_MAX = 20
STEPS_MAX = 14
GROWS, SHRINKS, INK = "#2f6f9f", "#b8562f", "#1f2933"
PALETTE = ["#2f6f9f", "#b8562f", "#6b8e4e", "#8a6bb1", "#c99a2e", "#5b6770", "#a34f6d"]
FONT = "Helvetica, Arial, sans-serif"
MARGIN = {"left": 36, "top": 5, "right": 60, "bottom": 5}
"""Room for the fonts of whoever reads it, which may be wider than those of whoever draws."""


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
        {"currency": currency, "label": label, "value": difference / 10 ** currency_exponent(currency)}
        for currency, label, difference in lines.sort(pl.col("difference_minor").abs(), "cause", descending=[True, False])
        .head(BARS_MAX)
        .select("currency", "label", "difference_minor")
        .iter_rows()
    ]
    import altair as alt

    bars = alt.Chart(alt.InlineData(values=rows)).mark_bar().encode(
        x=alt.X("value:Q", title="Stripe less ledger", axis=alt.Axis(tickCount=5)),
        y=alt.Y("label:N", sort=None, title=None),
        color=alt.condition("datum.value > 0", alt.value(GROWS), alt.value(SHRINKS)),
    )  # fmt: skip
    chart = bars.properties(width=420).facet(row=alt.Row("currency:N", title=None)).resolve_scale(x="independent", y="independent")
    return _svg(chart)


def draw_waterfall(lines: pl.DataFrame, currency: str) -> str:
    """Draw how the causes lead from nothing to the closing difference.

    Args:
        lines: `label, difference_minor` in order; the smallest are added up in one step where there are too many.
        currency: of the amounts.
    """
    import altair as alt

    kept = lines.with_row_index("place").sort(pl.col("difference_minor").abs(), descending=True).head(STEPS_MAX).sort("place").drop("place")
    rest = int(lines["difference_minor"].sum()) - int(kept["difference_minor"].sum())
    steps = [*kept.select("label", "difference_minor").iter_rows(), *([("smaller causes", rest)] if rest else [])]
    unit, level, rows = 10 ** currency_exponent(currency), 0, []
    for label, change in steps:
        rows.append(
            {
                "label": label,
                "from": level / unit,
                "to": (level + change) / unit,
                "way": "adds" if change > 0 else "takes away",
                "text": readable_money(change, currency),
            }
        )
        level += change
    rows.append({"label": "closing difference", "from": 0, "to": level / unit, "way": "total", "text": readable_money(level, currency)})
    order = [row["label"] for row in rows]
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=alt.Y("label:N", sort=order, title=None))
    color = alt.Color(
        "way:N", scale=alt.Scale(domain=["adds", "takes away", "total"], range=[GROWS, SHRINKS, INK]), title=None, legend=alt.Legend(orient="top")
    )
    bars = base.mark_bar(height=14).encode(x=alt.X("from:Q", title=f"Stripe less ledger, {currency}", axis=alt.Axis(tickCount=6)), x2="to:Q", color=color)
    texts = base.mark_text(align="left", dx=4, color=INK).encode(x=alt.X("right:Q"), text="text:N").transform_calculate(right="max(datum.from, datum.to)")
    return _svg((bars + texts).properties(width=520, height=22 * len(rows)))


def draw_aging(ages: pl.DataFrame, currency: str, buckets: list[str]) -> str:
    """Draw open money by age: `age_bucket, nature, size_minor`."""
    import altair as alt

    rows = _rows(ages, currency, "size_minor")
    bars = alt.Chart(alt.InlineData(values=rows)).mark_bar().encode(
        x=alt.X("age_bucket:N", sort=buckets, title="days to the cut-off", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("value:Q", title=f"absolute, {currency}", axis=alt.Axis(tickCount=5)),
        color=alt.Color("nature:N", title=None, scale=alt.Scale(range=PALETTE)),
        order=alt.Order("nature:N"),
    )  # fmt: skip
    return _svg(bars.properties(width=380, height=220))


def draw_shares(frame: pl.DataFrame, *, label: str, share: str, title: str) -> str:
    """Draw a share for each label, in the frame's order."""
    import altair as alt

    rows = [{"label": name, "value": value, "text": f"{100 * value:.1f} %"} for name, value in frame.select(label, share).iter_rows()]
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=240)))
    bars = base.mark_bar(height=14, color=GROWS).encode(x=alt.X("value:Q", title=title, axis=alt.Axis(format="~%", tickCount=5)))
    texts = base.mark_text(align="left", dx=4, color=INK).encode(x="value:Q", text="text:N")
    return _svg((bars + texts).properties(width=380, height=22 * max(len(rows), 1)))


def draw_money(frame: pl.DataFrame, currency: str, *, label: str, amount: str, title: str) -> str:
    """Draw an amount for each label, in the frame's order."""
    import altair as alt

    unit = 10 ** currency_exponent(currency)
    rows = [{"label": name, "value": value / unit, "text": readable_money(value, currency)} for name, value in frame.select(label, amount).iter_rows()]
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=240)))
    bars = base.mark_bar(height=14, color=SHRINKS).encode(x=alt.X("value:Q", title=f"{title}, {currency}", axis=alt.Axis(tickCount=5)))
    texts = base.mark_text(align="left", dx=4, color=INK).encode(x="value:Q", text="text:N")
    return _svg((bars + texts).properties(width=380, height=22 * max(len(rows), 1)))


def _rows(frame: pl.DataFrame, currency: str, amount: str) -> list[dict[str, object]]:
    unit = 10 ** currency_exponent(currency)
    return [{**row, "value": row[amount] / unit} for row in frame.to_dicts()]


def _svg(chart: Any) -> str:
    import vl_convert

    plain = chart.configure_view(stroke=None).configure_axis(labelFont=FONT, titleFont=FONT, titleFontWeight="normal", grid=True, gridColor="#e6eaee")
    drawn = plain.configure_legend(labelFont=FONT).configure_text(font=FONT, fontSize=10).properties(padding=MARGIN)
    return str(vl_convert.vegalite_to_svg(drawn.to_dict()))
