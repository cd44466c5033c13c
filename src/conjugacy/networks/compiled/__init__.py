"""Fast paths through whole sequences of networks, compiled by numba; one kind of cell a file."""
