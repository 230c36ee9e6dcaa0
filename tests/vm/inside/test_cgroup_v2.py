"""What only cgroup v2 has: one leaf of Slurm's for tasks, and for the first process.

After each test the whole tree of groups is what it was.
"""

import contextlib
import json
import os
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from conftest import (
    BUSYBOX,
    CLEAN_WITHIN,
    User,
    containers,
    has_sleeper,
    leftovers,
    read,
    slurm_release,
)

from cgroup import place

CGROUP = Path("/sys/fs/cgroup")
DAEMON_JSON = Path("/etc/docker/daemon.json")
SCOPE = "/system.slice/n1_slurmstepd.scope"
# 26.05 names a job's groups by its SLUID.
JOB = r"s[0-9A-Z]{13}" if slurm_release() >= (26, 5) else r"job_\d+"


def groups() -> set[str]:
    """All groups, but for those of systemd's that come and go as it likes."""
    found = {os.path.relpath(folder, CGROUP) for folder, _, _ in os.walk(CGROUP)}
    return {name for name in found if not re.match(r"system\.slice/(systemd-|user@|run-)", name)}


def group_of(pid: int | str) -> str:
    """The group of a process; it must be in no v1 hierarchy."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    assert len(lines) == 1
    return lines[0].removeprefix("0::")


def use(driver: str) -> None:
    """Let Docker make its groups by this driver."""
    if read("docker", "info", "-f", "{{.CgroupDriver}}").strip() == driver:
        return
    settings = json.loads(DAEMON_JSON.read_text())
    settings["exec-opts"] = [f"native.cgroupdriver={driver}"]
    DAEMON_JSON.write_text(json.dumps(settings))
    subprocess.run(["systemctl", "restart", "docker"], check=True, timeout=200)
    assert read("docker", "info", "-f", "{{.CgroupDriver}}").strip() == driver
    first_container()


@pytest.fixture(scope="module", params=["systemd", "cgroupfs"])
def driver(request):
    use(request.param)
    return request.param


@pytest.fixture(scope="module")
def warm():
    first_container()


def first_container() -> None:
    """Docker and systemd make groups of their own at the first one, which stay."""
    User("alice").srun(f"--docker={BUSYBOX}", "true")
    end = time.monotonic() + CLEAN_WITHIN
    while leftovers() and time.monotonic() < end:
        time.sleep(0.5)


@pytest.fixture(autouse=True)
def same_groups(warm):
    """The tree of groups is afterwards what it was, all over /sys/fs/cgroup."""
    before = groups()
    yield
    end = time.monotonic() + CLEAN_WITHIN
    while (more := groups() - before) and time.monotonic() < end:
        time.sleep(0.5)
    for name in more:
        show_processes(CGROUP / name)
    assert not more


def show_processes(group: Path) -> None:
    """What keeps a group: a process that does not die shows where it is in the kernel."""
    if not group.exists():
        return
    for pid in (group / "cgroup.procs").read_text().split():
        print(f"--- {group}: {pid}", read("cat", f"/proc/{pid}/cmdline"))
        print(read("cat", f"/proc/{pid}/status"), read("cat", f"/proc/{pid}/stack"))


def start_step(user, *options: str):
    """A container step that runs, with the group of its task."""
    step = user.start(
        "srun", "-Q", *options, f"--docker={BUSYBOX}",
        "sh", "-c", "cat /proc/self/cgroup; sleep 99", stdout=-1, stderr=-1,
    )  # fmt: skip
    return step, step.stdout.readline().strip().removeprefix("0::")


def cancel(user, step) -> None:
    user.run("scancel", f"--user={user.name}")
    step.communicate(timeout=60)


def test_memory_max_holds_for_tasks(alice):
    job = "/sys/fs/cgroup$(sed 's/^0:://; s,/step_.*,,' /proc/self/cgroup)"
    eat = f"cat {job}/memory.max; head -c 150000000 /dev/zero | tail >/dev/null; echo survived $?"
    result = alice.run("srun", "--mem=100", f"--docker={BUSYBOX}", "sh", "-c", eat)
    assert result.lines[0] == str(100 * 2**20)
    assert "oom" in result.stderr.lower()
    assert "survived 0" not in result.stdout


def test_the_cpuset_holds_for_tasks(alice):
    """One processor of two, whatever the task asks the kernel for."""
    command = ["sh", "-c", "nproc; taskset 3 nproc"]
    assert alice.srun("-n1", *command).lines == ["1", "1"]
    assert alice.srun("-n1", f"--docker={BUSYBOX}", *command).lines == ["1", "1"]
    whole = alice.srun("-n1", "-c2", f"--docker={BUSYBOX}", *command)
    assert whole.lines == ["2", "2"]


def test_devices_hold_for_tasks(alice):
    """/dev/fake0 is open to all by its mode, and belongs to the gres `fake`."""
    look = ["sh", "-c", "head -c1 /dev/fake0 >/dev/null && echo opened; head -c1 /dev/zero | wc -c"]
    for options in ((), (f"--docker={BUSYBOX}",)):
        without = alice.srun(*options, *look)
        assert without.lines == ["1"]
        assert "Operation not permitted" in without.stderr
        assert alice.srun("--gres=fake:1", *options, *look).lines == ["opened", "1"]


HIDE = """(setsid sh -c "trap '' TERM HUP; touch ~/hidden; sleep 333" &)
until test -e ~/hidden; do sleep 0.1; done"""


@pytest.mark.parametrize("options", [(), ("--container-unshare=pid", "--container-writable")])
def test_nothing_outlives_its_step(alice, wait_for, options):
    """Not what left the session, the parent and SIGTERM behind; the job goes on."""
    script = f"""#!/bin/sh
srun -Q --docker={BUSYBOX} {" ".join(options)} sh -c {shlex.quote(HIDE)}; echo $?
for i in $(seq 100); do pgrep -f 'sleep 333' >/dev/null || break; sleep 0.2; done
pgrep -fl 'sleep 333'
srun -Q --docker={BUSYBOX} echo goes on
"""
    hidden = alice.home / "hidden"
    try:
        assert alice.script(script).lines == ["0", "goes on"]
        assert hidden.exists()
    finally:
        hidden.unlink(missing_ok=True)


# --- with both of Docker's cgroup drivers ---------------------------------------


def test_the_leash_is_in_the_extern_steps_leaf_and_killed_with_it(alice, driver, wait_for):
    """Or the first process itself, where extern steps adopt."""
    step, task = start_step(alice)
    assert re.fullmatch(rf"{SCOPE}/{JOB}/step_0/user/task_0", task)
    container = containers()[0]
    first = int(read("docker", "inspect", "-f", "{{.State.Pid}}", container))
    placed = first
    if has_sleeper():
        (placed,) = place.children_of(first)
        extern = read("pgrep", "-f", "^sleep 100000000").split()[0]
        assert group_of(placed) == group_of(extern)
    assert re.fullmatch(rf"{SCOPE}/{JOB}/step_extern/user/task_\w+", group_of(placed))
    # Docker's own group has gone, or holds what is not placed.
    left = [folder for folder in CGROUP.rglob(f"*{container}*") if folder.is_dir()]
    pids = []
    for folder in left:
        with contextlib.suppress(OSError):  # it goes at this moment
            pids += (folder / "cgroup.procs").read_text().split()
    assert pids == ([str(first)] if placed != first else [])
    # As Slurm does at the job's end, without any hook of ours:
    kill = CGROUP / group_of(placed).split("/user/")[0].lstrip("/") / "user/cgroup.kill"
    kill.write_text("1")
    wait_for(lambda: not containers())
    cancel(alice, step)


def test_scancel_takes_all(alice, driver, wait_for):
    step, task = start_step(alice, "--container-unshare=pid", "--container-writable")
    assert (CGROUP / task.lstrip("/")).exists()
    cancel(alice, step)
    wait_for(lambda: not containers())
    wait_for(lambda: not (CGROUP / task.lstrip("/")).parents[2].exists())
    assert not read("pgrep", "-f", "sleep 99")
