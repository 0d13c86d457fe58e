//! A stack that runs in another account than the listing calls AWS Marketplace with the credentials
//! of a role there.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use end_to_end::world::{STACK, World};
use tokio::net::TcpListener;

const ROLE: &str = "arn:aws:iam::333333333333:role/listing-Role-EXAMPLE";
const EXTERNAL_ID: &str = "example-external-id";
/// The access key of the function's own credentials.
const OWN_KEY: &str = "example";
/// The access key of the role's credentials.
const ROLE_KEY: &str = "ASIAEXAMPLEROLE";

/// The answer of STS to AssumeRole. Source: STS API reference, AssumeRole, sample response.
const ASSUMED: &str = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleResult>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::333333333333:assumed-role/listing-Role-EXAMPLE/metering</Arn>
      <AssumedRoleId>AROAEXAMPLE:metering</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>ASIAEXAMPLEROLE</AccessKeyId>
      <SecretAccessKey>example-secret</SecretAccessKey>
      <SessionToken>example-session-token</SessionToken>
      <Expiration>2099-01-01T00:00:00Z</Expiration>
    </Credentials>
  </AssumeRoleResult>
  <ResponseMetadata>
    <RequestId>00000000-0000-4000-8000-000000000001</RequestId>
  </ResponseMetadata>
</AssumeRoleResponse>"#;
/// The answer of STS to a caller that the role does not trust.
const DENIED: &str = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error>
    <Type>Sender</Type>
    <Code>AccessDenied</Code>
    <Message>The caller is not authorized to perform: sts:AssumeRole</Message>
  </Error>
  <RequestId>00000000-0000-4000-8000-000000000002</RequestId>
</ErrorResponse>"#;

/// A request that the account of the listing received.
#[derive(Debug, Clone, PartialEq)]
struct Received {
    /// `AssumeRole`, or the target of a call of the metering service.
    operation: String,
    /// The access key with which the request was signed.
    access_key: String,
    /// The session token, which temporary credentials have.
    session_token: String,
    body: String,
}

/// STS and the metering service of the account of the listing. It knows no registration token.
struct Listing {
    trusts: bool,
    received: Mutex<Vec<Received>>,
}

impl Listing {
    /// Starts both services at one address. Returns them with their URL.
    async fn start(trusts: bool) -> (Arc<Self>, String) {
        let listing = Arc::new(Self {
            trusts,
            received: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(listing.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (listing, url)
    }

    fn received(&self) -> Vec<Received> {
        let received = self.received.lock();
        received.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(State(listing): State<Arc<Listing>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let target = header("x-amz-target");
    let is_sts = target.is_empty();
    let authorization = header("authorization");
    let (_, credential) = authorization
        .split_once("Credential=")
        .expect("a signed request");
    let received = Received {
        operation: match is_sts {
            true => "AssumeRole".to_owned(),
            false => target,
        },
        access_key: credential.split('/').next().unwrap_or_default().to_owned(),
        session_token: header("x-amz-security-token"),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let mut all = listing
        .received
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    all.push(received);
    let (status, media_type, body) = match (is_sts, listing.trusts) {
        (true, true) => (StatusCode::OK, "text/xml", ASSUMED),
        (true, false) => (StatusCode::FORBIDDEN, "text/xml", DENIED),
        (false, _) => (
            StatusCode::BAD_REQUEST,
            "application/x-amz-json-1.1",
            r#"{"__type":"InvalidTokenException","message":"Registration token is invalid"}"#,
        ),
    };
    (status, [("content-type", media_type)], body).into_response()
}

/// The settings of a function whose stack runs in another account than the listing.
fn settings(url: &str) -> [(&str, &str); 5] {
    [
        ("MARKETPLACE_ENDPOINT", ""),
        ("MARKETPLACE_ROLE_ARN", ROLE),
        ("MARKETPLACE_ROLE_EXTERNAL_ID", EXTERNAL_ID),
        ("AWS_ENDPOINT_URL_STS", url),
        ("AWS_ENDPOINT_URL_MARKETPLACE_METERING", url),
    ]
}

#[tokio::test]
async fn a_buyer_is_resolved_with_the_credentials_of_the_role() {
    let (listing, url) = Listing::start(true).await;
    let world = World::start().await;
    let settings = settings(&url);
    let function = world.function_with("Registration", &settings).await;
    for _ in 0..2 {
        let answer = function.answer("registration-post-unknown-token").await;
        assert_eq!(answer["statusCode"], 400, "{answer}");
        let page = answer["body"].as_str().expect("a page");
        assert!(page.contains("Please start again"), "{page}");
    }

    // Two calls need credentials once.
    let received = listing.received();
    let [assumed, first, second] = &received[..] else {
        panic!("{received:?}");
    };
    assert_eq!(assumed.operation, "AssumeRole");
    assert_eq!(assumed.access_key, OWN_KEY);
    let role = ROLE.replace(':', "%3A").replace('/', "%2F");
    for parameter in [
        "Action=AssumeRole".to_owned(),
        format!("RoleArn={role}"),
        format!("ExternalId={EXTERNAL_ID}"),
        format!("RoleSessionName={STACK}"),
    ] {
        let mut parameters = assumed.body.split('&');
        assert!(parameters.any(|one| one == parameter), "{assumed:?}");
    }
    for call in [first, second] {
        assert_eq!(call.operation, "AWSMPMeteringService.ResolveCustomer");
        assert_eq!(call.access_key, ROLE_KEY);
        assert_eq!(call.session_token, "example-session-token");
    }
}

#[tokio::test]
async fn a_buyer_is_sent_to_support_if_the_role_does_not_trust_the_stack() {
    let (listing, url) = Listing::start(false).await;
    let world = World::start().await;
    let settings = settings(&url);
    let function = world.function_with("Registration", &settings).await;
    let answer = function.answer("registration-post-unknown-token").await;
    let page = answer["body"].as_str().expect("a page");
    assert!(page.contains("contact support"), "{page}");
    let received = listing.received();
    assert!(!received.is_empty());
    let is_sts = |one: &Received| one.operation == "AssumeRole";
    assert!(received.iter().all(is_sts), "{received:?}");
}

/// A replacement of AWS must not receive the credentials of the role, and STS must not be asked for
/// them.
#[tokio::test]
async fn no_role_is_assumed_for_a_replacement_of_aws_marketplace() {
    let (listing, url) = Listing::start(true).await;
    let world = World::start().await;
    let [_endpoint, settings @ ..] = settings(&url);
    let function = world.function_with("Registration", &settings).await;
    let answer = function.answer("registration-post-unknown-token").await;
    assert_eq!(answer["statusCode"], 400, "{answer}");
    let received = listing.received();
    assert!(received.is_empty(), "{received:?}");
}
