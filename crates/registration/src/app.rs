//! The settings and clients of the function.

use ledger::Ledger;
use metering_api::MeteringApi;
use runtime::settings::Products;
use runtime::{Clock, Env, SettingError, StartError, clients};

use crate::page::{InvalidSupport, Seller, Support};
use crate::session::SessionKey;

/// The largest number of transmissions of one call by the SDK. ResolveCustomer may be repeated,
/// because it changes nothing.
const TRANSMISSIONS_MAX: u32 = 3;

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
    /// The key that signs the subscription in a contact form.
    pub session: SessionKey,
}

impl App {
    /// Reads the settings: the table names, `MARKETPLACE_ENDPOINT`, `METERING_REGION`,
    /// `PRODUCT_CODES`, `SELLER_NAME` (by default "the seller"), `SUPPORT_CONTACT` (an e-mail
    /// address or a URL) and `SESSION_KEY` (a secret of at least 32 bytes).
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
        Ok(Self {
            ledger,
            metering,
            clock,
            products: Products::from_env(env)?,
            seller: seller(env)?,
            session: session_key(env)?,
        })
    }
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
