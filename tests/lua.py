"""Argo CD's health check of `manifests/argocd/`, run by Lua 5.1, whose language Argo CD's interpreter speaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from lupa.lua51 import LuaRuntime

FILE = Path(__file__).parents[1] / "manifests/argocd/argocd-cm.yaml"
KEY = "resource.customizations.health.bapsang.dev_Community"


def health(community: dict[str, Any]) -> tuple[str, str]:
    """Return status and message that Argo CD shows for a Community."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = lua.table_from(community, recursive=True)
    found = lua.execute(yaml.safe_load(FILE.read_text())["data"][KEY])
    return found.status, found.message
