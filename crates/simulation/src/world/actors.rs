//! The actions of the seller and of the buyers.

use std::sync::Arc;

use emulator::{Agreement, Identity, NewAgreement, NewProduct};
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use ledger::Written;
use ledger::product::Product;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, Subscription};
use serde_json::Value;

use super::invocations::invoke;
use super::{Listing, TRIES_MAX, World};

impl World {
    /// Lists a product at AWS Marketplace and configures it in the stack.
    ///
    /// # Panics
    ///
    /// If the product cannot be listed.
    pub async fn list(&self, listing: &Listing) {
        let dimensions: Vec<&str> = listing.dimensions.iter().map(String::as_str).collect();
        let identity = match listing.identity {
            IdentityKind::License => Identity::License,
            _ => Identity::Customer,
        };
        self.emulator
            .add_product(NewProduct::new(&listing.code, &dimensions, identity))
            .expect("a listing");
        let product = Product {
            code: listing.code.parse().expect("a product code"),
            identity: listing.identity,
            dimensions: listing
                .dimensions
                .iter()
                .map(|name| name.parse().expect("a dimension"))
                .collect(),
            version: 1,
        };
        let written = self.ledger.write_product(None, &product).await;
        assert_eq!(written.expect("configured"), Written::Done);
    }

    /// Adds a dimension to the seller's own list of a product's dimensions. AWS Marketplace does
    /// not know it.
    ///
    /// # Panics
    ///
    /// If the product is not listed.
    pub async fn list_renamed(&self, listing: &Listing, dimension: &str) {
        let code = listing.code.parse().expect("a product code");
        let before = self
            .ledger
            .product(&code)
            .await
            .expect("readable")
            .expect("listed");
        let mut after = before.clone();
        after
            .dimensions
            .insert(dimension.parse().expect("a dimension"));
        after.version += 1;
        let written = self.ledger.write_product(Some(&before), &after).await;
        assert_eq!(written.expect("configured"), Written::Done);
    }

    /// A buyer with a new AWS account subscribes to a product.
    ///
    /// # Panics
    ///
    /// If there is no such product.
    pub fn subscribe(&self, listing: &Listing) -> (Agreement, Subscription) {
        self.subscribe_as(listing, None)
    }

    /// A buyer subscribes to a product, with the given AWS account or a new one.
    ///
    /// # Panics
    ///
    /// If there is no such product.
    pub fn subscribe_as(
        &self,
        listing: &Listing,
        account: Option<&str>,
    ) -> (Agreement, Subscription) {
        let purchase = NewAgreement::of(&listing.code);
        let purchase = match account {
            Some(account) => purchase.by(account),
            None => purchase,
        };
        let agreement = self.emulator.add_agreement(purchase).expect("an agreement");
        let key = match listing.identity {
            IdentityKind::License => agreement.license_arn.clone(),
            IdentityKind::Customer => {
                format!("legacy|{}|{}", listing.code, agreement.customer_identifier)
            }
            IdentityKind::Account => format!("account|{}|{}", listing.code, agreement.account_id),
        };
        (agreement, key.parse().expect("a subscription"))
    }

    /// Posts the registration form as the buyer's browser does, and again after an error. Returns
    /// the last status, which is 303 if the subscription was registered.
    pub async fn register(&self, token: &str) -> u16 {
        let mut status = 0;
        for _ in 0..TRIES_MAX {
            let request = http::Request::post("/register")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(axum::body::Body::from(format!(
                    "x-amzn-marketplace-token={}",
                    form_encoded(token)
                )))
                .expect("a request");
            let app = Arc::new(self.functions.registration.clone());
            let answer = invoke("registration", async move {
                let service = TowerToHyperService::new(registration::router(app));
                let answer = service.call(request).await.map_err(|never| match never {});
                answer.map(|answer| answer.status().as_u16())
            })
            .await;
            status = answer.unwrap_or(500);
            if status < 500 {
                break;
            }
        }
        status
    }

    /// Writes one row as the seller's software does, and again until the write succeeds.
    ///
    /// # Panics
    ///
    /// If twenty tries fail. Otherwise the books would be compared with a row that was never
    /// written.
    pub async fn report(&self, subscription: &Subscription, event: &UsageEvent) {
        let mut last = String::new();
        for _ in 0..TRIES_MAX {
            let ledger = self.ledger.clone();
            let put = invoke("seller", async move {
                ledger
                    .put_event(subscription, event)
                    .await
                    .map_err(|e| e.to_string())
            })
            .await;
            match put {
                Ok(_) => return,
                Err(error) => last = error,
            }
        }
        panic!(
            "the row {} of {subscription} could not be written in {TRIES_MAX} tries: {last}",
            event.id
        );
    }

    /// Reports usage over HTTP as the seller's software does. Returns the answer's status and body.
    pub async fn post_usage(&self, body: &Value) -> (u16, Value) {
        let mut last = (500, Value::Null);
        for _ in 0..TRIES_MAX {
            let request = http::Request::post("/usage")
                .header("content-type", "application/json")
                .body(axum::body::Body::from(body.to_string()))
                .expect("a request");
            let app = Arc::new(self.functions.intake.clone());
            let answer = invoke("intake", async move {
                let service = TowerToHyperService::new(intake::router(app));
                let answer = service
                    .call(request)
                    .await
                    .unwrap_or_else(|never: std::convert::Infallible| match never {});
                let status = answer.status().as_u16();
                let body = answer
                    .into_body()
                    .collect()
                    .await
                    .map_err(|e| e.to_string())?;
                let body = serde_json::from_slice(&body.to_bytes()).map_err(|e| e.to_string())?;
                Ok((status, body))
            })
            .await;
            last = answer.unwrap_or((500, Value::Null));
            if last.0 == 200 {
                break;
            }
        }
        last
    }
}

/// Percent-encodes every byte except the ones that a form never encodes.
fn form_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
