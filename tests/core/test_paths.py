"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from mddit_ui.core.paths import atomic_write, data_dir


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "file"
    atomic_write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        atomic_write(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_over_a_folder_leaves_nothing_behind(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        atomic_write(tmp_path / "folder", "text")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_bytes_and_text_are_written_as_they_are(tmp_path: Path):
    atomic_write(tmp_path / "a" / "bytes", b"\x00\r\n")
    atomic_write(tmp_path / "a" / "text", "é\n")
    assert (tmp_path / "a" / "bytes").read_bytes() == b"\x00\r\n"
    assert (tmp_path / "a" / "text").read_bytes() == "é\n".encode()


def test_data_goes_where_the_person_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MDDIT_DATA", str(tmp_path / "mine"))
    assert data_dir() == tmp_path / "mine"
    assert (tmp_path / "mine").is_dir()
