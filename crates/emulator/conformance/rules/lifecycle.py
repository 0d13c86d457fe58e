"""The messages of AWS Marketplace to the seller, over EventBridge and SNS."""

import json
import re

from inbox import Inbox
from stage import LEGACY, LICENSED, NOON, eventually, hours
from suite import rule

INBOX = Inbox()
UPDATED = "License Updated - Manufacturer"
GONE = "License Deprovisioned - Manufacturer"
CREATED = "Purchase Agreement Created - Proposer"
ENDED = "Purchase Agreement Ended - Proposer"


def listening(s):
    """Empties the inbox and sends all further messages to it."""
    INBOX.empty()
    s.control("PUT", "target", {"url": INBOX.url})


def messages(s, count):
    """Waits for exactly `count` messages. Returns them in the order of their arrival."""
    eventually(f"{count} messages", lambda: len(INBOX.messages) >= count)
    assert len(INBOX.messages) == count, INBOX.messages
    return list(INBOX.messages)


def named(events, detail_type):
    [event] = [event for event in events if event.get("detail-type") == detail_type]
    return event


def types(events):
    return [event["detail-type"] for event in events]


def actions(got):
    return [json.loads(m["Message"])["action"] for m in got if m.get("Type") == "Notification"]


def an_event_has_eventbridges_envelope(s):
    listening(s)
    buyer = s.buys_now()
    for event in messages(s, 2):
        assert event["version"] == "0" and event["source"] == "aws.agreement-marketplace", event
        assert event["region"] == "us-east-1" and event["account"] == "222222222222", event
        assert event["time"] == "2026-11-21T12:00:00Z" and event["id"], event
        assert event["resources"] == [f"arn:aws:aws-marketplace::aws:agreement:{buyer['agreement_id']}"], event


def a_purchase_has_an_agreement_event_and_a_license_event(s):
    listening(s)
    buyer = s.buys_now()
    got = messages(s, 2)
    detail = named(got, CREATED)["detail"]
    agreement = detail["agreement"]
    assert agreement["id"] == buyer["agreement_id"] and agreement["intent"] == "NEW", agreement
    assert agreement["status"] == "ACTIVE" and agreement["endTime"].startswith("9999-"), agreement
    assert re.fullmatch(r"2026-11-21T12:00:00\.\d{3}Z", agreement["acceptanceTime"]), agreement
    assert detail["acceptor"] == {"accountId": buyer["account_id"]}, detail
    assert detail["catalog"] == "AWSMarketplace" and detail["offer"]["id"].startswith("offer-"), detail


def agreement_events_carry_no_product_and_no_license(s):
    listening(s)
    s.cancels(s.buys_now())
    for event in messages(s, 3):
        if event["detail-type"].startswith("Purchase"):
            assert "license" not in event["detail"] and "product" not in event["detail"], event


def license_events_carry_both_and_the_agreements_id(s):
    listening(s)
    buyer = s.buys_now()
    detail = named(messages(s, 2), UPDATED)["detail"]
    assert detail["license"] == {"arn": buyer["license_arn"]}, detail
    assert detail["product"]["code"] == LICENSED and detail["product"]["id"].startswith("prod-"), detail
    assert detail["agreement"] == {"id": buyer["agreement_id"]}, detail


def an_end_carries_no_offer(s):
    listening(s)
    buyer = s.buys_now()
    s.cancels(buyer)
    detail = named(messages(s, 3), ENDED)["detail"]
    assert detail["agreement"] == {"id": buyer["agreement_id"], "status": "CANCELLED"}, detail
    assert "offer" not in detail, detail


def the_license_goes_31_seconds_after_the_agreement(s):
    listening(s)
    s.cancels(s.buys_now())
    messages(s, 3)
    s.advance("30s")
    messages(s, 3)
    s.advance("1s")
    gone = named(messages(s, 4), GONE)
    assert gone["time"] == "2026-11-21T12:00:31Z" and "license" in gone["detail"], gone


def both_roles_of_the_seller_get_events(s):
    s.settings(lifecycle_both_parts=True)
    listening(s)
    s.buys_now()
    assert sorted(types(messages(s, 3))) == [UPDATED, CREATED.replace("Proposer", "Manufacturer"), CREATED]


def an_amendment_has_its_intent(s):
    buyer = s.buys()
    skip_purchase_messages(s, buyer)
    s.does(buyer, "amend")
    got = messages(s, 2)
    assert named(got, "Purchase Agreement Amended - Proposer")["detail"]["agreement"]["intent"] == "AMEND"
    assert UPDATED in types(got)


def skip_purchase_messages(s, buyer):
    """Removes the messages of the purchase, which the case does not check. A message of an earlier case may come first."""
    listening(s)

    def have_come():
        of_purchase = [m for m in list(INBOX.messages) if m.get("resources", [""])[0].endswith(buyer["agreement_id"])]
        return {CREATED, UPDATED} <= set(types(of_purchase))

    eventually("the purchase's messages", have_come)
    INBOX.empty()


def a_renewal_names_the_previous_agreement(s):
    buyer = s.buys()
    skip_purchase_messages(s, buyer)
    renewed = s.does(buyer, "renew")
    got = messages(s, 3)
    agreement = named(got, CREATED)["detail"]["agreement"]
    assert agreement["intent"] == "RENEW" and agreement["id"] == renewed["agreement_id"], agreement
    assert agreement["previousAgreementId"] == buyer["agreement_id"], agreement
    assert renewed["agreement_id"] != buyer["agreement_id"]
    assert named(got, ENDED)["detail"]["agreement"] == {"id": buyer["agreement_id"], "status": "RENEWED"}


def license_arns_may_lack_their_prefix(s):
    s.settings(lifecycle_bare_license_arns=True)
    listening(s)
    buyer = s.buys_now()
    arn = named(messages(s, 2), UPDATED)["detail"]["license"]["arn"]
    assert f"arn:{arn}" == buyer["license_arn"], arn


def events_come_late_and_out_of_order(s):
    s.settings(lifecycle_disorder_s=600)
    listening(s)
    for _ in range(20):
        s.buys_now()
    s.advance("10m")
    got = messages(s, 40)
    first = {event["detail"]["agreement"]["id"]: event["detail-type"] for event in reversed(got)}
    assert set(first.values()) == {CREATED, UPDATED}, "either may come first"


def events_come_twice(s):
    s.settings(lifecycle_repeat_percent=100)
    listening(s)
    s.buys_now()
    got = messages(s, 4)
    assert sorted(types(got)) == [UPDATED, UPDATED, CREATED, CREATED]
    assert len({event["id"] for event in got}) == 2, "a repeated event has the id of the first"


def an_event_that_is_refused_is_sent_again(s):
    INBOX.refuse(2)
    listening(s)
    s.buys_now()
    assert sorted(types(messages(s, 2))) == [UPDATED, CREATED]


# SNS.


def a_legacy_subscription_succeeds(s):
    listening(s)
    buyer = s.buys_now(LEGACY)
    got = messages(s, 3)
    [notice] = [m for m in got if m.get("Type") == "Notification"]
    assert notice["TopicArn"].endswith(f":aws-mp-subscription-notification-{LEGACY}"), notice
    assert notice["TopicArn"].startswith("arn:aws:sns:us-east-1:"), notice
    body = json.loads(notice["Message"])
    assert body["action"] == "subscribe-success" and body["product-code"] == LEGACY, body
    assert body["customer-identifier"] == buyer["customer_identifier"], body
    assert body["isFreeTrialTermPresent"] == "false" and body["offer-identifier"], body


def a_free_trial_is_a_string(s):
    listening(s)
    s.buys_now(LEGACY, free_trial=True)
    [notice] = [m for m in messages(s, 3) if m.get("Type") == "Notification"]
    assert json.loads(notice["Message"])["isFreeTrialTermPresent"] == "true", notice


def a_cancellation_is_pending_for_an_hour(s):
    buyer = s.buys(LEGACY)
    listening(s)
    messages(s, 3)
    s.cancels(buyer)
    assert actions(messages(s, 5))[1:] == ["unsubscribe-pending"]
    s.advance("59m")
    assert actions(messages(s, 6))[2:] == []
    s.advance("1m")
    assert actions(messages(s, 7))[2:] == ["unsubscribe-success"]


def a_buyer_who_comes_back_within_the_hour_stays_subscribed(s):
    buyer = s.buys(LEGACY)
    s.cancels(buyer)
    s.advance("30m")
    s.buys_now(LEGACY, account_id=buyer["account_id"])
    s.advance("2h")
    listening(s)
    notices = actions(messages(s, 9))
    assert notices == ["subscribe-success", "unsubscribe-pending", "subscribe-success"], notices


def entitlements_have_a_topic_of_their_own(s):
    s.product("contract1", identity="customer", pricing="contract")
    listening(s)
    s.buys_now("contract1", entitlements=[{"dimension": "gb", "value": 5}])
    [notice] = [m for m in messages(s, 4) if "entitlement" in m.get("TopicArn", "")]
    assert notice["TopicArn"].endswith(":aws-mp-entitlement-notification-contract1"), notice
    body = json.loads(notice["Message"])
    assert body["action"] == "entitlement-updated" and "isFreeTrialTermPresent" not in body, body


def todays_products_have_no_topic(s):
    listening(s)
    s.cancels(s.buys_now())
    s.advance("2h")
    assert actions(messages(s, 4)) == []


# The final hour.


def usage_goes_on_for_an_hour_after_the_license(s):
    buyer = s.buys()
    s.cancels(buyer)
    s.clock("2026-11-21T13:00:30Z")
    assert s.statuses(s.record(buyer, Timestamp=NOON)) == ["Success"]
    s.clock("2026-11-21T13:00:31Z")
    assert s.statuses(s.record(buyer, Timestamp=hours(-1))) == ["CustomerNotSubscribed"]
    assert s.billed() == ["1"]


def the_unfinished_hour_is_metered_up_to_the_end(s):
    buyer = s.buys()
    s.advance("20m")
    s.cancels(buyer)
    s.advance("10m")
    s.refuses("InvalidLicenseException", s.record(buyer, Timestamp=NOON.replace(minute=30)))
    assert s.statuses(s.record(buyer, Timestamp=NOON.replace(minute=20))) == ["Success"]


RULES = (
    rule(
        "M41.1",
        "6 EventBridge",
        "Events come from aws.agreement-marketplace in us-east-1, in EventBridge's envelope.",
        an_event_has_eventbridges_envelope,
    ),
    rule(
        "M42.1",
        "6 EventBridge",
        "Agreement events contain acceptor, proposer, offer and times, but no product and no license.",
        a_purchase_has_an_agreement_event_and_a_license_event,
        agreement_events_carry_no_product_and_no_license,
        an_end_carries_no_offer,
    ),
    rule(
        "M42.2",
        "6 EventBridge",
        "License events contain product, license and the agreement's id, which links them to agreement events.",
        license_events_carry_both_and_the_agreements_id,
    ),
    rule(
        "M43.1",
        "6 EventBridge",
        "License Deprovisioned follows Purchase Agreement Ended, 31 seconds later in a real trace.",
        the_license_goes_31_seconds_after_the_agreement,
    ),
    rule(
        "M41.2",
        "6 EventBridge",
        "The detail-type ends in Proposer or in Manufacturer, according to the seller's role.",
        both_roles_of_the_seller_get_events,
    ),
    rule(
        "M43.2",
        "6 EventBridge",
        "An agreement's intent is NEW, AMEND or RENEW; a renewal is a new agreement that names the old one.",
        an_amendment_has_its_intent,
        a_renewal_names_the_previous_agreement,
    ),
    rule(
        "M42.3",
        "6 EventBridge",
        "Samples print license ARNs without the leading arn:.",
        license_arns_may_lack_their_prefix,
    ),
    rule(
        "M41.3",
        "6 EventBridge",
        "Delivery is at least once and unordered.",
        events_come_late_and_out_of_order,
        events_come_twice,
        an_event_that_is_refused_is_sent_again,
    ),
    rule(
        "M46.1",
        "6 SNS",
        "Legacy listings have a subscription topic whose messages name customer, product and offer.",
        a_legacy_subscription_succeeds,
        a_free_trial_is_a_string,
        todays_products_have_no_topic,
    ),
    rule(
        "M46.2",
        "6 SNS",
        "unsubscribe-success follows unsubscribe-pending after about an hour, unless the buyer comes back.",
        a_cancellation_is_pending_for_an_hour,
        a_buyer_who_comes_back_within_the_hour_stays_subscribed,
    ),
    rule(
        "M46.3",
        "6 SNS",
        "Contracts have an entitlement topic: entitlement-updated, then GetEntitlements is called.",
        entitlements_have_a_topic_of_their_own,
    ),
    rule(
        "M45",
        "6 The final hour",
        "Usage up to the end is accepted for one more hour, then answers CustomerNotSubscribed.",
        usage_goes_on_for_an_hour_after_the_license,
        the_unfinished_hour_is_metered_up_to_the_end,
    ),
)
