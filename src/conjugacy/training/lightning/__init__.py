"""Modules for an unmodified Lightning Trainer."""
