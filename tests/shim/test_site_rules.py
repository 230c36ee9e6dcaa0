"""What the site's rules make the tasks do: checked mounts, and native steps."""

import pytest

IMAGE = "container-image=busybox"
FAILED = "task status 256"


def mounted(stub, *records: str) -> str:
    script = "descriptor\n" + "".join(f"send {record}\n" for record in records)
    return stub.run("remote", IMAGE, script=f"{script}send W/\nsend K{len(records) + 2}\nexit 0")


@pytest.fixture
def folders(tmp_path):
    """scratch, scratch2, and scratch/link, which leads to scratch2."""
    for name in ("scratch/inside", "scratch2/x", "target"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "scratch/link").symlink_to(tmp_path / "scratch2/x")
    return tmp_path


@pytest.mark.parametrize("source", ["scratch", "scratch/inside"])
def test_an_allowed_source(stub, folders, source):
    output = mounted(stub, f"S{folders}/scratch", f"Mc\\0{folders}/{source}\\0{folders}/target")
    assert "task status 0" in output


@pytest.mark.parametrize(
    ("source", "leads"),
    [("scratch2", "scratch2"), ("scratch/link", "scratch2/x"), ("scratch/../target", "target")],
)
def test_a_source_that_leads_elsewhere(stub, folders, source, leads):
    output = mounted(stub, f"S{folders}/scratch", f"Mc\\0{folders}/{source}\\0{folders}/target")
    assert f"mount {folders}/{source}: it leads to {folders}/{leads} on this node" in output
    assert FAILED in output


def test_several_places_and_the_root(stub, folders):
    record = f"Mc\\0{folders}/scratch2\\0{folders}/target"
    assert "task status 0" in mounted(stub, f"S{folders}/scratch", f"S{folders}/scratch2", record)
    assert "task status 0" in mounted(stub, "S/", record)


def test_mounts_of_the_sites_own_are_not_checked(stub, folders):
    output = mounted(stub, "S/nowhere", f"M\\0{folders}/scratch\\0{folders}/target")
    assert "task status 0" in output


def test_what_is_optional_is_left_out(stub, folders):
    output = mounted(stub, "S/nowhere", f"Mco\\0{folders}/scratch\\0{folders}/target")
    assert "task status 0" in output
    assert "leads to" not in output


@pytest.mark.parametrize("guarded", ["target", "target/deep", ""])
def test_a_target_at_below_or_above_a_guarded_place(stub, folders, guarded):
    output = mounted(stub, f"G{folders}/{guarded}".rstrip("/"), f"Mc\\0/proc\\0{folders}/target")
    assert f"mount at {folders}/target: it leads to {folders}/target in this image" in output
    assert FAILED in output


def test_a_link_of_the_image_to_a_guarded_place(stub, folders):
    (folders / "elsewhere").symlink_to(folders / "target")
    output = mounted(stub, f"G{folders}/target", f"Mc\\0/proc\\0{folders}/elsewhere/new")
    assert f"it leads to {folders}/target/new in this image" in output
    assert FAILED in output
    assert "task status 0" in mounted(stub, f"G{folders}/tar", f"Mc\\0/proc\\0{folders}/target")


def test_a_guarded_place_is_not_unmounted(stub, folders):
    records = [f"G{folders}/target", f"M\\0/proc\\0{folders}/target", f"Mcu\\0\\0{folders}/target"]
    output = mounted(stub, *records)
    assert f"this site keeps {folders}/target as it is" in output
    assert FAILED in output
    records[2] = records[2].replace("Mcu", "Mu")
    assert "task status 0" in mounted(stub, *records)


# --- steps without a container --------------------------------------------------------


def native(stub, script: str, **more) -> str:
    return stub.run("remote", script=script, args=["native=check"], **more)


def test_without_the_word_nobody_is_asked(stub):
    output = stub.run("remote", script="send Fno\nexit 1")
    assert "RAN-ON-THE-NODE" in output


def test_a_step_that_may_run_natively(stub):
    output = native(stub, "send K0\nexit 0", tasks=3)
    assert output.count("RAN-ON-THE-NODE") == 3
    assert "exit 0" in output


@pytest.mark.parametrize("script", ["send Fno container: no\nexit 1", "exit 0", "crash", "sleep 9"])
def test_a_step_that_may_not_or_of_which_nothing_is_known(stub, script):
    output = native(stub, script, tasks=2)
    assert "user_init 0" in output
    assert output.count(FAILED) == 2
    assert "RAN-ON-THE-NODE" not in output
    if "Fno" in script:
        assert output.count("no container: no") == 1


def test_container_steps_are_asked_once(stub):
    output = stub.run("remote", IMAGE, script="send Fx\nexit 1", args=["native=check"])
    assert "RAN-ON-THE-NODE" not in output
