"""Training by trying out: the policy learns to choose what turned out cheapest.

See `agents.learned.trials`. A choice counts by what it matters: the regret of the other phases,
measured in what the junction usually loses in five seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger
from torch import Tensor

from agents.learned.learner import falling_rate
from agents.learned.network import CLOSED, PhaseScorer
from agents.learned.ppo import best_lessons
from agents.learned.rollout import Behaviour, Rollout, pad
from agents.learned.trials import Comparisons
from agents.training import Sizes
from signals.errors import InputError

_NAMES = ("movements", "phases", "serves", "mask")
_WEIGHT_BOUNDS = (0.05, 5.0)
"""A choice between phases of almost the same cost still counts a little, one that jams the junction
not without bound."""
_MOST_WORTH = 20.0
"""What a phase may be worth to one signal group, in the same unit; jams are not learned exactly."""


class LookaheadLearner:
    """See `agents.learned.learner.Learner`.

    Args:
        values: Hyperparameters.
        sizes: Largest junction of the training.
        seed: Seeds weights and draws.
        first: Weights to begin with, or None.
    """

    def __init__(
        self, values: dict[str, Any], sizes: Sizes, seed: int, first: PhaseScorer | None
    ) -> None:
        if values["action_model"] == "split":
            raise InputError(
                "--algo lookahead tries out phases, and --action-model split wishes for none; "
                "give --algo dqn or ppo"
            )
        torch.manual_seed(seed)
        self._values, self._sizes = values, sizes
        self._random = np.random.default_rng([seed, 71])
        self._left, self._fresh, self._at, self._count = 1.0, 0, 0, 0
        size, shapes = int(values["buffer_size"]), sizes.maxima.shapes
        self._seen = {name: np.zeros((size, *shapes[name]), dtype=np.float16) for name in _NAMES}
        self._regret = np.full((size, sizes.maxima.phases), np.nan, dtype=np.float32)
        self._parts = np.zeros((size, sizes.maxima.phases, sizes.groups), dtype=np.float16)
        # Rows of padding belong to one group more, which is never compared.
        self._group_of = np.full((size, sizes.maxima.movements), sizes.groups, dtype=np.int16)
        self._scorer = PhaseScorer(int(values["width"]))
        if first is None:
            with torch.no_grad():
                stay = [float(values["stay_bonus"]), float(values["stay_bonus_walk"])]
                names = ("plan_bonus_walk", "plan_bonus_spare", "plan_bonus_free")
                lean = [float(values[name]) for name in names]
                press = [float(values["pressure_bonus_walk"]), float(values["pressure_bonus_full"])]
                self._scorer.stay.copy_(torch.tensor(stay))
                self._scorer.lean.copy_(torch.tensor(lean))
                self._scorer.press.copy_(torch.tensor(press))
        else:
            self._scorer.load_state_dict(first.state_dict())
        self._mean = deepcopy(self._scorer)
        self._optimizer = torch.optim.AdamW(
            self._scorer.parameters(),
            lr=float(values["learning_rate"]),
            weight_decay=float(values["weight_decay"]),
        )
        self._logger: Logger | None = None

    def watch(self, lessons: Sequence[Rollout]) -> None:
        """Choose as the best teacher of each day does, to begin with."""
        trajectories = best_lessons(lessons)
        if not trajectories:
            return
        rows = [
            {name: item.seen[name][row] for name in _NAMES}
            for item in trajectories
            for row in range(len(item))
        ]
        chosen = torch.from_numpy(np.concatenate([item.actions for item in trajectories]))
        size = int(self._values["batch_size"])
        # Few choices are passed through more often.
        epochs = max(
            int(self._values["teacher_epochs"]),
            -(-int(self._values["teacher_updates"]) * size // len(rows)),
        )
        for _ in range(epochs):
            order = self._random.permutation(len(rows))
            for places in np.array_split(order, max(len(rows) // size, 1)):
                batch = pad([rows[place] for place in places], self._sizes.maxima)
                scores = self._scorer(*(torch.from_numpy(batch[name]) for name in _NAMES))
                loss = torch.nn.functional.cross_entropy(scores, chosen[places])
                self._step(loss)
        self._mean.load_state_dict(self._scorer.state_dict())

    def behaviour(self, left: float) -> tuple[Behaviour, float]:
        """See `Learner.behaviour`."""
        return "compare", float(self._values["epsilon"])

    def meanwhile(self) -> None:
        """Learn as much as the last round allows."""
        updates = int(self._fresh * float(self._values["updates_per_comparison"]))
        self._fresh = 0
        if self._count < int(self._values["batch_size"]):
            return
        losses = [self._update() for _ in range(updates)]
        if losses and self._logger is not None:
            self._logger.record("train/loss", float(np.mean([loss for loss, _ in losses])))
            self._logger.record("train/regret", float(np.mean([regret for _, regret in losses])))

    def take(self, rollouts: Sequence[Rollout], left: float) -> None:
        """See `Learner.take`."""
        self._left = left
        for rollout in rollouts:
            for item in rollout.comparisons:
                self._keep(item)
        if self._logger is not None:
            self._logger.record("train/comparisons", self._count)

    def _keep(self, item: Comparisons) -> None:
        batch = pad(
            [{name: item.seen[name][row] for name in _NAMES} for row in range(len(item))],
            self._sizes.maxima,
        )
        regret = item.costs_s - np.nanmin(item.costs_s, axis=1, keepdims=True)
        regret /= item.usual_s[:, None]
        size = len(self._regret)
        places = (self._at + np.arange(len(item))) % size
        for name in _NAMES:
            self._seen[name][places] = batch[name]
        self._regret[places] = np.nan
        self._regret[places, : regret.shape[1]] = regret
        worth = np.nanmean(item.parts_s, axis=1, keepdims=True) - item.parts_s
        worth /= item.usual_s[:, None, None]
        worth = np.nan_to_num(worth).clip(-_MOST_WORTH, _MOST_WORTH)
        self._parts[places] = 0.0
        self._parts[places, : worth.shape[1], : worth.shape[2]] = worth
        self._group_of[places] = self._parts.shape[2]
        self._group_of[places, : len(item.group_of)] = item.group_of
        self._at = int(self._at + len(item)) % size
        self._count = min(self._count + len(item), size)
        self._fresh += len(item)

    def _update(self) -> tuple[float, float]:
        rows = self._random.integers(0, self._count, int(self._values["batch_size"]))
        seen = [torch.from_numpy(self._seen[name][rows].astype(np.float32)) for name in _NAMES[:3]]
        regret = torch.from_numpy(self._regret[rows])
        tried = torch.isfinite(regret)
        regret = torch.where(tried, regret, torch.zeros_like(regret))
        parts = self._scorer.parts(*seen)
        scores = torch.where(tried, parts.sum(dim=2), torch.full_like(regret, CLOSED))
        loss, met = weighted_choice_loss(scores, regret, tried, float(self._values["softness"]))
        loss = loss + float(self._values["parts_weight"]) * parts_loss(
            parts,
            torch.from_numpy(self._group_of[rows].astype(np.int64)),
            torch.from_numpy(self._parts[rows].astype(np.float32)),
            tried,
        )
        for group in self._optimizer.param_groups:
            group["lr"] = falling_rate(self._values, self._left)
        self._step(loss)
        with torch.no_grad():
            for mean, fresh in zip(self._mean.parameters(), self._scorer.parameters(), strict=True):
                mean.lerp_(fresh, float(self._values["tau"]))
        return loss.item(), met.item()

    def _step(self, loss: Tensor) -> None:
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(
            self._scorer.parameters(), float(self._values["max_grad_norm"])
        )
        self._optimizer.step()

    def scorer(self) -> PhaseScorer:
        """See `Learner.scorer`."""
        return self._mean

    def kept(self) -> PhaseScorer:
        """See `Learner.kept`: the running mean of the weights."""
        return self._mean

    def seen(self, count: int) -> dict[str, NDArray[np.float32]]:
        """See `Learner.seen`."""
        if not self._count:
            return {}
        rows = np.linspace(0, self._count - 1, min(count, self._count)).astype(int)
        return {name: self._seen[name][rows].astype(np.float32) for name in _NAMES}

    def log_to(self, logger: Logger) -> None:
        """See `Learner.log_to`."""
        self._logger = logger

    def save(self, folder: Path) -> None:
        """See `Learner.save`."""
        torch.save(
            {
                "scorer": self._scorer.state_dict(),
                "mean": self._mean.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "left": self._left,
                "at": self._at,
                "fresh": self._fresh,
            },
            folder / "model.pt",
        )
        kept = {f"seen_{name}": array[: self._count] for name, array in self._seen.items()}
        np.savez(
            folder / "comparisons.npz",
            regret=self._regret[: self._count],
            parts=self._parts[: self._count],
            group_of=self._group_of[: self._count],
            **kept,  # type: ignore[arg-type]
        )

    def load(self, folder: Path) -> None:
        """See `Learner.load`."""
        state = torch.load(folder / "model.pt", weights_only=True)
        self._scorer.load_state_dict(state["scorer"])
        self._mean.load_state_dict(state["mean"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._left, self._at = float(state["left"]), int(state["at"])
        self._fresh = int(state["fresh"])
        with np.load(folder / "comparisons.npz", allow_pickle=False) as stored:
            self._count = len(stored["regret"])
            self._regret[: self._count] = stored["regret"]
            self._parts[: self._count] = stored["parts"]
            self._group_of[: self._count] = stored["group_of"]
            for name in _NAMES:
                self._seen[name][: self._count] = stored[f"seen_{name}"]


def weighted_choice_loss(
    scores: Tensor, regret: Tensor, tried: Tensor, softness: float
) -> tuple[Tensor, Tensor]:
    """Cross entropy against the phases that cost little, weighted by what is at stake.

    Args:
        scores: (B, P) of the network, `CLOSED` where a phase was not tried.
        regret: (B, P) cost beyond the cheapest phase, in what is usually lost in five seconds.
        tried: (B, P) bool.
        softness: Regret at which a phase is 1/e as good as the cheapest.

    Returns:
        The loss, and the mean regret of the network's own choices.
    """
    closed = torch.full_like(scores, CLOSED)
    wanted = torch.softmax(torch.where(tried, -regret / softness, closed), dim=1)
    logs = torch.log_softmax(torch.where(tried, scores, closed), dim=1)
    entropy = -(wanted * torch.where(tried, logs, torch.zeros_like(logs))).sum(dim=1)
    at_stake = regret.max(dim=1).values.clamp(*_WEIGHT_BOUNDS)
    chosen = torch.where(tried, scores, closed).argmax(dim=1, keepdim=True)
    return (entropy * at_stake).mean(), regret.gather(1, chosen).mean()


def parts_loss(parts: Tensor, group_of: Tensor, worth: Tensor, tried: Tensor) -> Tensor:
    """How far what a phase is worth to each signal group is from what it turned out to be.

    The losses of one group depend on less than their sum does: the same trials tell more when the
    parts of the score answer for them one by one.

    Args:
        parts: (B, P, M) of the network.
        group_of: (B, M) int64 signal group of each movement; G for rows of padding.
        worth: (B, P, G) seconds that the group loses less than on average of the phases tried, in
            what the junction usually loses in five seconds.
        tried: (B, P) bool.

    Returns:
        Sum over groups of the mean Huber loss.
    """
    batch, phases, groups = worth.shape
    index = group_of.unsqueeze(1).expand(batch, phases, -1)
    sums = torch.zeros(batch, phases, groups + 1).scatter_add(2, index, parts)[:, :, :groups]
    counts = tried.float().unsqueeze(2)
    mean = (sums * counts).sum(dim=1, keepdim=True) / counts.sum(dim=1, keepdim=True)
    loss = torch.nn.functional.huber_loss(sums - mean, worth, reduction="none")
    return (loss * counts).sum() / counts.sum()
