//! For every answer, however damaged, a call ends with a result or an error. It never panics, and
//! it never reports a success that the service did not report.

mod common;

use common::{Service, Turn, http, record, run};
use marketplace::IdentityKind;
use marketplace::batch::BatchGroup;
use metering_api::{MeterUsageRequest, RegisterUsageRequest, RegistrationToken};
use proptest::prelude::*;
use proptest::string::string_regex;
use serde_json::{Map, Value};

/// For each of the five calls: whether it takes the answer for a success.
fn successes(turn: &Turn) -> [bool; 5] {
    run(async {
        let service = Service::answering(vec![turn.clone(); 5]).await;
        let api = service.api(1);
        let product = || "code1".parse().unwrap();
        let group = BatchGroup {
            product: product(),
            kind: IdentityKind::Customer,
        };
        let record = record("legacy|code1|cust-1", "gb", "3");
        let token = RegistrationToken::new("token".to_owned()).unwrap();
        let usage = MeterUsageRequest::new(
            product(),
            record.stamp,
            "gb".parse().unwrap(),
            record.quantity,
        );
        let container = RegisterUsageRequest::new(product(), 1, None).unwrap();
        [
            api.batch_meter_usage(&group, &[&record]).await.is_ok(),
            api.batch_meter_usage_raw(Value::Object(Map::new()))
                .await
                .is_ok(),
            api.resolve_customer(&token).await.is_ok(),
            api.meter_usage(&usage).await.is_ok(),
            api.register_usage(&container).await.is_ok(),
        ]
    })
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200u16), Just(400), Just(500), 200u16..600]
}

/// Random bytes, JSON, and texts that are nearly JSON.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let members = "(ProductCode|Results|MeteringRecordId|Signature|__type|message|Metadata)";
    let value = "(\"[a-z\\\\]{0,6}\"|-?[0-9]{1,25}(e[0-9]{1,4})?|null|\\[\\]|\\{\\}|\\[\\[\\[)";
    let near_json = format!("\\{{(\"{members}\":{value}(,|\\}})){{0,6}}");
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        string_regex(&near_json)
            .unwrap()
            .prop_map(String::into_bytes),
        Just(b"[".repeat(20_000)),
        Just(b"{\"Results\":".repeat(10_000)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_body_under_any_status_ends_the_call(status in status(), body in body()) {
        let object = serde_json::from_slice::<Map<String, Value>>(&body);
        let successes = successes(&Turn::Answer(status, body));
        if !(200..300).contains(&status) || object.is_err() {
            prop_assert_eq!(successes, [false; 5]);
        }
    }

    #[test]
    fn any_bytes_in_place_of_http_end_the_call(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert_eq!(successes(&Turn::Bytes(bytes)), [false; 5]);
    }

    #[test]
    fn an_answer_cut_off_anywhere_is_no_success(cut in 0usize..500) {
        let whole = http(200, br#"{"Results":[],"UnprocessedRecords":[],"MeteringRecordId":"m","Signature":"s","ProductCode":"c","CustomerIdentifier":"x"}"#);
        prop_assert_eq!(successes(&Turn::Answer(200, br#"{"MeteringRecordId":"m","Signature":"s","ProductCode":"c","CustomerIdentifier":"x"}"#.to_vec())), [true; 5]);
        let cut = cut % whole.len();
        prop_assert_eq!(successes(&Turn::Bytes(whole[..cut].to_vec())), [false; 5]);
    }
}
