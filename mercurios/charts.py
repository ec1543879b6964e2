"""Charts: the one module that knows Altair. Frames in, specs out; notebooks show them, flows store them as PNG.

chart = forecast_chart(history, forecast, Labels("Branch 367", unit="EUR", locale="de"))
Path("forecast.png").write_bytes(to_png(chart, locale="de"))
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

if TYPE_CHECKING:
    import altair as alt

Locale = Literal["de", "en"]

_INK, _ACCENT, _MUTED = "#1f2a37", "#1d6fb8", "#9aa5b1"
_WIDTH, _HEIGHT = 640, 260
_WORDS: Mapping[Locale, Mapping[str, str]] = {
    "en": {"actual": "actual", "forecast": "forecast", "within": "{} % interval", "day": "%b %d"},
    "de": {"actual": "Ist", "forecast": "Prognose", "within": "{}-%-Intervall", "day": "%d.%m."},
}
_PAGE_SCRIPT = """
const options = {ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: {disableDefaultStyle: true}};
window.draw = (element, spec) => vegaEmbed(element, spec, options);
"""
_D3_LOCALES: Mapping[Locale, Any] = {"de": "de-DE", "en": "en-US"}


@dataclass(frozen=True)
class Labels:
    """What a chart says around its marks; `unit` stands at the value axis, a currency for example."""

    title: str
    unit: str = ""
    subtitle: str = ""
    locale: Locale = "en"


def forecast_chart(history: pl.DataFrame, forecast: pl.DataFrame, labels: Labels) -> "alt.LayerChart":
    """Past as a line, forecast as a line with its 80 and 95 % intervals.

    history: ds, y; forecast: ds, mean, lo80, hi80, lo95, hi95. One series.
    """
    import altair as alt

    words = _WORDS[labels.locale]
    day = alt.X("ds:T", title=None, axis=alt.Axis(format=words["day"]))
    bands = [
        alt.Chart(forecast)
        .mark_area(color=_ACCENT, opacity=opacity)
        .encode(
            day,
            alt.Y(f"lo{share}:Q", title=labels.unit or None),
            alt.Y2(f"hi{share}:Q"),
            tooltip=_band_tip(share, words),
        )
        for share, opacity in ((95, 0.15), (80, 0.3))
    ]
    past = (
        alt.Chart(history)
        .mark_line(color=_INK, strokeWidth=1.2)
        .encode(day, y="y:Q", tooltip=_tip("y", words["actual"]))
    )
    ahead = alt.Chart(forecast).mark_line(color=_ACCENT, strokeWidth=2)
    ahead = ahead.encode(day, y="mean:Q", tooltip=_tip("mean", words["forecast"]))
    chart: alt.LayerChart = _styled(alt.layer(*bands, past, ahead), labels)
    return chart


def backtest_chart(
    scores: pl.DataFrame, labels: Labels, *, baseline: str, lower_is_better: bool = True
) -> "alt.LayerChart":
    """One bar per candidate, the best first, the baseline grey.

    scores: name, value.
    """
    import altair as alt

    kind = alt.condition(alt.datum.name == baseline, alt.value(_MUTED), alt.value(_ACCENT))
    order = alt.EncodingSortField("value", order="ascending" if lower_is_better else "descending")
    base = alt.Chart(scores).encode(
        alt.X("value:Q", title=labels.unit or None),
        alt.Y("name:N", title=None, sort=order),
        tooltip=["name:N", "value:Q"],
    )
    text = base.mark_text(align="left", dx=4, color=_INK).encode(text=alt.Text("value:Q", format=".3f"))
    chart: alt.LayerChart = _styled(
        alt.layer(base.mark_bar().encode(color=kind), text), labels, height=28 * max(scores.height, 1)
    )
    return chart


def metric_chart(rows: pl.DataFrame, labels: Labels, *, x: str, y: str, color: str | None = None) -> "alt.Chart":
    """A metric over time as lines, or by a dimension as bars, the greatest first.

    rows: columns x, y and color; x of a date type makes lines.
    """
    import altair as alt

    hue = alt.Color(f"{color}:N", title=None) if color else alt.value(_ACCENT)
    value = f"{y}:Q"
    chart: alt.Chart
    if rows.schema[x].is_temporal():
        line = alt.Chart(rows).mark_line().encode(alt.X(f"{x}:T", title=None), color=hue)
        chart = _styled(line.encode(alt.Y(value, title=labels.unit or None)), labels)
    else:
        bars = alt.Chart(rows).mark_bar().encode(alt.X(value, title=labels.unit or None), color=hue)
        names = alt.Y(f"{x}:N", title=None, sort="-x")
        chart = _styled(bars.encode(names), labels, height=22 * max(rows[x].n_unique(), 1))
    return chart


def dot_chart(rows: pl.DataFrame, labels: Labels, *, x: str, y: str, color: str) -> "alt.Chart":
    """Several values of one name beside one another: a row of dots per name, in the order of the rows.

    rows: columns x (a number), y (the names) and color (what a dot is).
    """
    import altair as alt

    names = rows[y].unique(maintain_order=True).to_list()
    kinds = rows[color].unique(maintain_order=True).to_list()
    dots = alt.Chart(rows).mark_circle(size=110, opacity=0.9)
    encoded = dots.encode(
        alt.X(f"{x}:Q", title=labels.unit or None, scale=alt.Scale(zero=False)),
        alt.Y(f"{y}:N", title=None, sort=names, axis=alt.Axis(grid=True)),
        alt.Color(f"{color}:N", title=None, sort=kinds),
        tooltip=[f"{y}:N", f"{color}:N", f"{x}:Q"],
    )
    chart: alt.Chart = _styled(encoded, labels, height=34 * max(len(names), 1))
    return chart


def draw_in_notebook() -> None:
    """Show charts in notebooks as pictures: they need no network and stay visible in an exported page."""
    import altair as alt

    alt.renderers.enable("svg")


def to_png(chart: "alt.TopLevelMixin", *, scale: float = 2.0, locale: Locale = "en") -> bytes:
    """Draw a chart without a browser and without a network; numbers and dates as the locale writes them."""
    import vl_convert

    d3 = _D3_LOCALES[locale]
    image: bytes = vl_convert.vegalite_to_png(
        chart.to_json(), scale=scale, format_locale=d3, time_format_locale=d3, allowed_base_urls=[]
    )
    return image


def to_spec(chart: "alt.TopLevelMixin", *, locale: Locale = "en") -> dict[str, Any]:
    """The chart as Vega-Lite for a page, rows included: as wide as its place, numbers and dates in the locale."""
    import vl_convert

    d3 = _D3_LOCALES[locale]
    spec: dict[str, Any] = chart.to_dict() | {"width": "container"}
    number, time = vl_convert.get_format_locale(d3), vl_convert.get_time_format_locale(d3)
    spec["config"]["locale"] = {"number": number, "time": time}
    return spec


def page_script() -> str:
    """The script that draws such specs in a page, asking nobody: `window.draw(element, spec)`, a promise.

    Vega-Embed as vl-convert brings it along. Expressions are interpreted, so that a page may forbid `eval`; the page
    brings the styles.
    """
    import vl_convert

    script: str = vl_convert.javascript_bundle(_PAGE_SCRIPT)
    return script


def _tip(column: str, title: str) -> list[Any]:
    import altair as alt

    return [alt.Tooltip("ds:T", title=""), alt.Tooltip(f"{column}:Q", title=title, format=",.2f")]


def _band_tip(share: int, words: Mapping[str, str]) -> list[Any]:
    import altair as alt

    name = words["within"].format(share)
    return [
        alt.Tooltip("ds:T", title=""),
        *(alt.Tooltip(f"{side}{share}:Q", title=name, format=",.2f") for side in ("lo", "hi")),
    ]


def _styled(chart: Any, labels: Labels, *, height: int = _HEIGHT) -> Any:
    import altair as alt

    sized = chart.properties(width=_WIDTH, height=height).configure_view(stroke=None)
    if labels.title:
        subtitle = labels.subtitle or alt.Undefined
        sized = sized.properties(title=alt.TitleParams(labels.title, subtitle=subtitle, anchor="start", color=_INK))
    return sized.configure_axis(grid=True, gridColor="#e6eaee", domain=False, labelColor=_INK, titleColor=_INK)
