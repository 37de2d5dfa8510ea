"""What made-up people write: names, titles, recipes and comments, put together from a few hundred Korean words."""

from random import Random
from typing import Final

_NAMES: Final = (
    *("맛객", "밥순이", "식탐", "혼밥러", "집밥", "국물", "빵덕", "면사랑", "고기", "찬장", "도시락"),
    *("야식", "간식", "텃밭", "솥밥", "한상"),
)
_MOODS: Final = (
    *("얼큰한", "담백한", "구수한", "매콤한", "새콤달콤한", "든든한", "시원한", "고소한", "바삭한"),
    *("촉촉한", "칼칼한", "뜨끈한", "할머니표", "자취생", "초간단", "10분", "주말", "비 오는 날"),
    *("냉장고 털이", "에어프라이어", "봄나물", "한겨울"),
)
_DISHES: Final = (
    *("김치찌개", "된장찌개", "순두부찌개", "부대찌개", "미역국", "육개장", "갈비탕", "삼계탕", "떡국"),
    *("콩나물국밥", "비빔밥", "김밥", "볶음밥", "오므라이스", "카레", "덮밥", "제육볶음", "불고기"),
    *("닭갈비", "찜닭", "갈비찜", "보쌈", "잡채", "떡볶이", "순대볶음", "파전", "김치전", "계란말이"),
    *("두부조림", "고등어구이", "오징어볶음", "낙지볶음", "냉면", "칼국수", "잔치국수", "비빔국수"),
    *("짜장면", "짬뽕", "파스타", "리소토", "스테이크", "샐러드", "샌드위치", "팬케이크"),
)
_ENDINGS: Final = (
    *("만들었어요", "레시피", "한 그릇", "성공!", "도전기", "후기", "먹은 날", "황금 비율"),
    *("이렇게 해보세요", "저녁 완성"),
)
_STEPS: Final = (
    *("양파와 대파를 먼저 볶아 향을 내고", "고기는 핏물을 빼서 준비하고", "멸치 육수를 20분쯤 우린 다음"),
    *("고춧가루 두 숟갈을 넣고", "간장 세 숟갈, 설탕 한 숟갈로 간을 하고", "마늘은 아끼지 말고 듬뿍 넣고"),
    *("중불에서 뚜껑을 덮고", "참기름을 한 바퀴 두르고", "들깻가루를 넉넉히 풀고", "달걀을 풀어 살살 붓고"),
    *("청양고추를 송송 썰어 넣고", "센 불에서 재빨리 볶아"),
)
_RESULTS: Final = (
    *("국물이 정말 끝내줬어요.", "아이들이 밥을 두 공기나 먹었어요.", "다음에는 조금 덜 짜게 해보려고요."),
    *("남편이 또 해 달래요.", "사 먹는 것보다 훨씬 나아요.", "생각보다 간단해서 놀랐어요."),
    *("밥도둑이 따로 없네요.", "내일 도시락으로도 싸려고요.", "김치만 있으면 됩니다."),
)
_REMARKS: Final = (
    *("와, 정말 맛있어 보여요!", "레시피 감사합니다.", "오늘 저녁은 이걸로 정했어요."),
    *("저도 해 봤는데 성공했어요 😋", "간이 조금 세지 않나요?", "사진만 봐도 배고프네요."),
    *("고기 대신 두부를 넣어도 될까요?", "저장해 둘게요!", "불 세기는 어느 정도인가요?"),
    *("우리 엄마 손맛이 생각나요.", "몇 인분인가요?", "설탕 대신 매실청을 넣었더니 더 좋았어요."),
    *("플레이팅이 예술이네요.", "역시 믿고 보는 밥상!", "저는 대파를 더 넣어요."),
)
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def nickname(random: Random, number: int) -> str:
    """Return a name that no other `number` below 36^7 has: at most 3 syllables, then the number in base 36."""
    suffix = ""
    while number or not suffix:
        number, digit = divmod(number, 36)
        suffix = _DIGITS[digit] + suffix
    return random.choice(_NAMES) + suffix


def title(random: Random) -> str:
    return f"{random.choice(_MOODS)} {random.choice(_DISHES)} {random.choice(_ENDINGS)}"


def content(random: Random) -> str:
    """Return two to five sentences."""
    dish = random.choice(_DISHES)
    lines = [f"오늘은 {random.choice(_MOODS)} {dish}입니다."]
    for _ in range(random.randint(1, 4)):
        lines.append(f"{random.choice(_STEPS)} {random.choice(_STEPS)} 끓이면 {random.choice(_RESULTS)}")  # noqa: PERF401
    return "\n".join(lines)


def comment(random: Random) -> str:
    return random.choice(_REMARKS)
