"""`JunctionEnv`: one junction as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from signals.action_models import ActionModel
from signals.action_models import action_model as make_action_model
from signals.envs.days import TRAINING_DAYS, Days
from signals.envs.wishes import check_wish
from signals.errors import InputError
from signals.faults import FaultSpec, as_faults, check_faults, check_windows
from signals.observation import Observation, ObservationSpec
from signals.recording import Recorder
from signals.rewards import reward_named
from signals.simulation.backend import RunOptions
from signals.simulation.episode import Episode
from signals.simulation.sumo_backend import SumoBackend

__all__ = ["TRAINING_DAYS", "JunctionEnv"]


class JunctionEnv(gymnasium.Env[dict[str, Any], np.int64]):
    """Choose the phase of one junction every few seconds; the guard keeps every light lawful.

    Observation: dict of float32 vectors in [0, 1], the arrays of `signals.observation.Observation`
    flattened row by row; `observation_spec` tells their shapes and fields.
    Action: index of the wished phase; ``info["action_mask"]`` and `action_masks` tell which wishes
    would be granted, others are refused by the guard and the present phase goes on.
    Reward: lost vehicle seconds since the last decision, negated and scaled.

    Args:
        scenario: Catalogue name or folder.
        period: Period, several periods to draw from at each reset, or None for the first.
        decision_interval_s: Seconds between decisions.
        reward: Name of a term of `signals.rewards`.
        gui: Show the run in sumo-gui.
        sumo_options: Further SUMO options.
        recorder: Keeps the run when given.
        walkers_share: Bounds of the share of people on foot that a run simulates; below 1 for
            training that is short of time, see `signals.simulation.thinning`.
        faults: Faults of the detectors, further to the scenario's own: specs or short forms such
            as ``loss:near_zone/*:0.2``, see `signals.faults`.
        action_model: ``phase``, ``extend`` or ``split``, see `signals.action_models`; the action
            mask and the ``mask`` of the observation follow it.

    Raises:
        InputError: Unknown scenario, period or reward, an interval below 1 s, or a fault that
            cannot be.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(
        self,
        scenario: str = "gangnam",
        period: str | Sequence[str] | None = None,
        decision_interval_s: int = 5,
        reward: str = "lost_seconds",
        gui: bool = False,
        sumo_options: Sequence[str] = (),
        recorder: Recorder | None = None,
        walkers_share: tuple[float, float] = (1.0, 1.0),
        faults: Sequence[FaultSpec | str] = (),
        action_model: str = "phase",
        render_mode: str | None = None,
    ) -> None:
        if decision_interval_s < 1:
            raise InputError(
                f"decision_interval_s is {decision_interval_s}; give a whole number from 1 up"
            )
        self.render_mode = render_mode
        self._days = Days(scenario, period, walkers_share)
        self._reward = reward_named(reward)
        self._actions = action_model
        self._interval_s = decision_interval_s
        self._backend = SumoBackend(gui)
        specs = as_faults(faults)
        self._options = RunOptions(extra=tuple(sumo_options), faults=specs)
        self._recorder = recorder
        self._episode = Episode(self._days.worlds[0], self._backend, recorder)
        check_faults(specs, {self.junction.id: self._episode.spec.detectors})
        check_windows(specs, self._days.spans)
        self._seen: Observation | None = None
        self._model: ActionModel = make_action_model(
            action_model, self.junction, self._days.worlds[0].plan
        )
        self.observation_space = self._episode.spec.space()
        self.action_space = gymnasium.spaces.Discrete(len(self.junction.phases))

    @property
    def junction(self) -> Any:
        """The `signals.junction.Junction` under control."""
        return self._episode.world.junction

    @property
    def observation_spec(self) -> ObservationSpec:
        """Shapes and fields of the observation."""
        return self._episode.spec

    @property
    def episode(self) -> Episode:
        """The running episode."""
        return self._episode

    @property
    def observation(self) -> Observation:
        """The last observation, with physical measures.

        Raises:
            InputError: `reset` was not called.
        """
        if self._seen is None:
            raise InputError("the environment was not reset; call reset() first")
        return self._seen

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin a demand day.

        Args:
            seed: Seeds the choice of day and period; the same seed gives the same run.
            options: ``{"day": n}`` fixes the demand day, ``{"period": name}`` the period.

        Returns:
            Observation arrays and info: ``action_mask``, ``clock_s``, ``step_s`` (seconds of the
            step), ``plan_wish`` (the plan's phase now), ``day``, ``period``.
        """
        super().reset(seed=seed)
        day = self._days.draw(self.np_random, options)
        if not self._episode.again(day.world):
            self._episode = Episode(day.world, self._backend, self._recorder)
        self._episode.start(day.number, replace(self._options, walkers_share=day.walkers_share))
        self._day = day.number
        self._model = make_action_model(self._actions, self.junction, day.world.plan)
        self._seen = self._observed()
        return self._seen.vectors(), self._info(self._episode.clock_s)

    def step(self, action: np.int64) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Wish for a phase and let ``decision_interval_s`` seconds pass.

        Args:
            action: Phase index.

        Returns:
            Observation arrays, reward, terminated (never), truncated (the period is over), info
            with the parts of the reward in ``reward_parts``.

        Raises:
            InputError: There is no such phase.
        """
        check_wish(int(action), len(self.junction.phases))
        wish = self._model.wish(int(action), self._episode.clock_s)
        if self._recorder is not None:
            self._recorder.decision(self.observation, self._episode.last_readings, wish)
        begun_s = self._episode.clock_s
        for _ in range(self._interval_s):
            self._episode.tick(wish)
            if self._episode.finished:
                break
        parts = self._reward(self._episode)
        self._seen = self._observed()
        info = self._info(begun_s)
        info["reward_parts"] = parts
        return (
            self._seen.vectors(),
            float(parts.sum()),
            False,
            self._episode.finished,
            info,
        )

    def action_masks(self) -> NDArray[np.bool_]:
        """(phases,) bool, True where a wish would be granted."""
        return self.observation.mask > 0.5

    def close(self) -> None:
        """End the simulation."""
        self._backend.close()

    def _observed(self) -> Observation:
        """What is seen now, its mask narrowed by the action model."""
        seen = self._episode.observe()
        open_ = self._model.mask(seen.mask > 0.5, seen.state.phase, self._episode.clock_s)
        return replace(seen, mask=open_.astype(np.float32))

    def _info(self, begun_s: float) -> dict[str, Any]:
        clock_s = self._episode.clock_s
        return {
            "action_mask": self.action_masks(),
            "clock_s": clock_s,
            "step_s": clock_s - begun_s,
            "plan_wish": self._episode.only.plan_wish(clock_s),
            "day": self._day,
            "period": self._episode.world.period,
        }
