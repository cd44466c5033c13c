"""Measures of similarity between systems."""
