//! Tests with the emulator of AWS Marketplace, which shares no code with this crate.

mod common;

use aws_sdk_marketplacemetering::config::retry::RetryConfig;
use aws_sdk_marketplacemetering::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_marketplacemetering::{Client, Config};
use common::{run, share};
use emulator::{
    Agreement, Emulator, Fault, FaultKind, Faults, Identity, NewAgreement, NewProduct, Options,
    Platform, Settings,
};
use marketplace::answer::{Verdict, interpret};
use marketplace::batch::BatchGroup;
use marketplace::error_table::About;
use marketplace::{AccountId, MeteringRecord, Slot, Subscription};
use metering_api::{
    BatchAnswer, BuyerAdvice, CallError, MeterUsageRequest, MeteringApi, RegistrationToken,
    ResolveCustomerError,
};
#[cfg(feature = "register-usage")]
use metering_api::{RegisterUsageError, RegisterUsageRequest};
use std::time::Duration;

const LICENSED: &str = "licensedproduct1";
const LEGACY: &str = "legacyproduct1";

struct Running {
    emulator: Emulator,
    api: MeteringApi,
}

struct Buyer {
    agreement: Agreement,
    product: &'static str,
}

/// An emulator whose clock stands at noon, and a client of it.
async fn running() -> Running {
    let emulator = Emulator::new(Options {
        seed: 7,
        now: Some("2026-11-21T12:00:00Z".parse().unwrap()),
        speed: 0.0,
        ..Options::default()
    });
    for (code, identity) in [(LICENSED, Identity::License), (LEGACY, Identity::Customer)] {
        let product = NewProduct::new(code, &["gb", "hours"], identity);
        emulator.add_product(product).unwrap();
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = emulator.clone();
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(format!("http://{address}"))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            None,
            None,
            "test",
        ))
        .retry_config(retries)
        .build();
    let api = MeteringApi::new(Client::from_conf(config));
    Running { emulator, api }
}

impl Running {
    fn buys(&self, product: &'static str) -> Buyer {
        let agreement = NewAgreement {
            start: Some("2026-11-01T00:00:00Z".parse().unwrap()),
            ..NewAgreement::of(product)
        };
        let agreement = self.emulator.add_agreement(agreement).unwrap();
        Buyer { agreement, product }
    }

    fn strike(&self, operation: &str, kind: FaultKind, count: u32) {
        let faults = vec![Fault::next(operation, kind, count)];
        self.emulator.set_faults(Faults { seed: 1, faults });
    }

    async fn batch(&self, records: &[&MeteringRecord]) -> Result<BatchAnswer, CallError> {
        let group = BatchGroup {
            product: records[0].product.clone(),
            kind: records[0].slot.subscription.kind(),
        };
        self.api.batch_meter_usage(&group, records).await
    }

    async fn verdicts(&self, records: &[&MeteringRecord]) -> Vec<Verdict> {
        let answer = self.batch(records).await.unwrap();
        interpret(records, &answer.results, &answer.unprocessed)
    }

    /// The dimension and quantity of every metered slot.
    fn billed(&self) -> Vec<(String, String)> {
        let slots = self.emulator.metered();
        slots
            .into_iter()
            .map(|m| (m.dimension, m.quantity.to_string()))
            .collect()
    }
}

/// A record of the buyer for 11:00, with the identity kind that the product uses.
fn of(buyer: &Buyer, dimension: &str, quantity: &str) -> MeteringRecord {
    let Buyer { agreement, product } = buyer;
    let subscription = match *product {
        LICENSED => Subscription::License(agreement.license_arn.parse().unwrap()),
        _ => Subscription::Customer(
            product.parse().unwrap(),
            agreement.customer_identifier.parse().unwrap(),
        ),
    };
    let record = common::record("legacy|code1|cust-1", dimension, quantity);
    MeteringRecord {
        slot: Slot {
            subscription,
            ..record.slot.clone()
        },
        product: product.parse().unwrap(),
        account: Some(agreement.account_id.parse().unwrap()),
        ..record
    }
}

fn is_accepted(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Accepted {
            metering_record_id: Some(_)
        }
    )
}

#[test]
fn a_buyer_is_resolved_and_billed_to_the_micro_unit() {
    run(async {
        let running = running().await;
        for product in [LICENSED, LEGACY] {
            let buyer = running.buys(product);
            let token = RegistrationToken::new(buyer.agreement.registration_token.clone()).unwrap();
            let resolved = running.api.resolve_customer(&token).await.unwrap();
            assert_eq!(resolved.product.as_str(), product);
            assert_eq!(
                resolved.agreement.unwrap().as_str(),
                buyer.agreement.agreement_id
            );
            assert_eq!(
                resolved.account,
                Some(buyer.agreement.account_id.parse::<AccountId>().unwrap())
            );
            assert_eq!(resolved.customer.is_some(), product == LEGACY);
            let mut split = of(&buyer, "gb", "4.000001");
            split.allocations = vec![share(&[("team", "a")], "1.5"), share(&[], "2.500001")];
            let whole = of(&buyer, "hours", "17");
            let verdicts = running.verdicts(&[&split, &whole]).await;
            assert!(verdicts.iter().all(is_accepted), "{verdicts:?}");
        }
        let mut billed = running.billed();
        billed.sort();
        let expect = [
            ("gb", "4.000001"),
            ("gb", "4.000001"),
            ("hours", "17"),
            ("hours", "17"),
        ];
        assert_eq!(billed, expect.map(|(d, q)| (d.to_owned(), q.to_owned())));
    });
}

#[test]
fn a_slot_takes_one_quantity_once() {
    run(async {
        let running = running().await;
        let buyer = running.buys(LICENSED);
        let record = of(&buyer, "gb", "1.5");
        assert!(is_accepted(&running.verdicts(&[&record]).await[0]));
        assert!(is_accepted(&running.verdicts(&[&record]).await[0]));
        let other = of(&buyer, "gb", "2");
        assert_eq!(running.verdicts(&[&other]).await, [Verdict::Duplicate]);
        assert_eq!(running.billed(), [("gb".to_owned(), "1.5".to_owned())]);
    });
}

#[test]
fn a_lost_reply_is_repeated_and_billed_once() {
    run(async {
        let running = running().await;
        let record = of(&running.buys(LEGACY), "gb", "1.5");
        running.strike("BatchMeterUsage", FaultKind::DropAfter, 1);
        assert!(is_accepted(&running.verdicts(&[&record]).await[0]));
        running.strike("BatchMeterUsage", FaultKind::DropAfter, 9);
        let error = running.batch(&[&record]).await.unwrap_err();
        assert_eq!(error.code, "ConnectionFailed");
        assert_eq!(running.billed(), [("gb".to_owned(), "1.5".to_owned())]);
    });
}

#[test]
fn partial_answers_decide_only_the_records_that_they_name() {
    run(async {
        let running = running().await;
        let buyer = running.buys(LICENSED);
        let (a, b) = (of(&buyer, "gb", "1"), of(&buyer, "hours", "2"));
        let after = async |kind| {
            running.strike("BatchMeterUsage", kind, 1);
            running.verdicts(&[&a, &b]).await
        };
        let verdicts = after(FaultKind::Unprocessed).await;
        assert_eq!(
            verdicts.iter().filter(|v| is_accepted(v)).count(),
            1,
            "{verdicts:?}"
        );
        assert!(verdicts.contains(&Verdict::Unprocessed));
        assert!(
            after(FaultKind::MissingRecord)
                .await
                .contains(&Verdict::Unanswered)
        );
        assert!(
            after(FaultKind::MissingStatus)
                .await
                .contains(&Verdict::Unanswered)
        );
        let unknown = after(FaultKind::UnknownStatus).await;
        assert!(
            unknown
                .iter()
                .any(|v| matches!(v, Verdict::UnknownStatus(_))),
            "{unknown:?}"
        );
        assert!(after(FaultKind::Reorder).await.iter().all(is_accepted));
    });
}

#[test]
fn refusals_of_the_service_have_different_codes() {
    run(async {
        let running = running().await;
        let buyer = running.buys(LICENSED);
        let error = running.batch(&[&of(&buyer, "gbs", "1")]).await.unwrap_err();
        assert_eq!(error.code, "InvalidUsageDimensionException");
        assert_eq!(error.about(), About::Record);
        let mut old = of(&buyer, "gb", "1");
        old.stamp = "2026-11-20T11:00:00Z".parse().unwrap();
        let error = running.batch(&[&old]).await.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.http_status),
            ("TimestampOutOfBoundsException", Some(400))
        );
        assert_eq!(error.about(), About::RecordForNow);
        assert!(error.request_id.is_some());
        for (kind, code) in [
            (FaultKind::Throttling, "ThrottlingException"),
            (FaultKind::InternalError, "InternalServiceErrorException"),
            (FaultKind::DisabledApi, "DisabledApiException"),
            (FaultKind::AccessDenied, "AccessDeniedException"),
            (FaultKind::ExpiredCredentials, "ExpiredTokenException"),
            (FaultKind::UnknownError, "ServiceUnavailableException"),
            (FaultKind::DropBefore, "ConnectionFailed"),
        ] {
            running.strike("BatchMeterUsage", kind, 9);
            let error = running.batch(&[&of(&buyer, "gb", "1")]).await.unwrap_err();
            assert_eq!(error.code, code);
            assert_eq!(error.about(), About::Request, "{code}");
        }
        assert!(running.billed().is_empty());
    });
}

#[test]
fn the_buyer_renews_a_bad_token_but_not_expired_credentials() {
    run(async {
        let running = running().await;
        let buyer = running.buys(LICENSED);
        let resolve = async |token: &str| {
            let token = RegistrationToken::new(token.to_owned()).unwrap();
            running.api.resolve_customer(&token).await
        };
        assert_eq!(
            resolve("made-up").await,
            Err(ResolveCustomerError::InvalidToken)
        );
        running.strike("ResolveCustomer", FaultKind::ExpiredCredentials, 9);
        let error = resolve(&buyer.agreement.registration_token)
            .await
            .unwrap_err();
        assert_eq!(error.advice(), BuyerAdvice::ContactSupport, "{error:?}");
        running.strike("ResolveCustomer", FaultKind::Throttling, 1);
        assert!(resolve(&buyer.agreement.registration_token).await.is_ok());
        running
            .emulator
            .set_clock(Some("2026-11-22T12:00:00Z".parse().unwrap()), None);
        let expired = resolve(&buyer.agreement.registration_token).await;
        assert_eq!(expired, Err(ResolveCustomerError::ExpiredToken));
    });
}

#[test]
fn usage_that_the_software_meters_gets_one_record_per_hour() {
    run(async {
        let running = running().await;
        let now: jiff::Timestamp = "2026-11-21T11:20:00Z".parse().unwrap();
        let usage = |quantity: &str| {
            let (product, dimension) = (LEGACY.parse().unwrap(), "gb".parse().unwrap());
            MeterUsageRequest::new(product, now, dimension, quantity.parse().unwrap())
        };
        let code = async |request: MeterUsageRequest| {
            running.api.meter_usage(&request).await.unwrap_err().code
        };
        assert_eq!(code(usage("1")).await, "CustomerNotEntitledException");
        running.buys(LEGACY);
        let split = vec![share(&[("team", "a")], "1.25"), share(&[], "1.25")];
        let request = usage("2.5").with_allocations(split).unwrap();
        assert_eq!(code(request.clone().dry_run(true)).await, "DryRunOperation");
        running.strike("MeterUsage", FaultKind::DropAfter, 1);
        let first = running.api.meter_usage(&request).await.unwrap();
        assert_eq!(running.api.meter_usage(&request).await.unwrap(), first);
        assert_eq!(code(usage("3")).await, "DuplicateRequestException");
        let named = |quantity: &str| usage(quantity).with_client_token("t-1").unwrap();
        assert_eq!(running.api.meter_usage(&named("2.5")).await.unwrap(), first);
        assert_eq!(code(named("3")).await, "IdempotencyConflictException");
    });
}

#[test]
fn on_agentcore_every_call_is_more_usage_but_a_retry_is_not() {
    run(async {
        let running = running().await;
        running.buys(LEGACY);
        let platform = Platform::AgentCore;
        running.emulator.set_settings(Settings {
            platform,
            ..running.emulator.settings()
        });
        let usage = MeterUsageRequest::new(
            LEGACY.parse().unwrap(),
            "2026-11-21T11:20:00Z".parse().unwrap(),
            "gb".parse().unwrap(),
            "2.5".parse().unwrap(),
        );
        running.strike("MeterUsage", FaultKind::DropAfter, 1);
        let first = running.api.meter_usage(&usage).await.unwrap();
        assert_eq!(running.billed().len(), 1);
        assert_ne!(running.api.meter_usage(&usage).await.unwrap(), first);
        assert_eq!(running.billed().len(), 2);
    });
}

#[cfg(feature = "register-usage")]
#[test]
fn a_registered_container_proves_by_the_signature_that_aws_answered() {
    use metering_api::{Expected, InvalidSignature, verify_register_usage};
    run(async {
        let running = running().await;
        let expected = Expected {
            product: LICENSED.parse().unwrap(),
            public_key_version: 1,
            nonce: Some("n-1".to_owned()),
        };
        let nonce = expected.nonce.clone();
        let request = RegisterUsageRequest::new(expected.product.clone(), 1, nonce).unwrap();
        let refused = running.api.register_usage(&request).await.unwrap_err();
        assert!(
            matches!(refused, RegisterUsageError::NotEntitled(_)),
            "{refused}"
        );
        running.buys(LICENSED);
        let answer = running.api.register_usage(&request).await.unwrap();
        assert_eq!(answer.public_key_rotation, None);
        let pem = |version| running.emulator.public_key(version).unwrap().pem;
        let claims = verify_register_usage(&answer.signature, &pem(1), &expected).unwrap();
        assert_eq!(
            claims.issued_at,
            Some("2026-11-21T12:00:00Z".parse().unwrap())
        );

        running.emulator.rotate_public_key().unwrap();
        let answer = running.api.register_usage(&request).await.unwrap();
        assert_eq!(
            answer.public_key_rotation,
            Some("2026-11-21T12:00:00Z".parse().unwrap())
        );
        assert!(verify_register_usage(&answer.signature, &pem(1), &expected).is_ok());
        assert_eq!(
            verify_register_usage(&answer.signature, &pem(2), &expected),
            Err(InvalidSignature::Forged(1))
        );
    });
}
