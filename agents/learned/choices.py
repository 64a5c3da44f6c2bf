"""An environment that steps from one choice to the next.

A junction under walk or clearance has nothing to choose for half a minute. These moments are
passed through inside the worker process, so that learning sees choices only, and each says how many
seconds it took (a semi-Markov decision process; Bradtke and Duff, 1995).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from signals.envs.junction_env import JunctionEnv
from signals.faults import FaultSpec

DISCOUNT_STEP_S = 5.0
"""A discount factor ``gamma`` is the discount over this many seconds."""


LOOK_S = 10
"""Losses are looked at this often while nothing can be chosen."""


class ChoiceEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Passes through moments with one open phase.

    ``info["step_s"]`` is the time from choice to choice, ``reward_parts`` and the reward are
    discounted to the moment of the choice; ``info["day_reward"]`` is what the day cost, at its end.

    Args:
        env: The junction.
        gamma: Discount over `DISCOUNT_STEP_S`.
    """

    def __init__(self, env: JunctionEnv, gamma: float) -> None:
        super().__init__(env)
        self._junction = env
        self._gamma = gamma

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Begin a day and go to its first choice."""
        seen, info = self.env.reset(**arguments)
        parts, _, day = self._pass(0.0)
        self._day = day
        if parts is not None:
            seen, _, info = self._junction.observe_now()
        return seen, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Choose, and go to the next choice or the end of the day."""
        seen, reward, ended, done, info = self.env.step(action)
        parts, elapsed_s = info["reward_parts"], float(info["step_s"])
        more, elapsed_s, day = self._pass(elapsed_s)
        self._day += float(reward) + day
        if more is not None:
            parts = parts + more
            seen, done, info = self._junction.observe_now()
        info = {**info, "reward_parts": parts, "step_s": elapsed_s}
        if ended or done:
            info["day_reward"] = self._day
        return seen, float(parts.sum()), ended, done, info

    def _pass(self, elapsed_s: float) -> tuple[NDArray[np.float64] | None, float, float]:
        """Discounted parts (None without a wait), seconds since the choice, and the cost."""
        total, cost = None, 0.0
        while True:
            parts, passed_s = self._junction.pass_forced(LOOK_S)
            if not passed_s:
                return total, elapsed_s, cost
            discount = self._gamma ** (elapsed_s / DISCOUNT_STEP_S)
            total = parts * discount if total is None else total + parts * discount
            cost += float(parts.sum())
            elapsed_s += passed_s


def make_choice_env(
    scenario: str,
    periods: Sequence[str],
    values: dict[str, Any],
    faults: Sequence[FaultSpec] = (),
) -> ChoiceEnv:
    """One training environment; runs inside a worker process."""
    # ^C is for the parent, which saves; a worker that dies with it would lose the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    junction = JunctionEnv(
        scenario,
        list(periods),
        decision_interval_s=int(values["decision_interval_s"]),
        reward=str(values["reward"]),
        walkers_share=(float(values["walkers_low"]), float(values["walkers_high"])),
        faults=faults,
    )
    return ChoiceEnv(junction, float(values["gamma"]))
