"""The cyclic profile of arrivals, and which way an offset should move.

Source: the cyclic flow profile and the offset optimiser of SCOOT (P. Hunt et al., TRRL Laboratory
Report 1014, 1981): queues are predicted for the present offset, one a step earlier and one a step
later, and the offset moves to the best.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.classical.streams import Streams
from signals.features import Measures

_ZONE_M = 150.0
_SMOOTHING = 0.3
_WORTH = 0.02
"""Share of the predicted delay that a move has to save."""


class Profile:
    """Arrivals at the stop lines by second of the cycle.

    Args:
        streams: The queues.
        limits_mps: (streams,) speed at which vehicles come from the end of the zone.
    """

    def __init__(self, streams: Streams, limits_mps: NDArray[np.float64]) -> None:
        self._streams = streams
        self._delay_s = np.round(_ZONE_M / limits_mps).astype(np.intp)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._before: NDArray[np.float64] | None = None
        self._entered: deque[NDArray[np.float64]] = deque(maxlen=400)
        self.arrivals: NDArray[np.float64] | None = None

    def second(self, seen: Measures, clock_s: float) -> None:
        """Note who came into the zones, by conservation of vehicles."""
        rows = self._streams.rows
        total = seen.passed[rows] + seen.near[rows] + seen.far[rows]
        if self._before is not None:
            self._entered.append(total - self._before)
        self._before = total

    def better_shift(
        self,
        step_s: int,
        windows: Sequence[tuple[NDArray[np.bool_], float, float]],
        cycle_s: int,
    ) -> int:
        """-1, 0 or 1: whether the coming cycles should begin a step earlier or later.

        Args:
            step_s: Step (s).
            windows: Streams, begin and end of each stage's green in the cycle that ends now.
            cycle_s: Its length (s).
        """
        size = len(self._streams)
        longest = int(self._delay_s.max(initial=0))
        if len(self._entered) < cycle_s + longest:
            return 0
        entered = np.array(self._entered)
        count = len(entered)
        latest = np.zeros((cycle_s, size))
        for stream in range(size):
            end = count - int(self._delay_s[stream])
            latest[:, stream] = entered[end - cycle_s : end, stream]
        if self.arrivals is None or len(self.arrivals) != cycle_s:
            self.arrivals = latest if self.arrivals is None else _fitted(self.arrivals, cycle_s)
        self.arrivals = self.arrivals + _SMOOTHING * (latest - self.arrivals)
        arrivals = np.maximum(_smooth(self.arrivals), 0.0)
        costs = {shift: self._delay(arrivals, windows, shift * step_s) for shift in (0, -1, 1)}
        best = min(costs, key=lambda shift: costs[shift])
        return best if costs[best] < (1.0 - _WORTH) * costs[0] else 0

    def _delay(
        self,
        arrivals: NDArray[np.float64],
        windows: Sequence[tuple[NDArray[np.bool_], float, float]],
        shift_s: int,
    ) -> float:
        """Vehicle seconds of a cycle that begins so much later, queues carried over once."""
        cycle_s = len(arrivals)
        green = np.zeros_like(arrivals, dtype=np.bool_)
        for served, begin_s, end_s in windows:
            green[int(begin_s) : int(end_s), served] = True
        able = np.where(green, self._streams.saturation_veh_s, 0.0)
        coming = np.roll(arrivals, -shift_s, axis=0)
        queue = np.zeros(arrivals.shape[1])
        total = 0.0
        for turn in range(2):
            for second in range(cycle_s):
                queue = np.maximum(queue + coming[second] - able[second], 0.0)
                if turn:
                    total += float(queue.sum())
        return total


def _fitted(arrivals: NDArray[np.float64], cycle_s: int) -> NDArray[np.float64]:
    """A profile cut or filled up to another cycle."""
    if len(arrivals) >= cycle_s:
        return arrivals[:cycle_s]
    more = np.repeat(arrivals.mean(axis=0)[None], cycle_s - len(arrivals), axis=0)
    return np.concatenate((arrivals, more))


def _smooth(arrivals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each second the mean of five: lanes are changed between two looks."""
    found: NDArray[np.float64] = np.mean(
        [np.roll(arrivals, by, axis=0) for by in range(-2, 3)], axis=0
    )
    return found
