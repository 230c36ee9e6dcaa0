"""--container-pull, dockerd://, and enroot's form of names."""

import time

import images
import pytest
from conftest import BUSYBOX, REGISTRY, read


@pytest.fixture
def moved_tag(make_image):
    """A tag that moves: move(text) makes its image one whose /word says text."""

    def move(text: str) -> str:
        return make_image("moving", lambda root: (root / "word").write_text(text + "\n"))

    return move


def pulls(since: float) -> int:
    """How often the engine pulled since then (seconds, epoch)."""
    times = ["--since", f"{since:.6f}", "--until", f"{time.time():.6f}"]
    return len(read("docker", "events", *times, "--filter", "event=pull").splitlines())


def word(alice, image: str, *options: str):
    return alice.srun(f"--docker={image}", *options, "cat", "/word")


def test_missing_and_always_run_what_the_tag_is_now(alice, moved_tag):
    for options in ([], ["--container-pull=missing"], ["--container-pull=always"]):
        image = moved_tag(f"for {options}")
        assert word(alice, image, *options).lines == [f"for {options}"]
        since = time.time()
        assert word(alice, image, *options).lines == [f"for {options}"]
        assert pulls(since) == 0, "the node has that digest"


def test_always_with_two_steps_at_once_asks_once(alice, moved_tag):
    image = moved_tag("one")
    since = time.time()
    result = alice.srun("-N2", f"--docker={image}", "--container-pull=always", "cat", "/word")
    assert result.lines == ["one", "one"]
    assert pulls(since) == 1


def test_never(alice):
    images.remove_from_engine(BUSYBOX)
    result = alice.srun(f"--docker={BUSYBOX}", "--container-pull=never", "true")
    message = f"socker: image {BUSYBOX}: this node does not have it, and the step may not pull it"
    assert message in result.stderr
    assert not images.in_engine(BUSYBOX)
    assert alice.srun(f"--docker={BUSYBOX}", "true").status == 0
    assert alice.srun(f"--docker={BUSYBOX}", "--container-pull=never", "true").status == 0


def test_the_nodes_engine_alone(alice):
    images.remove_from_engine(BUSYBOX)
    result = alice.srun(f"--docker=dockerd://{BUSYBOX}", "true")
    assert "this node does not have it" in result.stderr
    assert alice.srun(f"--docker=docker://{BUSYBOX}", "true").status == 0
    assert alice.srun(f"--docker=dockerd://{BUSYBOX}", "echo", "x").lines == ["x"]


def test_enroots_form(alice):
    host, _, name = BUSYBOX.partition("/")
    assert host == REGISTRY
    for text in (f"{host}#{name}", f"docker://{host}#{name}", f"me@{host}#{name}"):
        assert alice.srun(f"--docker={text}", "echo", "x").lines == ["x"]


def test_by_digest(alice):
    alice.srun(f"--docker={BUSYBOX}", "true")
    digest = read("docker", "inspect", "-f", "{{index .RepoDigests 0}}", BUSYBOX).strip()
    assert "@sha256:" in digest
    assert alice.srun(f"--docker={digest}", "echo", "x").lines == ["x"]
