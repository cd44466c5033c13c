"""Analyses of one dynamical system: fixed points, portraits, spectra."""
