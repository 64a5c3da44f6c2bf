"""Which streams of one junction feed which of another, found in the two junctions alone."""

from __future__ import annotations

from dataclasses import dataclass

from agents.classical.streams import Streams
from signals.junction import Junction


@dataclass(frozen=True, slots=True)
class Feed:
    """One stream upstream and what it feeds.

    Attributes:
        source: Stream of the junction upstream.
        targets: Streams of the junction downstream, those of the approach it leads to.
        travel_s: Free time of travel from stop line to stop line (s).
    """

    source: int
    targets: tuple[int, ...]
    travel_s: float


def feeds(
    upstream: Junction, downstream: Junction, sources: Streams, targets: Streams
) -> tuple[Feed, ...]:
    """The feeds from one junction to another; none where a street lies between that neither sees.

    A stream feeds an approach when an exit of its movement is on an edge that the approach's zone
    reaches.

    Args:
        upstream: The junction that lets vehicles out.
        downstream: The junction that they come to.
        sources: Streams of the first.
        targets: Streams of the second.
    """
    reach: dict[str, tuple[str, float, float]] = {}
    for lane in downstream.lanes:
        distance_m = 0.0
        for piece in lane.zone:
            # Exits begin where their lane does, so that the whole of it lies between.
            reach.setdefault(
                _edge(piece.lane), (lane.leg, distance_m + piece.end_m, lane.speed_mps)
            )
            distance_m += piece.end_m - piece.start_m
    legs = {lane.id: lane.leg for lane in downstream.lanes}
    found = []
    for source, row in enumerate(sources.rows):
        for leg, length_m, speed_mps in dict.fromkeys(
            reach[_edge(piece.lane)]
            for piece in upstream.movements[row].exits
            if _edge(piece.lane) in reach
        ):
            fed = tuple(
                target
                for target, other in enumerate(targets.rows)
                if any(legs.get(lane) == leg for lane in downstream.movements[other].lanes)
            )
            if fed:
                found.append(Feed(source, fed, length_m / max(speed_mps, 1.0)))
                break
    return tuple(found)


def _edge(lane: str) -> str:
    return lane.rpartition("_")[0]
