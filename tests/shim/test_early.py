"""The way of a job's options: its prolog keeps them, its extern step takes them once."""

import fcntl
from pathlib import Path

import pytest

OPTIONS = "container-image=busybox\x1fcontainer-mounts=/a:/b"
STARTED = "log: socker: hook: started"


@pytest.fixture(autouse=True)
def nothing_kept(stub):
    """But an empty file, which the epilog removes."""
    yield
    for path in stub.state.glob("early/*"):
        assert path.read_text() == ""
        path.unlink()


def prolog(stub, options: str | None, **env: str) -> None:
    env |= {} if options is None else {"SPANK_SOCKER_OPTIONS": options}
    assert "prolog 0" in stub.run("prolog", env=env), "a failing prolog drains the node"


def test_from_the_prolog_to_the_extern_step(stub):
    prolog(stub, OPTIONS)
    (kept,) = stub.state.glob("early/*")
    assert (kept.name, kept.read_text()) == ("n7.42", f"{OPTIONS}\0/\0")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert STARTED in stub.run("extern", script="stderr started\nexit 0")
    assert kept.read_text() == ""
    assert STARTED not in stub.run("extern", script="stderr started\nexit 0")
    assert not kept.exists()


def test_the_hook_holds_a_lock_while_it_works(stub):
    """By which the job's first step knows that a plan may come."""
    prolog(stub, OPTIONS)
    (kept,) = stub.state.glob("early/*")
    held = kept.parent.with_name("held")
    script = f"run flock --nonblock {kept} true || touch {held}\nexit 0"
    stub.run("extern", script=script)
    assert held.exists()
    held.unlink()
    with kept.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its end is the lock's


def test_the_options_are_those_of_the_job(stub):
    prolog(stub, OPTIONS)
    output = stub.run("extern", script="log\nexit 0")
    assert "option container-image=busybox" in output
    assert "option container-mounts=/a:/b" in output


def test_the_directory_is_that_of_the_jobs_command(stub):
    output = stub.run("allocator", "container-image=busybox", python=True)
    assert f"job SOCKER_DIRECTORY={Path.cwd()}" in output
    prolog(stub, OPTIONS, SPANK_SOCKER_DIRECTORY="/home/a b")
    assert "directory /home/a b\n" in stub.run("extern", script="log\nexit 0")


@pytest.mark.parametrize("odd", ["", "relative", f"/{'a' * 5_000}"])
def test_an_odd_directory_is_none(stub, odd):
    prolog(stub, OPTIONS, SPANK_SOCKER_DIRECTORY=odd)
    output = stub.run("extern", script="log\nexit 0")
    assert "directory /\n" in output and "option container-image=busybox" in output


def test_a_file_without_a_directory_has_options(stub):
    """Of another release's prolog."""
    prolog(stub, OPTIONS)
    (kept,) = stub.state.glob("early/*")
    kept.write_text(OPTIONS)
    output = stub.run("extern", script="log\nexit 0")
    assert "directory /\n" in output and "option container-mounts=/a:/b" in output


def test_a_step_in_the_jobs_directory_asks_the_same(stub):
    """So the job's hook can leave its plan (pycontrol/hooks.py, job_start)."""
    image = "container-image=busybox"
    prolog(stub, image, SPANK_SOCKER_DIRECTORY=str(Path.cwd()))
    job = stub.state / "n7/42"
    job.mkdir(parents=True, exist_ok=True)
    try:
        stub.run("extern", script="keep\nexit 0")
        [path] = job.glob("plan-*")
        early = path.read_bytes()
        path.unlink()
        stub.run("remote", image, script="keep\nexit 1", tasks=3)
        assert (path.read_bytes(), [*job.glob("plan-*")]) == (early, [path])
    finally:
        for path in job.glob("plan-*"):
            path.unlink()


LONG = f"container-image=busybox\x1fcontainer-env=A={'a' * 40_000}"


def test_a_long_list_does_not_reach_the_prolog(stub):
    """One of 128 KiB would keep Slurm from running it, which drains the node."""
    for context in ("local", "allocator"):
        options = LONG.split("\x1f")
        assert "job SOCKER_OPTIONS=" not in stub.run(context, *options, python=True)
        assert "job SOCKER_OPTIONS=" in stub.run(context, options[0], python=True)


@pytest.mark.parametrize("options", [None, "", "container-image=none", "nonsense", LONG])
def test_nothing_is_begun_for_a_native_job(stub, options):
    prolog(stub, options)
    assert STARTED not in stub.run("extern", script="stderr started\nexit 0")


def test_the_last_prolog_counts(stub):
    """A job may be requeued to the node where it had begun."""
    prolog(stub, OPTIONS)
    prolog(stub, "container-image=other")
    assert "option container-image=other" in stub.run("extern", script="log\nexit 0")


def test_a_link_in_the_files_place_is_not_followed(stub, tmp_path):
    prolog(stub, OPTIONS)
    (kept,) = stub.state.glob("early/*")
    target = tmp_path / "target"
    target.write_text("container-image=linked")
    kept.unlink()
    kept.symlink_to(target)
    assert STARTED not in stub.run("extern", script="stderr started\nexit 0")
    kept.unlink()
    kept.symlink_to(target)
    prolog(stub, None)
    assert target.read_text() == "container-image=linked"


def test_a_prolog_that_cannot_write_does_not_fail(stub):
    stub.state.mkdir(exist_ok=True)
    (stub.state / "early").rmdir() if (stub.state / "early").exists() else None
    (stub.state / "early").write_text("in the way")
    try:
        prolog(stub, OPTIONS)
    finally:
        (stub.state / "early").unlink()


def test_a_hook_that_hangs_ends_with_the_job(stub):
    prolog(stub, OPTIONS)
    assert "exit 0" in stub.run("extern", script="sleep 50")
