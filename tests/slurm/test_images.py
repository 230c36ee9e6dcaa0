"""Finding and pulling images: once per node, with progress, with clear errors."""

import os
import subprocess
import time

import images
import pytest
from conftest import BUSYBOX, REGISTRY, containers, read
from slow_registry import SlowRegistry


def engine_pulls(reference: str, since: float) -> int:
    """How often the engine pulled the image since then (seconds, epoch)."""
    events = read(
        "docker", "events", "--since", f"{since:.6f}", "--until", f"{time.time():.6f}",
        "--filter", "event=pull", "--format", "{{.Actor.ID}}",
    )  # fmt: skip
    return events.split().count(reference)


def test_a_missing_image_names_itself_and_the_registrys_words(alice):
    result = alice.srun(f"--docker={REGISTRY}/no/such:1", "true")
    assert result.status == 1
    told = [line for line in result.stderr.splitlines() if line.startswith("socker: ")]
    assert told[0].startswith(f"socker: image {REGISTRY}/no/such:1 cannot be pulled: ")
    assert "manifest unknown" in told[0]
    assert result.stderr.count("socker:") == 1
    assert "spank" not in result.stderr


def test_a_registry_that_is_not_there(alice):
    result = alice.srun("--docker=127.0.0.1:5999/a:1", "true")
    assert result.status == 1
    assert "127.0.0.1:5999/a:1 cannot be pulled" in result.stderr
    assert "it cannot be reached from this node: Connection refused" in result.stderr


@pytest.mark.parametrize(
    "name",
    ["UPPER", "a b", "-x", "a:", "x" * 600, "a@sha256:12", "a/../b", "http://a/b"],
)
def test_names_that_cannot_be(alice, name):
    result = alice.srun(f"--docker={name}", "true")
    assert result.status == 1
    assert "socker: --docker: " in result.stderr


def test_an_empty_name(alice):
    result = alice.srun("--container-image=", "true")
    assert result.status != 0
    assert "has no name" in result.stderr


def test_by_digest(alice):
    alice.srun(f"--docker={BUSYBOX}", "true")
    digest = read("docker", "inspect", "-f", "{{index .RepoDigests 0}}", BUSYBOX).strip()
    images.remove_from_engine(BUSYBOX)
    assert alice.srun(f"--docker={digest}", "echo", "ran").lines == ["ran"]
    images.remove_from_engine(digest)


def test_twenty_steps_at_once_pull_once(alice):
    images.remove_from_engine(BUSYBOX)
    since = time.time()
    script = (
        "for i in $(seq 20); do srun -Q --overlap -n1 -N1 --mem=0 "
        f"--docker={BUSYBOX} echo ran-$i & done; wait"
    )
    result = alice.run("salloc", "-Q", "-N2", "-n2", "--mem=2000", "sh", "-c", script, timeout=300)
    assert sorted(result.lines) == sorted(f"ran-{i}" for i in range(1, 21))
    assert engine_pulls(BUSYBOX, since) == 1


def test_twenty_steps_of_a_wrong_name_ask_once(alice):
    """Those who wait get the first one's answer."""
    script = (
        "for i in $(seq 20); do srun -Q --overlap -n1 -N1 --mem=0 "
        f"--docker={REGISTRY}/nope:1 echo ran & done; wait"
    )
    result = alice.run("salloc", "-Q", "-N2", "-n2", "--mem=2000", "sh", "-c", script, timeout=300)
    assert result.stdout == ""
    assert result.stderr.count("nope:1 cannot be pulled") == 20


def test_a_present_image_needs_no_registry(alice):
    alice.srun(f"--docker={BUSYBOX}", "true")
    since = time.time()
    assert alice.srun(f"--docker={BUSYBOX}", "echo", "ran").lines == ["ran"]
    assert engine_pulls(BUSYBOX, since) == 0


@pytest.fixture
def slow_image(make_image):
    """An image of 6 MB that takes about 12 s to pull."""
    noise = os.urandom(6_000_000)
    image = make_image("slow", lambda root: (root / "noise").write_bytes(noise))
    registry = SlowRegistry(5001, 500_000)
    slow = image.replace(REGISTRY, registry.address)
    yield slow
    registry.close()
    images.remove_from_engine(slow)


def test_a_long_pull_shows_progress(alice, slow_image):
    result = alice.srun(f"--docker={slow_image}", "echo", "ran", timeout=120)
    assert result.lines == ["ran"]
    lines = [
        line
        for line in result.stderr.splitlines()
        if line.startswith(f"socker: pulling {slow_image}: ")
    ]
    assert len(lines) >= 2
    assert "of 6 MB" in lines[0] or "of 7 MB" in lines[0]


def test_a_pull_that_takes_too_long_ends(alice, slow_image, settings):
    """Also while the engine says nothing: the site's pull_timeout is by the clock."""
    settings.write_text("pull_timeout = 3\n")
    result = alice.srun(f"--docker={slow_image}", "echo", "ran")
    assert result.status == 1
    assert result.stdout == ""
    assert f"image {slow_image}: the pull took longer than pull_timeout = 3 s" in result.stderr


def test_a_step_that_waits_for_anothers_pull_says_so(alice, slow_image):
    script = (
        f"srun -Q --overlap -n1 --docker={slow_image} echo one & sleep 1;"
        f"srun -Q --overlap -n1 --docker={slow_image} echo two; wait"
    )
    result = alice.run("salloc", "-Q", "-n1", "sh", "-c", script, timeout=120)
    assert sorted(result.lines) == ["one", "two"]
    assert f"socker: waiting for another step's set-up of image {slow_image}" in result.stderr
    assert f"socker: pulling {slow_image}" in result.stderr


def test_scancel_ends_a_pull(alice, slow_image, wait_for):
    process = alice.start(
        "srun", "-Q", f"--docker={slow_image}", "echo", "ran", stdout=-1, stderr=-1
    )
    assert "pulling" in process.stderr.readline()
    started = time.monotonic()
    alice.run("scancel", "--user=alice")
    output, _ = process.communicate(timeout=40)
    assert output == ""
    wait_for(lambda: read("sinfo", "-h", "-o", "%T").split() == ["idle"], 30)
    assert time.monotonic() - started < 30


def test_an_engine_that_is_down(alice, settings):
    """A clear error, and a node that is idle afterwards (the fixture looks)."""
    settings.write_text('engine = "unix:///run/no-engine.sock"\n')
    for step in (alice.srun(f"--docker={BUSYBOX}", "echo", "ran"),
                 alice.script("#!/bin/sh\necho ran\n", f"--docker={BUSYBOX}")):  # fmt: skip
        assert step.status == 1
        text = step.stderr + step.stdout
        assert "engine unix:///run/no-engine.sock cannot be reached on this node" in text
        assert "tell the admin" in text
        assert "\nran" not in text
    assert not containers()


def test_the_real_engine_down_and_up_again(alice):
    """dockerd itself stopped: an error, then all is well without touching Slurm."""
    import cluster

    engine = cluster.dockerd()
    if cluster.has_systemd():
        subprocess.run(["systemctl", "stop", "docker.socket", "docker"], check=True)
    else:
        engine.stop()
    try:
        result = alice.srun(f"--docker={BUSYBOX}", "echo", "ran")
        assert result.status == 1
        assert "cannot be reached on this node" in result.stderr
    finally:
        cluster.start_service(engine, "docker")
    assert alice.srun(f"--docker={BUSYBOX}", "echo", "ran").lines == ["ran"]


def test_a_job_cannot_ask_for_any_number_of_images(alice):
    """Each is a container; a running one can still be joined."""
    script = (
        f"srun -Q --docker={BUSYBOX} true;"
        f"for i in $(seq 32); do srun -Q --docker={REGISTRY}/nope:$i true; done 2>&1 | tail -2;"
        f"srun -Q --docker={BUSYBOX} echo joined"
    )
    result = alice.run("salloc", "-Q", "-n1", "sh", "-c", script, timeout=180)
    assert "the job has asked for 32 images and names on this node already" in result.stdout
    assert result.lines[-1] == "joined"
