"""Runs all tests; fails when there is none, and when one was skipped."""

from __future__ import annotations

import faulthandler
import sys
import unittest
from pathlib import Path

# Says where all stand when something hangs, and ends it.
faulthandler.dump_traceback_later(100, exit=True)

tests = unittest.defaultTestLoader.discover(
    str(Path(__file__).parent), top_level_dir=str(Path(__file__).parents[1])
)
result = unittest.TextTestRunner(verbosity=2).run(tests)
failed = len(result.failures) + len(result.errors) + len(result.skipped)
print(f"{result.testsRun - failed} passed, {failed} failed")
sys.exit(0 if result.testsRun > 0 and failed == 0 else 1)
