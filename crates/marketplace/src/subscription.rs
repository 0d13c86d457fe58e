//! The buyer that a record bills: the three ways in which AWS Marketplace identifies a
//! subscription.
//!
//! Facts: M9, M10, M25, M26, M64 (docs/marketplace-rules.md).

use std::fmt;
use std::str::FromStr;

use crate::ids::{AccountId, CustomerIdentifier, InvalidId, LicenseArn, ProductCode};

/// The members of a UsageRecord that identify the buyer. A product must use one kind at a time: if
/// an hour is sent by product code and again by license, AWS Marketplace bills **both** records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityKind {
    /// LicenseArn and CustomerAWSAccountId, no ProductCode (products of June 2026 and later).
    License,
    /// ProductCode and CustomerIdentifier (legacy listings).
    Customer,
    /// ProductCode and CustomerAWSAccountId (listings of March 2025 to May 2026).
    Account,
}

impl IdentityKind {
    /// The kind's name in tables, settings and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::License => "license",
            Self::Customer => "customer",
            Self::Account => "account",
        }
    }
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IdentityKind {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "license" => Ok(Self::License),
            "customer" => Ok(Self::Customer),
            "account" => Ok(Self::Account),
            _ => Err(InvalidId::new(
                "identity kind",
                text,
                "license, customer or account",
            )),
        }
    }
}

/// The identifiers that AWS names for a buyer of a product, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub struct BuyerIdentifiers<'a> {
    /// The license.
    pub license: Option<&'a LicenseArn>,
    /// The legacy customer identifier.
    pub customer: Option<&'a CustomerIdentifier>,
    /// The buyer's AWS account.
    pub account: Option<&'a AccountId>,
}

/// One buyer's subscription to one product. It is the key of everything that is stored about it.
///
/// Its text is the license's ARN, `legacy|<product>|<customer>` or `account|<product>|<account>`
/// (`|` cannot occur in a product code).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subscription {
    /// Identified by its license.
    License(LicenseArn),
    /// Identified by product code and customer identifier.
    Customer(ProductCode, CustomerIdentifier),
    /// Identified by product code and AWS account.
    Account(ProductCode, AccountId),
}

impl Subscription {
    /// The subscription of a buyer of a product whose buyers are identified by `kind`. `None` if the
    /// identifier of that kind is not known.
    pub fn of_buyer(
        product: &ProductCode,
        kind: IdentityKind,
        buyer: BuyerIdentifiers<'_>,
    ) -> Option<Self> {
        match kind {
            IdentityKind::License => buyer.license.cloned().map(Self::License),
            IdentityKind::Customer => {
                let customer = buyer.customer.cloned()?;
                Some(Self::Customer(product.clone(), customer))
            }
            IdentityKind::Account => {
                let account = buyer.account.cloned()?;
                Some(Self::Account(product.clone(), account))
            }
        }
    }

    /// The kind of identity.
    pub fn kind(&self) -> IdentityKind {
        match self {
            Self::License(_) => IdentityKind::License,
            Self::Customer(..) => IdentityKind::Customer,
            Self::Account(..) => IdentityKind::Account,
        }
    }

    /// The product code, or `None` for a license, whose profile has the product code.
    pub fn product(&self) -> Option<&ProductCode> {
        match self {
            Self::License(_) => None,
            Self::Customer(product, _) | Self::Account(product, _) => Some(product),
        }
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::License(arn) => write!(f, "{arn}"),
            Self::Customer(product, customer) => write!(f, "legacy|{product}|{customer}"),
            Self::Account(product, account) => write!(f, "account|{product}|{account}"),
        }
    }
}

impl FromStr for Subscription {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut parts = text.splitn(3, '|');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("legacy"), Some(product), Some(customer)) => {
                Ok(Self::Customer(product.parse()?, customer.parse()?))
            }
            (Some("account"), Some(product), Some(account)) => {
                Ok(Self::Account(product.parse()?, account.parse()?))
            }
            (Some(arn), None, None) if arn.starts_with("arn:") => Ok(Self::License(arn.parse()?)),
            _ => Err(InvalidId::new(
                "subscription",
                text,
                "a license ARN, legacy|<product code>|<customer identifier> or account|<product code>|<account id>",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identity_survives_its_text() {
        for text in [
            "arn:aws:license-manager::294406891311:license:l-0123",
            "legacy|code1|cust|with a bar",
            "account|code1|111122223333",
        ] {
            assert_eq!(text.parse::<Subscription>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "code1",
            "legacy|code1",
            "account|code1|abc",
            "legacy||x",
            "arn:aws:x",
        ] {
            assert!(text.parse::<Subscription>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_error_for_a_text_of_no_form_names_the_three_forms() {
        let problem = "code1".parse::<Subscription>().unwrap_err().to_string();
        assert!(problem.contains("legacy|<product code>"), "{problem}");
        let problem = "arn:aws:x".parse::<Subscription>().unwrap_err().to_string();
        assert!(!problem.contains("legacy|"), "{problem}");
    }

    #[test]
    fn identity_kinds_are_read_by_name() {
        for (kind, name) in [
            (IdentityKind::License, "license"),
            (IdentityKind::Customer, "customer"),
            (IdentityKind::Account, "account"),
        ] {
            assert_eq!((kind.as_str(), kind.to_string().as_str()), (name, name));
            assert_eq!(name.parse(), Ok(kind));
        }
        assert!("seller".parse::<IdentityKind>().is_err());
    }
}
