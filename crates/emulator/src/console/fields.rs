//! The fields of a form or a query, and their conversion to the JSON of the control interface.

use axum::extract::{Form, FromRequest, Request};
use axum::response::Response;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::page;
use crate::refusal::Refusal;

/// The fields of a form or a query, in their order. A body may have at most 2 MB.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Fields, Response> {
        match Form::from_request(request, state).await {
            Ok(Form(fields)) => Ok(Fields(fields)),
            Err(rejection) => {
                let problem = format!("The form cannot be read: {rejection}. Send it again.");
                Err(page::problem(StatusCode::BAD_REQUEST, &problem))
            }
        }
    }
}

impl Fields {
    /// A field's text without surrounding spaces. `None` if it is blank, because browsers also send
    /// the fields that are not filled in.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(field, _)| field == name);
        found
            .map(|(_, text)| text.trim())
            .filter(|text| !text.is_empty())
    }

    /// A field's text. Blank if the field is absent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The lines of a field, without blank ones.
    pub(super) fn lines(&self, name: &str) -> Vec<&str> {
        self.text(name)
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect()
    }

    /// The fields whose names start with a prefix, except blank ones. Each is the rest of the name
    /// and the text.
    pub(super) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, text)| {
            let text = text.trim();
            let rest = name.strip_prefix(prefix)?;
            (!text.is_empty()).then_some((rest, text))
        })
    }

    /// A whole number, 0 or more. `None` if the field is blank.
    pub(super) fn whole<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let parsed = text.parse().map(Some);
        parsed.map_err(|_| not_a_number(name, text, "a whole number, 0 or more, and not too large"))
    }

    /// A number such as 0.25. `None` if the field is blank.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(not_a_number(name, text, "a number such as 0.25 or 60")),
        }
    }
}

pub(super) fn not_a_number(name: &str, text: &str, rule: &str) -> Refusal {
    Refusal::Body {
        problem: format!("`{name}` is `{text}`, but must be {rule}"),
    }
}

/// A JSON object. Members without a value are left out.
pub(super) fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Map<String, Value>>())
}

/// Reads JSON in the same way as the control interface.
pub(super) fn read<T: DeserializeOwned>(json: Value) -> Result<T, Refusal> {
    serde_json::from_value(json).map_err(|error| Refusal::Body {
        problem: error.to_string(),
    })
}
