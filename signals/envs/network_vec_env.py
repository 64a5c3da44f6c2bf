"""`NetworkVecEnv`: a network as a stable-baselines3 VecEnv, one slot per junction."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from signals.envs.network_run import NetworkSettings, NetworkStep, network_settings
from signals.envs.network_worker import Failed, Ready, Stepped, work
from signals.errors import InputError, MissingDependencyError, WorkError
from signals.faults import FaultSpec
from signals.observation import space_of
from signals.world import World

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise MissingDependencyError("stable_baselines3", "train", "NetworkVecEnv") from error

START_METHODS = ("forkserver", "spawn")
_PATIENCE_S = 10.0


class NetworkVecEnv(VecEnv):
    """Many simulations of one network, each in a process of its own, one slot per junction.

    Slots are ordered by simulation, then by junction: ``num_envs`` is simulations x junctions, and
    all junctions share one policy. Observations, actions and rewards are `NetworkEnv`'s. A run that
    is over is followed by the next at once, by stable-baselines3's conventions: ``done``,
    ``TimeLimit.truncated`` and ``terminal_observation`` in the info, the new run's observation.

    Simulation ``k`` draws its runs from the seed and ``k`` alone, so that its results depend
    neither on how many others there are nor on the start method.

    Args:
        scenario: Catalogue name or folder, or a world that can be pickled.
        period: Period, several periods to draw from at each reset, or None for the first.
        control: Ids of the junctions to decide for; None takes all. The others follow their plans.
        simulations: Worker processes, one simulation each.
        start_method: ``forkserver`` or ``spawn``; a forked copy of a process that has run libsumo
            would be broken.
        seed: Seeds the choice of days and periods; None takes any.
        decision_interval_s: Seconds between decisions.
        reward: Name of a term of `signals.rewards`.
        sumo_options: Further SUMO options.
        walkers_share: Bounds of the share of people on foot that a run simulates.
        faults: Faults of the detectors, further to the scenario's own, see `signals.faults`.
        action_model: ``phase``, ``extend`` or ``split``, see `signals.action_models`.

    Raises:
        InputError: Something cannot be used.
        WorkError: A worker failed or died.
    """

    def __init__(
        self,
        scenario: str | World,
        period: str | Sequence[str] | None = None,
        control: Sequence[str] | None = None,
        simulations: int = 1,
        start_method: Literal["forkserver", "spawn"] = "forkserver",
        seed: int | None = None,
        decision_interval_s: int = 5,
        reward: str = "lost_seconds",
        sumo_options: Sequence[str] = (),
        walkers_share: tuple[float, float] = (1.0, 1.0),
        faults: Sequence[FaultSpec | str] = (),
        action_model: str = "phase",
    ) -> None:
        if simulations < 1:
            raise InputError(f"simulations is {simulations}; give a whole number from 1 up")
        if start_method not in START_METHODS:
            raise InputError(
                f"start method '{start_method}' is not possible; "
                f"allowed: {', '.join(START_METHODS)}"
            )
        settings = network_settings(
            scenario,
            period,
            control,
            decision_interval_s,
            reward,
            False,
            sumo_options,
            walkers_share,
            faults,
            action_model,
        )
        self._lines: list[Connection] = []
        self._workers: list[BaseProcess] = []
        self._waiting = False
        self._closed = False
        self._start(settings, simulations, start_method)
        ready: list[Ready] = [self._receive(number, Ready) for number in range(simulations)]
        self.junctions = ready[0].agents
        self.maxima = ready[0].maxima
        self._size = len(self.junctions)
        self._steps: list[NetworkStep] = []
        self._wishes: NDArray[np.intp] = np.zeros((simulations, self._size), dtype=np.intp)
        super().__init__(
            simulations * self._size,
            space_of(self.maxima.shapes),
            spaces.Discrete(self.maxima.phases),
        )
        self.seed(seed)

    def _start(self, settings: NetworkSettings, simulations: int, start_method: str) -> None:
        context = multiprocessing.get_context(start_method)
        for _ in range(simulations):
            ours, theirs = context.Pipe()
            # Daemons: a parent that fails leaves no simulation behind.
            worker = context.Process(  # type: ignore[attr-defined]
                target=work, args=(theirs, settings), daemon=True
            )
            worker.start()
            theirs.close()
            self._lines.append(ours)
            self._workers.append(worker)

    def _send(self, number: int, message: tuple[Any, ...]) -> None:
        try:
            self._lines[number].send(message)
        except OSError:
            self._died(number)

    def _receive(self, number: int, kind: type[Any]) -> Any:
        try:
            answer = self._lines[number].recv()
        except (EOFError, OSError):
            self._died(number)
        if isinstance(answer, Failed):
            self._end()
            if answer.bad_input:
                raise InputError(answer.message)
            raise WorkError(f"simulation {number}: {answer.message}")
        assert isinstance(answer, kind)
        return answer

    def _died(self, number: int) -> None:
        worker = self._workers[number]
        worker.join(_PATIENCE_S)
        self._end()
        raise WorkError(
            f"the process of simulation {number} died (exit code {worker.exitcode}; "
            "out of memory?); try fewer simulations"
        ) from None

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the days of the next `reset`.

        Args:
            seed: None takes any days.
        """
        self._day_seeds: list[int | None] = [
            None if seed is None else _seed_of(seed, number) for number in range(len(self._lines))
        ]
        self._seeds = [seed for seed in self._day_seeds for _ in range(self._size)]
        return self._seeds

    def reset(self) -> dict[str, NDArray[np.float32]]:
        """Begin a run in every simulation.

        Returns:
            Observations, (slots, size) float32 by name.
        """
        for number, seed in enumerate(self._day_seeds):
            options = self._options[number * self._size] if self._options else None
            self._send(number, ("reset", seed, options or None))
        self._steps = [self._receive(number, NetworkStep) for number in range(len(self._lines))]
        self.reset_infos = self._infos()
        self._day_seeds = [None] * len(self._lines)
        self._reset_seeds()
        self._reset_options()
        self._waiting = False
        return _stacked(self._steps)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Send every simulation its wishes.

        Args:
            actions: (slots,) phase indices.
        """
        self._wishes = np.asarray(actions, dtype=np.intp).reshape(len(self._lines), self._size)
        for number, wishes in enumerate(self._wishes):
            self._send(number, ("step", wishes.tolist()))
        self._waiting = True

    def step_wait(
        self,
    ) -> tuple[
        dict[str, NDArray[np.float32]],
        NDArray[np.float32],
        NDArray[np.bool_],
        list[dict[str, Any]],
    ]:
        """What came of the wishes.

        Returns:
            Observations, (slots,) rewards, (slots,) whether the run was over, infos.
        """
        answers = [self._receive(number, Stepped) for number in range(len(self._lines))]
        self._waiting = False
        self._steps = [answer.step for answer in answers]
        infos = self._infos()
        rewards = np.concatenate([answer.step.rewards for answer in answers])
        dones = np.repeat([answer.begun is not None for answer in answers], self._size)
        for number, answer in enumerate(answers):
            if answer.begun is None:
                continue
            for row in range(self._size):
                slot = number * self._size + row
                infos[slot]["TimeLimit.truncated"] = True
                infos[slot]["terminal_observation"] = answer.step.vectors(row)
                self.reset_infos[slot] = answer.begun.info(row)
            self._steps[number] = answer.begun
        return _stacked(self._steps), rewards.astype(np.float32), dones, infos

    def action_masks(self) -> NDArray[np.bool_]:
        """(slots, most phases) bool, True where a wish would be granted."""
        if not self._steps:
            raise InputError("the environment was not reset; call reset() first")
        return np.concatenate([step.masks for step in self._steps])

    def close(self) -> None:
        """End all simulations."""
        if self._closed:
            return
        for number, line in enumerate(self._lines):
            try:
                if self._waiting:
                    line.recv()
                line.send(("close",))
            except (EOFError, OSError):
                continue
            self._workers[number].join(_PATIENCE_S)
        self._end()

    def _end(self) -> None:
        self._closed = True
        for worker, line in zip(self._workers, self._lines, strict=True):
            line.close()
            worker.join(0.2)
            if worker.is_alive():
                worker.terminate()
                worker.join(_PATIENCE_S)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute for each slot: ``render_mode``, ``junction_id``, ``action_masks``."""
        slots = list(self._get_indices(indices))
        if attr_name == "render_mode":
            return [None for _ in slots]
        if attr_name == "junction_id":
            return [self.junctions[slot % self._size] for slot in slots]
        if attr_name == "action_masks":
            masks = self.action_masks()
            return [masks[slot] for slot in slots]
        raise AttributeError(f"a slot of NetworkVecEnv has no '{attr_name}'")

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not possible: the slots of one simulation are one environment."""
        raise AttributeError(f"'{attr_name}' cannot be set; make another NetworkVecEnv")

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method for each slot: ``action_masks``."""
        if method_name != "action_masks":
            raise AttributeError(f"a slot of NetworkVecEnv has no method '{method_name}'")
        return self.get_attr("action_masks", indices)

    def has_attr(self, attr_name: str) -> bool:
        """Whether slots have an attribute."""
        return attr_name in ("render_mode", "junction_id", "action_masks")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """No slot is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """No images."""
        return [None] * self.num_envs

    def _infos(self) -> list[dict[str, Any]]:
        return [step.info(row) for step in self._steps for row in range(self._size)]


def _seed_of(seed: int, number: int) -> int:
    """A seed for each simulation, the same however many there are."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _stacked(steps: Iterable[NetworkStep]) -> dict[str, NDArray[np.float32]]:
    parts = [step.observations for step in steps]
    if len(parts) == 1:
        return {name: array.copy() for name, array in parts[0].items()}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
