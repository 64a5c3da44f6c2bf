"""A small junction with traffic, a policy made by hand for it, and a running service."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from controllers.service.app import Service, create_app
from controllers.service.server import address_of, listen, make_logger
from signals.bundle import Bundle, write_bundle
from signals.contract import Contract, TimedPlan
from signals.junction import Junction
from signals.netreader import read_junction
from signals.observation import MOVEMENT_FEATURES, PHASE_FEATURES
from signals.plan import Plan, RingStep
from signals.signing import signing_key
from signals.timing import TimingRules
from signals.world import World

BEGIN_S = 8 * 3600
_ARMS = ("A1", "C1", "B0", "B2")
_WEIGHTS = {"near_vehicles": 4.0, "queue": 3.0, "far_vehicles": 1.0, "waiting": 2.0, "left": 0.01}


def junction_of(net: Path) -> Junction:
    return read_junction(net, "B1", TimingRules())


def plan_of(junction: Junction) -> Plan:
    """Phases until every group has had its turn, 45 s each."""
    steps, served = [], set[str]()
    for phase in junction.phases:
        if not set(phase.groups) <= served:
            steps.append(RingStep(phase.groups, 45))
            served.update(phase.groups)
    plan = Plan("am_peak", 45 * len(steps), 0, tuple(steps), tuple(steps))
    plan.validate(junction)
    return plan


def world_of(net: Path, folder: Path, minutes: int = 10) -> World:
    """The middle of the grid with cars on every turn and people on every crosswalk."""
    junction = junction_of(net)
    end_s = BEGIN_S + 60 * minutes

    def routes(seed: int) -> Path:
        rng = np.random.default_rng(seed)
        rows = ["<routes>"]
        trips = []
        for start in _ARMS:
            for end in _ARMS:
                if start != end:
                    headway_s = 12.0 if start[0] == end[0] or start[1] == end[1] else 30.0
                    times = np.arange(BEGIN_S, end_s, headway_s) + rng.uniform(0, headway_s)
                    trips += [(t, f"{start}B1", f"B1{end}", f"{start}{end}") for t in times]
        for number, (depart, start, end, name) in enumerate(sorted(trips)):
            if number % 6:
                rows.append(
                    f'<trip id="{name}.{number}" depart="{depart:.1f}" departSpeed="max" '
                    f'from="{start}" to="{end}"/>'
                )
            else:
                rows.append(
                    f'<person id="p{number}" depart="{depart:.1f}">'
                    f'<walk from="{start}" to="{end}"/></person>'
                )
        file = folder / f"day{seed}.rou.xml"
        file.write_text("\n".join([*rows, "</routes>"]), encoding="utf-8")
        return file

    return World(
        scenario="grid",
        period="am_peak",
        junctions=(junction,),
        plans=(plan_of(junction),),
        net_file=net,
        additional_files=(),
        begin_s=BEGIN_S,
        end_s=end_s,
        routes=routes,
        sumo_options=(),
        content_hash="grid",
    )


def onnx_policy(sign: float = 1.0, stay: float = 0.3, masked: bool = True) -> bytes:
    """Scores a phase by the vehicles and people that it serves, a little more when it is on.

    With a negative sign it scores the emptiest phase best; unmasked it also wishes for phases that
    are not open.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    weights = np.zeros((len(MOVEMENT_FEATURES), 1), dtype=np.float32)
    for name, value in _WEIGHTS.items():
        weights[MOVEMENT_FEATURES.index(name)] = sign * value
    own = np.zeros((len(PHASE_FEATURES), 1), dtype=np.float32)
    own[PHASE_FEATURES.index("current")] = stay
    constants = {
        "weights": weights,
        "own": own,
        "last": np.array([2], dtype=np.int64),
        "half": np.array(0.5 if masked else -1.0, dtype=np.float32),
        "closed": np.array(-1e9, dtype=np.float32),
    }
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("MatMul", ["movements", "weights"], ["load"]),
            node("MatMul", ["serves", "load"], ["served"]),
            node("MatMul", ["phases", "own"], ["bonus"]),
            node("Add", ["served", "bonus"], ["both"]),
            node("Squeeze", ["both", "last"], ["open"]),
            node("Greater", ["mask", "half"], ["allowed"]),
            node("Where", ["allowed", "open", "closed"], ["scores"]),
        ],
        "by_load",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (
                ("movements", ["B", "M", len(MOVEMENT_FEATURES)]),
                ("phases", ["B", "P", len(PHASE_FEATURES)]),
                ("serves", ["B", "P", "M"]),
                ("mask", ["B", "P"]),
            )
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", "P"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests"
    )
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def write_test_bundle(
    file: Path, junction: Junction, policy: bytes, name: str = "by-load"
) -> Bundle:
    plan = TimedPlan("am_peak", 7 * 3600, 9 * 3600, plan_of(junction))
    contract = Contract.promise(name, junction, (plan,), policy, 5, {"config": {"seed": 1}})
    return write_bundle(file, contract, policy, signing_key())


@dataclass(frozen=True)
class Running:
    """A service that answers."""

    url: str
    service: Service


@contextmanager
def listening(app: Any, port: int = 0, **options: Any) -> Iterator[str]:
    """Serve an application on loopback from a thread, until the end of the block."""
    import uvicorn

    with listen("127.0.0.1", port) as sock:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", **options)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield address_of(sock, "https" if options else "http")
        finally:
            server.should_exit = True
            thread.join(15)
            assert not thread.is_alive()


@contextmanager
def serving(*bundles: Bundle, port: int = 0, max_body_bytes: int = 1 << 20) -> Iterator[Running]:
    """Serve on loopback from a thread, until the end of the block."""
    import io

    service = Service(bundles, make_logger(io.StringIO()))
    with listening(create_app(service, max_body_bytes), port) as url:
        yield Running(url, service)
