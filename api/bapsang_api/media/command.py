"""`bapsang-api check-image`: what would become of a file, as JSON, without a server, a bucket or settings."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from bapsang_api.media.process import examine
from bapsang_api.media.verdict import Photo, Refused, Undecided, Use, to_wire

_CODES: Final = {Photo: 0, Refused: 1, Undecided: 3}


def check_image(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="the upload")],
    out: Annotated[Path | None, typer.Option(file_okay=False, metavar="FOLDER", help="for what is published")] = None,
    use: Annotated[Use, typer.Option(help="what the picture is for")] = Use.POST,
) -> int:
    """Print as JSON what would become of an upload: 0 accepted, 1 refused, 3 undecided. Needs no server and no settings."""
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
