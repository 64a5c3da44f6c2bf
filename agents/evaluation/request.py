"""What is to be judged, checked as a whole before any work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.evaluation.document import is_classical
from agents.evaluation.jobs import Job
from agents.evaluation.peers import PEERS, is_peer, parse_peer, program_of
from agents.evaluation.sumo_options import check_options
from agents.resolve import agents_for, check_spec
from signals.detectors import layout
from signals.errors import InputError
from signals.faults import FaultSpec, check_faults, check_windows
from signals.simulation.sumo_backend import SumoBackend
from signals.world import World, resolve


class Request:
    """A checked order: every world built and every agent opened once, before any work.

    Raises:
        InputError: Scenario, period, agent, fault or SUMO options cannot be used.
    """

    def __init__(
        self,
        *,
        scenario: str,
        periods: Sequence[str | None],
        agents: Sequence[str],
        seeds: range,
        sumo: tuple[str, ...],
        emissions: bool,
        duration_s: int | None,
        gui: bool = False,
        faults: tuple[FaultSpec, ...] = (),
    ) -> None:
        for agent in agents:
            if is_peer(agent):
                parse_peer(agent)
            else:
                check_spec(agent, PEERS)
        check_options(sumo)
        SumoBackend(gui=gui)  # says at once when SUMO is missing
        self.scenario, self.agents, self.seeds = scenario, agents, seeds
        self.sumo, self.emissions, self.duration_s = sumo, emissions, duration_s
        self.faults = faults
        self.worlds: dict[str, World] = {}
        for period in periods:
            world = resolve(scenario, period)
            self.worlds[world.period] = world
            check_faults(faults, {item.id: layout(item) for item in world.junctions})
            for agent in agents:
                if is_peer(agent):
                    for junction, plan in zip(world.junctions, world.plans, strict=True):
                        program_of(junction, plan)
                else:
                    agents_for(agent, world)
        check_windows(
            faults, {name: (world.begin_s, world.end_s) for name, world in self.worlds.items()}
        )
        slugs = _slugs(agents)
        self.jobs = [
            Job(
                scenario=scenario,
                period=period,
                agent=agent,
                seed=seed,
                sumo=sumo,
                emissions=emissions,
                label=f"{period}-{slugs[agent]}-{seed}",
                duration_s=duration_s,
                gui=gui,
                faults=faults,
            )
            for period in self.worlds
            for seed in seeds
            for agent in agents
        ]
        if len(self.jobs) > 1:
            _refuse_shared_outputs(sumo)

    def config(self, command: str) -> dict[str, Any]:
        """What was asked for, resolved; periods of a network hold a plan for each junction."""
        scenario_faults = [spec for world in self.worlds.values() for spec in world.faults]
        return {
            "command": command,
            "scenario": self.scenario,
            "periods": {
                period: {
                    "begin_s": world.begin_s,
                    "end_s": world.end_s,
                    "content_hash": world.content_hash,
                    **_law(world),
                    "sumo_options": list(world.sumo_options),
                }
                for period, world in self.worlds.items()
            },
            "agents": list(self.agents),
            "seeds": list(self.seeds),
            "duration_s": self.duration_s,
            "emissions": self.emissions,
            "sumo": list(self.sumo),
            "notes": list(dict.fromkeys(note for w in self.worlds.values() for note in w.notes)),
            "faults": [spec.text for spec in dict.fromkeys((*scenario_faults, *self.faults))],
        }


def _law(world: World) -> dict[str, Any]:
    """Which junctions and plans were judged."""
    if len(world.junctions) == 1:
        return {"junction_hash": world.junction.hash, "plan": world.plan.to_dict()}
    return {
        "junctions": {
            junction.id: {"hash": junction.hash, "plan": plan.to_dict()}
            for junction, plan in zip(world.junctions, world.plans, strict=True)
        }
    }


def split_options(text: str) -> tuple[str, ...]:
    """The words of ``--sumo``, quoted as in a shell.

    Raises:
        InputError: A quote is not closed.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise InputError(f"--sumo {text!r} cannot be split: {error}; close every quote") from error


def _refuse_shared_outputs(options: Sequence[str]) -> None:
    """Several runs would write the same file."""
    for index, option in enumerate(options):
        name, _, value = option.partition("=")
        value = value or " ".join(options[index + 1 : index + 2])
        if name.startswith("--") and name.endswith("-output") and "{run}" not in value:
            raise InputError(
                f"every run would write the same file {name} {value}; put {{run}} into its name"
            )


def _slugs(agents: Sequence[str]) -> dict[str, str]:
    """Agents to names that fit into file names, each different."""
    found: dict[str, str] = {}
    for agent in agents:
        base = (
            agent
            if is_classical(agent) or is_peer(agent)
            else Path(agent).expanduser().resolve().stem
        )
        base = re.sub(r"[^\w.-]+", "_", base) or "agent"
        slug, number = base, 2
        while slug in found.values():
            slug, number = f"{base}_{number}", number + 1
        found[agent] = slug
    return found
