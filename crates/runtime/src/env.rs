//! Environment variables. If one is missing or wrong, the function does not start, and the error
//! names it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

/// The error for a setting that prevents a function from starting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The variable is not set, or empty.
    #[error("environment variable {name} is not set: {expected}")]
    Missing {
        /// The name of the variable.
        name: &'static str,
        /// The value that it should have, in words.
        expected: &'static str,
    },
    /// The value is not valid.
    #[error("environment variable {name} is {value:?}: {rule}")]
    Invalid {
        /// The name of the variable.
        name: &'static str,
        /// The value of the variable, or a placeholder for a secret.
        value: String,
        /// The rule that the value breaks.
        rule: String,
    },
}

/// The variables of one process. An empty variable counts as not set, because `sam local` can only
/// override variables that the template declares.
#[derive(Debug, Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The variables of this process.
    pub fn from_process() -> Self {
        Self(std::env::vars().collect())
    }

    /// An environment that has exactly these variables.
    pub fn of<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        )
    }

    /// Adds variables. A new value replaces the old value of the same variable.
    #[must_use]
    pub fn and<K: Into<String>, V: Into<String>>(
        mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.0
            .extend(pairs.into_iter().map(|(k, v)| (k.into(), v.into())));
        self
    }

    /// The value of a variable, without white space around it; `None` if it is not set or empty.
    pub fn text_opt(&self, name: &'static str) -> Option<&str> {
        self.0
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The value of a variable that must be set.
    pub fn text(&self, name: &'static str, expected: &'static str) -> Result<&str, SettingError> {
        self.text_opt(name)
            .ok_or(SettingError::Missing { name, expected })
    }

    /// The parsed value of a variable, or `default` if it is not set.
    pub fn parsed_or<T>(&self, name: &'static str, default: T) -> Result<T, SettingError>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.text_opt(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|e: T::Err| SettingError::Invalid {
                name,
                value: value.to_owned(),
                rule: e.to_string(),
            }),
        }
    }

    /// The error for a variable whose value breaks a rule.
    pub fn invalid(&self, name: &'static str, rule: impl Display) -> SettingError {
        SettingError::Invalid {
            name,
            value: self.text_opt(name).unwrap_or_default().to_owned(),
            rule: rule.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_wrong_variable_is_named() {
        let env = Env::of([("SETTLE_MINUTES", "soon"), ("EMPTY", " ")]);
        let wrong = env
            .parsed_or("SETTLE_MINUTES", 30_i64)
            .unwrap_err()
            .to_string();
        assert!(
            wrong.contains("SETTLE_MINUTES") && wrong.contains("soon"),
            "{wrong}"
        );
        let missing = env.text("EMPTY", "a table name").unwrap_err().to_string();
        assert_eq!(
            missing,
            "environment variable EMPTY is not set: a table name"
        );
        assert_eq!(env.parsed_or("ABSENT", 30_i64), Ok(30));
    }
}
