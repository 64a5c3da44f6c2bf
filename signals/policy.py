"""Runs the policy of a bundle: the same agent in an evaluation and in the street."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals.bundle import Bundle
from signals.errors import BundleError, MissingDependencyError, WorkError
from signals.observation import Observation

INPUTS = ("movements", "phases", "serves", "mask")
OUTPUT = "scores"
_NEAR = 1e-4
"""Scores that differ less than this share may change places by rounding."""


class OnnxPolicy:
    """Scores phases with onnxruntime, on one thread; the best open phase is the wish.

    It has no memory: the same observation gives the same wish.

    Args:
        bundle: A verified bundle.
        session: Of the same network, opened before; opened now when not given.

    Raises:
        BundleError: The network cannot be loaded or has other inputs and outputs.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(self, bundle: Bundle, session: Any = None) -> None:
        self.session = session or open_session(bundle.policy, f"bundle '{bundle.contract.name}'")
        self.name = bundle.contract.name
        self.decision_interval_s = bundle.contract.decision_interval_s

    @classmethod
    def of(cls, policy: bytes, name: str, decision_interval_s: int) -> OnnxPolicy:
        """A policy without a bundle, for simulations.

        Args:
            policy: ONNX bytes.
            name: Shown in results.
            decision_interval_s: Seconds between decisions.
        """
        found = cls.__new__(cls)
        found.session = open_session(policy, f"policy '{name}'")
        found.name, found.decision_interval_s = name, decision_interval_s
        return found

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def scores(self, arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Score every phase.

        Args:
            arrays: The four arrays of one observation, or of a batch of them (B first).

        Returns:
            (P,) or (B, P) float32; phases that are not open have -1e9.

        Raises:
            WorkError: The network fails, or a score is not a number.
        """
        single = arrays["mask"].ndim == 1
        feed = {name: arrays[name][None] if single else arrays[name] for name in INPUTS}
        return run_session(self.session, feed, single)

    def decide(self, observation: Observation, clock_s: float) -> int:
        """The open phase with the best score, see `agents.base.Agent.decide`.

        Where only one phase is open there is nothing to choose, and nothing is scored.
        """
        wish = only_open(observation)
        return int(np.argmax(self.scores(observation.arrays()))) if wish is None else wish

    def decide_many(self, observations: Sequence[Observation]) -> list[int]:
        """Wishes for many observations, the same that `decide` gives one by one.

        Sums over a batch may round otherwise; where two phases are nearly equal, the observation
        is scored by itself.

        Args:
            observations: Of any junctions; those of one shape are scored together.

        Raises:
            WorkError: The network fails, or a score is not a number.
        """
        wishes: list[int] = [0] * len(observations)
        alike: dict[tuple[int, ...], list[int]] = {}
        for row, observation in enumerate(observations):
            wish = only_open(observation)
            if wish is None:
                alike.setdefault(observation.serves.shape, []).append(row)
            else:
                wishes[row] = wish
        for rows in alike.values():
            arrays = [observations[row].arrays() for row in rows]
            stacked = {name: np.stack([item[name] for item in arrays]) for name in INPUTS}
            scores = self.scores(stacked)
            best = np.sort(scores, axis=1)[:, -2:]
            near = best[:, -1] - best[:, 0] <= _NEAR * np.maximum(1.0, np.abs(best[:, -1]))
            for row, wish, is_near in zip(
                rows, scores.argmax(axis=1).tolist(), near.tolist(), strict=True
            ):
                wishes[row] = self.decide(observations[row], 0.0) if is_near else wish
        return wishes


def only_open(observation: Observation) -> int | None:
    """The phase that is open alone, None where there is a choice or nothing is open."""
    mask = observation.mask.tolist()
    return mask.index(1.0) if mask.count(1.0) == 1 else None


def open_session(policy: bytes, what: str) -> Any:
    """An onnxruntime session on one thread.

    Args:
        policy: ONNX bytes.
        what: Named in errors.

    Raises:
        BundleError: The network cannot be loaded or has other inputs and outputs.
        MissingDependencyError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", "serve", "running a bundle") from error
    options = onnxruntime.SessionOptions()
    # One junction's network is far too small to be shared out between threads.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            policy, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has no common exception type
        raise BundleError(
            f"{what}: its network cannot be loaded ({_one_line(error)}); export it again"
        ) from error
    inputs = {node.name for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    if inputs != set(INPUTS) or outputs != [OUTPUT]:
        raise BundleError(
            f"{what}: its network takes {', '.join(sorted(inputs))} and gives "
            f"{', '.join(outputs)}; a policy takes {', '.join(INPUTS)} and gives {OUTPUT}"
        )
    return session


def run_session(
    session: Any, feed: Mapping[str, NDArray[np.float32]], single: bool = False
) -> NDArray[np.float32]:
    """Scores (B, P) of a batch, or (P,) of a batch of one.

    Raises:
        WorkError: The network fails, or a score is not a number.
    """
    try:
        found: NDArray[np.float32] = session.run([OUTPUT], dict(feed))[0]
    except Exception as error:  # onnxruntime has no common exception type
        raise WorkError(f"the policy failed: {_one_line(error)}") from error
    if found.shape != feed["mask"].shape or not np.isfinite(found).all():
        raise WorkError("the policy gave scores that are no numbers or of the wrong shape")
    return found[0] if single else found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
