"""Stalled: a rollout cannot go on before somebody does something. Flux, Helm and others give up at it. Pure.

The rules of this one and of Reconciling are those of kstatus (sigs.k8s.io/cli-utils/pkg/kstatus, "Conditions"): each is
there only while it is True, never both at once, and with `observedGeneration` up to date their absence means that all is
as specified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bapsang_operator.conditions.condition import Condition
from bapsang_operator.names import Reason
from bapsang_operator.problem import Problem

#: Problems that stop a rollout and may pass by themselves: tools give up at Stalled, and must not for these.
_RETRIED: Final = frozenset({Reason.CHILD_FAILED})


def condition(
    progressing: Condition, problems: Sequence[Problem], stopping: Sequence[Problem], *, is_pending: bool
) -> Condition | None:
    """Return the condition, or None. `stopping`: the problems that stop the rollout; `is_pending`: something differs from
    the spec."""
    if progressing.reason is Reason.BLOCKED:
        return next((of_problem(problem) for problem in lasting(stopping)), None)
    if progressing.reason is Reason.HOST_TAKEN:
        return next(of_problem(problem) for problem in problems if problem.reason is Reason.HOST_TAKEN)
    if progressing.reason is Reason.BY_ANNOTATION and is_pending:
        return replace(progressing, status="True")
    return None


def of_problem(problem: Problem) -> Condition:
    """Return the condition that a problem causes."""
    return Condition("True", problem.reason, problem.message)


def lasting(stopping: Sequence[Problem]) -> list[Problem]:
    """Return the problems that do not pass by themselves."""
    return [problem for problem in stopping if problem.reason not in _RETRIED]
