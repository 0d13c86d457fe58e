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

/// Reads an event in its EventBridge envelope.
pub fn read(event: &Value) -> Result<Reading, Malformed> {
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
