"""Which image a step runs: its content, and that its user may have it.

Runs as root in the step's hook.  A step gets an image by its digest.  That is
what the job's tag stood for when it was submitted; else what the registry says
now; else, where the registry need not be asked or gives no answer, what this
node has under the tag.  Whether the image is on the node or is pulled for this
step, its user must be one who may read it (confirm.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from pycontrol import route, ruling, verify
from pycontrol.asking import Asker
from pycontrol.bridge import Channel, StepFacts
from pycontrol.config import Config
from pycontrol.confirm import Confirmer
from pycontrol.engine import Engine
from pycontrol.errors import PolicyError, Unreachable, UserError
from pycontrol.image import Image, Reference, split_reference
from pycontrol.origin import Origin, digest_of, origin_of
from pycontrol.plaindata import dataclass
from pycontrol.policy import ContainerSpec
from pycontrol.pull import Puller, Wanted
from pycontrol.route import DIRECT, Route, is_loopback

MOST_ASKED = 4  # registries, for an image that came from several


@dataclass(frozen=True)
class Found:
    """An image on this node; `name` is REGISTRY/NAME@DIGEST, "" where it came from none."""

    image: Image
    name: str

    @property
    def digest(self) -> str:
        return self.name.partition("@")[2]


def for_step(
    spec: ContainerSpec,
    engine: Engine,
    facts: StepFacts,
    config: Config,
    channel: Channel,
    since: float,
) -> Found:
    """The image on this node, pulled or imported if need be, that the step may run."""
    assert spec.image  # lifecycle.provide() has seen to it
    reference, account, root = spec.image, spec.account, facts.state_root
    if reference.source == "file":
        from pycontrol import imagefile

        verify.refuse_file(reference, config)
        judge = ruling.file_judge(spec.judges)
        importer = imagefile.Importer(reference.text, account, engine, config, channel, root, judge)
        found = Found(importer.provide(), "")
        ruling.check_image(spec.judges, reference, found.image, config)
        return found

    def confirmer(origin: Origin) -> Confirmer:
        asker = Asker(origin, account, facts.env, partial(_route_to, origin, engine), config)
        return Confirmer(origin, account.uid, asker, config, root, since)

    puller = Puller(engine, config, channel, root, since, account.uid)
    provider = Provider(reference, spec.pull, engine, puller, confirmer)
    found = provider.provide()
    if ruling.knows_tags(spec.judges) and not provider.tag_stands(found):
        raise PolicyError(
            f"image {reference.text}: this site's rules are about its tag, which does not stand "
            f"for {found.digest} any more: submit the job again"
        )
    ruling.check_image(spec.judges, reference, found.image, config)
    if found.name:
        verify.check(found.name, account, config, root)
    return found


def _route_to(origin: Origin, engine: Engine) -> Route:
    """As the engine goes; it need not be asked for the way to this machine."""
    return DIRECT if is_loopback(origin.registry) else route.of_engine(engine.info())


@dataclass(frozen=True)
class Provider:
    """For one image and one step.

    policy      always, missing or never: when to ask the registry or pull
    confirmers  gives what asks a registry as the job's owner
    """

    reference: Reference
    policy: str
    engine: Engine
    puller: Puller
    confirmers: Callable[[Origin], Confirmer]

    def provide(self) -> Found:
        if self.reference.source == "engine":
            return self._of_engine()
        confirmer = self.confirmers(origin_of(self.reference.text))
        digest = confirmer.origin.digest or self.reference.pinned
        if not digest:
            held = self.engine.find_image(self.reference)
            if held and not held.digests and self.policy != "always":
                return Found(held, "")  # made on this node: no registry knows of it
            digest = self._digest_of_tag(confirmer, held)
        present = partial(self._present, confirmer.origin, digest)
        afresh = self.policy == "always" and not digest
        image = None if afresh else present()
        if not image:
            image = self._bring(confirmer, digest, afresh, present)
        found = _found(image, confirmer.origin, digest)
        self._confirm(confirmer, found, self.policy == "always")
        return found

    def tag_stands(self, found: Found) -> bool:
        """Whether what was found is what its tag stands for: the job's digest is a user's word.

        To be asked where rules of the site are about tags.
        """
        if not self.reference.pinned:
            return True
        held = self.engine.find_image(self.reference)
        if held and held.image_id == found.image.image_id:
            return True
        origin = origin_of(self.reference.text)
        return self.confirmers(origin).still_names(origin.tag, found.digest)

    def _digest_of_tag(self, confirmer: Confirmer, held: Image | None) -> str:
        """Empty when the engine's pull shall tell it."""
        own = digest_of(confirmer.origin.name, held.digests) if held else ""
        if own and (self.policy == "never" or (self.policy == "missing" and confirmer.is_public)):
            return own
        if self.policy == "never":
            raise self._missing()
        if confirmer.is_public:
            return ""
        try:
            return confirmer.names(confirmer.origin.tag)
        except UserError as error:
            silent = isinstance(error, Unreachable)
            if silent and own and self.policy == "missing":
                return own
            fix = "" if silent else ": check the name"
            raise UserError(f"image {self.reference.text} cannot be pulled: {error}{fix}") from None

    def _present(self, origin: Origin, digest: str) -> Image | None:
        """What this node has of the digest; of the tag, where no digest is known."""
        if digest:
            return self.engine.image_by_id(origin.at(digest), self.reference.text)
        return self.engine.find_image(self.reference)

    def _bring(
        self,
        confirmer: Confirmer,
        digest: str,
        afresh: bool,
        present: Callable[[], Image | None],
    ) -> Image:
        if self.policy == "never":
            raise self._missing()

        def names() -> Iterator[str]:
            """The tag while it stands for the digest, so that the node's tag is as fresh.

            Never is a tag set by us: a digest may be its user's word.
            """
            origin = confirmer.origin
            if not digest or confirmer.still_names(origin.tag, digest):
                yield f"{origin.name}:{origin.tag}"
            if digest:
                yield origin.at(digest)

        return self.puller.bring(
            Wanted(self.reference, digest, afresh, present, names, confirmer.credentials)
        )

    def _of_engine(self) -> Found:
        """dockerd://: by whatever name, a registry that the image came from must agree."""
        held = self.engine.find_image(self.reference)
        if not held:
            raise self._missing()
        asked = self.confirmers(origin_of(self.reference.text))
        if asked.is_public or not held.digests:
            return _found(held, asked.origin)
        origins = [origin_of(name) for name in held.digests if split_reference(name)]
        origins.sort(key=lambda origin: origin.name != asked.origin.name)
        why: list[UserError] = []
        for origin in origins[:MOST_ASKED]:
            found = _found(held, origin, origin.digest)
            try:
                self._confirm(self.confirmers(origin), found, afresh=False)
                return found
            except UserError as error:
                why.append(error)
        raise (
            why[0]
            if why
            else UserError(
                f"image {self.reference.text}: it came from a registry whose name is not understood"
            )
        )

    def _confirm(self, confirmer: Confirmer, found: Found, afresh: bool) -> None:
        try:
            confirmer.confirm(found.digest, found.image, afresh)
        except UserError as error:
            raise UserError(
                f"image {self.reference.text}: that you may read it is not confirmed: {error}"
            ) from None

    def _missing(self) -> UserError:
        return UserError(
            f"image {self.reference.text}: this node does not have it, and the step may not pull "
            "it: leave out --container-pull=never or dockerd://"
        )


def _found(image: Image, origin: Origin, digest: str = "") -> Found:
    digest = digest or digest_of(origin.name, image.digests)
    return Found(image, origin.at(digest) if digest else "")
