"""Where third-party images come from: a registry, or packages where none can be reached."""

from __future__ import annotations

from . import images, registry
from .docker import Engine
from .from_packages import built_images
from .images import Image
from .progress import say
from .settings import Settings

PROBE = "busybox:1.37"  # the smallest one


def pulled(engine: Engine, settings: Settings) -> bool:
    """Tell whether images are pulled: as BAPSANG_IMAGES says, else as the engine's images are, else as the registry answers.

    Raises Failure where images must be built and cannot be, and where a registry answers but does not give the image:
    that is nothing to compile half an hour for unasked.
    """
    if settings.images == "pull":
        return True
    if settings.images == "build":
        built_images.check(engine, settings)
        return False
    if engine.tries("image", "inspect", PROBE):
        return not engine.label(PROBE, images.INPUTS)
    try:
        registry.pull(engine, PROBE, settings)
    except registry.PullFailed as failure:
        if failure.answers:
            raise
        built_images.check(engine, settings, because=failure.problem)
        say(f"{failure.problem}\n        So images are built from packages: 20 to 35 minutes on two cores, once.")
        return False
    return True


def provide(image: Image, engine: Engine, settings: Settings) -> None:
    """Make one image of others present in the engine, from where the rest comes. Raises Failure."""
    if pulled(engine, settings):
        registry.pull(engine, image.name, settings)
    else:
        built_images.provide_one(image, engine, settings)
