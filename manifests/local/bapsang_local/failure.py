"""The one error that a user sees: what is wrong, and what to do about it."""

from __future__ import annotations


class Failure(Exception):  # noqa: N818  # the name that the user sees
    """A step cannot go on. `problem` says what is wrong, `advice` what the user can do."""

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.advice = advice
