"""--container-env and --container-env-file: which variables win, over what."""

import pytest
from conftest import BUSYBOX


@pytest.fixture
def image(make_image):
    return make_image("env", changes=["ENV PATH=/bin", "ENV BOTH=image", "ENV OF_IMAGE=1"])


def show(alice, image, *options, env=None):
    names = "BOTH OF_IMAGE OF_JOB SET EMPTY"
    script = f'for n in {names}; do eval echo $n=\\"\\$$n\\"; done'
    result = alice.srun(f"--docker={image}", *options, "sh", "-c", script, env=env)
    return dict(line.split("=", 1) for line in result.lines)


JOB = {"BOTH": "job", "OF_JOB": "1"}


def test_the_image_wins_by_default(alice, image):
    assert show(alice, image, env=JOB)["BOTH"] == "image"


def test_the_jobs_value_is_kept(alice, image):
    shown = show(alice, image, "--container-env=BOTH", env=JOB)
    assert (shown["BOTH"], shown["OF_IMAGE"], shown["OF_JOB"]) == ("job", "1", "1")


def test_values_are_set(alice, image):
    shown = show(
        alice, image, "--container-env=SET=a b=c,BOTH=own", "--container-env=EMPTY=", env=JOB
    )
    assert (shown["SET"], shown["BOTH"], shown["EMPTY"]) == ("a b=c", "own", "")


def test_a_file(alice, image):
    path = alice.home / "vars"
    path.write_text("# a comment\n\nSET=with, comma\nBOTH\n  OF_IMAGE=file\n")
    shown = show(alice, image, "--container-env-file=vars", env=JOB)
    assert shown["SET"] == "with, comma"
    assert (shown["BOTH"], shown["OF_IMAGE"]) == ("job", "file")
    shown = show(alice, image, f"--container-env-file={path}", "--container-env=SET=line", env=JOB)
    assert shown["SET"] == "line"


def test_path_can_be_kept(alice):
    result = alice.srun(f"--docker={BUSYBOX}", "--container-env=PATH", "/bin/env")
    assert "PATH=/usr/local/bin:/usr/bin:/bin" in result.lines


def test_the_same_from_sbatch(alice, image):
    script = "#!/bin/sh\n#SBATCH --container-env=BOTH,SET=1\necho $BOTH $OF_IMAGE $SET\n"
    assert alice.script(script, f"--docker={image}", env=JOB).lines == ["job 1 1"]


EVERY = {
    "SOCKER_CONTAINER_MOUNTS": "tmpfs:/mine:size=1m",
    "SOCKER_CONTAINER_WORKDIR": "/bin",
    "SOCKER_CONTAINER_MOUNT_HOME": "0",
    "SOCKER_CONTAINER_WRITABLE": "1",
    "SOCKER_CONTAINER_NAME": "work",
    "SOCKER_CONTAINER_ENTRYPOINT": "1",
    "SOCKER_CONTAINER_ENTRYPOINT_LOG": "1",
    "SOCKER_CONTAINER_ENV": "SET=1",
    "SOCKER_CONTAINER_ENV_FILE": "vars",
    "SOCKER_CONTAINER_UNSHARE": "uts,net",
    "SOCKER_CONTAINER_PULL": "missing",
    "SOCKER_CONTAINER_TMP": "private",
    "SOCKER_CONTAINER_SAVE": "./saved.tar",
}
SEEN = (
    "pwd; touch /new && ls /new; ls -d /home/alice 2>&1; echo $SET $FILE $WRAPPED; ls -A /tmp; "
    "grep -c ' /mine ' /proc/mounts; ls /sys/class/net | wc -l; env | grep -c SOCKER_CONTAINER"
)


@pytest.mark.usefixtures("no_file_images")
@pytest.mark.parametrize("command", ["srun", "sbatch"])
def test_every_option_from_the_environment(alice, make_image, command):
    changes = ["ENV PATH=/bin", 'ENTRYPOINT ["/bin/env", "WRAPPED=1"]']
    image = make_image("every", changes=changes)
    (alice.home / "vars").write_text("FILE=2\n")
    env = EVERY | {"SOCKER_CONTAINER_IMAGE": image}
    if command == "srun":
        result = alice.srun("sh", "-c", SEEN, env=env)
        assert f"socker: image {image}: its entrypoint: /bin/env WRAPPED=1" in result.stderr
    else:
        result = alice.script(f"#!/bin/sh\n{SEEN}\n", env=env)
    lines = [line for line in result.lines if not line.startswith("socker: ")]
    missing = "ls: /home/alice: No such file or directory"
    assert lines[:5] == ["/bin", "/new", missing, "1 2 1", "1"]
    assert lines[-1] == "0"
    assert (alice.home / "saved.tar").exists()
    alice.run("rm", "saved.tar", "vars")


def test_a_file_that_is_not_there(alice):
    result = alice.srun(f"--docker={BUSYBOX}", "--container-env-file=/nowhere", "true")
    assert (
        "socker: --container-env-file: /nowhere: No such file or directory: check the path"
        in result.stderr.splitlines()
    )


def test_a_file_of_roots(alice):
    result = alice.srun(f"--docker={BUSYBOX}", "--container-env-file=/etc/shadow", "true")
    assert "--container-env-file: /etc/shadow: Permission denied" in result.stderr


def test_a_pipe_is_no_file(alice):
    alice.run("mkfifo", "pipe")
    result = alice.srun(f"--docker={BUSYBOX}", "--container-env-file=pipe", "echo", "ran")
    assert result.lines == []
    assert "pipe: it is not a regular file: check the path" in result.stderr
    (alice.home / "pipe").unlink()
