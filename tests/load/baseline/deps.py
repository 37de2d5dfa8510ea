"""What the routes of the usual version depend on: a session, Redis, the user of the token, presigned URLs."""

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

import boto3
import jwt
from cryptography.hazmat.primitives import serialization
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from redis import Redis
from sqlmodel import Session, create_engine

from .models import User

BUCKET = "bapsang-media"
LINK_SECONDS = 3600

engine = create_engine(os.environ["BASELINE_DATABASE_URL"], pool_size=20, max_overflow=20, pool_pre_ping=True)
redis_client: Redis = Redis.from_url(os.environ["BASELINE_REDIS_URL"], decode_responses=True)
s3 = boto3.client("s3", region_name="ap-northeast-2")
bearer = HTTPBearer(auto_error=False)


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


def get_redis() -> Redis:
    return redis_client


@lru_cache
def public_key() -> Any:
    with open(os.environ["BASELINE_KEY_FILE"], "rb") as file:  # noqa: PTH123
        return serialization.load_pem_private_key(file.read(), password=None).public_key()


SessionDep = Annotated[Session, Depends(get_session)]
RedisDep = Annotated[Redis, Depends(get_redis)]
TokenDep = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


def get_optional_user(session: SessionDep, token: TokenDep) -> User | None:
    if token is None:
        return None
    try:
        claims = jwt.decode(
            token.credentials, public_key(), ["RS256"], audience="bapsang", issuer=os.environ["BASELINE_ISSUER"]
        )
    except jwt.PyJWTError as error:
        raise HTTPException(401, "Invalid Token") from error
    user = session.get(User, claims["sub"])
    if user is None or user.user_status != "ACTIVE":
        raise HTTPException(401, "Invalid Token")
    return user


OptionalUser = Annotated[User | None, Depends(get_optional_user)]


def get_current_user(user: OptionalUser) -> User:
    if user is None:
        raise HTTPException(401, "Token is empty")
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


def presigned(key: str | None) -> str | None:
    if key is None:
        return None
    url: str = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=LINK_SECONDS)
    return url
