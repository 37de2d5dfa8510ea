"""What schemathesis needs to know of this API: who is calling, and what every refusal looks like.

Loaded by `schemathesis` itself, through SCHEMATHESIS_HOOKS. The account is an administrator's, so that those routes are
reached too; what ends an account is done to one that is thrown away.
"""

import itertools
import os
import secrets
from typing import Any

import requests
import schemathesis

API = f"{os.environ['BAPSANG_FUZZ_URL']}/api/v1"
PASSWORD = "Fuzz-2026!"
ENDS_THE_ACCOUNT = {"changePassword", "withdraw"}
ENDS_THE_SESSION = {"logOut", "endSession"}
ACCOUNT = {"email": os.environ["BAPSANG_FUZZ_ADMIN"], "password": PASSWORD}

_session = requests.Session()
_numbers = itertools.count()
_tokens: dict[str, str] = {}


def log_in(account: dict[str, str]) -> str:
    return _session.post(f"{API}/auth/tokens", json=account, timeout=30).headers["Authorization"]


def stranger() -> dict[str, str]:
    """Sign somebody up."""
    name = f"{next(_numbers)}{secrets.token_hex(3)}"
    account = {"email": f"{name}@example.com", "password": PASSWORD, "nickname": name[:10]}
    assert _session.post(f"{API}/auth/users", json=account, timeout=30).status_code == 201
    return account


@schemathesis.auth(refresh_interval=None)
class Token:
    """Sends an access token that works."""

    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str:
        operation = case.operation.definition.raw["operationId"]
        if operation in ENDS_THE_ACCOUNT:
            return log_in(stranger())
        if operation in ENDS_THE_SESSION:
            return log_in(ACCOUNT)
        if "main" not in _tokens:
            _tokens["main"] = log_in(ACCOUNT)
        return _tokens["main"]

    def set(self, case: schemathesis.Case, data: str, context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = data


@schemathesis.hook
def after_call(context: schemathesis.HookContext, case: schemathesis.Case, response: Any) -> None:
    if response.status_code == 401 and response.request.headers.get("Authorization") == _tokens.get("main"):
        _tokens.clear()


@schemathesis.check
def refusals_are_problems(
    context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """Every answer from 400 on has the one error body."""
    if response.status_code >= 400 and case.method != "HEAD":
        assert response.headers["content-type"] == ["application/problem+json"]
        body = response.json()
        assert body["status"] == response.status_code
        assert body["code"] == body["errorCode"]
        assert body["requestId"] == response.headers["x-request-id"][0]
