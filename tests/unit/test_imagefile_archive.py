"""Docker and OCI archives: what is taken of right ones, and how wrong ones fail."""

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile

import pytest

from pycontrol import reader, rebuild, source
from pycontrol.errors import UserError
from tests import image_files
from tests.image_files import ARCHITECTURE, config, digest, docker_members, oci_members, tar

LAYERS = [tar({"a": b"1" * 3000}), tar({"b": b"2" * 70000})]
OTHER = "s390x" if ARCHITECTURE != "s390x" else "amd64"


def describe(path) -> rebuild.Plan:
    """As the hook gets it from its child."""
    output = io.BytesIO()
    reader.describe(str(path), output)
    return reader.plan_of(str(path), json.loads(output.getvalue().splitlines()[-1]))


def engine_gets(plan: rebuild.Plan) -> bytes:
    """All that is sent, where the hook would send all."""
    layers = io.BytesIO()
    reader.pour(plan, layers)
    layers.seek(0)
    sent = []
    parts = rebuild.rebuilt(plan, layers, lambda done: None)
    while True:
        try:
            sent.append(next(parts))
        except StopIteration as stop:
            assert all(sent), "an empty piece would end the body of a request"
            if not stop.value:
                raise EOFError from None
            return b"".join(sent) + rebuild.end(plan)


@pytest.fixture(autouse=True)
def no_limit_of_memory(monkeypatch):
    monkeypatch.setattr("pycontrol.openfile.limit_memory", lambda: None)


@pytest.fixture
def write(tmp_path):
    def write(data: bytes):
        path = tmp_path / "image"
        path.write_bytes(data)
        return path

    return write


ONE = [(config(LAYERS), LAYERS, {})]
FORMS = {
    "docker": tar(docker_members(LAYERS)),
    "docker, gzip": gzip.compress(tar(docker_members(LAYERS))),
    "docker, bzip2": bz2.compress(tar(docker_members(LAYERS))),
    "docker, xz": lzma.compress(tar(docker_members(LAYERS))),
    "docker, ./": tar({f"./{name}": data for name, data in docker_members(LAYERS).items()}),
    "oci": tar(oci_members(ONE)),
    "oci, layers as they are": tar(oci_members(ONE, compress=bytes)),
    "oci, gzip": gzip.compress(tar(oci_members(ONE))),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_image(write, form):
    plan = describe(write(FORMS[form]))
    assert plan.image_id == digest(config(LAYERS))
    assert plan.size == sum(map(len, LAYERS))
    with tarfile.open(fileobj=io.BytesIO(engine_gets(plan))) as sent:
        (manifest,) = json.load(sent.extractfile("manifest.json"))
        assert sent.getnames()[-1] == "manifest.json"
        assert [sent.extractfile(name).read() for name in manifest["Layers"]] == LAYERS
        assert sent.extractfile(manifest["Config"]).read() == config(LAYERS)


def test_long_reading_shows(write, monkeypatch):
    monkeypatch.setattr(reader, "TICK", 10_000)
    output = io.BytesIO()
    reader.describe(str(write(FORMS["docker"])), output)
    *progress, plan = map(json.loads, output.getvalue().splitlines())
    assert all(set(words) == {"read"} for words in progress)
    assert progress
    assert "config" in plan


def test_a_layout(tmp_path):
    folder = image_files.write_layout(tmp_path, oci_members(ONE))
    plan = describe(folder)
    assert plan.image_id == digest(config(LAYERS))
    assert engine_gets(plan)


def test_the_files_tags_are_not_applied(write):
    plan = describe(write(tar(docker_members(LAYERS, tags=["debian:bookworm"]))))
    assert b"debian" not in engine_gets(plan)


def test_a_layer_that_is_not_the_configurations(write):
    """Else the engine would give, for a hash that it knows, somebody else's layer."""
    wrong = docker_members([LAYERS[0], tar({"c": b""})], configuration=config(LAYERS))
    with pytest.raises(UserError, match=r"image /.*: layer 2 is not the one"):
        engine_gets(describe(write(tar(wrong))))


def test_a_file_that_changes_after_it_was_looked_at(write):
    plan = describe(write(FORMS["docker"]))
    write(FORMS["docker"].replace(b"2222", b"2223"))
    with pytest.raises(UserError, match="was changed meanwhile"):
        engine_gets(plan)


def test_a_file_that_shrinks_after_it_was_looked_at(write):
    plan = describe(write(FORMS["docker"]))
    write(FORMS["docker"][:60000])
    with pytest.raises(UserError, match="cut short"):
        engine_gets(plan)


def test_the_archive_has_no_end_when_the_layers_have_none():
    member = source.Member("x", 0, 10, "")
    plan = rebuild.Plan("/x", config([b"0123456789"]), (rebuild.Layer(member, 10),))
    parts = rebuild.rebuilt(plan, io.BytesIO(b"01234"), lambda done: None)
    with pytest.raises(StopIteration) as stop:
        while True:
            assert b"manifest.json" not in next(parts)
    assert stop.value.value is False


@pytest.mark.parametrize("form", ["docker", "docker, gzip", "docker, xz", "oci", "oci, gzip"])
def test_cut_short(write, form):
    data = FORMS[form]
    with pytest.raises(UserError, match=r"damaged or cut short|no such file in it"):
        describe(write(data[: len(data) // 2]))


@pytest.mark.parametrize("data", [b"", b"x" * 2000, bytes(2000), b"\x1f\x8b" + b"x" * 100])
def test_no_image(write, data):
    with pytest.raises(UserError, match=r"image /.*(no image|cut short)"):
        describe(write(data))


def test_a_tar_of_other_things(write):
    with pytest.raises(UserError, match=r"neither manifest.json"):
        describe(write(LAYERS[0]))


def hostile(**changes: bytes) -> bytes:
    names = {name.replace(".", "_"): name for name in docker_members(LAYERS)}
    return tar(docker_members(LAYERS) | {names[name]: data for name, data in changes.items()})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (hostile(manifest_json=b" " * (source.LARGEST_JSON + 1)), "larger than 4 MiB"),
        (hostile(manifest_json=b"[" * 100_000), "damaged"),
        (hostile(manifest_json=b"{}"), "not what it must be"),
        (hostile(manifest_json=b"[]"), "holds 0 images"),
        (hostile(manifest_json=b"[1]"), "holds 1 images"),
        (hostile(manifest_json=b'[{"RepoTags":["a:1"]},{"RepoTags":["b:2"]}]'), "a:1.*b:2"),
        (hostile(manifest_json=b'[{"Config":"c.json"}]'), "no list of Layers"),
        (hostile(manifest_json=b'[{"Config":"/etc/passwd","Layers":[]}]'), "no such file in it"),
        (hostile(manifest_json=b'[{"Config":"../c.json","Layers":[]}]'), "no such file in it"),
        (hostile(manifest_json=b'[{"Config":["c.json"],"Layers":[]}]'), "no such file in it"),
        (hostile(manifest_json=b'[{"Config":"c.json","Layers":[7]}]'), "no such file in it"),
        (hostile(manifest_json=b'[{"Layers":[%s0]}]' % (b"0," * 128)), "more than 128 layers"),
        (hostile(c_json=b"[]"), "does not name its 2 layers"),
        (hostile(c_json=b'{"rootfs":{"diff_ids":{"a":1,"b":2}}}'), "does not name its 2 layers"),
        (hostile(c_json=config(LAYERS[:1])), "does not name its 2 layers"),
        (hostile(c_json=config(LAYERS, architecture=OTHER)), f"it is for linux/{OTHER}"),
        (hostile(c_json=config(LAYERS, os="windows")), "it is for windows/"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "compressed with zstd.*convert it"),
    ],
)
def test_hostile_archives(write, data, words):
    with pytest.raises(UserError, match=words):
        describe(write(data))


def with_links(links: dict[str, str], members: dict[str, bytes], kind=tarfile.SYMTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_links_inside_are_followed(write):
    """`docker save` writes a layer that comes twice as a link."""
    members = docker_members(LAYERS)
    members["there/layer.tar"] = members.pop("1/layer.tar")
    plan = describe(write(with_links({"1/layer.tar": "../there/layer.tar"}, members)))
    assert engine_gets(plan)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", "../1/layer.tar", ""])
def test_links_to_outside_or_in_a_circle(write, kind, target):
    members = docker_members(LAYERS)
    del members["1/layer.tar"]
    with pytest.raises(UserError, match=r"1/layer.tar"):
        describe(write(with_links({"1/layer.tar": target}, members, kind)))


def test_of_a_name_that_comes_twice_the_last_counts(write):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in (("c.json", b"[]"), *docker_members(LAYERS).items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert describe(write(buffer.getvalue())).config == config(LAYERS)


def test_a_header_of_any_size_is_not_kept(write):
    """A pax header is read into memory by its size."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, source.MOST_HEADERS + 1
    with pytest.raises(UserError, match="MiB of tar headers"):
        describe(write(info.tobuf() + bytes(10000)))


def test_a_sparse_member_is_none(write):
    data = bytearray(tar(docker_members(LAYERS)))
    header = tarfile.TarInfo.frombuf(bytes(data[:512]), "utf-8", "strict")
    header.type = tarfile.GNUTYPE_SPARSE
    data[:512] = header.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(UserError, match=r"0/layer.tar"):
        describe(write(bytes(data)))


# --- OCI indexes -----------------------------------------------------------------


def platform(architecture: str, **more) -> dict:
    return {"platform": {"os": "linux", "architecture": architecture}} | more


def image(name: str, fields: dict):
    return config(LAYERS, author=name), LAYERS, fields


def test_this_nodes_architecture_is_chosen(write):
    members = oci_members(
        [
            image("other", platform(OTHER)),
            image("mine", platform(ARCHITECTURE)),
            image("attestation", {"platform": {"os": "unknown", "architecture": "unknown"}}),
        ]
    )
    assert b'"mine"' in describe(write(tar(members))).config


def test_several_images_are_named(write):
    ref = "org.opencontainers.image.ref.name"
    members = oci_members([image(n, {"annotations": {ref: n}}) for n in ("one", "two")])
    with pytest.raises(UserError, match=r"holds 2 images for this node \(one sha256:.*, two sha2"):
        describe(write(tar(members)))


def test_no_image_for_this_node(write):
    members = oci_members([image("other", platform(OTHER))])
    with pytest.raises(UserError, match=f"no image for linux/{ARCHITECTURE}, but: linux/{OTHER}"):
        describe(write(tar(members)))


def test_an_index_in_an_index(write):
    members = oci_members([image("other", platform(OTHER)), image("mine", platform(ARCHITECTURE))])
    inner = members["index.json"]
    members[f"blobs/sha256/{digest(inner)[7:]}"] = inner
    members["index.json"] = json.dumps({"manifests": [{"digest": digest(inner)}]}).encode()
    assert b'"mine"' in describe(write(tar(members))).config


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ({"manifests": [{"digest": "sha256:../../../etc/passwd"}]}, "no sha256 digest"),
        ({"manifests": [{"digest": ["x"]}]}, "no sha256 digest"),
        ({"manifests": [{"digest": digest(b"not there")}]}, "no such file in it"),
        ({"manifests": [1, None]}, "no image for"),
        ({"manifests": 1}, "no list of manifests"),
        ({"layers": []}, "no sha256 digest"),
        ({}, "no list of layers"),
        ([], "not what it must be"),
    ],
)
def test_hostile_indexes(write, index, words):
    members = oci_members(ONE) | {"index.json": json.dumps(index).encode()}
    with pytest.raises(UserError, match=words):
        describe(write(tar(members)))


def test_a_blob_of_other_content(write):
    members = oci_members(ONE)
    for name, data in members.items():
        if b'"schemaVersion"' in data and name.startswith("blobs"):
            members[name] = data + b" "
    with pytest.raises(UserError, match="is another"):
        describe(write(tar(members)))


def test_zstd_layers_name_a_way_out(write):
    members = oci_members(ONE, compress=lambda data: b"\x28\xb5\x2f\xfd" + data)
    with pytest.raises(UserError, match=r"zstd.*skopeo copy"):
        describe(write(tar(members)))


def test_a_pipe_in_a_layout_does_not_hang(tmp_path):
    folder = image_files.write_layout(tmp_path, oci_members(ONE))
    (folder / "index.json").unlink()
    os.mkfifo(folder / "index.json")
    with pytest.raises(UserError, match="not a regular file"):
        describe(folder)
