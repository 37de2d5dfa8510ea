"""List, detail and toggle as people usually write them with FastAPI and SQLModel: what the API is compared with.

Decent code, not a straw man: keyset pagination, related rows in one query, counts from Redis in one command, an index for
every query, no access log, a large pool. And what most projects have: plain `def` endpoints with a session dependency, the
token verified and its user loaded for each request, answers through `response_model`, a URL signed for each picture, likes
as rows that are looked for and then written, with a counter beside them in Redis.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Response
from sqlalchemy.orm import joinedload
from sqlmodel import and_, col, or_, select

from .deps import CurrentUser, OptionalUser, RedisDep, SessionDep, presigned
from .models import (
    AuthorOut,
    ContentOut,
    CursorOut,
    DetailStatsOut,
    Post,
    PostDetailOut,
    PostItemOut,
    PostLike,
    PostPageOut,
    StatsOut,
)

app = FastAPI()


@app.get("/api/v1/health")
def health() -> str:
    return "OK"


@app.get("/api/v1/posts", response_model=PostPageOut)
def list_posts(
    session: SessionDep,
    redis: RedisDep,
    user: OptionalUser,
    size: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor_id: Annotated[str | None, Query(alias="cursorId")] = None,
    cursor_created_at: Annotated[datetime | None, Query(alias="cursorCreatedAt")] = None,
) -> PostPageOut:
    statement = (
        select(Post)
        .where(Post.post_status == "ACTIVE")
        .options(joinedload(Post.author), joinedload(Post.content))  # type: ignore[arg-type]
        .order_by(col(Post.created_at).desc(), col(Post.id).desc())
        .limit(size + 1)
    )
    if cursor_id and cursor_created_at:
        statement = statement.where(
            or_(
                Post.created_at < cursor_created_at,
                and_(Post.created_at == cursor_created_at, Post.id < cursor_id),
            )
        )
    posts = session.exec(statement).all()
    shown = posts[:size]
    counts = redis.mget([f"usual:likes:{post.id}" for post in shown]) if shown else []
    items = [
        PostItemOut(
            post_id=post.id,
            title=post.title,
            created_at=post.created_at,
            thumbnail_url=presigned(post.content.post_image_key if post.content else None),
            author=AuthorOut(
                nickname=post.author.nickname, author_profile_url=presigned(post.author.profile_image_key)
            ),
            stats=StatsOut(
                like_count=int(count) if count is not None else post.like_count,
                comment_count=post.comment_count,
                view_count=post.view_count,
            ),
        )
        for post, count in zip(shown, counts, strict=True)
    ]
    has_more = len(posts) > size
    last = CursorOut(id=shown[-1].id, created_at=shown[-1].created_at) if has_more else None
    return PostPageOut(items=items, next_cursor=last, has_more=has_more)


@app.get("/api/v1/posts/{post_id}", response_model=PostDetailOut)
def read_post(post_id: str, session: SessionDep, redis: RedisDep, user: OptionalUser) -> PostDetailOut:
    post = session.get(Post, post_id, options=[joinedload(Post.author), joinedload(Post.content)])  # type: ignore[arg-type]
    if post is None or post.content is None or post.post_status != "ACTIVE":
        raise HTTPException(404, "Post not found")
    views = redis.incr(f"usual:views:{post_id}")  # written to the row by a job
    likes = redis.get(f"usual:likes:{post_id}")
    is_liked = user is not None and session.get(PostLike, (user.id, post_id)) is not None
    return PostDetailOut(
        post_id=post.id,
        title=post.title,
        created_at=post.created_at,
        updated_at=post.updated_at,
        content_detail=ContentOut(content=post.content.content, post_image_url=presigned(post.content.post_image_key)),
        author=AuthorOut(nickname=post.author.nickname, author_profile_url=presigned(post.author.profile_image_key)),
        stats=DetailStatsOut(
            like_count=int(likes) if likes is not None else post.like_count,
            comment_count=post.comment_count,
            view_count=post.view_count + int(views),
            is_liked=is_liked,
        ),
    )


@app.post("/api/v1/posts/{post_id}/likes", status_code=204)
def toggle_like(post_id: str, session: SessionDep, redis: RedisDep, user: CurrentUser) -> Response:
    post = session.get(Post, post_id)
    if post is None or post.post_status != "ACTIVE":
        raise HTTPException(404, "Post not found")
    redis.set(f"usual:likes:{post_id}", post.like_count, nx=True)
    like = session.get(PostLike, (user.id, post_id))
    if like is None:
        session.add(PostLike(user_id=user.id, post_id=post_id, created_at=datetime.now(UTC)))
        session.commit()
        redis.incr(f"usual:likes:{post_id}")
    else:
        session.delete(like)
        session.commit()
        redis.decr(f"usual:likes:{post_id}")
    return Response(status_code=204)
