"""Reading where a process is: real lines of v1 and v2 nodes."""

import ctypes
import os
import signal
from pathlib import Path

import pytest

from cgroup import files, paths, place, remove

V1 = """\
9:name=systemd:/
6:freezer:/slurm_n1/uid_1001/job_2
5:devices:/slurm_n1/uid_1001/job_2/step_0
4:memory:/slurm_n1/uid_1001/job_2/step_0/task_0
2:cpu,cpuacct:/user.slice
0::/
"""

MOUNTINFO = """\
24 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
35 31 0:30 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
36 31 0:31 / /sys/fs/cgroup/cpu\\040x rw - cgroup cgroup rw,cpu,cpuacct
37 31 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
38 31 0:33 /docker/abc /elsewhere rw - cgroup cgroup rw,devices
39 31 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
40 31 0:34 / /second rw - cgroup2 cgroup2 rw
"""


def test_memberships():
    found = paths.parse_memberships(V1)
    assert found[1] == paths.Membership(("freezer",), "/slurm_n1/uid_1001/job_2")
    assert found[4].controllers == ("cpu", "cpuacct")
    assert found[5] == paths.Membership((), "/")


def test_hierarchies():
    assert paths.parse_hierarchies(MOUNTINFO) == {
        ("memory",): Path("/sys/fs/cgroup/memory"),
        ("cpu", "cpuacct"): Path("/sys/fs/cgroup/cpu x"),
        ("name=systemd",): Path("/sys/fs/cgroup/systemd"),
        (): Path("/sys/fs/cgroup/unified"),
    }


@pytest.mark.parametrize("character", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_names_of_users_mount_points_make_no_line(character):
    """The kernel escapes blanks and line feeds alone (seq_path() in fs/seq_file.c)."""
    theirs = f"99 24 0:50 / /home/bob/{character}x{character} rw - fuse.x {character} rw\n"
    found = paths.parse_hierarchies(theirs + MOUNTINFO + theirs)
    assert found == paths.parse_hierarchies(MOUNTINFO)
    [group] = paths.parse_memberships(f"0::/slurm{character}/job_1\n")
    assert group.path == f"/slurm{character}/job_1"


@pytest.mark.parametrize("name", [b"x\rUid:\t0", b"x\x0bUid:\t0", b"\x1cUid: 0", b"x\nUid:\t0"])
def test_no_process_can_name_itself_roots(name):
    ready, at_work = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        ctypes.CDLL(None).prctl(15, name)  # PR_SET_NAME
        os.write(at_work, b"1")
        signal.pause()
    try:
        os.read(ready, 1)
        assert not place.is_roots(child)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(at_work)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/slurm/uid_1/job_2/step_0/task_0", True),
        ("/slurm_n1/uid_1001/job_2", True),
        ("/system.slice/n1_slurmstepd.scope/job_2/step_0/user/task_0", True),
        ("/system.slice/n1_slurmstepd.scope/s029M7X0FKG4R00/step_0/slurm", True),
        ("/", False),
        ("/docker/abc", False),
        ("/user.slice/slurm", False),
    ],
)
def test_which_groups_are_slurms(path, expected):
    assert paths.is_slurms(path) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/slurm_n1/uid_1001/job_2/step_0/task_0", "/slurm_n1/uid_1001/job_2/step_extern"),
        (
            "/system.slice/x.scope/s029M7X0FKG4R00/step_batch/slurm",
            "/system.slice/x.scope/s029M7X0FKG4R00/step_extern",
        ),
        ("/slurm_n1/uid_1001/job_2", None),
        ("/", None),
    ],
)
def test_the_extern_step_of_a_job(path, expected):
    assert paths.extern_step(path) == expected


@pytest.mark.parametrize(
    ("late", "answer", "group"),
    [(1, 0, "step_extern"), (0, 1, "step_extern"), (0, 0, "step_0"), (0, 0, "step_extern")],
)
def test_a_process_is_adopted_or_not(monkeypatch, late, answer, group):
    """Another process by now is not handed over; Slurm's word alone is not believed."""
    asked = []
    found = [Path(f"/sys/fs/cgroup/{SCOPE}/s029M7X0FKG4R00/{group}/user/task_0")]
    monkeypatch.setattr(place, "slurm_groups", lambda pid: found)
    own = os.getpid()

    def adopt():
        place.adopt(own, place.start_time(own) - late, lambda pid: asked.append(pid) or answer)

    if late or answer or group != "step_extern":
        with pytest.raises(LookupError):
            adopt()
    else:
        adopt()
    assert asked == ([] if late else [own])


def test_write_pid(tmp_path):
    (tmp_path / "cgroup.procs").write_text("")
    files.write_pid(tmp_path, 42)
    assert (tmp_path / "cgroup.procs").read_text() == "42"


def test_write_pid_names_the_file_and_the_value(tmp_path):
    with pytest.raises(OSError, match="pid 42") as caught:
        files.write_pid(tmp_path / "gone", 42)
    assert "gone/cgroup.procs" in str(caught.value)


def test_pids_below(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "cgroup.procs").write_text("1\n")
    (tmp_path / "a/b/cgroup.procs").write_text("2\n3\n")
    assert sorted(files.pids_below(tmp_path)) == [1, 2, 3]
    assert files.pids_below(tmp_path / "gone") == []


@pytest.mark.parametrize(
    "group", ["step_extern", "step_extern/task_0", "step_0/task_1", "step_batch/mine/step_2/x"]
)
def test_the_jobs_group(group):
    base = Path("/sys/fs/cgroup/memory/slurm_n1/uid_1/job_2")
    assert remove.job_directory(base / group) == base


def test_no_job_without_a_step():
    """Never the root directory, whatever group a process is in."""
    for path in ("/sys/fs/cgroup/memory/slurm_n1/uid_1/job_2", "/", "/slurm/x"):
        with pytest.raises(LookupError):
            remove.job_directory(Path(path))


SCOPE = "system.slice/n1_slurmstepd.scope"


@pytest.fixture
def slurm_tree(tmp_path, monkeypatch):
    """A cgroup mount that holds Slurm's tree."""
    monkeypatch.setattr(remove.place, "hierarchies", lambda: {(): tmp_path})
    return tmp_path / "slurm_n1/uid_1"


@pytest.mark.parametrize("name", ["slurm_n1/uid_1/job_2", f"{SCOPE}/job_2", f"{SCOPE}/s02HG5"])
def test_remove_takes_children_first(slurm_tree, name):
    job = slurm_tree.parents[1] / name
    (job / "step_0/task_0").mkdir(parents=True)
    assert remove.remove(job)
    assert not job.exists()
    assert remove.remove(job)


def test_remove_of_a_deep_tree(slurm_tree):
    deep = slurm_tree / "job_2"
    deep.mkdir(parents=True)
    inner = os.open(deep, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=inner)
        below = os.open("d", os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = below
    os.close(inner)
    assert remove.remove(deep)


@pytest.mark.parametrize(
    "path",
    ["", "slurm_n1", "user.slice/a/b", "../elsewhere/a/b", SCOPE, f"{SCOPE}/system"],
)
def test_remove_leaves_alone_what_is_no_jobs_group(slurm_tree, path):
    group = slurm_tree.parent.parent / path
    group.mkdir(parents=True, exist_ok=True)
    assert not remove.remove(group)
    assert group.exists()


def test_other_namespaces_processes_are_no_pids(tmp_path):
    (tmp_path / "cgroup.procs").write_text("0\n7\n")
    assert files.pids_below(tmp_path) == [7]
