use super::*;
use crate::audit::event::{RecordResult, SentRecord};
use crate::record::Outcome;

const NOW: &str = "2026-11-22T12:00:00Z";
const LICENSE: &str = "arn:aws:license-manager::294406891311:license:l-1";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn units(n: u64) -> Quantity {
    Quantity::from_micros(n * 1_000_000).unwrap()
}

fn slot(subscription: &str) -> Slot {
    Slot {
        subscription: subscription.parse().unwrap(),
        hour: "2026-11-21T10".parse().unwrap(),
        dimension: "gb".parse().unwrap(),
    }
}

/// A record of 5 units that was left without a success.
fn record(state: State, subscription: &str) -> MeteringRecord {
    let key = slot(subscription);
    let stamp = key.hour.start();
    MeteringRecord {
        stamp,
        state,
        version: 3,
        attempts: 1,
        outcome: Some(Outcome {
            at: match state {
                State::Disputed => at("2026-11-21T11:40:00Z"),
                _ => at("2026-11-22T10:00:00Z"),
            },
            code: "DuplicateRecord".to_owned(),
            metering_record_id: None,
            quantity_at_aws: None,
        }),
        ..MeteringRecord::new(
            key,
            "code".parse().unwrap(),
            units(5),
            at("2026-11-22T10:00:00Z"),
            at("2026-11-21T11:30:00Z"),
        )
    }
}

/// A call that is later than all calls in question.
fn witness() -> Call {
    let mut call = call(0, 1, SUCCESS);
    call.event_id = "e-witness".to_owned();
    call.at = at(NOW);
    (call.sent, call.results) = (Vec::new(), Vec::new());
    call
}

/// A call with this quantity, at a minute of the hour 11, answered with a status or an error.
fn call(minute: u32, quantity: u64, answer: Result<&str, &str>) -> Call {
    call_of(LICENSE, minute, quantity, answer)
}

fn call_of(buyer: &str, minute: u32, quantity: u64, answer: Result<&str, &str>) -> Call {
    let sent = SentRecord {
        slot: slot(buyer),
        quantity: Some(units(quantity)),
    };
    let result = |status: &str| RecordResult {
        record: sent.clone(),
        status: Some(status.to_owned()),
        metering_record_id: Some(format!("m-{minute}")),
    };
    Call {
        event_id: format!("e-{minute}"),
        at: at(&format!("2026-11-21T11:{minute:02}:00Z")),
        region: "us-east-1".to_owned(),
        error: answer.err().map(str::to_owned),
        product: slot(buyer).subscription.product().cloned(),
        is_sent_complete: true,
        results: answer.ok().map(result).into_iter().collect(),
        unprocessed: Vec::new(),
        is_truncated: false,
        sent: vec![sent],
    }
}

fn ask(state: State, calls: &[Call]) -> Finding {
    ask_at(state, calls, NOW)
}

fn ask_at(state: State, calls: &[Call], now: &str) -> Finding {
    ask_without_witness(
        &record(state, LICENSE),
        &[calls, &[witness()]].concat(),
        now,
    )
}

fn ask_without_witness(record: &MeteringRecord, calls: &[Call], now: &str) -> Finding {
    let mut inquiry = Inquiry::about([record], at(now));
    for call in calls {
        inquiry.call(call);
    }
    inquiry.finding(&record.slot, at(now))
}

/// An inquiry about one record that has a witness already.
fn inquiry_about(record: &MeteringRecord) -> Inquiry {
    let mut inquiry = Inquiry::about([record], at(NOW));
    inquiry.call(&witness());
    inquiry
}

fn billed(minute: u32) -> Finding {
    Finding::Billed {
        at: at(&format!("2026-11-21T11:{minute:02}:00Z")),
        metering_record_id: Some(format!("m-{minute}")),
    }
}

const LOST: Result<&str, &str> = Err("InternalServiceErrorException");
const DUPLICATE: Result<&str, &str> = Ok("DuplicateRecord");
const SUCCESS: Result<&str, &str> = Ok("Success");

#[test]
fn a_success_of_the_record_is_found_whatever_else_the_history_shows() {
    for state in [State::Disputed, State::Unconfirmed] {
        let calls = [
            call(40, 5, DUPLICATE),
            call(35, 5, SUCCESS),
            call(33, 7, DUPLICATE),
            call(31, 5, LOST),
        ];
        assert_eq!(ask(state, &calls), billed(35));
    }
}

#[test]
fn another_quantity_in_the_slot_is_a_conflict_and_the_first_quantity_counts() {
    let calls = [
        call(40, 5, DUPLICATE),
        call(20, 8, SUCCESS),
        call(10, 8, SUCCESS),
    ];
    for state in [State::Disputed, State::Unconfirmed] {
        assert_eq!(
            ask(state, &calls),
            Finding::Conflict {
                quantity: units(8),
                at: at("2026-11-21T11:10:00Z"),
                metering_record_id: Some("m-10".to_owned()),
            }
        );
    }
}

#[test]
fn a_slot_that_only_this_record_can_have_taken_is_billed_with_it() {
    for lost in [LOST, Err("InvalidProductCodeException"), Ok("NeverSeen")] {
        let calls = [call(40, 5, DUPLICATE), call(31, 5, lost)];
        assert_eq!(ask(State::Disputed, &calls), Finding::BilledByInference);
    }
    // Calls that certainly recorded nothing cannot have taken the slot.
    let calls = [
        call(40, 5, DUPLICATE),
        call(36, 9, Err("ThrottlingException")),
        call(35, 9, DUPLICATE),
        call(31, 5, LOST),
    ];
    assert_eq!(ask(State::Disputed, &calls), Finding::BilledByInference);
}

#[test]
fn a_record_stays_disputed_if_another_call_or_no_call_may_have_taken_its_slot() {
    let unknown = |calls: &[Call]| match ask(State::Disputed, calls) {
        Finding::Unknown(doubt) => doubt,
        other => panic!("{other:?}"),
    };
    assert_eq!(unknown(&[call(40, 5, DUPLICATE)]), Doubt::Unexplained);
    // A failure after the refusal explains nothing.
    assert_eq!(
        unknown(&[call(40, 5, DUPLICATE), call(45, 5, LOST)]),
        Doubt::Unexplained
    );
    assert_eq!(
        unknown(&[call(40, 5, DUPLICATE), call(31, 5, LOST), call(20, 8, LOST)]),
        Doubt::OtherContent
    );
}

#[test]
fn nothing_is_inferred_before_the_history_has_caught_up_with_the_refusal() {
    let calls = [call(40, 5, DUPLICATE), call(31, 5, LOST)];
    let early = Finding::Unknown(Doubt::TooEarly);
    assert_eq!(
        ask_at(State::Disputed, &calls, "2026-11-21T11:59:59Z"),
        early
    );
    assert_eq!(
        ask_at(State::Disputed, &calls, "2026-11-21T12:00:00Z"),
        Finding::BilledByInference
    );
    let not_shown = Doubt::RefusalNotShown {
        since: at("2026-11-21T11:40:00Z"),
    };
    assert_eq!(
        ask_at(State::Disputed, &calls[1..], NOW),
        Finding::Unknown(not_shown)
    );
}

#[test]
fn a_call_after_the_first_refusal_did_not_take_the_slot() {
    let calls = [
        call(31, 5, DUPLICATE),
        call(35, 5, LOST),
        call(40, 5, DUPLICATE),
    ];
    assert_eq!(
        ask(State::Disputed, &calls),
        Finding::Unknown(Doubt::Unexplained)
    );
}

#[test]
fn a_record_that_no_call_can_have_recorded_is_not_billed() {
    assert_eq!(ask(State::Unconfirmed, &[]), Finding::NotBilled);
    let calls: Vec<Call> = [
        Err("ThrottlingException"),
        Err("AccessDeniedException"),
        Err("ExpiredTokenException"),
        Err("InvalidSignatureException"),
        Err("DisabledApiException"),
        Err("TimestampOutOfBoundsException"),
        // The record was sent alone and refused because of its content.
        Err("InvalidUsageDimensionException"),
        Ok("CustomerNotSubscribed"),
    ]
    .into_iter()
    .map(|answer| call(31, 5, answer))
    .collect();
    assert_eq!(ask(State::Unconfirmed, &calls), Finding::NotBilled);
}

#[test]
fn a_call_that_may_have_recorded_it_leaves_it_held() {
    for code in [
        "InternalServiceErrorException",
        "ServiceUnavailableException",
        "InvalidProductCodeException",
    ] {
        let calls = [call(31, 5, Err(code)), call(32, 5, Err("AccessDenied"))];
        let doubt = Doubt::MayHaveRecorded {
            code: Some(code.to_owned()),
            at: at("2026-11-21T11:31:00Z"),
        };
        assert_eq!(ask(State::Unconfirmed, &calls), Finding::Unknown(doubt));
    }
    // The records before the bad one of a batch may have been recorded.
    let mut batch = call(31, 5, Err("InvalidUsageDimensionException"));
    batch.sent.push(SentRecord {
        slot: slot("legacy|code|OTHER"),
        quantity: Some(units(1)),
    });
    assert!(matches!(
        ask(State::Unconfirmed, &[batch]),
        Finding::Unknown(Doubt::MayHaveRecorded { .. })
    ));
    // A record whose slot is taken is never concluded to be unbilled.
    assert_eq!(
        ask(State::Unconfirmed, &[call(31, 5, DUPLICATE)]),
        Finding::Unknown(Doubt::Unexplained)
    );
}

#[test]
fn silence_proves_nothing_until_an_hour_after_the_record_could_last_be_sent() {
    let early = Finding::Unknown(Doubt::TooEarly);
    assert_eq!(
        ask_at(State::Unconfirmed, &[], "2026-11-22T10:59:59Z"),
        early
    );
    assert_eq!(
        ask_at(State::Unconfirmed, &[], "2026-11-22T11:00:00Z"),
        Finding::NotBilled
    );
}

#[test]
fn an_event_of_its_time_that_cannot_be_read_in_full_decides_nothing() {
    let mut cut = call(31, 5, Ok("Success"));
    cut.sent.clear();
    cut.results.clear();
    cut.is_sent_complete = false;
    let is_opaque = |finding| matches!(finding, Finding::Unknown(Doubt::Opaque(_)));
    assert!(is_opaque(ask(State::Unconfirmed, &[cut.clone()])));
    let mut refused = cut.clone();
    refused.error = Some("AccessDenied".to_owned());
    assert_eq!(ask(State::Unconfirmed, &[refused]), Finding::NotBilled);
    let mut long_after = cut.clone();
    long_after.at = at("2026-11-22T11:30:00Z");
    assert_eq!(ask(State::Unconfirmed, &[long_after]), Finding::NotBilled);

    let mut inquiry = inquiry_about(&record(State::Unconfirmed, LICENSE));
    inquiry.unreadable(None, "no JSON");
    assert!(is_opaque(inquiry.finding(&slot(LICENSE), at(NOW))));

    // A request of another product cannot have named a buyer of this product by product code.
    let buyer = "legacy|code|CUST";
    for (product, expected) in [("code", true), ("other", false)] {
        let mut inquiry = inquiry_about(&record(State::Unconfirmed, buyer));
        let mut cut = cut.clone();
        cut.product = product.parse().ok();
        inquiry.call(&cut);
        assert_eq!(is_opaque(inquiry.finding(&slot(buyer), at(NOW))), expected);
    }
}

#[test]
fn a_request_that_was_cut_off_concerns_only_records_that_are_too_large_for_cloudtrail() {
    let mut cut = call(31, 5, SUCCESS);
    (cut.is_sent_complete, cut.is_truncated) = (false, true);
    let sent = std::mem::take(&mut cut.sent);
    cut.results.clear();
    let small = record(State::Unconfirmed, LICENSE);
    let mut large = small.clone();
    large.allocations = (0..400)
        .map(|n| crate::record::Allocation {
            tags: crate::tags::TagSet::try_from(crate::tags::Tags::from([(
                "team".to_owned(),
                format!("{n:0>200}"),
            )]))
            .unwrap(),
            quantity: Quantity::ZERO,
        })
        .collect();
    let ask = |record: &MeteringRecord, cut: &Call| {
        let mut inquiry = inquiry_about(record);
        inquiry.call(cut);
        inquiry.finding(&record.slot, at(NOW))
    };
    let is_opaque = |finding| matches!(finding, Finding::Unknown(Doubt::Opaque(_)));
    assert_eq!(ask(&small, &cut), Finding::NotBilled);
    assert!(is_opaque(ask(&large, &cut)));
    // This stack sends no batch that is cut off, so other software sent it, and it may have any
    // record.
    let mut of_somebody_else = cut.clone();
    of_somebody_else.sent = vec![SentRecord {
        slot: slot("legacy|code|OTHER"),
        ..sent[0].clone()
    }];
    assert!(is_opaque(ask(&small, &of_somebody_else)));
}

#[test]
fn nothing_follows_from_silence_without_a_call_that_is_certainly_later() {
    let unconfirmed = record(State::Unconfirmed, LICENSE);
    let since = at("2026-11-22T10:20:00Z");
    let no_witness = Finding::Unknown(Doubt::NoWitness { since });
    let denied = call(31, 5, Err("AccessDeniedException"));
    let ask = |record: &MeteringRecord, calls: &[Call]| ask_without_witness(record, calls, NOW);
    assert_eq!(ask(&unconfirmed, &[]), no_witness);
    let mut late = witness();
    late.at = at("2026-11-22T10:19:59Z");
    assert_eq!(
        ask(&unconfirmed, &[denied.clone(), late.clone()]),
        no_witness
    );
    late.at = since;
    assert_eq!(ask(&unconfirmed, &[late]), Finding::NotBilled);
    // An event that the history shows is a fact and needs no witness.
    assert_eq!(ask(&unconfirmed, &[call(35, 5, SUCCESS)]), billed(35));

    let disputed = record(State::Disputed, LICENSE);
    let calls = [call(40, 5, DUPLICATE), call(31, 5, LOST)];
    let since = at("2026-11-21T11:45:00Z");
    assert_eq!(
        ask(&disputed, &calls),
        Finding::Unknown(Doubt::NoWitness { since })
    );
    let later = call_of("legacy|code|OTHER", 45, 1, SUCCESS);
    let with_witness = [&calls[..], &[later]].concat();
    assert_eq!(ask(&disputed, &with_witness), Finding::BilledByInference);
}

#[test]
fn a_record_stays_held_if_the_history_lacks_calls_without_a_clear_answer() {
    let calls = [
        call(31, 5, Err("AccessDeniedException")),
        call(32, 5, Err("ThrottlingException")),
        witness(),
    ];
    let mut unconfirmed = record(State::Unconfirmed, LICENSE);
    for (doubtful, finding) in [
        (2, Finding::NotBilled),
        (
            3,
            Finding::Unknown(Doubt::CallsMissing { seen: 2, sent: 3 }),
        ),
    ] {
        unconfirmed.sent.doubtful = doubtful;
        assert_eq!(ask_without_witness(&unconfirmed, &calls, NOW), finding);
    }
    // The submitter got answers to both calls of the history, so the unanswered call is missing.
    unconfirmed.sent = crate::record::Transmissions {
        doubtful: 1,
        answered: 2,
    };
    assert_eq!(
        ask_without_witness(&unconfirmed, &calls, NOW),
        Finding::Unknown(Doubt::CallsMissing { seen: 2, sent: 3 })
    );
    let calls = [call(40, 5, DUPLICATE), call(31, 5, LOST), witness()];
    let mut disputed = record(State::Disputed, LICENSE);
    for (doubtful, finding) in [
        (2, Finding::BilledByInference),
        (
            3,
            Finding::Unknown(Doubt::CallsMissing { seen: 2, sent: 3 }),
        ),
    ] {
        disputed.sent.doubtful = doubtful;
        assert_eq!(ask_without_witness(&disputed, &calls, NOW), finding);
    }
}

#[test]
fn a_buyer_named_in_another_way_may_be_this_buyer() {
    let ours = "legacy|code|CUST";
    for (theirs, finding) in [
        (
            "account|code|111122223333",
            Finding::Unknown(Doubt::OtherIdentity),
        ),
        ("legacy|code|OTHER", Finding::NotBilled),
        ("account|other|111122223333", Finding::NotBilled),
        (LICENSE, Finding::NotBilled),
    ] {
        let mut inquiry = inquiry_about(&record(State::Unconfirmed, ours));
        inquiry.call(&call_of(theirs, 20, 8, SUCCESS));
        assert_eq!(inquiry.finding(&slot(ours), at(NOW)), finding, "{theirs}");
    }
}

#[test]
fn a_conflict_is_described_with_both_quantities_the_difference_and_the_action() {
    let description = conflict_text(&record(State::Conflict, LICENSE), units(8));
    for part in [
        "holds 8 gb",
        "2026-11-21T10",
        "5 was used",
        "claim 3 gb back",
        "INCORRECT_METERING",
    ] {
        assert!(description.contains(part), "{description}");
    }
    let description = conflict_text(&record(State::Conflict, LICENSE), units(3));
    assert!(description.contains("2 gb was not billed"), "{description}");
    let description = conflict_text(&record(State::Conflict, LICENSE), units(5));
    assert!(!description.contains("claim"), "{description}");
}

#[test]
fn the_periods_have_every_call_that_can_prove_something() {
    let records = [
        record(State::Unconfirmed, LICENSE),
        record(State::Disputed, "legacy|code|CUST"),
    ];
    // The history is read from the hour until now, because the witness may be the latest call.
    let periods = Inquiry::about(&records, at(NOW)).periods(at(NOW));
    let period = |from: &str, to: &str| Period {
        from: at(from),
        to: at(to),
    };
    assert_eq!(periods, [period("2026-11-21T09:55:00Z", NOW)]);
    assert!(Inquiry::about(&[], at(NOW)).periods(at(NOW)).is_empty());
    // A record that waits for weeks does not require reading weeks.
    let periods = Inquiry::about(&records[..1], at(NOW)).periods(at("2026-12-20T12:00:00Z"));
    assert_eq!(
        periods,
        [
            period("2026-11-21T09:55:00Z", "2026-11-23T12:20:00Z"),
            period("2026-12-19T10:00:00Z", "2026-12-20T12:00:00Z"),
        ]
    );
}

#[test]
fn too_many_unreadable_events_make_every_record_doubtful() {
    let mut inquiry = inquiry_about(&record(State::Unconfirmed, LICENSE));
    let long_after = Some(Period::at(at("2026-11-22T11:30:00Z")));
    for _ in 0..OPAQUE_KEPT_MAX {
        inquiry.unreadable(long_after, "no JSON");
    }
    assert_eq!(inquiry.finding(&slot(LICENSE), at(NOW)), Finding::NotBilled);
    inquiry.unreadable(long_after, "no JSON");
    let Finding::Unknown(doubt) = inquiry.finding(&slot(LICENSE), at(NOW)) else {
        panic!("concluded from what was not remembered")
    };
    assert_eq!(
        doubt.to_string(),
        "an event of its time cannot be read in full: more than 10000 events"
    );
}

#[test]
fn each_doubt_has_its_own_text() {
    let may_have = |code: Option<&str>| Doubt::MayHaveRecorded {
        code: code.map(str::to_owned),
        at: at("2026-11-21T11:31:00Z"),
    };
    for (doubt, part) in [
        (
            may_have(Some("InternalFailure")),
            "11:31:00Z (InternalFailure)",
        ),
        (may_have(None), "without an error code"),
        (Doubt::OtherIdentity, "names its buyer in another way"),
        (Doubt::OtherContent, "another quantity"),
        (Doubt::Unexplained, "other Regions"),
        (
            Doubt::NoWitness {
                since: at("2026-11-21T11:31:00Z"),
            },
            "no call of BatchMeterUsage after 2026-11-21T11:31:00Z",
        ),
        (
            Doubt::CallsMissing { seen: 2, sent: 3 },
            "sent 3 times without a success",
        ),
        (
            Doubt::RefusalNotShown {
                since: at("2026-11-21T11:40:00Z"),
            },
            "answered DuplicateRecord at 2026-11-21T11:40:00Z",
        ),
        (Doubt::OutOfReach, "does not reach back"),
        (Doubt::TooEarly, "not complete yet"),
    ] {
        assert!(doubt.to_string().contains(part), "{doubt}");
    }
}

#[test]
fn the_first_of_several_calls_with_the_same_effect_is_named() {
    let with_id = |mut call: Call, id: &str| {
        for result in &mut call.results {
            result.metering_record_id = Some(id.to_owned());
        }
        call
    };
    let named = |calls: &[Call]| match ask(State::Unconfirmed, calls) {
        Finding::Billed {
            at,
            metering_record_id,
        }
        | Finding::Conflict {
            at,
            metering_record_id,
            ..
        } => (
            at.to_string()[14..16].to_owned(),
            metering_record_id.unwrap(),
        ),
        Finding::Unknown(Doubt::MayHaveRecorded { code, at }) => {
            (at.to_string()[14..16].to_owned(), code.unwrap())
        }
        other => panic!("{other:?}"),
    };
    let is = |minute: &str, id: &str| (minute.to_owned(), id.to_owned());
    for quantity in [5, 8] {
        let success = |minute, id| with_id(call(minute, quantity, SUCCESS), id);
        let (early, late) = (success(20, "early"), success(30, "late"));
        assert_eq!(named(&[early.clone(), late.clone()]), is("20", "early"));
        assert_eq!(named(&[late, early]), is("20", "early"));
        let same_second = [success(20, "first"), success(20, "second")];
        assert_eq!(named(&same_second), is("20", "first"));
        let failed = |minute, code| call(minute, quantity, Err(code));
        let (early, late) = (failed(20, "EarlyFailure"), failed(30, "LateFailure"));
        assert_eq!(
            named(&[early.clone(), late.clone()]),
            is("20", "EarlyFailure")
        );
        assert_eq!(named(&[late, early]), is("20", "EarlyFailure"));
        let same_second = [failed(20, "First"), failed(20, "Second")];
        assert_eq!(named(&same_second), is("20", "First"));
    }
}

#[test]
fn an_event_that_is_shown_twice_is_one_call() {
    let mut unconfirmed = record(State::Unconfirmed, LICENSE);
    unconfirmed.sent.doubtful = 2;
    let lost = call(31, 5, Err("ThrottlingException"));
    assert_eq!(
        ask_without_witness(&unconfirmed, &[lost.clone(), lost, witness()], NOW),
        Finding::Unknown(Doubt::CallsMissing { seen: 1, sent: 2 })
    );
}

#[test]
fn an_unreadable_event_is_a_doubt_about_every_record_of_its_period() {
    for (from, to, is_doubt) in [
        ("2026-11-20T10:00:00Z", "2026-11-21T09:54:59Z", false),
        ("2026-11-20T10:00:00Z", "2026-11-21T09:55:00Z", true),
        ("2026-11-21T12:00:00Z", "2026-11-21T12:01:00Z", true),
        ("2026-11-22T11:00:01Z", "2026-11-23T00:00:00Z", false),
    ] {
        let mut inquiry = inquiry_about(&record(State::Unconfirmed, LICENSE));
        let period = Period {
            from: at(from),
            to: at(to),
        };
        inquiry.unreadable(Some(period), "a file");
        let finding = inquiry.finding(&slot(LICENSE), at(NOW));
        let is_unknown = matches!(finding, Finding::Unknown(Doubt::Opaque(_)));
        assert_eq!(is_unknown, is_doubt, "{from} to {to}: {finding:?}");
    }
}
