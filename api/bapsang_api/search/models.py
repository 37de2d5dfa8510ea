"""Table of the texts that are searched."""

from typing import ClassVar, Final

from sqlalchemy import Column, ForeignKey, Index
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, long_text, ulid

INDEX: Final = "ft_post_texts_words"


class PostText(SQLModel, table=True):
    """Title and content of a post that is not deleted. Whoever writes a post writes this in the same transaction."""

    __tablename__: ClassVar[str] = "post_texts"
    __table_args__ = (
        # Only MySQL has it; a file on one machine is read from end to end.
        Index(INDEX, "words", mysql_prefix="FULLTEXT", mysql_with_parser="ngram", info={"dialect": "mysql"}).ddl_if(
            dialect="mysql"
        ),
        TABLE_OPTIONS,
    )

    post_id: str = Field(sa_column=Column(ulid(), ForeignKey("posts.id", name="fk_post_texts_post"), primary_key=True))
    words: str = Field(sa_column=Column(long_text(), nullable=False))
