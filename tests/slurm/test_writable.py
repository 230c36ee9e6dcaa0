"""--container-writable and --container-readonly: a root file system of the step's own."""

from pathlib import Path

import pytest
from conftest import BUSYBOX, DEBIAN

ROOTS = Path("/var/lib/socker")


def roots() -> list[Path]:
    return list(ROOTS.glob("*/*/*"))


def test_by_default_nothing_can_be_written(alice):
    result = alice.srun(f"--docker={DEBIAN}", "touch", "/new", "/etc/new")
    assert result.stderr.count("Read-only file system") == 2


def test_the_user_writes_everywhere_as_who_they_are(alice):
    script = (
        "touch /new && mkdir /opt/d && echo more >> /etc/debian_version && rm /etc/motd "
        "&& sed -i s/bookworm/changed/ /etc/os-release && stat -c %U /new /usr /etc/debian_version"
        "&& tail -n1 /etc/debian_version; id -un; cat /proc/self/status | grep Cap | uniq -f1"
    )
    result = alice.srun(f"--docker={DEBIAN}", "--container-writable", "bash", "-c", script)
    assert result.lines[:5] == ["alice", "alice", "alice", "more", "alice"]
    assert [line.split()[1] for line in result.lines[5:]] == ["0" * 16]
    assert result.status == 0


def test_the_image_itself_is_not_changed(alice):
    alice.srun(f"--docker={DEBIAN}", "--container-writable", "rm", "-rf", "/usr/share")
    assert alice.srun(f"--docker={DEBIAN}", "test", "-d", "/usr/share").status == 0


def test_it_is_the_steps_own_and_goes_with_it(alice):
    script = (
        "srun -Q --container-writable touch /new; "
        f"ls -d {ROOTS}/*/$SLURM_JOB_ID/*; "
        "srun -Q --container-writable ls -d /new; srun -Q ls -d /new"
    )
    result = alice.run("salloc", "-Q", f"--docker={BUSYBOX}", "sh", "-c", script)
    assert result.stderr.count("/new: No such file") == 2
    assert roots() == []


def test_its_tasks_share_it(alice):
    script = (
        "touch /from-$SLURM_PROCID; until test -e /from-0 -a -e /from-1; do sleep 0.1; done; "
        "ls / | grep -c from-"
    )
    result = alice.srun(
        "-N1", "-n2", f"--docker={BUSYBOX}", "--container-writable", "sh", "-c", script
    )
    assert result.lines == ["2"] * 2


def test_other_ids_of_the_image_stay(alice, make_image):
    import os

    def fill(root):
        (root / "theirs").write_text("x")
        os.chown(root / "theirs", 33, 44)

    image = make_image("ids", fill)
    result = alice.srun(
        f"--docker={image}", "--container-writable", "stat", "-c", "%u %g", "/theirs", "/bin"
    )
    assert result.lines == ["33 44", f"{alice_id('-u')} {alice_id('-g')}"]


def alice_id(kind: str) -> str:
    from conftest import read

    return read("id", kind, "alice").strip()


def test_nobody_else_reaches_what_is_written(alice, bob):
    script = f"touch /new; ls {ROOTS}"
    result = alice.srun(f"--docker={BUSYBOX}", "--container-writable", "sh", "-c", script)
    assert "No such file" in result.stderr
    assert bob.run("ls", str(ROOTS)).status != 0


def test_a_deep_tree_is_removed(alice):
    program = 'mkdir "/deep"; chdir "/deep"; for (1..3000) { mkdir "d"; chdir "d" or die }'
    result = alice.srun(f"--docker={DEBIAN}", "--container-writable", "perl", "-e", program)
    assert result.status == 0
    assert roots() == []


def test_setuid_files_gain_nothing(alice):
    script = "cp /bin/busybox /busybox-2 && chmod 4755 /busybox-2 && /busybox-2 id -u"
    result = alice.srun(f"--docker={BUSYBOX}", "--container-writable", "sh", "-c", script)
    assert result.lines == [alice_id("-u")]


@pytest.mark.parametrize("option", ["--container-writable", "--container-readonly"])
def test_both_from_the_environment(alice, option):
    name = "SOCKER_" + option[2:].upper().replace("-", "_")
    result = alice.srun(f"--docker={BUSYBOX}", "touch", "/new", env={name: "1"})
    assert (result.status == 0) == (option == "--container-writable")
