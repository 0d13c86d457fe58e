"""The table of rules, one module for each part of AWS Marketplace."""

from . import batch_answer, batch_request, meter_usage, wire

MODULES = (wire, batch_request, batch_answer, meter_usage)
TABLE = tuple(rule for module in MODULES for rule in module.RULES)
