//! The logo of the pages.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use marketplace::text::excerpt;
use serde::{Deserialize, Serialize};

use super::destination::Destination;

/// The largest size of an image within the settings, in bytes. The limit is this project's. The
/// image is a part of every page.
pub const LOGO_BYTES_MAX: usize = 100 * 1_024;

/// The beginnings of the data URLs that a logo may be.
const DATA_URLS: [&str; 4] = [
    "data:image/png;base64,",
    "data:image/jpeg;base64,",
    "data:image/svg+xml;base64,",
    "data:image/webp;base64,",
];

/// The logo of the pages: an https URL, or an image as a data URL.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Logo {
    url: String,
    source: String,
}

/// The reason why a text is not a logo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Rule {
    #[error(
        "it must be an https URL, or a data URL that begins with data:image/png;base64, data:image/jpeg;base64, data:image/svg+xml;base64, or data:image/webp;base64,"
    )]
    Kind,
    #[error("the image after the comma is not Base64; encode it with `base64 -w0 FILE`")]
    Base64,
    #[error(
        "the image has {bytes} bytes, and at most 102,400 are allowed; make it smaller, or name its https URL"
    )]
    TooLarge { bytes: usize },
}

/// The error for a text that is not a logo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("logo {value:?} is not valid: {rule}")]
pub struct InvalidLogo {
    /// The text, cut off after 60 characters.
    pub value: String,
    rule: Rule,
}

impl Logo {
    /// The URL of the image.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The source in the sense of the content security policy: an origin, or `data:`.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    fn check(text: &str) -> Result<Self, Rule> {
        let image = DATA_URLS.iter().find_map(|start| text.strip_prefix(start));
        let source = match image {
            Some(image) => {
                let bytes = STANDARD.decode(image).map_err(|_| Rule::Base64)?.len();
                if bytes == 0 {
                    return Err(Rule::Base64);
                }
                if bytes > LOGO_BYTES_MAX {
                    return Err(Rule::TooLarge { bytes });
                }
                "data:".to_owned()
            }
            None => {
                let url: Destination = text.parse().map_err(|_| Rule::Kind)?;
                url.origin().to_owned()
            }
        };
        Ok(Self {
            url: text.to_owned(),
            source,
        })
    }
}

impl FromStr for Logo {
    type Err = InvalidLogo;

    fn from_str(text: &str) -> Result<Self, InvalidLogo> {
        Self::check(text).map_err(|rule| InvalidLogo {
            value: excerpt(text, 60),
            rule,
        })
    }
}

impl TryFrom<String> for Logo {
    type Error = InvalidLogo;

    fn try_from(text: String) -> Result<Self, InvalidLogo> {
        text.parse()
    }
}

impl From<Logo> for String {
    fn from(logo: Logo) -> Self {
        logo.url
    }
}

impl fmt::Display for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.url.split_once(";base64,") {
            Some((kind, image)) => write!(f, "{kind}, {} characters of Base64", image.len()),
            None => f.write_str(&self.url),
        }
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_url(bytes: usize) -> String {
        let image = STANDARD.encode(vec![7; bytes]);
        format!("data:image/png;base64,{image}")
    }

    #[test]
    fn a_logo_is_an_https_url_or_an_image_in_the_settings() {
        for (text, source) in [
            (
                "https://cdn.example.com/logo.svg?v=2",
                "https://cdn.example.com",
            ),
            ("https://example.com:8443/a.png", "https://example.com:8443"),
            ("data:image/svg+xml;base64,PHN2Zy8+", "data:"),
            (&data_url(LOGO_BYTES_MAX), "data:"),
        ] {
            let logo: Logo = text.parse().unwrap();
            assert_eq!((logo.url(), logo.source()), (text, source));
        }
    }

    #[test]
    fn any_other_logo_is_refused_with_the_rule() {
        let bytes = LOGO_BYTES_MAX + 1;
        for (text, rule) in [
            ("", Rule::Kind),
            ("logo.png", Rule::Kind),
            ("http://example.com/logo.png", Rule::Kind),
            ("data:text/html;base64,PHN2Zy8+", Rule::Kind),
            ("data:image/png,abc", Rule::Kind),
            ("https://example.com; script-src *", Rule::Kind),
            ("data:image/png;base64,", Rule::Base64),
            ("data:image/png;base64,a b", Rule::Base64),
            ("data:image/png;base64,PHN2Zy8", Rule::Base64),
            (&data_url(bytes), Rule::TooLarge { bytes }),
        ] {
            let error = text.parse::<Logo>().unwrap_err();
            assert_eq!(error.rule, rule, "{text:.60}");
            assert!(error.to_string().len() < 400, "{error}");
        }
    }
}
