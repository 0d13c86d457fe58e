"""Checks that the demo's day ends in the same bill with faults (harsh) and without them (calm), and that
the calm day is cheap."""

import json
import sys
from decimal import Decimal


def main(calm_path, harsh_path):
    with open(calm_path, encoding="utf-8") as calm_file, open(harsh_path, encoding="utf-8") as harsh_file:
        calm, harsh = json.load(calm_file), json.load(harsh_file)
    problems = []
    for name, day in (("calm", calm), ("harsh", harsh)):
        print(f"{name}: {json.dumps(day)}")
        if day["balanced"] is not True:
            problems.append(f"the books of the {name} day do not balance")
        accepted, billed = Decimal(day["quantity"]["accepted"]), Decimal(day["billed_by_marketplace"])
        if accepted != billed:
            problems.append(f"{name}: accepted {accepted}, but AWS Marketplace bills {billed}")
        if accepted <= 0:
            problems.append(f"{name}: nothing was accepted")
    if Decimal(calm["quantity"]["accepted"]) != Decimal(harsh["quantity"]["accepted"]):
        problems.append("the harsh day and the calm day have different bills")
    calls = calm["api_calls"]
    if calls["batch_meter_usage"] * 100 > calls["minimum"] * 105:
        problems.append(f"the calm day took {calls['batch_meter_usage']} calls, the minimum is {calls['minimum']}")
    units = calm["write_units"]
    for name, most in (("per_event", "1.1"), ("per_record", "6")):
        if not Decimal(units[name]) <= Decimal(most):
            problems.append(f"the calm day took {units[name]} write units {name}, the most is {most}")
    sys.exit("\n".join(problems) or None)


if __name__ == "__main__":
    main(*sys.argv[1:])
