"""Classical agents, each deployable like a learned one.

``NAMES`` lists them; `make` builds one for a junction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agents.base import Agent
from agents.classical.actuated import Actuated
from agents.classical.fixed_time import FixedTime
from agents.classical.max_pressure import MaxPressure
from agents.classical.webster import Webster
from signals.errors import UnknownNameError
from signals.junction import Junction
from signals.plan import Plan

_MAKERS: Mapping[str, Callable[[Junction, Plan], Agent]] = {
    "fixed_time": FixedTime,
    "webster": Webster,
    "actuated": Actuated,
    "max_pressure": MaxPressure,
}

NAMES: Mapping[str, str] = {
    "fixed_time": "the time-of-day plan of the period (고정식)",
    "webster": "the plan's order with cycle and splits by Webster from measured volumes",
    "actuated": "the plan's order with gap-out and max-out per phase (감응식)",
    "max_pressure": "the open phase whose movements hold most vehicles more than their exits",
}
"""Name to one line about it."""


def make(name: str, junction: Junction, plan: Plan) -> Agent:
    """Build a classical agent.

    Args:
        name: One of `NAMES`.
        junction: Junction to control.
        plan: Its plan for the period: the order of phases, and the fallback.

    Raises:
        UnknownNameError: There is no such agent.
    """
    if name not in _MAKERS:
        raise UnknownNameError("agent", name, NAMES)
    return _MAKERS[name](junction, plan)


__all__ = ["NAMES", "Actuated", "FixedTime", "MaxPressure", "Webster", "make"]
