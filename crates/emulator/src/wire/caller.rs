//! Who calls, as the Authorization header says. The header is required and read; its signature
//! is not verified.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::aws_error::AwsError;
use super::operation::Operation;

/// The credential scope of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Caller {
    pub(crate) access_key_id: String,
    pub(crate) region: String,
}

impl Caller {
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
        let incomplete = |problem: &str| {
            AwsError::refused(
                "IncompleteSignatureException",
                format!("Authorization header {problem}"),
            )
        };
        let parameters = header
            .strip_prefix("AWS4-HMAC-SHA256")
            .ok_or_else(|| incomplete("must begin with 'AWS4-HMAC-SHA256'"))?;
        let parameter = |name: &str| {
            parameters
                .split(',')
                .filter_map(|p| p.trim().split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        for name in ["SignedHeaders", "Signature"] {
            if parameter(name).is_none() {
                return Err(incomplete(&format!("requires '{name}' parameter")));
            }
        }
        let credential =
            parameter("Credential").ok_or_else(|| incomplete("requires 'Credential' parameter"))?;
        let mut scope = credential.rsplitn(5, '/');
        let (terminator, service, region, _date, key) = (
            scope.next(),
            scope.next(),
            scope.next(),
            scope.next(),
            scope.next(),
        );
        let (Some("aws4_request"), Some(service), Some(region), Some(key)) =
            (terminator, service, region, key)
        else {
            return Err(incomplete(
                "has a Credential that is not KEY/DATE/REGION/SERVICE/aws4_request",
            ));
        };
        if service != operation.api().signing_name() {
            return Err(AwsError::refused(
                "InvalidSignatureException",
                format!(
                    "Credential should be scoped to correct service: '{}', not '{service}'",
                    operation.api().signing_name()
                ),
            ));
        }
        Ok(Caller {
            access_key_id: key.to_owned(),
            region: region.to_owned(),
        })
    }
}
