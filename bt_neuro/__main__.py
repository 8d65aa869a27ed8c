"""`python -m bt_neuro` is the command line."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C also ends the imports without a traceback."""
    try:
        from bt_neuro.cli import app

        app()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
