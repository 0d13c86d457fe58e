//! The fulfillment URL, to which a buyer's browser brings its registration token.

use http::Uri;

use crate::limits::FULFILLMENT_URL_BYTES_MAX;

/// Whether a browser can post a form to the URL: it must be an absolute `http` or `https` URL with
/// a host. AWS Marketplace requires `https`, but on a seller's machine `http` is usual.
pub(crate) fn is_fulfillment_url(url: &str) -> bool {
    if url.len() > FULFILLMENT_URL_BYTES_MAX || url.contains('#') {
        return false;
    }
    url.parse::<Uri>().is_ok_and(|uri| {
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        has_host && matches!(uri.scheme_str(), Some("http" | "https"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expect: bool) {
        assert_eq!(is_fulfillment_url(url), expect, "{url}");
    }

    #[test]
    fn a_fulfillment_url_is_absolute_and_of_the_web() {
        check("http://127.0.0.1:8080/register", true);
        check("https://seller.example/register?from=aws", true);
        check("/register", false);
        check("seller.example/register", false);
        check("ftp://seller.example/register", false);
        check("javascript:alert(1)", false);
        check("http://", false);
        check("http://seller.example/a b", false);
        check("http://seller.example/#there", false);
        check("", false);
        let long = format!("http://seller.example/{}", "a".repeat(2_048));
        check(&long, false);
    }
}
