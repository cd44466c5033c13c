"""Reports: a page that answers and shows why, the figures of a run as files, a comparison as text."""
