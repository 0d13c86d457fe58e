//! Verifies Signature Version 4, if the settings contain a secret access key.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::aws_error::AwsError;

/// The text that S3's clients may send in place of the hash of the body.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Refuses a request that was not signed with this secret access key. The age of the signature is
/// not checked, because the emulator's clock differs from the caller's.
pub(super) fn verify(head: &Parts, body: &[u8], secret: &str) -> Result<(), AwsError> {
    let refused = |problem: &str| {
        AwsError::refused(
            "InvalidSignatureException",
            format!(
                "The request signature does not match the one calculated with the emulator's secret access key: {problem}"
            ),
        )
    };
    let header = text(&head.headers, AUTHORIZATION.as_str());
    let parameter = |name: &str| {
        header
            .trim_start_matches("AWS4-HMAC-SHA256")
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .unwrap_or_default()
    };
    let (credential, signed) = (parameter("Credential"), parameter("SignedHeaders"));
    let Some((_, scope)) = credential.split_once('/') else {
        return Err(refused("the credential has no scope"));
    };
    let date = text(&head.headers, "x-amz-date");
    if date.is_empty() {
        return Err(refused("there is no x-amz-date header"));
    }
    if !signed.split(';').any(|name| name == "host") {
        return Err(refused("the host header is not signed"));
    }
    let canonical = canonical_request(head, body, signed);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hash(canonical.as_bytes())
    );
    let key = signing_key(secret, scope);
    let expected = hex(sign(&key, to_sign.as_bytes()).as_ref());
    match parameter("Signature") == expected {
        true => Ok(()),
        false => Err(refused(
            "check the secret access key, and that the signed headers and the body are sent unchanged",
        )),
    }
}

fn canonical_request(head: &Parts, body: &[u8], signed: &str) -> String {
    let mut headers = String::new();
    for name in signed.split(';') {
        let values: Vec<&str> = head
            .headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(str::trim)
            .collect();
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let mut query: Vec<&str> = head.uri.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let query = query.join("&");
    // S3's clients may leave the body out of the signature.
    let payload = match text(&head.headers, "x-amz-content-sha256") {
        UNSIGNED if body.is_empty() => UNSIGNED.to_owned(),
        _ => hash(body),
    };
    format!(
        "{}\n{}\n{query}\n{headers}\n{signed}\n{payload}",
        head.method,
        head.uri.path(),
    )
}

/// The signing key for a scope, `DATE/REGION/SERVICE/aws4_request`.
fn signing_key(secret: &str, scope: &str) -> Vec<u8> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/') {
        key = sign(&key, part.as_bytes()).as_ref().to_vec();
    }
    key
}

fn sign(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text)
}

fn hash(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}
