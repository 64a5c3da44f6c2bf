"""What one training run is told, and what comes of it.

A junction under walk or clearance has nothing to choose for half a minute. Only choices are kept,
and each says how many seconds it took (a semi-Markov decision process; Bradtke and Duff, 1995).
See `agents.learned.run` for how it is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from agents.learned.network import PhaseScorer
from agents.learned.trials import Comparisons
from signals.faults import FaultSpec
from signals.features import Maxima

DISCOUNT_STEP_S = 5.0
"""A discount factor ``gamma`` is the discount over this many seconds."""
Weights = dict[str, NDArray[np.float32]]
Behaviour = Literal["explore", "draw", "teach", "compare"]


@dataclass(frozen=True)
class RolloutTask:
    """What to run.

    Attributes:
        scenario: Catalogue name or folder.
        period: Period of the day.
        day: Demand day.
        seed: Seeds exploration and the share of people on foot.
        behaviour: ``explore`` takes the best phase but now and then any; ``draw`` draws by score;
            ``teach`` lets ``teacher`` decide, now and then interrupted by any open phase;
            ``compare`` takes the best phase and tries out the others, see `Comparisons`.
        values: Hyperparameters: ``decision_interval_s``, ``reward``, ``gamma``, ``width``,
            ``walkers_low``, ``walkers_high``, ``action_model``; where phases are compared, also
            ``compare_interval_s``, which then stands for ``decision_interval_s``.
        weights: Of the scorer; not needed to teach.
        epsilon: Chance that a choice is random.
        teacher: Classical agent.
        faults: Faults of the detectors.
        maximum_s: Ends the run early; 0 runs the whole period.
    """

    scenario: str
    period: str
    day: int
    seed: int
    behaviour: Behaviour
    values: dict[str, Any] = field(repr=False)
    weights: Weights | None = field(default=None, repr=False)
    epsilon: float = 0.0
    teacher: str = ""
    faults: tuple[FaultSpec, ...] = ()
    maximum_s: int = 0

    @property
    def name(self) -> str:
        """For messages."""
        return f"training run {self.scenario}/{self.period}/{self.day}"


@dataclass
class Trajectory:
    """The choices of one junction in one run.

    Attributes:
        seen: Arrays of `signals.features.Observation` by name, (choices + 1, ...) float32 each; the
            last row is the end of the run.
        actions: (choices,) phases chosen.
        log_chances: (choices,) log probability of each, 0 unless drawn.
        parts: (choices, groups) reward until the next choice by signal group, discounted to the
            choice.
        elapsed_s: (choices,) seconds until the next choice.
        members: (movements, groups) 1 where a movement answers for a part.
    """

    seen: dict[str, NDArray[np.float32]]
    actions: NDArray[np.int64]
    log_chances: NDArray[np.float32]
    parts: NDArray[np.float32]
    elapsed_s: NDArray[np.float32]
    members: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.actions)


@dataclass
class Rollout:
    """What came of a task.

    Attributes:
        trajectories: One for each junction that chose at all.
        lost_veh_h: What the run cost (vehicle hours).
        comparisons: One for each junction at which phases were tried out.
        simulated_s: Seconds that SUMO simulated for it, trials included.
    """

    scenario: str
    period: str
    day: int
    trajectories: list[Trajectory]
    lost_veh_h: float
    comparisons: list[Comparisons] = field(default_factory=list)
    simulated_s: float = 0.0

    @property
    def decisions(self) -> int:
        """Choices of all junctions."""
        return sum(map(len, self.trajectories))


def weights_of(scorer: PhaseScorer) -> Weights:
    """Weights as arrays, to be sent to workers."""
    return {name: value.numpy().copy() for name, value in scorer.state_dict().items()}


def with_weights(width: int, weights: Weights) -> PhaseScorer:
    """A scorer with these weights."""
    scorer = PhaseScorer(width)
    scorer.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return scorer.eval()


def pad(
    rows: list[dict[str, NDArray[np.float32]]], maxima: Maxima
) -> dict[str, NDArray[np.float32]]:
    """Stack observations of different junctions, padded with zeros.

    Args:
        rows: Arrays by name.
        maxima: Sizes to pad to.

    Returns:
        (rows, ...) float32 by name.
    """
    found = {}
    for name, shape in maxima.shapes.items():
        stacked = np.zeros((len(rows), *shape), dtype=np.float32)
        for number, row in enumerate(rows):
            array = row[name]
            place: Any = (number, *(slice(size) for size in array.shape))
            stacked[place] = array
        found[name] = stacked
    return found
