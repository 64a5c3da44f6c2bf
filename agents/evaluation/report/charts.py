"""Charts as inline SVG: intervals, lines over time, the signal timeline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from agents.evaluation.report.source import Seconds
from signals.junction import Junction
from signals.lights import CLEARANCE, GREEN

GRID = "#e3e6ea"
INK = "#3b424a"
_GREEN = "#2c9c5a"
_YELLOW = "#edb611"
_RED = "#d2544a"


@dataclass(frozen=True)
class Series:
    """A line of a chart: points may be missing, never invented."""

    label: str
    colour: str
    points: Sequence[tuple[float, float]]
    bold: bool = False
    dash: str = ""


@dataclass(frozen=True)
class Interval:
    """One agent's delay (s/veh): mean, 95 % interval, single days."""

    label: str
    colour: str
    mean: float
    low: float | None
    high: float | None
    days: Sequence[float]
    bold: bool = False


def clock(seconds: float, with_seconds: bool = False) -> str:
    """Clock time as hh:mm or hh:mm:ss."""
    whole = int(seconds) % 86_400
    text = f"{whole // 3600:02d}:{whole // 60 % 60:02d}"
    return f"{text}:{whole % 60:02d}" if with_seconds else text


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values from the one at or below `low` to the one at or above `high`."""
    span = max(high - low, 1e-9)
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw - 1e-12)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _text(
    x: float, y: float, text: str, anchor: str = "start", more: str = "", name: str = "tick"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{name}" {more}>'
        f"{escape(text)}</text>"
    )


def _svg(width: float, height: float, title: str, parts: Sequence[str], name: str) -> str:
    return (
        f'<svg class="{name}" viewBox="0 0 {width:g} {height:g}" role="img">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def interval_chart(rows: Sequence[Interval], high: float, title: str, width: int = 1040) -> str:
    """Delay by agent: a dot, its 95 % interval and faint dots for single days.

    Args:
        rows: One agent each, top to bottom.
        high: Largest value of the axis, the same for charts that stand side by side.
        title: What the chart shows.
        width: Width in user units.
    """
    left, right, top, step = 130.0, 190.0, 8.0, 27.0
    marks = ticks(0.0, high)
    bottom = top + step * len(rows)

    def at(value: float) -> float:
        return left + (width - left - right) * value / marks[-1]

    parts = []
    for mark in marks:
        parts.append(f'<path d="M{at(mark):.1f} {top}V{bottom + 4}" stroke="{GRID}"/>')
        parts.append(_text(at(mark), bottom + 18, f"{mark:g}", "middle"))
    parts.append(_text((left + width - right) / 2, bottom + 36, "delay, s/veh", "middle"))
    for index, row in enumerate(rows):
        y = top + step * (index + 0.5)
        weight = 'font-weight="650"' if row.bold else ""
        parts.append(_text(left - 12, y + 4, row.label, "end", weight, "name"))
        parts += [
            f'<circle cx="{at(day):.1f}" cy="{y + 8}" r="2.2" fill="{row.colour}" '
            'fill-opacity=".45"/>'
            for day in row.days
        ]
        value = f"{row.mean:.1f}"
        if row.low is not None and row.high is not None:
            low, top_end = at(max(row.low, 0.0)), min(at(row.high), width - right + 6.0)
            parts.append(
                f'<path d="M{low:.1f} {y}H{top_end:.1f}M{low:.1f} {y - 5}V{y + 5}'
                f'M{top_end:.1f} {y - 5}V{y + 5}" stroke="{row.colour}" '
                f'stroke-width="{2.6 if row.bold else 1.8}"/>'
            )
            value += f"  [{row.low:.1f} to {row.high:.1f}]".replace("-", "\N{MINUS SIGN}")
        parts.append(
            f'<circle cx="{at(row.mean):.1f}" cy="{y}" r="{5.5 if row.bold else 4.5}" '
            f'fill="{row.colour}"/>'
        )
        parts.append(_text(width - right + 22, y + 4, value, "start", weight, "name"))
    return _svg(width, bottom + 42, title, parts, "chart")


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    y_high: float,
    x_clock: bool = False,
    width: int = 505,
    height: int = 210,
    dots: bool = False,
) -> str:
    """Lines over a common axis.

    Args:
        series: What to draw; the last one lies on top.
        title: Heading of the panel.
        x_label: Quantity and unit of the horizontal axis.
        y_label: Quantity and unit of the vertical axis.
        y_high: Largest value of the vertical axis, which begins at zero.
        x_clock: Horizontal values are clock times (s since midnight).
        width: Width in user units.
        height: Height in user units.
        dots: Mark each point.
    """
    left, right, top, bottom = 52.0, 14.0, 30.0, 42.0
    xs = [x for line in series for x, _ in line.points]
    low, high = (min(xs), max(xs)) if xs else (0.0, 1.0)
    if x_clock:
        step = next((s for s in (60, 120, 300, 600, 900, 1800) if (high - low) / s <= 6.5), 3600)
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        x_marks = [low + float(step * n) for n in range(int((high - low) / step) + 1)]
    else:
        x_marks = ticks(min(low, 0.0), high or 1.0, 6)
        low, high = x_marks[0], x_marks[-1]
    y_marks = ticks(0.0, y_high or 1.0, 5)

    def at_x(value: float) -> float:
        return left + (width - left - right) * (value - low) / ((high - low) or 1.0)

    def at_y(value: float) -> float:
        return height - bottom - (height - top - bottom) * value / y_marks[-1]

    parts = [_text(left, 17, title, "start", "", "panel")]
    for mark in y_marks:
        parts.append(f'<path d="M{left} {at_y(mark):.1f}H{width - right}" stroke="{GRID}"/>')
        parts.append(_text(left - 7, at_y(mark) + 4, f"{mark:g}", "end"))
    for mark in x_marks:
        x = at_x(mark)
        parts.append(f'<path d="M{x:.1f} {at_y(0):.1f}v4" stroke="{INK}"/>')
        parts.append(_text(x, at_y(0) + 17, clock(mark) if x_clock else f"{mark:,g}", "middle"))
    parts.append(f'<path d="M{left} {at_y(0):.1f}H{width - right}" stroke="{INK}"/>')
    parts.append(_text((left + width - right) / 2, height - 7, x_label, "middle"))
    y_middle = (top + height - bottom) / 2
    turn = f'transform="rotate(-90 13 {y_middle:.1f})"'
    parts.append(_text(13, y_middle, y_label, "middle", turn))
    for line in series:
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in line.points)
        dash = f'stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{line.colour}" '
            f'stroke-width="{2.6 if line.bold else 1.5}" stroke-linejoin="round" {dash}/>'
        )
        if dots:
            parts += [
                f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3.4" fill="{line.colour}"/>'
                for x, y in line.points
            ]
    return _svg(width, height, title, parts, "chart")


def timeline(
    junction: Junction,
    seconds: Seconds,
    window: tuple[int, int],
    phase_colours: Mapping[int, str],
    title: str,
    width: int = 1040,
) -> str:
    """What every signal group showed, second by second, with the phase on top.

    Args:
        junction: Names the groups, in the order of the recorded indications.
        seconds: A recorded run.
        window: First row and the row after the last.
        phase_colours: Phase index to the colour of its band.
        title: What the chart shows.
        width: Width in user units.
    """
    left, right, top, band, step, gap = 96.0, 12.0, 6.0, 17.0, 14.0, 7.0
    first, end = window
    count = max(end - first, 1)
    groups = [group.id for group in junction.groups]
    scale = (width - left - right) / count

    def at(row: float) -> float:
        return left + (row - first) * scale

    parts = [_text(left - 9, top + 13, "phase (현시)", "end", "", "name")]
    for start, stop, phase in _spans(seconds.phases, first, end):
        span = at(stop) - at(start)
        parts.append(
            f'<rect x="{at(start):.1f}" y="{top}" width="{span:.1f}" height="{band}" '
            f'fill="{phase_colours.get(phase, "#ccc")}" stroke="#fff" stroke-width=".8"/>'
        )
        if span > 12:
            parts.append(_text((at(start) + at(stop)) / 2, top + 12.5, str(phase), "middle"))
    y = top + band + gap
    bottom = y + step * len(groups) + gap
    marks = [row for row in range(first, end) if seconds.clock_s[row] % 60 == 0]
    for row in marks:
        parts.append(
            f'<path d="M{at(row):.1f} {top + band + 2}V{bottom + 15:.1f}" stroke="{GRID}"/>'
        )
        parts.append(_text(at(row), bottom + 29, clock(seconds.clock_s[row]), "middle"))
    pedestrian_before = False
    for index, group in enumerate(junction.groups):
        walker = group.kind == "pedestrian"
        if walker and not pedestrian_before:
            parts.append(f'<path d="M8 {y - 0.5:.1f}H{width - right}" stroke="#c9ced4"/>')
        pedestrian_before = walker
        parts.append(_text(left - 9, y + 10.5, group.id, "end", "", "name"))
        shown = [int(digits[index]) for digits in seconds.indications[first:end]]
        parts += _lamp_row(shown, walker, left, y, scale, step)
        y += step
    refused = [not granted for granted in seconds.granted]
    parts.append(_text(left - 9, bottom + 11, "wish refused", "end", "", "name"))
    parts += [
        f'<rect x="{at(start):.1f}" y="{bottom + 3:.1f}" width="{at(stop) - at(start):.1f}" '
        'height="9" fill="#565e68"/>'
        for start, stop, value in _spans(refused, first, end)
        if value
    ]
    return _svg(width, bottom + 36, title, parts, "chart timeline")


def _lamp_row(
    shown: Sequence[int], walker: bool, left: float, y: float, scale: float, step: float
) -> list[str]:
    """Red as a thin line, everything else as a bar."""
    parts = []
    for start, stop, value in _spans(shown, 0, len(shown)):
        x, width = left + start * scale, (stop - start) * scale
        if value in (GREEN, CLEARANCE):
            fill = _GREEN if value == GREEN else "url(#flashing)" if walker else _YELLOW
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 1.5:.1f}" width="{width:.1f}" '
                f'height="{step - 3:.1f}" fill="{fill}"/>'
            )
        else:
            parts.append(
                f'<path d="M{x:.1f} {y + step / 2:.1f}h{width:.1f}" stroke="{_RED}" '
                'stroke-width="1.8"/>'
            )
    return parts


def _spans(values: Sequence[int], first: int, end: int) -> list[tuple[int, int, int]]:
    """Runs of equal values: first row, row after the last, value."""
    found: list[tuple[int, int, int]] = []
    start = first
    for row in range(first + 1, end + 1):
        if row == end or values[row] != values[start]:
            found.append((start, row, values[start]))
            start = row
    return found


def patterns() -> str:
    """Definitions that timelines refer to: flashing green."""
    return (
        '<pattern id="flashing" width="4" height="4" patternUnits="userSpaceOnUse">'
        f'<rect width="4" height="4" fill="#dff1e5"/><rect width="2" height="4" fill="{_GREEN}"/>'
        "</pattern>"
    )


def key(shape: str) -> str:
    """A sample of a timeline's sign for a legend: green, yellow, flashing, red or refused."""
    fills = {
        "green": _GREEN,
        "yellow": _YELLOW,
        "flashing": "url(#flashing)",
        "refused": "#565e68",
    }
    inner = (
        f'<path d="M0 6h22" stroke="{_RED}" stroke-width="1.8"/>'
        if shape == "red"
        else f'<rect width="22" height="11" y=".5" fill="{fills[shape]}"/>'
    )
    return f'<svg class="key" viewBox="0 0 22 12" aria-hidden="true">{inner}</svg>'
