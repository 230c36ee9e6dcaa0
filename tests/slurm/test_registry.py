"""Registries: the user's own credentials, and a cached private image that is nobody's."""

import base64
import contextlib
import json
import os
import shutil
import threading
import time
from pathlib import Path

import images
import pytest
from conftest import BUSYBOX, REGISTRY, containers, read
from locked_registry import AUTH, LOCKED, SECRET, docker_config
from slow_registry import SlowRegistry

from tests import registry_server

STATE = Path("/run/socker")
DENIED = "that you may read it is not confirmed: registry"


@pytest.fixture(autouse=True)
def nothing_confirmed():
    """No test lives on what a registry said in another."""
    shutil.rmtree(STATE / "confirmed", ignore_errors=True)


def word(user, image: str, *options: str, **more):
    return user.srun(f"--docker={image}", *options, "cat", "/word", **more)


def refused(result) -> str:
    assert (result.status, result.stdout) == (1, "")
    (line,) = {line for line in result.stderr.splitlines() if line.startswith("socker: ")}
    return line


def digest_of(image: str) -> str:
    return read("docker", "inspect", "-f", "{{index .RepoDigests 0}}", image).strip()


# --- credentials ---


def test_a_private_image_with_ones_own_password(alice, private, login):
    assert "no credentials were found" in refused(word(alice, private))
    login("wr0ng-word")
    told = refused(word(alice, private))
    assert f"registry {LOCKED} refuses: " in told
    assert "wr0ng-word" not in told
    login()
    assert word(alice, private).lines == ["private"]
    assert word(alice, digest_of(private)).lines == ["private"]


def test_docker_config_names_another_directory(alice, private):
    folder = alice.home / "dockercfg"
    docker_config(folder, "alice", {"auths": {LOCKED: {"auth": AUTH}}})
    try:
        result = word(alice, private, env={"DOCKER_CONFIG": str(folder)})
    finally:
        shutil.rmtree(folder)
    assert result.lines == ["private"]


@pytest.fixture
def helper(alice):
    """helper(script): a credential helper in alice's PATH, and a configuration that names it."""
    folder = alice.home / "helper"

    def make(script: str) -> dict[str, str]:
        docker_config(folder, "alice", {"credsStore": "test"})
        program = folder / "docker-credential-test"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        path = alice.environment()["PATH"]
        return {"DOCKER_CONFIG": str(folder), "PATH": f"{folder}:{path}"}

    yield make
    shutil.rmtree(folder, ignore_errors=True)


def test_a_helper_runs_as_the_user(alice, private, helper):
    """On the node as on the submit host: neither is root."""
    secret = json.dumps({"Username": "alice", "Secret": SECRET})
    env = helper(f"id -u >> {alice.home}/helper/ids; grep -q {LOCKED} && echo '{secret}'")
    assert word(alice, private, env=env).lines == ["private"]
    ids = (alice.home / "helper/ids").read_text().split()
    assert len(ids) >= 2
    assert set(ids) == {"1001"} or set(ids) == {str(alice.home.stat().st_uid)}


def runs(pid: str) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_a_helper_that_hangs_ends_with_the_step(alice, private, helper, configure, wait_for):
    configure("registry_timeout = 2\n")
    env = helper(f"echo $$ >> {alice.home}/helper/pids; exec sleep 777")
    started = time.monotonic()
    assert f"registry {LOCKED}: no answer within 2 s" in word(alice, private, env=env).stderr
    assert time.monotonic() - started < 30
    pids = (alice.home / "helper/pids").read_text().split()
    assert len(pids) == 2, "one of srun's, one of the node's"
    wait_for(lambda: not any(map(runs, pids)), 5)


def test_an_identity_token(alice, login):
    """Of a registry that takes nothing else; it has what the cluster's has of busybox."""
    with registry_server.running(5056) as server:
        server.content["/v2/a/b/manifests/1"] = server.copy(REGISTRY, "busybox:1", "a/b")
        server.actions = "pull"
        server.want_token()
        image = f"{server.name}/a/b:1"
        try:
            folder = alice.home / ".docker"
            docker_config(folder, "alice", {"auths": {server.name: {"identitytoken": "wrong"}}})
            assert "who?" in refused(alice.srun(f"--docker={image}", "true"))
            docker_config(folder, "alice", {"auths": {server.name: {"identitytoken": "idt"}}})
            assert alice.srun(f"--docker={image}", "echo", "x").lines == ["x"]
        finally:
            shutil.rmtree(folder)
            images.remove_all_of(f"{server.name}/a/b")


class Watch:
    """Looks for texts in every process's arguments and environment, again and again."""

    def __init__(self, *secrets: str):
        self._secrets = [secret.encode() for secret in secrets]
        self.found: list[str] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        own = str(os.getpid())
        while not self._end.is_set():
            for pid in filter(str.isdecimal, os.listdir("/proc")):
                for name in ("cmdline", "environ") if pid != own else ():
                    with contextlib.suppress(OSError):
                        data = Path(f"/proc/{pid}/{name}").read_bytes()
                        if any(secret in data for secret in self._secrets):
                            self.found.append(f"{pid} {name}")
            time.sleep(0.02)


def test_a_password_is_seen_nowhere(alice, bob, private, login):
    login()
    header = base64.urlsafe_b64encode(json.dumps({"username": "alice"}).encode()).decode()[:20]
    with Watch(SECRET, AUTH, header) as watch:
        job = alice.start(
            "srun", "-Q", "--job-name=secret", f"--docker={private}",
            "sh", "-c", "echo ready; sleep 2; env", stdout=-1, stderr=-1,
        )  # fmt: skip
        assert job.stdout.readline() == "ready\n"
        (container,) = containers()
        shown = read("docker", "inspect", container) + read("docker", "inspect", private)
        shown += bob.run("scontrol", "show", "job", "--details").stdout
        output, errors = job.communicate(timeout=60)
    assert "SOCKER_IMAGE_DIGEST=sha256:" in output
    assert not watch.found
    texts = []
    kept = [Path(folder, name) for folder, _, names in os.walk(STATE) for name in names]
    for path in (*kept, *Path("/var/log/socker-cluster").glob("*.log")):
        with contextlib.suppress(FileNotFoundError):  # the job's epilog is at work
            if path.is_file():
                texts.append(path.read_text(errors="replace"))
    assert texts
    for text in (shown, output, errors, *texts):
        assert SECRET not in text
        assert AUTH not in text


# --- what the node has is not everybody's ---


@pytest.fixture
def cached(alice, private, login):
    """The private image on the node, brought by alice."""
    login()
    assert word(alice, private).lines == ["private"]
    return private


def test_bob_cannot_use_alices_image(alice, bob, cached):
    digest = digest_of(cached)
    short = read("docker", "inspect", "-f", "{{.Id}}", cached)[7:19]
    told = f"socker: image {cached}: {DENIED} {LOCKED} refuses: "
    assert refused(word(bob, f"dockerd://{cached}")).startswith(told)
    for name in (cached, digest, f"dockerd://{digest}"):
        for options in ([], ["--container-pull=never"], ["--container-writable"]):
            assert f"registry {LOCKED} refuses: " in refused(word(bob, name, *options))
    for name in (short, f"dockerd://{short}", f"sha256:{short}", f"dockerd://sha256:{short}"):
        assert "private" not in word(bob, name).stdout
    assert word(alice, cached).lines == ["private"]
    assert word(alice, f"dockerd://{cached}", "--container-pull=never").lines == ["private"]


def test_not_with_alices_configuration_either(alice, bob, cached):
    env = {"DOCKER_CONFIG": str(alice.home / ".docker"), "HOME": str(alice.home)}
    assert "Permission denied" in refused(word(bob, cached, env=env))


def test_not_by_another_name(alice, bob, cached):
    """Whoever may tag images on the node has no say in who may read them."""
    read("docker", "tag", cached, "mine:1")
    try:
        for name in ("dockerd://mine:1", "mine:1"):
            assert "private" not in word(bob, name).stdout
        assert word(alice, "dockerd://mine:1").lines == ["private"]
    finally:
        read("docker", "rmi", "mine:1")


def test_not_by_a_digest_that_went_along(bob, cached):
    """SLURM_SOCKER_... is the user's: it is worth no more than --docker=NAME@DIGEST."""
    digest = digest_of(cached).partition("@")[2]
    for name in (cached, BUSYBOX):
        env = {
            "SLURM_SPANK__SLURM_SPANK_OPTION_socker_docker": name,
            "SLURM_SOCKER_DIGEST": f"digest={digest} {name}",
        }
        result = bob.srun("cat", "/word", env=env)
        assert result.status == 1
        assert "private" not in result.stdout


def test_not_by_a_registry_of_bobs_own(bob, cached):
    """It says yes to all, and that its image is the one of which bob knows the hash.

    The engine, asked to pull that, takes what it has.
    """
    with registry_server.running(5056) as server:
        image_id = read("docker", "inspect", "-f", "{{.Id}}", cached).strip()
        manifest = json.dumps({
            "schemaVersion": 2,
            "mediaType": registry_server.MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": 1000,
                "digest": image_id,
            },
            "layers": [],
        }).encode()  # fmt: skip
        for name in ("1", registry_server.digest_of(manifest)):
            server.content[f"/v2/a/b/manifests/{name}"] = manifest
        image = f"{server.name}/a/b:1"
        try:
            for name in (image, image, f"dockerd://{image}", f"dockerd://{cached}"):
                assert DENIED in refused(word(bob, name))
            assert images.in_engine(image), "else this test shows nothing"
        finally:
            images.remove_all_of(f"{server.name}/a/b")


def test_two_users_at_once(alice, bob, private, login):
    """Neither gets the other's answer."""
    login()
    for _ in range(3):
        images.remove_all_of(private.rpartition(":")[0])
        shutil.rmtree(STATE / "confirmed", ignore_errors=True)
        command = ["srun", "-Q", "-N1", f"--docker={private}", "cat", "/word"]
        jobs = [user.start(*command, stdout=-1, stderr=-1) for user in (bob, alice, bob, alice)]
        outputs = [job.communicate(timeout=90) for job in jobs]
        assert [output for output, _ in outputs] == ["", "private\n", "", "private\n"]
        assert all(DENIED in told or "cannot be pulled" in told for _, told in outputs[::2])


# --- when the registry is asked ---


@pytest.fixture
def door(private, login):
    """The private image by another address, which counts."""
    made = SlowRegistry(5056, 0, LOCKED)
    login(registry=made.address)
    made.image = private.replace(LOCKED, made.address)
    yield made
    made.close()
    images.remove_all_of(made.image.rpartition(":")[0])


def visits(door, user, *options: str) -> int:
    before = door.visits
    assert word(user, door.image, *options).lines == ["private"]
    return door.visits - before


def test_a_confirmation_counts_for_a_while(alice, bob, door, configure):
    configure('resolve_tags = "node"\nconfirmation_time = 1000\n')
    visits(door, alice)
    digest = digest_of(door.image)
    before = door.visits
    assert word(alice, digest).lines == ["private"]
    assert door.visits == before
    assert word(alice, digest, "--container-pull=always").lines == ["private"]
    assert door.visits > before
    refused(word(bob, digest))
    for record in (STATE / "confirmed").iterdir():
        os.utime(record, (1, 1))
    before = door.visits
    assert word(alice, digest).lines == ["private"]
    assert door.visits > before


def test_later_steps_of_a_job_ask_nobody(alice, door):
    script = (
        f"rm -f go; srun -Q --docker={door.image} cat /word; until test -e go; do sleep 0.1; done;"
        f"srun -Q --docker={door.image} cat /word; rm go"
    )
    job = alice.start("salloc", "-Q", "-N1", "sh", "-c", script, stdout=-1)
    assert job.stdout.readline() == "private\n"
    shutil.rmtree(STATE / "confirmed")
    before = door.visits
    alice.run("touch", "go")
    assert job.communicate(timeout=60)[0] == "private\n"
    assert door.visits == before


def test_public_images_ask_nobody(alice, bob, door, configure):
    visits(door, alice)
    digest = digest_of(door.image)
    configure(f'public_images = ["{door.address}/team"]\nresolve_tags = "node"\n')
    before = door.visits
    for name in (door.image, digest, f"dockerd://{door.image}"):
        assert word(bob, name).lines == ["private"]
    assert door.visits == before
    configure(f'public_images = ["{door.address}/tea"]\n')
    assert "refuses" in refused(word(bob, door.image))


def test_an_image_made_on_the_node_is_for_everybody(alice, make_image):
    public = make_image("local", lambda root: (root / "word").write_text("made here\n"))
    images.run("docker", "pull", "-q", public)
    read("docker", "rmi", "-f", "made-here:1")
    saved = Path("/tmp/socker-test-local.tar")
    try:
        images.run("docker", "tag", public, "made-here:1")
        images.run("docker", "save", "-o", saved, "made-here:1")
        images.remove_all_of(public.rpartition(":")[0])
        images.run("docker", "rmi", "-f", "made-here:1")
        images.run("docker", "load", "-i", saved)
        assert word(alice, "dockerd://made-here:1").lines == ["made here"]
    finally:
        saved.unlink(missing_ok=True)
        read("docker", "rmi", "-f", "made-here:1")


# --- a registry that is away ---


def test_away_by_default_nobody(alice, cached, locked):
    locked.stop()
    shutil.rmtree(STATE / "confirmed")
    result = word(alice, cached)
    assert f"{DENIED} {LOCKED}: it cannot be reached from this node" in result.stderr
    assert result.stdout == ""


def test_away_whom_it_has_confirmed(alice, bob, cached, locked, configure):
    configure('unreachable_registry = "confirmed"\nconfirmation_time = 1\n')
    refused(word(bob, cached))
    locked.stop()
    time.sleep(1.1)
    assert word(alice, cached).lines == ["private"]
    assert word(bob, cached).stdout == ""
    assert word(alice, cached, "--container-pull=always").stdout == ""


def test_away_everybody_if_the_site_likes(bob, cached, locked, configure):
    configure('unreachable_registry = "allow"\n')
    locked.stop()
    assert word(bob, cached).lines == ["private"]


def test_away_and_not_on_the_node(alice, private, locked, login):
    login()
    locked.stop()
    result = word(alice, private)
    assert f"image {private} cannot be pulled: registry {LOCKED}: it cannot be" in result.stderr
