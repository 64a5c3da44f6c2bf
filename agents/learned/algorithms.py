"""The learner of each algorithm that a training can ask for."""

from __future__ import annotations

from agents.learned.learner import Learner
from agents.learned.network import PhaseScorer
from agents.training import TrainingPlan, sizes_of
from signals.errors import InputError


def learner_of(plan: TrainingPlan) -> Learner:
    """The learner that a plan asks for, with the weights that it begins with.

    Raises:
        InputError: The weights to begin with have another width, or the algorithm cannot learn the
            action model.
        RunFolderError: The weights to begin with cannot be loaded.
    """
    values = plan.hyperparameters
    first: PhaseScorer | None = None
    if plan.first:
        from agents.pretrained import pretrained_run

        first = pretrained_run(plan.first).scorer
        if first.width != int(values["width"]):
            raise InputError(
                f"the weights of {plan.first} have width {first.width}, this training "
                f"{values['width']}; give the same width in --hyperparams"
            )
    sizes = sizes_of(plan)
    # Only the algorithm that is asked for is imported.
    if plan.algo == "dqn":
        from agents.learned.dqn_learner import DqnLearner

        return DqnLearner(values, sizes, plan.seed, first)
    if plan.algo == "lookahead":
        from agents.learned.lookahead import LookaheadLearner

        return LookaheadLearner(values, sizes, plan.seed, first)
    from agents.learned.ppo_learner import PpoLearner

    return PpoLearner(values, sizes, plan.seed, first)
