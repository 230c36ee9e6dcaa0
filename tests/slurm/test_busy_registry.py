"""A registry that is busy, fails or hangs up for a while fails no step."""

import time

import images
import pytest
from busy_registry import busy

DOOR = 5057
IMAGE = f"127.0.0.1:{DOOR}/busybox:1"


@pytest.fixture(autouse=True)
def not_here():
    images.remove_from_engine(IMAGE)
    yield
    images.remove_from_engine(IMAGE)


@pytest.mark.parametrize("status", [429, 503, 500, 0])
def test_it_is_asked_again(alice, status):
    with busy(DOOR, "/manifests/", status, 2) as registry:
        result = alice.srun(f"--docker={IMAGE}", "echo", "ran")
        assert registry.failures == 0
    assert (result.lines, result.status) == (["ran"], 0)


def test_one_that_goes_on_failing_fails_the_step(alice):
    """With its own words, and the user sees that something is waited for."""
    began = time.monotonic()
    with busy(DOOR, "/manifests/", 503, 10_000):
        result = alice.srun(f"--docker={IMAGE}", "true", timeout=120)
    assert result.status == 1
    assert "waiting for the registry, which is busy or failed, for" in result.stderr
    assert "503 Service Unavailable" in result.stderr
    assert time.monotonic() - began < 90


def test_a_cancelled_step_does_not_wait(alice, wait_for):
    with busy(DOOR, "/manifests/", 503, 10_000) as registry:
        step = alice.start("srun", "-Q", "--job-name=waits", f"--docker={IMAGE}", "true", stderr=-1)
        wait_for(lambda: registry.failures < 10_000)
        began = time.monotonic()
        alice.run("scancel", "--name=waits")
        step.communicate(timeout=60)
        assert time.monotonic() - began < 15


def test_wrong_names_are_told_at_once(alice):
    with busy(DOOR, "/nothing/", 503, 0):
        began = time.monotonic()
        result = alice.srun(f"--docker=127.0.0.1:{DOOR}/no/such:1", "true")
    assert result.status == 1
    assert "manifest unknown" in result.stderr
    assert time.monotonic() - began < 10
