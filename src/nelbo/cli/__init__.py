"""The command line: a face. It parses, calls and prints; it computes nothing.

Modules here import heavy things inside functions, so that `nelbo --help` answers at once.
"""

from __future__ import annotations


def main() -> None:
    """Run a command: a user's mistake is one sentence and status 2, a defect of ours a traceback and status 1."""
    import sys

    from nelbo.cli.app import app
    from nelbo.errors import NelboError

    try:
        app(prog_name="nelbo")
    except NelboError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
