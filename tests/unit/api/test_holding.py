"""Which posts of new accounts are held back."""

from datetime import UTC, datetime, timedelta

import pytest

from bapsang_api.posts.holding import MOST_POSTS, Earlier, Rule, digest_of, is_young, judge, links_in

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("된장찌개와 밥", 0),
        ("점심 12.30에 먹음. 3.5kg, 끝.그래도 맛있다", 0),
        ("https://www.example.com/a?b=c.com", 1),
        ("http://a.com https://b.com", 2),
        ("https://a.comhttps://b.com", 2),
        ("www.example.invalid", 1),
        ("example.com/menu", 1),
        ("맛집은 밥상.com,또는(bapsang.kr)", 2),
        ("EXAMPLE．ＣＯＭ", 1),  # full width
        ("example。com", 1),
        ("a.com\nb.net\tc.shop", 3),
        ("version 2.component", 0),
        ("x" * 10_000, 0),
    ],
)
def test_links_are_counted_in_every_form(text: str, count: int) -> None:
    assert links_in(text) == count


def test_digest_is_the_same_for_texts_that_differ_in_white_space_alone() -> None:
    assert digest_of("김치", "찌개  한\n그릇") == digest_of("김치 찌개", " 한 그릇\u00a0")
    assert digest_of("김치", "찌개") == digest_of("\u1100\u1175\u11b7\u110e\u1175", "찌개")  # decomposed
    assert digest_of("김치", "찌개") != digest_of("김치", "찜")


def test_account_is_young_for_three_days() -> None:
    assert is_young(NOW - timedelta(hours=72) + timedelta(microseconds=1), NOW)
    assert not is_young(NOW - timedelta(hours=72), NOW)


def test_rules_hold_links_repeats_and_haste() -> None:
    digest = digest_of("제목", "내용")
    assert judge("제목", "a.com b.com", [], NOW, new=True).rule is None
    assert judge("c.com", "a.com b.com", [], NOW, new=True).rule is Rule.LINKS
    for hours, rule in ((23, Rule.REPEAT), (24, None)):
        earlier = [Earlier(NOW - timedelta(hours=hours), digest)]
        assert judge("제목", "내용", earlier, NOW, new=True).rule is rule
        assert judge("제목", "내용", earlier, NOW, new=False).rule is rule
        assert judge("제목", "다른 내용", earlier, NOW, new=True).rule is None
    hasty = [Earlier(NOW - timedelta(minutes=59), None)] * (MOST_POSTS - 1)
    assert judge("제목", "내용", hasty, NOW, new=True).rule is None
    assert judge("제목", "내용", [*hasty, hasty[0]], NOW, new=True).rule is Rule.RATE
    assert judge("제목", "내용", [*hasty, hasty[0]], NOW, new=False).rule is None  # nothing is added
    assert judge("제목", "내용", [*hasty, Earlier(NOW - timedelta(minutes=60), None)], NOW, new=True).rule is None
