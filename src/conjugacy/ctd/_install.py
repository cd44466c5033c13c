"""``import ctd`` for the length of one session, without a file of that name anywhere.

A wheel with a folder ``ctd`` in it would overwrite the files of the package ctd that is on the public index (readings
of oceanographers' instruments). So the paths are put in place where they are asked for, by a finder before all others.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# what the cells of the notebook import from elsewhere, and what to do where it is not installed
_MISSING = {
    "dotenv": "The notebook reads its .env file with it. Install it: pip install python-dotenv",
    "motornet": (
        "Either install it: pip install 'motornet<0.4' (its licence is the GPL), or take conjugacy's arm and write, "
        "in place of the two lines that import motornet: from conjugacy.arm import RigidTendonArm26, MujocoHillMuscle"
    ),
}


def install_ctd() -> None:
    """Let the module paths of CtDB, such as ``ctd.comparison.comparison``, be imported until the session ends.

    One line in the first cell of the Neuromatch notebook "Comparing networks", ``import conjugacy;
    conjugacy.install_ctd()``, and its cells run as they stand. No file is written or changed. Where another package
    called ctd is installed, it is hidden in this session and as it was in the next. The same modules are there without
    this call as ``conjugacy.ctd.comparison.comparison`` and so on.

    Raises
    ------
    RuntimeError
        If the other package called ctd was imported before.
    """
    loaded = sys.modules.get("ctd")
    if loaded is not None and loaded.__name__ != "conjugacy.ctd":
        place = getattr(loaded, "__file__", None) or next(iter(getattr(loaded, "__path__", [])), "an unknown place")
        raise RuntimeError(
            f"`ctd`: another package of this name, {place}, was imported before. Restart, and call "
            "conjugacy.install_ctd() before anything imports ctd; or import from conjugacy.ctd in place of ctd."
        )
    if not any(isinstance(finder, _Paths) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Paths())
        sys.meta_path.append(_Hints())


class _Paths(MetaPathFinder, Loader):
    """Finds ``ctd.X`` where ``conjugacy.ctd.X`` is."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None):
        if fullname != "ctd" and not fullname.startswith("ctd."):
            return None
        ours = importlib.util.find_spec(f"conjugacy.{fullname}")
        if ours is None:
            return None
        return ModuleSpec(fullname, self, is_package=ours.submodule_search_locations is not None)

    def exec_module(self, module: ModuleType) -> None:
        # not a copy: classes are the same by either path, and pickles name the path that always works
        sys.modules[module.__name__] = importlib.import_module(f"conjugacy.{module.__name__}")


class _Hints(MetaPathFinder):
    """The last to be asked for a module: says what to do where the notebook's cells cannot import one."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        hint = _MISSING.get(fullname)
        if fullname.startswith("ctd."):
            hint = (
                "Of CtDB's modules conjugacy has those below ctd.comparison and ctd.task_modeling. Another package "
                "called ctd is hidden since the call of conjugacy.install_ctd(): restart for it."
            )
        # import statements come by this function of Python's; importlib.util.find_spec only asks whether there is one
        asked_by = sys._getframe(2).f_code.co_name
        if hint is not None and asked_by == "_find_and_load_unlocked":
            raise ModuleNotFoundError(f"No module named {fullname!r}. {hint}", name=fullname)
