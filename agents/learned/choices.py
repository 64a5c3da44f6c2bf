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

from signals.envs.junction_env import JunctionEnv

DISCOUNT_STEP_S = 5.0
"""A discount factor ``gamma`` is the discount over this many seconds."""


class ChoiceEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Passes through moments with one open phase.

    ``info["step_s"]`` is the time from choice to choice, ``reward_parts`` and the reward are
    discounted to the moment of the choice.

    Args:
        env: A `JunctionEnv`.
        gamma: Discount over `DISCOUNT_STEP_S`.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], gamma: float) -> None:
        super().__init__(env)
        self._gamma = gamma

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Begin a day and go to its first choice."""
        seen, info = self.env.reset(**arguments)
        done = False
        while not done and seen["mask"].sum() <= 1:
            seen, _, _, done, info = self.env.step(np.int64(seen["mask"].argmax()))
        return seen, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Choose, and go to the next choice or the end of the day."""
        seen, _, ended, done, info = self.env.step(action)
        parts, elapsed_s = info["reward_parts"], float(info["step_s"])
        while not (ended or done) and seen["mask"].sum() <= 1:
            seen, _, ended, done, info = self.env.step(np.int64(seen["mask"].argmax()))
            parts = parts + info["reward_parts"] * self._gamma ** (elapsed_s / DISCOUNT_STEP_S)
            elapsed_s += float(info["step_s"])
        return (
            seen,
            float(parts.sum()),
            ended,
            done,
            {**info, "reward_parts": parts, "step_s": elapsed_s},
        )


def make_env(scenario: str, periods: Sequence[str], values: dict[str, Any]) -> Any:
    """One training environment; runs inside a worker process."""
    # ^C is for the parent, which saves; a worker that dies with it would lose the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _Summed(
        JunctionEnv(
            scenario,
            list(periods),
            decision_interval_s=int(values["decision_interval_s"]),
            reward=str(values["reward"]),
            walkers_share=(float(values["walkers_low"]), float(values["walkers_high"])),
        )
    )


def make_choice_env(scenario: str, periods: Sequence[str], values: dict[str, Any]) -> Any:
    """One training environment of choices; runs inside a worker process."""
    return ChoiceEnv(make_env(scenario, periods, values), float(values["gamma"]))


class _Summed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Says at the end of a day what it cost, as ``info["day_reward"]``."""

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Begin to sum."""
        self._sum = 0.0
        return self.env.reset(**arguments)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Add."""
        seen, reward, ended, done, info = self.env.step(action)
        self._sum += float(reward)
        if ended or done:
            info["day_reward"] = self._sum
        return seen, reward, ended, done, info
