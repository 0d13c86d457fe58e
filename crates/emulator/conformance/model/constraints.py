"""Generates cases for every constraint of the model: a value at its limit is accepted, a value beyond it is refused."""

import re

from clients import OPERATIONS
from suite import rule, titled

from . import values
from .requests import ABSENT, Requests, nodes

INVALID = "ValidationException"
UNREADABLE = "SerializationException"
# Members whose limits have their own exception.
OWN_EXCEPTION = {
    ("LookupEvents", "MaxResults"): "InvalidMaxResultsException",
    ("LookupEvents", "EventCategory"): "InvalidEventCategoryException",
}
SECTIONS = {"meteringmarketplace": "2", "marketplace-entitlement": "7", "marketplace-agreement": "6", "cloudtrail": "8"}
# The start of the emulator's message about values that violate the model.
BY_THE_MODEL = re.compile(r"\d+ validation errors? detected: ")


def table(stage):
    """One rule for each operation, with a case for each constraint of its request."""
    stage.settings(lookup_events_per_s=0)
    requests = Requests(stage)
    for number, (operation, api) in enumerate(OPERATIONS.items(), start=1):
        shape = stage.clients.model(operation).input_shape
        cases = [case for node in nodes(shape) for case in Constraints(operation, shape, requests, *node).cases()]
        text = f"{operation} accepts the values that botocore's model allows, and refuses all others."
        yield rule(f"M.{number:02}", f"{SECTIONS[api]} {operation}", text, *cases, generated=True)


class Constraints:
    """The cases of one member of one operation's request."""

    def __init__(self, operation, request, requests, path, shape, required):
        self.operation = operation
        self.request = request
        self.requests = requests
        self.path = path
        self.shape = shape
        self.required = required
        self.place = ".".join(path) or "the request"

    def cases(self):
        for wrong in values.WRONG[self.shape.type_name]:
            if self.path[-1:] != ("key",):
                yield self.refused(wrong, UNREADABLE, "has the wrong type")
        if self.required:
            yield self.refused(ABSENT, INVALID, "is missing")
            yield self.refused(None, INVALID, "is null")
        kind = self.shape.type_name
        if kind == "string" and self.shape.enum:
            yield from self.enumeration()
        elif kind == "string":
            yield from self.text()
        elif kind == "integer":
            yield from self.integer()
        elif kind == "list":
            yield from self.list()

    def enumeration(self):
        for value in self.shape.enum:
            yield self.accepted(value)
        for value in ("UNKNOWN", "", self.shape.enum[0].swapcase()):
            yield self.refused(value, INVALID, "is not in its enumeration")

    def text(self):
        limits = self.shape.metadata
        short = values.shortest(self.shape)
        yield self.accepted(self.requests.sample(self.shape, self.named()) if short is None else short)
        if limits.get("min", 0) > 0:
            yield self.refused("a" * (limits["min"] - 1), INVALID, "is too short")
        if "max" in limits:
            yield self.accepted(values.longest(self.shape))
            over = values.of_length(self.shape, limits["max"] + 1) or "1" * (limits["max"] + 1)
            yield self.refused(over, INVALID, "is too long")
        for text in values.against_pattern(self.shape):
            yield self.refused(text, INVALID, "does not match its pattern")

    def integer(self):
        limits = self.shape.metadata
        least, most = limits.get("min"), limits.get("max", values.INTEGER_MAX)
        yield self.accepted(most)
        if least is not None:
            yield self.accepted(least)
            yield self.refused(least - 1, INVALID, "is too small")
        if most < values.INTEGER_MAX:
            yield self.refused(most + 1, INVALID, "is too large")
        for beyond in (values.INTEGER_MAX + 1, -values.INTEGER_MAX - 2, 2**64, 10**30):
            yield self.refused(beyond, UNREADABLE, "has more than 32 bits")

    def list(self):
        limits = self.shape.metadata
        least, most = limits.get("min", 0), limits.get("max")
        item = self.requests.sample(self.shape.member)
        yield self.accepted([item] * least)
        if least > 0:
            yield self.refused([item] * (least - 1), INVALID, "is too short")
        if most is not None:
            yield self.accepted([item] * most)
            yield self.refused([item] * (most + 1), INVALID, "is too long")

    def refused(self, value, code, problem):
        if code == INVALID and self.path:
            code = OWN_EXCEPTION.get((self.operation, self.path[0]), code)

        def case(stage):
            answer = self.send(stage, value)
            assert (answer.status, answer.error()) == (400, code), answer
            message = answer.json["message"]
            if code == INVALID:
                assert BY_THE_MODEL.match(message), message
            if self.path:
                assert self.named().lower() in message.lower(), f"{self.named()} is not named: {message}"

        return titled(f"{self.operation}: {self.place} {problem}: {shown(value)}", case)

    def accepted(self, value):
        """The model must accept the value. The rules may still refuse it."""
        modelled = OWN_EXCEPTION.get((self.operation, self.path[0] if self.path else None))

        def case(stage):
            answer = self.send(stage, value)
            if answer.status == 200:
                return
            assert answer.status == 400 and answer.error() not in (UNREADABLE, modelled), answer
            assert not BY_THE_MODEL.match(answer.json["message"]), answer

        return titled(f"{self.operation}: {self.place} is accepted: {shown(value)}", case)

    def named(self):
        return next((step for step in reversed(self.path) if step not in ("member", "value", "key")), "")

    def send(self, stage, value):
        return stage.raw(self.operation, self.requests.place(self.request, list(self.path), value))


def shown(value):
    return "absent" if value is ABSENT else repr(value)[:60]
