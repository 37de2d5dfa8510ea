"""The conditions Reconciling and Stalled, by which Flux, Helm and others tell whether an apply came through. Pure.

Their rules are those of kstatus (sigs.k8s.io/cli-utils/pkg/kstatus, "Conditions"): each is there only while it is True,
never both at once, and with `observedGeneration` up to date their absence means that all is as specified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bapsang_operator.conditions.judgement import Judgement
from bapsang_operator.names import ConditionType, Reason
from bapsang_operator.problem import Problem

#: Problems that stop a rollout and may pass by themselves: tools give up at Stalled, and must not for these.
_TRIED_AGAIN: Final = frozenset({Reason.CHILD_FAILED})


def judge(
    progressing: Judgement, found: Sequence[Problem], stopping: Sequence[Problem], *, pending: bool
) -> dict[ConditionType, Judgement]:
    """Return the one of both conditions that applies, or none.

    `found` are all problems, `stopping` those that stop the rollout; `pending`: something differs from the spec.
    """
    if progressing.reason is Reason.BLOCKED:
        lasting = [problem for problem in stopping if problem.reason not in _TRIED_AGAIN]
        kind, cause = (ConditionType.STALLED, lasting[0]) if lasting else (ConditionType.RECONCILING, stopping[0])
        return {kind: Judgement("True", cause.reason, cause.message)}
    if progressing.reason is Reason.HOST_TAKEN:
        cause = next(problem for problem in found if problem.reason is Reason.HOST_TAKEN)
        return {ConditionType.STALLED: Judgement("True", cause.reason, cause.message)}
    if progressing.reason is Reason.BY_ANNOTATION and pending:
        return {ConditionType.STALLED: replace(progressing, status="True")}
    if progressing.status != "True":
        return {}
    # Tools show this sentence when their time is up: it has to say what the rollout waits for, and why that does not come.
    cause_told = f" {found[0].message}" if found else ""
    return {ConditionType.RECONCILING: replace(progressing, message=f"{progressing.message}{cause_told}")}
