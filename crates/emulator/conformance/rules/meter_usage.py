"""Usage and registrations from software that runs in the buyer's account."""

import base64
import json
from datetime import timedelta

import jwt

from stage import NOON, beyond_the_rate, changed, epoch, expect, hours
from suite import rule

PRODUCT = "containerproduct1"
OUT_OF_BOUNDS = "TimestampOutOfBoundsException"


def listed(s):
    """Lists a container product. Returns its only buyer."""
    s.product(PRODUCT, identity="customer")
    return s.buys(PRODUCT)


def usage(**changes):
    record = {"ProductCode": PRODUCT, "Timestamp": NOON, "UsageDimension": "requests", "UsageQuantity": 1}
    return changed(record, changes)


def meters(s, key="instance-1", region="us-east-1", **changes):
    return s.metering(key=key, region=region).meter_usage(**usage(**changes))["MeteringRecordId"]


def refused(s, code, key="instance-1", region="us-east-1", **changes):
    expect(code, s.metering(key=key, region=region).meter_usage, **usage(**changes))


# The window.


def six_hours_ago_is_accepted_and_a_second_more_is_not(s):
    listed(s)
    meters(s, Timestamp=hours(-6))
    refused(s, OUT_OF_BOUNDS, Timestamp=hours(-6) - timedelta(seconds=1))
    refused(s, OUT_OF_BOUNDS, Timestamp=NOON + timedelta(seconds=1))


def the_batch_window_does_not_apply(s):
    listed(s)
    s.settings(window_hours=48)
    refused(s, OUT_OF_BOUNDS, Timestamp=hours(-7))


def usage_before_the_subscription_is_refused(s):
    s.product(PRODUCT, identity="customer")
    s.buys_now(PRODUCT)
    refused(s, OUT_OF_BOUNDS, Timestamp=hours(-1))


# One record for an hour.


def the_same_again_is_the_same_record(s):
    listed(s)
    first = meters(s)
    assert meters(s) == first and meters(s, Timestamp=NOON.replace(minute=0)) == first
    assert s.billed() == ["1"]


def the_timestamp_is_rounded_down_to_the_hour(s):
    listed(s)
    s.clock(NOON.replace(minute=50))
    first = meters(s, Timestamp=NOON.replace(minute=10))
    assert meters(s, Timestamp=NOON.replace(minute=45)) == first
    assert s.slots()[0]["hour"] == "2026-11-21T12:00:00Z", s.slots()


def another_quantity_is_a_duplicate_request(s):
    listed(s)
    meters(s)
    refused(s, "DuplicateRequestException", UsageQuantity=2)
    assert s.billed() == ["1"]


def another_instance_hour_or_dimension_is_another_record(s):
    listed(s)
    ids = {meters(s), meters(s, key="instance-2"), meters(s, Timestamp=hours(-1)), meters(s, UsageDimension="gb")}
    assert len(ids) == 4 and len(s.slots()) == 4


def decimals_and_allocations_are_as_in_a_batch(s):
    listed(s)
    shares = [{"AllocatedUsageQuantityAsDecimal": "0.5"}]
    meters(s, UsageQuantity=None, UsageQuantityAsDecimal="0.5", UsageAllocations=shares)
    assert s.billed() == ["0.5"]
    refused(s, "InvalidUsageAllocationsException", UsageAllocations=[{"AllocatedUsageQuantity": 2}])
    twice = [{"AllocatedUsageQuantity": 1, "Tags": [{"Key": "k", "Value": v} for v in "ab"]}]
    refused(s, "InvalidTagException", UsageAllocations=twice)


def a_dry_run_answers_that_it_was_valid(s):
    listed(s)
    refused(s, "DryRunOperation", DryRun=True)
    assert s.billed() == []


# ClientToken.


def a_token_belongs_to_one_request(s):
    listed(s)
    first = meters(s, ClientToken="t-1")
    assert meters(s, ClientToken="t-1") == first
    refused(s, "IdempotencyConflictException", ClientToken="t-1", UsageQuantity=2)


def a_token_has_64_characters_at_most(s):
    listed(s)
    meters(s, ClientToken="t" * 64)
    record = {**usage(), "Timestamp": epoch(NOON), "ClientToken": "t" * 65}
    assert s.raw("MeterUsage", record).error() == "ValidationException"


def on_agent_core_every_token_is_usage_of_its_own(s):
    listed(s)
    s.settings(platform="agent-core")
    ids = {meters(s, ClientToken=f"t-{n}", UsageQuantity=n) for n in range(1, 4)}
    assert meters(s, ClientToken="t-1", UsageQuantity=1) in ids
    assert s.billed() == ["1", "2", "3"]


def on_agent_core_the_token_is_required(s):
    listed(s)
    s.settings(platform="agent-core")
    record = {**usage(), "Timestamp": epoch(NOON)}
    assert s.raw("MeterUsage", record).error() == "ValidationException"


# The other refusals.


def only_a_subscribed_account_meters(s):
    buyer = listed(s)
    meters(s, key=buyer["account_id"])
    refused(s, "CustomerNotEntitledException", key="000000000000")
    s.cancels(buyer)
    s.advance("2h")
    refused(s, "CustomerNotEntitledException", key=buyer["account_id"])


def the_region_is_the_one_the_software_runs_in(s):
    listed(s)
    s.settings(software_region="eu-central-1")
    refused(s, "InvalidEndpointRegionException")
    meters(s, region="eu-central-1")


def product_code_and_dimension_have_to_exist(s):
    listed(s)
    refused(s, "InvalidProductCodeException", ProductCode="unknown")
    refused(s, "InvalidUsageDimensionException", UsageDimension="GB")


def ten_records_a_second_and_five_registrations(s):
    listed(s)
    s.settings(meter_usage_per_s=10, register_usage_per_s=5)
    beyond_the_rate(s, 10, lambda: meters(s, Timestamp=hours(-1)))
    beyond_the_rate(s, 5, lambda: registers(s))


def throttled_or_broken(s):
    listed(s)
    for kind, code in (("throttling", "ThrottlingException"), ("internal-error", "InternalServiceErrorException")):
        s.fault(kind, operation="MeterUsage")
        refused(s, code)
    assert s.billed() == []


# RegisterUsage.


def registers(s, version=1, key="task-1", region="us-east-1", **more):
    request = {"ProductCode": PRODUCT, "PublicKeyVersion": version, **more}
    return s.metering(key=key, region=region).register_usage(**request)


def not_registered(s, code, version=1, key="task-1", region="us-east-1", **more):
    request = {"ProductCode": PRODUCT, "PublicKeyVersion": version, **more}
    expect(code, s.metering(key=key, region=region).register_usage, **request)


def verified(s, signature, version=1):
    """Verifies a signature with PyJWT and the emulator's public key. Returns the claims."""
    key = s.control("GET", f"public-keys/{version}")
    assert key["algorithm"] == "PS256", key
    # PyJWT has another clock than the emulator, so it cannot check the time of issue.
    return jwt.decode(signature, key["pem"], algorithms=["PS256"], options={"verify_iat": False})


def the_registration_is_a_token_the_offered_key_verifies(s):
    listed(s)
    signature = registers(s, Nonce="n" * 255)["Signature"]
    assert jwt.get_unverified_header(signature) == {"alg": "PS256", "typ": "JWT"}
    claims = verified(s, signature)
    assert claims["ProductCode"] == PRODUCT and claims["PublicKeyVersion"] == 1, claims
    assert claims["Nonce"] == "n" * 255 and claims["iat"] == epoch(NOON), claims


def a_forged_registration_does_not_verify(s):
    listed(s)
    head, body, signature = registers(s)["Signature"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["ProductCode"] = "another"
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    try:
        verified(s, f"{head}.{forged}.{signature}")
    except jwt.InvalidSignatureError:
        return
    raise AssertionError("a forged token verifies")


def a_rotated_key_still_signs_and_has_its_rotation_time(s):
    listed(s)
    assert "PublicKeyRotationTimestamp" not in registers(s)
    newest = s.control("POST", "public-keys")["version"]
    old = registers(s, version=1)
    assert old["PublicKeyRotationTimestamp"] == NOON, old
    verified(s, old["Signature"], version=1)
    new = registers(s, version=newest)
    assert "PublicKeyRotationTimestamp" not in new
    verified(s, new["Signature"], version=newest)


def a_key_version_that_does_not_exist_is_refused(s):
    listed(s)
    not_registered(s, "InvalidPublicKeyVersionException", version=99)


def a_key_version_is_1_at_least_and_a_nonce_255_characters_at_most(s):
    listed(s)
    for request in ({"PublicKeyVersion": 0}, {"PublicKeyVersion": 1, "Nonce": "n" * 256}):
        answer = s.raw("RegisterUsage", {"ProductCode": PRODUCT, **request})
        assert answer.error() == "ValidationException", answer


def only_container_platforms_register(s):
    listed(s)
    for platform in ("ec2", "agent-core", "other"):
        s.settings(platform=platform)
        not_registered(s, "PlatformNotSupportedException")
    for platform in ("ecs", "eks", "fargate"):
        s.settings(platform=platform)
        registers(s)


def the_containers_region_and_product_count(s):
    listed(s)
    s.settings(software_region="eu-central-1")
    not_registered(s, "InvalidRegionException")
    registers(s, region="eu-central-1")
    not_registered(s, "InvalidProductCodeException", region="eu-central-1", ProductCode="unknown")


def an_account_without_a_subscription_does_not_register(s):
    listed(s)
    not_registered(s, "CustomerNotEntitledException", key="000000000000")


def a_registered_container_goes_on_after_the_subscription(s):
    buyer = listed(s)
    registers(s, key=buyer["account_id"])
    s.cancels(buyer)
    s.advance("3h")
    verified(s, registers(s, key=buyer["account_id"])["Signature"])


def a_registration_may_be_throttled_disabled_or_broken(s):
    listed(s)
    for kind, code in (
        ("throttling", "ThrottlingException"),
        ("disabled-api", "DisabledApiException"),
        ("internal-error", "InternalServiceErrorException"),
    ):
        s.fault(kind, operation="RegisterUsage")
        not_registered(s, code)
    registers(s)


RULES = (
    rule(
        "M32",
        "4 MeterUsage",
        "MeterUsage has a window of its own, still 6 hours.",
        six_hours_ago_is_accepted_and_a_second_more_is_not,
        the_batch_window_does_not_apply,
        usage_before_the_subscription_is_refused,
    ),
    rule(
        "M33.1",
        "4 MeterUsage",
        "One record for each hour, dimension and instance; the timestamp is rounded down to the hour.",
        the_timestamp_is_rounded_down_to_the_hour,
        another_instance_hour_or_dimension_is_another_record,
    ),
    rule(
        "M33.2",
        "4 MeterUsage",
        "Identical repeats return the same MeteringRecordId; another quantity is DuplicateRequestException.",
        the_same_again_is_the_same_record,
        another_quantity_is_a_duplicate_request,
    ),
    rule(
        "M12.4",
        "4 MeterUsage",
        "Quantities, allocations and tags follow the rules of a batch.",
        decimals_and_allocations_are_as_in_a_batch,
    ),
    rule("M31.1", "4 MeterUsage", "DryRun meters nothing.", a_dry_run_answers_that_it_was_valid),
    rule(
        "M34.1",
        "4 MeterUsage",
        "A ClientToken of up to 64 characters belongs to one request.",
        a_token_belongs_to_one_request,
        a_token_has_64_characters_at_most,
    ),
    rule(
        "M34.2",
        "4 MeterUsage",
        "On Bedrock AgentCore an hour has many records, one for each ClientToken.",
        on_agent_core_every_token_is_usage_of_its_own,
        on_agent_core_the_token_is_required,
    ),
    rule(
        "M31.2",
        "4 MeterUsage",
        "The other refusals: not entitled, another Region, unknown product or dimension, throttled, broken.",
        only_a_subscribed_account_meters,
        the_region_is_the_one_the_software_runs_in,
        product_code_and_dimension_have_to_exist,
        throttled_or_broken,
    ),
    rule(
        "M29.2",
        "2 Quotas",
        "MeterUsage takes 10 requests a second, RegisterUsage 5.",
        ten_records_a_second_and_five_registrations,
    ),
    rule(
        "M35.1",
        "4 RegisterUsage",
        "The answer is a JSON Web Token, PS256 over ProductCode, PublicKeyVersion, Nonce and iat.",
        the_registration_is_a_token_the_offered_key_verifies,
        a_forged_registration_does_not_verify,
    ),
    rule(
        "M35.2",
        "4 RegisterUsage",
        "The answer has a PublicKeyRotationTimestamp if the key version has expired.",
        a_rotated_key_still_signs_and_has_its_rotation_time,
    ),
    rule(
        "M35.3",
        "4 RegisterUsage",
        "PublicKeyVersion is at least 1 and exists; Nonce has at most 255 characters.",
        a_key_version_that_does_not_exist_is_refused,
        a_key_version_is_1_at_least_and_a_nonce_255_characters_at_most,
    ),
    rule(
        "M31.3",
        "4 RegisterUsage",
        "Only subscribed containers on a container platform register, in the Region they run in.",
        only_container_platforms_register,
        the_containers_region_and_product_count,
        an_account_without_a_subscription_does_not_register,
        a_registered_container_goes_on_after_the_subscription,
        a_registration_may_be_throttled_disabled_or_broken,
    ),
)
