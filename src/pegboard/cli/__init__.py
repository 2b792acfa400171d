"""The command line: parse, one call, print.

Every command imports what it needs when it runs, so ``--help`` stays fast.
"""

from pegboard.cli.program import cli, main, run

__all__ = ["cli", "main", "run"]
