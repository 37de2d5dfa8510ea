"""What runs in the process that decodes: `python -m bapsang_api.media.child USE KIND MEMORY CPU_SECONDS ANSWER`.

The upload is its standard input; its standard output is a line of JSON (`verdict.to_wire`), then the variants in that order,
end to end. It ends with 0 and a verdict, by a signal, or with another code for a bug.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from bapsang_api.media import decoding, encoding
from bapsang_api.media.confinement import ConfinementError, Limits, confine, limit
from bapsang_api.media.decoding import RefusedError
from bapsang_api.media.kinds import Kind
from bapsang_api.media.verdict import Photo, Reason, Refused, Use, Verdict, to_wire

UNCONFINED: Final = 70  # exit code


def main(arguments: Sequence[str]) -> None:
    """Decode what is on standard input; ends the process."""
    use, kind = Use(arguments[0]), Kind(arguments[1])
    memory, cpu_seconds, answer = map(int, arguments[2:])
    limit(Limits(memory, cpu_seconds, answer=answer))
    with open(0, "rb", closefd=False) as upload:
        content = upload.read()
    try:
        opened = decoding.opener(kind)
        confine()
    except ConfinementError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(UNCONFINED)
    try:
        image, original = decoding.decoded(content, kind, opened, lambda size: encoding.needed(use, size))
        made = list(encoding.variants(image, use, original))
        colour, placeholder = encoding.average_colour(image), encoding.placeholder(image)
    except RefusedError as error:
        _answer(error.verdict)
    except MemoryError:
        _answer(Refused(Reason.TOO_MUCH_MEMORY, f"it takes more than {memory} bytes of memory"))
    variants = tuple(variant for variant, _ in made)
    _answer(Photo(kind, *original, placeholder, colour, variants), *(file for _, file in made))


def _answer(verdict: Verdict, *files: bytes) -> NoReturn:
    for part in (json.dumps(to_wire(verdict)).encode() + b"\n", *files):
        view = memoryview(part)
        while view:
            view = view[os.write(1, view) :]
    os._exit(0)  # nothing to clean up, and nothing can be any more


if __name__ == "__main__":
    main(sys.argv[1:])
