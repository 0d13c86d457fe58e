"""Runs first_minute.py, the script for new users, against this emulator."""

import subprocess
import sys
from pathlib import Path

from program import PATIENCE_S
from suite import rule

SCRIPT = Path(__file__).parent.parent / "first_minute.py"


def the_script_ends_well_and_leaves_the_clock_as_it_was(s):
    before = s.control("GET", "clock")
    ran = subprocess.run(
        [sys.executable, SCRIPT, s.clients.url], capture_output=True, text=True, timeout=PATIENCE_S * 3
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for expected in ("Success", "DuplicateRecord", "CustomerNotSubscribed", "InvalidLicenseException", "billed once"):
        assert expected in ran.stdout, ran.stdout
    assert ran.stdout.count("TimestampOutOfBoundsException") == 2, ran.stdout
    assert s.control("GET", "clock") == before


RULES = (
    rule(
        "M63.5",
        "2 BatchMeterUsage",
        "A script that needs only boto3 shows every answer that costs sellers money.",
        the_script_ends_well_and_leaves_the_clock_as_it_was,
    ),
)
