"""What a site's rules say of an image, of mounts, and of a step without a container.

Pure: verdicts from the rules, an account, and the account and partition of a
job.  One order for every question: the rules as the file has them, and the
first that holds for the job and speaks of the matter decides.  If none does, it
is refused where some rule, for whomever, allows something of the kind, and else
allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pycontrol import imagename
from pycontrol.identity import Account
from pycontrol.imagename import Name
from pycontrol.imagepattern import Pattern
from pycontrol.plaindata import dataclass, replace
from pycontrol.rules import Place, Rule, Rules

SHOWS = "`socker images` lists what you may run"


@dataclass(frozen=True)
class Verdict:
    """What is decided of one thing.

    allowed  None where something decides it that is not known
    later    the node will know more, and asks again
    """

    about: str
    allowed: bool | None
    why: str
    later: bool = False

    @property
    def text(self) -> str:
        return f"{self.about}: {self.why}"


@dataclass(frozen=True)
class _Answer:
    allowed: bool
    why: str
    sure: bool = True


def _settle(about: str, answers: Iterable[_Answer]) -> Verdict:
    """The first sure one decides, if those before it do not say otherwise."""
    before: list[_Answer] = []
    for answer in answers:
        if answer.sure:
            doubt = next((b for b in before if b.allowed != answer.allowed), None)
            if doubt:
                return Verdict(about, None, f"{doubt.why}, where it holds; else {answer.why}")
            return Verdict(about, answer.allowed, answer.why)
        before.append(answer)
    raise AssertionError("the last answer is sure")


@dataclass(frozen=True)
class Judge:
    """The rules for one account in one place."""

    rules: Rules
    account: Account
    place: Place

    def _holding(self) -> Iterator[tuple[Rule, bool]]:
        """In order; the second says whether it surely holds."""
        for rule in self.rules.rules:
            holds = rule.holds(self.account, self.place)
            if holds is not False:
                yield rule, holds is True

    # --- images ---

    def image(self, name: Name) -> Verdict:
        return _settle(f"image {name.text}", self._of_image(name))

    def _of_image(self, name: Name) -> Iterator[_Answer]:
        for rule, sure in self._holding():
            pattern = _first(rule.deny_images, name, denying=True)
            if pattern:
                yield _Answer(False, _denial(rule, pattern, name), sure)
            pattern = _first(rule.allow_images, name, denying=False)
            if pattern:
                yield _Answer(True, f"{rule.label} allows `{pattern.text}`", sure)
        rules = self.rules
        named = replace(name, also=())
        by_name = replace(named, source="registry") if name.source == "engine" else named
        listed = [imagename.full_name(reference) for reference in rules.listed or ()]
        if named in listed or by_name in listed:
            yield _Answer(True, f"{rules.list_file} has it")
        if rules.listed is not None or any(rule.allow_images for rule in rules.rules):
            yield _Answer(False, f"no rule of this site allows it: {SHOWS}")
        yield _Answer(True, "no rule is against it")

    def content(self, name: Name) -> Verdict:
        """By its digests alone, wherever it comes from."""
        return _settle(f"image {name.text}", self._of_content(name))

    def _of_content(self, name: Name) -> Iterator[_Answer]:
        for rule, sure in self._holding():
            for pattern in rule.deny_images:
                if pattern.digest and pattern.covers(name, denying=True):
                    yield _Answer(False, _denial(rule, pattern, name), sure)
        yield _Answer(True, "no rule is against it")

    def knows_files(self) -> bool:
        """Whether it may depend on an image file's path what is decided of it."""
        listed = self.rules.listed or ()
        return any(p.source == "file" for p in (*self._patterns(), *listed))

    def knows_tags(self) -> bool:
        """Whether it may depend on an image's tag."""
        return bool(self.rules.listed) or any(p.tag for p in self._patterns())

    def _patterns(self) -> Iterator[Pattern]:
        return (p for r in self.rules.rules for p in (*r.deny_images, *r.allow_images))

    def digest(self, name: Name) -> Verdict:
        """Whether the image may be named as it is: by a tag, or by a digest alone."""
        return _settle(f"digest of image {name.text}", self._of_digest(name))

    def _of_digest(self, name: Name) -> Iterator[_Answer]:
        for rule, sure in self._holding():
            about = not rule.allow_images or _first(rule.allow_images, name, denying=False)
            if not rule.digest or not about:
                continue
            if rule.digest == "optional":
                yield _Answer(True, f"{rule.label} requires none", sure)
            elif name.digest:
                yield _Answer(True, f"{rule.label} requires it, and it is given", sure)
            else:
                why = f"{rule.label} requires one: name the image as NAME@sha256:..."
                yield _Answer(False, why, sure)
        yield _Answer(True, "no rule requires one")

    # --- mounts ---

    def sources(self, surely: bool = True) -> tuple[str, ...] | None:
        """Where the users' mounts may come from; None: from everywhere."""
        if not any(rule.allow_sources for rule in self.rules.rules):
            return None
        holding = [rule for rule, sure in self._holding() if sure or not surely]
        return tuple(dict.fromkeys(path for rule in holding for path in rule.allow_sources))

    def source(self, path: str) -> Verdict:
        return _settle(f"mount {path}", self._of_source(path))

    def _of_source(self, path: str) -> Iterator[_Answer]:
        for rule, sure in self._holding():
            for prefix in rule.allow_sources:
                if _covers(prefix, path):
                    yield _Answer(True, f"{rule.label} allows sources in {prefix}", sure)
        allowed = self.sources(surely=False)
        if allowed is None:
            yield _Answer(True, "no rule is about sources")
        else:
            yield _Answer(False, source_refusal(allowed))

    def targets(self) -> tuple[str, ...]:
        """Where the users may neither mount nor unmount."""
        return tuple(dict.fromkeys(p for rule, _ in self._holding() for p in rule.deny_targets))

    def target(self, path: str) -> Verdict:
        return _settle(f"mount at {path}", self._of_target(path))

    def _of_target(self, path: str) -> Iterator[_Answer]:
        for rule, sure in self._holding():
            for prefix in rule.deny_targets:
                if _covers(prefix, path) or _covers(path, prefix):
                    why = f"{rule.label} keeps {prefix} as it is: {rule.reason or 'use another'}"
                    yield _Answer(False, why, sure)
        yield _Answer(True, "no rule is against it")

    # --- native steps ---

    def native(self) -> Verdict:
        """Whether a step may do without a container."""
        return _settle("no container", self._of_native())

    def _of_native(self) -> Iterator[_Answer]:
        for rule, sure in self._holding():
            if rule.container == "required":
                why = rule.reason or "add --container-image=IMAGE"
                yield _Answer(False, f"{rule.label} requires one{self._there()}: {why}", sure)
            elif rule.container == "optional":
                yield _Answer(True, f"{rule.label} requires none", sure)
        yield _Answer(True, "no rule requires one")

    def _there(self) -> str:
        return f" in partition {self.place.partition}" if self.place.partition else ""


def _first(patterns: Iterable[Pattern], name: Name, denying: bool) -> Pattern | None:
    return next((p for p in patterns if p.covers(name, denying)), None)


def _denial(rule: Rule, pattern: Pattern, name: Name) -> str:
    why = rule.reason or SHOWS
    if pattern.tag and name.digest and not pattern.digest:
        why = f"which tags a digest has nobody knows, so name the image by its tag: {why}"
    return f"{rule.label} denies `{pattern.text}`: {why}"


def _covers(prefix: str, path: str) -> bool:
    return imagename.is_below(imagename.components(path), imagename.components(prefix))


def source_refusal(allowed: Iterable[str]) -> str:
    listed = ", ".join(allowed)
    return f"this site allows mounts from {listed or 'nowhere'} only: use a path there"


def all_targets(judges: Iterable[Judge]) -> tuple[str, ...]:
    """Where a mount may not be in the eyes of one."""
    return tuple(dict.fromkeys(path for judging in judges for path in judging.targets()))


def common_sources(judges: Iterable[Judge]) -> tuple[str, ...] | None:
    """Where a mount may come from in the eyes of all."""
    common: tuple[str, ...] | None = None
    for judging in judges:
        allowed = judging.sources()
        if allowed is not None:
            common = allowed if common is None else _intersection(common, allowed)
    return common


def _intersection(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    inside = [p for p in one if any(_covers(q, p) for q in other)]
    return tuple(dict.fromkeys([*inside, *(q for q in other if any(_covers(p, q) for p in one))]))
