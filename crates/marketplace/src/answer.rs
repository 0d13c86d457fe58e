//! The meaning of a BatchMeterUsage answer for each record that was sent.
//!
//! HTTP status 200 does not mean that a record is billed: results come in any order, a record may
//! be missing, and a status may be unknown. Records are matched by identity, dimension and hour,
//! never by position.
//!
//! Facts: M16, M17, M18, M19 (docs/marketplace-rules.md).

use jiff::{SignedDuration, Timestamp};

use crate::error_table::{self, About, ErrorRow, Retry, UNANSWERED, UNPROCESSED};
use crate::hour::UsageHour;
use crate::record::{MeteringRecord, State};
use crate::subscription::Subscription;

/// A UsageRecord as the answer repeats it. Every member is optional in the API model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnsweredRecord {
    /// `LicenseArn`, for a record by license.
    pub license_arn: Option<String>,
    /// `CustomerIdentifier`, for a record of a legacy listing.
    pub customer_identifier: Option<String>,
    /// `CustomerAWSAccountId`, for a record by account or by license.
    pub account: Option<String>,
    /// `Dimension`, the API name of the dimension.
    pub dimension: Option<String>,
    /// `Timestamp`, which must lie in the record's hour.
    pub stamp: Option<Timestamp>,
}

/// One element of `Results`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The record that the result belongs to.
    pub record: AnsweredRecord,
    /// `Status`: `Success`, `CustomerNotSubscribed`, `DuplicateRecord`, or a newer status.
    pub status: Option<String>,
    /// `MeteringRecordId`, AWS's id of the metering record.
    pub metering_record_id: Option<String>,
}

/// The result of an invocation for one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Success: the record is billed.
    Accepted {
        /// AWS's id of the metering record, if the answer has one.
        metering_record_id: Option<String>,
    },
    /// CustomerNotSubscribed, which may become Success later.
    NotSubscribed,
    /// DuplicateRecord: the slot holds another quantity, or this record's own earlier success.
    Duplicate,
    /// The record is in `UnprocessedRecords`. It is sent again.
    Unprocessed,
    /// The record is in neither list, or has no status. It is sent again.
    Unanswered,
    /// A status that the error table does not have.
    UnknownStatus(String),
    /// The request was refused, and this record alone caused that.
    Culprit {
        /// The error code of the refusal.
        code: String,
    },
    /// Similar records were refused, and this one was not sent alone.
    Suspected {
        /// The error code of the similar records.
        code: String,
    },
    /// The request failed for a reason outside the record.
    RequestFailed {
        /// The error code of the failure.
        code: String,
    },
    /// The record was not sent, because the requests of its product and identity kind fail.
    GroupFailing {
        /// The error code of those requests.
        code: String,
    },
}

impl Verdict {
    /// The code that is stored with the outcome.
    pub fn code(&self) -> &str {
        match self {
            Self::Accepted { .. } => "Success",
            Self::NotSubscribed => "CustomerNotSubscribed",
            Self::Duplicate => "DuplicateRecord",
            Self::Unprocessed => UNPROCESSED,
            Self::Unanswered => UNANSWERED,
            Self::UnknownStatus(status) => status,
            Self::Culprit { code }
            | Self::Suspected { code }
            | Self::RequestFailed { code }
            | Self::GroupFailing { code } => code,
        }
    }
}

/// Returns one verdict for each record of `sent`, in the same order.
pub fn interpret(
    sent: &[&MeteringRecord],
    results: &[Answer],
    unprocessed: &[AnsweredRecord],
) -> Vec<Verdict> {
    sent.iter()
        .map(|record| {
            let answers: Vec<&Answer> = results
                .iter()
                .filter(|a| is_same_record(&a.record, record))
                .collect();
            // A record that is named twice is billed if one of the results is a success.
            let success = answers
                .iter()
                .find(|a| a.status.as_deref() == Some("Success"));
            match success.or_else(|| answers.first()) {
                Some(answer) => verdict_of(answer),
                None if unprocessed.iter().any(|u| is_same_record(u, record)) => {
                    Verdict::Unprocessed
                }
                None => Verdict::Unanswered,
            }
        })
        .collect()
}

fn verdict_of(answer: &Answer) -> Verdict {
    match answer.status.as_deref() {
        Some("Success") => Verdict::Accepted {
            metering_record_id: answer.metering_record_id.clone(),
        },
        Some("CustomerNotSubscribed") => Verdict::NotSubscribed,
        Some("DuplicateRecord") => Verdict::Duplicate,
        Some(other) => Verdict::UnknownStatus(other.to_owned()),
        None => Verdict::Unanswered,
    }
}

/// Whether a record of the answer is this record: it has the same buyer, dimension and hour.
fn is_same_record(answered: &AnsweredRecord, record: &MeteringRecord) -> bool {
    let buyer = match &record.slot.subscription {
        Subscription::License(arn) => answered.license_arn.as_deref() == Some(arn.as_str()),
        Subscription::Customer(_, customer) => {
            answered.customer_identifier.as_deref() == Some(customer.as_str())
        }
        Subscription::Account(_, account) => answered.account.as_deref() == Some(account.as_str()),
    };
    buyer
        && answered.dimension.as_deref() == Some(record.slot.dimension.as_str())
        && answered.stamp.map(UsageHour::of) == Some(record.slot.hour)
}

/// The change of a record that follows from a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The record's new state.
    pub state: State,
    /// How long to wait until the record is due again; `None` when nothing is left to do.
    pub retry_after: Option<SignedDuration>,
}

/// The state and the waiting time that follow from a verdict, for a record with `attempts` earlier
/// attempts that did not end it.
pub fn next(verdict: &Verdict, state: State, attempts: u32) -> Next {
    let row = row_of(verdict);
    let state = match verdict {
        Verdict::Accepted { .. } => State::Accepted,
        Verdict::Duplicate => State::Disputed,
        Verdict::Culprit { .. } if row.about == About::Record => State::Refused,
        _ => state,
    };
    let retry = match verdict {
        // Other records of the group were sent, and they are tried again soon. Their success shows
        // that requests of the group work again.
        Verdict::GroupFailing { .. } => Retry::Slowly,
        _ => row.retry,
    };
    Next {
        state,
        retry_after: retry.after(attempts),
    }
}

/// The verdict's row in the error table. An error is about a record only if that record was found
/// to be the cause.
fn row_of(verdict: &Verdict) -> &'static ErrorRow {
    match verdict {
        Verdict::Culprit { code } | Verdict::Suspected { code } => error_table::of_error(code),
        Verdict::RequestFailed { code } | Verdict::GroupFailing { code } => {
            match error_table::of_error(code) {
                row if row.about == About::Request => row,
                _ => error_table::of_error(error_table::ANY_OTHER_CODE),
            }
        }
        Verdict::UnknownStatus(_) => error_table::of_status(error_table::ANY_OTHER_STATUS),
        Verdict::Accepted { .. }
        | Verdict::NotSubscribed
        | Verdict::Duplicate
        | Verdict::Unprocessed
        | Verdict::Unanswered => error_table::of_status(verdict.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Quantity;
    use crate::slot::Slot;

    fn record(subscription: &str, dimension: &str, hour: &str) -> MeteringRecord {
        let hour: UsageHour = hour.parse().unwrap();
        MeteringRecord::new(
            Slot {
                subscription: subscription.parse().unwrap(),
                hour,
                dimension: dimension.parse().unwrap(),
            },
            "code".parse().unwrap(),
            Quantity::MAX,
            hour.end(),
            hour.end(),
        )
    }

    fn echo(record: &MeteringRecord) -> AnsweredRecord {
        let (mut license_arn, mut customer_identifier, mut account) = (None, None, None);
        match &record.slot.subscription {
            Subscription::License(arn) => license_arn = Some(arn.to_string()),
            Subscription::Customer(_, customer) => customer_identifier = Some(customer.to_string()),
            Subscription::Account(_, id) => account = Some(id.to_string()),
        }
        AnsweredRecord {
            license_arn,
            customer_identifier,
            account,
            dimension: Some(record.slot.dimension.to_string()),
            stamp: Some(record.stamp),
        }
    }

    fn answer(record: &MeteringRecord, status: &str) -> Answer {
        Answer {
            record: echo(record),
            status: Some(status.to_owned()),
            metering_record_id: Some("id".to_owned()),
        }
    }

    #[test]
    fn records_are_matched_by_their_content_and_not_by_their_position() {
        let a = record("legacy|code|a", "gb", "2026-11-21T02");
        let b = record("legacy|code|a", "gb", "2026-11-21T03");
        let c = record("account|code|1", "gb", "2026-11-21T02");
        let d = record("legacy|code|a", "gb#x", "2026-11-21T02");
        let e = record(
            "arn:aws:license-manager::1:license:l-1",
            "gb",
            "2026-11-21T02",
        );
        let results = [
            answer(&c, "CustomerNotSubscribed"),
            answer(&b, "DuplicateRecord"),
            answer(&e, "Postponed"),
            answer(&a, "Success"),
            Answer::default(),
        ];
        let verdicts = interpret(&[&a, &b, &c, &d, &e], &results, &[echo(&d), echo(&a)]);
        let codes: Vec<_> = verdicts.iter().map(Verdict::code).collect();
        assert_eq!(
            codes,
            [
                "Success",
                "DuplicateRecord",
                "CustomerNotSubscribed",
                "Unprocessed",
                "Postponed"
            ]
        );
        assert_eq!(interpret(&[&d], &results, &[]), [Verdict::Unanswered]);
    }

    #[test]
    fn a_result_without_a_status_ends_nothing() {
        let a = record("legacy|code|a", "gb", "2026-11-21T02");
        let silent = Answer {
            record: echo(&a),
            ..Answer::default()
        };
        assert_eq!(
            interpret(&[&a], std::slice::from_ref(&silent), &[]),
            [Verdict::Unanswered]
        );
        let both = [silent, answer(&a, "Success")];
        assert!(matches!(
            interpret(&[&a], &both, &[])[0],
            Verdict::Accepted { .. }
        ));
    }

    #[test]
    fn only_a_verdict_on_the_record_itself_ends_it() {
        let code = |code: &str| code.to_owned();
        let to = |verdict: Verdict| next(&verdict, State::Sealed, 0).state;
        assert_eq!(
            to(Verdict::Accepted {
                metering_record_id: None
            }),
            State::Accepted
        );
        assert_eq!(to(Verdict::Duplicate), State::Disputed);
        assert_eq!(
            to(Verdict::Culprit {
                code: code("InvalidTagException")
            }),
            State::Refused
        );
        for verdict in [
            Verdict::NotSubscribed,
            Verdict::Unprocessed,
            Verdict::Unanswered,
            Verdict::UnknownStatus(code("Postponed")),
            Verdict::Culprit {
                code: code("InvalidLicenseException"),
            },
            Verdict::Culprit {
                code: code("AccessDeniedException"),
            },
            Verdict::RequestFailed {
                code: code("InvalidTagException"),
            },
            Verdict::Suspected {
                code: code("InvalidUsageDimensionException"),
            },
        ] {
            let next = next(&verdict, State::Sealed, 3);
            assert_eq!(next.state, State::Sealed, "{verdict:?}");
            assert!(next.retry_after.is_some(), "{verdict:?}");
        }
    }

    #[test]
    fn a_failed_request_is_tried_again_as_its_code_says_unless_that_is_about_a_record() {
        let failed = |code: &str| {
            let code = code.to_owned();
            next(&Verdict::RequestFailed { code }, State::Sealed, 0).retry_after
        };
        let row = |code: &str| error_table::of_error(code).retry.after(0);
        let any_other = row(error_table::ANY_OTHER_CODE);
        assert_eq!(failed("ThrottlingException"), row("ThrottlingException"));
        assert_eq!(
            failed("AccessDeniedException"),
            row("AccessDeniedException")
        );
        assert_ne!(row("InvalidTagException"), any_other);
        assert_eq!(failed("InvalidTagException"), any_other);
    }
}
