"""Answers: a question in German or English becomes a metric query, or is refused with a reason.

    plan("What was our revenue in November?", context)

Data in, data out: nothing here opens a store. Correct or silent: a word that is not understood stops the answer.
"""

from mercurios.answers.outcome import Ambiguity, Answer, Context, Coverage, Plan, Refusal
from mercurios.answers.planner import plan

__all__ = ["Ambiguity", "Answer", "Context", "Coverage", "Plan", "Refusal", "plan"]
