"""Read the notebook's pickles without running what a stranger put into them.

A pickle can call anything that can be imported. The two files that the notebook writes hold calls of two functions of
conjugacy with plain text and numbers; whatever else a file asks for is refused before it is called.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_ALLOWED = {
    ("conjugacy.training.lightning.wrapper", "rebuild_wrapper"),
    ("conjugacy.training.lightning.data_module", "rebuild_data_module"),
    # where they stood in version 0.1
    ("conjugacy.training.lightning_module", "rebuild_wrapper"),
    ("conjugacy.training.data_module", "rebuild_data_module"),
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path, classes: Iterable[type]):
        super().__init__(file)
        self._path = path
        self._classes = {(c.__module__, c.__qualname__): c for c in classes}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._classes:
            return self._classes[module, name]
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(
            f"{self._path}: refused to load {module}.{name}: only TaskTrainedWrapper and TaskDataModule of conjugacy "
            f"are read from pickles. If it is a class of your own that you trust, pass classes=[{name}]; a file "
            "written by CtDB itself has to be trained again."
        )


def read_pickle(path: str | os.PathLike, kind: type, classes: Iterable[type] = ()) -> Any:
    """The object of class `kind` in a pickle, if it is made of known classes only.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    pickle.UnpicklingError
        If the file asks for anything but known classes, or is cut off.
    TypeError
        If it holds something else.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"`filepath`: {path} does not exist. The notebook joins HOME_DIR and the folder by '+': "
            "HOME_DIR has to be empty or end in '/'."
        )
    with open(path, "rb") as f:
        try:
            thing = _Unpickler(f, path, classes).load()
        except (EOFError, pickle.UnpicklingError, UnicodeDecodeError, IndexError) as error:
            if "refused to load" in str(error):
                raise
            raise pickle.UnpicklingError(f"{path}: not a whole pickle ({error}). Save it again.") from None
    if not isinstance(thing, kind):
        raise TypeError(f"{path}: expected a {kind.__name__}, got {type(thing).__name__}. Are the files mixed up?")
    return thing
