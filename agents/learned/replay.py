"""What was chosen and what came of it, of junctions of any size, kept small."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.learned.rollout import DISCOUNT_STEP_S, Trajectory
from signals.features import Maxima

_NAMES = ("movements", "phases", "serves", "mask")


@dataclass(frozen=True)
class Batch:
    """Choices drawn from a `Replay`.

    Attributes:
        seen: (B, ...) arrays by name, at the choice.
        after: (B, ...) the same, some choices later.
        actions: (B,) int64 phases chosen.
        parts: (B, G) reward in between by signal group, discounted to the choice.
        discounts: (B, 1) discount of what comes after.
        members: (B, M, G) 1 where a movement answers for a part.
    """

    seen: dict[str, Tensor]
    after: dict[str, Tensor]
    actions: Tensor
    parts: Tensor
    discounts: Tensor
    members: Tensor


class Replay:
    """A ring of choices; features lie in [0, 1] and are kept as 16-bit floats.

    Args:
        size: Rows kept.
        maxima: Sizes that observations are padded to.
        groups: Most signal groups of a junction.
        gamma: Discount over `DISCOUNT_STEP_S`.
        steps: Choices that a transition leads over (n-step learning).
        random: Draws.
    """

    def __init__(
        self,
        size: int,
        maxima: Maxima,
        groups: int,
        gamma: float,
        steps: int,
        random: np.random.Generator,
    ) -> None:
        self.size, self.maxima, self.gamma, self.steps = size, maxima, gamma, steps
        self.groups = groups
        self.random = random
        shapes = maxima.shapes
        self._seen = {name: np.zeros((size, *shapes[name]), dtype=np.float16) for name in _NAMES}
        self._actions = np.full(size, -1, dtype=np.int64)
        self._parts = np.zeros((size, groups), dtype=np.float32)
        self._elapsed_s = np.zeros(size, dtype=np.float32)
        self._after = np.zeros(size, dtype=np.int64)
        self._kind = np.zeros(size, dtype=np.int64)
        self._members: list[NDArray[np.float32]] = []
        self._kinds: dict[bytes, int] = {}
        self._at = 0
        self._top = 0
        self._rows: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self.added = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, trajectory: Trajectory) -> None:
        """Keep all choices of a trajectory."""
        count = len(trajectory)
        rows = count + 1
        if rows > self.size:
            return
        if self._at + rows > self.size:
            self._actions[self._at :] = -1
            self._at = 0
        start = self._at
        here = slice(start, start + rows)
        for name in _NAMES:
            array = trajectory.seen[name]
            self._seen[name][here] = 0.0
            self._seen[name][(here, *(slice(size) for size in array.shape[1:]))] = array
        self._actions[start : start + count] = trajectory.actions
        self._actions[start + count] = -1
        parts, elapsed_s = trajectory.parts, trajectory.elapsed_s
        total = np.zeros((count, self.groups), dtype=np.float32)
        passed = np.zeros(count, dtype=np.float32)
        for step in range(self.steps):
            left = max(count - step, 0)
            weight = self.gamma ** (passed[:left, None] / DISCOUNT_STEP_S)
            total[:left, : parts.shape[1]] += weight * parts[step:]
            passed[:left] += elapsed_s[step:]
        self._parts[start : start + count] = total
        self._elapsed_s[start : start + count] = passed
        self._after[start : start + count] = start + np.minimum(
            np.arange(count) + self.steps, count
        )
        self._kind[here] = self._kind_of(trajectory.members)
        self._at = start + rows
        self._top = max(self._top, self._at)
        self._rows = np.flatnonzero(self._actions[: self._top] >= 0)
        self.added += count

    def _kind_of(self, members: NDArray[np.float32]) -> int:
        padded = np.zeros((self.maxima.movements, self.groups), dtype=np.float32)
        padded[: members.shape[0], : members.shape[1]] = members
        key = padded.tobytes()
        if key not in self._kinds:
            self._kinds[key] = len(self._members)
            self._members.append(padded)
        return self._kinds[key]

    def sample(self, count: int) -> Batch:
        """Draw choices.

        Args:
            count: How many.
        """
        rows = self._rows[self.random.integers(0, len(self._rows), count)]
        after = self._after[rows]
        return Batch(
            self._tensors(rows),
            self._tensors(after),
            torch.from_numpy(self._actions[rows]),
            torch.from_numpy(self._parts[rows]),
            torch.from_numpy(
                (self.gamma ** (self._elapsed_s[rows] / DISCOUNT_STEP_S)).astype(np.float32)
            ).unsqueeze(1),
            torch.from_numpy(np.stack([self._members[kind] for kind in self._kind[rows]])),
        )

    def _tensors(self, rows: NDArray[np.intp]) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(self._seen[name][rows].astype(np.float32)) for name in _NAMES
        }

    def recent(self, count: int) -> dict[str, NDArray[np.float32]]:
        """(count, ...) observations by name, spread over all that is kept."""
        if not len(self._rows):
            return {}
        rows = self._rows[
            np.linspace(0, len(self._rows) - 1, min(count, len(self._rows))).astype(int)
        ]
        return {name: self._seen[name][rows].astype(np.float32) for name in _NAMES}

    def save(self, file: Path) -> None:
        """Write everything that `load` needs."""
        top = self._top
        state: dict[str, Any] = {f"seen_{name}": array[:top] for name, array in self._seen.items()}
        np.savez(
            file,
            **state,
            actions=self._actions[:top],
            parts=self._parts[:top],
            elapsed_s=self._elapsed_s[:top],
            after=self._after[:top],
            kind=self._kind[:top],
            members=np.stack(self._members) if self._members else np.zeros((0, 0, 0)),
            at=self._at,
            added=self.added,
        )

    def load(self, file: Path) -> None:
        """Take up what `save` wrote."""
        with np.load(file, allow_pickle=False) as stored:
            self._top = top = len(stored["actions"])
            for name in _NAMES:
                self._seen[name][:top] = stored[f"seen_{name}"]
            self._actions[:top] = stored["actions"]
            self._parts[:top] = stored["parts"]
            self._elapsed_s[:top] = stored["elapsed_s"]
            self._after[:top] = stored["after"]
            self._kind[:top] = stored["kind"]
            self._members = list(stored["members"].astype(np.float32))
            self._kinds = {padded.tobytes(): kind for kind, padded in enumerate(self._members)}
            self._at, self.added = int(stored["at"]), int(stored["added"])
        self._rows = np.flatnonzero(self._actions[:top] >= 0)
