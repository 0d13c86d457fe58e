//! Buyers who subscribe at the emulator and register at the real page. The HTTP goes over real
//! sockets, and the tables are in an embedded DynamoDB.
#![allow(
    dead_code,
    reason = "each test binary uses its own part of the buyers' world"
)]

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use emulator::{
    Agreement, Emulator, Identity, LifecycleMessage, NewAgreement, NewProduct, Options,
};
use jiff::SignedDuration;
use ledger::product::Product;
use ledger::profile::Profile;
use ledger::{Ledger, TableNames, Written};
use local::dynamodb::EmbeddedDynamoDb;
use marketplace::{IdentityKind, Subscription};
use runtime::{BatchResponse, Budget, Clock, Env};
use serde_json::{Value, json};
pub use simulation::at;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The key with which the sample events are signed.
pub const SESSION_KEY: &str = "a key for this machine only, never used on AWS";

pub const TOKEN: &str = "x-amzn-marketplace-token";

/// The media type of forms.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// One product for each identity, with the identity in the stack and at the emulator.
const PRODUCTS: [(&str, IdentityKind, Identity); 3] = [
    ("examplecode1", IdentityKind::License, Identity::License),
    ("examplecode2", IdentityKind::Customer, Identity::Customer),
    ("examplecode3", IdentityKind::Account, Identity::Customer),
];

pub struct Buyers {
    pub emulator: Emulator,
    pub database: EmbeddedDynamoDb,
    pub ledger: Ledger,
    pub agreements: agreements::App,
    pub page: std::net::SocketAddr,
    env: BTreeMap<String, String>,
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The address to which the answer sends the browser.
    pub fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    /// The cookie that the answer sets, as the browser sends it back; `None` if it sets none.
    pub fn cookie(&self) -> Option<&str> {
        let set = self.header("set-cookie")?;
        set.split(';').next()
    }
}

impl Buyers {
    pub async fn new() -> Self {
        Self::with_env(&[]).await
    }

    /// A world in which these settings replace the usual ones.
    pub async fn with_env(settings: &[(&str, &str)]) -> Self {
        let emulator = Emulator::new(Options {
            now: Some(at("2026-11-20T14:23:22Z")),
            speed: 0.0,
            ..Options::default()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let marketplace = format!("http://{}", listener.local_addr().unwrap());
        let serving = emulator.clone();
        tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });

        let clock = emulator.clone();
        let database = EmbeddedDynamoDb::start(
            TcpListener::bind("127.0.0.1:0").unwrap(),
            None,
            Arc::new(move || clock.now()),
        )
        .unwrap();
        let names = TableNames::of_stack("metering");
        for definition in ledger::tables::definitions(&names) {
            database.create_table(definition).unwrap();
        }
        let mut env: BTreeMap<String, String> = [
            ("SUBSCRIPTIONS_TABLE", names.subscriptions.as_str()),
            ("USAGE_EVENTS_TABLE", &names.usage_events),
            ("METERING_RECORDS_TABLE", &names.metering_records),
            ("DYNAMODB_ENDPOINT", &database.endpoint()),
            ("MARKETPLACE_ENDPOINT", &marketplace),
            ("AWS_REGION", "us-east-1"),
            ("SELLER_NAME", "Example & Sons"),
            ("SUPPORT_CONTACT", "help@example.com"),
            ("SESSION_KEY", SESSION_KEY),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        env.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );

        let clock = in_process(&emulator);
        let mut agreements = agreements::App::start(&Env::of(env.clone())).await.unwrap();
        agreements.clock = clock;
        let ledger = agreements.ledger.clone();
        let buyers = Self {
            page: serve_page(&emulator, &env).await,
            emulator,
            database,
            ledger,
            agreements,
            env,
        };
        for (code, _, identity) in PRODUCTS {
            let product = NewProduct::new(code, &["gb"], identity);
            buyers.emulator.add_product(product).unwrap();
        }
        buyers
    }

    /// Configures in the stack how each product identifies its buyers.
    pub async fn configure_products(&self) {
        for (code, identity, _) in PRODUCTS {
            let product = Product {
                code: code.parse().unwrap(),
                identity,
                dimensions: ["gb".parse().unwrap()].into(),
                version: 1,
            };
            let written = self.ledger.write_product(None, &product).await.unwrap();
            assert_eq!(written, Written::Done);
        }
    }

    /// Starts a second registration page with other settings.
    pub async fn page_with(&self, settings: &[(&str, &str)]) -> std::net::SocketAddr {
        let mut env = self.env.clone();
        for (name, value) in settings {
            env.insert((*name).to_owned(), (*value).to_owned());
        }
        serve_page(&self.emulator, &env).await
    }

    /// Starts a second `agreements` function with other settings.
    pub async fn agreements_with(&self, settings: &[(&str, &str)]) -> agreements::App {
        let mut env = self.env.clone();
        for (name, value) in settings {
            env.insert((*name).to_owned(), (*value).to_owned());
        }
        let mut app = agreements::App::start(&Env::of(env)).await.unwrap();
        app.clock = in_process(&self.emulator);
        app
    }

    pub fn subscribe(&self, product: &str) -> Agreement {
        self.emulator
            .add_agreement(NewAgreement::of(product))
            .unwrap()
    }

    /// The stack's name for the subscription of a purchase.
    pub fn subscription(&self, product: &str, agreement: &Agreement) -> Subscription {
        let (_, kind, _) = PRODUCTS
            .into_iter()
            .find(|(code, _, _)| *code == product)
            .unwrap();
        match kind {
            IdentityKind::License => agreement.license_arn.parse().unwrap(),
            IdentityKind::Customer => format!("legacy|{product}|{}", agreement.customer_identifier)
                .parse()
                .unwrap(),
            IdentityKind::Account => format!("account|{product}|{}", agreement.account_id)
                .parse()
                .unwrap(),
        }
    }

    pub async fn profile(&self, subscription: &Subscription) -> Option<Profile> {
        self.ledger.profile(subscription).await.unwrap()
    }

    pub fn advance(&self, seconds: i64) {
        let now = self.emulator.now() + SignedDuration::from_secs(seconds);
        self.emulator.set_clock(Some(now), None);
    }

    /// Posts the token as the buyer's browser does.
    pub async fn register(&self, token: &str) -> Answer {
        self.post("/register", &[(TOKEN, token)]).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        request(self.page, "POST", path, Some(FORM), &form_of(form)).await
    }

    /// Sends the request in a sample event of API Gateway.
    pub async fn send(&self, event: &Value) -> Answer {
        let body = event["body"].as_str().unwrap_or_default();
        let body = if event["isBase64Encoded"] == true {
            let bytes = base64::engine::general_purpose::STANDARD.decode(body);
            String::from_utf8(bytes.unwrap()).unwrap()
        } else {
            body.to_owned()
        };
        let method = event["requestContext"]["http"]["method"].as_str().unwrap();
        let path = event["rawPath"].as_str().unwrap();
        let mut headers: Vec<(&str, String)> = ["content-type", "sec-fetch-site"]
            .into_iter()
            .filter_map(|name| Some((name, event["headers"][name].as_str()?.to_owned())))
            .collect();
        if let Some(cookies) = event["cookies"].as_array() {
            let cookies = cookies.iter().filter_map(Value::as_str);
            headers.push(("cookie", cookies.collect::<Vec<_>>().join("; ")));
        }
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        request_with(self.page, method, path, &headers, &body).await
    }

    /// Invokes the function with an event, as EventBridge or SQS would.
    pub async fn deliver(&self, event: Value) -> BatchResponse {
        agreements::handle(&self.agreements, event, budget())
            .await
            .unwrap()
    }

    /// A client of the tables, for writes that no function makes.
    pub fn client(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
            .credentials_provider(aws_sdk_dynamodb::config::Credentials::new(
                "local", "local", None, None, "tests",
            ))
            .endpoint_url(self.database.endpoint())
            .build();
        aws_sdk_dynamodb::Client::from_conf(config)
    }

    /// Puts an item of Subscriptions that no function wrote.
    pub async fn put(&self, attributes: &[(&str, &str)]) {
        let mut request = self
            .client()
            .put_item()
            .table_name(&self.ledger.tables().subscriptions);
        for (name, value) in attributes {
            request = request.item(*name, AttributeValue::S((*value).to_owned()));
        }
        request.send().await.unwrap();
    }

    /// Deletes an item of Subscriptions.
    pub async fn forget(&self, partition: &str, sort: &str) {
        self.client()
            .delete_item()
            .table_name(&self.ledger.tables().subscriptions)
            .key("subscription", AttributeValue::S(partition.to_owned()))
            .key("item", AttributeValue::S(sort.to_owned()))
            .send()
            .await
            .unwrap();
    }

    /// Every attribute of every item of Subscriptions, as text.
    pub async fn everything_stored(&self) -> String {
        let client = self.client();
        let mut texts = Vec::new();
        for table in [
            &self.ledger.tables().subscriptions,
            &self.ledger.tables().metering_records,
        ] {
            let scanned = client.scan().table_name(table).send().await.unwrap();
            for item in scanned.items() {
                texts.push(text_of(item));
            }
        }
        texts.sort();
        texts.join("\n")
    }
}

fn in_process(emulator: &Emulator) -> Clock {
    let emulator = emulator.clone();
    Clock::InProcess(Arc::new(move || emulator.now()))
}

async fn serve_page(emulator: &Emulator, env: &BTreeMap<String, String>) -> std::net::SocketAddr {
    let mut app = registration::App::start(&Env::of(env.clone()))
        .await
        .unwrap();
    app.clock = in_process(emulator);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = registration::router(Arc::new(app));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Makes one HTTP/1.1 request and returns the answer.
pub async fn request(
    address: std::net::SocketAddr,
    method: &str,
    path: &str,
    content_type: Option<&str>,
    body: &str,
) -> Answer {
    let headers: Vec<_> = content_type
        .map(|kind| ("content-type", kind))
        .into_iter()
        .collect();
    request_with(address, method, path, &headers, body).await
}

/// Makes one HTTP/1.1 request with these headers and returns the answer.
pub async fn request_with(
    address: std::net::SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let headers: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let (headers, length) = (headers.concat(), body.len());
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// The body of a form.
pub fn form_of(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    fields.join("&")
}

/// Every attribute of an item, in the order of their names.
fn text_of(item: &HashMap<String, AttributeValue>) -> String {
    let mut attributes: Vec<String> = item
        .iter()
        .map(|(name, value)| match value {
            AttributeValue::S(text) | AttributeValue::N(text) => format!("{name}={text}"),
            AttributeValue::M(item) => format!("{name}=({})", text_of(item)),
            other => format!("{name}={other:?}"),
        })
        .collect();
    attributes.sort();
    attributes.join(" ")
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

pub fn budget() -> Budget {
    Budget::of(Duration::from_secs(60))
}

/// The event with which the function is invoked for a lifecycle message.
pub fn event_of(message: LifecycleMessage) -> Value {
    match message {
        LifecycleMessage::EventBridge(event) => event,
        LifecycleMessage::Sns {
            topic_arn,
            message,
            message_id,
            timestamp,
        } => {
            let envelope = json!({
                "Type": "Notification",
                "MessageId": message_id,
                "TopicArn": topic_arn,
                "Message": message,
                "Timestamp": timestamp.to_string(),
            });
            json!({"Records": [{
                "messageId": format!("queued-{message_id}"),
                "body": envelope.to_string(),
                "attributes": {"SentTimestamp": timestamp.as_millisecond().to_string()},
                "eventSource": "aws:sqs",
            }]})
        }
    }
}

/// The content of a file in `events/`.
pub fn sample(name: &str) -> Value {
    let path = format!("{}/../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
