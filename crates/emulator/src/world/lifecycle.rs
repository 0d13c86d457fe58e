//! The messages of AWS Marketplace to the seller: EventBridge events and SNS messages, in the forms
//! that sellers receive.
//!
//! Facts: M41, M42, M43, M45, M46, M47 (docs/marketplace-rules.md).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, Unit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::licenses::{Parts, seconds_after};
use super::{Identity, World};
use crate::ids::{self, Kind};
use crate::limits::{MESSAGES_KEPT_MAX, UNSUBSCRIBE_DELAY_S};

/// AWS Marketplace's own account, which owns the SNS topics of legacy listings.
const TOPICS_ACCOUNT: &str = "287250355862";
/// The only Region in which lifecycle events are published.
const EVENTS_REGION: &str = "us-east-1";
/// The end of pay-as-you-go agreements, in the year 9999.
const NO_END: &str = "9999-01-01T00:00:00Z";

/// A message to the seller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LifecycleMessage {
    /// An EventBridge event with its envelope.
    EventBridge(Value),
    /// A message of a legacy listing's SNS topic.
    Sns {
        /// `arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification-<PRODUCTCODE>`.
        topic_arn: String,
        /// The body of the message, as JSON.
        message: String,
        /// The id that SNS gave the message.
        message_id: String,
        /// When the message was published.
        timestamp: Timestamp,
    },
}

/// A waiting message in a saved world.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedMessage {
    due: Timestamp,
    number: u64,
    #[serde(flatten)]
    waiting: Waiting,
}

/// Messages that are waiting until they are due and taken.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    waiting: BTreeMap<(Timestamp, u64), Waiting>,
    made: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    message: LifecycleMessage,
    /// The customer whose new purchase cancels this message. `None` if nothing cancels it.
    revocable_by: Option<usize>,
}

impl Messages {
    fn push(&mut self, due: Timestamp, waiting: Waiting) {
        self.made += 1;
        self.waiting.insert((due, self.made), waiting);
        if self.waiting.len() > MESSAGES_KEPT_MAX {
            self.waiting.pop_first();
        }
    }

    pub(crate) fn save(&self) -> (Vec<SavedMessage>, u64) {
        let waiting = self.waiting.iter();
        let saved = waiting.map(|((due, number), waiting)| SavedMessage {
            due: *due,
            number: *number,
            waiting: waiting.clone(),
        });
        (saved.collect(), self.made)
    }

    pub(crate) fn load(saved: Vec<SavedMessage>, made: u64) -> Messages {
        let waiting = saved.into_iter();
        Messages {
            waiting: waiting.map(|m| ((m.due, m.number), m.waiting)).collect(),
            made,
        }
    }

    /// Removes and returns all messages that are due by now, in the order of their due times.
    pub(crate) fn take(&mut self, now: Timestamp) -> Vec<LifecycleMessage> {
        let mut taken = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > now {
                break;
            }
            taken.push(entry.remove().message);
        }
        taken
    }

    /// Puts back a message that was taken but not delivered. A new purchase does not revoke it,
    /// because its sending has already begun.
    pub(crate) fn put_back(&mut self, due: Timestamp, message: LifecycleMessage) {
        self.push(
            due,
            Waiting {
                message,
                revocable_by: None,
            },
        );
    }

    fn revoke(&mut self, customer: usize) {
        self.waiting
            .retain(|_, waiting| waiting.revocable_by != Some(customer));
    }
}

impl World {
    /// Emits `Purchase Agreement Created`, `License Updated` and, for legacy listings,
    /// `subscribe-success`.
    pub(crate) fn emit_created(&mut self, agreement: usize, now: Timestamp) {
        let Some(parts) = self.parts(agreement) else {
            return;
        };
        let customer = parts.license.customer;
        let updated = parts.license.updated;
        let entitled = !parts.agreement.entitlements.is_empty();
        let sns = subscription_notice(parts, "subscribe-success");
        // A buyer who subscribes again within the hour gets no unsubscribe-success.
        self.messages.revoke(customer);
        self.emit_agreement(agreement, "Created", now);
        self.emit_license(agreement, "License Updated - Manufacturer", updated);
        self.emit_sns(sns, updated, None);
        if entitled {
            self.emit_entitlement_updated(agreement, updated);
        }
    }

    /// Emits `Purchase Agreement Ended`, `License Deprovisioned` and, for legacy listings,
    /// `unsubscribe-pending` and `unsubscribe-success`.
    pub(crate) fn emit_cancelled(
        &mut self,
        agreement: usize,
        now: Timestamp,
        deprovisioned: Timestamp,
    ) {
        let Some(parts) = self.parts(agreement) else {
            return;
        };
        let customer = parts.license.customer;
        let pending = subscription_notice(parts, "unsubscribe-pending");
        let success = subscription_notice(parts, "unsubscribe-success");
        let hour_later = now
            .saturating_add(SignedDuration::from_secs(UNSUBSCRIBE_DELAY_S))
            .unwrap_or(Timestamp::MAX);
        self.emit_ended(agreement, "CANCELLED", now);
        self.emit_sns(pending, now, None);
        self.emit_license(
            agreement,
            "License Deprovisioned - Manufacturer",
            deprovisioned,
        );
        self.emit_sns(success, hour_later, Some(customer));
    }

    /// Emits a purchase agreement event with the offer and the agreement's times.
    pub(crate) fn emit_agreement(&mut self, agreement: usize, change: &str, due: Timestamp) {
        let Some(parts) = self.parts(agreement) else {
            return;
        };
        let state = parts.agreement;
        let mut described = json!({
            "id": state.agreement_id,
            "intent": match (change, state.renews) {
                ("Amended", _) => "AMEND",
                (_, Some(_)) => "RENEW",
                _ => "NEW",
            },
            "status": "ACTIVE",
            "acceptanceTime": millis(state.accepted),
            "startTime": millis(state.start),
            "endTime": NO_END,
        });
        if let Some(previous) = state.renews.and_then(|p| self.agreements.get(p)) {
            described["previousAgreementId"] = json!(previous.agreement_id);
        }
        let detail = json!({
            "requestId": ids::uuid(self.seed, Kind::Request, self.messages.made ^ (1 << 63)),
            "catalog": "AWSMarketplace",
            "offer": {"id": state.offer_id},
            "acceptor": {"accountId": parts.customer.account_id},
            "proposer": {"accountId": self.settings.seller_account_id},
            "agreement": described,
            "resaleAuthorization": {"id": null},
        });
        self.emit_for_roles(agreement, change, &detail, due);
    }

    /// Emits `Purchase Agreement Ended`, which contains neither the offer nor the times.
    pub(crate) fn emit_ended(&mut self, agreement: usize, status: &str, due: Timestamp) {
        let Some(parts) = self.parts(agreement) else {
            return;
        };
        let detail = json!({
            "catalog": "AWSMarketplace",
            "acceptor": {"accountId": parts.customer.account_id},
            "proposer": {"accountId": self.settings.seller_account_id},
            "agreement": {"id": parts.agreement.agreement_id, "status": status},
            "resaleAuthorization": {"id": null},
        });
        self.emit_for_roles(agreement, "Ended", &detail, due);
    }

    /// Emits an agreement event for one or both of the seller's roles in the agreement.
    fn emit_for_roles(&mut self, agreement: usize, change: &str, detail: &Value, due: Timestamp) {
        let roles: &[&str] = match self.settings.lifecycle_both_parts {
            true => &["Proposer", "Manufacturer"],
            false => &["Proposer"],
        };
        for role in roles {
            let detail_type = format!("Purchase Agreement {change} - {role}");
            self.emit_event(agreement, &detail_type, detail.clone(), due);
        }
    }

    /// Emits a license event. It contains the product and the license, but only the id of the
    /// agreement.
    pub(crate) fn emit_license(&mut self, agreement: usize, detail_type: &str, due: Timestamp) {
        let Some(parts) = self.parts(agreement) else {
            return;
        };
        let arn = parts.license.arn.as_str();
        let arn = match self.settings.lifecycle_bare_license_arns {
            true => arn.trim_start_matches("arn:"),
            false => arn,
        };
        let detail = json!({
            "requestId": ids::uuid(self.seed, Kind::Request, self.messages.made ^ (1 << 63)),
            "catalog": "AWSMarketplace",
            "offer": {"id": parts.agreement.offer_id},
            "license": {"arn": arn},
            "product": {"id": parts.product.product_id, "code": parts.product.listing.code},
            "acceptor": {"accountId": parts.customer.account_id},
            "proposer": {"accountId": self.settings.seller_account_id},
            "agreement": {"id": parts.agreement.agreement_id},
        });
        self.emit_event(agreement, detail_type, detail, due);
    }

    fn emit_event(&mut self, agreement: usize, detail_type: &str, detail: Value, due: Timestamp) {
        let id = ids::uuid(self.seed, Kind::Message, self.messages.made);
        let agreement_id = self
            .agreements
            .get(agreement)
            .map_or("", |a| a.agreement_id.as_str());
        let event = json!({
            "version": "0",
            "id": id,
            "source": "aws.agreement-marketplace",
            "detail-type": detail_type,
            "time": seconds(due),
            "region": EVENTS_REGION,
            "account": self.settings.seller_account_id,
            "resources": [format!("arn:aws:aws-marketplace::aws:agreement:{agreement_id}")],
            "detail": detail,
        });
        self.emit(due, LifecycleMessage::EventBridge(event), None);
    }

    /// Queues a message. The settings decide whether it is late and whether it is sent twice.
    fn emit(&mut self, due: Timestamp, message: LifecycleMessage, revocable_by: Option<usize>) {
        let disorder_s = u64::from(self.settings.lifecycle_disorder_s);
        let draw = ids::mix(ids::mix(self.seed) ^ self.messages.made);
        let late = |draw: u64| {
            let late_s = u32::try_from(draw % (disorder_s + 1)).unwrap_or(0);
            seconds_after(due, late_s)
        };
        let waiting = Waiting {
            message,
            revocable_by,
        };
        let repeated = ids::mix(draw) % 100 < u64::from(self.settings.lifecycle_repeat_percent);
        if repeated {
            self.messages
                .push(late(ids::mix(draw ^ 1)), waiting.clone());
        }
        self.messages.push(late(draw), waiting);
    }

    fn emit_sns(
        &mut self,
        notice: Option<(String, Value)>,
        due: Timestamp,
        revocable_by: Option<usize>,
    ) {
        let Some((topic_arn, body)) = notice else {
            return;
        };
        let message = LifecycleMessage::Sns {
            topic_arn,
            message: body.to_string(),
            message_id: ids::uuid(self.seed, Kind::Message, self.messages.made),
            timestamp: due,
        };
        self.emit(due, message, revocable_by);
    }

    /// Emits `entitlement-updated` on the other topic of a legacy contract listing.
    pub(crate) fn emit_entitlement_updated(&mut self, agreement: usize, due: Timestamp) {
        let notice = self
            .parts(agreement)
            .and_then(|parts| notice(parts, "entitlement", "entitlement-updated"));
        self.emit_sns(notice, due, None);
    }

    /// Emits `License Updated` after a change of the agreement. Returns the event's due time.
    pub(crate) fn emit_license_updated(&mut self, agreement: usize, now: Timestamp) -> Timestamp {
        let due = seconds_after(now, self.settings.license_updated_delay_s);
        self.emit_license(agreement, "License Updated - Manufacturer", due);
        due
    }
}

fn subscription_notice(parts: Parts<'_>, action: &str) -> Option<(String, Value)> {
    notice(parts, "subscription", action)
}

/// The topic and the body of an SNS message. `None` if the product is not a legacy listing, because
/// only legacy listings have topics.
fn notice(parts: Parts<'_>, topic: &str, action: &str) -> Option<(String, Value)> {
    let listing = &parts.product.listing;
    if listing.identity != Identity::Customer {
        return None;
    }
    let topic_arn = format!(
        "arn:aws:sns:{EVENTS_REGION}:{TOPICS_ACCOUNT}:aws-mp-{topic}-notification-{}",
        listing.code
    );
    let mut body = json!({
        "action": action,
        "customer-identifier": parts.customer.identifier,
        "product-code": listing.code,
    });
    if topic == "subscription" {
        body["offer-identifier"] = json!(parts.agreement.offer_id);
        body["isFreeTrialTermPresent"] = json!(parts.agreement.free_trial.to_string());
    }
    Some((topic_arn, body))
}

/// A time without a fraction, as in the envelope: `2026-08-20T14:23:22Z`.
fn seconds(moment: Timestamp) -> String {
    Timestamp::from_second(moment.as_second())
        .unwrap_or(moment)
        .to_string()
}

/// A time with milliseconds, as inside the event: `2026-08-20T14:23:11.013Z`.
fn millis(moment: Timestamp) -> String {
    format!("{:.3}", moment.round(Unit::Millisecond).unwrap_or(moment))
}
