"""One digest for a job: all its nodes and steps run what its tag stood for first."""

import itertools
import json
import os
import shutil
import time
import urllib.request
from pathlib import Path

import images
import pytest
from conftest import BUSYBOX, SOCKER, read

from tests import registry_server

SHOW = "echo $(cat /word) $SOCKER_IMAGE_DIGEST"


@pytest.fixture
def moved_tag(make_image):
    """A tag that moves: move(text) makes its image one whose /word says text."""

    def move(text: str) -> str:
        return make_image("moving", lambda root: (root / "word").write_text(text + "\n"))

    yield move
    images.remove_all_of("127.0.0.1:5000/moving")


def waiting(name: str) -> str:
    """A line of a job's script that waits for the test."""
    return f"until test -e {name}; do sleep 0.1; done; rm {name}"


@pytest.fixture
def go(alice):
    """Lets a job pass that waits; nothing of an earlier test does."""
    (alice.home / "go").unlink(missing_ok=True)
    yield lambda: alice.run("touch", "go")
    (alice.home / "go").unlink(missing_ok=True)


def test_every_task_knows_it(alice, moved_tag):
    image = moved_tag("old")
    result = alice.srun("-N2", "-n4", f"--docker={image}", "sh", "-c", SHOW)
    assert len(result.lines) == 4
    (line,) = set(result.lines)
    digest = line.split()[1]
    assert digest in read("docker", "image", "inspect", "-f", "{{.RepoDigests}}", image)
    again = alice.srun(f"--docker={image.rpartition(':')[0]}@{digest}", "sh", "-c", SHOW)
    assert again.lines == [line]


def test_it_is_neither_the_images_nor_the_users_word(alice, make_image, moved_tag):
    image = make_image("liar", changes=["ENV SOCKER_IMAGE_DIGEST=sha256:0"])
    result = alice.srun(f"--docker={image}", "sh", "-c", "echo $SOCKER_IMAGE_DIGEST",
                        env={"SOCKER_IMAGE_DIGEST": "mine"})  # fmt: skip
    assert result.lines[0].startswith("sha256:")
    assert len(result.lines[0]) == 71
    told = alice.srun(f"--docker={BUSYBOX}", "--container-env=SOCKER_IMAGE_DIGEST=x", "true")
    assert "SOCKER_IMAGE_DIGEST is socker's own and cannot be set" in told.stderr


def test_an_image_of_no_registry_has_none(alice, tmp_path):
    images.run("docker", "pull", "-q", BUSYBOX)
    saved = alice.home / "saved.tar"
    images.run("docker", "save", "-o", saved, BUSYBOX)
    shutil.chown(saved, "alice", "alice")
    try:
        result = alice.srun(f"--docker={saved}", "sh", "-c", "env | grep -c SOCKER_IMAGE",
                            env={"SOCKER_IMAGE_DIGEST": "an outer step's"})  # fmt: skip
    finally:
        saved.unlink()
    assert result.lines == ["0"]


def test_a_moved_tag_is_seen_by_the_next_job(alice, moved_tag):
    for text in ("old", "new"):
        assert alice.srun(f"--docker={moved_tag(text)}", "cat", "/word").lines == [text]


def test_a_tag_that_moves_between_two_steps(alice, moved_tag, go):
    """Also for a node that the first step did not run on, and with the image gone."""
    image = moved_tag("old")
    step = f"srun -Q --docker={image} sh -c '{SHOW}'"
    script = f"{step.replace('-Q', '-Q -N1 -n1 -w n1')}; {waiting('go')}; {step}"
    job = alice.start("salloc", "-Q", "-N2", "-n2", "-w", "n1,n2", "sh", "-c", script, stdout=-1)
    first = job.stdout.readline()
    assert first.startswith("old sha256:")
    moved_tag("new")
    images.remove_all_of("127.0.0.1:5000/moving", in_use=True)
    go()
    assert job.communicate(timeout=90)[0] == first * 2


def test_the_image_of_the_job_is_settled_when_it_is_submitted(alice, moved_tag):
    """Its script, its sruns, and those of all tasks of an array."""
    image = moved_tag("old")
    script = alice.home / "moving.sh"
    output = alice.home / "moving.out"
    output.unlink(missing_ok=True)
    script.write_text(f"#!/bin/sh\n#SBATCH --docker={image}\n{SHOW}\n")
    done = alice.run("sbatch", "--parsable", "--hold", "--open-mode=append", "--array=1-2",
                     "--export=NONE", f"--output={output}", str(script))  # fmt: skip
    moved_tag("new")
    alice.run("scontrol", "release", done.stdout.strip())
    end = time.monotonic() + 60
    while read("squeue", "-h", "-u", "alice").strip():
        assert time.monotonic() < end
        time.sleep(0.2)
    lines = output.read_text().splitlines()
    assert len(lines) == 2
    assert len(set(lines)) == 1
    assert lines[0].startswith("old sha256:")


def test_sruns_of_all_tasks_of_an_array_have_one(alice, moved_tag, go):
    """Each names the image by its tag; the second asks when that has moved."""
    image = moved_tag("old")
    second = f"[ $SLURM_ARRAY_TASK_ID = 1 ] || {{ {waiting('go')}; }}"
    command = f"{second}; srun -Q --docker={image} sh -c '{SHOW}'"
    words = ["--parsable", "--array=1-2%1", "--open-mode=append", "--output=array.out"]
    (alice.home / "array.out").unlink(missing_ok=True)
    job = alice.run("sbatch", *words, f"--wrap={command}").stdout.strip()
    end = time.monotonic() + 60
    while "RUNNING" not in read("squeue", "-h", "-j", f"{job}_2", "-o", "%T"):
        assert time.monotonic() < end
        time.sleep(0.1)
    moved_tag("new")
    go()
    while read("squeue", "-h", "-j", job):
        assert time.monotonic() < end
        time.sleep(0.1)
    first, later = (alice.home / "array.out").read_text().splitlines()
    assert first.startswith("old sha256:")
    assert later == first


def test_sruns_in_a_job_have_its_images_digest(alice, moved_tag, go):
    image = moved_tag("old")
    script = f"srun -Q cat /word; {waiting('go')}; srun -Q --container-workdir=/ cat /word"
    command = ["salloc", "-Q", "-N1", f"--docker={image}", "sh", "-c", script]
    job = alice.start(*command, stdout=-1)
    assert job.stdout.readline() == "old\n"
    moved_tag("new")
    images.remove_all_of("127.0.0.1:5000/moving", in_use=True)
    go()
    assert job.communicate(timeout=60)[0] == "old\n"


def test_commands_inside_an_image_have_its_digest(alice, moved_tag, go, wait_for):
    """Also where no Python of ours runs: the digest is in the step's environment."""
    image = moved_tag("old")
    output = alice.home / "inside.out"
    output.unlink(missing_ok=True)
    script = alice.home / "inside.sh"
    script.write_text(f"#!/bin/sh\n{SHOW}\n{waiting('go')}\nsrun -Q sh -c '{SHOW}'\n")
    command = ["sbatch", "--wait", "-N2", f"--docker={image}", f"--output={output}", str(script)]
    job = alice.start(*command, stdout=-1)
    wait_for(lambda: output.exists() and "old" in output.read_text())
    moved_tag("new")
    images.remove_all_of("127.0.0.1:5000/moving", in_use=True)
    go()
    assert job.wait(90) == 0
    lines = output.read_text().splitlines()
    assert len(lines) == 3
    assert len(set(lines)) == 1
    assert lines[0].startswith("old sha256:")


def test_a_tag_that_moves_with_each_question(alice, moved_tag):
    """Whoever asks a second time gets another image; also nodes that pull at one time."""
    with registry_server.running(5056) as server:
        manifests = []
        for text in ("a", "b", "c"):
            source, _, name = moved_tag(text).partition("/")
            manifests.append(server.copy(source, name, "a/moving"))
        turns = itertools.cycle(manifests)
        server.content["/v2/a/moving/manifests/1"] = lambda: next(turns)
        image = f"{server.name}/a/moving:1"
        words = set()
        try:
            for _ in range(4):
                images.remove_all_of(f"{server.name}/a/moving")
                result = alice.srun("-N4", f"--docker={image}", "sh", "-c", SHOW)
                assert len(result.lines) == 4
                (line,) = set(result.lines)
                words.add(line)
        finally:
            images.remove_all_of(f"{server.name}/a/moving")
    assert len(words) > 1, "else nothing moved"


def manifest(image: str) -> bytes:
    """What the registry has under a tag."""
    asked = urllib.request.Request(_url(image), headers={"Accept": registry_server.MANIFEST})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return answer.read()


def _url(image: str) -> str:
    registry, _, name = image.partition("/")
    repository, _, tag = name.rpartition(":")
    return f"http://{registry}/v2/{repository}/manifests/{tag}"


def test_never_does_not_take_what_the_tag_is_no_more(alice, moved_tag):
    image = moved_tag("old")
    assert alice.srun(f"--docker={image}", "cat", "/word").lines == ["old"]
    read("docker", "tag", image, "kept:1")
    moved_tag("new")
    read("docker", "tag", "kept:1", image)
    read("docker", "rmi", "kept:1")
    result = alice.srun(f"--docker={image}", "--container-pull=never", "cat", "/word")
    assert "this node does not have it" in result.stderr


def test_what_goes_along_must_be_a_digest(alice):
    env = {
        "SLURM_SPANK__SLURM_SPANK_OPTION_socker_docker": BUSYBOX,
        "SLURM_SOCKER_DIGEST": f"digest=sha256:;rm {BUSYBOX}",
    }
    result = alice.srun("echo", "ran", env=env)
    assert result.stdout == ""
    assert "is no digest" in result.stderr


@pytest.mark.parametrize("how", ["list", "allow", "deny"])
def test_a_digest_that_went_along_is_no_way_past_rules_on_tags(alice, moved_tag, configure, how):
    """Rules are about what the tag is, not what it was."""
    image = moved_tag("old")
    old = digest_in_registry(image)
    moved_tag("new")
    listed = Path("/etc/socker/images")
    listed.write_text(f"{image}\n")
    rule = {
        "list": f'image_list = "{listed}"\n',
        "allow": f'[[rule]]\nallow_images = ["{image}"]\n',
        "deny": f'[[rule]]\ndeny_images = ["{image.rpartition(":")[0]}:bad*"]\n',
    }
    configure(rule[how])
    env = {"SLURM_SPANK__SLURM_SPANK_OPTION_socker_docker": image}
    try:
        told = alice.srun(
            "cat", "/word", env=env | {"SLURM_SOCKER_DIGEST": f"digest={old} {image}"}
        )
        assert told.stdout == ""
        assert f"are about its tag, which does not stand for {old} any more" in told.stderr
        assert alice.srun(f"--docker={image}", "cat", "/word").lines == ["new"]
    finally:
        listed.unlink()


def test_where_nodes_ask_for_themselves(alice, moved_tag, configure):
    configure('resolve_tags = "node"\n')
    result = alice.srun("-N2", f"--docker={moved_tag('old')}", "sh", "-c", SHOW)
    assert len(set(result.lines)) == 1
    assert result.lines[0].startswith("old sha256:")


# --- where it is shown ---


@pytest.mark.parametrize("field", ["comment", "admin_comment"])
def test_in_the_record_of_the_job(alice, configure, field):
    configure(f'store_digest = "{field}"\n')
    script = (
        f"srun -Q -N2 --docker={BUSYBOX} sh -c 'echo $SOCKER_IMAGE_DIGEST';"
        f"srun -Q --docker={BUSYBOX} true; scontrol show job $SLURM_JOB_ID"
    )
    result = alice.run("salloc", "-Q", "-N2", "--comment=my own", "sh", "-c", script)
    shown = {name: text for name, _, text in (line.strip().partition("=") for line in result.lines)}
    stored = f"{BUSYBOX}@{result.lines[0]}"
    if field == "comment":
        assert shown["Comment"] == f"my own {stored}"
    else:
        assert shown["AdminComment"] == stored
        assert shown["Comment"] == "my own"


def test_by_default_in_none(alice):
    script = f"srun -Q --docker={BUSYBOX} true; scontrol show job $SLURM_JOB_ID"
    assert "@sha256" not in alice.run("salloc", "-Q", "-N1", "sh", "-c", script).stdout


def test_socker_ps_shows_it(alice):
    job = alice.start("srun", "-Q", f"--docker={BUSYBOX}", "sh", "-c",
                      "echo $SOCKER_IMAGE_DIGEST; sleep 10", stdout=-1)  # fmt: skip
    digest = job.stdout.readline().strip()
    (found,) = json.loads(read(SOCKER, "ps", "--json"))
    assert found["digest"] == digest
    assert job.wait(30) == 0


# --- the site's own check ---

SCRIPT = """#!/bin/sh
echo "$0 $* user=$(id -un) $(env | sort | tr '\\n' ' ')" >> /tmp/socker-verify/log
case "$2" in
*@{signed}) exit 0;;
esac
echo "no signature" >&2
echo "of $2: \t no key fits" >&2
exit 7
"""


@pytest.fixture
def verified(configure):
    """verified(digest): from now on the site's program agrees to that alone; its log."""
    folder = Path("/tmp/socker-verify")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    log = folder / "log"
    log.touch()
    for path in (folder, log):
        shutil.chown(path, "nobody")
    program = folder / "check"

    def make(digest: str, more: str = "", text: str = SCRIPT) -> Path:
        program.write_text(text.replace("{signed}", digest))
        program.chmod(0o755)
        configure(f'verify = ["{program}", "--key=site"]\n{more}')
        return log

    yield make
    shutil.rmtree(folder)


def digest_in_registry(image: str) -> str:
    return registry_server.digest_of(manifest(image))


def test_an_image_that_is_signed_and_one_that_is_not(alice, verified, moved_tag):
    image = moved_tag("signed")
    digest = digest_in_registry(image)
    log = verified(digest)
    assert alice.srun(f"--docker={image}", "cat", "/word").lines == ["signed"]
    name = image.rpartition(":")[0]
    called = log.read_text()
    assert f" --key=site {name}@{digest} user=nobody " in called
    assert " SOCKER_USER=alice " in called
    assert "SLURM_" not in called
    assert " HOME=/nonexistent " in called
    moved_tag("another")
    result = alice.srun(f"--docker={image}", "cat", "/word")
    assert result.stdout == ""
    assert f"{name}@{digest_in_registry(image)}: this site's check refuses it: of " in result.stderr
    assert "no key fits\n" in result.stderr
    assert "\t" not in result.stderr


def test_a_verdict_counts_for_a_while(alice, verified):
    log = verified(digest_in_registry(BUSYBOX))
    shutil.rmtree("/run/socker/confirmed", ignore_errors=True)
    for _ in range(3):
        assert alice.srun(f"--docker={BUSYBOX}", "true").status == 0
    assert len(log.read_text().splitlines()) == 1
    for record in Path("/run/socker/confirmed").iterdir():
        os.utime(record, (1, 1))
    assert alice.srun(f"--docker={BUSYBOX}", "true").status == 0
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("more", "text", "words"),
    [
        ("verify_timeout = 1", "#!/bin/sh\nexec sleep 777", "longer than verify_timeout = 1 s"),
        ("", "#!/no/such/interpreter", "cannot be run: No such file or directory"),
        ('verify_user = "root"', "#!/bin/sh", "neither root nor the job's owner can be that"),
        ('verify_user = "alice"', "#!/bin/sh", "neither root nor the job's owner can be that"),
        ('verify_user = "nosuch"', "#!/bin/sh", "this node knows no such user"),
    ],
)
def test_a_check_that_cannot_be_made_lets_nothing_run(alice, verified, more, text, words):
    shutil.rmtree("/run/socker/confirmed", ignore_errors=True)
    verified("", f"{more}\n", text)
    result = alice.srun(f"--docker={BUSYBOX}", "echo", "ran")
    assert result.stdout == ""
    assert words in result.stderr


def test_files_cannot_be_verified(alice, verified):
    verified(digest_in_registry(BUSYBOX))
    result = alice.srun("--docker=/etc/passwd", "echo", "ran")
    assert "this site verifies images, which it cannot do with files" in result.stderr
