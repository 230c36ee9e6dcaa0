"""The task is the job's owner, with its groups and without any privilege."""

import re

import pytest
from conftest import BUSYBOX, DEBIAN, has_sleeper


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_ids_and_groups_are_the_native_ones(user, request):
    user = request.getfixturevalue(user)
    for image, command in ((BUSYBOX, ["/bin/busybox", "id"]), (DEBIAN, ["id"])):
        native = user.srun(*command)
        assert native.status == 0
        assert user.srun(f"--docker={image}", *command).lines == native.lines


def test_names_are_known_inside(alice):
    script = "whoami; id -un; getent passwd alice; getent group lab; id -Gn; echo $HOME $USER"
    result = alice.srun(f"--docker={DEBIAN}", "sh", "-c", script)
    uid = alice.srun("id", "-u").stdout.strip()
    assert result.lines[:2] == ["alice", "alice"]
    assert re.fullmatch(rf"alice:x:{uid}:\d+:.*:/home/alice:/bin/bash", result.lines[2])
    assert re.fullmatch(r"lab:x:\d+:alice", result.lines[3])
    assert set(result.lines[4].split()) == {"alice", "lab", "gpuusers"}
    assert result.lines[5] == "/home/alice alice"


def test_the_images_other_accounts_stay(alice):
    result = alice.srun(f"--docker={DEBIAN}", "getent", "passwd", "root", "www-data")
    assert [line.split(":")[0] for line in result.lines] == ["root", "www-data"]


def test_the_image_itself_is_not_altered(alice, make_image):
    image = make_image("accounts", lambda root: (root / "etc/passwd").write_text("x:x:5:5::/:\n"))
    script = "grep -c alice /etc/passwd; cat /etc/passwd"
    assert "1" in alice.srun(f"--docker={image}", "sh", "-c", script).lines
    # In the image as the engine has it there is still the one line.
    from conftest import read

    made = read("docker", "create", image, "true").strip()
    try:
        import io
        import subprocess
        import tarfile

        packed = subprocess.run(["docker", "export", made], capture_output=True, timeout=60).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            assert tar.extractfile("etc/passwd").read() == b"x:x:5:5::/:\n"
    finally:
        read("docker", "rm", made)


def test_an_image_without_account_files(alice, make_image):
    def remove(root):
        (root / "etc/passwd").unlink()
        (root / "etc/group").unlink()

    image = make_image("no-accounts", remove)
    assert alice.srun(f"--docker={image}", "whoami").lines == ["alice"]


def test_no_capability_and_no_new_privileges(alice):
    result = alice.srun(
        f"--docker={BUSYBOX}", "grep", "-E", "^(Cap|NoNewPrivs|Seccomp)", "/proc/self/status"
    )
    found = dict(re.findall(r"(\w+):\t(\w+)", result.stdout))
    capabilities = {name: value for name, value in found.items() if name.startswith("Cap")}
    assert set(capabilities) == {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    assert set(capabilities.values()) == {"0" * 16}
    assert found["NoNewPrivs"] == "1"


def test_the_first_process_has_no_privilege_either(alice, wait_for):
    """Nor its leash.  They run as nobody, and the job's owner cannot look into them."""
    script = (
        'for p in /proc/[0-9]*; do [ "$(cat $p/comm)" = pause ] || continue;'
        " grep -hE '^(Cap(Prm|Eff|Bnd)|NoNewPrivs|Uid)' $p/status;"
        " ls $p/root/ 2>&1; cat $p/environ 2>&1; readlink $p/exe || echo no exe; done"
    )
    result = alice.srun(f"--docker={BUSYBOX}", "sh", "-c", script)
    count = 2 if has_sleeper() else 1
    assert re.findall(r"Uid:\s+(\d+)", result.stdout) == ["65534"] * count
    assert len(re.findall(r"Cap\w+:\t0{16}", result.stdout)) == 3 * count
    assert result.stdout.count("NoNewPrivs:\t1") == count
    assert result.stdout.count("no exe") == count
    assert result.stdout.count("Permission denied") == 2 * count


def test_umask_and_limits_are_the_native_ones(alice):
    script = "umask; ulimit -a"
    native = alice.srun("sh", "-c", script)
    inside = alice.srun(f"--docker={DEBIAN}", "sh", "-c", script)
    assert inside.lines == native.lines
