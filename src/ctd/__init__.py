"""``import ctd`` on a clone: the call of `conjugacy.install_ctd`, made by itself. No wheel has this file."""

import importlib
import sys

from conjugacy import install_ctd

del sys.modules[__name__]  # the call takes it for another package
install_ctd()
sys.modules[__name__] = importlib.import_module("conjugacy.ctd")
