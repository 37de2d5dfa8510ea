"""What users read of a picture that cannot be shown, by reason: what is wrong, and what they can do."""

from collections.abc import Mapping
from typing import Final

from bapsang_api.media.kinds import MOST_BYTES
from bapsang_api.media.sizes import MOST_PIXELS
from bapsang_api.media.verdict import Reason

_TOO_LARGE: Final = f"{MOST_BYTES} 바이트 이하여야 합니다."
# Whoever gave up has tried several times; the next upload may meet a better day.
_NOT_PROCESSED: Final = "사진을 처리하지 못했습니다. 다시 올려 주세요."
MESSAGES: Final[Mapping[Reason, str]] = {
    Reason.NOT_A_PICTURE: "올바른 이미지 파일이 아닙니다. JPEG, PNG, WebP, HEIC, AVIF, GIF를 올려 주세요.",
    Reason.DAMAGED: "손상되었거나 일부가 없는 이미지입니다. 원본 파일을 다시 올려 주세요.",
    Reason.TOO_MANY_PIXELS: f"{MOST_PIXELS:,} 화소 이하여야 합니다.",
    Reason.TOO_MANY_PARTS: "구조가 지나치게 복잡한 이미지입니다. 다시 저장해서 올려 주세요.",
    Reason.TOO_LARGE: _TOO_LARGE,
    Reason.MOTION_PHOTO: f"{_TOO_LARGE} 모션 포토는 동영상을 잘라 내고 사진만 올려 주세요.",
    Reason.TOO_SLOW: "처리하기에 너무 복잡한 이미지입니다. 다시 저장하거나 크기를 줄여서 올려 주세요.",
    Reason.TOO_MUCH_MEMORY: "처리하기에 너무 큰 이미지입니다. 크기를 줄여서 올려 주세요.",
    Reason.DECODER_CRASHED: "읽을 수 없는 이미지입니다. JPEG로 다시 저장해서 올려 주세요.",
    Reason.TIMED_OUT: _NOT_PROCESSED,
    Reason.KILLED: _NOT_PROCESSED,
    Reason.BROKEN: _NOT_PROCESSED,
}
