"""What training needs to know of an algorithm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.learned.network import PhaseScorer
from agents.learned.vecenv import OverlappedVecEnv

Say = Callable[[str], None]
"""Called with what is being done, when it takes long."""


class Setup(Protocol):
    """Builds, begins, saves and loads the model of one algorithm."""

    def create(self, envs: OverlappedVecEnv) -> Any:
        """A new stable-baselines3 model whose policy has a ``scorer``."""

    def begin(self, model: Any, say: Say) -> None:
        """What comes before a new model learns by itself."""

    def save(self, model: Any, folder: Path) -> None:
        """Write all that `load` needs."""

    def load(self, folder: Path, envs: OverlappedVecEnv) -> Any:
        """The model that `save` wrote, ready to go on."""

    def scorer(self, model: Any) -> PhaseScorer:
        """The network that is validated and kept."""

    def seen(self, model: Any) -> dict[str, NDArray[np.float32]]:
        """(observations, size) recent flattened observations by name; may be empty."""
