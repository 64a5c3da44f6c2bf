"""Training in rounds: workers run days with the present weights, and the learner learns from them.

A round is a list of tasks that follows from seed and number of the round; its results do not depend
on who does them, so that one process, ten, or a cluster train the same policy. The best weights by
validation are kept. The verb is in `agents.train_cli`; the layout of a run folder in
`agents.runfolder`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import torch
from stable_baselines3.common.logger import Logger, configure

from agents.learned.learner import Learner
from agents.learned.network import PhaseScorer
from agents.learned.rollout import Rollout, RolloutTask, weights_of
from agents.learned.run import roll_out
from agents.runfolder import write_json
from agents.training import TrainingPlan, sizes_of
from agents.validation import References, Score, judge
from agents.workers import Workers, each, local_workers
from scenarios.demand import TRAINING_SEEDS
from signals.errors import InputError, RunFolderError
from signals.faults import FaultSpec


@dataclass(frozen=True, slots=True)
class Progress:
    """State of a training, for whoever shows it.

    Attributes:
        decisions: Decisions taken so far.
        total: Decisions planned.
        episodes: Runs finished.
        lost_veh_h: Vehicle hours lost per run, mean of the last round.
        validation: Latest validation, or None.
        best: Best validation, or None.
        elapsed_s: Wall-clock seconds.
        doing: What is being done when it is not learning.
    """

    decisions: int
    total: int
    episodes: int
    lost_veh_h: float
    validation: Score | None
    best: Score | None
    elapsed_s: float
    doing: str = ""

    @property
    def taken(self) -> str:
        """How many decisions were taken of those asked for; a round of runs is never cut short."""
        if self.decisions <= self.total:
            return f"{self.decisions:,} of {self.total:,} decisions"
        return f"{self.decisions:,} decisions (asked for {self.total:,}; rounds of runs are whole)"

    @property
    def validation_s(self) -> float | None:
        """Latest validation delay (s/veh)."""
        return None if self.validation is None else self.validation.delay_s

    @property
    def best_s(self) -> float | None:
        """Best validation delay (s/veh)."""
        return None if self.best is None else self.best.delay_s


class Trainer:
    """One training run.

    Args:
        plan: What is trained; its folder was prepared by `agents.training.prepare_folder`.
        workers: Who runs the days.
        report: Called with the progress, often.
    """

    def __init__(
        self, plan: TrainingPlan, workers: Workers, report: Callable[[Progress], None]
    ) -> None:
        self._plan = plan
        self._values = plan.hyperparameters
        self._workers = workers
        self._report = report
        self._doing = ""
        self._decisions = 0
        self._round = 0
        self._episodes = 0
        self._simulated_s = 0.0
        self._lost = float("nan")
        self._latest: Score | None = None
        self._best: Score | None = None
        self._worse = 0
        self._begun = time.monotonic()
        self._before_s = 0.0
        self._validated_at = 0
        self.stopped = False
        self.references: References | None = None
        self._logger: Logger = configure(str(plan.out / "tensorboard"), ["tensorboard"])
        self.learner = self._make()
        self.learner.log_to(self._logger)

    def _make(self) -> Learner:
        plan = self._plan
        first: PhaseScorer | None = None
        if plan.first:
            from agents.pretrained import pretrained_run

            run = pretrained_run(plan.first)
            first = run.scorer
            if first.width != int(self._values["width"]):
                raise InputError(
                    f"the weights of {plan.first} have width {first.width}, this training "
                    f"{self._values['width']}; give the same width in --hyperparams"
                )
        sizes = sizes_of(plan)
        if plan.algo == "dqn":
            from agents.learned.dqn_learner import DqnLearner

            return DqnLearner(self._values, sizes, plan.seed, first)
        if plan.algo == "lookahead":
            from agents.learned.lookahead import LookaheadLearner

            return LookaheadLearner(self._values, sizes, plan.seed, first)
        from agents.learned.ppo_learner import PpoLearner

        return PpoLearner(self._values, sizes, plan.seed, first)

    def resume(self) -> None:
        """Take up a stopped run.

        Raises:
            RunFolderError: Its checkpoint is broken.
        """
        checkpoint = self._plan.out / "checkpoint"
        try:
            state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
            self.learner.load(checkpoint)
        except Exception as error:
            raise RunFolderError(f"{checkpoint} cannot be loaded: {error}") from error
        self._decisions, self._round = int(state["decisions"]), int(state["round"])
        self._simulated_s = float(state["simulated_s"])
        self._episodes, self._worse = int(state["episodes"]), int(state["worse"])
        self._validated_at = int(state["validated_at"])
        self._before_s = float(state["elapsed_s"])
        self._best, self._latest = (
            None if state[name] is None else Score(**state[name]) for name in ("best", "latest")
        )
        if self._decisions >= self._total:
            raise InputError(
                f"{self._plan.out} has taken {self._decisions:,} decisions already; "
                "give more --steps"
            )

    @property
    def _total(self) -> int:
        return int(self._values["n_timesteps"])

    def progress(self) -> Progress:
        """Where the run stands."""
        return Progress(
            self._decisions,
            self._total,
            self._episodes,
            self._lost,
            self._latest,
            self._best,
            self._elapsed_s(),
            self._doing,
        )

    def _elapsed_s(self) -> float:
        return self._before_s + time.monotonic() - self._begun

    def _left(self) -> float:
        """Share of the training that is left, by decisions or by time."""
        left = 1.0 - self._decisions / self._total
        if self._plan.minutes is not None:
            seconds = self._plan.minutes * 60.0 + self._before_s
            left = min(left, 1.0 - self._elapsed_s() / seconds)
        most_s = float(self._values["simulated_s"])
        if most_s:
            left = min(left, 1.0 - self._simulated_s / most_s)
        return max(left, 0.0)

    def _say(self, doing: str) -> None:
        self._doing = doing
        self._report(self.progress())

    def begin(self) -> None:
        """What comes before learning: the classical agents' figures, and what teachers do."""
        if len(self._plan.checks) > 1:
            self._judge_references()
        lessons = self._lessons()
        if lessons:
            self._say(f"watching {self._values['teacher']}")
            shown = self._workers.run(roll_out, lessons, self._counted)
            self._simulated_s += sum(lesson.simulated_s for lesson in shown)
            self.learner.watch(shown)
            self._say("")

    def _judge_references(self) -> None:
        if self.references is None and self._plan.baselines:
            self._say("judging the classical agents on the validation days")
            self.references = References.judged(self._plan, self._workers)
            self._say("")

    def _counted(self, rollout: Rollout) -> None:
        self._report(self.progress())

    def _places(self) -> list[tuple[str, str]]:
        return [
            (course.scenario, period) for course in self._plan.courses for period in course.periods
        ]

    def _lessons(self) -> list[RolloutTask]:
        teachers = [name for name in str(self._values["teacher"]).split("|") if name]
        # Weights that were given may know more than a classical agent would teach them.
        count = int(self._values["teacher_runs_from" if self._plan.first else "teacher_runs"])
        random = np.random.default_rng([self._plan.seed, 61])
        places = self._places()
        order = np.random.default_rng([self._plan.seed, 64]).permutation(len(places))
        tasks: list[RolloutTask] = []
        # What a teacher wishes for is no action of the split model.
        if str(self._values["action_model"]) == "split":
            return tasks
        for number in range(count if teachers else 0):
            scenario, period = places[int(order[number % len(places)])]
            day = TRAINING_SEEDS.start + int(random.integers(len(TRAINING_SEEDS)))
            for teacher in teachers:
                tasks.append(
                    RolloutTask(
                        scenario,
                        period,
                        day,
                        number,
                        "teach",
                        self._values,
                        teacher=teacher,
                        epsilon=float(self._values["teacher_epsilon"]),
                        faults=self._plan.faults,
                        maximum_s=int(self._values["run_s"]),
                    )
                )
        return tasks

    def _silent(self, random: np.random.Generator) -> tuple[FaultSpec, ...]:
        """Detectors that are silent in a training run, so that silence is nothing new later."""
        if random.random() >= float(self._values["loss_runs"]):
            return ()
        share = float(random.uniform(0.0, float(self._values["loss_high"])))
        return (FaultSpec("loss", share=round(share, 3)),)

    def _tasks(self) -> list[RolloutTask]:
        """The runs of this round, by seed and number of the round."""
        behaviour, epsilon = self.learner.behaviour(self._left())
        weights = weights_of(self.learner.scorer())
        places = self._places()
        count = int(self._values["runs_per_round"])
        tasks = []
        for number in range(self._round * count, (self._round + 1) * count):
            # Every scenario once, in a fresh order, before any comes again.
            turn, place = divmod(number, len(places))
            order = np.random.default_rng([self._plan.seed, 62, turn]).permutation(len(places))
            random = np.random.default_rng([self._plan.seed, 63, number])
            scenario, period = places[int(order[place])]
            day = TRAINING_SEEDS.start + int(random.integers(len(TRAINING_SEEDS)))
            seed = int(random.integers(2**31))
            tasks.append(
                RolloutTask(
                    scenario,
                    period,
                    day,
                    seed,
                    behaviour,
                    self._values,
                    weights,
                    epsilon,
                    faults=(*self._plan.faults, *self._silent(random)),
                    maximum_s=int(self._values["run_s"]),
                )
            )
        return tasks

    def go(self) -> None:
        """Rounds until the decisions are taken, the time is over or nothing improves any more."""
        patience = int(self._values["patience"])
        while self._decisions < self._total and self._left() > 0.0:
            self._one_round()
            if self._decisions - self._validated_at >= int(self._values["eval_every"]):
                self.validate()
                self.save()
                if patience and self._worse >= patience:
                    self._say(f"stopped: {patience} validations without improvement")
                    break
        self.stopped = self._plan.minutes is not None and self._decisions < self._total
        if self._decisions > self._validated_at or self._best is None:
            self.validate()

    def _one_round(self) -> None:
        tasks = self._tasks()
        futures: list[Future[Rollout]] = [self._workers.submit(roll_out, task) for task in tasks]
        try:
            self.learner.meanwhile()
            for _ in each(futures):
                self._report(self.progress())
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        rollouts = [future.result() for future in futures]
        self._decisions += sum(rollout.decisions for rollout in rollouts)
        self._round += 1
        self._episodes += len(rollouts)
        self._simulated_s += sum(rollout.simulated_s for rollout in rollouts)
        self._lost = float(np.mean([rollout.lost_veh_h for rollout in rollouts]))
        self.learner.take(rollouts, self._left())
        self._logger.record("rollout/lost_veh_h", self._lost)
        self._logger.record("rollout/runs", self._episodes)
        self._logger.dump(self._decisions)
        self._report(self.progress())

    def validate(self) -> None:
        """Run the validation days, keep the weights when they score best so far."""
        plan = self._plan
        self._validated_at = self._decisions
        self._say("validating")
        candidate = plan.out / "candidate"
        shutil.rmtree(candidate, ignore_errors=True)
        (candidate / "best").mkdir(parents=True)
        torch.save(self.learner.kept().state_dict(), candidate / "best" / "scorer.pt")
        shutil.copy(plan.out / "config.json", candidate / "config.json")
        write_json(candidate / "best" / "meta.json", {"decisions": self._decisions})
        runs = judge(plan, str(candidate.resolve()), self._workers)
        self._latest = Score.of(runs, self.references)
        self._logger.record("validation/delay_s", self._latest.delay_s)
        if self._latest.ratio is not None:
            self._logger.record("validation/ratio", self._latest.ratio)
        self._logger.dump(self._decisions)
        line = {
            "decisions": self._decisions,
            "delay_s": self._latest.delay_s,
            "ratio": self._latest.ratio,
            "runs": runs,
            "elapsed_s": round(self._elapsed_s(), 1),
        }
        with (plan.out / "validation.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        self._worse += 1
        if self._best is None or self._latest.value < self._best.value:
            self._best, self._worse = self._latest, 0
            meta = {
                "decisions": self._decisions,
                "validation_delay_s": self._best.delay_s,
                "validation_ratio": self._best.ratio,
            }
            write_json(candidate / "best" / "meta.json", meta)
            for name in ("scorer.pt", "meta.json"):
                (candidate / "best" / name).replace(plan.out / "best" / name)
            self._keep_observations()
        shutil.rmtree(candidate, ignore_errors=True)
        self._say("")

    def _keep_observations(self, count: int = 512) -> None:
        seen = self.learner.seen(count)
        if not seen:
            return
        temporary = self._plan.out / "observations.part.npz"
        np.savez_compressed(temporary, **seen)  # type: ignore[arg-type]
        temporary.replace(self._plan.out / "observations.npz")

    def save(self) -> None:
        """Write the checkpoint beside the old one, then put it in its place."""
        fresh = self._plan.out / "checkpoint.part"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        self.learner.save(fresh)
        write_json(
            fresh / "state.json",
            {
                "decisions": self._decisions,
                "round": self._round,
                "episodes": self._episodes,
                "simulated_s": self._simulated_s,
                "worse": self._worse,
                "validated_at": self._validated_at,
                "elapsed_s": self._elapsed_s(),
                "best": None if self._best is None else self._best.to_dict(),
                "latest": None if self._latest is None else self._latest.to_dict(),
            },
        )
        old = self._plan.out / "checkpoint"
        shutil.rmtree(old, ignore_errors=True)
        fresh.rename(old)

    def keep(self) -> None:
        """Save what was learned, if there is anything."""
        if self._round:
            self.save()

    def verdict(self) -> str:
        """One line: the kept weights against the best classical agent on the validation days."""
        self._judge_references()
        if self.references is None or self._best is None:
            return ""
        return self.references.verdict(self._plan.out)


def train(
    plan: TrainingPlan, resume: bool, report: Callable[[Progress], None]
) -> tuple[Progress, bool, str]:
    """Train until the planned number of decisions or minutes.

    Args:
        plan: What to train; its folder was prepared by `prepare_folder`.
        resume: Go on from the checkpoint.
        report: Called with the progress, often.

    Returns:
        The final progress, whether the run was stopped before it was done (by ^C or by time), and
        the verdict against the classical agents.
    """
    torch.set_num_threads(1)
    # Stopped before its first checkpoint, a run begins anew.
    resume = resume and (plan.out / "checkpoint" / "state.json").is_file()
    with workers_of(plan) as workers:
        trainer = Trainer(plan, workers, report)
        verdict = ""
        try:
            if resume:
                trainer.resume()
                if len(plan.checks) > 1:
                    trainer._judge_references()
            else:
                trainer.begin()
            trainer.go()
            trainer.save()
            verdict = trainer.verdict()
            stopped = trainer.stopped
        except KeyboardInterrupt:
            stopped = True
            trainer.keep()
        return trainer.progress(), stopped, verdict


def workers_of(plan: TrainingPlan) -> Workers:
    """The workers that a plan asks for."""
    if plan.cluster:
        from agents.cluster import cluster_workers

        return cluster_workers(plan.cluster, plan.workers)
    return local_workers(plan.workers)


__all__ = ["Progress", "Trainer", "train", "workers_of"]
