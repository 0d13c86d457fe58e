//! The command `metering register-usage`.

use clap::Args;
use marketplace::ProductCode;
use metering_api::{Expected, RegisterUsageRequest, verify_register_usage};
use serde_json::json;

use crate::connect::Service;
use crate::failure::Failure;
use crate::{input, output};

/// The largest size of a file with a public key. Real ones have less than 1,000 bytes.
const PUBLIC_KEY_BYTES_MAX: usize = 16_384;

/// Registers a paid container at its start, from inside the buyer's account.
///
/// AWS meters the container from then on. The answer is signed. Pass the product's public key to
/// have the signature checked, as a container must do before it starts its work.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering register-usage --product-code examplecode1 --public-key-version 1 \\
    --nonce \"$(uuidgen)\" --public-key key.pem
  curl -s http://127.0.0.1:8081/_emulator/public-keys/1 | jq -r .pem > key.pem
  metering register-usage --product-code examplecode1 --public-key-version 1 \\
    --nonce n-1 --public-key key.pem --local

Exit code 0 means that the signature was verified only if --public-key was given.")]
pub struct RegisterUsage {
    /// Code of the product, not its id
    #[arg(long, value_name = "CODE")]
    product_code: ProductCode,
    /// Version of the product's public key, from 1
    #[arg(long, value_name = "N")]
    public_key_version: u32,
    /// Text of at most 255 characters that the signed answer repeats; use a new one for every call
    #[arg(long)]
    nonce: String,
    /// File with the public key of the product, from AWS Marketplace (PEM)
    #[arg(long, value_name = "FILE")]
    public_key: Option<String>,
    #[command(flatten)]
    service: Service,
}

impl RegisterUsage {
    pub async fn run(&self) -> Result<(), Failure> {
        let request = RegisterUsageRequest::new(
            self.product_code.clone(),
            self.public_key_version,
            Some(self.nonce.clone()),
        )
        .map_err(Failure::usage)?;
        let key = self
            .public_key
            .as_deref()
            .map(|file| input::read(file, PUBLIC_KEY_BYTES_MAX))
            .transpose()?;
        let metering = self.service.connect().await?;
        let registered = metering
            .register_usage(&request)
            .await
            .map_err(Failure::failed)?;
        let mut answer = json!({"Signature": registered.signature});
        if let Some(at) = registered.public_key_rotation {
            answer["PublicKeyRotationTimestamp"] = json!(at.to_string());
        }
        if let Some(key) = key {
            let expected = Expected {
                product: self.product_code.clone(),
                public_key_version: self.public_key_version,
                nonce: Some(self.nonce.clone()),
            };
            let claims = verify_register_usage(&registered.signature, &key, &expected)
                .map_err(Failure::failed)?;
            answer["Verified"] = json!(true);
            if let Some(at) = claims.issued_at {
                answer["IssuedAt"] = json!(at.to_string());
            }
        } else {
            eprintln!("the signature was not checked: give --public-key");
        }
        output::print_json(&answer)
    }
}
