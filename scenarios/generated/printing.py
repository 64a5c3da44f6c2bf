"""What the commands print of generated streets."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from scenarios.demand import HELD_OUT_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS
from scenarios.generated.names import FORM, KINDS
from scenarios.generated.scenario import GeneratedScenario


def generated_lines() -> list[str]:
    """How generated streets are named."""
    return [
        "",
        f"Any number of streets drawn at random: {FORM}, of kind {', '.join(KINDS)};",
        f"seeds {TRAINING_SEEDS.start}-{TRAINING_SEEDS.stop - 1} are for training, "
        f"{VALIDATION_SEEDS.start}-{VALIDATION_SEEDS.stop - 1} for choosing, "
        f"{HELD_OUT_SEEDS.start}-{HELD_OUT_SEEDS.stop - 1} for judging.",
    ]


def show_generated(found: GeneratedScenario) -> None:
    """Print streets, phases and plans."""
    console, drawing = Console(highlight=False, markup=False), found.drawing
    on_foot = (
        f"{drawing.walkers_h:.0f} people a crosswalk and hour"
        + (", served on call" if drawing.on_call else "")
        if drawing.walkers_h
        else "nobody on foot"
    )
    console.print(f"{found.name}: {len(drawing.lights)} lights, {on_foot}")
    console.print(
        f"{found.volume_veh_h:.0f} veh/h enter, {drawing.shape}, degree of saturation "
        f"{drawing.busyness:.2f}, {drawing.heavy_share:.0%} trucks"
    )
    for fault in drawing.faults:
        console.print(f"detector fault: {fault}")
    table = Table("junction", "approach lanes", "phases", "cycle s", "plan", box=None)
    for junction, plan in zip(found.junctions, found.plans(None), strict=True):
        steps = []
        for groups, seconds in plan.steps:
            phase = junction.phase_of(groups)
            steps.append(f"{phase.name if phase else '?'} {seconds}")
        table.add_row(
            junction.id,
            ", ".join(str(street.lanes) for street in drawing.into(junction.id)),
            str(len(junction.phases)),
            str(plan.cycle_s),
            " | ".join(steps),
        )
    console.print(table)


def check_generated(found: GeneratedScenario) -> None:
    """Print that it can be used; what is generated is right or an error."""
    found.plans(None)
    click.echo(f"ok: {found.name}: {len(found.junctions)} junctions, 1 period")
