"""The phase-scoring network: one policy for any junction.

Each movement is embedded by the same small network. For every phase the embeddings are pooled
over four sets, the movements that would gain green, lose it, keep it, or stay without; from that
pool, its own embedding and its own relation to the phase, every movement says what the phase is
worth to it. The score of a phase is the sum over movements. Nothing depends on the number or the
order of movements and phases.

The score is a sum so that the time lost by each signal group, which is observed by itself, can be
learned by the parts that answer for it, instead of one number that every stream of the junction
disturbs (value decomposition, as in the hybrid reward
architecture of van Seijen et al., 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from signals.detectors import NEAR_M
from signals.features import (
    ELAPSED_S,
    MOVEMENT_FEATURES,
    PHASE_FEATURES,
    QUEUE_M,
    VEHICLE_SPACE_M,
    WALK_S,
)
from signals.sight import KINDS

CLOSED = -1e9
"""Score of a phase that the guard would not grant."""
_KINDS = 5
"""The first movement features are its kind, one-hot; a padding row has none."""
_POOL_SCALE = 0.25
_RELATIONS = 4
_WALK = PHASE_FEATURES.index("walk")
_CROSSING = PHASE_FEATURES.index("crossing")
_PLAN_DUE = PHASE_FEATURES.index("plan_due")
_PLAN_SPLIT = PHASE_FEATURES.index("plan_split")
_QUEUE = MOVEMENT_FEATURES.index("queue")
_NEAR, _FAR = (MOVEMENT_FEATURES.index(name) for name in ("near_density", "far_density"))
_EXIT_STOPPED = MOVEMENT_FEATURES.index("exit_stopped")
_PRESSING = [MOVEMENT_FEATURES.index(name) for name in ("through", "left")]
_NEAR_VEH, _FAR_VEH = NEAR_M / VEHICLE_SPACE_M, (QUEUE_M - NEAR_M) / VEHICLE_SPACE_M
_EXIT_VEH = 8.0
"""Vehicles on a full lane of an exit, of 60 m; above, of the near zone and of the far zone."""
_EQUAL = 1e-3
"""Pressures that differ by no more than this share are equal."""
_STREAMS = [MOVEMENT_FEATURES.index(name) for name in KINDS]
_SHORT_S = 13.0
"""A plan's split without a walk could be as short as this."""
_AFTER_WALK_S = 5.0
"""A split with a walk could be so much longer than the walk."""
_NOTHING_SPARE = 0.1
"""A plan is made as if it had no choice where it could shift no more than this share."""
_BOUND, _FREE = 0.18, 0.2
"""Up to the first share walks bind a plan; from the second on it is as long as traffic needs."""
_FULL = 0.3
"""Share of a lane's zone that may be taken, above what its exit lacks, before it is too full."""


class PhaseScorer(nn.Module):
    """Scores every phase of a junction.

    Args:
        width: Units of the hidden layers.

    Attributes:
        stay: (2,) bonus of the present phase, in the unit of the scores, and what comes to it for
            every minute of the junction's longest walk; not learned.
        press: (2,) bonus of the open phase of greatest pressure (`_pressed`), for every minute of
            the longest walk, where every queue is as long as is seen, less with shorter ones; and
            what comes to it where walks bind the plan (`_bound`) and its fullest lane is full, less
            with fewer vehicles (`_FULL`). Not learned.
        lean: (3,) bonus of the phase that the plan serves now, for every minute of the longest
            walk, where every queue is as long as is seen, less with shorter ones; what comes to
            it for what the plan could have shifted (`_spare`), 1 being the cycle; and what comes to
            it where walks do not bind the plan (`_bound`). Not learned.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width
        self.embed = nn.Sequential(
            nn.Linear(len(MOVEMENT_FEATURES), width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )
        self.own = nn.Linear(width, width)
        self.relation = nn.Linear(_RELATIONS, width)
        self.pool = nn.Linear(_RELATIONS * width + len(PHASE_FEATURES), width)
        self.worth = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.last = nn.Linear(width, 1)
        # Scores are learned from noisy trials and compared many times during a green: without a
        # bonus, the first error in favour of a change would end it. Where walks bind the junction
        # for long, such an error costs more.
        self.stay = nn.Parameter(torch.zeros(2), requires_grad=False)
        # A saturated junction loses for as long as its queues last, which is longer than any trial:
        # there, what was learned from trials is trusted less. A plan whose cycle is full of walks
        # says little about traffic; one that had seconds to give says where they are needed.
        self.lean = nn.Parameter(torch.zeros(3), requires_grad=False)
        # The fullest lanes are what such a junction must not leave waiting, whatever the plan says:
        # less so where the plan's cycle is longer than its walks, since frequent changes would cost
        # the capacity that the cycle was made long for.
        self.press = nn.Parameter(torch.zeros(2), requires_grad=False)

    def parts(
        self, movements: Tensor, phases: Tensor, serves: Tensor, only: Tensor | None = None
    ) -> Tensor:
        """What each phase is worth to each movement.

        Args:
            movements: (B, M, F) float32.
            phases: (B, P, G) float32; the first feature marks the present phase.
            serves: (B, P, M) float32.
            only: (B,) int64, one phase of each sample; None for all phases.

        Returns:
            (B, P, M) float32, 0 for padding rows; (B, 1, M) with ``only``.
        """
        present = movements[:, :, :_KINDS].sum(dim=2, keepdim=True).clamp(0.0, 1.0)
        embedded = self.embed(movements) * present
        now = torch.matmul(phases[:, :, :1].transpose(1, 2), serves)
        if only is not None:
            rows = torch.arange(len(only), device=only.device)
            phases, serves = phases[rows, only].unsqueeze(1), serves[rows, only].unsqueeze(1)
        relations = [
            serves * (1.0 - now),
            (1.0 - serves) * now,
            serves * now,
            (1.0 - serves) * (1.0 - now),
        ]
        pools = [torch.matmul(relation, embedded) * _POOL_SCALE for relation in relations]
        context = self.pool(torch.cat([*pools, phases], dim=2))
        hidden = (
            self.own(embedded).unsqueeze(1)
            + self.relation(torch.stack(relations, dim=3))
            + context.unsqueeze(2)
        )
        worth: Tensor = self.last(self.worth(hidden)).squeeze(3) * present.transpose(1, 2)
        return worth

    def forward(self, movements: Tensor, phases: Tensor, serves: Tensor, mask: Tensor) -> Tensor:
        """Score the phases.

        Args:
            movements: (B, M, F) float32.
            phases: (B, P, G) float32.
            serves: (B, P, M) float32.
            mask: (B, P) float32, 1 where a wish would be granted.

        Returns:
            (B, P) float32 scores, `CLOSED` where the mask is 0.
        """
        longest_walk = phases[:, :, _WALK].amax(dim=1, keepdim=True)
        stay = (self.stay[0] + self.stay[1] * longest_walk) * phases[:, :, 0]
        streams = movements[:, :, _STREAMS].sum(dim=2)
        queued = (streams * movements[:, :, _QUEUE]).sum(dim=1, keepdim=True)
        full = queued / streams.sum(dim=1, keepdim=True).clamp(min=1.0)
        bound = _bound(phases)
        trust = self.lean[0] + self.lean[1] * _spare(phases) + self.lean[2] * (1.0 - bound)
        pressures = _pressures(movements)
        fullest = (serves * pressures.unsqueeze(1)).amax(dim=2) / (_NEAR_VEH + _FAR_VEH)
        urgent = self.press[1] * bound * (fullest - _FULL).clamp(min=0.0)
        pressed = _pressed(pressures, phases, serves, mask) * (full * self.press[0] + urgent)
        lean = longest_walk * (full * trust * phases[:, :, _PLAN_DUE] + pressed)
        scores = self.parts(movements, phases, serves).sum(dim=2) + stay + lean
        return torch.where(mask > 0.5, scores, torch.full_like(scores, CLOSED))


def _spare(phases: Tensor) -> Tensor:
    """(B, 1) share of the plan's cycle that could be shifted, less what no plan can.

    A walk that has begun counts as none: in its own split, the rest of it is the plan's to give.
    """
    return (_slack(phases, _WALK) - _NOTHING_SPARE).clamp(min=0.0)


def _bound(phases: Tensor) -> Tensor:
    """(B, 1) 1 where walks make the plan's cycle as long as it is, down to 0 where they do not."""
    return ((_FREE - _slack(phases, _CROSSING)) / (_FREE - _BOUND)).clamp(0.0, 1.0)


def _slack(phases: Tensor, walk: int) -> Tensor:
    """(B, 1) share of the plan's cycle that its walks and shortest splits leave; 1 of no plan.

    Args:
        phases: (B, P, G) float32.
        walk: Feature that says how long each phase's walk is.
    """
    splits_s = phases[:, :, _PLAN_SPLIT] * ELAPSED_S
    walks_s = phases[:, :, walk] * WALK_S
    walked_s = torch.minimum(walks_s + _AFTER_WALK_S, splits_s)
    least_s = torch.where(walks_s > 0.0, walked_s, torch.full_like(splits_s, _SHORT_S))
    bound_s = (least_s * (splits_s > 0.0)).sum(dim=1, keepdim=True)
    cycle_s = splits_s.sum(dim=1, keepdim=True)
    return 1.0 - bound_s / cycle_s.clamp(min=1.0)


def _pressures(movements: Tensor) -> Tensor:
    """(B, M) vehicles a lane upstream less those that stand in the exit, at least 0.

    As in `agents.classical.max_pressure`, but of the share of its zone that is taken, so that a
    full pocket presses like a full street; right turns and people on foot press nobody.
    """
    upstream = _NEAR_VEH * movements[:, :, _NEAR] + _FAR_VEH * movements[:, :, _FAR]
    exits = _EXIT_VEH * movements[:, :, _EXIT_STOPPED]
    return movements[:, :, _PRESSING].sum(dim=2) * (upstream - exits).clamp(min=0.0)


def _pressed(pressures: Tensor, phases: Tensor, serves: Tensor, mask: Tensor) -> Tensor:
    """(B, P) 1 for the open phases of greatest pressure, else 0; the present one counts twice."""
    pressure = torch.matmul(serves, pressures.unsqueeze(2)).squeeze(2) * (1.0 + phases[:, :, 0])
    open_ = torch.where(mask > 0.5, pressure, torch.full_like(pressure, -1.0))
    # Sums that are equal but for rounding, which a batch does otherwise, are equal here.
    return (open_ >= open_.amax(dim=1, keepdim=True) * (1.0 - _EQUAL)).to(phases.dtype)
