//! The seller that the pages name.

use std::fmt;
use std::str::FromStr;

use maud::{Markup, Render, html};

/// The seller that the pages name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seller {
    /// The company name that buyers know.
    pub name: String,
    /// The contact where buyers find help.
    pub support: Support,
}

/// A support contact, which AWS Marketplace requires on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// The e-mail address to which buyers write.
    Email(String),
    /// The URL of a web page where buyers find help.
    Url(String),
}

/// The error for a support contact that is neither an e-mail address nor a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be an e-mail address, or a URL that begins with https:// or http://")]
pub struct InvalidSupport;

impl FromStr for Support {
    type Err = InvalidSupport;

    fn from_str(text: &str) -> Result<Self, InvalidSupport> {
        let odd = text.chars().any(|c| c.is_whitespace() || c.is_control());
        let is_url = ["https://", "http://"]
            .iter()
            .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
        match (odd, is_url, text.split_once('@')) {
            (false, true, _) => Ok(Self::Url(text.to_owned())),
            (false, false, Some((user, host)))
                if !user.is_empty() && !host.is_empty() && !text.contains("://") =>
            {
                Ok(Self::Email(text.to_owned()))
            }
            _ => Err(InvalidSupport),
        }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(text) | Self::Url(text) => f.write_str(text),
        }
    }
}

impl Render for Support {
    fn render(&self) -> Markup {
        html! {
            @match self {
                Self::Email(address) => a href={ "mailto:" (address) } { (address) },
                Self::Url(url) => a href=(url) { (url) },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_support_contact_is_an_address_or_a_url() {
        for text in ["help@example.com", "https://example.com/help"] {
            assert_eq!(text.parse::<Support>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "example.com",
            "@example.com",
            "javascript:alert(1)",
            "https://",
            "a b@example.com",
            "ftp://a@b",
        ] {
            assert!(text.parse::<Support>().is_err(), "{text:?}");
        }
    }
}
