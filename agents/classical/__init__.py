"""Classical agents, each deployable like a learned one.

``NAMES`` lists them; `make` builds one for a junction. Parameters may follow the name, as in
``actuated:passage_s=2.5,max_share=1.2``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.base import Agent
from agents.classical.actuated import Actuated
from agents.classical.degree_of_saturation import DegreeOfSaturation
from agents.classical.fixed_time import FixedTime
from agents.classical.max_pressure import MaxPressure
from agents.classical.max_wave import MaxWave
from agents.classical.schedule_driven import ScheduleDriven
from agents.classical.sotl import Sotl
from agents.classical.webster import Webster
from signals.errors import InputError, UnknownNameError
from signals.junction import Junction
from signals.plan import Plan

_MAKERS: Mapping[str, Callable[..., Agent]] = {
    "fixed_time": FixedTime,
    "webster": Webster,
    "actuated": Actuated,
    "sotl": Sotl,
    "max_pressure": MaxPressure,
    "max_wave": MaxWave,
    "degree_of_saturation": DegreeOfSaturation,
    "schedule_driven": ScheduleDriven,
}

_BOUNDS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "fixed_time": {},
    "webster": {
        "window_s": (60, 7200),
        "heavy_share": (0, 1),
        "max_cycle_s": (0, 600),
        "saturation_goal": (0.1, 1),
    },
    "actuated": {"passage_s": (0, 60), "max_share": (0.1, 10)},
    "max_pressure": {
        "decision_interval_s": (1, 300),
        "bonus": (0, 100),
        "moving_weight": (0, 10),
        "lane_power": (0, 1),
    },
    "sotl": {"threshold_veh_s": (1, 100_000), "platoon_veh": (0, 50)},
    "max_wave": {
        "decision_interval_s": (1, 300),
        "bonus": (0, 100),
        "moving_weight": (0, 10),
        "lane_power": (0, 1),
    },
    "degree_of_saturation": {
        "goal": (0.1, 1),
        "step_s": (1, 60),
        "offset_step_s": (0, 30),
        "max_cycle_s": (30, 600),
        "space_s": (0, 3),
    },
    "schedule_driven": {
        "decision_interval_s": (1, 30),
        "horizon_s": (10, 600),
        "width": (1, 1000),
        "max_share": (0.1, 10),
        "tail_s": (0, 600),
    },
}
"""What each parameter may be; beyond it an agent would not do what its name says."""

NAMES: Mapping[str, str] = {
    "fixed_time": "the time-of-day plan of the period (고정식)",
    "webster": "the plan's order with cycle and splits by Webster from measured volumes",
    "actuated": "the plan's order with gap-out and max-out per phase (감응식)",
    "sotl": "self-organising: the phase whose reds have gathered enough vehicle seconds",
    "max_pressure": "the open phase whose lanes are fuller than their exits by most",
    "max_wave": "the open phase with the most vehicles queued and on their way",
    "degree_of_saturation": "COSMOS-style: cycle, splits, offset from measured saturation (포화도)",
    "schedule_driven": "rolling horizon: the schedule of least delay for what is seen coming",
}
"""Name to one line about it."""


def parameters_of(base: str) -> dict[str, tuple[float, float, float]]:
    """What may follow an agent's name: default, least and greatest value by parameter.

    Args:
        base: One of `NAMES`.
    """
    known = inspect.signature(_MAKERS[base]).parameters
    return {
        name: (float(known[name].default), low, high)
        for name, (low, high) in _BOUNDS.get(base, {}).items()
    }


def make(name: str, junction: Junction, plan: Plan) -> Agent:
    """Build a classical agent.

    Args:
        name: One of `NAMES`, with parameters behind a colon if any.
        junction: Junction to control.
        plan: Its plan for the period: the order of phases, and the fallback.

    Raises:
        UnknownNameError: There is no such agent or parameter.
        InputError: A parameter has no number for a value, or one that is out of range.
    """
    base, parameters = parse(name)
    agent: Any = _MAKERS[base](junction, plan, **parameters)
    if parameters:
        agent.name = name
    return agent  # type: ignore[no-any-return]


def make_all(name: str, junctions: Sequence[Junction], plans: Sequence[Plan]) -> tuple[Agent, ...]:
    """Build a classical agent for each junction of a network, and link those that work together.

    Args:
        name: As for `make`.
        junctions: Junctions to control.
        plans: Their plans for the period.

    Raises:
        InputError: As `make`.
    """
    agents: list[Any] = [
        make(name, junction, plan) for junction, plan in zip(junctions, plans, strict=True)
    ]
    for agent in agents:
        if len(agents) > 1 and hasattr(agent, "link"):
            agent.link(agents)
    return tuple(agents)


def parse(name: str) -> tuple[str, dict[str, float]]:
    """Split a name from its parameters.

    Args:
        name: E.g. ``actuated`` or ``actuated:passage_s=2.5``.

    Returns:
        The bare name and the parameters.

    Raises:
        UnknownNameError: There is no such agent or parameter.
        InputError: A parameter has no number for a value, one that is out of range, or two values.
    """
    base, _, text = name.partition(":")
    if base not in _MAKERS:
        raise UnknownNameError("agent", base, NAMES)
    known = {
        key: parameter
        for key, parameter in inspect.signature(_MAKERS[base]).parameters.items()
        if key not in ("junction", "plan")
    }
    parameters: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if key not in known:
            raise UnknownNameError(f"parameter of {base}", key, known)
        if key in parameters:
            raise InputError(f"agent '{name}': {key} is given twice; keep one")
        try:
            parameters[key] = type(known[key].default)(value)
        except ValueError as error:
            raise InputError(
                f"agent '{name}': {key} is '{value}'; give a number like {known[key].default}"
            ) from error
        low, high = _BOUNDS[base][key]
        if not low <= parameters[key] <= high:
            raise InputError(
                f"agent '{name}': {key} is {value}; allowed: {low:g} to {high:g}, "
                f"default {known[key].default}"
            )
    return base, parameters


__all__ = [
    "NAMES",
    "Actuated",
    "DegreeOfSaturation",
    "FixedTime",
    "MaxPressure",
    "MaxWave",
    "ScheduleDriven",
    "Sotl",
    "Webster",
    "make",
    "make_all",
    "parse",
]
