"""What runs after a commit."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bapsang_api.kit.problem import Problem
from bapsang_api.kit.redis.client import OUTAGE

log = logging.getLogger(__name__)


@contextmanager
def after_commit(event: str, **extra: str) -> Iterator[None]:
    """Log as `event` whatever is raised within, instead of raising it.

    What was asked for is done by then. An error would tell the client that it failed, and have it sent again.
    """
    try:
        yield
    except (Problem, *OUTAGE) as error:
        log.warning(event, extra={**extra, "error": type(error).__name__})
    except Exception:
        log.exception(event, extra=extra)  # a bug, so with its stack
