"""The shipped networks: positions, lanes, demand days, special periods, plans and offsets."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from scenarios import catalog
from scenarios.catalog import SUMO_OPTIONS, Scenario
from scenarios.demand import TRAINING_SEEDS
from scenarios.streets.demand import StreetDemand
from scenarios.streets.flows import mean_flows, path_between
from scenarios.streets.measure import Count, light_file
from scenarios.streets.planning import design_period
from scenarios.streets.scenario import StreetScenario
from scenarios.sumo_tools import run_program

pytestmark = pytest.mark.sumo

NAMES = [name for name in catalog.names() if not isinstance(catalog.load(name), Scenario)]
# Metres from Gangnam Station as measured on the map.
SPACING_M = (0, 321, 880, 1435, 2024, 2396, 2747, 3013, 3365)


def _network(name: str) -> StreetScenario:
    found = catalog.load(name)
    assert isinstance(found, StreetScenario)
    return found


@pytest.fixture(scope="module")
def teheran() -> StreetScenario:
    return _network("teheran")


def test_the_sites_are_all_there() -> None:
    assert set(NAMES) == {"balsan", "gwanghwamun", "jamsil", "school_zone", "teheran"}


@pytest.mark.parametrize("name", NAMES)
def test_the_net_has_the_movements_of_the_site_file(name: str) -> None:
    found = _network(name)
    assert found.network.warnings == () or all("Warning" in item for item in found.network.warnings)
    for part in found.parts.values():
        junction = part.junction
        own = {item.id for item in junction.movements if item.kind != "pedestrian"}
        assert own == set(part.site.movements)
        for item in junction.movements:
            if item.kind != "pedestrian":
                assert len(item.lanes) == len(part.site.movements[item.id].lanes)
                assert item.exit_leg == part.site.movements[item.id].to
        crossed = {leg for leg, value in part.site.legs.items() if value.crosswalk_width_m}
        walks = {item.leg for item in junction.movements if item.kind == "pedestrian"}
        assert walks == crossed


@pytest.mark.parametrize("name", NAMES)
def test_every_period_has_a_world(name: str) -> None:
    found = _network(name)
    assert found.periods == ("am_peak", "midday", "pm_peak", "night", "event", "incident")
    hashes = set()
    for period in found.periods:
        world = found.world(period)
        assert [junction.id for junction in world.junctions] == list(found.site.junctions)
        assert len(world.plans) == len(world.junctions)
        assert all(file.is_file() for file in (world.net_file, *world.additional_files))
        hashes.add(world.content_hash)
    assert len(hashes) == len(found.periods)


def test_the_spacings_of_teheran_ro(teheran: StreetScenario) -> None:
    at_m = [0.0]
    for street in teheran.site.streets:
        junction, _, leg = street.start.partition(".")
        at_m.append(at_m[-1] + teheran.streets.bearing_m((junction, leg))[1])
    assert at_m == pytest.approx(SPACING_M, abs=12.0)


def test_a_street_is_one_set_of_edges(teheran: StreetScenario) -> None:
    net = ElementTree.parse(teheran.network.net_file).getroot()
    ends = {edge.get("id"): (edge.get("from"), edge.get("to")) for edge in net.iter("edge")}
    leaving = teheran.streets.leg(("gangnam", "E")).out
    approach = teheran.streets.leg(("gukgiwon", "W")).approach_edges
    assert leaving == approach[0]
    assert ends[approach[0]][0] == "gangnam"
    assert ends[approach[-1]][1] == "gukgiwon"
    assert not any("rim" in (end or "") for edge in approach for end in ends[edge])


def test_left_turns_are_banned_at_posco(teheran: StreetScenario) -> None:
    turns = {item.id for item in teheran.parts["posco"].junction.movements}
    assert "W.through" in turns
    assert not turns & {"W.left", "E.left", "W.uturn", "E.uturn"}


def test_the_school_zone_walks_slowly_and_together() -> None:
    part = _network("school_zone").parts["school"]
    junction = part.junction
    walks = [group for group in junction.groups if group.kind == "pedestrian"]
    for group in walks:
        movement = next(item for item in junction.movements if item.id in group.movements)
        assert junction.timing.groups[group.id].clearance_s >= movement.crossing_m / 0.8
    scramble = junction.phase_named("scramble")
    assert set(scramble.groups) == {group.id for group in walks}
    for lane in junction.lanes:
        assert lane.speed_mps == pytest.approx(30 / 3.6, abs=0.01)


def test_flows_are_kept_at_every_junction(teheran: StreetScenario) -> None:
    flows = mean_flows(teheran.streets, "am_peak")
    into = sum(flows.approach[place] for place in teheran.streets.outer)
    out = 0.0
    for (place, turn), value in flows.turn.items():
        exit_leg = teheran.streets.targets(place)[turn]
        if (place[0], exit_leg) not in teheran.streets.onward:
            out += value
    assert out == pytest.approx(into)


def test_the_same_seed_gives_the_same_bytes(teheran: StreetScenario) -> None:
    demand = teheran.demand("night")
    fresh = pickle.loads(pickle.dumps(StreetDemand(teheran.streets, "night")))
    assert demand.xml(7) == fresh.xml(7)
    assert demand.key == fresh.key
    assert demand.xml(7) != demand.xml(8)
    assert demand.file(7).read_text(encoding="utf-8") == demand.xml(7)


def test_days_differ_and_the_average_day_does_not() -> None:
    found = _network("balsan")
    days, average = found.demand("midday"), StreetDemand(found.streets, "midday", average=True)

    def spread(demand: StreetDemand) -> float:
        counts = [demand.xml(seed).count("<vehicle") for seed in range(12)]
        return max(counts) / min(counts)

    assert spread(days) > 1.12
    assert spread(average) < 1.10


def test_turns_come_out_as_the_shares_say(teheran: StreetScenario) -> None:
    demand = StreetDemand(teheran.streets, "midday", average=True)
    root = ElementTree.fromstring(demand.xml(3))
    routes = {item.get("id"): item.get("edges", "").split() for item in root.iter("route")}
    seen: Counter[tuple[str, str]] = Counter()
    for vehicle in root.iter("vehicle"):
        seen.update(pairwise(routes[vehicle.get("route")]))
    for (place, turn), expected in demand.flows.turn.items():
        if expected < 50.0:
            continue
        layout = teheran.streets.layouts[place[0]]
        target = teheran.streets.targets(place)[turn]
        pair = (layout.legs[place[1]].stop, layout.legs[target].out)
        whole = expected + demand.flows.bus.get((place, turn), 0.0)
        whole += demand.flows.bus.get((place, "bus"), 0.0) if turn == "through" else 0.0
        assert Count("", whole, seen[pair]).geh < 5.0, (place, turn)


def test_buses_run_through_and_stop(teheran: StreetScenario) -> None:
    path = path_between(teheran.streets, ("gangnam", "W"), ("samseong", "E"), bus=True)
    assert path is not None
    assert [turn for _, turn in path] == ["through"] * 9
    root = ElementTree.fromstring(teheran.demand("night").xml(1))
    buses = [item for item in root.iter("vehicle") if item.get("line") == "teheran-eastbound"]
    line = teheran.site.demand.bus_lines["teheran-eastbound"]
    assert buses
    for bus in buses:
        assert [stop.get("busStop") for stop in bus.findall("stop")] == line.stops


def test_people_walk_at_every_junction(teheran: StreetScenario) -> None:
    root = ElementTree.fromstring(teheran.demand("midday").xml(0))
    walks: Counter[str] = Counter()
    for person in root.iter("person"):
        walks[person.get("id", "").split(".")[0]] += len(person.findall("walk"))
    for name, junction in teheran.site.junctions.items():
        expected = 4 * junction.per_crosswalk_h.value["midday"]
        assert walks[name] == pytest.approx(expected, rel=0.15), name


@pytest.mark.parametrize("name", ["gangnam", "school_zone", "balsan"])
def test_an_event_adds_vehicles_and_an_incident_none(name: str) -> None:
    found = catalog.load(name)
    special = found.site.specials["event"]
    assert special.surge is not None
    text = found.demand("event").xml(2)
    more = text.count('<vehicle id="surge.')
    assert more == pytest.approx(special.surge.veh_per_h.value * 0.5, rel=0.2)
    ordinary = found.demand(special.like).xml(2)
    assert text.count("<vehicle ") == ordinary.count("<vehicle ") + more
    # Everybody else travels as on that day without the event.
    assert set(ordinary.splitlines()) - set(text.splitlines()) == set()
    like = found.site.specials["incident"].like
    assert found.demand("incident").key == found.demand(like).key


def test_a_closed_lane_is_empty_while_it_is_closed(tmp_path: Path) -> None:
    found = _network("school_zone")
    closed = "school.W_block_0"
    crossed = {}
    for period in ("midday", "incident"):
        lights, _ = light_file(found, period, tmp_path / "lights.add.xml")
        counts = tmp_path / f"{period}.xml"
        wanted = tmp_path / "wanted.add.xml"
        wanted.write_text(
            f'<additional><laneData id="l" file="{counts}" begin="47760" end="48000"/>'
            "</additional>",
            encoding="utf-8",
        )
        additional = [*found.additional_files(period), lights, wanted]
        run_program(
            "sumo",
            (
                "--net-file", str(found.network.net_file),
                "--route-files", str(found.demand(period).file(TRAINING_SEEDS[0])),
                "--additional-files", ",".join(map(str, additional)),
                "--begin", "46800", "--end", "48000", "--no-step-log", "true",
                "--no-warnings", "true", "--xml-validation", "never", *SUMO_OPTIONS,
            ),
            "a test",
        )  # fmt: skip
        lanes = ElementTree.parse(counts).getroot().iter("lane")
        crossed[period] = {lane.get("id"): float(lane.get("sampledSeconds", "0")) for lane in lanes}
    # The lane is closed from 13:15 on; a minute later nobody is left on it.
    assert crossed["midday"].get(closed, 0.0) > 10.0
    assert crossed["incident"].get(closed, 0.0) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_sumo_takes_net_stops_routes_and_lights(name: str, tmp_path: Path) -> None:
    found = _network(name)
    lights, refused_s = light_file(found, "night", tmp_path / "lights.add.xml")
    demand = found.demand("night")
    # Each junction may begin in the middle of a step.
    assert refused_s <= sum(plan.cycle_s for plan in found.plans("night"))
    said = run_program(
        "sumo",
        (
            "--net-file", str(found.network.net_file),
            "--route-files", str(demand.file(TRAINING_SEEDS[1])),
            "--additional-files", ",".join(map(str, (*found.additional_files("night"), lights))),
            "--begin", str(demand.begin_s), "--end", str(demand.begin_s + 300),
            "--no-step-log", "true", "--xml-validation", "never", *SUMO_OPTIONS,
        ),
        "a test",
    )  # fmt: skip
    assert "collision" not in said


@pytest.mark.parametrize("name", NAMES)
def test_shipped_offsets_are_those_of_the_method(name: str) -> None:
    found = _network(name)
    for period, plans in found.site.plans.items():
        again = design_period(found, period, plans.cycle_s)
        for junction, plan in plans.junctions.items():
            away = abs(plan.offset_s - again.plans[junction].offset_s) % plans.cycle_s
            assert min(away, plans.cycle_s - away) <= 2, (period, junction)
