"""Runs the benchmarks one after the other, each in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys

NAMES = ("round_overhead", "answers", "turns", "startup", "push", "clock", "admin_lists", "account")


def main() -> int:
    """Run those that the command line names, or all; return 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--json", action="store_true", help="one JSON object a benchmark")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"benchmarks are {', '.join(NAMES)}; found {', '.join(unknown)}")
    extra = ["--json"] if options.json else []
    codes = [
        subprocess.run([sys.executable, "-m", f"bench.{name}", *extra], check=False).returncode
        for name in options.names or NAMES
    ]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
