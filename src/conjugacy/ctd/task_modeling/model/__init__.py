"""Import paths of the Computation-thru-Dynamics Benchmark; see `conjugacy.ctd`."""
