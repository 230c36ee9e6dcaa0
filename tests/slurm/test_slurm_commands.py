"""srun, sbatch and their like inside any image (docs/user/slurm-commands.md)."""

import os
import pty
import shutil
import subprocess
from pathlib import Path

import images
import pytest
import slurm_conf
import spank_plugins
from conftest import BUSYBOX, DEBIAN, REGISTRY

HERE = Path(__file__).parent
INSIDE = "/.socker/bin"


@pytest.fixture(scope="module")
def trixie():
    """A newer Debian than the node's, or the same."""
    images.provide_debian("trixie")
    reference = f"{REGISTRY}/debian:trixie"
    subprocess.run(["docker", "pull", "-q", reference], check=True, timeout=300)
    return reference


def program(root, *compiler):
    """Leave nothing in the image but the compiled program."""
    shutil.rmtree(root)
    root.mkdir()
    command = [*compiler, "-o", root / "program", HERE / "slurm_inside.c"]
    subprocess.run(command, check=True, timeout=60)


def musl(root):
    """A program of another C library, linked to it dynamically."""
    program(root, "musl-gcc")
    (root / "lib").mkdir()
    library = Path("/usr/lib/x86_64-linux-musl/libc.so")
    shutil.copy(library, root / "lib" / library.name)
    os.symlink("libc.so", root / "lib/ld-musl-x86_64.so.1")


@pytest.fixture(params=["static", "musl"])
def tiny(request, make_image):
    fill = musl if request.param == "musl" else lambda root: program(root, "gcc", "-static")
    return make_image(f"tiny-{request.param}", fill)


SCRIPT = """#!/bin/sh
squeue --noheader --format=%i --jobs=$SLURM_JOB_ID
sinfo --noheader --format=%N
scontrol show job $SLURM_JOB_ID | head -n 1
sacct 2>&1 | head -n 1
srun -N2 -n2 --label sh -c 'cat /etc/os-release 2>/dev/null | grep -c VERSION_CODENAME; true' | sort
later=$(sbatch --parsable --begin=now+1hour --wrap true)
scancel $later && squeue --noheader --format=%T --jobs=$later --states=all
salloc --quiet -n1 srun --container-image=none cat /etc/hostname
"""


@pytest.mark.parametrize("image", ["busybox", "trixie"])
def test_commands_of_a_script(alice, request, image):
    reference = BUSYBOX if image == "busybox" else request.getfixturevalue("trixie")
    result = alice.script(SCRIPT, "-N2", "-n2", f"--docker={reference}")
    job = result.lines[0]
    release = "0" if image == "busybox" else "1"
    assert result.lines == [
        job,
        "n[1-4]",
        f"JobId={job} JobName=job.sh",
        "Slurm accounting storage is disabled",
        f"0: {release}",
        f"1: {release}",
        "CANCELLED",
        Path("/etc/hostname").read_text().strip(),
    ]
    assert job.isdecimal()
    assert result.status == 0


def test_an_image_with_one_program(alice, tiny):
    result = alice.script("#!/program\n", "-N2", "-n2", f"--docker={tiny}")
    assert result.lines == ["the image's own program"] * 2
    inner = ("/program", "srun", "--overlap", "--mem=0", "/program")
    result = alice.srun(f"--docker={tiny}", "--container-slurm", *inner)
    assert result.lines == ["the image's own program"]


def test_steps_inherit_the_image_or_take_another(alice):
    script = f"""#!/bin/sh
srun ls /etc/debian_version
srun --docker={DEBIAN} ls /etc/debian_version
srun --container-image=none ls /etc/slurm/slurm.conf
"""
    result = alice.script(script, f"--docker={BUSYBOX}")
    assert "ls: /etc/debian_version: No such file" in result.stdout
    wanted = ["/etc/debian_version", "/etc/slurm/slurm.conf"]
    assert [line for line in result.lines if line.startswith("/")] == wanted


def test_a_step_hands_its_own_options_on(alice, make_image):
    image = make_image("with-mark", lambda root: (root / "mark").touch())
    inner = "srun --overlap --mem=0"
    script = f"{inner} ls -d /mark /data; {inner} --container-image=none ls -d /mark"
    options = (f"--docker={image}", "--container-mounts=/etc:/data", "--container-slurm")
    outer = ["srun", "-Q", *options, "sh", "-c", script]
    for command in (outer, ["salloc", "-Q", f"--docker={BUSYBOX}", *outer]):
        result = alice.run(*command)
        assert result.lines == ["/data", "/mark"]
        assert "cannot access '/mark'" in result.stderr


def test_programs_see_nothing_of_it(alice, make_image):
    image = make_image(
        "with-libraries",
        changes=["ENV PATH=/bin:/mine", "ENV LD_LIBRARY_PATH=/lib/own", "ENV LD_PRELOAD=libown.so"],
    )
    script = f"""#!/bin/sh
echo $PATH
env | grep ^LD_
srun sh -c 'echo $PATH; env | grep ^LD_'
srun --docker={BUSYBOX} sh -c 'echo $PATH; env | grep ^LD_'
srun env | grep -c SLURM_REMOTE_CWD
"""
    result = alice.script(script, f"--docker={image}")
    own = ["LD_LIBRARY_PATH=/lib/own", "LD_PRELOAD=libown.so"]
    lines = [line for line in result.lines if not line.startswith("srun: error")]
    assert lines[0] == f"/bin:/mine:{INSIDE}"
    assert sorted(lines[1:3]) == own
    assert lines[3] == "/bin:/mine"
    assert sorted(lines[4:6]) == own
    assert lines[6:] == ["/bin", "0"]


def test_what_is_shown_of_the_node_cannot_be_written_to(alice):
    script = f"""#!/bin/sh
for place in /etc/slurm /run/munge {INSIDE} /.socker/host/bin /.socker/host/lib/0; do
    ls $place > /dev/null || echo $place cannot be read
    touch $place/mark 2>&1
done
head -c 0 /etc/slurm/slurm.conf && echo readable
"""
    result = alice.script(script, f"--docker={BUSYBOX}")
    assert [line.rsplit(": ", 1)[1] for line in result.lines[:-1]] == ["Read-only file system"] * 5
    assert result.lines[-1] == "readable"


def which(alice, *options) -> str:
    return alice.srun(f"--docker={BUSYBOX}", *options, "sh", "-c", "which srun || echo none").stdout


def test_where_they_are_by_default_and_by_option(alice):
    assert which(alice) == "none\n"
    assert which(alice, "--container-slurm") == f"{INSIDE}/srun\n"
    script = "#!/bin/sh\nwhich srun || echo none\n"
    assert alice.script(script, f"--docker={BUSYBOX}").stdout == f"{INSIDE}/srun\n"
    off = "--no-container-slurm"
    assert alice.script(script, f"--docker={BUSYBOX}", off).stdout == "none\n"


def test_on_a_terminal(alice):
    ours, theirs = pty.openpty()
    argv = ["srun", "-Q", "--pty", f"--docker={BUSYBOX}", "which", "srun"]
    step = alice.start(*argv, stdin=theirs, stdout=theirs, stderr=theirs)
    assert step.wait(timeout=60) == 0
    assert os.read(ours, 4096).decode() == f"{INSIDE}/srun\r\n"
    os.close(ours)
    os.close(theirs)


def test_sallocs_interactive_step(alice):
    options = 'InteractiveStepOptions="--interactive --preserve-env /bin/sh"'
    with slurm_conf.extra_lines("LaunchParameters=use_interactive_step", options):
        result = alice.run("salloc", "-Q", "-n1", f"--docker={BUSYBOX}", stdin="which srun\n")
    assert result.stdout == f"{INSIDE}/srun\n"


def test_status_input_and_output(alice):
    script = """#!/bin/sh
echo input | srun sh -c 'cat; echo error >&2; exit 7'
echo $?
"""
    result = alice.script(script, f"--docker={BUSYBOX}")
    assert "input" in result.lines
    assert result.lines[-1] == "7"
    assert "error" in result.lines


def test_options_are_checked_before_a_step_is_made(alice):
    script = """#!/bin/sh
srun --container-image=BAD true
echo $?
srun sh -c 'echo $SLURM_STEP_ID'
"""
    result = alice.script(script, f"--docker={BUSYBOX}")
    assert "`BAD` is not an image name" in result.lines[0]
    assert result.lines[1:] == ["1", "0"]


def test_a_directory_that_only_the_image_has(alice, make_image):
    image = make_image("with-app", lambda root: (root / "app/data").mkdir(parents=True))
    script = f"""#!/bin/sh
cd /app/data
srun pwd
srun --chdir=/tmp pwd
srun --container-workdir=/app pwd
srun --container-image=none pwd
srun --docker={BUSYBOX} pwd
cd /tmp && srun pwd
"""
    result = alice.script(script, f"--docker={image}")
    assert result.lines == ["/app/data", "/tmp", "/app", "/", "/", "/tmp"]


PLUGIN = """
#include <stddef.h>
#include <slurm/spank.h>
SPANK_PLUGIN(hello, 1);
static struct spank_option option = { "hello", NULL, "say it", 0, 0, NULL };
int slurm_spank_init(spank_t sp, int ac, char **av) { return spank_option_register(sp, &option); }
int slurm_spank_local_user_init(spank_t sp, int ac, char **av)
{
	slurm_info("hello from another plugin");
	return 0;
}
"""


@pytest.fixture
def another_plugin():
    with spank_plugins.beside_ours("hello", PLUGIN):
        yield


def test_sruns_other_plugins_load(alice, another_plugin):
    script = "#!/bin/sh\nsrun --hello true\n"
    assert "hello from another plugin" in alice.script(script, f"--docker={BUSYBOX}").stdout


def test_outside_a_container(alice):
    built = Path("/usr/lib/socker/slurm-command")
    result = alice.run(str(built))
    assert result.status == 127
    assert result.stderr == (
        "socker: slurm-command: this step has no Slurm commands: start it with --container-slurm\n"
    )
