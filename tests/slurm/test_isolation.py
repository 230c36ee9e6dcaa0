"""What a task has, and what it cannot reach: the engine, other users, root's processes."""

import re
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import images
import pytest
import spank_plugins
from conftest import BUSYBOX, DEBIAN, containers, read

SHELLS = {"0", "1", "2", "3", "10"}  # 3 and 10: the shell's own, while it looks


# --- descriptors and variables -------------------------------------------------------


CARELESS = """
#include <fcntl.h>
#include <slurm/spank.h>
#include <unistd.h>
SPANK_PLUGIN(careless, 1);
int slurm_spank_user_init(spank_t sp, int ac, char **av)
{
	return dup2(open("/etc/motd", O_RDONLY), 77) == 77 ? 0 : -1;
}
"""


@pytest.fixture
def careless_plugin():
    """It leaks descriptor 77 into every task."""
    with spank_plugins.beside_ours("careless", CARELESS):
        yield


def test_tasks_get_no_descriptor_but_stdio_and_pmis(alice, careless_plugin):
    command = ("sh", "-c", "for f in /proc/$$/fd/*; do echo ${f##*/}; done; echo $PMI_FD")
    assert "77" in alice.srun(*command).lines
    for named in ("77", "3", "x"):
        inside = alice.srun(f"--docker={BUSYBOX}", *command, env={"PMI_FD": named}).lines
        assert set(inside[:-1]) <= SHELLS
    *found, pmi = alice.srun("--mpi=pmi2", f"--docker={BUSYBOX}", *command).lines
    assert pmi in found
    assert set(found) <= SHELLS | {pmi}


PRELOADED = """
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void mark(void)
{
	char path[64];
	snprintf(path, sizeof(path), "/tmp/socker-preloaded/%d", (int)geteuid());
	int fd = open(path, O_CREAT | O_WRONLY, 0666);
	if (fd >= 0) close(fd);
}
"""


@pytest.fixture
def preload(tmp_path):
    """A library that leaves a mark of each user whose process loads it."""
    marks = Path("/tmp/socker-preloaded")
    shutil.rmtree(marks, ignore_errors=True)
    marks.mkdir()
    marks.chmod(0o1777)
    library = Path("/srv/socker-preload.so")
    source = tmp_path / "preload.c"
    source.write_text(PRELOADED)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    yield library, marks
    library.unlink()
    shutil.rmtree(marks)


def test_users_variables_steer_no_process_of_roots(alice, preload):
    """With the engine, an image to pull, a writable root, an archive to save."""
    library, marks = preload
    images.remove_from_engine(BUSYBOX)
    evil = alice.home / "evil"
    alice.run("sh", "-c", f"mkdir -p {evil}; echo 'raise SystemExit(9)' > {evil}/json.py")
    env = {
        "PYTHONPATH": str(evil), "PYTHONHOME": str(evil), "PYTHONSTARTUP": f"{evil}/json.py",
        "DOCKER_HOST": "tcp://127.0.0.1:9", "DOCKER_CONFIG": str(evil), "TMPDIR": "/no/such",
        "GCONV_PATH": str(evil), "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "x",
        "SSL_CERT_FILE": str(evil), "REQUESTS_CA_BUNDLE": str(evil),
    }  # fmt: skip
    options = (f"--docker={BUSYBOX}", "--container-writable", "--container-save=./kept.tar")
    # Not in the environment of runuser, which is root's.
    script = (
        f"export LD_PRELOAD={library} LD_AUDIT={library}; exec srun -Q {' '.join(options)} true"
    )
    try:
        result = alice.run("sh", "-c", script, env=env)
        assert result.status == 0
        assert (alice.home / "kept.tar").exists()
        assert [path.name for path in marks.iterdir()] == [alice.run("id", "-u").stdout.strip()]
    finally:
        alice.run("rm", "-rf", "kept.tar", str(evil))


# --- the engine, and other containers --------------------------------------------------


CONNECT = """
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct sockaddr_un to = { .sun_family = AF_UNIX };
		strncpy(to.sun_path, argv[i], sizeof(to.sun_path) - 1);
		if (!connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof(to)))
			puts(argv[i]);
	}
	return 0;
}
"""


def test_no_way_to_the_engine(alice, make_image, tmp_path):
    source = tmp_path / "connect.c"
    source.write_text(CONNECT)

    def fill(root):
        command = ["gcc", "-static", "-o", root / "bin/connect", source]
        subprocess.run(command, check=True, timeout=60)

    sockets = [str(path) for path in Path("/run").rglob("*.sock") if path.is_socket()]
    assert any("docker.sock" in path for path in sockets)
    assert any("containerd.sock" in path for path in sockets)
    image = make_image("connect", fill)
    inside = [f"{prefix}{path}" for path in sockets for prefix in ("", "/node")]
    result = alice.srun(
        f"--docker={image}", "--container-mounts=/run:/node/run", "connect", *inside
    )
    assert [path for path in result.lines if "docker" in path or "containerd" in path] == []
    mounts = "--container-mounts=/var/lib:/node"
    script = "ls /node/docker /node/containerd /node/socker 2>/dev/null"
    assert alice.srun(f"--docker={image}", mounts, "sh", "-c", script).lines in (
        [],
        ["/node/docker:", "", "/node/socker:"],
    )


@pytest.fixture
def running(alice, wait_for):
    """A task of alice's in a container on n1: its pid."""
    step = alice.start("srun", "-Q", "-wn1", f"--docker={BUSYBOX}", "sleep", "1234")
    yield wait_for(lambda: read("pgrep", "-x", "-f", "/bin/sleep 1234").split())[0]
    read("scancel", "--user=alice")
    step.wait(timeout=30)


def test_the_engines_file_systems_are_gone(alice):
    """Tasks have the node's; what the engine mounted is not below them either."""
    words = ("sh", "-c", "echo ready; grep -c ' /proc ' /proc/mounts; sleep 10")
    job = alice.start("srun", "-Q", f"--docker={BUSYBOX}", *words, stdout=-1)
    assert [job.stdout.readline() for _ in range(2)] == ["ready\n", "1\n"]
    pid = read("docker", "inspect", "-f", "{{.State.Pid}}", containers()[0]).strip()
    points = [line.split()[4] for line in read("cat", f"/proc/{pid}/mountinfo").splitlines()]
    assert "/" in points
    assert not [p for p in points if p.split("/")[1] in ("proc", "sys", "dev")]
    job.wait(30)


def test_another_user_has_no_way_to_a_task(bob, running):
    """Both in containers on one node, whose processes they see as natively."""
    script = (
        f"kill -9 {running}; ls /proc/{running}/root/; cat /proc/{running}/environ;"
        f" ls -l /proc/{running}/fd; nsenter -t {running} -m true; head -c1 /proc/{running}/mem"
    )
    for options in ((), (f"--docker={BUSYBOX}",)):
        result = bob.srun("-wn1", "--overlap", *options, "sh", "-c", script)
        denied = result.stderr.count("ermission denied") + result.stderr.count("not permitted")
        assert result.stdout.strip() in ("", "total 0")
        assert denied >= 6
    assert Path(f"/proc/{running}").exists()


def test_the_image_gives_nothing_through_another_tasks_root(alice, make_image, wait_for):
    """From the host's side and from inside: devices and setuid programs of /proc/PID/root."""

    def fill(root):
        shutil.copy(root / "bin/busybox", root / "bin/suid")
        (root / "bin/suid").chmod(0o4755)
        subprocess.run(["mknod", "-m", "666", root / "zero", "c", "1", "5"], check=True)

    image = make_image("through-root", fill)
    step = alice.start("srun", "-Q", "-wn1", f"--docker={image}", "sleep", "1235")
    try:
        pid = wait_for(lambda: read("pgrep", "-x", "-f", "/bin/sleep 1235").split())[0]
        uid = alice.run("id", "-u").stdout.strip()
        script = (
            f"/proc/{pid}/root/bin/suid grep ^Uid /proc/self/status; head -c1 /proc/{pid}/root/zero"
        )
        for options in ((), (f"--docker={image}",)):
            result = alice.srun("-wn1", *options, "sh", "-c", script)
            assert set(result.stdout.split()[1:]) <= {uid}
            assert "ermission denied" in result.stderr
    finally:
        read("scancel", "--user=alice")
        step.wait(timeout=30)


def test_others_containers_are_never_touched(alice):
    """One without our label, one of a job that this cluster has not."""
    names = []
    subprocess.run(["docker", "pull", "-q", BUSYBOX], check=True, timeout=60)
    for label in ("other=1", "socker.job=987654"):
        name = f"socker-test-{label.partition('=')[0]}"
        command = ["docker", "run", "-d", "--network=none", "--name", name, "--label", label]
        command += [BUSYBOX, "sleep", "600"]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        names.append(name)
    try:
        assert alice.srun(f"--docker={BUSYBOX}", "true").status == 0
        time.sleep(1)  # the epilog's
        for name in names:
            assert read("docker", "inspect", "-f", "{{.State.Running}}", name).strip() == "true"
    finally:
        subprocess.run(["docker", "rm", "-f", *names], check=True, capture_output=True)


# --- the join -----------------------------------------------------------------------


def test_no_file_of_the_image_is_opened_with_a_capability(alice, tmp_path):
    """strace of a task: from its setns on only O_PATH look-ups, until it has none left."""
    [slurmd] = read("pgrep", "-f", "slurmd -D -N n1").split()
    calls = "trace=openat,open,openat2,creat,capset,setns,execve,prctl"
    record = tmp_path / "trace"
    tracer = subprocess.Popen(
        ["strace", "-f", "-e", calls, "-s", "200", "-o", record, "-p", slurmd],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "attached" in tracer.stderr.readline()
        options = ("--container-mounts=/etc:/made/etc:ro", "--container-workdir=/bin")
        assert alice.srun("-wn1", f"--docker={BUSYBOX}", *options, "/bin/true").status == 0
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=30)
    lines = record.read_text().splitlines()
    [task] = {line.split()[0] for line in lines if 'execve("/bin/true"' in line}
    own = [line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{task} ")]
    entered = next(i for i, call in enumerate(own) if call.startswith("setns("))
    dropped = max(i for i, call in enumerate(own) if call.startswith("capset("))
    executed = next(i for i, call in enumerate(own) if "/bin/true" in call)
    assert entered < dropped < executed
    assert re.search(r"effective=0, permitted=0, inheritable=0", own[dropped])
    opened = [call for call in own[entered:dropped] if call.startswith(("open", "creat"))]
    assert len(opened) > 3
    assert [call for call in opened if "O_PATH" not in call] == []


# --- hostile words and races ----------------------------------------------------------

MARK = b"touch /tmp/socker-was-here"
WORDS = [
    b";" + MARK + b";", b"$(" + MARK + b")", b"`" + MARK + b"`", b"|" + MARK,
    b"'\"'\"'", b"a\nb", b"--docker=x", b"-x", b"\xff\xfe/\x80", b"x" * 65536, b"%s%n%x",
    b"/../../etc", b"\x1f", b"*",
]  # fmt: skip
OPTIONS = [
    "docker", "container-mounts", "container-workdir", "container-name", "container-save",
    "container-env", "container-env-file", "container-unshare", "container-pull", "container-tmp",
]  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_hostile_words(alice, option):
    """Each is refused with a line that is no mess, or is a name like any other."""
    mark = Path("/tmp/socker-was-here")
    mark.unlink(missing_ok=True)
    others = [] if option == "docker" else [f"--docker={BUSYBOX}".encode()]
    if option == "container-save":
        others.append(b"--container-writable")

    def step(word: bytes) -> subprocess.CompletedProcess:
        argv = [b"srun", b"-Q", *others, f"--{option}=".encode() + word, b"true"]
        return subprocess.run(
            [w.encode() if isinstance(w, str) else w for w in alice.command(*argv)],
            capture_output=True, timeout=90, cwd=alice.home, env=alice.environment(),
        )  # fmt: skip

    with ThreadPoolExecutor(4) as several:
        results = list(several.map(step, WORDS))
    for done in results:
        text = done.stderr.decode(errors="replace")
        assert "Traceback" not in text and "internal error" not in text
        if done.returncode:
            own = [line for line in text.splitlines() if line.startswith("socker: ")]
            assert own or "srun: " in text
            assert all(len(line) < 9000 for line in own)
    assert not mark.exists()
    alice.run("sh", "-c", "rm -f -- -x '--docker=x' '%s%n%x' '*' '|touch'*")


def test_a_source_that_is_swapped_all_the_time(alice, bob):
    """The directory that was checked is the one that is mounted."""
    secret = bob.home / "closed"
    bob.run("sh", "-c", f"mkdir -p {secret}; echo secret > {secret}/word; chmod 700 {secret}")
    swap = (
        "mkdir -p mine; echo own > mine/word; while :; do ln -sfn mine swapped;"
        f" ln -sfn {secret} swapped; done"
    )
    swapper = alice.start("sh", "-c", swap)
    seen = set()
    try:
        for _ in range(12):
            mount = "--container-mounts=/home/alice/swapped:/in"
            result = alice.srun(f"--docker={BUSYBOX}", mount, "cat", "/in/word")
            seen.add(result.stdout)
            assert result.status == 0 or "mount /home/alice/swapped" in result.stderr
    finally:
        swapper.kill()
        swapper.wait()
        read("pkill", "-f", "ln -sfn mine")
        alice.run("rm", "-rf", "mine", "swapped")
        bob.run("rm", "-rf", str(secret))
    assert seen <= {"", "own\n"}


def test_an_image_of_120_layers(alice, make_image, tmp_path):
    lines = [f"FROM {BUSYBOX}", *(f"COPY word /layer/{n}" for n in range(119))]
    (tmp_path / "Dockerfile").write_text("\n".join(lines))
    (tmp_path / "word").write_text("word\n")
    reference = f"{images.REGISTRY}/layers:120"
    build = ["docker", "build", "-q", "-t", reference, str(tmp_path)]
    subprocess.run(build, check=True, timeout=300, capture_output=True)
    try:
        local = f"--docker=dockerd://{reference}"
        assert alice.srun(local, "sh", "-c", "ls /layer | wc -l").lines == ["119"]
        refused = alice.srun(local, "--container-writable", "true")
        assert "too many layers for a writable container: squash it" in refused.stderr
    finally:
        images.remove_from_engine(reference)


def test_variables_of_the_image_with_strange_contents(alice, make_image):
    changes = ['ENV LINES="one\\ntwo" QUOTES="a\'b" DOLLAR="$(id)" LD_PRELOAD=/evil.so']
    image = make_image("strange-variables", changes=changes)
    result = alice.srun(f"--docker={image}", "sh", "-c", 'echo "$QUOTES"; echo "$DOLLAR"')
    assert result.lines == ["a'b", "$(id)"] or result.lines == ["a'b", "(id)"]


def test_roots_jobs_have_no_containers():
    done = subprocess.run(
        ["srun", "-Q", f"--docker={DEBIAN}", "true"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "root's jobs can have no containers" in done.stderr
    assert done.stdout == ""
