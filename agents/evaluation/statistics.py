"""Paired comparison of agents that met the same demand days.

Every agent drives the same days, so that agents are compared day by day: what a day has in common
(its volume, its incidents) cancels out. Intervals are Student's t on the paired differences. The
interval of the ratio of means is the delta method on the same pairs: with R = mean(a) / mean(b),
the residuals a - R b have standard deviation s, and R's interval is R +- t s / (sqrt(n) mean(b)).

The best classical agent of a period is the one with the lowest mean delay on the very days that are
reported. That favours it (a minimum of several means), so that "better" is on the safe side.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from signals.errors import InputError

Word = Literal["better", "no difference", "worse", "undecided"]
ALIKE = 0.1
"""Share of delay within which the whole interval of the ratio must lie for "no difference": a wider
one that holds 1 says that too few days were judged, not that two agents are alike."""


def t_quantile(degrees: int) -> float:
    """97.5 % quantile of Student's t.

    Raises:
        InputError: Fewer than one degree of freedom.
    """
    if degrees < 1:
        raise InputError(f"degrees of freedom is {degrees}; allowed: 1 or more, so 2 runs or more")
    # Imported here: SciPy takes longer to load than every other part of a command.
    from scipy.stats import t

    return float(t.ppf(0.975, degrees))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        mean: The mean.
        low: Lower end; None with fewer than two values.
        high: Upper end; None with fewer than two values.
        count: Values it was made of.
    """

    mean: float
    low: float | None
    high: float | None
    count: int

    @property
    def ci95(self) -> tuple[float, float] | None:
        """Both ends, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and Student t interval.

    Raises:
        InputError: There are no values.
    """
    if not values:
        raise InputError("no values to average; give at least one run")
    mean = math.fsum(values) / len(values)
    return _around(mean, [value - mean for value in values], len(values) - 1, 1.0)


def ratio_of_means(values: Sequence[float], others: Sequence[float]) -> Estimate:
    """mean(values) / mean(others) with the delta method's interval; pairs belong together.

    Raises:
        InputError: The lengths differ, there are no values, or the others average zero.
    """
    _check_pairs(values, others)
    below = math.fsum(others) / len(others)
    if below == 0.0:
        raise InputError("the other agent's mean is 0; a ratio to it says nothing")
    ratio = math.fsum(values) / len(values) / below
    residuals = [value - ratio * other for value, other in zip(values, others, strict=True)]
    return _around(ratio, residuals, len(values) - 1, below)


def _around(mean: float, residuals: Sequence[float], degrees: int, scale: float) -> Estimate:
    if degrees < 1:
        return Estimate(mean, None, None, len(residuals))
    deviation = math.sqrt(math.fsum(value * value for value in residuals) / degrees)
    half = t_quantile(degrees) * deviation / math.sqrt(len(residuals)) / abs(scale)
    return Estimate(mean, mean - half, mean + half, len(residuals))


def _check_pairs(values: Sequence[float], others: Sequence[float]) -> None:
    if len(values) != len(others):
        raise InputError(
            f"{len(values)} runs against {len(others)}; both agents need the same seeds"
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """One agent against another on the same days of one period.

    Attributes:
        period: Period of the day.
        agent: Who is judged.
        against: Whom it is compared with.
        difference: agent - against (s/veh): negative is better.
        ratio: agent / against.
        word: better or worse when the whole interval of the difference lies on one side of zero,
            no difference when it holds zero and that of the ratio lies within `ALIKE` of 1,
            undecided when it is wider or there are fewer than two days.
    """

    period: str
    agent: str
    against: str
    difference: Estimate
    ratio: Estimate
    word: Word

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "period": self.period,
            "agent": self.agent,
            "against": self.against,
            "difference_s": self.difference.mean,
            "difference_ci95": _listed(self.difference),
            "ratio": self.ratio.mean,
            "ratio_ci95": _listed(self.ratio),
            "seeds": self.difference.count,
            "verdict": self.word,
        }

    def sentence(self) -> str:
        """One line for people."""
        text = f"{self.period}: {self.agent} "
        if self.difference.ci95 is None:
            return text + f"against {self.against}: one day decides nothing, use more --seeds"
        text += {
            "better": f"is better than {self.against}",
            "worse": f"is worse than {self.against}",
            "no difference": f"shows no difference from {self.against}",
            "undecided": f"is not told apart from {self.against} by so few days (use more --seeds)",
        }[self.word]
        low, high = self.difference.ci95 or (math.nan, math.nan)
        ratio_low, ratio_high = self.ratio.ci95 or (math.nan, math.nan)
        return (
            f"{text}, the best classical agent: {self.difference.mean:+.1f} s/veh "
            f"[{low:+.1f}, {high:+.1f}], ratio {self.ratio.mean:.3f} "
            f"[{ratio_low:.3f}, {ratio_high:.3f}]"
        )


def compare(
    period: str, agent: str, against: str, delays: Mapping[str, Mapping[int, float]]
) -> Comparison:
    """Compare two agents day by day.

    Args:
        period: Period of the day.
        agent: Who is judged.
        against: Whom it is compared with.
        delays: Agent to seed to delay (s/veh).

    Raises:
        InputError: The two did not meet the same seeds.
    """
    mine, theirs = delays[agent], delays[against]
    if set(mine) != set(theirs):
        lone = min(set(mine) ^ set(theirs))
        raise InputError(
            f"{agent} and {against} did not meet the same days in {period} (seed {lone}); "
            "judge both on the same seeds"
        )
    seeds = sorted(mine)
    first, second = [mine[seed] for seed in seeds], [theirs[seed] for seed in seeds]
    difference = estimate([a - b for a, b in zip(first, second, strict=True)])
    word: Word = "no difference"
    if difference.low is None or difference.high is None:
        word = "undecided"
    elif difference.high < 0.0:
        word = "better"
    elif difference.low > 0.0:
        word = "worse"
    ratio = ratio_of_means(first, second)
    if word == "no difference" and not _alike(ratio):
        word = "undecided"
    return Comparison(period, agent, against, difference, ratio, word)


def _alike(ratio: Estimate) -> bool:
    low, high = ratio.ci95 or (math.nan, math.nan)
    return 1.0 - ALIKE <= low and high <= 1.0 + ALIKE


def best_of(agents: Collection[str], delays: Mapping[str, Mapping[int, float]]) -> str | None:
    """The agent with the lowest mean delay, the first by name among equals; None of none."""
    means = {
        agent: math.fsum(delays[agent].values()) / len(delays[agent])
        for agent in agents
        if delays.get(agent)
    }
    return min(sorted(means), key=lambda agent: means[agent], default=None)


def verdicts(
    delays: Mapping[str, Mapping[str, Mapping[int, float]]], classical: Collection[str]
) -> list[Comparison]:
    """Every agent against the period's best classical one.

    Args:
        delays: Period to agent to seed to delay (s/veh).
        classical: Names of classical agents; those that were not judged are ignored.

    Returns:
        One comparison for each period and agent but the best classical one; none for a period in
        which no classical agent was judged.
    """
    found = []
    for period, agents in delays.items():
        best = best_of([agent for agent in agents if agent in classical], agents)
        if best is not None:
            found += [compare(period, agent, best, agents) for agent in agents if agent != best]
    return found


@dataclass(frozen=True)
class Summary:
    """All runs of one agent in one period.

    Attributes:
        scenario: Catalogue name or folder.
        period: Period of the day.
        agent: The agent.
        seeds: Days it met.
        delay: Delay (s/veh) over days.
        means: Mean over days of further metrics; a metric that was missing on any day is None.
        flagged: Runs that gridlocked, teleported or collided.
    """

    scenario: str
    period: str
    agent: str
    seeds: int
    delay: Estimate
    means: Mapping[str, float | None]
    flagged: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        data = asdict(self)
        del data["delay"], data["means"]
        return {
            **data,
            "delay_s": self.delay.mean,
            "ci95": _listed(self.delay),
            **self.means,
        }


def _listed(value: Estimate) -> list[float] | None:
    return None if value.ci95 is None else list(value.ci95)


def summarise_runs(
    scenario: str,
    period: str,
    agent: str,
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
) -> Summary:
    """Average the runs of one agent in one period.

    Args:
        scenario: Catalogue name or folder.
        period: Period of the day.
        agent: The agent.
        rows: `RunResult.to_dict` of each run.
        names: Metrics to average besides the delay.

    Raises:
        InputError: There are no runs.
    """
    delay = estimate([float(row["delay_s"]) for row in rows])
    means: dict[str, float | None] = {}
    for name in names:
        values = [row[name] for row in rows]
        means[name] = (
            None if None in values else math.fsum(float(value) for value in values) / len(values)
        )
    flagged = sum(bool(row["flags"]) for row in rows)
    return Summary(scenario, period, agent, len(rows), delay, means, flagged)
