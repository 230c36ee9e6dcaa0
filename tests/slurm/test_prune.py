"""`socker images prune`: what socker brought and nobody uses goes, the longest unused first."""

import json
import os
import subprocess
import time
from pathlib import Path

import images
import pytest
from conftest import SOCKER, STATE, read
from test_teardown import sleeper

RECORDS = Path("/var/lib/socker/.images")
DAY = 86400


def prune(*options: str) -> list[dict]:
    done = subprocess.run(
        [SOCKER, "images", "prune", "--json", *options], capture_output=True, text=True, timeout=120
    )
    print(done.stdout, done.stderr)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)["images"]


def of(answer: list[dict], image_id: str) -> tuple[str, str]:
    found = [entry for entry in answer if entry["image_id"] == image_id]
    assert len(found) == 1
    return found[0]["what"], found[0]["why"]


def id_of(reference: str) -> str:
    return read("docker", "image", "inspect", "-f", "{{.Id}}", reference).strip()


def is_here(image_id: str) -> bool:
    return bool(id_of(image_id))


def last_used(image_id: str, days: float) -> None:
    """As if the last use were so long ago; not before the epilogs have noted theirs."""
    end = time.monotonic() + 30
    while list(STATE.glob("n?/*")) and time.monotonic() < end:
        time.sleep(0.1)
    _set_use(image_id, days)


def _set_use(image_id: str, days: float) -> None:
    when = time.time() - days * DAY
    os.utime(RECORDS / image_id.removeprefix("sha256:"), (when, when))


@pytest.fixture
def brought(alice, make_image):
    """Images that a job of alice's has brought: brought(name, its days without use)."""

    def bring(name: str, days: float) -> tuple[str, str]:
        reference = make_image(name, lambda root: (root / name).write_text(name * 100_000))
        assert alice.srun(f"--docker={reference}", "true").status == 0
        image_id = id_of(reference)
        last_used(image_id, days)
        return reference, image_id

    return bring


def test_by_age(alice, brought):
    (old, old_id), (_, young_id) = brought("pruned-old", 400), brought("pruned-young", 300)
    answer = prune("--max-age=365d", "--dry-run")
    assert of(answer, old_id) == ("goes", "not used for 400 d")
    assert of(answer, young_id) == ("stays", "used 300 d ago")
    assert is_here(old_id)
    assert of(prune("--max-age=365d"), old_id)[0] == "removed"
    assert not is_here(old_id)
    assert is_here(young_id)
    assert not (RECORDS / old_id.removeprefix("sha256:")).exists()
    shown = [
        i["image"] for i in json.loads(alice.run(SOCKER, "images", "--json").stdout)["present"]
    ]
    assert old not in shown
    assert alice.srun(f"--docker={old}", "echo", "again").lines == ["again"]


def test_by_size_the_longest_unused_goes_first(brought):
    ids = [brought(f"pruned-{days}", days)[1] for days in (410, 420, 400)]
    total = json.loads(read("curl", "-s", "--unix-socket", "/var/run/docker.sock",
                            "http://localhost/system/df"))["LayersSize"]  # fmt: skip
    what = {image: of(prune(f"--max-size={total - 1}"), image)[0] for image in ids[:1]}
    assert what == {ids[0]: "stays"}
    assert [is_here(image) for image in ids] == [True, False, True]


def test_what_is_in_use_stays(alice, wait_for, brought):
    reference, image_id = brought("pruned-busy", 400)
    process, job = sleeper(alice, wait_for, f"--docker={reference}")
    _set_use(image_id, 400)
    what, why = of(prune("--max-age=1m", "--dry-run"), image_id)
    assert (what, why.split()[0], why[-7:]) == ("stays", "container", "uses it")
    assert of(prune("--max-age=365d", "--all"), image_id)[0] == "stays"
    alice.run("scancel", job)
    process.communicate(timeout=60)

    def just_used() -> bool:
        return of(prune("--max-age=1m", "--dry-run"), image_id)[1].startswith("used ")

    wait_for(just_used)  # the job's end counts as a use


def test_others_images_stay_unless_asked_for(alice, make_image, brought):
    theirs = make_image("pruned-theirs", lambda root: (root / "theirs").touch())
    read("docker", "pull", "-q", theirs)
    assert alice.srun(f"--docker={theirs}", "true").status == 0
    theirs_id = id_of(theirs)
    last_used(theirs_id, 400)
    named, named_id = brought("pruned-named", 400)
    read("docker", "tag", named, "of-an-admin:1")
    try:
        answer = prune("--max-age=365d")
        assert of(answer, theirs_id) == ("stays", "socker did not bring it")
        assert of(answer, named_id) == ("stays", "socker did not bring it as of-an-admin:1")
        answer = prune("--max-age=365d", "--all")
        assert of(answer, theirs_id)[0] == "removed"
        assert of(answer, named_id)[0] == "removed"
        assert not is_here(theirs_id)
        assert not is_here(named_id)
    finally:
        read("docker", "rmi", "of-an-admin:1")


def test_images_of_users_files(alice, no_file_images, make_image):
    """They are brought, too; the file gives the image again."""
    reference = make_image("pruned-file", lambda root: (root / "file").touch())
    archive = alice.home / "pruned.tar"
    read("docker", "pull", "-q", reference)
    read("docker", "save", "-o", str(archive), reference)
    image_id = id_of(reference)
    archive.chmod(0o644)
    images.remove_from_engine(reference)
    try:
        assert alice.srun(f"--docker={archive}", "true").status == 0
        last_used(image_id, 400)
        assert of(prune("--max-age=365d"), image_id)[0] == "removed"
        assert not is_here(image_id)
        assert alice.srun(f"--docker={archive}", "echo", "again").lines == ["again"]
    finally:
        archive.unlink()


def test_a_tag_that_has_moved(alice, make_image, brought):
    """The old image is nameless, and goes by itself; its successor keeps the tag."""
    reference, old_id = brought("pruned-moved", 400)
    read("docker", "tag", reference, "kept-for-the-test:1")
    make_image("pruned-moved", lambda root: (root / "newer").touch())
    read("docker", "rmi", "kept-for-the-test:1")
    assert alice.srun(f"--docker={reference}", "--container-pull=always", "true").status == 0
    new_id = id_of(reference)
    assert new_id != old_id
    prune("--max-age=365d")
    assert not is_here(old_id)
    assert is_here(new_id)
    assert id_of(reference) == new_id


def test_an_image_that_goes_while_a_step_starts_is_brought_again(alice, brought):
    """Images are pruned all the time, steps do not notice."""
    reference, _ = brought("pruned-away", 400)
    steps = [alice.start("srun", "-Q", f"--docker={reference}", "true") for _ in range(8)]
    while any(step.poll() is None for step in steps):
        subprocess.run(["docker", "rmi", reference], capture_output=True)
        time.sleep(0.3)  # a step brings it again once, not any number of times
    assert [step.returncode for step in steps] == [0] * len(steps)


def test_limits(alice, settings):
    done = subprocess.run([SOCKER, "images", "prune"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "socker: images prune: without --max-age, --max-size, or the settings prune_age, "
        "prune_size all images stay\n"
    )
    done = subprocess.run(
        [SOCKER, "images", "prune", "--max-age=soon"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (
        2, "socker: images prune: --max-age=soon: write it like 30d, or unlimited\n",
    )  # fmt: skip
    assert alice.run(SOCKER, "images", "prune").stderr == (
        "socker: images prune: it changes the node: run it as root\n"
    )


def test_the_settings(settings, brought):
    _, image_id = brought("pruned-set", 400)
    settings.write_text(f'{settings.read_text()}\nprune_age = "380d"\n')
    assert of(prune("--dry-run"), image_id)[0] == "goes"
    assert of(prune("--dry-run", "--max-age=unlimited"), image_id)[0] == "stays"
    heads, *rows = read(SOCKER, "images", "prune").splitlines()
    assert heads.split() == ["WHAT", "IMAGE", "ID", "SIZE", "USED", "WHY"]
    assert [row.split()[0] for row in rows] == ["removed"]
    assert not is_here(image_id)
