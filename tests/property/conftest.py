from __future__ import annotations

from pathlib import Path

import pytest

from signals.timing import TimingRules
from tests.property.driving import Case, make_case

# max_red_s 0 stands for the smallest maximum that the guard accepts.
_CASES: dict[str, tuple[str, str, TimingRules]] = {
    "four arms": ("crosswalk_net", "B1", TimingRules()),
    "four arms, tight": ("crosswalk_net", "B1", TimingRules(max_red_s=0, pedestrian_max_red_s=0)),
    "four arms, on call": ("crosswalk_net", "B1", TimingRules(recall="call")),
    "four arms, on call, tight": (
        "crosswalk_net",
        "B1",
        TimingRules(recall="call", max_red_s=0, pedestrian_max_red_s=0),
    ),
    "four arms, slow walkers": (
        "crosswalk_net",
        "B1",
        TimingRules(walking_speed_mps=0.8, pedestrian_buffer_s=3, right_turn_on_red=False),
    ),
    "four arms, no crosswalks": (
        "crosswalk_net",
        "B1",
        TimingRules(pedestrians=False, min_green_s=5, max_green_s=40, max_red_s=0),
    ),
    "three arms": ("crosswalk_net", "B0", TimingRules(max_green_s=30)),
    "three arms, tight": ("crosswalk_net", "A1", TimingRules(max_red_s=0, pedestrian_max_red_s=0)),
    "three arms, on call": (
        "crosswalk_net",
        "A1",
        TimingRules(recall="call", max_red_s=0, pedestrian_max_red_s=0, pedestrian_buffer_s=2),
    ),
    "three arms, impatient walkers": (
        "crosswalk_net",
        "A1",
        TimingRules(max_red_s=300, pedestrian_max_red_s=0),
    ),
    "three arms, impatient walkers on call": (
        "crosswalk_net",
        "A1",
        TimingRules(max_red_s=300, pedestrian_max_red_s=0, recall="call"),
    ),
    "three arms, long buffer": ("crosswalk_net", "A1", TimingRules(pedestrian_buffer_s=6)),
    "wide": ("wide_net", "B1", TimingRules(max_red_s=0)),
    "spider": ("spider_net", "B1", TimingRules(max_red_s=0)),
}


@pytest.fixture(scope="session")
def cases(crosswalk_net: Path, wide_net: Path, spider_net: Path) -> list[Case]:
    nets = {"crosswalk_net": crosswalk_net, "wide_net": wide_net, "spider_net": spider_net}
    return [make_case(name, nets[net], tls, rules) for name, (net, tls, rules) in _CASES.items()]
