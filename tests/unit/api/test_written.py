"""Whose the copies of posts are, against a plain dictionary of sets."""

from hypothesis import given
from hypothesis import strategies as st

from bapsang_api.posts.shown.written import Written

# Of one author each, as posts are.
POSTS = st.integers(0, 8).map(lambda number: (f"author {number % 3}", f"post {number}"))


@given(st.lists(st.tuples(st.booleans(), POSTS), max_size=40))
def test_every_post_is_found_by_its_author_until_it_is_removed(steps: list[tuple[bool, tuple[str, str]]]) -> None:
    written, expected = Written(), dict[str, set[str]]()
    for adds, (author, post) in steps:
        if adds:
            written.add(author, post)
            expected.setdefault(author, set()).add(post)
        elif post in expected.get(author, ()):
            written.remove(author, post)
            expected[author].discard(post)
        for name in (f"author {number}" for number in range(3)):
            found = list(written.of(name))
            assert (set(found), len(found)) == (expected.get(name, set()), len(expected.get(name, ())))
    assert len(written) == sum(map(bool, expected.values()))  # nobody is kept without a post
