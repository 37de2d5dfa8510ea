"""What the generator is told to send. Pure: requests by name, the mix of the contract, and the JSON of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

API = "/api/v1"
BEARER = {"Authorization": "Bearer {people}"}
JSON = {"Content-Type": "application/json"}
# Each request is another user's, who does not wait for the others; only descriptors set a limit.
USERS_AT_ONCE = 8_000
# What browsers send anyway, so that the server parses as many headers as it will have to.
BROWSER = {
    "Accept": "application/json, text/plain, */*",
    "Accept-Encoding": "identity",
    "Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8",
    "Origin": "http://localhost:3000",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
}
# Requests a second at the peak, with the headroom of the contract.
HEADROOM = 1.5
READS, WRITES, INTERACTIONS = 1_200, 13, 330
PEAK = math.ceil((READS + WRITES + INTERACTIONS) * HEADROOM)  # 2,315
# A read user begins a session once, lists once, scrolls once, reads five details. Of 150 sessions 145 are refreshes: the contract
# assumes so, because refresh tokens live for 14 days. The tokens that the other requests carry are issued beforehand.
REFRESHES, LOGINS = 145, 5
SESSIONS = REFRESHES + LOGINS
READING: dict[str, float] = {
    "refresh": REFRESHES / SESSIONS,
    "login": LOGINS / SESSIONS,
    "list": 1,
    "scroll": 1,
    "detail": 5,
}
WRITING: dict[str, float] = {"create": 4, "edit": 3, "comment": 6}
INTERACTING: dict[str, float] = {
    "toggle": 60,
    "toggle_hot": 25,
    "comments": 10,
    "comment": 5,
}  # 30 % of the toggles go to one post
#: What a session asks besides, where there are people to follow and news: an assumption, once each.
NEWS: dict[str, float] = {"home": 1, "unread": 1}
STREAMS = 1_000  # open at the peak
READ_CLASSES = ("list", "scroll", "detail", "comments", "home", "unread")
AUTH_CLASSES = ("refresh", "login")
WRITE_CLASSES = ("toggle", "toggle_hot", "create", "edit", "comment")


@dataclass(frozen=True)
class Request:
    """A template; `{name}` or `{name:column}` is filled from a list."""

    name: str
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    expect: tuple[int, ...] = ()
    tally: str = ""
    log: bool = False
    capture: Mapping[str, Any] | None = None

    def message(self, weight: float) -> dict[str, Any]:
        return {
            **{"class": self.name, "weight": weight, "method": self.method, "path": self.path, "body": self.body},
            **{"headers": {**BROWSER, **self.headers}, "expect": list(self.expect), "tally": self.tally},
            **{"log": self.log, "capture": self.capture},
        }


#: The cursor of the second page changes with every new post, so it is taken from the answers, as clients do.
NEXT_PAGE = {
    "into": "cursors",
    "after": '"nextCursor":{',
    "between": [['"id":"', '"'], ['"createdAt":"', '"']],
    "format": ["cursorId=", "&cursorCreatedAt=", ""],
}
HEALTH = Request("health", "GET", f"{API}/health")
LIST = Request("list", "GET", f"{API}/posts?size=20")
SCROLL = Request("scroll", "GET", f"{API}/posts?size=20&{{cursors}}")
DETAIL = Request("detail", "GET", f"{API}/posts/{{posts}}")
HOME = Request("home", "GET", f"{API}/users/me/home?size=20", BEARER)
UNREAD = Request("unread", "GET", f"{API}/users/me/notifications/unread", BEARER)
COMMENTS = Request("comments", "GET", f"{API}/posts/{{posts}}/comments?size=20")
TOGGLE = Request("toggle", "POST", f"{API}/posts/{{posts}}/likes", BEARER)
TOGGLE_HOT = Request("toggle_hot", "POST", f"{API}/posts/{{hot}}/likes", BEARER)
CREATE = Request(
    *("create", "POST", f"{API}/posts", BEARER | JSON),
    '{"title":"오늘의 밥상","content":"된장찌개와 달걀말이, 그리고 갓 지은 밥 한 공기","postImageKey":null}',
)
EDIT = Request(
    *("edit", "PATCH", f"{API}/posts/{{own}}", {"Authorization": "Bearer {own:1}"} | JSON),
    '{"content":"고쳐 쓴 글: 두부를 넣었습니다","postImageKey":null}',
)
COMMENT = Request(
    "comment", "POST", f"{API}/posts/{{posts}}/comments", BEARER | JSON, '{"content":"맛있겠다! 레시피도 알려 주세요."}'
)
LOGIN = Request(
    *("login", "POST", f"{API}/auth/tokens", JSON),
    '{"email":"{emails}","password":"{emails:1}"}',
)
#: A refresh token works once: each request has one for itself, and the answer's cookie replaces it (generator/exclusive.go).
REFRESH = Request(
    *("refresh", "POST", f"{API}/auth/refresh", {"Cookie": "refreshToken={sessions}"} | JSON, "null"),
    capture={
        **{"into": "sessions", "head": True, "after": "refreshToken="},
        **{"between": [["refreshToken=", ";"]], "format": ["", ""]},
    },
)


def signed_in(request: Request) -> Request:
    """Return the request as somebody sends it who has logged in."""
    return replace(request, headers={**request.headers, **BEARER})


def on(posts: str, request: Request) -> Request:
    """Return the request for the posts of another list."""
    return replace(request, path=request.path.replace("{posts}", f"{{{posts}}}"))


def mix(
    weights: tuple[float, float, float] = (READS, WRITES, INTERACTIONS), *, news: bool = False
) -> list[tuple[Request, float]]:
    """Return the requests of the peak with their shares of all; with `news`, also what a session asks for home and news."""
    requests = {
        "refresh": REFRESH,
        "login": LOGIN,
        "list": replace(signed_in(LIST), capture=NEXT_PAGE),
        "scroll": signed_in(SCROLL),
        "detail": signed_in(DETAIL),
        "comments": signed_in(COMMENTS),
        "toggle": TOGGLE,
        "toggle_hot": TOGGLE_HOT,
        "create": CREATE,
        "edit": EDIT,
        "comment": COMMENT,
        "home": HOME,
        "unread": UNREAD,
    }
    shares = dict.fromkeys(requests, 0.0)
    reading = READING | NEWS if news else READING
    for parts, weight in zip((reading, WRITING, INTERACTING), weights, strict=True):
        for name, part in parts.items():
            shares[name] += weight / sum(weights) * part / sum(parts.values())
    return [(request, shares[name]) for name, request in requests.items()]


@dataclass(frozen=True)
class Lists:
    """Files that placeholders are filled from, in one folder: see world.py."""

    folder: Path

    def table(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        kinds: dict[str, dict[str, Any]] = {
            "posts": {"zipf": 1.0},
            "turns": {"order": "sequence"},
            "warm_turns": {"order": "sequence"},
            "sessions": {"order": "exclusive"},
        }
        return {name: {"file": str(self.folder / f"{name}.txt"), **kinds.get(name, {})} for name in names}


def used_lists(requests: Iterable[Request]) -> set[str]:
    """Return the names of the lists that the templates take something from."""
    found = set()
    for request in requests:
        texts = (request.path, request.body, *request.headers.values())
        for text in texts:
            for piece in text.split("{")[1:]:
                name = piece.partition("}")[0].partition(":")[0]
                if name.isidentifier():
                    found.add(name)
        if request.capture:
            found.add(request.capture["into"])
    return found


def closed(requests: list[tuple[Request, float]], *, connections: int, seconds: float, **more: Any) -> dict[str, Any]:
    """Return a run in which each connection sends as soon as it was answered."""
    return {"mode": "closed", "connections": connections, "seconds": seconds, "requests": requests, **more}


def opened(
    requests: list[tuple[Request, float]], *, rate: float, seconds: float, warmup: float = 0.0, **more: Any
) -> dict[str, Any]:
    """Return a run with arrivals by chance (Poisson) at `rate` a second, whatever comes back."""
    return {
        **{"mode": "open", "arrivals": "poisson", "rate": rate, "seconds": seconds + warmup, "warmup": warmup},
        **{"connections": USERS_AT_ONCE, "requests": requests, **more},
    }


def document(scenario: Mapping[str, Any], targets: list[str], lists: Lists, seed: int = 7) -> dict[str, Any]:
    """Return what the generator reads."""
    requests: list[tuple[Request, float]] = scenario["requests"]
    return {
        **{"timeout_ms": 10_000, "procs": 1, "seed": seed},
        **scenario,
        "targets": targets,
        "lists": lists.table(sorted(used_lists(request for request, _ in requests))),
        "requests": [request.message(weight) for request, weight in requests if weight > 0],
    }
