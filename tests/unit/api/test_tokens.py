"""Access tokens: what is accepted, what is refused, and with which error."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bapsang_api.auth.secrets import hash_of, new_token, seal, unseal
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import TokenExpired, TokenInvalid
from bapsang_api.kit.security.tokens import Principal, SigningKey, SigningKeyError, TokenIssuer, TokenVerifier

KEY = SigningKey.generate()
OTHER_KEY = SigningKey.generate()
ALICE = Principal("01JD0000000000000000000001", "USER", "01JD0000000000000000000002", 1)


def _pem(key: SigningKey) -> bytes:
    return key.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class FixedClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 1, 10, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def seconds(self) -> float:
        return self.time.timestamp()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def revoked() -> set[str]:
    return set()


@pytest.fixture
def verifier(clock: FixedClock, revoked: set[str]) -> TokenVerifier:
    return TokenVerifier([KEY], issuer="http://i", audience="bapsang", clock=clock, revoked=revoked)


@pytest.fixture
def token(clock: FixedClock) -> str:
    return TokenIssuer(KEY, issuer="http://i", audience="bapsang", clock=clock, ids=Ids(clock)).issue(ALICE)


def forge(token: str, *, key: Any = KEY.private, algorithm: str = "RS256", kid: str = KEY.kid, **changes: Any) -> str:
    """Return a token with changed claims; a claim changed to None is left out."""
    claims = {**jwt.decode(token, options={"verify_signature": False}), **changes}
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None}, key, algorithm, {"kid": kid}
    )


def unsigned(token: str, **header: Any) -> str:
    """Return the token's claims under another header with an empty signature."""
    head = base64.urlsafe_b64encode(json.dumps({"typ": "JWT", "kid": KEY.kid, **header}).encode()).rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


def hs256_with_the_public_key(token: str) -> str:
    """Return the classic confusion: the public key, which everyone has, used as an HMAC secret."""
    pem = KEY.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = unsigned(token, alg="HS256")[:-1]
    mac = hmac.new(pem, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


#: What turns a good token into one that must be refused; the verifier of the upload function is tried with the same.
ATTACKS: list[Callable[[str], str]] = [
    lambda token: unsigned(token, alg="none"),
    lambda token: unsigned(token, alg="None"),
    hs256_with_the_public_key,
    lambda token: forge(token, key=OTHER_KEY.private),
    lambda token: forge(token, key=OTHER_KEY.private, kid=OTHER_KEY.kid),
    lambda token: forge(token, kid="unknown"),
    lambda token: forge(token, algorithm="PS256"),
    lambda token: forge(token, iss="http://evil"),
    lambda token: forge(token, aud="other"),
    lambda token: forge(token, iss="http://evil", exp=1),
    lambda token: forge(token, sid=None),
    lambda token: forge(token, exp=None),
    lambda token: forge(token, sub="not-an-id"),
    lambda token: forge(token, role="ROOT"),
    lambda token: forge(token, exp="9999999999"),
    lambda token: forge(token, nbf=9_999_999_999),
    lambda token: forge(token, padding="a" * 4_096),  # longer than any of ours, though it is signed
    lambda token: token[:-4] + "AAAA",
    lambda token: token + ".",
    lambda _: "a.b.c",
    lambda _: "",
    lambda _: "é\udcff",
    lambda _: new_token(),  # a refresh token
]


def test_issued_token_is_accepted_until_its_thirty_minutes_are_over(
    verifier: TokenVerifier, token: str, clock: FixedClock
) -> None:
    assert verifier.verify(token) == ALICE
    clock.time += timedelta(minutes=30, seconds=-1)
    assert verifier.verify(token) == ALICE
    clock.time += timedelta(seconds=1)
    with pytest.raises(TokenExpired):
        verifier.verify(token)


def test_replica_whose_clock_is_behind_accepts_a_fresh_token(
    verifier: TokenVerifier, token: str, clock: FixedClock
) -> None:
    clock.time -= timedelta(seconds=20)
    assert verifier.verify(token) == ALICE


def test_revoked_session_is_refused_also_when_the_token_is_cached(
    verifier: TokenVerifier, token: str, revoked: set[str]
) -> None:
    verifier.verify(token)
    revoked.add(ALICE.session_id)
    with pytest.raises(TokenInvalid):
        verifier.verify(token)


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_invalid_never_expired(verifier: TokenVerifier, token: str, attack: Any) -> None:
    with pytest.raises(TokenInvalid):
        verifier.verify(attack(token))


def test_cache_of_verified_tokens_is_bounded(clock: FixedClock) -> None:
    verifier = TokenVerifier(
        [KEY], issuer="http://i", audience="bapsang", clock=clock, revoked=frozenset(), cache_size=3
    )
    issuer = TokenIssuer(KEY, issuer="http://i", audience="bapsang", clock=clock, ids=Ids(clock))
    for _ in range(5):
        assert verifier.verify(issuer.issue(ALICE)) == ALICE
    assert len(verifier._cache) == 3


def test_kid_is_the_thumbprint_of_rfc_7638() -> None:
    # The example of the RFC's section 3.1.
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3okn"
        "jhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qM"
        "QvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJz"
        "KnqDKgw"
    )
    expected = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    public = rsa.RSAPublicNumbers(65537, int.from_bytes(base64.urlsafe_b64decode(modulus + "=="), "big")).public_key()

    class WithPublicKey(rsa.RSAPrivateKey):
        """Only the public half is known from the RFC."""

        key_size = 2048

        def public_key(self) -> rsa.RSAPublicKey:
            return public

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    WithPublicKey.__abstractmethods__ = frozenset()
    assert SigningKey(WithPublicKey()).kid == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        (b"", "not an unencrypted PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not an unencrypted PEM"),
        ("small", "at least 2048"),
        ("elliptic", "not an RSA key"),
        ("encrypted", "not an unencrypted PEM"),
        (_pem(KEY) + b"\n" + _pem(KEY), "same key twice"),
        (_pem(KEY) + b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not an unencrypted PEM"),
    ],
)
def test_unusable_key_file_says_why(tmp_path: Path, content: bytes | str | None, reason: str) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else _key(content))
    with pytest.raises(SigningKeyError, match=reason):
        SigningKey.load_all(path)


def test_keys_of_a_rotation_sign_with_the_first_and_accept_the_tokens_of_all(tmp_path: Path, clock: FixedClock) -> None:
    path = tmp_path / "keys.pem"
    path.write_bytes(b"next:\n" + _pem(OTHER_KEY) + b"\nlast:\n" + _pem(KEY))
    keys = SigningKey.load_all(path)
    assert [key.kid for key in keys] == [OTHER_KEY.kid, KEY.kid]
    verifier = TokenVerifier(keys, issuer="http://i", audience="bapsang", clock=clock, revoked=frozenset())
    for key in keys:
        issued = TokenIssuer(key, issuer="http://i", audience="bapsang", clock=clock, ids=Ids(clock)).issue(ALICE)
        assert jwt.get_unverified_header(issued)["kid"] == key.kid
        assert verifier.verify(issued) == ALICE
        crossed = forge(issued, key=key.private, kid=(KEY if key is keys[0] else OTHER_KEY).kid)
        with pytest.raises(TokenInvalid):
            verifier.verify(crossed)


def test_sealed_successor_opens_only_for_its_predecessor() -> None:
    first, second, other = new_token(), new_token(), new_token()
    sealed = seal(second, first)
    assert unseal(sealed, first) == second
    assert second.encode() not in sealed
    assert seal(second, first) != sealed
    with pytest.raises(InvalidTag):
        unseal(sealed, other)
    assert len({first, second, other, hash_of(first)}) == 4


def _key(kind: str) -> bytes:
    private: Any = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "elliptic"
        else rsa.generate_private_key(65537, 1024 if kind == "small" else 2048)
    )
    secrecy = serialization.BestAvailableEncryption(b"pw") if kind == "encrypted" else serialization.NoEncryption()
    return bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secrecy))
