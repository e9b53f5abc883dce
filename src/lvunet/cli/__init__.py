"""The command line: one command a job; it alone, by way of `screen`, prints and exits."""

from lvunet.cli.app import main

__all__ = ["main"]
