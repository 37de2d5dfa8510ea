"""The term pages and their style sheet."""

import pytest

from .world import API, Backend, World, open_world

PAGES = {"terms-of-service": "이용약관", "privacy-policy": "개인정보 처리방침"}


@pytest.mark.parametrize("name", PAGES)
async def test_pages_are_korean_cacheable_and_load_only_the_style_sheet(file_world: World, name: str) -> None:
    answer = await file_world.http.get(f"/{name}")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Vary"] == "Origin, Accept-Encoding"
    assert "style-src 'self'" in answer.headers["Content-Security-Policy"]
    assert '<html lang="ko">' in answer.text
    assert f"<h1>{PAGES[name]}</h1>" in answer.text
    assert "$" not in answer.text
    assert "script" not in answer.text.replace("description", "")
    assert (await file_world.http.get(f"{API}/{name}")).content == answer.content
    again = await file_world.http.get(f"/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    style = await file_world.http.get("/static/bapsang.css")
    assert 'href="/static/bapsang.css"' in answer.text
    assert style.headers["Content-Type"].startswith("text/css")
    assert style.headers["Cache-Control"].startswith("public")


async def test_pages_name_who_runs_this_community(files: Backend) -> None:
    names = {"BAPSANG_OPERATOR_NAME": "밥상 <주식회사>", "BAPSANG_CONTACT_EMAIL": "privacy@bapsang.example"}
    async with open_world(Backend("named", {**files.environment, **names})) as world:
        page = (await world.http.get("/privacy-policy")).text
    assert "밥상 &lt;주식회사&gt;" in page
    assert "mailto:privacy@bapsang.example" in page
    assert "<주식회사>" not in page


async def test_the_privacy_policy_has_what_the_law_asks_for(file_world: World) -> None:
    page = (await file_world.http.get("/privacy-policy")).text
    for item in (
        "목적",
        "항목",
        "보유 기간",
        "제3자 제공",
        "위탁",
        "파기",
        "권리",
        "쿠키",
        "안전성",
        "개인정보 보호책임자",
    ):
        assert item in page
