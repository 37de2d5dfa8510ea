"""Paused: an annotation keeps the operator from changing anything. Pure."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.conditions.condition import Condition
from bapsang_operator.names import Reason
from bapsang_operator.problem import shorten
from bapsang_operator.resource import Community


def condition(community: Community) -> Condition:
    """Return the condition, with the annotation's text as the cause."""
    if community.paused is None:
        return Condition("False", Reason.NOT_PAUSED, "Changes are carried out.")
    return Condition(
        "True",
        Reason.BY_ANNOTATION,
        f"Annotation {names.ANNOTATION_PAUSED} is set ({shorten(community.paused)}): nothing is changed or put back. "
        f"Go on: kubectl -n {community.namespace} annotate community {community.name} {names.ANNOTATION_PAUSED}-.",
    )
