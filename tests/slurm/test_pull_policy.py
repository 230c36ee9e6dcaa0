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


def test_missing_keeps_what_the_node_has_always_asks(alice, moved_tag):
    image = moved_tag("old")
    assert word(alice, image).lines == ["old"]
    read("docker", "tag", image, "kept:1")
    moved_tag("new")
    read("docker", "tag", "kept:1", image)
    read("docker", "rmi", "kept:1")
    assert word(alice, image).lines == ["old"]
    assert word(alice, image, "--container-pull=always").lines == ["new"]
    assert word(alice, image).lines == ["new"]


def test_within_a_job_the_image_stays(alice, moved_tag):
    image = moved_tag("old")
    script = (
        "srun -Q cat /word; rm -f go; until test -e go; do sleep 0.1; done; "
        "srun -Q --container-pull=always cat /word"
    )
    command = ["salloc", "-Q", "-N1", f"--docker={image}", "sh", "-c", script]
    job = alice.start(*command, stdout=-1)
    assert job.stdout.readline() == "old\n"
    moved_tag("new")
    alice.run("touch", "go")
    assert job.communicate()[0] == "old\n"
    alice.run("rm", "go")


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
