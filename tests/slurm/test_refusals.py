"""Bad input ends srun, sbatch and salloc at once, and nothing is queued or started."""

import time

import pytest
from conftest import BUSYBOX, read

from pycontrol import request
from pycontrol.errors import UserError

WRONG = [
    (["--docker=A"], "--docker: `A` is not an image name: names have no capital letters"),
    (["--container-image="], "--container-image: the image has no name"),
    (["--container-image=oci://a"], "--container-image: oci:// is no kind of image"),
    (
        [f"--docker={BUSYBOX}", "--container-image=b"],
        f"--container-image=b and --docker={BUSYBOX} contradict each other",
    ),
    ([f"--docker={BUSYBOX}", "--container-mounts=/a:b"], "--container-mounts: b must be an abs"),
    (
        [f"--docker={BUSYBOX}", "--container-mounts=/a:/b:zz"],
        "--container-mounts: /a:/b:zz: `zz` is no",
    ),
    ([f"--docker={BUSYBOX}", "--container-workdir=x"], "--container-workdir: x must be an abs"),
    ([f"--docker={BUSYBOX}", "--container-name=a/b"], "--container-name: `a/b` is no name"),
    ([f"--docker={BUSYBOX}", "--container-name=a:b"], "--container-name: `b` is none of auto"),
    ([f"--docker={BUSYBOX}", "--container-save=/x.tar"], "--container-save needs a container"),
    ([f"--docker={BUSYBOX}", "--container-env=1=2"], "--container-env: `1` is no variable's name"),
    (
        [f"--docker={BUSYBOX}", "--container-env=SLURM_X=1"],
        "--container-env: SLURM_X is Slurm's own and cannot be set",
    ),
    ([f"--docker={BUSYBOX}", "--container-unshare=user"], "--container-unshare: `user` is none"),
    ([f"--docker={BUSYBOX}", "--container-pull=no"], "--container-pull: `no` is none of always"),
    ([f"--docker={BUSYBOX}", "--container-tmp=x"], "--container-tmp: `x` is none of host"),
    (
        [f"--docker={BUSYBOX}", "--container-writable", "--container-readonly"],
        "--container-writable and --container-readonly contradict each other: give one",
    ),
    ([f"--docker={BUSYBOX}", "--container-remap-root"], "--container-remap-root is not supported"),
    (["--docker=" + "x" * 600], "--docker: the name has more than 512 characters"),
    (
        [f"--docker={BUSYBOX}", "--container-mount-home", "--no-container-mount-home"],
        "--container-mount-home and --no-container-mount-home contradict each other",
    ),
    (
        [f"--docker={BUSYBOX}", "--container-entrypoint", "--no-container-entrypoint"],
        "--container-entrypoint and --no-container-entrypoint contradict each other",
    ),
    (["--container-name=x:create"], "--container-name=x:create needs an image to make it of"),
    (["--docker=/x.tar", "--container-pull=always"], "--container-pull=always: /x.tar does not"),
    (
        [f"--docker={BUSYBOX}", "--container-writable", "--container-save=x.tar"],
        "--container-save: `x.tar` may be a file or an image",
    ),
    (["--container-workdir=/x"], "--container-workdir needs an image: add --container-image"),
]


def refusal(options: list[str]) -> str:
    """The parser's whole text; tests/unit/test_request.py has them word for word."""
    given = (option.removeprefix("--").partition("=")[::2] for option in options)
    with pytest.raises(UserError) as error:
        request.parse(tuple(given), "/")
    return str(error.value)


def last_job() -> str:
    return read("scontrol", "show", "config").split("NEXT_JOB_ID")[1].split()[1]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_srun(alice, options, message):
    before = last_job()
    result = alice.run("srun", *options, "true")
    assert result.status == 1
    assert result.stderr == f"socker: {refusal(options)}\n"
    assert result.stderr.startswith(f"socker: {message}")
    assert last_job() == before


@pytest.mark.parametrize(("options", "message"), WRONG[::4])
def test_sbatch_and_salloc(alice, options, message):
    before = last_job()
    for command in (["sbatch", *options, "--wrap=true"], ["salloc", *options, "true"]):
        result = alice.run(*command)
        assert result.status == 1
        assert f"socker: {refusal(options)}" in result.stderr.splitlines()
        assert message in result.stderr
    assert last_job() == before


def test_a_line_of_a_script(alice):
    result = alice.script("#!/bin/sh\n#SBATCH --docker=A\ntrue\n")
    assert "socker: --docker: `A` is not an image name" in result.stderr


def test_in_a_job(alice):
    result = alice.run("salloc", "-Q", f"--docker={BUSYBOX}", "srun", "--container-tmp=x", "true")
    assert "socker: --container-tmp: `x` is none of host, private" in result.stderr


def test_an_environment_variable(alice):
    result = alice.run("srun", f"--docker={BUSYBOX}", "true", env={"SOCKER_CONTAINER_PULL": "no"})
    assert "socker: --container-pull: `no` is none of" in result.stderr
    result = alice.run(
        "srun", f"--docker={BUSYBOX}", "true", env={"SOCKER_CONTAINER_WRITABLE": "x"}
    )
    assert "socker: SOCKER_CONTAINER_WRITABLE: `x` is neither 1 nor 0" in result.stderr


def test_at_once(alice):
    """Below 50 ms a check by design; what is seen here is only that nothing waits."""
    started = time.monotonic()
    alice.run("srun", "--docker=A", "true")
    assert time.monotonic() - started < 5


def test_every_option_is_in_the_help(alice):
    text = alice.run("srun", "--help").stdout
    assert text.count("[socker]") == 22
