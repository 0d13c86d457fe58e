//! The command `metering resolve-customer`.

use clap::Args;
use metering_api::{RegistrationToken, ResolvedCustomer};
use serde_json::{Value, json};

use crate::connect::Service;
use crate::failure::Failure;
use crate::{input, output};

/// The largest size of a file with a token: the longest token and the end of a line.
const TOKEN_FILE_BYTES_MAX: usize = metering_api::REGISTRATION_TOKEN_BYTES_MAX + 2;

/// Asks AWS Marketplace which buyer a registration token belongs to.
///
/// The buyer's browser brings the token to the fulfillment URL as x-amzn-marketplace-token. Anybody
/// who has the token can pose as the buyer, so it is read from a file or from standard input and is
/// never printed. Only the publishing account may make this call.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering resolve-customer --token-file token.txt
  curl -s -X POST http://127.0.0.1:8081/_emulator/agreements/agmt-EXAMPLE1/registration-token \\
    | jq -r .registration_token | metering resolve-customer --token-file - --local

The output is the answer of ResolveCustomer, as JSON. Members that are missing or empty are left
out. It proves who the buyer is, not that anything is paid: do not meter before License Updated has
arrived.")]
pub struct ResolveCustomer {
    /// File with the token and nothing else; - for standard input
    #[arg(long, value_name = "FILE")]
    token_file: String,
    #[command(flatten)]
    service: Service,
}

impl ResolveCustomer {
    pub async fn run(&self) -> Result<(), Failure> {
        let text = input::read(&self.token_file, TOKEN_FILE_BYTES_MAX)?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let token = RegistrationToken::new(line.to_owned()).map_err(Failure::failed)?;
        let metering = self.service.connect().await?;
        let resolved = metering
            .resolve_customer(&token)
            .await
            .map_err(Failure::failed)?;
        output::print_json(&answer(&resolved))
    }
}

/// The answer with AWS's own member names.
fn answer(resolved: &ResolvedCustomer) -> Value {
    let mut answer = json!({"ProductCode": resolved.product.as_str()});
    let members = [
        (
            "CustomerAWSAccountId",
            resolved.account.as_ref().map(|id| id.as_str()),
        ),
        (
            "LicenseArn",
            resolved.license.as_ref().map(|arn| arn.as_str()),
        ),
        (
            "CustomerIdentifier",
            resolved.customer.as_ref().map(|id| id.as_str()),
        ),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            answer[name] = json!(value);
        }
    }
    if let Some(agreement) = &resolved.agreement {
        answer["Metadata"] = json!({"AgreementId": agreement.as_str()});
    }
    answer
}
