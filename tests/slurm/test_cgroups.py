"""Tasks are in Slurm's own cgroups, the container's first process in the job's."""

import re

from conftest import BUSYBOX, containers, read


def cgroup_lines(text: str) -> list[str]:
    return re.findall(r"^\d+:.*$", text, re.MULTILINE)


def test_the_tasks_cgroups_are_a_native_steps(alice):
    script = (
        f"srun -Q cat /proc/self/cgroup; echo ---; srun -Q --docker={BUSYBOX} cat /proc/self/cgroup"
    )
    result = alice.run("salloc", "-Q", "-n1", "sh", "-c", script)
    native, inside = result.stdout.split("---")
    assert len(cgroup_lines(native)) > 1
    assert cgroup_lines(inside) == cgroup_lines(native.replace("step_0", "step_1"))


def test_the_first_process_is_in_the_extern_step(alice, wait_for):
    job = alice.start("srun", "-Q", f"--docker={BUSYBOX}", "sleep", "4")
    container = wait_for(containers)[0]

    def own_groups():
        pid = read("docker", "inspect", "-f", "{{.State.Pid}}", container).strip()
        groups = read("cat", f"/proc/{pid}/cgroup")
        return groups if "/step_extern" in groups else None

    groups = wait_for(own_groups, 5)
    extern = wait_for(lambda: read("pgrep", "-f", "^sleep 100000000").split())[0]
    slurms = [
        line for line in read("cat", f"/proc/{extern}/cgroup").splitlines() if "slurm" in line
    ]
    assert slurms
    assert set(slurms) <= set(groups.splitlines())
    job.wait(30)


def test_memory_beyond_the_limit_is_killed_and_reported(alice):
    """As for native steps: the same status and the same words of Slurm's."""
    eat = ["sh", "-c", "head -c 300000000 /dev/zero | tail"]
    native = alice.run("srun", "--mem=120", *eat)
    inside = alice.run("srun", "--mem=120", f"--docker={BUSYBOX}", *eat)
    for result in (native, inside):
        assert result.status != 0
        assert "oom-kill" in result.stderr.lower()
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
