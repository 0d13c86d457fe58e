//! The filter of an event source mapping: an EventBridge pattern that stream records must match.
//!
//! A filter that does not mean what its author intended loses events without a trace. So every
//! unsupported operator is an error when the filter is created.

use serde_json::{Map, Value};

/// A filter pattern is at most 4,096 characters (Lambda, event filtering).
const PATTERN_CHARACTERS_MAX: usize = 4_096;

/// An event source mapping has at most five filters (Lambda's default quota).
const PATTERNS_MAX: usize = 5;

/// The filters of an event source mapping. A record passes if it matches at least one pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    patterns: Vec<Fields>,
}

/// The reason why a filter was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FilterError {
    /// The filter has no pattern, or too many patterns.
    #[error("there are {0} filter patterns, but an event source mapping has 1 to {PATTERNS_MAX}")]
    Count(usize),
    /// The pattern is too long.
    #[error(
        "a filter pattern has {0} characters, but Lambda accepts at most {PATTERN_CHARACTERS_MAX}"
    )]
    Length(usize),
    /// The pattern is not JSON.
    #[error("a filter pattern is not JSON: {0}")]
    Json(String),
    /// The pattern does not follow the pattern language, or uses an operator that is not supported.
    #[error("the filter pattern at {path}: {rule}")]
    Pattern {
        /// The path of the member, with dots.
        path: String,
        /// The rule that the member breaks.
        rule: String,
    },
}

type Fields = Vec<(String, Node)>;

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Nested(Fields),
    /// Matches if any of these tests does.
    Leaf(Vec<Test>),
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Equals(Value),
    EqualsIgnoreCase(String),
    Exists(bool),
    Prefix(String),
    Suffix(String),
    AnythingBut(Vec<Value>),
    AnythingButPrefix(String),
}

impl Filter {
    /// Reads the patterns of `FilterCriteria.Filters[].Pattern`, each the text of a JSON object.
    ///
    /// It supports exact values, `exists`, `prefix`, `suffix`, `equals-ignore-case`, and
    /// `anything-but` with values or a prefix.
    ///
    /// # Errors
    ///
    /// [`FilterError`]: the text is not a pattern, or an operator is not supported.
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Result<Self, FilterError> {
        if patterns.is_empty() || patterns.len() > PATTERNS_MAX {
            return Err(FilterError::Count(patterns.len()));
        }
        let patterns = patterns
            .iter()
            .map(|pattern| parse(pattern.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// Returns whether the record passes the filter.
    #[must_use]
    pub fn matches(&self, record: &Value) -> bool {
        self.patterns
            .iter()
            .any(|fields| fields_match(fields, Some(record)))
    }
}

fn parse(pattern: &str) -> Result<Fields, FilterError> {
    let characters = pattern.chars().count();
    if characters > PATTERN_CHARACTERS_MAX {
        return Err(FilterError::Length(characters));
    }
    match serde_json::from_str(pattern) {
        Ok(Value::Object(members)) => fields(&members, ""),
        Ok(_) => Err(refused("", "a pattern is a JSON object")),
        Err(error) => Err(FilterError::Json(error.to_string())),
    }
}

fn fields(members: &Map<String, Value>, above: &str) -> Result<Fields, FilterError> {
    if members.is_empty() {
        return Err(refused(above, "an empty object has no defined meaning"));
    }
    members
        .iter()
        .map(|(name, value)| {
            let path = if above.is_empty() {
                name.clone()
            } else {
                format!("{above}.{name}")
            };
            if name.starts_with('$') {
                return Err(refused(
                    &path,
                    "`$` operators such as `$or` are not supported",
                ));
            }
            let node = match value {
                Value::Object(nested) => Node::Nested(fields(nested, &path)?),
                Value::Array(tests) if !tests.is_empty() => Node::Leaf(
                    tests
                        .iter()
                        .map(|test| leaf(test, &path))
                        .collect::<Result<_, _>>()?,
                ),
                _ => {
                    return Err(refused(
                        &path,
                        "a value must be in a list, such as [\"INSERT\"]",
                    ));
                }
            };
            Ok((name.clone(), node))
        })
        .collect()
}

fn leaf(test: &Value, path: &str) -> Result<Test, FilterError> {
    let Value::Object(operator) = test else {
        return match test {
            Value::Array(_) => Err(refused(path, "lists are not nested")),
            value => Ok(Test::Equals(value.clone())),
        };
    };
    let mut members = operator.iter();
    let (Some((name, operand)), None) = (members.next(), members.next()) else {
        return Err(refused(path, "an operator is an object with one member"));
    };
    match (name.as_str(), operand) {
        ("exists", Value::Bool(wanted)) => Ok(Test::Exists(*wanted)),
        ("prefix", Value::String(prefix)) => Ok(Test::Prefix(prefix.clone())),
        ("suffix", Value::String(suffix)) => Ok(Test::Suffix(suffix.clone())),
        ("equals-ignore-case", Value::String(text)) => Ok(Test::EqualsIgnoreCase(text.clone())),
        ("anything-but", operand) => anything_but(operand, path),
        (name, operand) => Err(refused(
            path,
            &format!("operator {name:?} with {operand} is not supported"),
        )),
    }
}

fn anything_but(operand: &Value, path: &str) -> Result<Test, FilterError> {
    match operand {
        Value::String(_) | Value::Number(_) => Ok(Test::AnythingBut(vec![operand.clone()])),
        Value::Array(values)
            if !values.is_empty() && values.iter().all(|v| v.is_string() || v.is_number()) =>
        {
            Ok(Test::AnythingBut(values.clone()))
        }
        Value::Object(nested) => match (nested.len(), nested.get("prefix")) {
            (1, Some(Value::String(prefix))) => Ok(Test::AnythingButPrefix(prefix.clone())),
            _ => Err(refused(
                path,
                &format!("\"anything-but\" with {operand} is not supported"),
            )),
        },
        _ => Err(refused(path, "\"anything-but\" takes strings or numbers")),
    }
}

fn refused(path: &str, rule: &str) -> FilterError {
    let path = if path.is_empty() { "its top" } else { path };
    FilterError::Pattern {
        path: path.to_owned(),
        rule: rule.to_owned(),
    }
}

fn fields_match(fields: &Fields, value: Option<&Value>) -> bool {
    fields.iter().all(|(name, node)| {
        let member = value.and_then(|value| value.get(name));
        match node {
            Node::Nested(fields) => fields_match(fields, member),
            Node::Leaf(tests) => tests.iter().any(|test| test_matches(test, member)),
        }
    })
}

/// Patterns test only leaves. An object has no value of its own, so `exists` is false for it. For
/// that reason `{"NewImage":{"send":[{"exists":true}]}}` never matches. A list matches if any of
/// its elements does.
fn test_matches(test: &Test, value: Option<&Value>) -> bool {
    let leaves: &[Value] = match value {
        None | Some(Value::Object(_)) => &[],
        Some(Value::Array(elements)) => elements,
        Some(leaf) => std::slice::from_ref(leaf),
    };
    let text =
        |test: &dyn Fn(&str) -> bool| leaves.iter().any(|leaf| leaf.as_str().is_some_and(test));
    match test {
        Test::Equals(wanted) => leaves.contains(wanted),
        Test::EqualsIgnoreCase(wanted) => {
            text(&|leaf| leaf.to_lowercase() == wanted.to_lowercase())
        }
        Test::Exists(wanted) => *wanted != leaves.is_empty(),
        Test::Prefix(prefix) => text(&|leaf| leaf.starts_with(prefix.as_str())),
        Test::Suffix(suffix) => text(&|leaf| leaf.ends_with(suffix.as_str())),
        Test::AnythingBut(values) => leaves.iter().any(|leaf| !values.contains(leaf)),
        Test::AnythingButPrefix(prefix) => text(&|leaf| !leaf.starts_with(prefix.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(pattern: Value, passes: bool) {
        let record = json!({
            "eventName": "MODIFY",
            "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
            "dynamodb": {
                "Keys": {"item": {"S": "r#2026-11-21T02#gb"}},
                "NewImage": {"send": {"S": "yes"}, "quantity": {"N": "17"}, "tries": {"L": ["a", "b"]}, "gone": {"NULL": true}}
            }
        });
        let filter = Filter::new(&[pattern.to_string()]).unwrap();
        assert_eq!(filter.matches(&record), passes, "{pattern}");
    }

    #[test]
    fn every_operator_decides_as_lambda_documents_it() {
        check(
            json!({"eventName": ["INSERT", "MODIFY"], "dynamodb": {"NewImage": {"send": {"S": [{"exists": true}]}}}}),
            true,
        );
        check(json!({"eventName": ["INSERT"]}), false);
        check(
            json!({"dynamodb": {"NewImage": {"hold": {"S": [{"exists": true}]}}}}),
            false,
        );
        check(
            json!({"dynamodb": {"NewImage": {"hold": {"S": [{"exists": false}]}}}}),
            true,
        );
        check(
            json!({"dynamodb": {"OldImage": {"send": {"S": [{"exists": false}]}}}}),
            true,
        );
        check(
            json!({"dynamodb": {"Keys": {"item": {"S": [{"prefix": "r#"}]}}}}),
            true,
        );
        check(
            json!({"dynamodb": {"Keys": {"item": {"S": [{"prefix": "c#"}]}}}}),
            false,
        );
        check(
            json!({"dynamodb": {"Keys": {"item": {"S": [{"suffix": "#gb"}]}}}}),
            true,
        );
        check(json!({"eventName": [{"anything-but": ["REMOVE"]}]}), true);
        check(json!({"eventName": [{"anything-but": "MODIFY"}]}), false);
        check(
            json!({"eventName": [{"anything-but": {"prefix": "MOD"}}]}),
            false,
        );
        check(json!({"absent": [{"anything-but": ["x"]}]}), false);
        check(
            json!({"eventName": [{"equals-ignore-case": "modify"}]}),
            true,
        );
        check(
            json!({"dynamodb": {"NewImage": {"gone": {"NULL": [true]}}}}),
            true,
        );
        check(
            json!({"dynamodb": {"NewImage": {"tries": {"L": ["b"]}}}}),
            true,
        );
        check(json!({"userIdentity": {"type": ["Service"]}}), true);
    }

    #[test]
    fn an_attribute_is_no_leaf_so_exists_above_its_type_never_matches() {
        check(
            json!({"dynamodb": {"NewImage": {"send": [{"exists": true}]}}}),
            false,
        );
    }

    #[test]
    fn a_number_of_dynamodb_is_a_string_in_the_record() {
        check(
            json!({"dynamodb": {"NewImage": {"quantity": {"N": ["17"]}}}}),
            true,
        );
        check(
            json!({"dynamodb": {"NewImage": {"quantity": {"N": [17]}}}}),
            false,
        );
    }

    #[test]
    fn any_of_several_patterns_lets_a_record_pass() {
        let filter =
            Filter::new(&[r#"{"eventName":["INSERT"]}"#, r#"{"eventName":["REMOVE"]}"#]).unwrap();
        assert!(filter.matches(&json!({"eventName": "REMOVE"})));
        assert!(!filter.matches(&json!({"eventName": "MODIFY"})));
    }

    #[test]
    fn a_pattern_that_is_not_understood_is_refused() {
        for pattern in [
            r#"{"eventName":"INSERT"}"#,
            r#"{"eventName":[]}"#,
            r#"{"eventName":[{"numeric":[">",1]}]}"#,
            r#"{"eventName":[{"exists":true,"prefix":"x"}]}"#,
            r#"{"eventName":[{"anything-but":[]}]}"#,
            r#"{"$or":[{"eventName":["INSERT"]}]}"#,
            r#"{"dynamodb":{}}"#,
            "[]",
            "{",
        ] {
            assert!(Filter::new(&[pattern]).is_err(), "{pattern}");
        }
        assert_eq!(Filter::new::<&str>(&[]), Err(FilterError::Count(0)));
    }
}
