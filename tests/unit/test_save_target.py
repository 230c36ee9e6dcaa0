"""What --container-save accepts."""

import pytest

from pycontrol.errors import UserError
from pycontrol.savetarget import SaveTarget, parse_target


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("/home/alice/x.tar", "archive"),
        ("/home/alice/x.tar.gz", "archive"),
        ("/home/alice/x.tgz", "archive"),
        ("/home/alice/x.sqsh", "squashfs"),
        ("/home/alice/x.squashfs", "squashfs"),
    ],
)
def test_files(text, kind):
    target = parse_target(text)
    assert target == SaveTarget(kind, text)
    assert target.is_compressed == text.endswith("gz")


@pytest.mark.parametrize(
    ("text", "reference", "parts"),
    [
        ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b:1", ("127.0.0.1:5000", "a/b", "1")),
        ("docker://r.org/a", "r.org/a:latest", ("r.org", "a", "latest")),
        ("localhost/a", "localhost/a:latest", ("localhost", "a", "latest")),
        ("docker://me/a:1", "docker.io/me/a:1", ("docker.io", "me/a", "1")),
        ("docker://a", "docker.io/library/a:latest", ("docker.io", "library/a", "latest")),
        ("docker://r.org/x.tar", "r.org/x.tar:latest", ("r.org", "x.tar", "latest")),
    ],
)
def test_pushes(text, reference, parts):
    target = parse_target(text)
    assert target == SaveTarget("registry", reference)
    assert target.reference() == parts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "--container-save: the target has no name: write an absolute path or ./PATH, or "
            "REGISTRY/NAME[:TAG] to push",
        ),
        (
            "x.tar",
            "--container-save: `x.tar` may be a file or an image: write ./x.tar for the file, "
            "docker://x.tar to push",
        ),
        (
            "data.d/x.sqsh",
            "--container-save: `data.d/x.sqsh` may be a file or an image: write ./data.d/x.sqsh "
            "for the file, docker://data.d/x.sqsh to push",
        ),
        (
            "/home/x.zip",
            "--container-save: `/home/x.zip` does not say what to make: end it with .tar, "
            ".tar.gz, .tgz (an archive) or .sqsh, .squashfs (squashfs)",
        ),
        (
            "debian:bookworm",
            "--container-save: `debian:bookworm` names no registry: write an absolute path or "
            "./PATH, or REGISTRY/NAME[:TAG] to push",
        ),
        (
            "r.org/A:1",
            "--container-save: `r.org/A:1` is not an image name: names have no capital letters: "
            "write [REGISTRY[:PORT]/]NAME[:TAG][@sha256:...], dockerd://NAME, or a path that "
            "begins with / or ./",
        ),
        (
            "dockerd://r.org/a",
            "--container-save: `dockerd://r.org/a` is neither a file nor a registry's: write an "
            "absolute path or ./PATH, or REGISTRY/NAME[:TAG] to push",
        ),
        (
            "r.org/a@sha256:" + "0" * 64,
            f"--container-save: `r.org/a@sha256:{'0' * 64}`: a digest follows from what is saved: "
            "give a tag instead",
        ),
    ],
)
def test_errors_say_what_to_write(text, message):
    with pytest.raises(UserError) as error:
        parse_target(text)
    assert str(error.value) == message
