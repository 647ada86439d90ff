"""Files are written whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mddit_ui.core.paths import ROOT, atomic_write, data_dir, sweep


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


WRITER = """
import os, sys
from pathlib import Path
from mddit_ui.core.paths import atomic_write

reading, writing = os.pipe()
for count in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        for number in range(10**9):
            atomic_write(Path(sys.argv[1]), str(number % 10) * 200_000)
            os.write(writing, b".")
    os.read(reading, 1)
    for _ in range(count % 7):
        os.read(reading, 1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    content = Path(sys.argv[1]).read_text()
    assert content == content[0] * 200_000, len(content)
"""


@pytest.mark.parametrize("kills", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_a_writer_that_is_killed_leaves_no_torn_file(tmp_path: Path, kills: int):
    subprocess.run([sys.executable, "-c", WRITER, str(tmp_path / "file"), str(kills)], check=True, cwd=ROOT)
    sweep(tmp_path, older_than_seconds=0)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_only_old_leftovers_are_swept(tmp_path: Path):
    for name in (".old.tmp", ".new.tmp", "mine.tmp", ".hidden"):
        (tmp_path / name).write_text("x")
    for name in (".old.tmp", "mine.tmp", ".hidden"):
        os.utime(tmp_path / name, (0, 0))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", ".new.tmp", "mine.tmp"]
