"""The table of rules, one module for each part of AWS Marketplace."""

from . import (
    agreements,
    batch_answer,
    batch_request,
    cloudtrail,
    command_line,
    first_minute,
    lifecycle,
    meter_usage,
    protocols,
    readings,
    registration,
    seller,
    trail,
    wire,
)

MODULES = (
    wire,
    batch_request,
    batch_answer,
    protocols,
    meter_usage,
    registration,
    lifecycle,
    agreements,
    seller,
    cloudtrail,
    trail,
    readings,
    command_line,
    first_minute,
)
TABLE = tuple(rule for module in MODULES for rule in module.RULES)
assert len({rule.id for rule in TABLE}) == len(TABLE), "two rules have the same id"
