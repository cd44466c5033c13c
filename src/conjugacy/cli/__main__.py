"""``python -m conjugacy.cli``."""

from conjugacy.cli.entry import main

main()
