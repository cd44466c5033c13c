"""Named arrays and plain values in one npz file: written whole or not at all, without pickles, and with a hash."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from conjugacy._files import read_file, write_file
from conjugacy._json import digest, dump, parse
from conjugacy._notes import OlderFileWarning, note

_META, _HASH = "meta", "sha256"
_LARGEST = 8 * 2**30  # bytes unpacked; a file of megabytes can unpack to terabytes


def write_npz(path: str | os.PathLike, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write arrays, and plain values under the name "meta", to an npz file.

    Raises
    ------
    TypeError
        If a value is not plain, or an array one of objects.
    OSError
        If the file cannot be written; it names the file, and what was there is still there.
    """
    write_file(path, npz_bytes(arrays, meta))


def npz_bytes(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> bytes:
    """The content of the file that `write_npz` writes."""
    for name, array in arrays.items():  # savez has an argument for this from NumPy 2.1 on only
        if array.dtype.hasobject:
            raise TypeError(f"`{name}`: expected an array of numbers or text to save, got one of objects.")
    whole = parse("meta", dump("meta", meta, None))
    whole[_HASH] = _digest(arrays, whole)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays, meta=np.array(dump("meta", whole, None)))
    return buffer.getvalue()


def read_npz(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and plain values that `write_npz` wrote.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file, or was changed since. Both name the file.
    """
    return npz_content(path, read_file(path))


def npz_content(path: str | os.PathLike, data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `read_npz` gives, of a file that has been read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > _LARGEST:
            raise ValueError(f"it would unpack to {size / 2**30:.0f} GiB, more than {_LARGEST / 2**30:.0f}")
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            arrays = {key: found[key] for key in found.files}
        meta = parse(_META, str(arrays.pop(_META)))
        if not isinstance(meta, dict):
            raise ValueError("it does not say what it holds")
    except Exception as error:
        raise not_readable(path, error) from None
    hashed = meta.pop(_HASH, None)
    if hashed is None:
        note(f"{path}: without a hash, as conjugacy 0.1 wrote it: changes would not be noticed.", OlderFileWarning)
    elif hashed != _digest(arrays, meta):
        raise ValueError(f"{path}: its content is not what was saved (its hash differs). Save it again.")
    return arrays, meta


def not_readable(path: str | os.PathLike, error: Exception) -> ValueError:
    """What to say of a file whose content is not what it should be."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"{os.fspath(path)}: not what was saved ({reason[:300]}). It was cut off or changed; save it again."
    )


def _digest(arrays: Mapping[str, np.ndarray], meta: dict[str, Any]) -> str:
    sha = hashlib.sha256(digest(meta).encode())
    for name, array in sorted(arrays.items()):
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
