"""Lets `python -m nnc` do what the console script does."""

from nnc.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
