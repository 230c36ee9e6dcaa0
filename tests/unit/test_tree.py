"""Directories of our own go, with all that is in them."""

from pycontrol import tree


def test_all_of_it_goes_and_nothing_beside_it(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    folder = tmp_path / "job"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/file").write_text("x")
    (folder / "to-folder").symlink_to(kept)
    (folder / "to-file").symlink_to(kept / "file")
    tree.remove(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (kept / "file").read_text() == "x"


def test_a_link_is_no_directory_of_ours(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (tmp_path / "job").symlink_to(kept)
    tree.remove(tmp_path / "job")
    assert (kept / "file").exists()


def test_what_is_not_there_is_no_matter(tmp_path):
    tree.remove(tmp_path / "nothing")
