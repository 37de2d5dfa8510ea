"""Dependency injection by type: routes ask for a service class, the process start decides which object that is."""

from collections.abc import Iterable
from typing import Any

from fastapi import Depends, FastAPI, Request


def provide(app: FastAPI, objects: Iterable[object]) -> None:
    """Make each object available to routes under its own class."""
    app.state.provided = {type(item): item for item in objects}


def provided(kind: type) -> Any:
    """Return the dependency that hands a route the object of class `kind`: `Annotated[Service, provided(Service)]`."""

    async def look_up(request: Request) -> Any:  # async: a plain function would cost a thread hop per request
        return request.app.state.provided[kind]

    return Depends(look_up)
