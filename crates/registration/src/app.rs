//! The settings and clients of the function.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use ledger::Ledger;
use metering_api::MeteringApi;
use runtime::metrics::{count, emit};
use runtime::settings::Products;
use runtime::{Clock, Env, SettingError, StartError, clients};

use crate::design::Design;
use crate::page::{Content, InvalidSupport, Pages, Seller, Support};
use crate::page_settings::Destination;
use crate::refusal::Refusal;
use crate::signing::SessionKey;

/// The largest number of transmissions of one call by the SDK. ResolveCustomer may be repeated,
/// because it changes nothing.
const TRANSMISSIONS_MAX: u32 = 3;

/// The issuer of tickets if `STACK_NAME` is not set, for example on a developer's machine.
const STACK_NAME_DEFAULT: &str = "metering";

/// The settings and clients of the function.
#[derive(Debug, Clone)]
pub struct App {
    /// The access to the tables in DynamoDB.
    pub ledger: Ledger,
    /// The client of the AWS Marketplace Metering Service.
    pub metering: MeteringApi,
    /// The current time, which tests can set.
    pub clock: Clock,
    /// The products that this stack serves.
    pub products: Products,
    /// The seller that the pages name.
    pub seller: Seller,
    /// The key that signs cookies, forms and tickets.
    pub session: SessionKey,
    /// The name of the stack, which tickets name as their issuer.
    pub stack: String,
    /// The seller's own sign-up, to which buyers are sent with a ticket. `None` if this stack shows
    /// its own sign-up page.
    pub sign_up_url: Option<Destination>,
    design: Design,
}

impl App {
    /// Reads the settings: the table names, `MARKETPLACE_ENDPOINT`, `METERING_REGION`,
    /// `PRODUCT_CODES`, `SELLER_NAME` (by default "the seller"), `SUPPORT_CONTACT` (an e-mail
    /// address or a URL), `SESSION_KEY` (a secret of at least 32 bytes), `SIGN_UP_URL` (the seller's
    /// own sign-up, if there is one) and `STACK_NAME` (by default "metering").
    pub async fn start(env: &Env) -> Result<Self, StartError> {
        let ledger = clients::ledger(env).await?;
        let metering = clients::metering_api(env, TRANSMISSIONS_MAX).await?;
        Ok(Self::new(env, ledger, metering, Clock::from_env(env)?)?)
    }

    /// Makes the function of its parts, with the settings in `env`.
    pub fn new(
        env: &Env,
        ledger: Ledger,
        metering: MeteringApi,
        clock: Clock,
    ) -> Result<Self, SettingError> {
        let seller = seller(env)?;
        Ok(Self {
            ledger,
            metering,
            clock,
            products: Products::from_env(env)?,
            design: Design::of(seller.clone()),
            seller,
            session: session_key(env)?,
            stack: env
                .text_opt("STACK_NAME")
                .unwrap_or(STACK_NAME_DEFAULT)
                .to_owned(),
            sign_up_url: sign_up_url(env)?,
        })
    }

    /// The current time. If it cannot be read, the buyer is asked to try again.
    pub(crate) async fn now(&self) -> Result<Timestamp, Refusal> {
        self.clock.now().await.map_err(|error| {
            tracing::error!(%error, "the registration failed; the buyer is asked to try again");
            Refusal::TryAgainSoon
        })
    }

    /// The pages in the seller's design.
    pub(crate) async fn pages(&self) -> Pages {
        self.design.pages(&self.ledger, &self.clock).await
    }

    /// Shows a page in the language that the browser wants.
    pub(crate) async fn show(&self, headers: &HeaderMap, content: Content<'_>) -> Response {
        shown(&self.pages().await, headers, content)
    }

    /// Shows why the registration does not go on. A reason that is not the buyer's is counted,
    /// because the function itself answers, so that Lambda counts no error.
    pub(crate) async fn refuse(&self, headers: &HeaderMap, refusal: &Refusal) -> Response {
        if refusal.is_a_failure() {
            match self.clock.now().await {
                Ok(now) => emit("registration", now, &[count("RegistrationsFailed", 1)]),
                Err(error) => tracing::error!(%error, "a failed registration could not be counted"),
            }
        }
        self.show(headers, refusal.content()).await
    }
}

/// A page in the language that the browser wants.
pub(crate) fn shown(pages: &Pages, headers: &HeaderMap, content: Content<'_>) -> Response {
    let wanted = headers.get(ACCEPT_LANGUAGE);
    let wanted = wanted.and_then(|languages| languages.to_str().ok());
    pages.page(wanted, content).into_response()
}

fn seller(env: &Env) -> Result<Seller, SettingError> {
    let name = "SUPPORT_CONTACT";
    let support: Support = env
        .text(
            name,
            "an e-mail address or a URL where buyers find help; AWS Marketplace requires one on the page",
        )?
        .parse()
        .map_err(|e: InvalidSupport| env.invalid(name, e))?;
    Ok(Seller {
        name: env
            .text_opt("SELLER_NAME")
            .unwrap_or("the seller")
            .to_owned(),
        support,
    })
}

fn sign_up_url(env: &Env) -> Result<Option<Destination>, SettingError> {
    let name = "SIGN_UP_URL";
    env.text_opt(name)
        .map(|url| url.parse::<Destination>().map_err(|e| env.invalid(name, e)))
        .transpose()
}

fn session_key(env: &Env) -> Result<SessionKey, SettingError> {
    let name = "SESSION_KEY";
    let secret = env.text(name, "a secret of at least 32 bytes")?;
    // The error must not repeat the secret.
    SessionKey::new(secret).map_err(|e| SettingError::Invalid {
        name,
        value: "(hidden)".to_owned(),
        rule: e.to_string(),
    })
}
