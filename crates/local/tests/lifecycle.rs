//! Lifecycle messages that the agreements function cannot handle at first.

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use emulator::{Agreement, Identity, NewAgreement, NewProduct};
use jiff::SignedDuration;
use local::stack::{Stack, StackOptions};
use marketplace::Subscription;
use marketplace::lifecycle::Status;

const TABLE: &str = "metering-Subscriptions";

struct World {
    stack: Stack,
    client: aws_sdk_dynamodb::Client,
}

impl World {
    async fn start(data_dir: Option<std::path::PathBuf>) -> Self {
        let stack = Stack::start(StackOptions {
            now: Some("2026-11-10T09:05:00Z".parse().unwrap()),
            speed: 0.0,
            data_dir,
            ..StackOptions::default()
        })
        .await
        .unwrap();
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .endpoint_url(stack.dynamodb().endpoint())
            .build();
        let client = aws_sdk_dynamodb::Client::from_conf(config);
        Self { stack, client }
    }

    fn sell(&self, identity: Identity) -> Agreement {
        let emulator = self.stack.emulator();
        emulator
            .add_product(NewProduct::new("sold", &["gb"], identity))
            .unwrap();
        emulator.add_agreement(NewAgreement::of("sold")).unwrap()
    }

    /// Damages the facts about `whom`, so that no message about it can be handled.
    async fn damage(&self, whom: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        self.client
            .put_item()
            .table_name(TABLE)
            .item("subscription", text(whom))
            .item("item", text("facts"))
            .item("version", text("damaged"))
            .send()
            .await
            .unwrap();
    }

    async fn mend(&self, whom: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        self.client
            .delete_item()
            .table_name(TABLE)
            .key("subscription", text(whom))
            .key("item", text("facts"))
            .send()
            .await
            .unwrap();
    }

    async fn pass(&mut self, minutes: i64) {
        let until = self.stack.emulator().now() + SignedDuration::from_mins(minutes);
        self.stack.run_until(until).await.unwrap();
    }

    async fn status(&self, subscription: &Subscription) -> Option<Status> {
        let profile = self.stack.ledger().profile(subscription).await.unwrap();
        profile.map(|profile| profile.status())
    }

    fn failures(&self) -> u64 {
        let counts = self.stack.counts();
        counts.failures.get("agreements").copied().unwrap_or(0)
    }
}

#[tokio::test]
async fn an_sns_message_that_is_asked_for_again_is_delivered_again() {
    let mut world = World::start(None).await;
    let agreement = world.sell(Identity::Customer);
    let customer = agreement.customer_identifier;
    let subscription: Subscription = format!("legacy|sold|{customer}").parse().unwrap();
    let whom = format!("customer|sold|{customer}");
    world.damage(&whom).await;
    world.pass(5).await;
    assert_eq!(world.status(&subscription).await, None);
    world.mend(&whom).await;
    world.pass(12).await;
    assert_eq!(world.status(&subscription).await, Some(Status::Active));
}

#[tokio::test]
async fn an_event_whose_three_tries_failed_is_delivered_again() {
    let mut world = World::start(None).await;
    let agreement = world.sell(Identity::License);
    let subscription: Subscription = agreement.license_arn.parse().unwrap();
    let whom = format!(
        "license|{}|{}",
        agreement.agreement_id, agreement.license_arn
    );
    world.damage(&whom).await;
    world.pass(5).await;
    assert!(world.failures() >= 3, "{}", world.failures());
    assert_eq!(world.status(&subscription).await, None);
    world.mend(&whom).await;
    world.pass(12).await;
    assert_eq!(world.status(&subscription).await, Some(Status::Active));
}

#[tokio::test]
async fn an_unhandled_message_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = Some(folder.path().to_owned());
    let mut world = World::start(data_dir.clone()).await;
    let agreement = world.sell(Identity::License);
    let subscription: Subscription = agreement.license_arn.parse().unwrap();
    let whom = format!(
        "license|{}|{}",
        agreement.agreement_id, agreement.license_arn
    );
    world.damage(&whom).await;
    world.pass(5).await;
    world.stack.shutdown().unwrap();

    let mut world = World::start(data_dir).await;
    world.mend(&whom).await;
    world.pass(12).await;
    assert_eq!(world.status(&subscription).await, Some(Status::Active));
}
