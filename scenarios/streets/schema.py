"""The second format of the site file: one or more junctions and the streets between them.

It is shorter than the first: a lane is written as on the ground (`left+uturn`, `through`,
`through+right`), movements follow from the lanes and the bearings, and one `mark` and `source` on a
table covers every number in it that has none of its own. `scenarios.streets.inherit` spreads
defaults and marks, so that here, as in `scenarios.schema`, every number is a `Marked` value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from scenarios.faults import FaultEntry
from scenarios.schema import (
    Clock,
    Location,
    Mark,
    Marked,
    Name,
    Positive,
    Share,
    Span,
    Special,
    Timing,
    Variation,
    VehicleClass,
    Volume,
    _Strict,
)

LaneUse = Annotated[
    str, Field(pattern=r"^(bus|(through|left|right|uturn)(\+(through|left|right|uturn))*)$")
]
Turn = Literal["through", "left", "right", "uturn"]
LegRef = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*\.[NESW]{1,2}$")]
PerPeriod = dict[str, Annotated[float, Field(ge=0)]]


class StreetLeg(_Strict):
    """One arm of a junction; what is left out comes from `defaults.leg`.

    Attributes:
        street: Name on the sign.
        bearing_deg: Compass bearing seen from the centre; left out where a street leads to another
            junction, because that follows from the two positions.
        speed_limit_kmh: Posted limit.
        lanes: Use of each lane at the stop line, from the median (1차로 first).
        pocket_lanes: How many of the lanes next to the median (behind bus lanes) are a pocket.
        pocket_m: Length of the pocket.
        out_lanes: Lanes that leave, bus lanes not counted.
        out_bus_lanes: Median bus lanes that leave.
        lane_width_m: Of all lanes.
        sidewalk_width_m: On both sides.
        crosswalk_width_m: 0 where nobody may cross.
        block_m: To the next junction upstream, outside the site.
        entry_m: Storage upstream of that junction.
        turning: Where the vehicles of this approach go, summing to 1.
        exit_lanes: Departure lanes of a turn, from the median, where not the usual ones.
    """

    street: str
    bearing_deg: Marked[Annotated[float, Field(ge=0, lt=360)]] | None = None
    speed_limit_kmh: Marked[Positive]
    lanes: Marked[Annotated[list[LaneUse], Field(min_length=1, max_length=12)]]
    pocket_lanes: Marked[Annotated[int, Field(ge=0, le=3)]]
    pocket_m: Marked[Positive]
    out_lanes: Marked[Annotated[int, Field(ge=1, le=9)]]
    out_bus_lanes: Marked[Annotated[int, Field(ge=0, le=2)]]
    lane_width_m: Marked[Annotated[float, Field(ge=2.5, le=5)]]
    sidewalk_width_m: Marked[Positive]
    crosswalk_width_m: Marked[Annotated[float, Field(ge=0)]]
    block_m: Marked[Positive]
    entry_m: Marked[Positive]
    turning: Marked[dict[Turn, Share]]
    exit_lanes: dict[Turn, list[Annotated[int, Field(ge=1)]]] = Field(default_factory=dict)


class StreetJunction(_Strict):
    """One signalised junction.

    Attributes:
        sequence: Phase of each step of the plan's cycle.
        per_crosswalk_h: People per hour over each crosswalk, both directions, by period.
    """

    title: str
    location: Location
    timing: Timing = Timing()
    legs: Annotated[dict[str, StreetLeg], Field(min_length=2, max_length=8)]
    phases: Annotated[dict[str, Annotated[list[str], Field(min_length=1)]], Field(min_length=1)]
    sequence: Annotated[list[str], Field(min_length=2, max_length=8)]
    per_crosswalk_h: Marked[PerPeriod]


class Street(_Strict):
    """A street between two junctions, both directions."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    start: LegRef = Field(alias="from")
    end: LegRef = Field(alias="to")


class Stop(_Strict):
    """A bus stop, in the median bus lane where there is one, else in the kerb lane.

    Attributes:
        leg: Leg whose approach or departure it lies beside.
        side: Which of the two.
        distance_m: From the stop line or the junction's edge to the nearer end.
    """

    leg: LegRef
    side: Literal["approach", "departure"]
    distance_m: Marked[Annotated[float, Field(ge=0)]]
    length_m: Marked[Annotated[float, Field(ge=12)]]


class Line(_Strict):
    """Buses that run from one outer leg to another.

    Attributes:
        per_h: Buses an hour, by period.
        stops: Where they stop, in order.
    """

    start: LegRef
    end: LegRef
    per_h: Marked[PerPeriod]
    stops: list[str] = Field(default_factory=list)


class Entry(_Strict):
    """What enters by an outer leg.

    Attributes:
        volume: Count of the street, both directions.
        share: Part of it that enters here, by period.
    """

    volume: str
    share: Marked[dict[str, Share]]


class Kerb(_Strict):
    """Vehicles that stop at the kerb and block its lane: passengers of taxis, deliveries.

    Attributes:
        share: Part of the vehicles of a class that stops once on its way.
        level: Factor on the share, by period; 1 where nothing is given.
        dwell_s: Shortest and longest stop.
    """

    share: Marked[dict[VehicleClass, Share]]
    level: Marked[PerPeriod]
    dwell_s: Marked[tuple[Positive, Positive]]


class StreetDemand(_Strict):
    """Everything that wants to move.

    Attributes:
        level: Factor on a street's volume, by period; 1 where nothing is given.
        speed_factor: Factor on everybody's desired speed, by period.
        friction: Speed between the junctions of the site / posted limit, by period: what driveways,
            parked cars, passengers and people cost there; 1 where nothing is given.
    """

    volumes: dict[Name, Volume]
    entries: dict[LegRef, Entry]
    level: Marked[dict[str, PerPeriod]]
    speed_factor: Marked[dict[str, Annotated[float, Field(gt=0.3, le=1.2)]]]
    friction: Marked[PerPeriod] | None = None
    variation: Variation
    mix: Marked[dict[VehicleClass, Share]]
    persons: Marked[dict[VehicleClass, Annotated[float, Field(ge=1)]]]
    kerb: Kerb | None = None
    bus_stops: dict[Name, Stop] = Field(default_factory=dict)
    bus_lines: dict[Name, Line] = Field(default_factory=dict)
    bus_dwell_s: Marked[tuple[Positive, Positive]]
    two_legs_share: Marked[Share]
    sidewalk_m: Marked[Annotated[float, Field(ge=10, le=120)]]
    walking_pace: Marked[Annotated[float, Field(ge=0.5, le=2)]] | None = None


class JunctionPlan(_Strict):
    """Offset and splits of one junction, one split per step of its sequence."""

    offset_s: Annotated[int, Field(ge=0)]
    splits_s: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=8)]


class PeriodPlans(_Strict):
    """The plans of all junctions for one period."""

    cycle_s: Annotated[int, Field(ge=30, le=300)]
    mark: Mark
    source: str = "assumed"
    junctions: dict[Name, JunctionPlan]


class Corridor(_Strict):
    """A direction of a street whose speed was measured.

    Attributes:
        junctions: In driving order.
        measured_kmh: Mean speed over the links, weighted by their length, by period.
    """

    title: str
    junctions: Annotated[list[Name], Field(min_length=2)]
    measured_kmh: Marked[PerPeriod]


class Defaults(_Strict):
    """What every junction and leg has unless it says otherwise."""

    timing: Timing = Timing()
    leg: dict[str, object] = Field(default_factory=dict)
    phases: dict[str, list[str]] = Field(default_factory=dict)
    sequence: list[str] = Field(default_factory=list)


class DayPart(_Strict):
    """What holds from a clock time of a whole day on; a bare name is a period.

    Attributes:
        period: Whose shares and plans.
        level: General traffic / volume of the hours.
    """

    period: Name
    level: Marked[float] | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: object) -> object:
        return {"period": given} if isinstance(given, str) else given


class StreetSite(_Strict):
    """A whole site file of the second format.

    Attributes:
        days: Runs to the end of the day: clock times, and what holds from then on.
    """

    format: Literal[2]
    id: Name
    title: str
    description: str = ""
    sources: dict[str, str]
    defaults: Defaults = Defaults()
    junctions: Annotated[dict[Name, StreetJunction], Field(min_length=1)]
    streets: list[Street] = Field(default_factory=list)
    demand: StreetDemand
    periods: Annotated[dict[Name, Span], Field(min_length=1)]
    specials: dict[Name, Special] = Field(default_factory=dict)
    days: dict[Name, Annotated[dict[Clock, DayPart], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    corridors: dict[Name, Corridor] = Field(default_factory=dict)
    plans: dict[Name, PeriodPlans]
    faults: list[FaultEntry] = Field(default_factory=list)

    def __reduce__(self) -> tuple[Callable[[str], StreetSite], tuple[str]]:
        """Pickled as JSON: the parametrised `Marked` classes cannot be looked up by name."""
        return StreetSite.model_validate_json, (self.model_dump_json(by_alias=True),)
