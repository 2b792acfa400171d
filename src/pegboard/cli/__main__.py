"""``python -m pegboard.cli``."""

from pegboard.cli.program import main

main()
