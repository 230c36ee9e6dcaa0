"""The tasks of a step on a node: one mount namespace for all, however many they are."""

import shutil

import pytest
from conftest import BUSYBOX, read

IMAGE = f"--container-image={BUSYBOX}"
NAMESPACE = ("readlink", "/proc/self/ns/mnt")
MANY = 260  # above what a socket of the usual size holds for tasks that are still to come


def namespaces(user, tasks: int, *options: str) -> set[str]:
    result = user.srun("-N1", f"-n{tasks}", "--overcommit", IMAGE, *options, *NAMESPACE)
    assert len(result.lines) == tasks, result
    return set(result.lines)


def test_one_namespace_a_step(alice):
    """The first task makes it; it is not the node's."""
    assert len(namespaces(alice, 4) - {read(*NAMESPACE).strip()}) == 1


def test_steps_at_once_have_one_each(alice):
    task = f"readlink {NAMESPACE[1]}; touch met/$0; "
    task += "until test -e met/a -a -e met/b; do sleep 0.1; done"
    step = f"srun -N1 -n2 --overcommit --overlap {IMAGE} sh -c '{task}'"
    script = f"rm -rf met; mkdir met; {step} a & {step} b & wait; rm -r met"
    lines = alice.run("salloc", "-Q", "-N1", "sh", "-c", script).lines
    assert (len(lines), len(set(lines))) == (4, 2)


@pytest.mark.parametrize("options", [["--container-unshare=pid,ipc"], ["--container-tmp=private"]])
def test_one_namespace_a_step_with_things_of_its_own(alice, options):
    assert len(namespaces(alice, 3, *options)) == 1


def test_all_tasks_have_the_mounts(alice):
    look = "stat -c %i /mnt/shared; echo said > /mnt/shared/said-$SLURM_PROCID && pwd"
    (alice.home / "shared").mkdir()
    shutil.chown(alice.home / "shared", "alice")
    try:
        mount = f"--container-mounts={alice.home}/shared:/mnt/shared"
        place = "--container-workdir=/mnt/shared"
        result = alice.srun("-N1", "-n4", "--overcommit", IMAGE, mount, place, "sh", "-c", look)
        inode = (alice.home / "shared").stat().st_ino
        assert sorted(result.lines) == sorted([str(inode), "/mnt/shared"] * 4), result
        said = sorted(file.name for file in (alice.home / "shared").iterdir())
        assert said == [f"said-{task}" for task in range(4)]
    finally:
        read("rm", "-r", str(alice.home / "shared"))


def test_programs_of_their_own(alice):
    """srun --multi-prog: the tasks differ in what they run, not in where."""
    words = alice.home / "programs"
    words.write_text("0 echo zero\n1-2 readlink /proc/self/ns/mnt\n")
    try:
        result = alice.srun("-N1", "-n3", "--overcommit", IMAGE, "--multi-prog", str(words))
    finally:
        words.unlink()
    assert "zero" in result.lines
    assert len(result.lines) == 3 and len(set(result.lines)) == 2, result


def test_each_task_says_why_it_cannot_join(alice):
    result = alice.srun(
        "-N1", "-n3", "--overcommit", IMAGE, "--container-mounts=/nowhere:/mnt", "true"
    )
    assert result.status == 1
    assert result.stderr.count("mount /nowhere: no such file or directory on this node") == 3


def test_a_target_that_is_the_root_by_a_link(alice):
    """Who enters a namespace gets what covers its root for the root; who made it does not."""
    (alice.home / "covers").mkdir()
    (alice.home / "covers/root").symlink_to("/")
    (alice.home / "covers/above").symlink_to("..")
    try:
        for target in ("/mnt/root", "/mnt/above"):
            mounts = f"--container-mounts={alice.home}/covers:/mnt,/tmp:{target}"
            result = alice.srun("-N1", "-n3", "--overcommit", IMAGE, mounts, "ls", "/")
            assert (result.stdout, result.status) == ("", 1)
            assert result.stderr.count("is the container's root") == 3
    finally:
        read("rm", "-r", str(alice.home / "covers"))


def test_sources_below_proc_are_each_tasks_own(alice):
    mounts = ("--container-mounts=/proc/self/stat:/mnt/stat",)
    result = alice.srun(
        "-N1", "-n3", "--overcommit", IMAGE, *mounts, "sh", "-c", "cut -d' ' -f1 /mnt/stat; echo $$"
    )
    assert len(result.lines) == 6 and len(set(result.lines)) == 3, result


def test_very_many_tasks(alice):
    """On a busy machine some may wait for two seconds: they make one each (share.c)."""
    assert len(namespaces(alice, MANY)) < MANY / 10
