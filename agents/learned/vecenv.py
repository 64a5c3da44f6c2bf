"""Worker processes whose waiting time is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import SubprocVecEnv


class OverlappedVecEnv(SubprocVecEnv):
    """Runs something of the caller's while the workers simulate.

    Set ``while_waiting`` to a function; it is called once a step, after the actions were sent and
    before the results are awaited.
    """

    elapsed_s: NDArray[np.float64]
    """(environments,) seconds that the last step took in each."""
    parts: NDArray[np.float64]
    """(environments, parts) reward of the last step by part."""
    while_waiting: Callable[[], None] | None = None

    def step_wait(self) -> Any:
        """See ``SubprocVecEnv.step_wait``."""
        if self.while_waiting is not None:
            self.while_waiting()
        answer = super().step_wait()
        self.elapsed_s = np.array([info["step_s"] for info in answer[3]])
        self.parts = np.array([info["reward_parts"] for info in answer[3]])
        return answer
