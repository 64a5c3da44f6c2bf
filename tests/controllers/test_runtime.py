from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from controllers.runtime import (
    LOCAL_PLAN,
    Command,
    DecisionRequest,
    JunctionRuntime,
    Together,
    observation_sha256,
)
from signals.bundle import Bundle
from signals.detectors import Readings
from signals.errors import ContractError, ServiceError
from signals.observation import Observation
from signals.policy import OnnxPolicy

NOW_S = 30_000.0


class Agent:
    """Wishes for what it is told, or fails."""

    name = "told"
    decision_interval_s = 5

    def __init__(self, answer: int | Exception) -> None:
        self.answer = answer

    def reset(self, seed: int) -> None:
        pass

    def decide(self, observation: Observation, clock_s: float) -> int:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(scope="module")
def runtime(bundle: Bundle) -> JunctionRuntime:
    return JunctionRuntime.from_bundle(bundle)


def request_of(
    runtime: JunctionRuntime, value: float = 1.0, age_s: float = 0.0, clock_s: float = NOW_S
) -> DecisionRequest:
    values = np.full((len(runtime.spec.detectors), 6), value)
    readings = Readings(clock_s - age_s, values)
    return DecisionRequest(readings, runtime.spec.guard.start(0), clock_s, 7)


def test_a_command(runtime: JunctionRuntime, bundle: Bundle) -> None:
    command = runtime.decide(request_of(runtime))
    # All red, about to begin phase 0: nothing else may be wished.
    assert command.phase == 0
    assert command.phase_name == bundle.contract.junction.phases[0].name
    assert command.granted and command.reason == "kept"
    assert (command.not_before_s, command.expires_at_s) == (NOW_S, NOW_S + 6)
    assert command.mask == (True, *(False,) * (len(command.mask) - 1))
    assert (command.sequence, command.bundle_hash) == (7, bundle.hash)
    assert Command.from_dict(command.to_dict()) == command


@pytest.mark.parametrize("made_s", [NOW_S, 86_398.0, 86_400.0 * 3 - 2.0])
def test_a_command_holds_for_its_seconds_across_midnight_too(
    runtime: JunctionRuntime, made_s: float
) -> None:
    command = runtime.decide(request_of(runtime, clock_s=made_s))
    on = [command.holds(made_s + second) for second in range(-1, 7)]
    assert on == [command.holds((made_s + second) % 86_400) for second in range(-1, 7)]
    assert on == [False, *[True] * 6, False]
    given_back = runtime.local_plan(request_of(runtime, clock_s=made_s), "a test")
    assert not any(given_back.holds(made_s + second) for second in range(-1, 7))


def test_the_same_request_gives_the_same_command(runtime: JunctionRuntime) -> None:
    request, other = request_of(runtime), request_of(runtime, 0.0)
    first = runtime.decide(request)
    runtime.decide(other)
    assert runtime.decide(request) == first


@pytest.mark.parametrize(
    ("age_s", "clock_s", "why"),
    [
        (10.0, NOW_S, ""),
        (10.5, NOW_S, "10.5 s old"),
        (-11.0, NOW_S, "ahead"),
        (86_396.0 - 86_400.0, 86_398.0, ""),
        (4.0 - 86_400.0, 2.0, ""),  # measured at 23:59:58, asked at 00:00:02
        (0.0, float("nan"), "not a number"),
    ],
)
def test_stale_readings(runtime: JunctionRuntime, age_s: float, clock_s: float, why: str) -> None:
    command = runtime.decide(request_of(runtime, age_s=age_s, clock_s=clock_s))
    if why:
        assert command.phase is None and command.reason == LOCAL_PLAN
        assert why in command.why
        assert command.expires_at_s == command.not_before_s
    else:
        assert command.phase is not None


@pytest.mark.parametrize(
    ("value", "why"), [(np.nan, "no detector answers"), (np.inf, "infinite"), (-np.inf, "infinite")]
)
def test_unusable_readings(runtime: JunctionRuntime, value: float, why: str) -> None:
    command = runtime.decide(request_of(runtime, value))
    assert command.phase is None and why in command.why


@pytest.mark.parametrize("answer", [RuntimeError("the network\nbroke"), 99, -1])
def test_a_failing_policy_means_the_local_plan(bundle: Bundle, answer: int | Exception) -> None:
    runtime = JunctionRuntime(bundle.contract.junction, Agent(answer))
    command = runtime.decide(request_of(runtime))
    assert command.phase is None and command.reason == LOCAL_PLAN
    assert "\n" not in command.why
    assert any(command.mask)


def drawn(runtime: JunctionRuntime, seed: int) -> DecisionRequest:
    """A request with readings and lights of its own, some detectors silent."""
    draw = np.random.default_rng(seed)
    values = draw.integers(0, 5, (len(runtime.spec.detectors), 6)).astype(np.float64)
    values[draw.random(values.shape) < 0.2] = np.nan
    guard = runtime.spec.guard
    state = guard.start(0)
    for second in range(int(draw.integers(1, 200))):
        state, _ = guard.tick(state, second // 20 % len(runtime.junction.phases))
    return DecisionRequest(Readings(NOW_S, values), state, NOW_S, seed)


def test_many_are_decided_as_each_alone(runtime: JunctionRuntime, bundle: Bundle) -> None:
    other = JunctionRuntime.from_bundle(bundle)  # a session of its own
    asked = [
        ((runtime, other)[seed % 2], request)
        for seed in range(40)
        for request in (drawn(runtime, seed),)
    ]
    asked.append((runtime, request_of(runtime, age_s=60.0)))
    alone = [item.explain(request) for item, request in asked]
    found_by = Together()
    together = found_by.explain(asked)
    for lasting in (True, False):
        again = found_by.explain(asked, lasting)
        assert [item.command for item in again] == [item.command for item in together]
    assert [item.command for item in together] == [item.command for item in alone]
    assert len({item.command.phase for item in alone}) > 2
    for one, found in zip(alone[:-1], together, strict=False):
        assert one.observation is not None and found.observation is not None
        assert observation_sha256(one.observation) == observation_sha256(found.observation)


def test_the_network_is_asked_only_where_there_is_a_choice(
    runtime: JunctionRuntime, bundle: Bundle
) -> None:
    class Counted:
        def __init__(self, session: Any) -> None:
            self.session, self.asked = session, 0

        def run(self, *given: Any) -> Any:
            self.asked += 1
            return self.session.run(*given)

    policy = OnnxPolicy(bundle)
    session = policy.session
    choices = 0
    policy.session = counted = Counted(session)
    for seed in range(40):
        request = drawn(runtime, seed)
        observation = runtime.spec.encode(request.readings, request.state)
        choices += observation.mask.sum() > 1
        wish = policy.decide(observation, NOW_S)
        assert wish == np.argmax(OnnxPolicy(bundle, session).scores(observation.arrays()))
    assert 0 < counted.asked == choices < 40


def test_a_wish_that_the_guard_refuses_is_told(bundle: Bundle) -> None:
    runtime = JunctionRuntime(bundle.contract.junction, Agent(1))
    command = runtime.decide(request_of(runtime))
    assert command.phase == 1 and not command.granted
    assert command.reason == "clearance"


def test_another_contract_is_refused(runtime: JunctionRuntime, bundle: Bundle) -> None:
    runtime.check(None, None)
    runtime.check(bundle.contract.spec_hash, bundle.hash)
    with pytest.raises(ContractError, match="observation spec"):
        runtime.check("f" * 64, None)
    with pytest.raises(ContractError, match="expects bundle"):
        runtime.check(None, "f" * 64)


@pytest.mark.parametrize(
    "change", [{"phase": "x"}, {"mask": None}, {"expires_at_s": float("inf")}, {"sequence": None}]
)
def test_what_is_no_command(runtime: JunctionRuntime, change: dict[str, object]) -> None:
    good = runtime.decide(request_of(runtime)).to_dict()
    with pytest.raises(ServiceError):
        Command.from_dict({**good, **change})


def test_the_street_imports_neither_torch_nor_sumo() -> None:
    code = (
        "import pkgutil, importlib, sys, controllers\n"
        "class Bar:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch','libsumo','traci','sumolib','sumo'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Bar())\n"
        "for item in pkgutil.walk_packages(controllers.__path__, 'controllers.'):\n"
        "    importlib.import_module(item.name)\n"
        "    print(item.name)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    assert "controllers.service.cli" in found.stdout
