"""Readers of what users, images and registries write: a result, or words for the user.

Never another exception, which would be an "internal error" and a traceback.
"""

import base64
import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import tarfile
import tempfile
from http.client import HTTPException
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pycontrol import (
    archive,
    credentials,
    environment,
    openfile,
    pullbars,
    reader,
    rebuild,
    registryhttp,
    registrywords,
    slurmjob,
    squashfs,
    srunline,
    state,
    tarheader,
)
from pycontrol.errors import LONGEST_TEXT, NodeError, UserError, printable
from pycontrol.image import Image
from pycontrol.route import DIRECT, is_loopback
from pycontrol.rules import Place
from pycontrol.state import Record
from tests import image_files

SECRET = "pa55w0rd"
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\ud800", "\0", "a\nb", "", "sha256:" + "a" * 64, 1 << 70, -1])
)


def documents(keys, values=SCALARS):
    """Any JSON, more often with the keys that are looked for."""
    names = st.sampled_from(keys) | st.text(max_size=3)
    return st.recursive(
        values,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
        max_leaves=12,
    )


class Long(bytes):
    """Too much for a page of output when a test fails."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes: {self[:20]}...>"


DEEP = st.sampled_from(
    [
        Long(b"[" * 100_000),
        Long(b'{"auths":' * 50_000),
        Long(b"1" * 5000),
        b"\xef\xbb\xbf{}",
        b"NaN",
    ]
)


@contextlib.contextmanager
def folder():
    """A fixture would be one for all examples."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


# --- docker login's config.json ------------------------------------------------------------

ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "auth": st.sampled_from([f"u:{SECRET}", "u", "\xff", "u:\ud800", ""]).map(
            lambda text: base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
        )
        | SCALARS,
        "username": st.sampled_from(["u", "\ud800"]) | SCALARS,
        "password": st.sampled_from([SECRET, "\udfff"]) | SCALARS,
        "identitytoken": st.sampled_from([SECRET]) | SCALARS,
    },
)
KEYS = ["reg.org", "https://reg.org/v1/", "http://reg.org", "https://index.docker.io/v1/", "x"]
LOGINS = st.fixed_dictionaries(
    {},
    optional={
        "auths": st.dictionaries(st.sampled_from(KEYS), ENTRIES | SCALARS, max_size=3) | SCALARS,
        "credHelpers": st.dictionaries(st.sampled_from(KEYS), SCALARS, max_size=2) | SCALARS,
        "credsStore": st.sampled_from(["../x", "no-such", "a b", "$(x)", ""]) | SCALARS,
    },
)


@given(
    LOGINS.map(lambda found: json.dumps(found).encode())
    | documents(["auths", "auth", "credsStore"]).map(lambda found: json.dumps(found).encode())
    | st.binary(max_size=40)
    | DEEP
)
def test_docker_config(data):
    with folder() as home:
        (home / "config.json").write_bytes(data)
        env = {"DOCKER_CONFIG": str(home), "PATH": str(home)}
        for registry in ("reg.org", "docker.io"):
            try:
                found = credentials.look_up(registry, str(home), env)
            except UserError as error:
                assert SECRET not in str(error) and error.__cause__ is None
                continue
            if found:
                assert found.identity_token.encode() is not None
                assert found.basic().isascii() and "\n" not in found.basic()
                assert SECRET not in repr(found)


ANSWERS = st.fixed_dictionaries(
    {"Username": st.sampled_from(["u", "<token>", ""]) | SCALARS, "Secret": SCALARS},
).map(lambda found: json.dumps(found).encode())


@given(ANSWERS | st.binary(max_size=40) | DEEP)
def test_the_answer_of_a_credential_helper(answer):
    try:
        found = credentials._answer(answer, "helper", "reg.org")
    except UserError as error:
        assert "its answer for reg.org is not understood" in str(error)
        return
    assert found is None or found.basic().isascii()


# --- images in files -----------------------------------------------------------------------

LAYERS = [image_files.tar({"a": b"1" * 600}), image_files.tar({"b": b"2" * 900})]
DOCKER = image_files.tar(image_files.docker_members(LAYERS))
OCI = image_files.tar(
    image_files.oci_members([(image_files.config(LAYERS), LAYERS, {})], compress=gzip.compress)
)
WHOLE = [
    DOCKER, OCI, gzip.compress(DOCKER, mtime=0), bz2.compress(DOCKER), lzma.compress(OCI),
    b"hsqs" + bytes(92),
]  # fmt: skip


@st.composite
def broken(draw, whole):
    """A file with some bytes changed, a part cut out, or a part of another put in."""
    data = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["byte", "cut", "end", "insert"]))
        if kind == "byte" and start < len(data):
            data[start] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[start : start + draw(st.integers(0, 1024))]
        elif kind == "end":
            del data[start:]
        else:
            data[start:start] = draw(st.binary(max_size=600))
    return bytes(data)


def imported(path: Path) -> bytes | None:
    """What the engine would get of it; None where it is refused."""
    try:
        with openfile.explained(str(path)):
            source = reader._source(str(path), lambda count: None)
            plan = archive.describe(source, ("amd64", "arm64", image_files.ARCHITECTURE))
            layers = io.BytesIO()
            archive.pour(reader._source(str(path), lambda count: None), plan, layers)
            layers.seek(0)
        return poured(plan, layers)
    except UserError as error:
        assert str(error).startswith(f"image {path}: ")
        return None


def poured(plan: rebuild.Plan, layers: io.BytesIO) -> bytes | None:
    parts, sent = rebuild.rebuilt(plan, layers, lambda done: None), []
    while True:
        try:
            sent.append(next(parts))
        except StopIteration as stop:
            return b"".join(sent) + rebuild.end(plan) if stop.value else None


def is_one_image(data: bytes) -> None:
    """Whatever the file was: fixed names, and layers that are what the configuration says."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        [manifest] = json.load(tar.extractfile("manifest.json"))
        config = tar.extractfile(manifest["Config"]).read()
        assert manifest["Config"] == f"{image_files.digest(config)[7:]}.json"
        assert manifest["RepoTags"] is None
        layers = [tar.extractfile(name).read() for name in manifest["Layers"]]
        assert tar.getnames() == [manifest["Config"], *sorted(manifest["Layers"]), "manifest.json"]
    assert json.loads(config)["rootfs"]["diff_ids"] == list(map(image_files.digest, layers))


@given(broken(WHOLE))
@example(DOCKER)
@example(OCI)
def test_image_files(data):
    with folder() as place:
        (place / "image").write_bytes(data)
        found = imported(place / "image")
    if found is not None:
        is_one_image(found)
    assert found or data not in (DOCKER, OCI)


MANIFESTS = documents(
    ["Config", "Layers", "RepoTags", "manifests", "layers", "config", "digest", "platform", "os",
     "architecture", "rootfs", "diff_ids", "annotations", "mediaType", "size"],
    SCALARS | st.sampled_from(["c.json", "0/layer.tar", "linux", "../x", "/etc/passwd"]),
)  # fmt: skip


@given(
    st.sampled_from(["manifest.json", "index.json", "c.json", "oci-layout"]),
    MANIFESTS.map(lambda found: json.dumps(found).encode())
    | MANIFESTS.map(lambda found: json.dumps([found]).encode())
    | st.sampled_from([b"\xff", b""])
    | DEEP,
    st.booleans(),
)
def test_manifests(name, data, oci):
    """One document of an archive or layout is anything whatever."""
    members = image_files.docker_members(LAYERS)
    if oci:
        members = image_files.oci_members([(image_files.config(LAYERS), LAYERS, {})])
    members[name] = data
    with folder() as place:
        (place / "image").write_bytes(image_files.tar(members))
        image_files.write_layout(place / "layout", members)
        for path in (place / "image", place / "layout"):
            found = imported(path)
            if found is not None:
                is_one_image(found)


SIZES = SCALARS | st.sampled_from([len(LAYERS[0]), 0, 1, -1, 1.5, 1e308])
MEMBERS = st.fixed_dictionaries(
    {"name": SCALARS, "offset": SIZES, "size": SIZES, "compression": SCALARS}
)
PLANS = st.fixed_dictionaries(
    {
        "config": st.sampled_from([base64.b64encode(image_files.config(LAYERS[:1])).decode()])
        | SCALARS,
        "layers": st.lists(
            st.fixed_dictionaries({"member": MEMBERS | SCALARS, "size": SIZES}), max_size=2
        )
        | SCALARS,
    }
)


@given(PLANS | documents(["config", "layers", "member", "size"]), st.sampled_from([LAYERS[0], b""]))
def test_root_believes_nothing_that_the_reading_process_says(words, content):
    try:
        plan = reader.plan_of("/x", json.loads(json.dumps(words)))
        found = poured(plan, io.BytesIO(content))
    except UserError as error:
        assert str(error).startswith("image /x: ")
        return
    if found is not None:
        is_one_image(found)


# --- squashfs images' settings ---------------------------------------------------------------


QUOTES = st.text(st.sampled_from("A=\"'$`\\{}\n\r\x0b\x85 x"), max_size=40).map(str.encode)
COMMANDS = st.text(st.sampled_from('cd "/a"&|\n\\'), max_size=30).map(str.encode)


@given(st.binary(max_size=200) | QUOTES, st.binary(max_size=100) | COMMANDS)
def test_settings_of_squashfs_images_are_no_other_instructions(settings, rc):
    for line in squashfs.changes("/x", settings, rc):
        assert line.split(" ")[0] in ("ENV", "ENTRYPOINT", "WORKDIR")
        assert "\n" not in line and "\r" not in line
        if line.startswith("ENV "):
            name, _, value = line.removeprefix("ENV ").partition("=")
            assert name.isidentifier() and value[0] == value[-1] == '"'
            inner = value[1:-1].replace("\\\\", "").replace('\\"', "").replace("\\$", "")
            assert not set(inner) & set('"$\\')


# --- variables -------------------------------------------------------------------------------

ENV_TEXT = st.text(st.sampled_from("A_=1 #\n\r\0,é\udcff"), max_size=30) | st.text(max_size=20)
ENV_NAMES = st.sampled_from(
    ["SLURM_JOB_ID", "PMI_RANK", "HOME", "PATH", "LD_PRELOAD", "A", "", "\0"]
)
ENV_ENTRIES = st.lists(
    st.tuples(ENV_NAMES, st.sampled_from(["", "\0"]), ENV_TEXT).map(
        lambda parts: f"{parts[0]}{parts[1]}={parts[2]}"
    )
    | ENV_TEXT,
    max_size=5,
)
ACCOUNT = {"HOME": "/home/alice", "USER": "alice", "LOGNAME": "alice"}


@given(ENV_TEXT, ENV_ENTRIES)
def test_variables_of_files_and_images(text, entries):
    wishes = environment.NO_WISHES
    with contextlib.suppress(UserError):
        wishes = environment.Wishes(*environment.parse_file(text, "/f"))
    job = {"SLURM_JOB_ID": "1", "HOME": "/x", "PATH": "/evil", "LD_PRELOAD": "/evil.so"}
    found = environment.merge(job, entries, ACCOUNT, wishes)
    for name, value in found.set.items():
        assert name and "=" not in name and "\0" not in name + value
        assert not name.startswith(("SLURM_", "PMI"))
    assert not any("\0" in name for name in found.remove)
    assert "SLURM_JOB_ID" not in found.remove
    own = dict(wishes.set).keys() | set(wishes.keep)
    assert found.set["HOME"] == "/home/alice" or "HOME" in own
    assert found.set.get("PATH") != "/evil" or "PATH" in own or "PATH=/evil" in entries


# --- our own state, damaged -------------------------------------------------------------------

RECORD = {
    "container": "c" * 64, "name": "n", "pid": 5, "start_time": 6, "made_of": "debian",
    "image": {"image_id": "sha256:1", "env": ["A=1"], "workdir": "", "size": 3},
}  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="the state must be root's")
@given(
    documents([*RECORD, "image_id", "env"])
    | st.dictionaries(st.sampled_from([*RECORD]), SCALARS).map(lambda wrong: RECORD | wrong)
)
@example(RECORD)
def test_records(found):
    with folder() as place:
        path = place / "record.json"
        path.write_text(json.dumps(found))
        try:
            record = state._load(path)
        except NodeError as error:
            assert f"{path}: the record is damaged" in str(error)
            assert found != RECORD
            return
    assert isinstance(record, Record) and isinstance(record.image, Image)


# --- Slurm's words, with what users put into them ------------------------------------------------

ACCOUNT_NAMES = st.text(
    st.sampled_from("a|17\n\r\x0b\x85\u2028 5+_"), max_size=25
) | st.sampled_from(
    ["x|gpu|1001|17|17", "x|gpu|1001|17|17\n", "x|gpu|1001|17|17+1\n", "\x0bphysics|gpu|1001|17|17"]
)


@given(
    ACCOUNT_NAMES, st.lists(st.sampled_from(["cpu", "gpu"]), min_size=1, max_size=2, unique=True)
)
def test_an_account_name_makes_no_place(account, partitions):
    """--account is any text where associations are not enforced."""
    printed = f"{account}|{','.join(partitions)}|1001|17|17\n"
    try:
        found = slurmjob.read_rows(printed, 17, 1001)
    except NodeError:
        return
    own = "" if account == "(null)" else account
    assert {Place(own, partition) for partition in partitions} <= set(found)
    # What else is found must be satisfied, too: it can only be a component of the job.
    assert len(found) == len(partitions) or "17+" in account


# --- registries' words ----------------------------------------------------------------------


@given(documents(["errors", "code", "message", "token", "access_token"]) | st.binary(max_size=40))
def test_answers_of_a_registry(body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    words = registrywords.refusal(404, data)
    assert words.isprintable() and len(words) <= registrywords.LONGEST
    with contextlib.suppress(UserError):
        token = registrywords.token(data, "reg.org")
        assert token.isascii() and token.isprintable() and " " not in token


URLS = st.lists(
    st.sampled_from(
        ["https://", "http://", "//", "reg.org", "evil.org", "localhost", "127.0.0.1", "[::1]", ":",
         "443", "@", "/", "\\", "?", "#", "%2f", "%40", ".", " ", "\t", "é", "a", "\u3002", ";"]
    ),
    max_size=7,
).map("".join)  # fmt: skip


@given(URLS)
@example("https://reg.org@evil.org/")
@example("http://evil.org\\@localhost/")
@example("http://localhost#@evil.org/")
@example("http://localhost:x.evil.org:80/")
@example("https://localhost:https://")
def test_credentials_go_to_the_host_that_was_looked_at(url):
    try:
        scheme, netloc = registryhttp._origin(url)
        if scheme not in ("http", "https"):
            return
        connection = DIRECT.connection(scheme, netloc, 1, None)
        DIRECT.target(url)
    except (UserError, HTTPException, ValueError):
        return
    assert connection.host.lower() in netloc.lower()
    if is_loopback(netloc):
        assert connection.host in ("localhost", "127.0.0.1", "::1")


# --- lines on a terminal -----------------------------------------------------------------------


@given(st.text() | st.lists(st.text(), max_size=2).map(lambda parts: "x" * 5000 + "".join(parts)))
def test_what_is_shown_is_one_line(text):
    shown = printable(text)
    assert shown.isprintable() and len(shown) <= LONGEST_TEXT + 10


REPORTS = st.fixed_dictionaries(
    {"doing": SCALARS, "note": SCALARS, "done": SCALARS, "total": SCALARS}
).map(json.dumps)


@given(
    st.tuples(st.integers(0, 9), REPORTS | st.just('{"doing"' + "[" * 4000)).map(
        lambda parts: f"{parts[0]}: socker: {parts[1]}"
    )
    | st.text()
    | st.just("9" * 4000 + ": x")
)
def test_lines_of_nodes(line):
    board = pullbars.Board(["n1", "n2"])
    shown = board.take(line)
    assert "\n" not in shown
    for node in board.nodes:
        assert (
            node.text.isprintable() and isinstance(node.done, int) and isinstance(node.total, int)
        )


@given(
    st.lists(
        st.text(st.sampled_from("-=nNxp container-image"), max_size=12) | st.text(), max_size=6
    )
)
def test_command_lines_of_srun(words):
    with contextlib.suppress(UserError):
        line = srunline.split(words)
        rest = words[len(line.words) :]
        assert line.words == tuple(words[: len(line.words)])
        assert line.command == tuple(rest[1:] if rest[:1] == ["--"] else rest)


# --- what we write for others to read ------------------------------------------------------------

NAMES = st.binary(min_size=1, max_size=150).map(lambda name: name.replace(b"\0", b"n").strip(b"/"))


@given(
    NAMES.filter(bool),
    st.sampled_from([tarheader.REGULAR, tarheader.SYMLINK, tarheader.DIRECTORY, tarheader.FIFO]),
    st.integers(0, 0o7777),
    st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2)),
    st.integers(-(2**40), 2**40),
    NAMES.filter(bool),
    st.binary(max_size=40),
)
def test_a_saved_file_is_read_back_as_it_was(name, kind, mode, owner, mtime, link, value):
    """Names are any bytes; a header must not become two."""
    member = tarheader.Member(
        name, kind, mode, *owner, mtime=mtime, link=link if kind == tarheader.SYMLINK else b"",
        xattrs=((b"user.x", value),),
    )  # fmt: skip
    data = tarheader.header(member)
    assert len(data) % tarheader.BLOCK == 0
    with tarfile.open(fileobj=io.BytesIO(data + tarheader.END), encoding="utf-8") as tar:
        [info] = tar.getmembers()
    assert (info.type, info.mode, info.uid, info.gid) == (kind, mode, *owner)
    written = os.fsencode(info.name)
    assert written in (name, name.rstrip(b"/"), name.decode(errors="replace").encode())
    assert info.size == 0
