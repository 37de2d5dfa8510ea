"""What arguments of the command line have to be."""

from datetime import datetime

import typer

from bapsang_api.kit.clock import from_wire
from bapsang_api.kit.ids import is_ulid


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
