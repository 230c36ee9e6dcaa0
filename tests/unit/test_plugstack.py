"""plugstack.conf: finding our line, and adding and removing it."""

from pathlib import Path

from pycontrol import install, plugstack


def test_finds_the_line_through_an_include(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x.conf").write_text("required /usr/lib/socker/socker.so a=1 'b=two words'\n")
    (tmp_path / "plugstack.conf").write_text("#optional /x/socker.so\ninclude d/*.conf\n")
    line = plugstack.find_line(tmp_path / "plugstack.conf")
    assert line.plugin == Path("/usr/lib/socker/socker.so")
    assert line.arguments == ("a=1", "b=two words")


def test_no_line(tmp_path):
    assert plugstack.find_line(tmp_path / "none") is None
    (tmp_path / "p").write_text("required /usr/lib/other.so\n# required /x/socker.so\n")
    assert plugstack.find_line(tmp_path / "p") is None


def test_block_comes_and_goes():
    block = install.plugstack_block(Path("/usr/lib/socker"), "/v/bin/python3", enable=True)
    before = "include x\nrequired /other.so\n"
    assert install.without_block(before + block + "\nlast\n") == before + "last\n"
    assert install.without_block(before) == before


def test_another_directory_is_told_to_the_plugin():
    block = install.plugstack_block(Path("/opt/x"), "/v/bin/python3", enable=False)
    line = block.splitlines()[3]
    assert line.startswith("#required /opt/x/socker.so python=/v/bin/python3 ")
    assert line.endswith(
        " library=/opt/x/socker_python.so pause=/opt/x/pause launcher=/opt/x/launch"
    )


def test_every_argument_is_in_the_example():
    from pycontrol import config

    example = (Path(__file__).resolve().parents[2] / "plugstack.conf.example").read_text()
    for name in {*config.FIELDS, *config.SHIM_ARGUMENTS} - {"rule"}:
        assert f"{name}=" in example, name
