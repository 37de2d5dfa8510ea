"""What failed in a pass: a child that the apiserver refused or did not answer for, or the pass itself. Pure."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from bapsang_operator.manifest import Key
from bapsang_operator.names import Reason
from bapsang_operator.problem import Problem, shorten


def of_rejection(key: Key, message: str) -> Problem:
    """Return the problem of a child that the apiserver refused. A claim holds up nothing: its volume serves as it is."""
    reason = Reason.VOLUME_NOT_AS_SPECIFIED if key.kind == "PersistentVolumeClaim" else Reason.CHILD_REJECTED
    return Problem(reason, f'{key.kind} "{key.name}" was refused by the apiserver: {shorten(message)}')


def of_failure(key: Key, message: str) -> Problem:
    """Return the problem of a child that could not be read or written for now, with the apiserver's words."""
    # Go names the port that it called from, another one each time: the status would be written at every attempt.
    text = shorten(re.sub(r"\S+:\d+->", "", message)).removesuffix(".")
    return Problem(Reason.CHILD_FAILED, f'{key.kind} "{key.name}" failed and is tried again: {text}.')


def of_exception(error: Exception) -> Problem:
    """Return the problem of a pass that raised. Type and place only: the text of an exception may hold what a Secret
    holds, and the log has the traceback."""
    where = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(where[-1].filename).name}, line {where[-1].lineno}" if where else ""
    return Problem(
        Reason.INTERNAL_ERROR,
        f"The operator met an error that it does not know ({type(error).__name__}{place}). What runs stays in service, "
        "and the pass is tried again. It is a bug of the operator: report it with the traceback in its log.",
    )
