"""The module paths of the Computation-thru-Dynamics Benchmark (package `ctd`), with conjugacy's networks and tasks.

They stand under conjugacy's own name, since another package is called ctd: ``from conjugacy.ctd.comparison.comparison
import Comparison``. `conjugacy.install_ctd` lets them be imported as ``ctd.comparison...`` for one session.
"""
