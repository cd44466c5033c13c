"""Reports: the figures of a run as files, a comparison as text."""
