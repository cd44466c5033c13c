"""Files are written whole or not at all, wherever a kill comes, and read with errors that name them."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch

from conjugacy import _json, _npz
from conjugacy._csv import as_csv
from conjugacy._files import file_stem, find, finish_sealed, read_file, same_text, write_file, write_sealed
from conjugacy._notes import OlderFileWarning, note
from conjugacy._plain_torch import plain_torch


class Killed(BaseException):
    pass


def killed_at(monkeypatch, k):
    """Have the k-th call that changes a file end everything, as a kill does."""
    calls = [0]

    def counted(real):
        def call(*args, **options):
            calls[0] += 1
            if calls[0] >= k:  # dead: nothing more is changed
                raise Killed
            return real(*args, **options)

        return call

    for name in ("replace", "fsync", "unlink", "rename"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))


@pytest.mark.parametrize("k", range(1, 4))
def test_a_file_is_the_old_or_the_new_one(tmp_path, monkeypatch, k):
    path = tmp_path / "a.npz"
    write_file(path, b"old")
    with monkeypatch.context() as patch:
        killed_at(patch, k)
        try:
            write_file(path, b"new and longer")
        except Killed:
            assert k < 3
    assert read_file(path) in (b"old", b"new and longer")
    write_file(path, b"newer")
    assert read_file(path) == b"newer"


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("k", range(1, 9))
def test_a_sealed_set_is_the_old_or_the_new_one(tmp_path, monkeypatch, k, old):
    sets = {which: {"a": which.encode() * 3, "b": which.encode() * 5} for which in ("1", "2")}
    for which, files in sets.items():
        files["seal"] = which.encode()
    if old:
        write_sealed(tmp_path, sets["1"], "seal")
    with monkeypatch.context() as patch:
        killed_at(patch, k)
        try:
            write_sealed(tmp_path, sets["2"], "seal")
        except Killed:
            assert k < 8
    if not old and not (tmp_path / "seal").exists():
        return
    which = (tmp_path / "seal").read_text()
    assert which in "12"
    right = sets[which]
    for name in ("a", "b"):
        assert find(tmp_path / name, lambda data, n=name: data == right[n]) == right[name]
    finish_sealed(tmp_path, right, lambda name, data: data == right[name])
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == right


def test_links_are_followed_and_permissions_kept(tmp_path):
    (tmp_path / "there").mkdir()
    real = tmp_path / "there" / "a"
    write_file(real, b"old")
    real.chmod(0o640)
    (tmp_path / "link").symlink_to(real)
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and real.read_bytes() == b"new"
    assert os.name == "nt" or real.stat().st_mode & 0o777 == 0o640


def test_what_is_no_file_is_named_and_never_waited_for(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    names = ["folder", "loop", "missing"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "zeros").symlink_to("/dev/zero")
        names += ["pipe", "zeros"]
    for name in names:
        with pytest.raises(OSError, match=rf"^.*{name}: cannot be read \(.*\)\.$"):
            read_file(tmp_path / name)
    with pytest.raises(OSError, match=r"^.*missing/x: cannot be written \(.*\)\.$"):
        write_file(tmp_path / "missing" / "x", b"")


def test_line_ends_do_not_matter_to_a_text_but_everything_else_does():
    from hashlib import sha256

    for saved in (b"a\nb\n", b"a\r\nb\r\n"):
        digest = sha256(saved).hexdigest()
        assert same_text(digest, b"a\nb\n") and same_text(digest, b"a\r\nb\r\n")
        assert not same_text(digest, b"a\nc\n") and not same_text(digest, b"a\nb")


@pytest.mark.parametrize(
    "name",
    [
        "../../evil",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/b",
        "a\\b",
        "CON",
        "nul.txt",
        "x" * 300,
        "a\0b",
        " ",
        "C:evil",
        "~",
    ],
)
def test_names_stay_in_their_folder(tmp_path, name):
    stem = file_stem(name)
    path = (tmp_path / f"{stem}_x.png").resolve()
    assert path.parent == tmp_path.resolve() and len(stem) < 120
    path.touch()
    assert stem != file_stem(name + "?") and file_stem(name) == stem


def test_good_names_stay_as_they_are():
    for name in ("GRU-128", "latent_size=64,seed=3", "my run 2", "Zürich", "a.b+c"):
        assert file_stem(name) == name


def test_json_is_strict_when_read_and_kind_when_written():
    value = {"a": np.int64(3), "b": [np.float32(0.5), np.bool_(True)], "c": (1, None)}
    assert json.loads(_json.dump("x", value)) == {"a": 3, "b": [0.5, True], "c": [1, None]}
    with pytest.raises(TypeError, match=r"^`x\['a'\]\[1\]`: expected a number, .* got Tensor"):
        _json.dump("x", {"a": [1, torch.ones(2)]})
    for text in ("{", '{"a": 1, "a": 2}', "[" * 100000, "", "\x00", b"\xff\xfe"):
        with pytest.raises(ValueError, match=r"^file\.json: not json as it was written \(.*\)\.$"):
            _json.parse("file.json", text)
    assert _json.parse("x", b"\xef\xbb\xbf{}") == {}
    assert _json.digest({"a": 1, "b": 2}) == _json.digest({"b": 2, "a": 1}) != _json.digest({"a": 1, "b": 2.5})


def test_arrays_of_objects_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match=r"^`a`: expected an array of numbers or text to save, got one of objects\.$"):
        _npz.write_npz(tmp_path / "a.npz", {"a": np.array([None])}, {})
    assert not list(tmp_path.iterdir())


def test_every_changed_byte_of_an_npz_is_noticed(tmp_path):
    path = tmp_path / "a.npz"
    arrays = {"x": np.arange(12.0).reshape(3, 4), "names": np.array(["a", "bc"])}
    _npz.write_npz(path, arrays, {"n": 1})
    back, meta = _npz.read_npz(path)
    assert meta == {"n": 1} and all(np.array_equal(back[k], arrays[k]) for k in arrays)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    for at in rng.choice(len(data), 60, replace=False):
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            found, meta = _npz.read_npz(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:  # of a time stamp, say
            assert meta == {"n": 1} and all(np.array_equal(found[k], arrays[k]) for k in arrays)
    np.savez(path, x=np.array([{}], dtype=object), meta=np.array("{}"))
    with pytest.raises(ValueError, match=r"a\.npz: not what was saved"):
        _npz.read_npz(path)


def test_spreadsheets_find_no_formulas_and_numbers_stay_numbers(tmp_path):
    table = pd.DataFrame(
        {"name": ["=cmd()", "+1+1", "-x", "@a", "-3", "plain", None], "=head": [-1.5, 2, 3, 4, 5, 6, 7]},
        index=pd.MultiIndex.from_tuples([(f"={i}", i) for i in range(7)], names=["run", "k"]),
    )
    lines = as_csv(table, index=True).decode().splitlines()
    assert lines[0] == "run,k,name,'=head"
    assert lines[1] == "'=0,0,'=cmd(),-1.5" and lines[5] == "'=4,4,-3,5.0" and lines[7] == "'=6,6,,7.0"
    assert not any(cell.startswith(("=", "+", "@")) for line in lines for cell in line.split(","))
    assert table.columns[1] == "=head"  # the table itself is as it was


def test_a_note_warns_and_never_stops():
    import warnings

    with pytest.warns(OlderFileWarning, match="old"):
        note("old", OlderFileWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        note("old", OlderFileWarning)


def test_torch_is_as_it_starts_within_and_as_it_was_after():
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            with plain_torch():
                w = torch.ones(2, 2, requires_grad=True)
                assert w.dtype == torch.float32 and (w @ w).dtype == torch.float32
                (w @ w).sum().backward()
            assert torch.get_default_dtype() == torch.float64 and torch.is_inference_mode_enabled()
            assert torch.is_autocast_enabled("cpu")
    finally:
        torch.set_default_dtype(torch.float32)
