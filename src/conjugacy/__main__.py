"""``python -m conjugacy``: the command line, also where the folder of scripts is not on the path."""

from conjugacy.cli.entry import main

if __name__ == "__main__":
    main()
