"""What the gateway says of its junctions: how they stand, and what a run came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controllers.link import LinkReport
    from controllers.simulated import GatewayReport


def counted(number: int, what: str) -> str:
    """A number of things, such as ``1 poll`` or ``2 polls``.

    Args:
        number: How many.
        what: One of them; an s makes the plural.
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def status_line(row: Mapping[str, Any]) -> str:
    """How a junction stands at a running gateway.

    Args:
        row: One of ``junctions`` in the gateway's answer to a request.
    """
    if not row["connected"]:
        state = "not connected"
    elif row["in_control"]:
        state = f"in control, armed for another {row['armed_left_s'] / 60:.1f} minutes"
    else:
        state = "armed" if row["armed"] else "disarmed"
    waiting, trouble = row["waiting"], row["trouble"]
    why = f"; waiting: {waiting}" if waiting else f"; {trouble}" if trouble else ""
    return f"{row['junction']}: {state}, {counted(row['decisions'], 'decision')}{why}"


def link_line(junction: str, report: LinkReport) -> str:
    """What the link to a junction's controller came to.

    Args:
        junction: Its id.
        report: Of the link, at its end.
    """
    return (
        f"{junction}: {report.seconds} s seen, {report.commanded} s commanded, "
        f"{counted(report.decisions, 'decision')}, {report.withheld} left to the plan by "
        f"stage or override, lost {counted(report.losses, 'time')}, back "
        f"{counted(report.recoveries, 'time')}, released {counted(report.releases, 'time')}"
    )


def simulation_lines(report: GatewayReport) -> list[str]:
    """Who decided in a simulated run, and, when the service did at all, how fast it answered.

    Args:
        report: Of the run.
    """
    lines = [
        f"decisions: {report.from_service} by the service, {report.from_plan} by the local "
        f"plan; {counted(report.refusals, 'poll')} refused, {report.local_plan_answers} sent "
        "to the plan"
    ]
    if report.from_service:
        mean_ms = 1000 * report.polls_s / report.from_service
        lines.append(
            f"polls: {mean_ms:.1f} ms on average, {1000 * report.slowest_poll_s:.1f} ms the "
            f"slowest; service lost {counted(report.losses, 'time')}, back "
            f"{counted(report.recoveries, 'time')}"
        )
    return lines
