//! URLs that the pages send a browser to.

use std::fmt;
use std::str::FromStr;

use marketplace::text::excerpt;
use serde::{Deserialize, Serialize};

/// The largest number of characters of a URL. The limit is this project's.
const URL_CHARS_MAX: usize = 2_000;

/// The name of the query parameter that carries a ticket.
const TICKET: &str = "ticket";

/// The hosts that may be reached without TLS: they are on the seller's own machine.
const LOCAL_HOSTS: [&str; 2] = ["localhost", "127.0.0.1"];

/// An https URL (http only for localhost and 127.0.0.1) that buyers are sent to with a ticket.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination {
    url: String,
    origin: String,
}

/// The reason why a text is not a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Rule {
    #[error("it must begin with https://, or with http:// for localhost and 127.0.0.1")]
    Scheme,
    #[error("it must have at most 2,000 characters")]
    TooLong,
    #[error(
        "it must consist of printable ASCII characters without spaces, quotes, < > and backslashes; write other characters as %XX, and a host as xn--..."
    )]
    Characters,
    #[error("its host must be a name or an IPv4 address, without a user name, and may have a port")]
    Host,
    #[error("its query must not have a parameter `ticket`, because the stack adds one")]
    Ticket,
}

/// The error for a text that is not a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("URL {value:?} is not valid: {rule}")]
pub struct InvalidDestination {
    /// The text, cut off after 100 characters.
    pub value: String,
    rule: Rule,
}

impl Destination {
    /// The origin as browsers write it, as in `https://app.example.com`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The URL with the query parameter `ticket`. The other parameters are kept.
    pub fn with_ticket(&self, ticket: &str) -> String {
        let (url, fragment) = split_at_char(&self.url, '#');
        let separator = match url.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some((_, query)) if query.ends_with('&') => "",
            Some(_) => "&",
        };
        format!("{url}{separator}{TICKET}={ticket}{fragment}")
    }

    fn check(text: &str) -> Result<Self, Rule> {
        if text.len() > URL_CHARS_MAX {
            return Err(Rule::TooLong);
        }
        if !text.bytes().all(is_url_byte) {
            return Err(Rule::Characters);
        }
        let (scheme, rest) = text.split_once("://").ok_or(Rule::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, _) = rest.split_at(end);
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(parse_port(port)?)),
            None => (authority, None),
        };
        let host = host.to_ascii_lowercase();
        if !is_host(&host) {
            return Err(Rule::Host);
        }
        let default_port = match scheme.as_str() {
            "https" => 443,
            "http" if LOCAL_HOSTS.contains(&host.as_str()) => 80,
            _ => return Err(Rule::Scheme),
        };
        let (without_fragment, _) = split_at_char(text, '#');
        let (_, query) = split_at_char(without_fragment, '?');
        let mut names = query
            .trim_start_matches('?')
            .split('&')
            .map(|parameter| parameter.split('=').next().unwrap_or_default());
        if names.any(|name| name == TICKET) {
            return Err(Rule::Ticket);
        }
        let origin = match port.filter(|port| *port != default_port) {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        Ok(Self {
            url: text.to_owned(),
            origin,
        })
    }
}

/// Splits a text before the first `at`. The second part is empty if there is none.
fn split_at_char(text: &str, at: char) -> (&str, &str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}

/// Whether a URL may contain the byte. A quote, a bracket or a backslash is an error in most URLs,
/// and browsers change it.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte)
}

fn parse_port(text: &str) -> Result<u16, Rule> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    let port = text
        .parse::<u16>()
        .ok()
        .filter(|port| is_number && *port > 0);
    port.ok_or(Rule::Host)
}

/// Whether a text in lower case is a host name or an IPv4 address.
fn is_host(text: &str) -> bool {
    let labels = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.split('.').all(labels)
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        Self::check(text).map_err(|rule| InvalidDestination {
            value: excerpt(text, 100),
            rule,
        })
    }
}

impl TryFrom<String> for Destination {
    type Error = InvalidDestination;

    fn try_from(text: String) -> Result<Self, InvalidDestination> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.url
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.url, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, origin: &str, with_ticket: &str) {
        let destination: Destination = text.parse().unwrap();
        assert_eq!(destination.to_string(), text);
        assert_eq!(destination.origin(), origin);
        assert_eq!(destination.with_ticket("a.b.c"), with_ticket);
    }

    #[test]
    fn a_ticket_is_added_to_the_query() {
        let origin = "https://app.example.com";
        check(
            "https://app.example.com",
            origin,
            "https://app.example.com?ticket=a.b.c",
        );
        check(
            "https://app.example.com/aws?plan=1&x=#top",
            origin,
            "https://app.example.com/aws?plan=1&x=&ticket=a.b.c#top",
        );
        check(
            "https://app.example.com/?",
            origin,
            "https://app.example.com/?ticket=a.b.c",
        );
        check(
            "https://app.example.com/#a?ticket=1",
            origin,
            "https://app.example.com/?ticket=a.b.c#a?ticket=1",
        );
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (text, origin) in [
            ("HTTPS://App.Example.com:443/x", "https://app.example.com"),
            (
                "https://app.example.com:8443",
                "https://app.example.com:8443",
            ),
            ("http://localhost:80/x", "http://localhost"),
            ("http://127.0.0.1:3000/sign-up", "http://127.0.0.1:3000"),
        ] {
            let destination: Destination = text.parse().unwrap();
            assert_eq!(destination.origin(), origin, "{text}");
        }
    }

    #[test]
    fn any_other_url_is_refused_with_the_rule() {
        let long = format!("https://example.com/{}", "x".repeat(2_000));
        for (text, rule) in [
            ("", Rule::Scheme),
            ("app.example.com", Rule::Scheme),
            ("http://app.example.com", Rule::Scheme),
            ("ftp://app.example.com", Rule::Scheme),
            ("javascript:alert(1)", Rule::Scheme),
            ("https://", Rule::Host),
            ("https:///path", Rule::Host),
            ("https://a@example.com", Rule::Host),
            ("https://example.com:", Rule::Host),
            ("https://example.com:0", Rule::Host),
            ("https://example.com:+1", Rule::Host),
            ("https://example.com:99999", Rule::Host),
            ("https://example..com", Rule::Host),
            ("https://[::1]/", Rule::Host),
            ("https://example.com;script-src", Rule::Host),
            ("https://example.com/a b", Rule::Characters),
            ("https://example.com/\r\nset-cookie:a", Rule::Characters),
            ("https://bücher.example", Rule::Characters),
            ("https://example.com/?ticket=1", Rule::Ticket),
            ("https://example.com/?a=1&ticket", Rule::Ticket),
            (&long, Rule::TooLong),
        ] {
            let error = text.parse::<Destination>().unwrap_err();
            assert_eq!(error.rule, rule, "{text}");
        }
    }
}
