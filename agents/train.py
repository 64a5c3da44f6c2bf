"""Training in rounds: workers run days with the present weights, and the learner learns from them.

What a round runs is planned in `agents.rounds`; its results do not depend on who does them, so that
one process, ten, or a cluster train the same policy. The best weights by validation are kept. The
verb is in `agents.train_cli`; the layout of a run folder in `agents.runfolder`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum

import numpy as np
import torch
from stable_baselines3.common.logger import Logger, configure

from agents.budget import Budget
from agents.learned.algorithms import learner_of
from agents.learned.rollout import Rollout, weights_of
from agents.learned.run import roll_out
from agents.progress import Progress
from agents.rounds import lessons_of, runs_of_round
from agents.runfolder import alone_in, read_config, write_json
from agents.training import TrainingPlan
from agents.validation import References, Score, judge
from agents.workers import Workers, each, local_workers
from signals.errors import InputError, RunFolderError


class End(Enum):
    """How a training ended."""

    DONE = "done"
    OUT_OF_TIME = "out of time"
    INTERRUPTED = "interrupted"


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
        self._budget = Budget(plan)
        self._doing = ""
        self._round = 0
        self._episodes = 0
        self._lost = float("nan")
        self._latest: Score | None = None
        self._best: Score | None = None
        self._worse = 0
        self._validated_at = 0
        self.end = End.DONE
        self.references: References | None = None
        self._logger: Logger = configure(str(plan.out / "tensorboard"), ["tensorboard"])
        self.learner = learner_of(plan)
        self.learner.log_to(self._logger)

    def resume(self) -> None:
        """Take up a stopped run.

        Raises:
            RunFolderError: Its checkpoint is broken.
            InputError: It has taken all its decisions already.
        """
        checkpoint = self._plan.out / "checkpoint"
        try:
            state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
            self.learner.load(checkpoint)
            self._budget.resume(
                int(state["decisions"]), float(state["simulated_s"]), float(state["elapsed_s"])
            )
            self._round = int(state["round"])
            self._episodes, self._worse = int(state["episodes"]), int(state["worse"])
            self._validated_at = int(state["validated_at"])
            self._best, self._latest = (
                None if state[name] is None else Score(**state[name]) for name in ("best", "latest")
            )
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
            raise RunFolderError(
                f"{checkpoint} is damaged ({reason}); its best weights may do to begin with: "
                f"signals train --from {self._plan.out}, into a new --out"
            ) from error
        if self._budget.decided:
            raise InputError(
                f"{self._plan.out} has taken {self._budget.decisions:,} decisions already; "
                "give more --steps"
            )

    def progress(self) -> Progress:
        """Where the run stands."""
        return Progress(
            self._budget.decisions,
            self._budget.total,
            self._episodes,
            self._lost,
            self._latest,
            self._best,
            self._budget.elapsed_s,
            self._doing,
        )

    def _say(self, doing: str) -> None:
        self._doing = doing
        self._report(self.progress())

    def begin(self) -> None:
        """What comes before learning: the classical agents' figures, and what teachers do.

        Weights that are begun with are validated as they are, so that none worse are kept.
        """
        (self._plan.out / "validation.jsonl").unlink(missing_ok=True)
        if len(self._plan.checks) > 1:
            self._judge_references()
        if self._plan.first:
            self.validate()
        lessons = lessons_of(self._plan)
        if lessons:
            self._say(f"watching {self._values['teacher']}")
            shown = self._workers.run(roll_out, lessons, self._counted)
            self._budget.simulated_s += sum(lesson.simulated_s for lesson in shown)
            self.learner.watch(shown)
            self._say("")

    def _judge_references(self) -> None:
        if self.references is None and self._plan.baselines:
            self._say("judging the classical agents on the validation days")
            self.references = References.judged(self._plan, self._workers)
            self._say("")

    def _counted(self, rollout: Rollout) -> None:
        self._report(self.progress())

    def go(self) -> None:
        """Rounds until the decisions are taken, the time is over or nothing improves any more."""
        patience = int(self._values["patience"])
        while not self._budget.decided and self._budget.left() > 0.0:
            self._one_round()
            if self._budget.decisions - self._validated_at >= int(self._values["eval_every"]):
                self.validate()
                self.save()
                if patience and self._worse >= patience:
                    self._say(f"stopped: {patience} validations without improvement")
                    break
        if self._plan.minutes is not None and not self._budget.decided:
            self.end = End.OUT_OF_TIME
        if self._budget.decisions > self._validated_at or self._best is None:
            self.validate()

    def _one_round(self) -> None:
        behaviour, epsilon = self.learner.behaviour(self._budget.left())
        weights = weights_of(self.learner.scorer())
        tasks = runs_of_round(self._plan, self._round, behaviour, epsilon, weights)
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
        self._budget.decisions += sum(rollout.decisions for rollout in rollouts)
        self._round += 1
        self._episodes += len(rollouts)
        self._budget.simulated_s += sum(rollout.simulated_s for rollout in rollouts)
        self._lost = float(np.mean([rollout.lost_veh_h for rollout in rollouts]))
        self.learner.take(rollouts, self._budget.left())
        self._logger.record("rollout/lost_veh_h", self._lost)
        self._logger.record("rollout/runs", self._episodes)
        self._logger.dump(self._budget.decisions)
        self._report(self.progress())

    def validate(self) -> None:
        """Run the validation days, keep the weights when they score best so far."""
        plan = self._plan
        self._validated_at = self._budget.decisions
        self._say("validating")
        candidate = plan.out / "candidate"
        shutil.rmtree(candidate, ignore_errors=True)
        (candidate / "best").mkdir(parents=True)
        torch.save(self.learner.kept().state_dict(), candidate / "best" / "scorer.pt")
        shutil.copy(plan.out / "config.json", candidate / "config.json")
        write_json(candidate / "best" / "meta.json", {"decisions": self._budget.decisions})
        runs = judge(plan, str(candidate.resolve()), self._workers)
        self._latest = Score.of(runs, self.references)
        self._logger.record("validation/delay_s", self._latest.delay_s)
        if self._latest.ratio is not None:
            self._logger.record("validation/ratio", self._latest.ratio)
        self._logger.dump(self._budget.decisions)
        line = {
            "decisions": self._budget.decisions,
            "delay_s": self._latest.delay_s,
            "ratio": self._latest.ratio,
            "runs": runs,
            "elapsed_s": round(self._budget.elapsed_s, 1),
        }
        with (plan.out / "validation.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        self._worse += 1
        if self._best is None or self._latest.value < self._best.value:
            self._best, self._worse = self._latest, 0
            meta = {
                "decisions": self._budget.decisions,
                "validation_delay_s": self._best.delay_s,
                "validation_ratio": self._best.ratio,
            }
            write_json(candidate / "best" / "meta.json", meta)
            for name in ("scorer.pt", "meta.json"):
                (candidate / "best" / name).replace(plan.out / "best" / name)
        if self._worse == 0 or not (plan.out / "observations.npz").is_file():
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
                "decisions": self._budget.decisions,
                "round": self._round,
                "episodes": self._episodes,
                "simulated_s": self._budget.simulated_s,
                "worse": self._worse,
                "validated_at": self._validated_at,
                "elapsed_s": self._budget.elapsed_s,
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
        """The kept weights against those begun with and the best classical agent, a line each."""
        self._judge_references()
        lines = []
        kept = json.loads((self._plan.out / "best" / "meta.json").read_text(encoding="utf-8"))
        if not kept["decisions"] and read_config(self._plan.out)["first"]:
            lines.append("no validation was better than that of the weights begun with, kept here")
        if self.references is not None and self._best is not None:
            lines.append(self.references.verdict(self._plan.out))
        return "\n".join(lines)


def train(
    plan: TrainingPlan, resume: bool, report: Callable[[Progress], None]
) -> tuple[Progress, End, str]:
    """Train until the planned number of decisions or minutes.

    Args:
        plan: What to train; its folder was prepared by `prepare_folder`.
        resume: Go on from the checkpoint.
        report: Called with the progress, often.

    Returns:
        The final progress, how it ended (^C is kept for --resume), and the verdict against the
        classical agents.

    Raises:
        RunFolderError: Another training is at work in the folder, or its checkpoint is damaged.
    """
    torch.set_num_threads(1)
    # Stopped before its first checkpoint, a run begins anew.
    resume = resume and (plan.out / "checkpoint" / "state.json").is_file()
    with alone_in(plan.out), workers_of(plan) as workers:
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
        except KeyboardInterrupt:
            trainer.end = End.INTERRUPTED
            trainer.keep()
        return trainer.progress(), trainer.end, verdict


def workers_of(plan: TrainingPlan) -> Workers:
    """The workers that a plan asks for."""
    if plan.cluster:
        from agents.cluster import cluster_workers

        return cluster_workers(plan.cluster, plan.workers)
    return local_workers(plan.workers)
