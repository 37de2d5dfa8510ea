"""What arguments of the command line have to be, and what has to be confirmed."""

import sys
from datetime import datetime

import typer

from bapsang_api.kit.clock import from_wire
from bapsang_api.kit.ids import is_ulid


class DeclinedError(Exception):
    """What cannot be undone was not confirmed."""


def confirm(yes: bool, question: str) -> None:
    """Ask on the terminal unless `yes`. Raises DeclinedError for another answer, and where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise DeclinedError("cannot be undone: give --yes")
    sys.stderr.write(question)
    sys.stderr.flush()
    if sys.stdin.readline().strip() != "yes":
        raise DeclinedError("nothing was done")


def post_id(text: str) -> str:
    """Return the id of a post. Raises BadParameter."""
    if not is_ulid(text):
        raise typer.BadParameter(f"{text} is not the id of a post")
    return text


def user(text: str) -> str:
    """Return an id or an e-mail. Raises BadParameter."""
    if "@" not in text and not is_ulid(text):
        raise typer.BadParameter(f"{text} is neither an id nor an e-mail")
    return text


def moment(text: str) -> datetime:
    """Return the time that `--until` gives. Raises BadParameter."""
    try:
        return from_wire(text)
    except ValueError as error:
        hint = f"{text} is not a time such as 2026-11-01T00:00:00"
        raise typer.BadParameter(hint, param_hint="'--until'") from error
