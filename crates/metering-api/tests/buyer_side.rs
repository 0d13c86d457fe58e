//! MeterUsage and RegisterUsage: the operations that software in the buyer's account calls.

mod common;

use common::{Service, Turn, exception, ok, run};
use metering_api::{
    CallError, MeterUsageRequest, RegisterUsageAnswer, RegisterUsageError, RegisterUsageRequest,
};
use serde_json::json;

fn usage() -> MeterUsageRequest {
    MeterUsageRequest::new(
        "code1".parse().unwrap(),
        "2026-11-21T11:00:00Z".parse().unwrap(),
        "gb".parse().unwrap(),
        "2.5".parse().unwrap(),
    )
}

async fn meter(turn: Turn) -> Result<String, CallError> {
    let service = Service::answering([turn]).await;
    service.api(1).meter_usage(&usage()).await
}

#[test]
fn metered_usage_returns_its_metering_record_id() {
    run(async {
        let service = Service::answering([ok(json!({"MeteringRecordId": "m-1"}))]).await;
        let request = usage().with_client_token("t-1").unwrap();
        assert_eq!(service.api(1).meter_usage(&request).await.unwrap(), "m-1");
        let sent = &service.requests()[0];
        assert_eq!(
            sent.header("x-amz-target"),
            "AWSMPMeteringService.MeterUsage"
        );
        assert_eq!(sent.header("content-length"), sent.body.len().to_string());
        assert_eq!(
            sent.text(),
            r#"{"ProductCode":"code1","Timestamp":1795258800,"UsageDimension":"gb","UsageQuantityAsDecimal":"2.5","DryRun":false,"ClientToken":"t-1"}"#
        );
    });
}

#[test]
fn the_retries_of_a_request_share_one_random_client_token() {
    run(async {
        let service =
            Service::answering([Turn::Drop, ok(json!({"MeteringRecordId": "m-1"}))]).await;
        service.api(2).meter_usage(&usage()).await.unwrap();
        let requests = service.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].body, requests[1].body);
        assert!(requests[0].text().contains("\"ClientToken\":\""));
    });
}

#[test]
fn usage_without_a_record_id_is_not_metered() {
    run(async {
        let error = meter(ok(json!({"New": 1}))).await.unwrap_err();
        assert_eq!(error.code, "ResponseUnreadable");
        assert_eq!(error.request_id.as_deref(), Some("req-1"));
        let error = meter(exception(400, "DuplicateRequestException", "17 before"))
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("MeterUsage failed with DuplicateRequestException")
        );
        assert!(error.to_string().contains("do not repeat it"), "{error}");
    });
}

#[test]
fn a_permitted_dry_run_has_its_own_error_code() {
    run(async {
        let service = Service::answering([exception(400, "DryRunOperation", "would have")]).await;
        let error = service
            .api(1)
            .meter_usage(&usage().dry_run(true))
            .await
            .unwrap_err();
        assert_eq!(error.code, "DryRunOperation");
        assert!(
            error.to_string().contains("the call is permitted"),
            "{error}"
        );
        assert!(service.requests()[0].text().contains("\"DryRun\":true"));
    });
}

async fn register(turn: Turn) -> Result<RegisterUsageAnswer, RegisterUsageError> {
    let request =
        RegisterUsageRequest::new("code1".parse().unwrap(), 1, Some("n-1".to_owned())).unwrap();
    let service = Service::answering([turn]).await;
    let answer = service.api(1).register_usage(&request).await;
    let sent = &service.requests()[0];
    assert_eq!(
        sent.header("x-amz-target"),
        "AWSMPMeteringService.RegisterUsage"
    );
    assert_eq!(
        sent.text(),
        r#"{"ProductCode":"code1","PublicKeyVersion":1,"Nonce":"n-1"}"#
    );
    answer
}

#[test]
fn a_registered_container_gets_a_signature() {
    run(async {
        let answer = register(ok(json!({"Signature": "a.b.c"}))).await.unwrap();
        assert_eq!(
            (answer.signature.as_str(), answer.public_key_rotation),
            ("a.b.c", None)
        );
        let rotated = json!({"Signature": "a.b.c", "PublicKeyRotationTimestamp": 1795262400.25});
        let answer = register(ok(rotated)).await.unwrap();
        assert_eq!(
            answer.public_key_rotation,
            Some("2026-11-21T12:00:00Z".parse().unwrap())
        );
    });
}

#[test]
fn an_error_says_whether_the_container_must_end_or_repeat_the_call() {
    run(async {
        use RegisterUsageError as Error;
        let of = async |code: &str| register(exception(400, code, "no")).await.unwrap_err();
        assert!(matches!(
            of("CustomerNotEntitledException").await,
            Error::NotEntitled(_)
        ));
        assert!(matches!(
            of("PlatformNotSupportedException").await,
            Error::PlatformNotSupported(_)
        ));
        for code in [
            "InvalidPublicKeyVersionException",
            "InvalidRegionException",
            "AccessDeniedException",
        ] {
            assert!(matches!(of(code).await, Error::Refused(_)), "{code}");
        }
        assert!(matches!(
            of("ThrottlingException").await,
            Error::Unavailable(_)
        ));
        let unavailable = [
            Turn::Drop,
            Turn::Answer(500, Vec::new()),
            Turn::Answer(200, b"{".to_vec()),
        ];
        for turn in unavailable {
            assert!(matches!(register(turn).await, Err(Error::Unavailable(_))));
        }
        for answer in [json!({}), json!({"Signature": ""}), json!({"Signature": 1})] {
            let error = register(ok(answer)).await.unwrap_err();
            assert_eq!(error, Error::NoSignature(Some("req-1".to_owned())));
        }
    });
}
