"""What each command of the program begins and ends with: its settings, and an event loop of its own."""

import asyncio
import logging
import os
from collections.abc import Coroutine
from typing import Any

import uvloop

from bapsang_api.kit import logs
from bapsang_api.settings import Settings, ignored

log = logging.getLogger(__name__)


def read_settings() -> Settings:
    """Return the settings of the environment, and log at their level. Raises SettingsError."""
    settings = Settings.from_environment(os.environ)
    logs.configure(settings.log_level)
    for name in ignored(os.environ):
        log.info("start.setting_ignored", extra={"setting": name})
    return settings


def code_of(work: Coroutine[Any, Any, bool]) -> int:
    """Do the work and return the exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return 0 if runner.run(work) else 1
