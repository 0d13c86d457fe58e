"""The rules with their cases, and a run of all cases."""

import traceback
from dataclasses import dataclass, field
from typing import Callable

# The documents in which each section's rules are published.
DOCUMENTS = {
    "1": "AWS Marketplace seller guide, SaaS product integration, document history",
    "2": "AWS Marketplace Metering Service API reference, BatchMeterUsage and UsageRecord",
    "3": "AWS SDK for Rust, aws-sdk-marketplacemetering and aws-sdk-marketplaceentitlement",
    "4": "AWS Marketplace Metering Service API reference, MeterUsage and RegisterUsage",
    "5": "AWS Marketplace seller guide, SaaS customer onboarding; API reference, ResolveCustomer",
    "6": "AWS Marketplace seller guide, EventBridge events and SNS notifications for SaaS products",
    "7": "AWS Marketplace seller guide, SaaS billing; Entitlement Service API reference, GetEntitlements",
    "8": "AWS CloudTrail API reference, LookupEvents; user guide, metering events",
    "10": "behavior that AWS's documents contradict or do not describe",
}


@dataclass(frozen=True)
class Rule:
    """A rule of AWS Marketplace, and the cases that prove that the emulator follows it."""

    id: str
    section: str
    text: str
    cases: tuple[Callable, ...]
    generated: bool = False

    @property
    def document(self):
        return DOCUMENTS[self.section.split()[0]]


def rule(id, section, text, *cases, generated=False):
    """Makes a rule of the table. It must have at least one case."""
    assert cases, f"rule {id} has no case"
    return Rule(id, section, text, cases, generated)


@dataclass
class Report:
    """The counts and the failures of a run."""

    verbose: bool
    rules: int = 0
    cases: int = 0
    generated: int = 0
    failures: list = field(default_factory=list)

    def run(self, rule, stage):
        """Runs every case of a rule. Each case that is not generated has its own world."""
        self.rules += 1
        failed = len(self.failures)
        for case in rule.cases:
            self.cases += 1
            self.generated += rule.generated
            try:
                if not rule.generated:
                    stage.begin()
                case(stage)
            except Exception:
                trace = traceback.format_exc(chain=False)
                self.failures.append(f"{rule.id} ({rule.section}) {name(case)}\n{trace}")
        if self.verbose:
            verdict = "ok" if failed == len(self.failures) else "FAILED"
            print(f"{verdict:6} {rule.id:6} {rule.section}: {rule.text} ({len(rule.cases)} cases; {rule.document})")

    def conclude(self):
        """Prints the failures and the counts. Returns whether no case failed."""
        for failure in self.failures:
            print(f"FAILED {failure}")
        print(
            f"conformance: {self.rules} rules, {self.cases} cases ({self.generated} generated), "
            f"{len(self.failures)} failed",
            flush=True,
        )
        return not self.failures


def name(case):
    return getattr(case, "title", None) or case.__name__.replace("_", " ")


def titled(title, case):
    """Gives a case that is made of data its own name."""
    case.title = title
    return case
