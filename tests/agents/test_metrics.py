"""Metrics on hand-written trip records, whose answers can be worked out on paper."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from signals.errors import SimulationError
from signals.junction import Junction, Lane
from signals.metrics import Incidents, RunMetrics, summarise
from signals.queues import QueueSampler, percentile
from signals.schedule import Schedule
from signals.timing import TimingTable

ROUTES = """<routes>
  <vType id="car" vClass="passenger"/>
  <vType id="bus" vClass="bus"><param key="persons" value="30"/></vType>
  <vType id="coach" vClass="bus"/>
  <route id="N.through" edges="N_entry N_in S_out"/>
  <vehicle id="a" type="car" route="N.through" depart="10.0">
    <param key="persons" value="2"/>
  </vehicle>
  <vehicle id="b" type="bus" route="N.through" depart="20.0"/>
  <vehicle id="c" type="car" depart="30.0"><route edges="E_in W_out"/></vehicle>
  <trip id="d" type="car" from="E_in" to="W_out" depart="40.0"/>
  <vehicle id="e" type="car" depart="50.0"><route edges="side street"/></vehicle>
  <vehicle id="late" type="car" route="N.through" depart="700.0"/>
  <person id="p" depart="5.0"><walk from="N_in" to="E_in"/></person>
</routes>
"""


def trip(name: str, kind: str = "car", **values: object) -> str:
    fields = {
        "depart": 10.0,
        "departDelay": 0.0,
        "arrival": 100.0,
        "waitingTime": 0.0,
        "waitingCount": 0,
        "timeLoss": 0.0,
        "vaporized": "",
        **values,
    }
    inner = fields.pop("inner", "")
    text = " ".join(f'{key}="{value}"' for key, value in fields.items())
    return f'<tripinfo id="{name}" vType="{kind}" {text}>{inner}</tripinfo>'


NEVER = {"depart": -1, "arrival": -1, "vaporized": "end"}
UNFINISHED = {"arrival": -1, "vaporized": "end"}


@pytest.fixture
def junction() -> Junction:
    lanes = tuple(Lane(f"{leg}_in_1", leg, 100.0, 3.0, 13.9, False, ()) for leg in ("N", "E"))
    return Junction("J", lanes, (), (), (), (), "", "", TimingTable({}, 60, "always"))


@pytest.fixture
def schedule(tmp_path: Path, junction: Junction) -> Schedule:
    file = tmp_path / "routes.rou.xml"
    file.write_text(ROUTES)
    return Schedule.read(file, junction)


def judge(
    tmp_path: Path, junction: Junction, schedule: Schedule, *records: str, end_s: float = 600.0
) -> RunMetrics:
    trips_file = tmp_path / "tripinfo.xml"
    trips_file.write_text(f"<tripinfos>{''.join(records)}</tripinfos>")
    return summarise(trips_file, junction, schedule, 0.0, end_s)


def test_schedule_knows_legs_occupants_and_buses(schedule: Schedule) -> None:
    assert [schedule.leg_of(name) for name in "abcde"] == ["N", "N", "E", "E", "elsewhere"]
    assert [schedule.persons_in(name) for name in "abc"] == [2.0, 30.0, 1.0]
    assert schedule.bus_types == {"bus", "coach"}
    assert schedule.scheduled(600.0) == set("abcde")
    assert "late" in schedule.scheduled(701.0)


def test_copies_of_a_vehicle_go_where_it_goes(schedule: Schedule) -> None:
    assert schedule.leg_of("c.1") == "E"
    assert schedule.persons_in("b.1") == 30.0


def test_flows_leave_the_count_to_sumo(tmp_path: Path, junction: Junction) -> None:
    file = tmp_path / "flows.rou.xml"
    file.write_text(
        '<routes><flow id="f" begin="0" end="60" number="3"><route edges="N_in S_out"/></flow>'
        "</routes>"
    )
    found = Schedule.read(file, junction)
    assert found.leg_of("f.2") == "N"
    assert found.scheduled(600.0) == frozenset()


def test_delay_counts_unfinished_and_never_inserted(
    tmp_path: Path, junction: Junction, schedule: Schedule
) -> None:
    found = judge(
        tmp_path,
        junction,
        schedule,
        trip("a", timeLoss=12.0, departDelay=1.0, waitingTime=7.0, waitingCount=2),
        trip("b", "bus", timeLoss=40.0, waitingCount=3),
        trip("c", timeLoss=90.0, waitingTime=80.0, waitingCount=1, **UNFINISHED),
        trip("d", departDelay=560.0, **NEVER),
        trip("e", timeLoss=-1.0),
    )
    assert found.vehicles == 5
    assert found.delay_s == pytest.approx((13 + 40 + 90 + 560 - 1) / 5)
    assert found.los == "F"
    assert found.stops == pytest.approx(6 / 5)
    assert (found.arrived, found.unfinished, found.never_inserted) == (3, 1, 1)
    assert found.throughput_veh_h == pytest.approx(18.0)
    assert found.longest_wait_s == 560.0
    assert (found.buses, found.bus_delay_s) == (1, 40.0)
    assert found.person_delay_s == pytest.approx((2 * 13 + 30 * 40 + 90 + 560 - 1) / 35)
    east = found.approaches["E"]
    assert (east.vehicles, east.delay_s, east.los) == (2, 325.0, "FF")
    assert (east.unfinished, east.never_inserted) == (1, 1)
    assert set(found.approaches) == {"N", "E", "elsewhere"}
    assert found.co2_g is None and found.pedestrian_delay_s is None


def test_people_on_foot(tmp_path: Path, junction: Junction, schedule: Schedule) -> None:
    found = judge(
        tmp_path,
        junction,
        schedule,
        *(trip(name) for name in "abcde"),
        '<personinfo id="p" depart="5" waitingTime="20" timeLoss="30">'
        '<walk arrival="80" timeLoss="24" waitingTime="15"/>'
        '<walk arrival="99" timeLoss="6" waitingTime="5"/></personinfo>',
        '<personinfo id="stuck" depart="5" waitingTime="300" timeLoss="0">'
        '<walk arrival="-1" timeLoss="0" waitingTime="300"/></personinfo>',
        '<personinfo id="later" depart="-1" waitingTime="0" timeLoss="0"/>',
    )
    assert found.pedestrians == 2
    assert found.pedestrian_delay_s == pytest.approx((30 + 300) / 2)
    assert found.crosswalk_los == "F"
    assert found.longest_pedestrian_wait_s == 300.0
    assert found.person_delay_s == pytest.approx(330 / (35 + 2))


def test_emissions_are_per_vehicle(tmp_path: Path, junction: Junction, schedule: Schedule) -> None:
    burnt = '<emissions CO2_abs="500000"/>'
    found = judge(tmp_path, junction, schedule, *(trip(name, inner=burnt) for name in "abcde"))
    assert found.co2_g == pytest.approx(500.0)


def test_gridlock_is_said(tmp_path: Path, junction: Junction, schedule: Schedule) -> None:
    found = judge(
        tmp_path,
        junction,
        schedule,
        *(trip(name) for name in "abe"),
        trip("c", depart=30.0, arrival=110.0),
        trip("d", depart=40.0, waitingTime=480.0, timeLoss=500.0, **UNFINISHED),
    )
    assert found.flags == ("gridlock: nobody from E arrived for 490 s while 1 vehicles stood",)


def test_an_empty_road_is_no_gridlock(
    tmp_path: Path, junction: Junction, schedule: Schedule
) -> None:
    found = judge(tmp_path, junction, schedule, *(trip(name) for name in "abcde"))
    assert found.flags == ()


def test_a_hidden_vehicle_is_said(tmp_path: Path, junction: Junction, schedule: Schedule) -> None:
    found = judge(tmp_path, junction, schedule, *(trip(name) for name in "abce"))
    assert found.flags == ("incomplete: 1 scheduled vehicles left no trip, e.g. d",)


def test_teleports_and_collisions_are_said(
    tmp_path: Path, junction: Junction, schedule: Schedule
) -> None:
    crash = SimpleNamespace(collider="a", victim="b")
    sumo = SimpleNamespace(
        simulation=SimpleNamespace(
            getStartingTeleportNumber=lambda: 1, getCollisions=lambda: [crash]
        )
    )
    incidents = Incidents()
    for _ in range(3):  # two vehicles that stand in each other collide again every second
        incidents.watch(sumo)  # type: ignore[arg-type]
    trips_file = tmp_path / "t.xml"
    trips_file.write_text(f"<tripinfos>{''.join(trip(name) for name in 'abcde')}</tripinfos>")
    found = summarise(trips_file, junction, schedule, 0, 600, incidents=incidents)
    assert (found.teleports, found.collisions) == (3, 1)
    assert found.flags == ("teleports: 3 vehicles", "collisions: 1")


def test_broken_records_are_refused(tmp_path: Path, junction: Junction, schedule: Schedule) -> None:
    broken = tmp_path / "t.xml"
    broken.write_text("<tripinfos><tripinfo id='a'")
    with pytest.raises(SimulationError, match="cannot be read"):
        summarise(broken, junction, schedule, 0, 600)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.95, 0.0), ([3.0], 0.95, 3.0), (range(1, 101), 0.95, 95.0), (range(1, 21), 0.95, 19.0)],
)
def test_percentile(values: Any, share: float, expected: float) -> None:
    assert percentile(values, share) == expected


class Street:
    """A street of two lanes in a row before the light, and another light upstream of them."""

    lengths: ClassVar = {"N_in_1": 100.0, "N_block_1": 200.0, "far_1": 50.0, "E_in_1": 80.0}
    on: ClassVar = {"N_in_1": ["a", "b"], "N_block_1": ["c", "moving", "at_stop"], "E_in_1": []}
    place: ClassVar = {"a": 99.0, "b": 90.0, "c": 150.0, "moving": 20.0, "at_stop": 10.0}

    def __init__(self) -> None:
        self.trafficlight = SimpleNamespace(
            getIDList=lambda: ["J", "upstream"],
            getControlledLinks=lambda light: {
                "J": [[("N_in_1", "S_out_1", ":J_0")], [("E_in_1", "S_out_1", ":J_1")], []],
                "upstream": [[("far_1", "N_block_1", ":u_0")]],
            }[light],
        )
        self.lane = SimpleNamespace(
            getIDList=lambda: [*self.lengths, ":J_0_0"],
            getLinks=lambda lane: {"N_block_1": [("N_in_1",)], "far_1": [("N_block_1",)]}.get(
                lane, []
            ),
            getLength=lambda lane: self.lengths[lane],
            getLastStepVehicleIDs=lambda lane: self.on.get(lane, []),
        )
        self.vehicle = SimpleNamespace(
            getSpeed=lambda name: 8.0 if name == "moving" else 0.3,
            isStopped=lambda name: name == "at_stop",
            getLanePosition=lambda name: self.place[name],
            getLength=lambda name: 5.0,
        )
        self.simulation = SimpleNamespace(
            getPendingVehicles=lambda: ["c", "c.1"], getTime=lambda: 5.0
        )


def test_queue_reaches_over_edges_to_the_previous_signal(
    junction: Junction, schedule: Schedule
) -> None:
    sampler = QueueSampler(Street(), junction, schedule)  # type: ignore[arg-type]
    sampler.sample()
    north, east = sampler.stats()["N"], sampler.stats()["E"]
    # c stands 150 m into the block, so 50 m + 100 m before the stop line, and is 5 m long
    assert north.longest_m == pytest.approx(155.0)
    assert north.most_vehicles == 3
    # the two outside the net are due on the route of c, which comes from the east
    assert (east.longest_m, east.most_vehicles) == (0.0, 2)
    assert sampler.series() == {"time_s": [5.0], "queue_m": {"N": [155.0], "E": [0.0]}}
