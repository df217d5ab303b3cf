"""`python -m nelbo`."""

from nelbo.cli import main

main()
