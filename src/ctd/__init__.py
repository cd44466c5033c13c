"""The import paths of the Computation-thru-Dynamics Benchmark, served by conjugacy."""
