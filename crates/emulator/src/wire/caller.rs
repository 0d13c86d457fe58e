//! The caller, as the Authorization header names it. This module requires and reads the header, but
//! does not verify the signature.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::aws_error::AwsError;
use super::operation::Operation;

/// The caller's access key and Region, from the credential scope of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Caller {
    pub(crate) access_key_id: String,
    pub(crate) region: String,
}

impl Caller {
    /// The same caller, with `region` instead of an empty Region.
    pub(super) fn or_region(mut self, region: &str) -> Caller {
        if self.region.is_empty() {
            self.region = region.to_owned();
        }
        self
    }

    /// Reads `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...`.
    pub(crate) fn from_headers(
        headers: &HeaderMap,
        operation: Operation,
    ) -> Result<Caller, AwsError> {
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Err(AwsError::refused(
                "MissingAuthenticationTokenException",
                "Missing Authentication Token: sign the request with Signature Version 4 (any credentials will do)".to_owned(),
            ));
        };
        let header = header.to_str().unwrap_or_default();
        let (key, region, service) = scope(header)
            .map_err(|problem| AwsError::refused("IncompleteSignatureException", problem))?;
        let expected = operation.api().signing_name();
        if service != expected {
            return Err(AwsError::refused(
                "InvalidSignatureException",
                format!(
                    "Credential should be scoped to correct service: '{expected}', not '{service}'"
                ),
            ));
        }
        Ok(Caller {
            access_key_id: key.to_owned(),
            region: region.to_owned(),
        })
    }
}

/// The access key id, the Region and the service in the credential. The error describes the problem
/// of the header.
pub(super) fn scope(header: &str) -> Result<(&str, &str, &str), String> {
    let Some(parameters) = header.strip_prefix("AWS4-HMAC-SHA256") else {
        return Err("Authorization header must begin with 'AWS4-HMAC-SHA256'".to_owned());
    };
    let parameter = |name: &str| {
        parameters
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .ok_or_else(|| format!("Authorization header requires '{name}' parameter"))
    };
    parameter("SignedHeaders")?;
    parameter("Signature")?;
    let mut scope = parameter("Credential")?.rsplitn(5, '/');
    let terminator = scope.next();
    let (service, region, _date, key) = (scope.next(), scope.next(), scope.next(), scope.next());
    match (terminator, service, region, key) {
        (Some("aws4_request"), Some(service), Some(region), Some(key)) => {
            Ok((key, region, service))
        }
        _ => Err(
            "Authorization header has a Credential that is not KEY/DATE/REGION/SERVICE/aws4_request"
                .to_owned(),
        ),
    }
}
