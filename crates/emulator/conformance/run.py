"""The conformance suite: runs boto3, botocore and the AWS CLI against the emulator program.

    python run.py path/to/emulator [-v]

Needs boto3, the AWS CLI and PyJWT with cryptography (tests/clients/requirements.txt). Prints the
number of rules and cases, and ends with 0 if every case passed. -v prints each rule.
"""

import os
import sys

# The suite must not use a profile or an account of its user.
os.environ.update(
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
)
for variable in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
    os.environ.pop(variable, None)

import model.constraints
import model.errors
import rules
from program import Program
from stage import Stage
from suite import Report


def main():
    binary, *options = sys.argv[1:]
    report = Report(verbose="-v" in options)
    program = Program(binary)
    try:
        stage = Stage(program)
        for rule in rules.TABLE:
            report.run(rule, stage)
        stage.begin()
        for rule in model.constraints.table(stage):
            report.run(rule, stage)
        # These rules come last, because they look at the errors that all other cases met.
        for rule in model.errors.table(stage):
            report.run(rule, stage)
    finally:
        code = program.stop()
    if code != 0:
        report.failures.append(f"the emulator ended with {code}")
    return 0 if report.conclude() else 1


if __name__ == "__main__":
    sys.exit(main())
