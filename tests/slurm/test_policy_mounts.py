"""The site's mounts, and its rules about the users'."""

import subprocess
import threading
from pathlib import Path

import pytest
from conftest import BUSYBOX, SOCKER

SITE = Path("/srv/socker-site")


@pytest.fixture
def site():
    """Directories of the site: open, other, closed (to users)."""
    for name, mode in (("open", 0o777), ("open2", 0o755), ("other", 0o755), ("closed", 0o700)):
        (SITE / name).mkdir(parents=True)
        (SITE / name).chmod(mode)
        (SITE / name / "name").write_text(f"{name}\n")
    yield SITE
    subprocess.run(["rm", "-rf", SITE], check=True)


def rules(site) -> str:
    return (
        f'[[rule]]\nname = "paths"\nallow_sources = ["{site}/open", "/home"]\n'
        'deny_targets = ["/opt/site", "/etc"]\nreason = "the site\'s"\n'
    )


def test_the_sites_mounts(alice, settings, site):
    settings.write_text(
        f'mounts = ["{site}/open:/opt/site:ro", "tmpfs:/fast:size=1m"]\n'
        f'mounts_if_there = ["{site}/closed:/opt/closed", "/no/such:/opt/none", "{site}/other"]\n'
    )
    script = f"cat /opt/site/name {site}/other/name; ls -d /opt/closed /opt/none; touch /opt/site/x"
    result = alice.srun(f"--docker={BUSYBOX}", "sh", "-c", script)
    assert result.lines == ["open", "other"]
    assert result.stderr.count("No such file or directory") == 2
    assert "Read-only file system" in result.stderr


def test_a_mount_of_the_site_that_must_be_there(alice, settings, site):
    settings.write_text(f'mounts = ["{site}/closed:/opt/site"]\n')
    result = alice.srun(f"--docker={BUSYBOX}", "true")
    assert f"socker: mount {site}/closed: the job's user cannot read the source" in result.stderr


def test_sources(alice, settings, site):
    settings.write_text(rules(site))
    result = alice.srun(
        f"--docker={BUSYBOX}", f"--container-mounts={site}/other/..//./open:/in", "cat", "/in/name"
    )
    assert result.lines == ["open"]
    for source in ("open2", "other", "open/../other", "."):
        result = alice.srun(
            f"--docker={BUSYBOX}", f"--container-mounts={site}/{source}:/in", "true"
        )
        assert result.status == 1
        assert f"this site allows mounts from {site}/open, /home only" in result.stderr


def test_a_link_is_held_against_where_it_leads(alice, settings, site):
    settings.write_text(rules(site))
    (site / "open/link").symlink_to(site / "other")
    (site / "open/good").symlink_to(site / "open")
    mount = f"--container-mounts={site}/open"
    result = alice.srun(f"--docker={BUSYBOX}", f"{mount}/link:/in", "cat", "/in/name")
    assert result.stdout == ""
    assert (
        f"socker: mount {site}/open/link: it leads to {site}/other on this node, and this site "
        "allows no mounts from there: `socker explain` says from where\n"
    ) in result.stderr
    result = alice.srun(f"--docker={BUSYBOX}", f"{mount}/good:/in", "cat", "/in/name")
    assert result.lines == ["open"]


def test_a_link_that_changes_all_the_time(alice, settings, site):
    """What was looked at is what is mounted: `other` never shows, whoever is faster."""
    settings.write_text(rules(site))
    (site / "open/d").mkdir()
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for target in ("../other", "d"):
                (site / "open/new").symlink_to(target)
                (site / "open/new").rename(site / "open/l")

    swapper = threading.Thread(target=swap, daemon=True)
    swapper.start()
    script = (
        f"for i in $(seq 25); do srun -Q --container-mounts={site}/open/l:/in "
        "sh -c 'cat /in/name 2>/dev/null; echo ran'; done"
    )
    try:
        result = alice.run("salloc", "-Q", "-n1", f"--docker={BUSYBOX}", "sh", "-c", script)
    finally:
        stop.set()
        swapper.join()
    assert set(result.lines) == {"ran"}
    assert f"it leads to {site}/other" in result.stderr, "else the race was none"


@pytest.mark.parametrize(
    "entry", ["tmpfs:/opt/site", "tmpfs:/opt/site/x", "/home:/opt", "umount:/etc"]
)
def test_targets(alice, settings, site, entry):
    settings.write_text(rules(site))
    result = alice.srun(f"--docker={BUSYBOX}", f"--container-mounts={entry}", "true")
    assert "rule 1 `paths` keeps /" in result.stderr
    assert result.stderr.endswith(" as it is: the site's\n")


def test_a_link_of_the_image_to_a_target_that_is_kept(alice, settings, site, make_image):
    settings.write_text(rules(site))

    def links(root):
        (root / "opt/site").mkdir(parents=True)
        (root / "way").symlink_to("opt")

    image = make_image("linked", links)
    for entry in ("tmpfs:/way/site", "tmpfs:/way/site/new", "tmpfs:/way"):
        result = alice.srun(f"--docker={image}", f"--container-mounts={entry}", "echo", "ran")
        assert result.stdout == ""
        assert "this site keeps /opt/site as it is: use another target" in result.stderr
    result = alice.srun(f"--docker={image}", "--container-mounts=tmpfs:/way/own", "ls", "/opt")
    assert result.lines == ["own", "site"]


def test_the_sites_own_mount_is_not_taken_away(alice, settings, site):
    settings.write_text(f'mounts = ["{site}/open:/opt/site"]\n{rules(site)}')
    result = alice.srun(f"--docker={BUSYBOX}", "--container-mounts=umount:/opt/site", "true")
    assert "rule 1 `paths` keeps /opt/site as it is" in result.stderr
    assert alice.srun(f"--docker={BUSYBOX}", "cat", "/opt/site/name").lines == ["open"]


def test_the_start_directory_is_no_way_around(alice, settings, site):
    show = [f"--docker={BUSYBOX}", "sh", "-c", "pwd; cat name"]
    assert alice.srun(*show, cwd=site / "other").lines == [f"{site}/other", "other"]
    settings.write_text(rules(site))
    assert alice.srun(*show, cwd=site / "other").lines == ["/"]
    assert alice.srun(*show, cwd=site / "open").lines == [f"{site}/open", "open"]
    assert alice.srun(*show[:1], "ls", "-d", "/home/alice", cwd="/").lines == ["/home/alice"]


def test_the_directory_of_pmix_is_no_way_around(alice, settings, site):
    """Its name is known before the step starts, and all may write to /tmp."""
    settings.write_text(rules(site))
    link = "/tmp/spmix_appdir_$(id -u)_$SLURM_JOB_ID.0"
    step = f"srun -Q --mpi=pmix --docker={BUSYBOX} --container-tmp=private"
    script = f"ln -s {site}/other {link}; {step} sh -c 'echo ran; cat {link}/name'; rm {link}"
    result = alice.run("salloc", "-Q", "-N1", "sh", "-c", script)
    assert "other" not in result.lines
    assert result.lines in (["ran"], []), "Slurm may refuse the link itself"


def test_socker_pull_works_all_the_same(alice, settings, site):
    settings.write_text(rules(site))
    result = alice.run("salloc", "-Q", "-N1", "sh", "-c", f"{SOCKER} pull {BUSYBOX}")
    assert result.status == 0, result.stderr
    result = alice.srun(
        f"--docker={BUSYBOX}", "--container-mounts=/usr/lib/socker/launch:/etc/passwd", "true"
    )
    assert "rule 1 `paths` keeps /etc as it is" in result.stderr


HOSTILE = ["/etc;id", "/a|b", "$(id)", "`id`", "/a'\"b", "--", "/" + "x" * 65536, "/\udcff", "/a/*"]


@pytest.mark.parametrize("source", HOSTILE)
def test_hostile_sources(alice, settings, site, source):
    settings.write_text(rules(site))
    result = alice.run(
        "srun", f"--docker={BUSYBOX}", f"--container-mounts={source}", "true", cwd="/"
    )
    assert result.status == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("socker: ")
