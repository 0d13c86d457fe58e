//! Failures of BatchMeterUsage: the calls that are repeated, and the code of every kind of failure.

mod common;

use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future;
use aws_sdk_marketplacemetering::config::ProvideCredentials;
use aws_sdk_marketplacemetering::config::timeout::TimeoutConfig;
use common::{Service, Turn, exception, impatient, ok, record, run};
use marketplace::batch::BatchGroup;
use marketplace::error_table::{ANY_OTHER_CODE, ERROR_TABLE, Origin};
use marketplace::{IdentityKind, MeteringRecord};
use metering_api::{CallError, request_body};
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};

fn legacy() -> BatchGroup {
    BatchGroup {
        product: "code1".parse().unwrap(),
        kind: IdentityKind::Customer,
    }
}

fn one() -> MeteringRecord {
    record("legacy|code1|cust-1", "gb", "3")
}

/// Sends one legacy record, and returns the error with which the call must fail.
async fn refused(service: &Service, attempts: u32) -> CallError {
    let answer = service
        .api(attempts)
        .batch_meter_usage(&legacy(), &[&one()])
        .await;
    answer.unwrap_err()
}

#[test]
fn a_retry_sends_exactly_the_same_bytes() {
    run(async {
        let trouble = [
            exception(500, "InternalServiceErrorException", "try again"),
            exception(400, "ThrottlingException", "slow down"),
            Turn::Drop,
            Turn::Bytes(common::http(200, br#"{"Results":[]}"#)[..110].to_vec()),
            Turn::Answer(503, b"<html>busy</html>".to_vec()),
            Turn::Answer(200, br#"{"Results":[{"#.to_vec()),
        ];
        for turn in trouble {
            let service = Service::answering([turn.clone(), ok(json!({"Results": []}))]).await;
            let answer = service
                .api(3)
                .batch_meter_usage(&legacy(), &[&one()])
                .await
                .unwrap();
            assert_eq!(answer.request_id.as_deref(), Some("req-1"));
            let requests = service.requests();
            assert_eq!(requests.len(), 2, "{turn:?}");
            for request in &requests {
                assert_eq!(request.body, request_body(&legacy(), &[&one()]), "{turn:?}");
            }
        }
    });
}

#[test]
fn an_exception_about_a_record_is_reported_at_once() {
    run(async {
        let code = "InvalidUsageDimensionException";
        let service = Service::answering([exception(400, code, "The dimension gb.")]).await;
        let error = refused(&service, 3).await;
        assert_eq!(service.requests().len(), 1);
        assert_eq!((error.code.as_str(), error.http_status), (code, Some(400)));
        assert_eq!(error.request_id.as_deref(), Some("req-1"));
        assert_eq!(error.message, "The dimension gb.");
        assert_eq!(
            error.to_string(),
            "BatchMeterUsage failed with InvalidUsageDimensionException (HTTP 400, request req-1): The dimension gb. Correct the dimension in the product's configuration or in AWS Marketplace. If it was renamed, carry the usage with `metering late carry --into`."
        );
    });
}

#[test]
fn every_lasting_failure_has_one_code() {
    #[track_caller]
    fn check(turn: Turn, code: &str, status: Option<u16>, requests: usize) {
        run(async {
            let service = Service::answering(vec![turn.clone(); 3]).await;
            let error = refused(&service, 3).await;
            assert_eq!(
                (error.code.as_str(), error.http_status),
                (code, status),
                "{error}"
            );
            assert_eq!(service.requests().len(), requests, "{error}");
        });
    }
    let half = |bytes: &[u8]| Turn::Bytes(bytes.to_vec());
    let throttled = exception(400, "ThrottlingException", "slow down");
    check(throttled, "ThrottlingException", Some(400), 3);
    check(Turn::Drop, "ConnectionFailed", None, 3);
    check(
        half(b"HTTP/1.1 200 OK\r\ncontent-le"),
        "ConnectionFailed",
        None,
        3,
    );
    check(half(b"what is this"), "ConnectionFailed", None, 1);
    // The answer is cut off. The service may have done the work, but the answer does not show it.
    let whole = common::http(200, br#"{"Results":[],"UnprocessedRecords":[]}"#);
    check(
        half(&whole[..whole.len() - 1]),
        "ResponseUnreadable",
        Some(200),
        3,
    );
    check(
        half(b"HTTP/1.1 200 OK\r\n\r\n{\"Results\":["),
        "ResponseUnreadable",
        Some(200),
        3,
    );
    for body in [
        "",
        "[]",
        "null",
        "\"Success\"",
        "<html>",
        "{\"Results\":[]} {",
    ] {
        let answer = Turn::Answer(200, body.as_bytes().to_vec());
        check(answer, "ResponseUnreadable", Some(200), 3);
    }
    // Answers that are not from the service.
    check(Turn::Answer(500, Vec::new()), "ServerError", Some(500), 3);
    check(
        Turn::Answer(503, b"<html>".to_vec()),
        "ServerError",
        Some(503),
        3,
    );
    check(
        Turn::Answer(501, b"{\"__type\":7}".to_vec()),
        "ServerError",
        Some(501),
        1,
    );
    check(
        Turn::Answer(403, b"<html>".to_vec()),
        "ResponseUnreadable",
        Some(403),
        1,
    );
    check(
        Turn::Answer(302, b"{}".to_vec()),
        "ResponseUnreadable",
        Some(302),
        1,
    );
    check(
        exception(403, "AccessDeniedException", "no"),
        "AccessDeniedException",
        Some(403),
        1,
    );
    check(
        exception(400, "BrandNewException", "?"),
        "BrandNewException",
        Some(400),
        1,
    );
}

#[test]
fn an_answer_with_a_member_that_is_not_a_list_is_unreadable() {
    run(async {
        let service = Service::answering([ok(json!({"Results": "all of them"}))]).await;
        let error = refused(&service, 1).await;
        assert_eq!(error.code, "ResponseUnreadable");
        assert_eq!(error.request_id.as_deref(), Some("req-1"));
    });
}

#[test]
fn a_call_without_an_answer_times_out() {
    run(async {
        let service = Service::answering([Turn::Silence, Turn::Silence]).await;
        let api = service.api_with(2, impatient);
        let error = api
            .batch_meter_usage(&legacy(), &[&one()])
            .await
            .unwrap_err();
        assert_eq!((error.code.as_str(), error.http_status), ("Timeout", None));
        assert_eq!(service.requests().len(), 2);
    });
}

#[test]
fn a_port_without_a_listener_is_a_failed_connection() {
    run(async {
        let mut service = Service::answering([]).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        service.address = listener.local_addr().unwrap();
        drop(listener);
        // With several attempts, it is unknown which of them were connected.
        let error = refused(&service, 2).await;
        assert_eq!(error.code, "ConnectionFailed");
        let error = refused(&service, 1).await;
        assert_eq!(error.code, "NotConnected");
        assert!(error.to_string().contains("nothing was sent"), "{error}");
    });
}

#[test]
fn a_connection_that_is_not_opened_in_time_sends_nothing() {
    run(async {
        let mut service = Service::answering([]).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = socket.listen(1).unwrap();
        service.address = full.local_addr().unwrap();
        // Nobody accepts, so these connections fill the queue of the listener.
        let mut queue = Vec::new();
        loop {
            let connect = TcpStream::connect(service.address);
            match tokio::time::timeout(Duration::from_millis(200), connect).await {
                Ok(connection) => queue.push(connection.unwrap()),
                Err(_) => break,
            }
        }
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(200))
            .build();
        let api = service.api_with(1, |config| config.timeout_config(timeouts));
        let error = api
            .batch_meter_usage(&legacy(), &[&one()])
            .await
            .unwrap_err();
        assert_eq!(error.code, "NotConnected", "{error}");
    });
}

#[derive(Debug)]
struct NoRole;

impl ProvideCredentials for NoRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("no role")))
    }
}

#[test]
fn without_credentials_or_region_nothing_is_sent_and_the_error_says_why() {
    run(async {
        let service = Service::answering([]).await;
        let api = service.api_with(2, |config| config.credentials_provider(NoRole));
        let error = api
            .batch_meter_usage(&legacy(), &[&one()])
            .await
            .unwrap_err();
        assert_eq!(error.code, "NoCredentials", "{error}");
        assert!(error.message.contains("no role"), "{error}");
        let api = service.api_with(2, |mut config| {
            config.set_region(None);
            config.set_endpoint_url(None);
            config
        });
        let error = api
            .batch_meter_usage(&legacy(), &[&one()])
            .await
            .unwrap_err();
        assert_eq!(error.code, "NotSent", "{error}");
        assert!(error.message.to_lowercase().contains("region"), "{error}");
        assert!(service.requests().is_empty());
    });
}

#[test]
fn every_error_of_the_table_keeps_its_code_and_every_failure_has_a_row() {
    for row in ERROR_TABLE.iter().filter(|row| row.origin == Origin::Error) {
        for code in std::iter::once(&row.code).chain(row.also) {
            if *code == ANY_OTHER_CODE {
                continue;
            }
            run(async {
                let status = if row.code.starts_with("Internal") {
                    500
                } else {
                    400
                };
                let service = Service::answering([exception(status, code, "no")]).await;
                let error = refused(&service, 1).await;
                assert_eq!((error.code.as_str(), error.about()), (*code, row.about));
                assert!(
                    error.to_string().contains(row.action) || error.to_string().contains("Next: ")
                );
            });
        }
    }
    // The codes of the failures that the tests above cause.
    let provoked = [
        "Timeout",
        "ConnectionFailed",
        "NotConnected",
        "NoCredentials",
        "ResponseUnreadable",
        "ServerError",
        "NotSent",
    ];
    let failures: Vec<&str> = ERROR_TABLE
        .iter()
        .filter(|row| row.origin == Origin::Failure)
        .map(|row| row.code)
        .collect();
    assert_eq!(failures.len(), provoked.len());
    for code in provoked {
        assert!(failures.contains(&code), "{code} has no row");
    }
}
