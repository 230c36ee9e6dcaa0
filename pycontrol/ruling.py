"""What is decided of each thing that a step asks for, one verdict after the other.

Pure.  policy.decide() takes the first refusal of them, `socker explain` shows
all.  What only the node can know is held against the same rules there: where a
mount's source leads (spank_plugin/paths.c), where an image file is, and which
digest a tag has (`check_file`, `check_image`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pycontrol import imagename, judge, limits
from pycontrol.config import Config
from pycontrol.errors import PolicyError
from pycontrol.image import Image, Reference
from pycontrol.judge import Judge, Verdict
from pycontrol.mounts import Mount
from pycontrol.plaindata import replace
from pycontrol.request import ContainerRequest
from pycontrol.rules import Place, Rules


def judges_of(rules: Rules, account, places: Iterable[Place]) -> tuple[Judge, ...]:
    """One for each place; a job in several must satisfy all."""
    return tuple(Judge(rules, account, place) for place in dict.fromkeys(places))


def verdicts(
    request: ContainerRequest, mounts: Iterable[Mount], judges: Iterable[Judge], config: Config
) -> tuple[Verdict, ...]:
    """Of the options, the image, and `mounts`, the user's own, in this order."""
    found = list(_of_options(request, config))
    for judging in judges:
        if request.image:
            found += _of_image(request.image, judging)
        for mount in mounts:
            found += _of_mount(mount, judging, config)
    return tuple(dict.fromkeys(found))


def _of_options(request: ContainerRequest, config: Config) -> Iterator[Verdict]:
    for name in request.given:
        if name in config.options_off:
            yield Verdict(
                f"--{name}", False, "this site has switched it off (options_off): leave it out"
            )


def _of_image(image: Reference, judging: Judge) -> Iterator[Verdict]:
    name = imagename.full_name(image)
    found = judging.image(name)
    if image.source == "file" and judging.knows_files():
        why = f"as it is written, {found.why}; where it leads decides"
        found = Verdict(found.about, None, why, later=True)
    yield found
    yield judging.digest(name)


def _of_mount(mount: Mount, judging: Judge, config: Config) -> Iterator[Verdict]:
    if mount.kind == "bind" and mount.source not in sources_of_socker(config):
        yield judging.source(mount.source)
    yield judging.target(mount.target)


def of_image(found: Iterable[Verdict]) -> str:
    """Why the image is allowed: for the audit."""
    return next((verdict.why for verdict in found if verdict.about.startswith("image ")), "")


def sources_of_socker(config: Config) -> tuple[str, ...]:
    """What `socker pull` mounts, whatever the rules say: root's, and nothing is in it."""
    return (config.launcher,)


def refuse(found: Iterable[Verdict], surely: bool = True) -> None:
    """Raises PolicyError with the first refusal; surely: also of what is not known."""
    for verdict in found:
        if verdict.allowed is False:
            raise PolicyError(verdict.text)
        if verdict.allowed is None and surely and not verdict.later:
            raise PolicyError(
                f"{verdict.about}: it is not known whether the site allows it: {verdict.why}: "
                "tell the admin"
            )


def checked(mounts: tuple[Mount, ...], judges: tuple[Judge, ...]) -> tuple[Mount, ...]:
    """Mounts that the tasks must hold against the rules, too, where there are any."""
    if judge.common_sources(judges) is None and not judge.all_targets(judges):
        return mounts
    return tuple(replace(mount, checked=True) for mount in mounts)


def passes(mount: Mount, judges: Iterable[Judge], config: Config) -> bool:
    """Whether a mount that nobody asked for by name may be there."""
    found = (verdict for judging in judges for verdict in _of_mount(mount, judging, config))
    return not any(verdict.allowed is False for verdict in found)


# --- on the node, with more known ------------------------------------------------


def file_judge(judges: tuple[Judge, ...]) -> Callable[[str], None] | None:
    """What an image's file is held against, by where its path leads; None: it is not."""

    def check(path: str) -> None:
        name = imagename.full_name(Reference(path, "file"))
        refuse(found for j in judges for found in (j.image(name), j.digest(name)))

    return check if any(judging.knows_files() for judging in judges) else None


def knows_tags(judges: Iterable[Judge]) -> bool:
    """Whether it may depend on an image's tag what is decided of it."""
    return any(judging.knows_tags() for judging in judges)


def check_image(
    judges: Iterable[Judge], reference: Reference, image: Image, config: Config
) -> None:
    """An image that the node has now: with its size and digests, whatever it was asked for by."""
    limits.of(config).check_image(reference.text, image)
    name = imagename.full_name(reference)
    digests = (digest.rpartition("@")[2] for digest in image.digests)
    known = replace(name, also=(*digests, image.image_id))
    if reference.source == "file":  # which has been decided on its path
        refuse(judging.content(known) for judging in judges)
    else:
        refuse(judging.image(known) for judging in judges)
