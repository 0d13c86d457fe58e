"""Checks that some case meets every error in an operation's model, except the errors in OUT_OF_REACH."""

from clients import OPERATIONS
from suite import rule, titled

from .constraints import SECTIONS

# Errors that no call of a seller can cause, each with the reason.
OUT_OF_REACH = {
    ("LookupEvents", "UnsupportedOperationException"): "is about trails and event data stores, and there are none",
    ("LookupEvents", "OperationNotPermittedException"): "is about organizations and their delegated administrators",
    ("BatchCreateBillingAdjustmentRequest", "ConflictException"): "a reused clientToken is reported in its entry",
}


def table(stage):
    """One rule for each operation. They must run after all other rules."""
    reached = 0
    for number, (operation, api) in enumerate(OPERATIONS.items(), start=1):
        cases = [modelled(operation, code_of(error)) for error in stage.clients.model(operation).error_shapes]
        reached += len(cases)
        text = f"Every error of {operation}'s model is reached."
        yield rule(f"E.{number:02}", f"{SECTIONS[api]} {operation}", text, *cases, generated=True)
    print(f"modelled errors: {reached - len(OUT_OF_REACH)} reached, {len(OUT_OF_REACH)} out of reach")
    for (operation, code), reason in OUT_OF_REACH.items():
        print(f"  {operation} {code}: {reason}")


def code_of(error):
    """The code of an error in the HTTP answer."""
    return error.metadata.get("error", {}).get("code", error.name)


def modelled(operation, code):
    reason = OUT_OF_REACH.get((operation, code))

    def case(stage):
        met = stage.clients.met.get((operation, code), 0)
        if reason is None:
            assert met > 0, f"no case met {code} from {operation}"
        else:
            assert met == 0, f"{code} is listed as out of reach, but {operation} answered it"

    return titled(f"{operation} answers {code}" if reason is None else f"{operation} never answers {code}", case)
