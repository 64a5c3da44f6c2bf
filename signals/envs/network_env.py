"""`NetworkEnv`: many junctions as a PettingZoo parallel environment, one agent each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from signals.envs.network_run import NetworkRun, NetworkStep, network_settings
from signals.errors import InputError, MissingDependencyError
from signals.faults import FaultSpec
from signals.features import Maxima
from signals.recording import Recorder
from signals.simulation.episode import Episode
from signals.world import World

try:
    from pettingzoo import ParallelEnv
except ImportError as error:
    raise MissingDependencyError("pettingzoo", "sim", "NetworkEnv") from error


class NetworkEnv(ParallelEnv[str, dict[str, NDArray[np.float32]], int]):  # type: ignore[misc]
    """Choose the phase of every junction every few seconds; guards keep every light lawful.

    Agents are junction ids. Observation of each: dict of float32 vectors in [0, 1], the arrays of
    `signals.features.Observation` padded with zeros to the largest of the controlled junctions
    (`maxima`), flattened row by row; a padding phase has mask 0. Action: index of the wished phase.
    Reward: the seconds lost since the last decision on the streets that lead to the junction,
    negated and scaled, vehicles that cannot enter included; with ``elsewhere`` of the infos the
    rewards sum to the loss of the whole network.

    Args:
        scenario: Catalogue name or folder, or a world that is at hand already.
        period: Period, several periods to draw from at each reset, or None for the first.
        control: Ids of the junctions to decide for; None takes all. The others follow their plans.
        decision_interval_s: Seconds between decisions.
        reward: Name of a term of `signals.rewards`.
        gui: Show the run in sumo-gui.
        sumo_options: Further SUMO options.
        walkers_share: Bounds of the share of people on foot that a run simulates.
        recorders: One for each junction of the scenario, kept the lights of every second.
        faults: Faults of the detectors, further to the scenario's own: specs or short forms such
            as ``loss:B1/near_zone/*:0.2``, see `signals.faults`.
        action_model: ``phase``, ``extend`` or ``split``, see `signals.action_models`.

    Raises:
        InputError: Unknown scenario or period, or an interval below 1 s.
        UnknownNameError: An unknown junction or reward.
    """

    metadata = {"name": "signals_network_v0", "render_modes": []}  # noqa: RUF012 - PettingZoo's

    def __init__(
        self,
        scenario: str | World,
        period: str | Sequence[str] | None = None,
        control: Sequence[str] | None = None,
        decision_interval_s: int = 5,
        reward: str = "lost_seconds",
        gui: bool = False,
        sumo_options: Sequence[str] = (),
        walkers_share: tuple[float, float] = (1.0, 1.0),
        recorders: Sequence[Recorder] | None = None,
        faults: Sequence[FaultSpec | str] = (),
        action_model: str = "phase",
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = render_mode
        self._run = NetworkRun(
            network_settings(
                scenario,
                period,
                control,
                decision_interval_s,
                reward,
                gui,
                sumo_options,
                walkers_share,
                faults,
                action_model,
            ),
            recorders,
        )
        self.possible_agents = list(self._run.agents)
        self.agents: list[str] = []
        self._spaces = {
            name: (self._run.space, spaces.Discrete(self.maxima.phases))
            for name in self.possible_agents
        }
        self._step: NetworkStep | None = None

    @property
    def maxima(self) -> Maxima:
        """Sizes that observations are padded to."""
        return self._run.maxima

    @property
    def episode(self) -> Episode:
        """The running episode."""
        return self._run.episode

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The same for every agent."""
        return self._spaces[agent][0]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The same for every agent: as many wishes as the largest junction has phases."""
        return self._spaces[agent][1]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, dict[str, NDArray[np.float32]]], dict[str, dict[str, Any]]]:
        """Begin a demand day.

        Args:
            seed: Seeds the choice of day and period; the same seed gives the same run.
            options: ``{"day": n}`` fixes the demand day, ``{"period": name}`` the period.

        Returns:
            Observations and infos by agent: ``action_mask``, ``plan_wish`` (the plan's phase now),
            ``step_s`` (seconds of the step), ``reward_parts`` (by signal group), ``elsewhere``,
            ``clock_s``, ``day``, ``period``.
        """
        self._step = self._run.reset(seed, options)
        self.agents = list(self.possible_agents)
        return self._observations(), self._infos()

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[
        dict[str, dict[str, NDArray[np.float32]]],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Wish for phases and let ``decision_interval_s`` seconds pass.

        Args:
            actions: Phase index for each agent.

        Returns:
            Observations, rewards, terminations (never), truncations (the period is over), infos.

        Raises:
            InputError: `reset` was not called, the period is over, or an agent has no action.
        """
        if not self.agents:
            raise InputError("the environment does not run; call reset() first")
        missing = [name for name in self.agents if name not in actions]
        if missing:
            raise InputError(
                f"no action for {', '.join(missing[:10])}; give one for each of the agents"
            )
        step = self._step = self._run.step([actions[name] for name in self.agents])
        names = self.possible_agents
        result = (
            self._observations(),
            dict(zip(names, step.rewards.tolist(), strict=True)),
            dict.fromkeys(names, False),
            dict.fromkeys(names, step.finished),
            self._infos(),
        )
        if step.finished:
            self.agents = []
        return result

    def action_masks(self) -> dict[str, NDArray[np.bool_]]:
        """(most phases,) bool by agent, True where a wish would be granted.

        Raises:
            InputError: `reset` was not called.
        """
        if self._step is None:
            raise InputError("the environment was not reset; call reset() first")
        return dict(zip(self.possible_agents, self._step.masks, strict=True))

    def render(self) -> None:
        """Nothing; ``gui=True`` shows the run."""

    def close(self) -> None:
        """End the simulation."""
        self.agents = []
        self._run.close()

    def _observations(self) -> dict[str, dict[str, NDArray[np.float32]]]:
        assert self._step is not None
        step = self._step
        return {name: step.vectors(row) for row, name in enumerate(self.possible_agents)}

    def _infos(self) -> dict[str, dict[str, Any]]:
        assert self._step is not None
        step = self._step
        return {name: step.info(row) for row, name in enumerate(self.possible_agents)}
