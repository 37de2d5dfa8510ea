"""The presign function's own look at a token: the verdicts of the API, and keys that are fetched seldom and in time."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest

from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import TokenExpired, TokenInvalid
from bapsang_api.kit.security.tokens import SigningKey, TokenIssuer, TokenVerifier
from bapsang_api.uploads.bearer import Bearer, ExpiredError, InvalidError, KeysUnavailableError, MissingError

from .test_tokens import ALICE, ATTACKS, KEY, OTHER_KEY, FixedClock, forge


class Publisher:
    """An issuer's published keys; counts how often they are fetched."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.fetched = 0
        self.down = False

    def __call__(self) -> dict[str, jwt.PyJWK]:
        self.fetched += 1
        if self.down:
            raise OSError
        return {key.kid: jwt.PyJWK(json.loads(json.dumps(key.jwk))) for key in self.keys}


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def publisher() -> Publisher:
    return Publisher(KEY)


@pytest.fixture
def bearer(clock: FixedClock, publisher: Publisher) -> Bearer:
    return Bearer("http://i", "bapsang", clock, publisher)


def issue(clock: FixedClock, key: SigningKey = KEY) -> str:
    return TokenIssuer(key, issuer="http://i", audience="bapsang", clock=clock, ids=Ids(clock)).issue(ALICE)


def verdict(act: Callable[[], Any]) -> type | str:
    """Return whom a token speaks for, or why it is refused, as one word for both verifiers."""
    try:
        found = act()
    except (TokenExpired, ExpiredError):
        return "T002"
    except (TokenInvalid, InvalidError):
        return "T003"
    return str(getattr(found, "user_id", found))


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_invalid_never_expired(bearer: Bearer, clock: FixedClock, attack: Callable[[str], str]) -> None:
    token = attack(issue(clock))
    with pytest.raises(InvalidError if token else MissingError):
        bearer.user_of(f"Bearer {token}")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer  ", "Basic YTpi", "token"])
def test_without_a_token_it_is_missing(bearer: Bearer, publisher: Publisher, header: str | None) -> None:
    with pytest.raises(MissingError):
        bearer.user_of(header)
    assert publisher.fetched == 0


@pytest.mark.parametrize("later", [-31, -30, -29, 0, 1799, 1800, 90_000])
@pytest.mark.parametrize(
    "changes", [{}, {"num": 7}, {"num": 0}, {"num": True}, {"num": "7"}, {"exp": True}, {"nbf": 1.5}, {"sub": None}]
)
def test_function_and_api_judge_alike(clock: FixedClock, bearer: Bearer, later: int, changes: dict[str, Any]) -> None:
    api = TokenVerifier([KEY], issuer="http://i", audience="bapsang", clock=clock, revoked=frozenset())
    token = forge(issue(clock), **changes)
    clock.time += timedelta(seconds=later)
    assert verdict(lambda: bearer.user_of(f"bearer {token} ")) == verdict(lambda: api.verify(token))


def test_keys_are_fetched_once_in_ten_minutes(bearer: Bearer, publisher: Publisher, clock: FixedClock) -> None:
    for _ in range(3):
        assert bearer.user_of(f"Bearer {issue(clock)}") == ALICE.user_id
    assert publisher.fetched == 1
    clock.time += timedelta(minutes=10)
    assert bearer.user_of(f"Bearer {issue(clock)}") == ALICE.user_id
    assert publisher.fetched == 2


def test_names_of_keys_that_strangers_make_up_do_not_make_us_ask_each_time(
    bearer: Bearer, publisher: Publisher, clock: FixedClock
) -> None:
    bearer.user_of(f"Bearer {issue(clock)}")
    for number in range(50):
        with pytest.raises(InvalidError):
            bearer.user_of(f"Bearer {forge(issue(clock), kid=str(number))}")
    assert publisher.fetched == 1


def test_new_key_is_known_within_seconds_and_one_taken_out_within_minutes(
    bearer: Bearer, publisher: Publisher, clock: FixedClock
) -> None:
    assert bearer.user_of(f"Bearer {issue(clock)}") == ALICE.user_id
    publisher.keys = [OTHER_KEY]
    clock.time += timedelta(seconds=10)
    assert bearer.user_of(f"Bearer {issue(clock, OTHER_KEY)}") == ALICE.user_id
    with pytest.raises(InvalidError):
        bearer.user_of(f"Bearer {issue(clock)}")


def test_issuer_that_is_down_keeps_out_nobody_whose_key_is_known(
    bearer: Bearer, publisher: Publisher, clock: FixedClock
) -> None:
    bearer.user_of(f"Bearer {issue(clock)}")
    publisher.down = True
    clock.time += timedelta(hours=1)
    assert bearer.user_of(f"Bearer {issue(clock)}") == ALICE.user_id


def test_without_keys_nothing_is_said_of_a_token(bearer: Bearer, publisher: Publisher, clock: FixedClock) -> None:
    """A 401 with any other code than T002 would end the login of everybody while the issuer is down."""
    publisher.down = True
    with pytest.raises(KeysUnavailableError):
        bearer.user_of(f"Bearer {issue(clock)}")
    publisher.down = False
    assert bearer.user_of(f"Bearer {issue(clock)}") == ALICE.user_id
