"""`bapsang-api check-image`: what would become of a file, as JSON, without a server, a bucket or settings."""

import json
import sys
from pathlib import Path
from typing import Final

from bapsang_api.media.process import examine
from bapsang_api.media.verdict import Photo, Refused, Undecided, Use, to_wire

_CODES: Final = {Photo: 0, Refused: 1, Undecided: 3}


def check_image(file: Path, use: Use, out: Path | None) -> int:
    """Print the JSON object and return the exit code; writes the variants and `photo.json` into `out`.

    Raises OSError when the file cannot be read or the folder not be written.
    """
    with file.open("rb") as upload:
        outcome = examine(upload, use)
    text = json.dumps(to_wire(outcome.verdict), indent=2) + "\n"
    if out is not None and isinstance(outcome.verdict, Photo):
        out.mkdir(parents=True, exist_ok=True)
        for name, content in outcome.files.items():
            (out / name).write_bytes(content)
        (out / "photo.json").write_text(text)
    sys.stdout.write(text)
    return _CODES[type(outcome.verdict)]
