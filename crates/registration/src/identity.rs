//! Decides which subscription a resolved customer belongs to, and by which names lifecycle events
//! refer to it.

use ledger::lifecycle_key::LifecycleKey;
use marketplace::subscription::BuyerIdentifiers;
use marketplace::{IdentityKind, Subscription};
use metering_api::ResolvedCustomer;

/// The error when AWS did not return the identifier that the product's identity needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "product {product} is metered by {kind}, and ResolveCustomer returned no {missing}: correct the product's configured identity, or ask AWS Marketplace Seller Operations"
)]
pub struct MissingIdentity {
    /// The code of the buyer's product.
    pub product: String,
    /// The product's identity kind, from its configuration or from AWS's answer.
    pub kind: IdentityKind,
    /// The member that is missing in AWS's answer.
    pub missing: &'static str,
}

/// The subscription of a resolved customer. The product's configured identity decides which
/// identifier is used. Without a configured identity the license is used, or else the legacy
/// customer identifier, or else the account.
pub fn subscription_of(
    resolved: &ResolvedCustomer,
    configured: Option<IdentityKind>,
) -> Result<Subscription, MissingIdentity> {
    let kind = configured.unwrap_or(match (&resolved.license, &resolved.customer) {
        (Some(_), _) => IdentityKind::License,
        (None, Some(_)) => IdentityKind::Customer,
        (None, None) => IdentityKind::Account,
    });
    let buyer = BuyerIdentifiers {
        license: resolved.license.as_ref(),
        customer: resolved.customer.as_ref(),
        account: resolved.account.as_ref(),
    };
    Subscription::of_buyer(&resolved.product, kind, buyer).ok_or_else(|| MissingIdentity {
        product: resolved.product.to_string(),
        kind,
        missing: match kind {
            IdentityKind::License => "LicenseArn",
            IdentityKind::Customer => "CustomerIdentifier",
            IdentityKind::Account => "CustomerAWSAccountId",
        },
    })
}

/// The names by which lifecycle events may refer to `subscription`.
///
/// SNS messages name the customer. A customer may have several licenses for a product that is
/// metered by license, so a subscription with a license is not linked to the customer. It is linked
/// to its own license of the agreement. License events name the account, which is not part of a
/// legacy subscription's key. So legacy subscriptions are also linked to the account.
pub fn lifecycle_keys_of(
    resolved: &ResolvedCustomer,
    subscription: &Subscription,
) -> Vec<LifecycleKey> {
    let product = || resolved.product.clone();
    let mut lifecycle_keys = Vec::new();
    if let Some(agreement) = &resolved.agreement {
        lifecycle_keys.push(LifecycleKey::Agreement(agreement.clone()));
        if let Subscription::License(license) = subscription {
            lifecycle_keys.push(LifecycleKey::License {
                agreement: agreement.clone(),
                license: license.clone(),
            });
        }
    }
    let kind = subscription.kind();
    if let (Some(customer), IdentityKind::Customer | IdentityKind::Account) =
        (&resolved.customer, kind)
    {
        lifecycle_keys.push(LifecycleKey::Customer(product(), customer.clone()));
    }
    if let (Some(account), IdentityKind::Customer) = (&resolved.account, kind) {
        lifecycle_keys.push(LifecycleKey::Buyer(product(), account.clone()));
    }
    lifecycle_keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(license: bool, customer: bool, account: bool) -> ResolvedCustomer {
        ResolvedCustomer {
            product: "code1".parse().unwrap(),
            account: account.then(|| "111122223333".parse().unwrap()),
            license: license.then(|| "arn:aws:license-manager::1:license:l-1".parse().unwrap()),
            customer: customer.then(|| "cust1".parse().unwrap()),
            agreement: Some("agmt-1".parse().unwrap()),
        }
    }

    #[track_caller]
    fn check(answer: (bool, bool, bool), configured: Option<IdentityKind>, expect: &str) {
        let resolved = resolved(answer.0, answer.1, answer.2);
        let text = match subscription_of(&resolved, configured) {
            Ok(subscription) => subscription.to_string(),
            Err(error) => error.missing.to_owned(),
        };
        assert_eq!(text, expect);
    }

    #[test]
    fn the_configured_identity_decides_or_else_the_identifiers_that_aws_returned() {
        use IdentityKind::*;
        let arn = "arn:aws:license-manager::1:license:l-1";
        check((true, true, true), None, arn);
        check((false, true, true), None, "legacy|code1|cust1");
        check((false, false, true), None, "account|code1|111122223333");
        check((true, true, true), Some(Customer), "legacy|code1|cust1");
        check(
            (true, true, true),
            Some(Account),
            "account|code1|111122223333",
        );
        check((false, true, true), Some(License), "LicenseArn");
        check((true, false, true), Some(Customer), "CustomerIdentifier");
        check((true, true, false), Some(Account), "CustomerAWSAccountId");
    }

    #[test]
    fn a_subscription_is_linked_to_every_name_that_events_use() {
        let lifecycle_keys = |subscription: &str| -> Vec<String> {
            lifecycle_keys_of(&resolved(true, true, true), &subscription.parse().unwrap())
                .iter()
                .map(LifecycleKey::to_string)
                .collect()
        };
        let arn = "arn:aws:license-manager::1:license:l-1";
        assert_eq!(
            lifecycle_keys(arn),
            [
                "agreement|agmt-1".to_owned(),
                format!("license|agmt-1|{arn}")
            ]
        );
        assert_eq!(
            lifecycle_keys("account|code1|111122223333"),
            ["agreement|agmt-1", "customer|code1|cust1"]
        );
        assert_eq!(
            lifecycle_keys("legacy|code1|cust1"),
            [
                "agreement|agmt-1",
                "customer|code1|cust1",
                "buyer|code1|111122223333"
            ]
        );
    }
}
