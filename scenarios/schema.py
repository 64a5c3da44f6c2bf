"""The site file: one junction, what drives and walks there, and how it is signalled.

Every number that describes the world stands as a `Marked` value with its provenance, so that nobody
mistakes an assumption for a measurement. `scenarios.sitefile` reads the YAML and turns every
mistake in it into one line with file and line number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from scenarios.faults import FaultEntry

T = TypeVar("T")

Mark = Literal["S", "M", "G"]
MARK_MEANINGS: dict[str, str] = {
    "S": "read in a public source",
    "M": "measured from public data",
    "G": "assumed",
}
VehicleClass = Literal["car", "taxi", "bus", "truck"]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Marked(_Strict, Generic[T]):
    """A value with its provenance.

    Attributes:
        value: The number, list or table.
        mark: S read in a public source, M measured from public data, G assumed.
        source: For S and M a key of the file's `sources`; for G the reason, if there is one.
    """

    value: T
    mark: Mark
    source: str = "assumed"


class Location(_Strict):
    """Centre of the junction, WGS 84 degrees."""

    lat: Marked[Annotated[float, Field(ge=-90, le=90)]]
    lon: Marked[Annotated[float, Field(ge=-180, le=180)]]


class Pocket(_Strict):
    """Left-turn pocket beside the median: lanes that exist only before the stop line."""

    lanes: Marked[Annotated[int, Field(ge=1, le=3)]]
    length_m: Marked[Positive]


class Approach(_Strict):
    """The incoming half of a leg, outermost lane rightmost.

    Lanes are numbered from the median as on the street (1차로 first): bus lanes, then pocket lanes,
    then general lanes.

    Attributes:
        block_m: Distance to the next junction upstream.
        entry_m: Storage upstream of that junction, so that long queues stay inside the network.
        bus_lanes: Median lanes that only buses may use.
        general_lanes: Lanes that reach back over the whole block.
    """

    block_m: Marked[Positive]
    entry_m: Marked[Positive]
    bus_lanes: Marked[Annotated[int, Field(ge=0, le=2)]]
    general_lanes: Marked[Annotated[int, Field(ge=1, le=9)]]
    lane_width_m: Marked[Annotated[float, Field(ge=2.5, le=5)]]
    pocket: Pocket | None = None


class Departure(_Strict):
    """The outgoing half of a leg."""

    bus_lanes: Marked[Annotated[int, Field(ge=0, le=2)]]
    general_lanes: Marked[Annotated[int, Field(ge=1, le=9)]]
    lane_width_m: Marked[Annotated[float, Field(ge=2.5, le=5)]]


class Leg(_Strict):
    """One arm of the junction.

    Attributes:
        street: Name on the sign.
        bearing_deg: Compass bearing of the arm seen from the centre.
        speed_limit_kmh: Posted limit.
        crosswalk_width_m: None where nobody may cross.
    """

    street: str
    bearing_deg: Marked[Annotated[float, Field(ge=0, lt=360)]]
    speed_limit_kmh: Marked[Positive]
    approach: Approach
    departure: Departure
    sidewalk_width_m: Marked[Positive]
    crosswalk_width_m: Marked[Positive] | None = None


class SiteMovement(_Strict):
    """Which lanes a stream leaves from and where it goes.

    Attributes:
        to: Leg it leaves by.
        lanes: Lane numbers at the stop line, 1 next to the median.
        exit_lanes: Lane numbers of the departure; left out, lanes are matched in order.
    """

    to: str
    lanes: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    exit_lanes: list[Annotated[int, Field(ge=1)]] | None = None
    mark: Mark
    source: str = "assumed"


class Timing(_Strict):
    """What the engineer sets; yellow, all-red, walk and clearance follow from geometry."""

    min_green_s: Marked[Annotated[int, Field(ge=4, le=60)]] | None = None
    max_green_s: Marked[Annotated[int, Field(ge=10, le=300)]] | None = None
    max_red_s: Marked[Annotated[int, Field(ge=30, le=600)]] | None = None
    pedestrian_max_red_s: Marked[Annotated[int, Field(ge=30, le=600)]] | None = None
    walking_speed_mps: Marked[Annotated[float, Field(ge=0.5, le=2)]] | None = None
    right_turn_on_red: Marked[bool] | None = None
    recall: Marked[Literal["always", "call"]] | None = None


class BusStop(_Strict):
    """A median stop in the bus lane, beside the approach or the departure of a leg.

    Attributes:
        distance_m: From the stop line (approach) or the junction's edge (departure) to the nearer
            end of the stop.
    """

    leg: str
    side: Literal["approach", "departure"]
    distance_m: Marked[Annotated[float, Field(ge=0)]]
    length_m: Marked[Annotated[float, Field(ge=12)]]


class BusLine(_Strict):
    """Buses that run in the bus lanes from one leg to another and stop on the way.

    Attributes:
        share: Part of the buses of the approach that belong to this line.
    """

    origin: str
    destination: str
    share: Marked[Share]
    stops: list[str] = Field(default_factory=list)


class Volume(_Strict):
    """Traffic of one street over a day, both directions together.

    Either 24 hourly counts, or a daily total with the shape of another street.
    """

    veh_per_h: Marked[Annotated[list[Count], Field(min_length=24, max_length=24)]] | None = None
    veh_per_day: Marked[Annotated[int, Field(gt=0)]] | None = None
    shape_of: Marked[str] | None = None


class ApproachDemand(_Strict):
    """Which count feeds an approach, its part of it per period, and where its vehicles go."""

    volume: str
    direction_share: dict[str, Marked[Share]]
    turning: Marked[dict[Literal["through", "left", "right", "uturn"], Share]]


class Variation(_Strict):
    """How demand days differ.

    Attributes:
        approach_cv: Coefficient of variation of each approach's day factor (lognormal).
        common_cv: The same for the factor all approaches share.
        peak_hour_factor: Range of hourly volume / (4 x busiest quarter).
    """

    approach_cv: Marked[Annotated[float, Field(ge=0, le=1)]]
    common_cv: Marked[Annotated[float, Field(ge=0, le=1)]]
    peak_hour_factor: Marked[
        tuple[Annotated[float, Field(ge=0.25, le=1)], Annotated[float, Field(ge=0.25, le=1)]]
    ]


class Pedestrians(_Strict):
    """People on foot.

    Attributes:
        per_crosswalk_h: People per hour over each crosswalk, both directions, by period.
        two_legs_share: Part of the people who cross a second crosswalk as well.
        sidewalk_m: How far from the crosswalk they enter and leave.
    """

    per_crosswalk_h: dict[str, Marked[Annotated[float, Field(ge=0)]]]
    two_legs_share: Marked[Share]
    sidewalk_m: Marked[Annotated[float, Field(ge=10, le=120)]]


class Demand(_Strict):
    """Everything that wants to move."""

    volumes: dict[Name, Volume]
    approaches: dict[str, ApproachDemand]
    variation: Variation
    mix: Marked[dict[VehicleClass, Share]]
    persons: Marked[dict[VehicleClass, Annotated[float, Field(ge=1)]]]
    bus_lines: dict[Name, BusLine] = Field(default_factory=dict)
    dwell_s: Marked[tuple[Positive, Positive]]
    pedestrians: Pedestrians


class Step(_Strict):
    """One step of a ring: groups and split, the yellow and all-red that end it included."""

    groups: list[str]
    split_s: Annotated[int, Field(ge=1)]


class SitePlan(_Strict):
    """A two-ring plan (A링, B링); both rings sum to the cycle."""

    cycle_s: Annotated[int, Field(ge=30, le=300)]
    offset_s: Annotated[int, Field(ge=0)]
    ring_a: Annotated[list[Step], Field(min_length=1, max_length=8)]
    ring_b: Annotated[list[Step], Field(min_length=1, max_length=8)]
    mark: Mark
    source: str = "assumed"


class Span(_Strict):
    """A stretch of the day that is simulated."""

    begin: Clock
    end: Clock

    @property
    def begin_s(self) -> int:
        """Clock seconds since midnight."""
        return clock_s(self.begin)

    @property
    def end_s(self) -> int:
        """Clock seconds since midnight, after `begin_s`."""
        return clock_s(self.end) or 86400


class Period(Span):
    """A stretch of the day and its plan."""

    plan: SitePlan


class Surge(_Strict):
    """Additional vehicles during a window: a hall that fills or empties.

    Attributes:
        leg: Leg they all head for, or all come from; in a network an outer one.
        towards: True when they head for it.
        veh_per_h: How many, during the window.
    """

    leg: str
    towards: bool
    veh_per_h: Marked[Positive]
    begin: Clock
    end: Clock


class Closure(_Strict):
    """Lanes of an approach that nobody may use for a while.

    Attributes:
        leg: Approach; closed is its block, upstream of the pocket.
        lanes: Lanes of the block from the median.
        minutes: For how long.
    """

    leg: str
    lanes: Marked[Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]]
    begin: Clock
    minutes: Marked[Annotated[int, Field(ge=1, le=600)]]


class Special(_Strict):
    """A period like another one, with something that goes wrong or comes on top."""

    like: str
    surge: Surge | None = None
    closure: Closure | None = None


class Site(_Strict):
    """A whole site file."""

    format: Literal[1]
    id: Name
    title: str
    description: str = ""
    sources: dict[str, str]
    location: Location
    timing: Timing = Timing()
    legs: Annotated[dict[str, Leg], Field(min_length=2, max_length=8)]
    movements: Annotated[dict[str, SiteMovement], Field(min_length=1)]
    bus_stops: dict[Name, BusStop] = Field(default_factory=dict)
    phases: Annotated[dict[str, Annotated[list[str], Field(min_length=1)]], Field(min_length=1)]
    demand: Demand
    periods: Annotated[dict[Name, Period], Field(min_length=1)]
    faults: list[FaultEntry] = Field(default_factory=list)
    specials: dict[Name, Special] = Field(default_factory=dict)

    def __reduce__(self) -> tuple[Callable[[str], Site], tuple[str]]:
        """Pickled as JSON: the parametrised `Marked` classes cannot be looked up by name."""
        return Site.model_validate_json, (self.model_dump_json(),)


def clock_s(text: str) -> int:
    """Seconds since midnight of ``HH:MM``."""
    hours, minutes = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60


def marked_values(model: BaseModel, prefix: str = "") -> list[tuple[str, object, str, str]]:
    """Every marked value below a model, as ``(path, value, mark, source)`` in file order."""
    found: list[tuple[str, object, str, str]] = []
    if isinstance(model, Marked):
        return [(prefix, model.value, model.mark, model.source)]
    if isinstance(model, SiteMovement):
        return [(prefix, f"lanes {model.lanes} to {model.to}", model.mark, model.source)]
    if isinstance(model, SitePlan):
        return [(prefix, f"cycle {model.cycle_s} s", model.mark, model.source)]
    mark, source, cycle = (getattr(model, key, None) for key in ("mark", "source", "cycle_s"))
    if mark is not None:
        found.append((prefix, f"plans with a cycle of {cycle} s", mark, str(source)))
    for name in type(model).model_fields:
        value = getattr(model, name)
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(value, BaseModel):
            found += marked_values(value, path)
        elif isinstance(value, dict):
            for key, item in value.items():
                if isinstance(item, BaseModel):
                    found += marked_values(item, f"{path}.{key}")
    return found
