"""A network of junctions step by step, as arrays; the environments give it their library's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals.action_models import action_models
from signals.encoder import Encoder, Padder
from signals.envs.days import Days
from signals.envs.wishes import check_wish
from signals.errors import InputError, UnknownNameError
from signals.faults import FaultSpec, as_faults, check_faults, check_windows
from signals.features import Maxima
from signals.observation import maxima_of
from signals.recording import Recorder
from signals.rewards import reward_named
from signals.simulation.backend import RunOptions
from signals.simulation.episode import Episode
from signals.simulation.sumo_backend import SumoBackend
from signals.world import World


@dataclass(frozen=True)
class NetworkSettings:
    """How a network is run; it can be sent to another process.

    Attributes:
        scenario: Catalogue name or folder, or a world that is at hand already.
        period: Period, several periods to draw from at each reset, or None for the first.
        control: Ids of the junctions to decide for; None takes all. The others follow their plans.
        decision_interval_s: Seconds between decisions.
        reward: Name of a term of `signals.rewards`.
        gui: Show the run in sumo-gui.
        sumo_options: Further SUMO options.
        walkers_share: Bounds of the share of people on foot, see `signals.simulation.thinning`.
        faults: Faults of the detectors, further to the scenario's own.
        action_model: ``phase``, ``extend`` or ``split``, see `signals.action_models`.
    """

    scenario: str | World
    period: str | tuple[str, ...] | None = None
    control: tuple[str, ...] | None = None
    decision_interval_s: int = 5
    reward: str = "lost_seconds"
    gui: bool = False
    sumo_options: tuple[str, ...] = ()
    walkers_share: tuple[float, float] = (1.0, 1.0)
    faults: tuple[FaultSpec, ...] = ()
    action_model: str = "phase"


def network_settings(
    scenario: str | World,
    period: str | Sequence[str] | None = None,
    control: Sequence[str] | None = None,
    decision_interval_s: int = 5,
    reward: str = "lost_seconds",
    gui: bool = False,
    sumo_options: Sequence[str] = (),
    walkers_share: tuple[float, float] = (1.0, 1.0),
    faults: Sequence[FaultSpec | str] = (),
    action_model: str = "phase",
) -> NetworkSettings:
    """`NetworkSettings` from any sequences."""
    return NetworkSettings(
        scenario,
        period if period is None or isinstance(period, str) else tuple(period),
        None if control is None else tuple(control),
        decision_interval_s,
        reward,
        gui,
        tuple(sumo_options),
        walkers_share,
        as_faults(faults),
        action_model,
    )


@dataclass(frozen=True, slots=True)
class NetworkStep:
    """What came of one step, for the controlled junctions in their order.

    Attributes:
        observations: By name, (junctions, size) float32.
        masks: (junctions, most phases) bool, the wishes that would be granted.
        rewards: (junctions,) float64.
        parts: The parts of each reward, by signal group.
        plan_wishes: (junctions,) the plans' phases now.
        elsewhere: What the rest of the network lost, on the scale of the rewards: junctions that
            are not controlled, and streets that lead to none.
        clock_s: Seconds since midnight.
        step_s: Seconds of the step.
        day: Demand day.
        period: Period of the day.
        finished: Whether the period is over.
    """

    observations: dict[str, NDArray[np.float32]]
    masks: NDArray[np.bool_]
    rewards: NDArray[np.float64]
    parts: tuple[NDArray[np.float64], ...]
    plan_wishes: NDArray[np.intp]
    elsewhere: float
    clock_s: float
    step_s: float
    day: int
    period: str
    finished: bool

    def info(self, junction: int) -> dict[str, Any]:
        """What an environment tells beside observation and reward of one junction."""
        return {
            "action_mask": self.masks[junction],
            "plan_wish": int(self.plan_wishes[junction]),
            "step_s": self.step_s,
            "reward_parts": self.parts[junction],
            "clock_s": self.clock_s,
            "day": self.day,
            "period": self.period,
            "elsewhere": self.elsewhere,
        }

    def vectors(self, junction: int) -> dict[str, NDArray[np.float32]]:
        """Observation of one junction."""
        return {name: array[junction] for name, array in self.observations.items()}


class NetworkRun:
    """Runs a network for an environment.

    Args:
        settings: What to run.
        recorders: One for each junction of the scenario, when given.

    Attributes:
        agents: Ids of the controlled junctions, in the scenario's order.
        maxima: Sizes that observations are padded to.

    Raises:
        InputError: Something in the settings cannot be used.
        UnknownNameError: An unknown junction or reward.
    """

    def __init__(
        self, settings: NetworkSettings, recorders: Sequence[Recorder] | None = None
    ) -> None:
        if settings.decision_interval_s < 1:
            raise InputError(
                f"decision_interval_s is {settings.decision_interval_s}; "
                "give a whole number from 1 up"
            )
        self._settings = settings
        self._reward = reward_named(settings.reward)
        self._days = Days(
            settings.scenario,
            list(settings.period) if isinstance(settings.period, tuple) else settings.period,
            settings.walkers_share,
        )
        self._backend = SumoBackend(settings.gui)
        self._recorders = recorders
        self.random = np.random.default_rng()
        self._take(Episode(self._days.worlds[0], self._backend, recorders, features_only=True))
        check_faults(
            settings.faults,
            {run.junction.id: run.spec.detectors for run in self.episode.junctions},
        )
        check_windows(settings.faults, self._days.spans)

    def _take(self, episode: Episode) -> None:
        """Derive what does not change while the junctions are the same."""
        self._episode = episode
        ids = [run.junction.id for run in episode.junctions]
        wanted = ids if self._settings.control is None else self._settings.control
        for name in wanted:
            if name not in ids:
                raise UnknownNameError("junction", name, ids)
        if not wanted:
            raise InputError(f"control names no junction; allowed: {', '.join(ids[:20])}")
        self._own = [index for index, name in enumerate(ids) if name in set(wanted)]
        self._others = [index for index in range(len(ids)) if index not in set(self._own)]
        self.agents = tuple(ids[index] for index in self._own)
        specs = [episode.junctions[index].spec for index in self._own]
        self.maxima: Maxima = maxima_of(specs)
        self.space = specs[0].space(self.maxima)
        self._encoder = Encoder(specs)
        self._padder = Padder(self._encoder, self.maxima)
        sizes = [len(run.spec.detectors) for run in episode.junctions]
        ends = np.cumsum(sizes)
        self._rows = (
            None
            if not self._others
            else np.concatenate([np.arange(ends[i] - sizes[i], ends[i]) for i in self._own])
        )
        groups = np.cumsum([0, *[len(run.junction.groups) for run in episode.junctions]])
        self._first_groups = groups[:-1]
        self._groups = [slice(int(groups[i]), int(groups[i + 1])) for i in self._own]

    @property
    def episode(self) -> Episode:
        """The running episode."""
        return self._episode

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> NetworkStep:
        """Begin a demand day.

        Args:
            seed: Seeds the choice of day and period.
            options: ``{"day": n}`` fixes the demand day, ``{"period": name}`` the period.
        """
        if seed is not None:
            self.random = np.random.default_rng(seed)
        day = self._days.draw(self.random, options)
        if not self._episode.again(day.world):
            self._take(Episode(day.world, self._backend, self._recorders, features_only=True))
        self._day = day
        self._episode.start(
            day.number,
            RunOptions(
                extra=self._settings.sumo_options,
                walkers_share=day.walkers_share,
                faults=self._settings.faults,
            ),
        )
        self._wishes: list[int | None] = [None] * len(self._episode.junctions)
        self._models = action_models(
            self._settings.action_model,
            [day.world.junctions[index] for index in self._own],
            [day.world.plans[index] for index in self._own],
        )
        return self._look(self._episode.clock_s)

    def step(self, wishes: Sequence[int]) -> NetworkStep:
        """Wish for phases and let ``decision_interval_s`` seconds pass.

        Args:
            wishes: Phase index for each controlled junction; one of padding is not granted.

        Raises:
            InputError: A wish is no phase of any junction.
        """
        for index, wish in zip(self._own, wishes, strict=True):
            check_wish(wish, self.maxima.phases)
            self._wishes[index] = int(wish)
        if self._settings.action_model != "phase":
            for index, model in zip(self._own, self._models, strict=True):
                action = self._wishes[index]
                assert action is not None
                self._wishes[index] = model.wish(action, self._episode.clock_s)
        begun_s = self._episode.clock_s
        self._episode.run(self._wishes, self._settings.decision_interval_s)
        return self._look(begun_s)

    def _look(self, begun_s: float) -> NetworkStep:
        episode = self._episode
        values = episode.values()
        own_runs = [episode.junctions[index] for index in self._own]
        encoded = self._encoder.encode(
            values if self._rows is None else values[self._rows],
            [run.state for run in own_runs],
            [episode.clock_s] * len(own_runs),
            [run.options() for run in own_runs],
        )
        observations = self._padder.stack(encoded)
        if self._settings.action_model != "phase":
            for row, (run, model) in enumerate(zip(own_runs, self._models, strict=True)):
                count = len(run.junction.phases)
                granted = observations["mask"][row, :count] > 0.5
                narrowed = model.mask(granted, run.state.phase, episode.clock_s)
                observations["mask"][row, :count] = narrowed
        parts = self._reward(episode)
        own = tuple(parts[groups] for groups in self._groups)
        rewards = np.add.reduceat(parts[:-1], self._first_groups)[self._own]
        clock_s = episode.clock_s
        plan = [run.plan_wish(clock_s) for run in own_runs]
        return NetworkStep(
            observations=observations,
            masks=observations["mask"] > 0.5,
            rewards=rewards,
            parts=own,
            plan_wishes=np.array(plan, dtype=np.intp),
            elsewhere=float(parts.sum() - rewards.sum()),
            clock_s=clock_s,
            step_s=clock_s - begun_s,
            day=self._day.number,
            period=self._day.world.period,
            finished=episode.finished,
        )

    def close(self) -> None:
        """End the simulation."""
        self._backend.close()
