//! ResolveCustomer: the buyer of a token, the advice for the buyer after an error, and the secrecy
//! of the token.

mod common;

use std::fmt;
use std::sync::{Arc, Mutex};

use common::{ARN, Service, Turn, exception, impatient, ok, run};
use metering_api::{
    BuyerAdvice, CallError, InvalidToken, MeteringApi, RegistrationToken, ResolveCustomerError,
    ResolvedCustomer,
};
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const SECRET: &str = "s3cr3t+token/of=a~buyer";

fn token() -> RegistrationToken {
    RegistrationToken::new(SECRET.to_owned()).unwrap()
}

async fn resolve(turn: Turn) -> Result<ResolvedCustomer, ResolveCustomerError> {
    let service = Service::answering([turn]).await;
    service.api(1).resolve_customer(&token()).await
}

fn newest() -> Value {
    json!({
        "ProductCode": "code1",
        "CustomerAWSAccountId": "111122223333",
        "CustomerIdentifier": "",
        "LicenseArn": ARN,
        "Metadata": {"AgreementId": "agmt-EXAMPLE1", "New": true},
        "New": [],
    })
}

#[test]
fn the_token_goes_into_the_body_and_nowhere_else() {
    run(async {
        let service = Service::answering([ok(newest())]).await;
        service.api(1).resolve_customer(&token()).await.unwrap();
        let request = &service.requests()[0];
        assert_eq!(
            request.text(),
            format!(r#"{{"RegistrationToken":"{SECRET}"}}"#)
        );
        assert_eq!(
            request.header("x-amz-target"),
            "AWSMPMeteringService.ResolveCustomer"
        );
        assert!(!request.line.contains(SECRET));
        assert!(
            request
                .headers
                .iter()
                .all(|(_, value)| !value.contains(SECRET))
        );
    });
}

#[test]
fn every_generation_of_answers_is_understood() {
    run(async {
        let resolved = resolve(ok(newest())).await.unwrap();
        assert_eq!(resolved.product.as_str(), "code1");
        assert_eq!(resolved.account.unwrap().as_str(), "111122223333");
        assert_eq!(resolved.license.unwrap().as_str(), ARN);
        assert_eq!(resolved.customer, None);
        assert_eq!(resolved.agreement.unwrap().as_str(), "agmt-EXAMPLE1");
        let legacy =
            json!({"ProductCode": "code1", "CustomerIdentifier": "cust-1", "LicenseArn": null});
        let resolved = resolve(ok(legacy)).await.unwrap();
        assert_eq!(resolved.customer.unwrap().as_str(), "cust-1");
        assert_eq!(
            (resolved.license, resolved.account, resolved.agreement),
            (None, None, None)
        );
    });
}

#[test]
fn a_buyer_with_an_unreadable_agreement_is_accepted() {
    run(async {
        for metadata in [
            json!("?"),
            json!({"AgreementId": 7}),
            json!({"AgreementId": "a b"}),
            json!({}),
        ] {
            let mut answer = newest();
            answer["Metadata"] = metadata;
            assert_eq!(resolve(ok(answer)).await.unwrap().agreement, None);
        }
    });
}

#[test]
fn the_error_of_an_incomplete_answer_names_the_member() {
    #[track_caller]
    fn check(answer: Value, member: &str) {
        match run(resolve(ok(answer))) {
            Err(ResolveCustomerError::Incomplete(answer)) => {
                assert_eq!(answer.member, member);
                assert_eq!(answer.request_id.as_deref(), Some("req-1"));
            }
            other => panic!("{other:?}"),
        }
    }
    check(json!({}), "ProductCode");
    check(json!({"ProductCode": ""}), "ProductCode");
    check(json!({"ProductCode": 7}), "ProductCode");
    check(
        json!({"ProductCode": "a|b", "LicenseArn": ARN}),
        "ProductCode",
    );
    check(json!({"ProductCode": "code1"}), "identity");
    check(
        json!({"ProductCode": "code1", "CustomerIdentifier": ""}),
        "identity",
    );
    check(
        json!({"ProductCode": "code1", "LicenseArn": "license"}),
        "LicenseArn",
    );
    check(
        json!({"ProductCode": "code1", "CustomerAWSAccountId": "x"}),
        "CustomerAWSAccountId",
    );
    check(
        json!({"ProductCode": "code1", "CustomerIdentifier": {}}),
        "CustomerIdentifier",
    );
}

#[track_caller]
fn check_advice(turn: Turn, advice: BuyerAdvice) {
    let error = run(resolve(turn)).unwrap_err();
    assert_eq!(error.advice(), advice, "{error:?}");
}

#[test]
fn a_bad_or_old_token_sends_the_buyer_back_to_the_aws_console() {
    for code in [
        "InvalidTokenException",
        "ExpiredTokenException",
        "ValidationException",
    ] {
        let turn = exception(400, code, "The submitted registration token has expired.");
        check_advice(turn, BuyerAdvice::SetUpAgain);
    }
    let expired = run(resolve(exception(400, "ExpiredTokenException", "")));
    assert_eq!(expired, Err(ResolveCustomerError::ExpiredToken));
}

#[test]
fn after_a_temporary_failure_the_buyer_tries_again() {
    for turn in [
        exception(400, "ThrottlingException", "slow down"),
        exception(500, "InternalServiceErrorException", "oh"),
        Turn::Answer(503, b"<html>".to_vec()),
        Turn::Answer(429, b"<html>".to_vec()),
        Turn::Answer(200, b"{\"ProductCode\":".to_vec()),
        Turn::Drop,
    ] {
        check_advice(turn, BuyerAdvice::TryAgainSoon);
    }
    run(async {
        let service = Service::answering([Turn::Silence]).await;
        let answer = service
            .api_with(1, impatient)
            .resolve_customer(&token())
            .await;
        assert_eq!(answer.unwrap_err().advice(), BuyerAdvice::TryAgainSoon);
    });
}

#[test]
fn after_a_failure_of_the_seller_the_buyer_contacts_support() {
    let expired = "The security token included in the request is expired";
    for turn in [
        exception(400, "DisabledApiException", "no"),
        exception(400, "AccessDeniedException", "no"),
        exception(
            403,
            "UnrecognizedClientException",
            "The security token is invalid",
        ),
        exception(400, "ExpiredTokenException", expired),
        exception(418, "BrandNewException", "?"),
        ok(json!({})),
    ] {
        check_advice(turn, BuyerAdvice::ContactSupport);
    }
}

#[test]
fn an_invalid_token_is_refused_and_not_repeated_in_the_error() {
    let new = |text: &str| RegistrationToken::new(text.to_owned());
    assert_eq!(new(""), Err(InvalidToken::Empty));
    assert_eq!(new("a b"), Err(InvalidToken::Character(1)));
    assert_eq!(new("ab\r\n"), Err(InvalidToken::Character(2)));
    assert_eq!(new(&"x".repeat(8_193)), Err(InvalidToken::TooLong(8_193)));
    assert!(new(&"x".repeat(8_192)).is_ok());
    let error = new("s3cr3t token").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cr3t"));
}

/// The traces of every level.
#[derive(Clone, Default)]
struct Traced(Arc<Mutex<String>>);

impl Visit for Traced {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        writeln!(self.0.lock().unwrap(), "{field}={value:?}").unwrap();
    }
}

impl Subscriber for Traced {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut self.clone());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, record: &Record<'_>) {
        record.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The traces and the answer of a call.
fn observed<A: fmt::Debug>(turn: Turn, call: impl AsyncFnOnce(MeteringApi) -> A) -> String {
    let traced = Traced::default();
    let guard = tracing::subscriber::set_default(traced.clone());
    let answer = run(async {
        let service = Service::answering([turn]).await;
        call(service.api(1)).await
    });
    drop(guard);
    let text = traced.0.lock().unwrap().clone();
    format!("{text}{answer:?}")
}

#[test]
fn no_trace_and_no_error_shows_the_token() {
    let traces = observed(ok(json!({})), async |api| {
        api.batch_meter_usage_raw(json!({})).await
    });
    assert!(
        traces.contains("transmitting request"),
        "the SDK traces: {traces}"
    );

    let echoed = format!("token {SECRET} is not known");
    for turn in [
        ok(newest()),
        exception(400, "InvalidTokenException", &echoed),
        exception(400, "BrandNewException", &echoed),
        exception(500, "InternalServiceErrorException", &echoed),
        Turn::Drop,
        Turn::Bytes(b"what is this".to_vec()),
    ] {
        let text = observed(turn.clone(), async |api| {
            let token = token();
            (api.resolve_customer(&token).await, token)
        });
        assert!(!text.contains(SECRET), "{turn:?}: {text}");
        assert!(!text.contains("transmitting request"), "{turn:?}: {text}");
    }
}

#[test]
fn an_error_that_is_cut_off_within_the_token_shows_no_part_of_it() {
    run(async {
        // A message is cut off after 1,000 characters.
        for shown in 1..SECRET.len() {
            let text = "x".repeat(1_000 - shown);
            let echoed = format!("{text}{SECRET} is not known");
            match resolve(exception(418, "BrandNewException", &echoed)).await {
                Err(ResolveCustomerError::Refused(CallError { message, .. })) => {
                    assert_eq!(message, format!("{text}<registration token>"), "{shown}");
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn an_error_that_repeats_the_token_keeps_the_rest_of_its_message() {
    run(async {
        let echoed = format!("token {SECRET} is not known");
        match resolve(exception(418, "BrandNewException", &echoed)).await {
            Err(ResolveCustomerError::Refused(CallError { message, .. })) => {
                assert_eq!(message, "token <registration token> is not known");
            }
            other => panic!("{other:?}"),
        }
    });
}
