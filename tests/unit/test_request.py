"""Option strings become a request: pure, so every wrong form is cheap to try.

The texts are what a user reads at submission; tests/slurm/test_refusals.py sees
them come out of srun and sbatch.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycontrol import imagename, request
from pycontrol.errors import UserError
from pycontrol.image import Reference
from pycontrol.mounts import FORM, Mount
from pycontrol.request import ContainerName


def parse(cwd="/submit", **options):
    named = tuple((name.replace("_", "-"), value) for name, value in options.items())
    return request.parse(named, cwd)


def refusal(**options) -> str:
    with pytest.raises(UserError) as error:
        parse(**{"docker": "a", **options})
    return str(error.value)


def test_image_by_either_name():
    assert parse(container_image="a:1").image == Reference("a:1")
    assert parse(docker="a:1").image == Reference("a:1")
    assert parse(docker="a:1", container_image="a:1").image == Reference("a:1")


def test_two_images_contradict_each_other():
    assert refusal(container_image="b") == (
        "--container-image=b and --docker=a contradict each other: they are one option, "
        "give one of them"
    )


def test_defaults():
    asked = parse(docker="a")
    assert asked == request.ContainerRequest(image=Reference("a:latest"))


def bind(source, target, **rest):
    return Mount(source, target, **rest)


@pytest.mark.parametrize(
    ("text", "mounts"),
    [
        ("/a", [bind("/a", "/a")]),
        ("/a/../b/", [bind("/b", "/b")]),
        ("/a:/b", [bind("/a", "/b")]),
        ("/a:/b//c/./d/:ro", [bind("/a", "/b/c/d", read_only=True)]),
        ("/a://b:rw", [bind("/a", "/b")]),
        ("data", [bind("/submit/data", "/submit/data")]),
        ("./data:/x", [bind("/submit/data", "/x")]),
        ("/with space:/to here", [bind("/with space", "/to here")]),
        ("/a:/b:ro,/c", [bind("/a", "/b", read_only=True), bind("/c", "/c")]),
        ("/a:/b:ro+noexec", [bind("/a", "/b", read_only=True, no_exec=True)]),
        ("/a:/b:nosuid+nodev", [bind("/a", "/b")]),
        ("/a:/b:bind+rprivate", [bind("/a", "/b", recursive=False, propagation="rprivate")]),
        ("/a:/b:rbind+x-create=file", [bind("/a", "/b", create="file")]),
        ("tmpfs:/t", [bind("", "/t", kind="tmpfs")]),
        ("tmpfs:/t:size=10m+noexec", [bind("", "/t", kind="tmpfs", size="10m", no_exec=True)]),
        ("umount:/tmp", [bind("", "/tmp", kind="umount")]),
        ("//a///b/./c/../d/:/x", [bind("/a/b/d", "/x")]),
        ("/a:/x,/a:/x/,/b:/x,/a:/x", [bind("/a", "/x"), bind("/b", "/x"), bind("/a", "/x")]),
        ("./tmpfs:/t", [bind("/submit/tmpfs", "/t")]),
    ],
)
def test_mounts(text, mounts):
    assert list(parse(docker="a", container_mounts=text).mounts) == mounts


OPTION = "--container-mounts: "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"an entry has no source: {FORM}"),
        (":/b", f"an entry has no source: {FORM}"),
        ("/a,", f"an entry has no source: {FORM}"),
        ("/a:", f"/a:: the target is missing: {FORM}"),
        ("/a:b", "b must be an absolute path: begin it with /"),
        ("/a:/b/../c", "/b/../c must not contain `..`: write the path without"),
        ("/a:/", "/a:/: the target must not be / itself: name a directory below it"),
        ("/", "/: the target must not be / itself: name a directory below it"),
        ("/a:/b:ro:z", f"/a:/b:ro:z has too many `:`: {FORM}"),
        ("/a:/b:ro+rw", "/a:/b:ro+rw: ro and rw contradict each other: give one"),
        (
            "/a:/b:private+rslave",
            "/a:/b:private+rslave: private and rslave contradict each other: give one",
        ),
        ("tmpfs", f"tmpfs: the target is missing: {FORM}"),
        (
            "tmpfs:/t:size=lots",
            "tmpfs:/t:size=lots: `lots` is no size: write a number with k, m or g, or a "
            "percentage of the node's memory, like 50%",
        ),
        ("umount:/t:ro", "umount:/t:ro: umount takes no flags: write umount:DST"),
        ("umount:/", "umount:/: the target must not be / itself: name a directory below it"),
        ("/a\n:/b", "a path must not contain a line break: rename it"),
    ],
)
def test_wrong_mounts(text, message):
    assert refusal(container_mounts=text) == OPTION + message


@pytest.mark.parametrize("flag", ["", "xx", "RO", "size=1m", "x-create=link", "ro+", "suid"])
def test_unknown_mount_flags(flag):
    wrong = flag.removeprefix("ro+")
    assert refusal(container_mounts=f"/a:/b:{flag}").startswith(
        f"{OPTION}/a:/b:{flag}: `{wrong}` is no mount flag: ro, rw, noexec,"
    )


def test_a_path_that_is_too_long():
    assert "the path is longer than 4095 bytes" in refusal(container_mounts="/a:/" + "x" * 5000)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "--container-workdir: `` must be an absolute path: begin it with /"),
        ("relative", "--container-workdir: relative must be an absolute path: begin it with /"),
        ("/a/../b", "--container-workdir: /a/../b must not contain `..`: write the path without"),
    ],
)
def test_wrong_workdir(path, message):
    assert refusal(container_workdir=path) == message


@pytest.mark.parametrize(
    ("on", "off", "field"),
    [
        ("container_mount_home", "no_container_mount_home", "mount_home"),
        ("container_writable", "container_readonly", "writable"),
        ("container_entrypoint", "no_container_entrypoint", "entrypoint"),
    ],
)
def test_switches(on, off, field):
    assert getattr(parse(docker="a"), field) is None
    assert getattr(parse(docker="a", **{on: ""}), field) is True
    assert getattr(parse(docker="a", **{off: ""}), field) is False
    names = [f"--{name.replace('_', '-')}" for name in (on, off)]
    assert refusal(**{on: "", off: ""}) == (
        f"{names[0]} and {names[1]} contradict each other: give one"
    )
    variable = f"SOCKER_{on.upper()}"
    assert refusal(**{on: "maybe"}) == f"{variable}: `maybe` is neither 1 nor 0"


def test_container_names():
    assert parse(docker="a", container_name="x").name == ContainerName("x", "auto")
    assert parse(container_name="x.y-1_z:exec") == request.ContainerRequest(
        image=None, name=ContainerName("x.y-1_z", "exec")
    )


@pytest.mark.parametrize("name", ["", "-x", "a/b", "ä", "a b", "x" * 65, ".x"])
def test_wrong_container_names(name):
    assert refusal(container_name=name) == (
        f"--container-name: `{name}` is no name: use up to 64 letters, digits, and . _ -, "
        "beginning with a letter or digit"
    )


@pytest.mark.parametrize("mode", ["", "run", "exec:create"])
def test_wrong_name_modes(mode):
    assert refusal(container_name=f"x:{mode}") == (
        f"--container-name: `{mode}` is none of auto, create, exec, no_exec"
    )


def test_to_create_a_named_container_needs_an_image():
    with pytest.raises(UserError, match="--container-name=x:create needs an image to make it of"):
        parse(container_name="x:create")


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("container_pull", "newer", "always, missing, never"),
        ("container_tmp", "shared", "host, private"),
        ("container_unshare", "user", "net, ipc, uts, pid"),
        ("container_unshare", "net,", "net, ipc, uts, pid"),
        ("container_unshare", "", "net, ipc, uts, pid"),
    ],
)
def test_wrong_choices(option, value, allowed):
    wrong = value.rpartition(",")[2]
    name = option.replace("_", "-")
    assert refusal(**{option: value}) == f"--{name}: `{wrong}` is none of {allowed}"


def test_unshare_is_a_set():
    assert parse(docker="a", container_unshare="net,pid,net").unshare == ("net", "pid")


def test_save_needs_something_that_was_written():
    assert refusal(container_save="/x.tar") == (
        "--container-save needs a container that can be written to: add --container-writable "
        "or --container-name=NAME"
    )
    assert parse(docker="a", container_save="/x.tar", container_writable="").save
    assert parse(container_name="n", container_save="/x.tar").save


@pytest.mark.parametrize("image", ["/x.tar", "dockerd://a"])
def test_only_a_registrys_image_can_be_pulled(image):
    assert "does not come from a registry: leave --container-pull out" in refusal(
        docker=image, container_pull="always"
    )


def test_remap_root_is_refused():
    assert refusal(container_remap_root="") == (
        "--container-remap-root is not supported yet: leave it out"
    )
    assert parse(docker="a", no_container_remap_root="")


def test_an_option_without_an_image():
    with pytest.raises(UserError, match=r"--container-workdir needs an image: add"):
        parse(container_workdir="/x")


@pytest.mark.parametrize("character", ["\0", "\x1f"])
def test_characters_that_would_end_a_value(character):
    assert "has a character that cannot be printed" in refusal(container_workdir="/" + character)


def test_relative_paths_of_files():
    assert parse(docker="./x.tar").image == Reference("/submit/x.tar", "file")
    assert parse(docker="../x").image == Reference("/x", "file")


# A loaded machine is slow; what is tested is not.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# --- any text at all ------------------------------------------------------------

OPTIONS = [
    "docker", "container-image", "container-mounts", "container-workdir", "container-name",
    "container-save", "container-env", "container-env-file", "container-unshare",
    "container-pull", "container-tmp", "container-writable", "container-readonly",
]  # fmt: skip
PIECES = st.sampled_from(
    ["/", "a", "..", ":", ",", "+", "=", "ro", "tmpfs", "umount", "size=1m", "#", "@", "none",
     "docker://", "sha256", "NAME", " ", "\n", "\0", "ä", "\udc80", "x" * 300]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=12).map("".join))


@given(st.dictionaries(st.sampled_from(OPTIONS), TEXTS, min_size=1))
def test_any_text_is_a_request_or_a_clear_refusal(options):
    try:
        asked = request.parse(tuple(options.items()), "/submit")
    except UserError as error:
        assert str(error).strip()
        return
    for mount in asked.mounts:
        assert mount.target.startswith("/")
        assert mount.target != "/"
        assert ".." not in mount.target.split("/")
        assert "\0" not in mount.source + mount.target
        assert mount.kind != "bind" or mount.source.startswith("/")
    if asked.workdir:
        assert asked.workdir.startswith("/")
    if asked.image:
        assert asked.image.text.startswith("/") == (asked.image.source == "file")


@given(TEXTS)
def test_parsing_is_the_same_twice(text):
    def outcome():
        try:
            return parse(docker="a", container_mounts=text)
        except UserError as error:
            return str(error)

    assert outcome() == outcome()


PATH = st.text(
    st.characters(blacklist_characters=":,\0\n\x1f", blacklist_categories=("Cs",)), min_size=1
)


@given(PATH.map(lambda text: "/" + text), st.sampled_from(["", ":ro", ":rw+noexec"]))
def test_any_source_goes_to_its_own_path_in_order(path, flags):
    if ".." in path.split("/") or not path.strip("/."):
        return
    first, second = parse(docker="a", container_mounts=f"{path}:/t{flags},{path}:/u").mounts
    clean = "/" + "/".join(imagename.components(path))
    assert (first.source, first.target) == (clean, "/t")
    assert (second.source, second.target) == (clean, "/u")


def test_a_digest_that_came_along_is_the_images():
    digest = "sha256:" + "a" * 64
    assert parse(docker="a:1", digest=digest).image == Reference("a:1", pinned=digest)
    assert parse(docker="dockerd://a:1", digest=digest).image == Reference("a:1", "engine")
    assert parse(docker="/a", digest=digest).image == Reference("/a", "file")


@pytest.mark.parametrize(
    "text", ["x", "sha256:", "sha256:" + "a" * 63, "a" * 64, "sha512:" + "a" * 64]
)
def test_what_came_along_must_be_a_digest(text):
    assert refusal(digest=text).startswith(f"`{text}` is no digest")
