use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::hour::UsageHour;

const LICENSE: &str = "arn:aws:license-manager::294406891311:license:l-1";

fn event(request: Value, response: Value, error: Option<&str>) -> Value {
    json!({
        "eventTime": "2026-11-21T11:31:00Z",
        "eventSource": SOURCE,
        "eventName": NAME,
        "awsRegion": "us-east-1",
        "eventID": "e-1",
        "errorCode": error,
        "requestParameters": request,
        "responseElements": response,
    })
}

fn record(quantity: Value) -> Value {
    json!({
        "timestamp": "Nov 21, 2026 10:00:00 AM",
        "dimension": "gb",
        "licenseArn": LICENSE,
        "customerAWSAccountId": "111122223333",
        "quantityAsDecimal": quantity,
    })
}

#[track_caller]
fn call(event: &Value) -> Call {
    match Event::read(&event.to_string(), None) {
        Event::Call(call) => call,
        other => panic!("{other:?}"),
    }
}

fn slot(subscription: &str) -> Slot {
    Slot {
        subscription: subscription.parse().unwrap(),
        hour: "2026-11-21T10".parse().unwrap(),
        dimension: "gb".parse().unwrap(),
    }
}

fn units(text: &str) -> Quantity {
    text.parse().unwrap()
}

#[test]
fn a_success_is_read_with_its_slot_quantity_and_id() {
    let answer = json!({"results": [
        {"usageRecord": record(json!("1.5")), "status": "Success", "meteringRecordId": "m-1"},
    ]});
    let call = call(&event(
        json!({"usageRecords": [record(json!("1.50"))]}),
        answer,
        None,
    ));
    assert!(call.is_sent_complete && !call.is_truncated);
    assert_eq!(
        call.effect(&slot(LICENSE)),
        Effect::Success {
            quantity: units("1.5"),
            metering_record_id: Some("m-1".to_owned())
        }
    );
}

#[test]
fn each_way_of_naming_a_buyer_and_each_spelling_is_read() {
    for (buyer, product, expected) in [
        (json!({"licenseArn": LICENSE}), None, LICENSE.to_owned()),
        (
            json!({"customerIdentifier": "CUST"}),
            Some("code"),
            "legacy|code|CUST".to_owned(),
        ),
        (
            json!({"customerIdentifier": "", "customerAWSAccountID": "111122223333"}),
            Some("code"),
            "account|code|111122223333".to_owned(),
        ),
        (
            json!({"customerAWSAccountId": "111122223333"}),
            Some("code"),
            "account|code|111122223333".to_owned(),
        ),
    ] {
        let mut record = json!({"timestamp": 1_795_255_200, "dimension": "gb", "quantity": 3});
        for (name, value) in buyer.as_object().unwrap() {
            record[name] = value.clone();
        }
        let request = json!({"productCode": product, "usageRecords": [record]});
        let call = call(&event(request, Value::Null, None));
        assert_eq!(call.sent[0].slot, slot(&expected), "{buyer}");
        assert_eq!(call.sent[0].quantity, Some(units("3")));
    }
}

#[test]
fn a_time_is_read_in_every_form_that_a_client_writes() {
    for time in [
        "1795255200",
        "1795255200.0",
        "1.7952552E9",
        "1795258799.99999999999999",
        r#""1795255200.0""#,
        r#""Nov 21, 2026, 10:00:00 AM""#,
        r#""2026-11-21T10:00:00Z""#,
    ] {
        let record = format!(
            r#"{{"timestamp": {time}, "dimension": "gb", "licenseArn": "{LICENSE}", "quantity": 3}}"#
        );
        let text = format!(
            r#"{{"eventTime": {time}, "eventSource": "{SOURCE}", "eventName": "{NAME}",
                "requestParameters": {{"usageRecords": [{record}]}}}}"#
        );
        let Event::Call(call) = Event::read(&text, None) else {
            panic!("{time} is not read");
        };
        assert_eq!(call.sent[0].slot, slot(LICENSE), "{time}");
        assert!(call.is_sent_complete, "{time}");
        assert_eq!(UsageHour::of(call.at), slot(LICENSE).hour, "{time}");
    }
}

#[test]
fn a_record_without_a_quantity_is_a_record_of_zero() {
    let request = json!({"usageRecords": [record(Value::Null)]});
    let call = call(&event(
        request,
        Value::Null,
        Some("InternalServiceErrorException"),
    ));
    assert_eq!(
        call.effect(&slot(LICENSE)),
        Effect::Doubtful(vec![Quantity::ZERO])
    );
}

#[test]
fn the_effect_of_a_call_on_a_slot_depends_on_its_answer() {
    let sent = || json!({"usageRecords": [record(json!("1"))]});
    let status = |status: Option<&str>| json!({"results": [{"usageRecord": record(json!("1")), "status": status}]});
    let doubtful = || Effect::Doubtful(vec![units("1")]);
    for (answer, error, effect) in [
        (status(Some("DuplicateRecord")), None, Effect::Duplicate),
        (status(Some("CustomerNotSubscribed")), None, Effect::Nothing),
        (status(Some("NeverSeen")), None, doubtful()),
        (status(None), None, doubtful()),
        (
            json!({"results": [], "unprocessedRecords": [record(json!("1"))]}),
            None,
            Effect::Nothing,
        ),
        (json!({"results": []}), None, doubtful()),
        (Value::Null, None, doubtful()),
        (Value::Null, Some("ThrottlingException"), Effect::Nothing),
        (Value::Null, Some("AccessDenied"), Effect::Nothing),
        (Value::Null, Some("DisabledApiException"), Effect::Nothing),
        (
            Value::Null,
            Some("InternalServiceErrorException"),
            doubtful(),
        ),
        (Value::Null, Some("NeverSeenException"), doubtful()),
        (
            Value::Null,
            Some("TimestampOutOfBoundsException"),
            Effect::Nothing,
        ),
        (
            Value::Null,
            Some("InvalidUsageDimensionException"),
            Effect::Nothing,
        ),
    ] {
        let call = call(&event(sent(), answer.clone(), error));
        assert_eq!(call.effect(&slot(LICENSE)), effect, "{answer} {error:?}");
    }
}

#[test]
fn if_a_batch_is_refused_for_one_record_the_others_may_have_been_recorded() {
    let mut other = record(json!("2"));
    other["dimension"] = json!("requests");
    let request = json!({"usageRecords": [record(json!("1")), other]});
    for (error, effect) in [
        (
            "InvalidUsageDimensionException",
            Effect::Doubtful(vec![units("1")]),
        ),
        (
            "InvalidProductCodeException",
            Effect::Doubtful(vec![units("1")]),
        ),
        // AWS says that the entire batch is not processed if it answers one of these codes.
        ("TimestampOutOfBoundsException", Effect::Nothing),
    ] {
        let call = call(&event(request.clone(), Value::Null, Some(error)));
        assert_eq!(call.effect(&slot(LICENSE)), effect, "{error}");
    }
}

#[test]
fn only_an_event_without_records_may_be_one_large_record_of_this_stack() {
    let cut = json!({"usageRecords": [], "omitted": true});
    assert!(call(&event(cut, Value::Null, None)).is_of_one_large_record());
    for request in [
        json!({"usageRecords": [record(json!("1"))], "omitted": true}),
        json!({"usageRecords": [record(json!("1"))]}),
        Value::Null,
    ] {
        let call = call(&event(request.clone(), Value::Null, None));
        assert!(!call.is_of_one_large_record(), "{request}");
    }
}

#[test]
fn a_call_that_is_cut_off_may_have_recorded_anything_unless_it_was_refused() {
    for request in [
        json!({"usageRecords": [record(json!("1"))], "omitted": true}),
        json!({"omitted": true, "originalSize": 120_000}),
        Value::Null,
        json!({"usageRecords": [{"dimension": "gb", "licenseArn": LICENSE, "timestamp": "soon"}]}),
    ] {
        assert!(
            call(&event(request.clone(), Value::Null, None)).is_opaque(),
            "{request}"
        );
        let refused = call(&event(request.clone(), Value::Null, Some("AccessDenied")));
        assert!(!refused.is_opaque(), "{request}");
    }
}

#[test]
fn a_result_that_was_cut_off_leaves_its_record_in_doubt() {
    let mut other = record(json!("2"));
    other["dimension"] = json!("requests");
    let request = json!({"usageRecords": [record(json!("1")), other.clone()]});
    let answer = json!({"results": [{"usageRecord": other, "status": "Success"}], "omitted": true});
    let call = call(&event(request, answer, None));
    assert!(call.is_truncated && !call.is_opaque());
    assert_eq!(
        call.effect(&slot(LICENSE)),
        Effect::Doubtful(vec![units("1")])
    );
}

#[test]
fn other_events_are_foreign_and_other_texts_are_unreadable() {
    let mut other = event(Value::Null, Value::Null, None);
    other["eventName"] = json!("ResolveCustomer");
    assert!(matches!(
        Event::read(&other.to_string(), None),
        Event::Foreign(_)
    ));
    assert!(matches!(Event::read("{}", None), Event::Foreign(_)));
    let at = "2026-11-21T11:31:00Z".parse().ok();
    for text in ["", "[]", "{\"eventName\": 3}"] {
        match Event::read(text, at) {
            Event::Unreadable { at: found, .. } => assert_eq!(found, at.map(Period::at)),
            other => panic!("{text}: {other:?}"),
        }
    }
    let mut timeless = event(Value::Null, Value::Null, None);
    timeless["eventTime"] = json!("yesterday");
    assert!(matches!(
        Event::read(&timeless.to_string(), None),
        Event::Unreadable { at: None, .. }
    ));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!(LICENSE)),
        Just(json!("Nov 21, 2026 10:00:00 AM")),
    ];
    let names = prop::sample::select(vec![
        "usageRecords",
        "results",
        "unprocessedRecords",
        "usageRecord",
        "timestamp",
        "dimension",
        "licenseArn",
        "quantity",
        "quantityAsDecimal",
        "status",
        "productCode",
        "omitted",
        "customerAWSAccountID",
    ]);
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_of_some_kind(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        let read = matches!(Event::read(&text, None), Event::Unreadable { .. } | Event::Foreign(_));
        prop_assert!(read);
    }

    #[test]
    fn any_members_are_read_or_reported(request in any_json(), response in any_json(), error in any_json()) {
        let mut event = event(request, response, None);
        event["errorCode"] = error;
        if let Event::Call(call) = Event::read(&event.to_string(), None) {
            for key in call.slots() {
                call.effect(key);
            }
        }
    }
}

#[test]
fn a_quantity_that_the_answer_does_not_repeat_is_the_one_that_was_sent() {
    let answered =
        || json!({"results": [{"usageRecord": record(Value::Null), "status": "Success"}]});
    let effect = |quantities: &[&str]| {
        let sent: Vec<Value> = quantities.iter().map(|q| record(json!(q))).collect();
        call(&event(json!({"usageRecords": sent}), answered(), None)).effect(&slot(LICENSE))
    };
    let billed = Effect::Success {
        quantity: units("2"),
        metering_record_id: None,
    };
    assert_eq!(effect(&["2"]), billed);
    assert_eq!(effect(&["2", "2"]), billed);
    assert_eq!(
        effect(&["2", "3"]),
        Effect::Doubtful(vec![units("2"), units("3")])
    );
}

#[test]
fn a_request_is_read_completely_whether_or_not_it_names_a_product() {
    for (product, complete) in [
        (Value::Null, true),
        (json!(""), true),
        (json!("code"), true),
        (json!("a|b"), false),
    ] {
        let request = json!({"productCode": product, "usageRecords": [record(json!("1"))]});
        let call = call(&event(request, Value::Null, None));
        assert_eq!(call.is_sent_complete, complete, "{product}");
    }
}

#[test]
fn only_a_marked_event_is_cut_off() {
    for (mark, cut) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(false), false),
        (json!("false"), false),
        (Value::Null, false),
    ] {
        let request = json!({"usageRecords": [record(json!("1"))], "omitted": mark});
        let call = call(&event(request, Value::Null, None));
        assert_eq!((call.is_truncated, call.is_opaque()), (cut, cut), "{mark}");
    }
}
