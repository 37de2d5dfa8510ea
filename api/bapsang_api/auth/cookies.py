"""Cookies of logins: what browsers send, whether it counts, and what they are given."""

from typing import Final

from fastapi import Request
from starlette.responses import Response

from bapsang_api.auth.secrets import REFRESH_LIFETIME
from bapsang_api.auth.service import Tokens
from bapsang_api.http.cors import Cors
from bapsang_api.http.wire import API

PREFIX: Final = f"{API}/auth"
COOKIE: Final = "refreshToken"
DEVICE_COOKIE: Final = "knownDevice"
DEVICE_SECONDS: Final = 365 * 86_400
_LONGEST_COOKIE: Final = 256  # characters; a refresh token has 43
_LONGEST_DEVICE: Final = 1_024
_MOST_COOKIES: Final = 5  # of one name; each refresh token costs a transaction
_OWN_SITES: Final = frozenset({"same-origin", "same-site", "none"})


def refresh_tokens(request: Request, cors: Cors) -> list[str]:
    """Return what the cookies of that name hold and may be a refresh token; nothing for a page of another origin.

    A browser has several where somebody set one for another path or domain, and sends all, in an order of its own.
    """
    if not is_own(request, cors):
        return []
    return _cookies(request, COOKIE, _LONGEST_COOKIE)


def known_devices(request: Request) -> list[str]:
    """Return what the cookies of a known device hold."""
    return _cookies(request, DEVICE_COOKIE, _LONGEST_DEVICE)


def with_device(response: Response, device: str) -> Response:
    _set_cookie(response, DEVICE_COOKIE, device, DEVICE_SECONDS)
    return response


def _cookies(request: Request, wanted: str, longest: int) -> list[str]:
    """Return the values of all cookies of a name that are not longer than that; the first few, because each costs work."""
    given = (part.partition("=") for line in request.headers.getlist("cookie") for part in line.split(";"))
    values = dict.fromkeys(value.strip() for name, _, value in given if name.strip() == wanted)
    return [value for value in values if 0 < len(value) <= longest][:_MOST_COOKIES]


def is_browser(request: Request) -> bool:
    return "origin" in request.headers or "sec-fetch-site" in request.headers


def is_own(request: Request, cors: Cors) -> bool:
    """Return whether a browser says that the request comes from a page of ours; what is no browser says nothing, and sends no
    cookie that it was not told to.
    """
    origin = request.headers.get("origin")
    if origin is not None:
        return cors.allows(origin) or origin.partition("://")[2] == request.headers.get("host")
    return request.headers.get("sec-fetch-site", "none") in _OWN_SITES


def logged_out(response: Response) -> Response:
    """Have a browser drop its refresh token."""
    _set_cookie(response, COOKIE, "", 0)
    return response


def with_tokens(response: Response, tokens: Tokens) -> Response:
    response.headers["Authorization"] = f"Bearer {tokens.access}"
    response.headers["Cache-Control"] = "no-store"
    _set_cookie(response, COOKIE, tokens.refresh, int(REFRESH_LIFETIME.total_seconds()))
    return response


def _set_cookie(response: Response, name: str, value: str, max_age: int) -> None:
    response.headers.append(
        "Set-Cookie", f"{name}={value}; Max-Age={max_age}; Path={PREFIX}; HttpOnly; Secure; SameSite=None"
    )
