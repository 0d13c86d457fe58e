//! Reads JSON into the shapes of the API model, and reports violations in AWS's own words.

mod strings;

use std::cell::RefCell;
use std::fmt;

use serde_json::{Map, Value};
use thiserror::Error;

use super::path::{Path, shortened, wrong_type};
use crate::limits::VIOLATIONS_PRINTED_MAX;

pub(crate) use strings::{ANY_STRING, Pattern, StringShape};

/// Why a body is not a request of its operation.
#[derive(Debug, Error, PartialEq)]
pub(crate) enum ShapeError {
    /// The body is not JSON, or a member has the wrong JSON type.
    #[error("{0}")]
    Serialization(String),
    /// Some values are outside the limits of their shapes.
    #[error("{0}")]
    Validation(String),
}

/// Lists of strings. Each list has a value of an enumeration as its key.
pub(crate) type StringLists = Vec<(&'static str, Vec<String>)>;

/// The violations that have been found so far.
#[derive(Default)]
pub(crate) struct Violations {
    count: usize,
    printed: Vec<String>,
}

/// The members of one structure. Reading a member removes it. Unknown members remain and are
/// ignored, as AWS does.
pub(crate) struct Members<'a> {
    map: Map<String, Value>,
    path: Path<'a>,
    violations: &'a RefCell<Violations>,
}

/// Reads a request. `shape` reads the members that it knows. One error reports all violations.
pub(crate) fn read<T>(
    value: Value,
    shape: impl FnOnce(&mut Members<'_>) -> Result<T, ShapeError>,
) -> Result<T, ShapeError> {
    let Value::Object(map) = value else {
        return Err(wrong_type(&Path::Root, &value, "a structure"));
    };
    let violations = RefCell::new(Violations::default());
    let request = shape(&mut Members {
        map,
        path: Path::Root,
        violations: &violations,
    })?;
    let violations = violations.into_inner();
    match violations.count {
        0 => Ok(request),
        count => Err(ShapeError::Validation(format!(
            "{count} validation error{} detected: {}",
            if count == 1 { "" } else { "s" },
            violations.printed.join("; ")
        ))),
    }
}

impl Members<'_> {
    fn take(&mut self, name: &'static str) -> Option<Value> {
        // AWS JSON treats an explicit null like an absent member.
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn violate(&self, path: &Path<'_>, value: Option<&str>, constraint: fmt::Arguments<'_>) {
        let mut violations = self.violations.borrow_mut();
        violations.count += 1;
        if violations.printed.len() < VIOLATIONS_PRINTED_MAX {
            let value = value.map_or(String::new(), |v| format!(" '{}'", shortened(v)));
            violations.printed.push(format!(
                "Value{value} at '{path}' failed to satisfy constraint: {constraint}"
            ));
        }
    }

    /// Records the violation that a required member is absent.
    pub(crate) fn missing(&self, name: &'static str) {
        let path = Path::Member(&self.path, name);
        self.violate(&path, None, format_args!("Member must not be null"));
    }

    /// Reads a string and checks it against the limits of its shape.
    pub(crate) fn string(
        &mut self,
        name: &'static str,
        shape: &StringShape,
    ) -> Result<Option<String>, ShapeError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let path = Path::Member(&self.path, name);
        self.text(&path, value, shape).map(Some)
    }

    fn text(
        &self,
        path: &Path<'_>,
        value: Value,
        shape: &StringShape,
    ) -> Result<String, ShapeError> {
        let Value::String(text) = value else {
            return Err(wrong_type(path, &value, "a string"));
        };
        let length = text.chars().count();
        if length > shape.max {
            let max = shape.max;
            self.violate(
                path,
                Some(&text),
                format_args!("Member must have length less than or equal to {max}"),
            );
        }
        if length < shape.min {
            let min = shape.min;
            self.violate(
                path,
                Some(&text),
                format_args!("Member must have length greater than or equal to {min}"),
            );
        }
        if let Some(pattern) = &shape.pattern
            && !pattern.matches(&text)
        {
            self.violate(
                path,
                Some(&text),
                format_args!(
                    "Member must satisfy regular expression pattern: {}",
                    pattern.text()
                ),
            );
        }
        Ok(text)
    }

    /// Reads an integer from `min` to `max`.
    pub(crate) fn integer(
        &mut self,
        name: &'static str,
        min: i64,
        max: i64,
    ) -> Result<Option<i64>, ShapeError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let path = Path::Member(&self.path, name);
        let Some(number) = value.as_i64() else {
            return Err(wrong_type(&path, &value, "an integer of 32 bits"));
        };
        if i32::try_from(number).is_err() {
            return Err(wrong_type(&path, &value, "an integer of 32 bits"));
        }
        if number < min {
            self.violate(
                &path,
                Some(&number.to_string()),
                format_args!("Member must have value greater than or equal to {min}"),
            );
        }
        if number > max {
            self.violate(
                &path,
                Some(&number.to_string()),
                format_args!("Member must have value less than or equal to {max}"),
            );
        }
        Ok(Some(number))
    }

    pub(crate) fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, ShapeError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(value) => Err(wrong_type(
                &Path::Member(&self.path, name),
                &value,
                "a boolean",
            )),
        }
    }

    /// Reads a timestamp: epoch seconds as a JSON number.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
    ) -> Result<Option<serde_json::Number>, ShapeError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(value) => Err(wrong_type(
                &Path::Member(&self.path, name),
                &value,
                "a timestamp in epoch seconds",
            )),
        }
    }

    /// Reads a structure within this one.
    pub(crate) fn structure<T>(
        &mut self,
        name: &'static str,
        shape: impl FnOnce(&mut Members<'_>) -> Result<T, ShapeError>,
    ) -> Result<Option<T>, ShapeError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let path = Path::Member(&self.path, name);
        let Value::Object(map) = value else {
            return Err(wrong_type(&path, &value, "a structure"));
        };
        let violations = self.violations;
        shape(&mut Members {
            map,
            path,
            violations,
        })
        .map(Some)
    }

    /// Reads a string that must be one of an enumeration's values.
    pub(crate) fn one_of(
        &mut self,
        name: &'static str,
        values: &[&'static str],
    ) -> Result<Option<&'static str>, ShapeError> {
        let Some(text) = self.string(name, &ANY_STRING)? else {
            return Ok(None);
        };
        let known = values.iter().find(|value| **value == text).copied();
        if known.is_none() {
            self.violate(
                &Path::Member(&self.path, name),
                Some(&text),
                format_args!(
                    "Member must satisfy enum value set: [{}]",
                    values.join(", ")
                ),
            );
        }
        Ok(known)
    }

    /// Reads a list of strings of one shape.
    pub(crate) fn strings(
        &mut self,
        name: &'static str,
        min: usize,
        max: usize,
        shape: &StringShape,
    ) -> Result<Option<Vec<String>>, ShapeError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let path = Path::Member(&self.path, name);
        self.string_list(&path, value, min, max, shape).map(Some)
    }

    fn string_list(
        &self,
        path: &Path<'_>,
        value: Value,
        min: usize,
        max: usize,
        shape: &StringShape,
    ) -> Result<Vec<String>, ShapeError> {
        let Value::Array(items) = value else {
            return Err(wrong_type(path, &value, "a list"));
        };
        self.check_length(path, items.len(), min, max);
        let mut strings = Vec::with_capacity(items.len().min(max));
        for (index, item) in items.into_iter().take(max).enumerate() {
            strings.push(self.text(&Path::Item(path, index), item, shape)?);
        }
        Ok(strings)
    }

    /// Reads a map from an enumeration's values to lists of at least one string.
    pub(crate) fn string_lists(
        &mut self,
        name: &'static str,
        keys: &[&'static str],
        max: usize,
    ) -> Result<Option<StringLists>, ShapeError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let path = Path::Member(&self.path, name);
        let Value::Object(map) = value else {
            return Err(wrong_type(&path, &value, "a map"));
        };
        let mut lists = Vec::new();
        for (key, value) in map {
            match keys.iter().find(|known| **known == key) {
                None => self.violate(
                    &path,
                    Some(&key),
                    format_args!(
                        "Map keys must satisfy enum value set: [{}]",
                        keys.join(", ")
                    ),
                ),
                Some(known) => {
                    lists.push((*known, self.string_list(&path, value, 1, max, &ANY_STRING)?));
                }
            }
        }
        Ok(Some(lists))
    }

    /// Reads a list of `min` to `max` structures.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        min: usize,
        max: usize,
        mut shape: impl FnMut(&mut Members<'_>) -> Result<T, ShapeError>,
    ) -> Result<Option<Vec<T>>, ShapeError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let path = Path::Member(&self.path, name);
        let Value::Array(items) = value else {
            return Err(wrong_type(&path, &value, "a list"));
        };
        self.check_length(&path, items.len(), min, max);
        let mut list = Vec::with_capacity(items.len().min(max));
        // The request is refused anyway if the list is too long, so the rest is not read.
        for (index, item) in items.into_iter().take(max).enumerate() {
            let path = Path::Item(&path, index);
            let Value::Object(map) = item else {
                return Err(wrong_type(&path, &item, "a structure"));
            };
            list.push(shape(&mut Members {
                map,
                path,
                violations: self.violations,
            })?);
        }
        Ok(Some(list))
    }

    fn check_length(&self, path: &Path<'_>, length: usize, min: usize, max: usize) {
        if length > max {
            self.violate(
                path,
                None,
                format_args!("Member must have length less than or equal to {max}"),
            );
        }
        if length < min {
            self.violate(
                path,
                None,
                format_args!("Member must have length greater than or equal to {min}"),
            );
        }
    }
}
