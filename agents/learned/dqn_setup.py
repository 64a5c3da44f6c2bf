"""Training with DQN on stable-baselines3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.learned.dqn import ElapsedReplayBuffer, PhaseDQN
from agents.learned.network import PhaseScorer, membership
from agents.learned.policy import PhaseScoringPolicy
from agents.learned.setup import Say
from agents.learned.vecenv import OverlappedVecEnv
from agents.training import TrainingPlan
from signals.world import resolve

_OURS = (
    "learning_rate",
    "buffer_size",
    "batch_size",
    "tau",
    "gamma",
    "exploration_fraction",
    "exploration_initial_eps",
    "exploration_final_eps",
    "max_grad_norm",
)


class DqnSetup:
    """See `agents.learned.setup.Setup`.

    Args:
        plan: What to train.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._plan = plan
        self._values = plan.hyperparameters

    def create(self, envs: OverlappedVecEnv) -> PhaseDQN:
        """See `Setup.create`."""
        values = self._values
        model = PhaseDQN(
            PhaseScoringPolicy,
            envs,
            **{name: values[name] for name in _OURS},
            # A short run begins to learn early enough to learn at all.
            learning_starts=min(int(values["learning_starts"]), int(values["n_timesteps"]) // 5),
            # SB3 would learn between the steps; it is done while the workers simulate instead.
            train_freq=1,
            gradient_steps=0,
            target_update_interval=envs.num_envs,
            replay_buffer_class=ElapsedReplayBuffer,
            replay_buffer_kwargs={"gamma": values["gamma"]},
            policy_kwargs={"width": int(values["width"])},
            tensorboard_log=str(self._plan.out / "tensorboard"),
            seed=self._plan.seed,
            device="cpu",
        )
        return self._ready(model)

    def begin(self, model: PhaseDQN, say: Say) -> None:
        """Nothing: its first decisions follow the plan."""

    def save(self, model: PhaseDQN, folder: Path) -> None:
        """See `Setup.save`."""
        model.save(folder / "model.zip")
        model.save_replay_buffer(folder / "replay.pkl")

    def load(self, folder: Path, envs: OverlappedVecEnv) -> PhaseDQN:
        """See `Setup.load`."""
        model = PhaseDQN.load(folder / "model.zip", env=envs)
        model.load_replay_buffer(folder / "replay.pkl")
        return self._ready(model)

    def scorer(self, model: PhaseDQN) -> PhaseScorer:
        """See `Setup.scorer`."""
        found: PhaseScorer = model.policy.scorer  # type: ignore[assignment]
        return found

    def seen(self, model: PhaseDQN) -> dict[str, NDArray[np.float32]]:
        """See `Setup.seen`."""
        buffer: Any = model.replay_buffer
        filled = buffer.buffer_size if buffer.full else buffer.pos
        return {name: array[:filled, 0] for name, array in buffer.observations.items() if filled}

    def _ready(self, model: PhaseDQN) -> PhaseDQN:
        junction = resolve(self._plan.scenario, self._plan.periods[0]).junction
        model.membership = membership(junction)
        model.updates_per_step = int(self._values["updates_per_step"])
        return model
