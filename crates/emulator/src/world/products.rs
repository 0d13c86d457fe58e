//! The products of the seller.

use serde::{Deserialize, Serialize};

use super::World;
use crate::fulfillment::is_fulfillment_url;
use crate::ids;
use crate::limits::{DIMENSION_CHARS_MAX, PRODUCT_CODE_CHARS_MAX};
use crate::model::is_product_code;
use crate::refusal::Refusal;

/// How usage records identify a product's buyers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// By `LicenseArn` and `CustomerAWSAccountId`, without `ProductCode`. Products listed since
    /// June 2026 have this identity.
    License,
    /// By `ProductCode` with `CustomerIdentifier` or `CustomerAWSAccountId`. A record with a
    /// `LicenseArn` is accepted as well, but takes another slot.
    Customer,
}

/// How buyers pay for a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pricing {
    /// All usage is metered.
    #[default]
    Usage,
    /// Buyers pay in advance, and nothing is metered.
    Contract,
    /// Buyers pay in advance, and usage beyond the entitlement is metered.
    ContractWithConsumption,
}

/// The listing of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProduct {
    /// The product code, not the product id.
    pub code: String,
    /// The dimensions in which usage is metered.
    pub dimensions: Vec<String>,
    /// How usage records identify its buyers.
    pub identity: Identity,
    /// How buyers pay for it.
    #[serde(default)]
    pub pricing: Pricing,
    /// The URL to which "Set up your account" sends the product's buyers: an `http` or `https` URL
    /// of at most 2,048 bytes. `None` uses the emulator's own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulfillment_url: Option<String>,
}

impl NewProduct {
    /// A product whose price depends on usage.
    pub fn new(code: &str, dimensions: &[&str], identity: Identity) -> NewProduct {
        NewProduct {
            code: code.to_owned(),
            dimensions: dimensions.iter().map(|d| (*d).to_owned()).collect(),
            identity,
            pricing: Pricing::Usage,
            fulfillment_url: None,
        }
    }
}

/// A listed product with its product id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) product_id: String,
    #[serde(flatten)]
    pub(crate) listing: NewProduct,
}

impl Product {
    /// The index of a dimension in the product's list. Names of dimensions are case-sensitive.
    pub(crate) fn dimension(&self, name: &str) -> Option<usize> {
        self.listing.dimensions.iter().position(|d| d == name)
    }
}

impl World {
    /// Lists a product. Listing a product again can change only its fulfillment URL. Without a URL
    /// it changes nothing.
    pub(crate) fn add_product(&mut self, product: NewProduct) -> Result<(), Refusal> {
        check(&product)?;
        if let Some(number) = self.product_by_code.get(&product.code)
            && let Some(existing) = self.products.get_mut(*number)
        {
            return relist(&mut existing.listing, product);
        }
        let number = self.products.len();
        self.product_by_code.insert(product.code.clone(), number);
        self.products.push(Product {
            product_id: ids::product(self.seed, number as u64),
            listing: product,
        });
        Ok(())
    }

    pub(crate) fn product(&self, code: &str) -> Option<&Product> {
        let number = self.product_by_code.get(code)?;
        self.products.get(*number)
    }
}

fn relist(listing: &mut NewProduct, mut product: NewProduct) -> Result<(), Refusal> {
    if product.fulfillment_url.is_none() {
        product.fulfillment_url.clone_from(&listing.fulfillment_url);
    }
    let moved = NewProduct {
        fulfillment_url: product.fulfillment_url.clone(),
        ..listing.clone()
    };
    if moved != product {
        return Err(Refusal::ProductDiffers { code: product.code });
    }
    *listing = product;
    Ok(())
}

fn check(product: &NewProduct) -> Result<(), Refusal> {
    let code = &product.code;
    if code.is_empty() || code.len() > PRODUCT_CODE_CHARS_MAX || !is_product_code(code) {
        return Err(Refusal::ProductCode { code: code.clone() });
    }
    if product.dimensions.is_empty() {
        return Err(Refusal::NoDimensions { code: code.clone() });
    }
    for (place, dimension) in product.dimensions.iter().enumerate() {
        let length = dimension.chars().count();
        let repeated = product
            .dimensions
            .iter()
            .take(place)
            .any(|d| d == dimension);
        if length == 0 || length > DIMENSION_CHARS_MAX || repeated {
            return Err(Refusal::Dimension {
                dimension: dimension.clone(),
            });
        }
    }
    match &product.fulfillment_url {
        Some(url) if !is_fulfillment_url(url) => Err(Refusal::FulfillmentUrl { url: url.clone() }),
        _ => Ok(()),
    }
}
