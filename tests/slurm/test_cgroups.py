"""Tasks are in Slurm's own cgroups, the container's first process in the job's."""

import os
import re
import signal

from conftest import BUSYBOX, containers, has_sleeper, read

from cgroup import place


def cgroup_lines(text: str) -> list[str]:
    return re.findall(r"^\d+:.*$", text, re.MULTILINE)


def test_the_tasks_cgroups_are_a_native_steps(alice):
    script = (
        f"srun -Q cat /proc/self/cgroup; echo ---; srun -Q --docker={BUSYBOX} cat /proc/self/cgroup"
    )
    result = alice.run("salloc", "-Q", "-n1", "sh", "-c", script)
    native, inside = result.stdout.split("---")
    assert "slurm" in native  # one line in v2, several in v1
    assert cgroup_lines(inside) == cgroup_lines(native.replace("step_0", "step_1"))


def test_the_leash_is_in_the_extern_step(alice, wait_for):
    """Or the first process itself, where extern steps adopt; when it ends, the container does."""
    job = alice.start("srun", "-Q", "-J", "leash", f"--docker={BUSYBOX}", "sleep", "90")
    container = wait_for(containers)[0]
    first = wait_for(lambda: int(read("docker", "inspect", "-f", "{{.State.Pid}}", container)))
    placed = wait_for(lambda: place.children_of(first))[0] if has_sleeper() else first

    def groups_in_step():
        groups = read("cat", f"/proc/{placed}/cgroup")
        return groups if "/step_extern" in groups else None

    groups = wait_for(groups_in_step, 5)
    if not has_sleeper():
        assert re.search(r"/step_extern/user/task_\w+$", groups, re.MULTILINE)
    else:
        extern = wait_for(lambda: read("pgrep", "-f", "^sleep 100000000").split())[0]
        theirs = read("cat", f"/proc/{extern}/cgroup").splitlines()
        slurms = {line for line in theirs if "slurm" in line}
        assert slurms
        # One group after the other is joined.
        wait_for(lambda: slurms <= set((groups_in_step() or "").splitlines()), 5)
        assert not slurms & set(read("cat", f"/proc/{first}/cgroup").splitlines())
        # Else Slurm is often faster at the job's end, and then waits for a second.
        wait_for(lambda: os.sched_getscheduler(placed) == os.SCHED_FIFO, 5)
    os.kill(placed, signal.SIGKILL)
    wait_for(lambda: container not in containers())
    alice.run("scancel", "--name=leash")
    job.wait(60)


def test_memory_beyond_the_limit_is_killed_and_reported(alice):
    """As for native steps: the same status and the same words of Slurm's."""
    eat = ["sh", "-c", "head -c 300000000 /dev/zero | tail"]
    native = alice.run("srun", "--mem=120", *eat)
    inside = alice.run("srun", "--mem=120", f"--docker={BUSYBOX}", *eat)
    for result in (native, inside):
        assert result.status != 0
        assert re.search("oom[-_]kill", result.stderr.lower())  # releases write it differently
    assert inside.status == native.status


def test_devices_are_constrained_as_natively(alice):
    listing = "cat /sys/fs/cgroup/devices$(sed -n 's/.*devices://p' /proc/self/cgroup)/devices.list"
    native = alice.srun("sh", "-c", listing)
    inside = alice.srun(f"--docker={BUSYBOX}", "sh", "-c", listing)
    assert inside.lines == native.lines
    assert inside.status == native.status


def test_a_small_job_has_room_for_the_set_up(alice):
    """The hook's memory is charged to the step: it works, or says what to do."""
    result = alice.srun("--mem=30", f"--docker={BUSYBOX}", "echo", "ran")
    assert result.lines == ["ran"] or "--mem" in result.stderr
