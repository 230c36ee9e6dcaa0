"""The site's rules about images: who may run which, and no way around them."""

import json
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import BUSYBOX, DEBIAN, REGISTRY, SOCKER, read
from test_refusals import last_job

from pycontrol import imagefile
from tests import image_files

NO_DEBIAN = f"""
[[rule]]
name = "no debian"
deny_images = ["{REGISTRY}/debian"]
reason = "use busybox"
"""
DENIED = f"rule 1 `no debian` denies `{REGISTRY}/debian`: use busybox"
IMAGES = Path("/srv/socker-images")


def digest_of(name: str, tag: str) -> str:
    url = f"http://{REGISTRY}/v2/{name}/manifests/{tag}"
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=accept), timeout=5) as answer:
        return answer.headers["Docker-Content-Digest"]


def archive(layers: int) -> bytes:
    """An image without any program in it."""
    made = [image_files.tar({f"file{number}": b""}) for number in range(layers)]
    return image_files.tar(image_files.docker_members(made))


def forged(user, options: str, *more: str):
    """A step whose list of options no check at submission has seen."""
    return user.srun(f"--export=ALL,SLURM_SOCKER_OPTIONS={options}", *more, "echo", "ran")


def test_refused_before_anything_is_queued(alice, settings):
    settings.write_text(NO_DEBIAN)
    before = last_job()
    for command in (["srun", f"--docker={DEBIAN}", "true"],
                    ["sbatch", f"--docker={DEBIAN}", "--wrap=true"],
                    ["salloc", f"--container-image={DEBIAN}", "true"]):  # fmt: skip
        result = alice.run(*command)
        assert result.status == 1
        assert result.stderr.splitlines()[-1] == f"socker: image {DEBIAN}: {DENIED}"
    assert last_job() == before
    assert alice.srun(f"--docker={BUSYBOX}", "echo", "ran").lines == ["ran"]


def test_the_node_refuses_with_the_same_words(alice, settings):
    settings.write_text(NO_DEBIAN)
    result = forged(alice, f"docker={DEBIAN}")
    assert result.stdout == ""
    assert f"socker: image {DEBIAN}: {DENIED}\n" in result.stderr


@pytest.mark.parametrize(
    "image",
    [
        "localhost:5000/debian:bookworm",
        "LocalHost:05000/debian:bookworm",
        "127.1:5000/debian:bookworm",
        f"docker://{DEBIAN}",
        f"dockerd://{DEBIAN}",
        f"user@{REGISTRY}#debian:bookworm",
        f"{REGISTRY}/debian@sha256:" + "a" * 64,
        f"{DEBIAN}@sha256:" + "a" * 64,
    ],
)
def test_another_spelling_is_no_way_around(alice, settings, image):
    settings.write_text(NO_DEBIAN)
    for result in (alice.srun(f"--docker={image}", "true"), forged(alice, f"docker={image}")):
        assert result.stdout == ""
        assert "rule 1 `no debian` denies" in result.stderr


def test_a_prefix_is_of_whole_components(alice, settings, make_image):
    evil = make_image("team-evil")
    settings.write_text(f'[[rule]]\nallow_images = ["{REGISTRY}/team"]\n')
    result = alice.srun(f"--docker={evil}", "true")
    assert f"image {evil}: no rule of this site allows it" in result.stderr
    own = make_image("team/tool")
    assert alice.srun(f"--docker={own}", "echo", "ran").lines == ["ran"]


def test_users_and_groups(alice, bob, settings):
    settings.write_text(
        f'[[rule]]\ngroups = ["lab"]\nallow_images = ["{REGISTRY}/debian"]\n'
        f'[[rule]]\nusers = ["bob"]\nallow_images = ["{REGISTRY}/busybox"]\n'
    )
    assert alice.srun(f"--docker={DEBIAN}", "echo", "ran").lines == ["ran"]
    assert bob.srun(f"--docker={BUSYBOX}", "echo", "ran").lines == ["ran"]
    for user, image in ((alice, BUSYBOX), (bob, DEBIAN)):
        assert "no rule of this site allows it" in user.srun(f"--docker={image}", "true").stderr


GATED = f"""
[[rule]]
name = "gate"
partitions = ["gated"]
accounts = ["physics"]
allow_images = ["{REGISTRY}/busybox"]
[[rule]]
partitions = ["all"]
allow_images = ["{REGISTRY}/debian"]
"""


def test_partition_and_account_are_slurms_word(alice, settings, gated):
    settings.write_text(GATED)
    lies = "--export=ALL,SLURM_JOB_PARTITION=gated,SLURM_JOB_ACCOUNT=physics"
    for words, runs in (
        (["-p", gated, "-A", "physics"], True),
        (["-p", gated, "-A", "chemistry"], False),
        (["-p", gated], False),
        (["-A", "physics"], False),
        ([lies, "-A", "physics"], False),
    ):
        result = alice.srun(*words, f"--docker={BUSYBOX}", "echo", "ran")
        assert result.lines == (["ran"] if runs else [])
        assert ("no rule of this site allows it" in result.stderr) is not runs


def test_the_audit_names_the_rule(alice, settings, gated):
    settings.write_text(GATED)
    words = ["-p", gated, "-A", "physics", f"--docker={BUSYBOX}", "true"]
    assert alice.srun(*words).status == 0
    lines = map(json.loads, Path("/var/log/socker/audit.jsonl").read_text().splitlines())
    start = [line for line in lines if line["event"] == "start"][-1]
    assert start["rule"] == f"rule 1 `gate` allows `{REGISTRY}/busybox`"
    assert start["account"] == "physics"


def test_an_account_that_imitates_another_job(alice, settings, gated):
    """Without accounting Slurm takes any text for an account: it must not speak of partitions."""
    settings.write_text(f'[[rule]]\npartitions = ["{gated}"]\nallow_images = ["*"]\n')
    uid = read("id", "-u", "alice").strip()
    row = f"{gated}|{uid}|JOB|JOB"
    for account in (f"x|{row}\nz", f"x\ny|{row}", f"x|{row}", "a;b", "$(id)", "`", "'\""):
        number = last_job()
        account = account.replace("JOB", number)
        result = alice.srun("-A", account, f"--docker={BUSYBOX}", "echo", "ran")
        assert result.stdout == ""
        assert ("no rule of this site allows it" in result.stderr) or (
            f"Slurm does not tell those of job {number}" in result.stderr
        )


def test_all_components_of_a_heterogeneous_job_count(alice, settings, gated):
    settings.write_text(GATED)
    words = [f"--docker={DEBIAN}", "echo", "ran"]
    result = alice.srun("-n1", *words, ":", "-n1", "-p", gated, *words)
    assert "no rule of this site allows it" in result.stderr
    assert alice.srun("-n1", *words, ":", "-n1", *words).lines == ["ran", "ran"]


def test_one_of_several_partitions(alice, settings, gated):
    """The one that the job runs in, not those that were asked for."""
    settings.write_text(GATED)
    script = f"squeue -h -j $SLURM_JOB_ID -o %P; srun -Q --docker={DEBIAN} echo ran"
    result = alice.run("salloc", "-Q", "-p", f"all,{gated}", "sh", "-c", script)
    assert result.lines in (["all", "ran"], [gated])
    assert ("no rule of this site allows it" in result.stderr) is (result.lines == [gated])


def test_a_digest_may_be_required(alice, settings):
    settings.write_text('[[rule]]\nname = "pinned"\ndigest = "required"\n')
    result = alice.srun(f"--docker={BUSYBOX}", "true")
    assert result.stderr == (
        f"socker: digest of image {BUSYBOX}: rule 1 `pinned` requires one: name the image as "
        "NAME@sha256:...\n"
    )
    pinned = f"{REGISTRY}/busybox@{digest_of('busybox', '1')}"
    assert alice.srun(f"--docker={pinned}", "echo", "ran").lines == ["ran"]


def test_a_denied_digest_is_denied_under_any_tag(alice, settings, make_image):
    image = make_image("relabelled", lambda root: (root / "which").write_text("one"))
    digest = digest_of("relabelled", "test")
    settings.write_text(f'[[rule]]\nname = "hole"\ndeny_images = ["@{digest}"]\n')
    for _ in range(2):  # pulled, and found on the node
        result = alice.srun(f"--docker={image}", "echo", "ran")
        assert result.stdout == ""
        assert f"image {image}: rule 1 `hole` denies `@{digest}`" in result.stderr
    assert alice.srun(f"--docker={BUSYBOX}", "echo", "ran").lines == ["ran"]


def test_the_list_of_images(alice, bob, settings):
    listed = settings.parent / "images"
    listed.write_text(f"# allowed\n{BUSYBOX}\n")
    try:
        settings.write_text(f'image_list = "{listed}"\n')
        assert alice.srun(f"--docker={BUSYBOX}", "echo", "ran").lines == ["ran"]
        result = alice.srun(f"--docker={REGISTRY}/busybox:2", "true")
        assert "no rule of this site allows it: `socker images` lists" in result.stderr
        shown = json.loads(bob.run(SOCKER, "images", "--json").stdout)
        assert shown["allowed"] == [BUSYBOX]
        assert BUSYBOX in bob.run(SOCKER, "images").stdout
        listed.chmod(0o666)
        assert "others than root may write to it" in forged(alice, f"docker={BUSYBOX}").stderr
    finally:
        listed.unlink()
    result = forged(alice, f"docker={BUSYBOX}")
    assert f"socker: {listed}: No such file or directory: image_list names" in result.stderr


@pytest.fixture
def folder():
    """A directory of images that is root's."""
    IMAGES.mkdir(exist_ok=True)
    yield IMAGES
    read("rm", "-rf", str(IMAGES))


def test_image_files_are_judged_by_where_they_are(alice, settings, folder, no_file_images):
    """A link leads in or out; what counts is the file."""
    settings.write_text(f'[[rule]]\nname = "ours"\nallow_images = ["{folder}"]\n')
    data = archive(1)
    for path in (folder / "site.tar", alice.home / "own.tar"):
        path.write_bytes(data)
    (folder / "out.tar").symlink_to(alice.home / "own.tar")
    (alice.home / "in.tar").symlink_to(folder / "site.tar")
    own = alice.home / "own.tar"
    try:
        for path in (own, folder / "out.tar", Path(f"{folder}2/x.tar")):
            result = alice.srun(f"--docker={path}", "true")
            assert result.status != 0
            if path.exists():
                assert f"image {own}: no rule of this site allows it" in result.stderr
        for path in (folder / "site.tar", alice.home / "in.tar"):
            # The image is empty: that its command is not found says that it was run.
            assert "No such file or directory" in alice.srun(f"--docker={path}", "/no").stderr
    finally:
        own.unlink()
        (alice.home / "in.tar").unlink()


def test_a_namespace_of_the_users_is_no_way_around(alice, settings, folder, no_file_images):
    """There the user's file, which the node has imported before, is at an allowed path."""
    own, allowed = alice.home / "own.tar", folder / "own.tar"
    own.write_bytes(archive(1))
    time.sleep(imagefile.SETTLED + 1)
    assert "No such file or directory" in alice.srun(f"--docker={own}", "/no").stderr
    settings.write_text(f'[[rule]]\nallow_images = ["{folder}"]\n')
    script = f"mount -t tmpfs t {folder} && touch {allowed} && "
    script += f"mount --bind {own} {allowed} && echo $$ && exec sleep 60"
    holder = alice.start("unshare", "-rm", "sh", "-c", script, stdout=subprocess.PIPE)
    try:
        pid = holder.stdout.readline().strip()
        result = alice.srun(f"--docker=/proc/{pid}/root{allowed}", "/no")
        assert result.status != 0
        assert "Too many levels of symbolic links: check the path" in result.stderr
    finally:
        holder.kill()
        holder.wait()
        own.unlink()


def test_a_named_container_is_no_way_around(alice, settings):
    settings.write_text(NO_DEBIAN)
    script = (
        f"srun -Q --container-name=x --docker={BUSYBOX} true;"
        "srun -Q --container-name=x echo joined;"
        f"srun -Q --container-name=y --docker={DEBIAN} echo made;"
        f"srun -Q --export=ALL,SLURM_SOCKER_OPTIONS=container-name=y echo ran"
    )
    result = alice.run("salloc", "-Q", "-n1", "sh", "-c", script)
    assert result.lines == ["joined"]
    assert DENIED in result.stderr
    assert "container y: no step of this job has made it" in result.stderr


# --- options and limits ------------------------------------------------------------------


def test_options_are_switched_off_one_by_one(alice, settings):
    settings.write_text('options_off = ["container-save", "container-writable"]\n')
    off = "this site has switched it off (options_off): leave it out"
    words = [f"--docker={BUSYBOX}", "--container-writable"]
    for command in (["srun", *words, "true"], ["sbatch", *words, "--wrap=true"]):
        assert f"socker: --container-writable: {off}" in alice.run(*command).stderr
    result = alice.run("srun", words[0], "true", env={"SOCKER_CONTAINER_WRITABLE": "1"})
    assert result.stderr == f"socker: --container-writable: {off}\n"
    result = forged(alice, f"docker={BUSYBOX}\x1fcontainer-writable=")
    assert f"socker: --container-writable: {off}" in result.stderr
    assert result.stdout == ""
    assert alice.srun(words[0], "--container-name=x", "echo", "ran").lines == ["ran"]


def present(image: str) -> bool:
    return not subprocess.run(["docker", "inspect", image], capture_output=True).returncode


def test_an_image_that_is_too_large_does_not_stay(alice, settings, make_image):
    image = make_image("large", lambda root: (root / "zeros").write_bytes(bytes(30 << 20)))
    settings.write_text('max_image_size = "20m"\n')
    result = alice.srun(f"--docker={image}", "echo", "ran")
    assert result.stdout == ""
    assert f"image {image}: it is larger than this site allows (max_image_size = 20m)" in (
        result.stderr
    )
    assert not present(image)
    settings.write_text('max_image_size = "1g"\n')
    assert alice.srun(f"--docker={image}", "echo", "ran").lines == ["ran"]
    settings.write_text('max_image_size = "20m"\n')
    assert alice.srun(f"--docker={image}", "echo", "ran").stdout == ""


def test_an_image_with_too_many_layers(alice, settings, no_file_images):
    path = alice.home / "layers.tar"
    path.write_bytes(archive(6))
    settings.write_text("max_image_layers = 5\n")
    result = alice.srun(f"--docker={path}", "true")
    path.unlink()
    assert f"image {path}: it has more layers than this site allows (max_image_layers = 5)" in (
        result.stderr
    )


def test_a_node_that_has_enough_images(alice, settings, make_image):
    image = make_image("one-more")
    settings.write_text('max_node_size = "1m"\n')
    assert alice.srun(f"--docker={BUSYBOX}", "echo", "ran").lines == ["ran"], "it has that one"
    result = alice.srun(f"--docker={image}", "echo", "ran")
    assert "with max_node_size = 1m no more is brought" in result.stderr
    assert not present(image)


# --- hostile strings ---------------------------------------------------------------------

HOSTILE = [
    "a;touch /tmp/pwned", "a|b", "$(id)", "`id`", "a\nb", "'", '"', "--help", "-x", "*", "a*",
    "[[rule]]", "@sha256:", "a@", "/", "//", "..", "\udcff", "x" * 65536, "a/" * 300 + "b",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_images_are_refused_in_one_line(alice, settings, text):
    settings.write_text(f'[[rule]]\nallow_images = ["{REGISTRY}/busybox"]\n')
    result = alice.run("srun", f"--docker={text}", "echo", "ran")
    assert result.status == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("socker: ")
    assert not Path("/tmp/pwned").exists()


# --- explain -----------------------------------------------------------------------------


def explained(user, *words) -> dict:
    return json.loads(user.run(SOCKER, "explain", "--json", *words).stdout)


def test_explain_says_what_will_be(alice, settings, gated):
    settings.write_text(GATED)
    for words in (
        ["-p", gated, "-A", "physics", f"--docker={BUSYBOX}"],
        ["-p", gated, "-A", "physics", f"--docker={DEBIAN}"],
        ["-p", "all", f"--docker={DEBIAN}", "--container-mounts=/srv:/srv"],
        ["-p", "all", f"--docker={BUSYBOX}"],
    ):
        refused = explained(alice, *words, "true")["refused"]
        result = alice.srun(*words, "true")
        assert (result.status == 0) is (refused is None)
        if refused:
            assert f"socker: {refused}\n" in result.stderr


def test_explain_shows_the_order_and_which_rule_decides(alice, settings):
    settings.write_text(NO_DEBIAN + GATED)
    shown = alice.run(SOCKER, "explain", f"--docker={DEBIAN}", "true").stdout
    for line in (
        "rules, in order; of each matter the first that holds and speaks of it decides",
        "  rule 1 `no debian`: holds",
        "  rule 2 `gate` (accounts physics; partitions gated): may hold",
        f"  REFUSED  image {DEBIAN}: {DENIED}",
        f"  refused: image {DEBIAN}: {DENIED}",
    ):
        assert line in shown.splitlines()


def test_explain_for_another_user_is_roots(alice, settings):
    settings.write_text(f'[[rule]]\nusers = ["bob"]\nallow_images = ["{REGISTRY}/busybox"]\n')
    words = ["--json", "--user=bob", f"--docker={BUSYBOX}", "true"]
    found = json.loads(read(SOCKER, "explain", *words))
    assert found["refused"] is None
    assert found["decision"]["account"]["name"] == "bob"
    words[1] = "--user=alice"
    refused = json.loads(read(SOCKER, "explain", *words))["refused"]
    assert "no rule of this site allows it" in refused
    result = alice.run(SOCKER, "explain", "--user=bob", f"--docker={BUSYBOX}", "true")
    assert result.status == 2
    assert (
        result.stderr == "socker: explain: --user=bob: only root may ask for others: leave it out\n"
    )
