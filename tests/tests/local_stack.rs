//! Uses what `metering local` runs as an application with AWS's own SDK does, from the registration
//! token to the bill.

use std::net::{Ipv4Addr, SocketAddr};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_marketplacemetering::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_marketplacemetering::primitives::DateTime;
use aws_sdk_marketplacemetering::types::{UsageRecord, UsageRecordResultStatus};
use emulator::{Agreement, Identity, NewAgreement, NewProduct};
use jiff::{SignedDuration, Timestamp};
use local::server::{Server, ServerOptions};
use marketplace::{Quantity, Total};

/// The start lies within a month, so that no month ends during the test.
const START: &str = "2026-11-10T09:05:00Z";
const HOUR: &str = "2026-11-10T09";
const ROWS: u64 = 600;
const REPEATED: u64 = 50;

struct Application {
    server: Server,
    metering: aws_sdk_marketplacemetering::Client,
    dynamodb: aws_sdk_dynamodb::Client,
}

impl Application {
    async fn start() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(ServerOptions {
            http: any,
            aws: any,
            dynamodb: any,
            data_dir: None,
            speed: Some(0.0),
            sample: false,
            env: Vec::new(),
        })
        .await
        .unwrap();
        let stack = server.stack();
        stack
            .emulator()
            .set_clock(Some(START.parse().unwrap()), None);
        let region = Region::new("us-east-1");
        let credentials = || Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
        let metering = aws_sdk_marketplacemetering::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region.clone())
            .credentials_provider(credentials())
            .endpoint_url(format!("http://{}", stack.aws()))
            .build();
        let dynamodb = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region)
            .credentials_provider(credentials())
            .endpoint_url(stack.dynamodb().endpoint())
            .build();
        Self {
            metering: aws_sdk_marketplacemetering::Client::from_conf(metering),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb),
            server,
        }
    }

    /// Lists a product without configuring it in the stack, and makes a purchase of it.
    async fn sell(&mut self) -> Agreement {
        let emulator = self.server.stack().emulator();
        let dimensions = ["gb", "requests"];
        emulator
            .add_product(NewProduct::new("sold", &dimensions, Identity::License))
            .unwrap();
        let agreement = emulator.add_agreement(NewAgreement::of("sold")).unwrap();
        self.server.turn().await;
        agreement
    }

    /// Moves the clock forward in small steps, like a running clock.
    async fn pass(&mut self, hours: i64) {
        for _ in 0..hours * 20 {
            let emulator = self.server.stack().emulator();
            let now = emulator.now() + SignedDuration::from_mins(3);
            emulator.set_clock(Some(now), None);
            self.server.turn().await;
            while self.server.is_behind() {
                self.server.turn().await;
            }
        }
    }

    /// Puts a row of the hour in which the product was sold. Returns `false` if the row existed
    /// already.
    async fn put(&self, license: &str, id: &str, quantity: AttributeValue) -> bool {
        let text = |text: String| AttributeValue::S(text);
        let put = self
            .dynamodb
            .put_item()
            .table_name("metering-UsageEvents")
            .item("subscription_hour", text(format!("{license}@{HOUR}")))
            .item("dimension_event", text(format!("gb#{id}")))
            .item("quantity", quantity)
            .item("time", text(format!("{HOUR}:30:00Z")))
            .condition_expression("attribute_not_exists(subscription_hour)")
            .send()
            .await;
        match put {
            Ok(_) => true,
            Err(error) => {
                let error = error.into_service_error();
                assert!(error.is_conditional_check_failed_exception(), "{error}");
                false
            }
        }
    }

    /// The quantities in AWS Marketplace's own slots for a dimension, by hour.
    fn billed(&self, dimension: &str) -> Vec<(Timestamp, Total)> {
        let slots = self.server.stack().emulator().metered();
        let mut billed: Vec<(Timestamp, Total)> = slots
            .iter()
            .filter(|slot| slot.dimension == dimension)
            .map(|slot| {
                let quantity: Quantity = slot.quantity.to_string().parse().unwrap();
                (slot.hour, quantity.into())
            })
            .collect();
        billed.sort();
        billed
    }
}

fn number(micros: u64) -> AttributeValue {
    AttributeValue::N(Quantity::from_micros(micros).unwrap().to_string())
}

#[tokio::test]
async fn from_a_registration_token_to_the_exact_bill() {
    let mut application = Application::start().await;
    let agreement = application.sell().await;
    let license = agreement.license_arn.as_str();

    let resolved = application
        .metering
        .resolve_customer()
        .registration_token(&agreement.registration_token)
        .send()
        .await
        .unwrap();
    assert_eq!(resolved.license_arn(), Some(license));
    assert_eq!(resolved.product_code(), Some("sold"));

    // This dimension is not metered by the stack.
    let start: Timestamp = START.parse().unwrap();
    let record = UsageRecord::builder()
        .timestamp(DateTime::from_secs(start.as_second()))
        .dimension("requests")
        .customer_aws_account_id(&agreement.account_id)
        .license_arn(license)
        .quantity(12)
        .build()
        .unwrap();
    let metered = application
        .metering
        .batch_meter_usage()
        .usage_records(record)
        .send()
        .await
        .unwrap();
    assert_eq!(
        metered.results()[0].status(),
        Some(&UsageRecordResultStatus::Success)
    );

    let mut expected = 0;
    for row in 0..ROWS {
        let micros = row * 7_919 + 1;
        let id = format!("event-{row}");
        assert!(application.put(license, &id, number(micros)).await);
        if row < REPEATED {
            assert!(!application.put(license, &id, number(micros)).await);
        }
        expected += micros;
    }
    let malformed = AttributeValue::S("a lot".to_owned());
    assert!(application.put(license, "malformed", malformed).await);

    application.pass(2).await;
    let hour: Timestamp = format!("{HOUR}:00:00Z").parse().unwrap();
    let expected = Total::from_micros(expected.into());
    assert_eq!(application.billed("gb"), [(hour, expected)]);
    assert_eq!(
        application.billed("requests"),
        [(hour, Total::from_micros(12_000_000))]
    );

    // A further row of the sealed hour is billed with the hour that is running when it arrives.
    let running: Timestamp = "2026-11-10T11:00:00Z".parse().unwrap();
    assert!(application.put(license, "late", number(750_000)).await);
    application.pass(2).await;
    assert_eq!(
        application.billed("gb"),
        [(hour, expected), (running, Total::from_micros(750_000))]
    );
    application.server.shutdown().unwrap();
}
