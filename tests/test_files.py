"""What files say of a hash that takes seconds to read."""

import hashlib

from harmonica import files


def test_reading_a_large_file_is_said_once_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files, "LARGE", 8)
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"1234")
    large.write_bytes(b"123456789")
    for path in (small, large, large):
        assert files.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1 and str(large) in shown.err
