//! EventBridge events of `aws.agreement-marketplace`, which AWS publishes in us-east-1 only.
//!
//! The detail-type ends with `- Proposer` or `- Manufacturer`, so only its beginning is compared.

use jiff::Timestamp;
use marketplace::LicenseArn;
use marketplace::lifecycle::Sign;
use serde_json::Value;

use crate::content::{Content, Message, Reading};
use crate::field::{Fields, Malformed};

/// The EventBridge source of agreement and license events.
pub const SOURCE: &str = "aws.agreement-marketplace";

/// Reads an event in its EventBridge envelope. `now` is the time at which it is handled.
pub fn read(event: &Value, now: Timestamp) -> Result<Reading, Malformed> {
    let mut fields = Fields::new(event, event.get("id").and_then(Value::as_str));
    let source = fields.text_opt("/source")?;
    let kind = fields.text("/detail-type").map_err(|mut malformed| {
        malformed.problem.push_str(
            ": the function takes EventBridge events, and SNS messages in an SQS batch (Records)",
        );
        malformed
    })?;
    if source.is_some_and(|source| source != SOURCE) {
        return Ok(Reading::Ignored {
            what: kind.to_owned(),
        });
    }
    let at: Timestamp = fields.parsed("/time")?;
    fields.at = Some(at);
    fields.check_time("/time", at, now)?;
    let content = if kind.starts_with("License Updated") {
        license(&fields, Sign::Activated)?
    } else if kind.starts_with("License Deprovisioned") {
        license(&fields, Sign::Deprovisioned)?
    } else if kind.starts_with("Purchase Agreement Ended") {
        agreement(&fields, Some(Sign::EndAnnounced))?
    } else if kind.starts_with("Purchase Agreement Created")
        || kind.starts_with("Purchase Agreement Amended")
    {
        // These events do not start metering, because an agreement may be accepted before its
        // license is granted. License Updated starts metering.
        agreement(&fields, None)?
    } else {
        return Ok(Reading::Ignored {
            what: kind.to_owned(),
        });
    };
    Ok(Reading::Message(Message {
        id: fields.id,
        at,
        kind: kind.to_owned(),
        content,
    }))
}

fn license(fields: &Fields<'_>, sign: Sign) -> Result<Content, Malformed> {
    let arn = "/detail/license/arn";
    let license = fields
        .text_opt(arn)?
        .map(|text| fields.read(arn, text, LicenseArn::from_message))
        .transpose()?;
    Ok(Content::License {
        sign,
        product: fields.parsed("/detail/product/code")?,
        license,
        account: fields.parsed_opt("/detail/acceptor/accountId")?,
        agreement: fields.parsed_opt("/detail/agreement/id")?,
    })
}

fn agreement(fields: &Fields<'_>, sign: Option<Sign>) -> Result<Content, Malformed> {
    Ok(Content::Agreement {
        sign,
        agreement: fields.parsed("/detail/agreement/id")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_at(time: &str) -> Result<Reading, Malformed> {
        let event = json!({
            "id": "event-1",
            "source": SOURCE,
            "detail-type": "Purchase Agreement Ended - Proposer",
            "time": time,
            "detail": {"agreement": {"id": "agmt-1"}},
        });
        read(&event, "2026-11-21T03:00:00Z".parse().unwrap())
    }

    #[test]
    fn an_event_may_be_dated_from_2012_to_a_day_ahead_of_the_clock() {
        for time in [
            "2012-01-01T00:00:00Z",
            "2026-11-01T00:00:00Z",
            "2026-11-21T03:00:20Z",
            "2026-11-22T03:00:00Z",
        ] {
            let Ok(Reading::Message(message)) = read_at(time) else {
                panic!("{time}: {:?}", read_at(time));
            };
            assert_eq!(message.at.to_string(), time);
        }
        for time in [
            "1970-01-01T00:00:00Z",
            "2011-12-31T23:59:59Z",
            "2026-11-22T03:00:01Z",
            "2126-11-21T03:00:00Z",
            "9999-12-30T00:00:00Z",
        ] {
            let malformed = read_at(time).unwrap_err();
            assert_eq!(
                malformed.problem,
                format!(
                    "/time is {time}, but an event's time must not be before 2012-01-01T00:00:00Z, or more than 24 hours later than the time at which the event is handled, 2026-11-21T03:00:00Z; find out when it happened, correct the time and send the event again"
                )
            );
            assert_eq!(malformed.event_id, "event-1");
            assert_eq!(malformed.at, Some(time.parse().unwrap()));
        }
    }
}
