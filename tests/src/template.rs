//! Reads `template.yaml` and `listing.yaml` as CloudFormation does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// The seven functions: the prefix of their resources' names, and the name of the binary.
pub const FUNCTIONS: [(&str, &str); 7] = [
    ("Registration", "registration"),
    ("Agreements", "agreements"),
    ("Intake", "intake"),
    ("LateUsage", "late-usage"),
    ("Sealer", "sealer"),
    ("Submitter", "submitter"),
    ("Reconciler", "reconciler"),
];

/// A template as JSON. Short forms of functions are in their long form, such as `{"Ref": ...}`.
#[derive(Debug, Clone)]
pub struct Template(Value);

/// One call that a role allows: an action and a resource. The resource is named as in the template,
/// such as `MeteringRecords/index/work`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The action, such as `dynamodb:GetItem`.
    pub action: String,
    /// The name of a resource, with a part of it such as an index. It is `*` for actions that have
    /// no resources.
    pub resource: String,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.action, self.resource)
    }
}

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

impl Template {
    /// Reads the template of the stack.
    ///
    /// # Panics
    ///
    /// If it is not readable YAML, because then nothing can be tested.
    pub fn read() -> Self {
        Self::of("template.yaml")
    }

    /// Reads the template for the account of the listing, if the stack runs elsewhere.
    ///
    /// # Panics
    ///
    /// If it is not readable YAML, because then nothing can be tested.
    pub fn read_listing() -> Self {
        Self::of("listing.yaml")
    }

    fn of(file: &str) -> Self {
        let path = workspace().join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
        let documents = Yaml::load_from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
        let document = documents.first();
        Self(plain(document.unwrap_or_else(|| panic!("{file} is empty"))))
    }

    /// The content of a top-level section.
    pub fn section(&self, name: &str) -> &Map<String, Value> {
        self.0[name]
            .as_object()
            .unwrap_or_else(|| panic!("the template has no {name}"))
    }

    /// The properties of a resource.
    pub fn properties(&self, resource: &str) -> &Value {
        let found = &self.section("Resources")[resource];
        assert!(found.is_object(), "the template has no resource {resource}");
        &found["Properties"]
    }

    /// The properties of a function.
    pub fn function(&self, function: &str) -> &Value {
        self.properties(&format!("{function}Function"))
    }

    /// The environment variables of a function, with their values in the template.
    pub fn environment(&self, function: &str) -> BTreeMap<String, Value> {
        let everywhere = &self.section("Globals")["Function"]["Environment"]["Variables"];
        let own = &self.function(function)["Environment"]["Variables"];
        let pairs = |value: &Value| value.as_object().cloned().unwrap_or_default();
        pairs(everywhere).into_iter().chain(pairs(own)).collect()
    }

    /// The calls that a function's role allows, except writing to the function's own log.
    pub fn allowed(&self, function: &str) -> BTreeSet<Call> {
        let mut calls = self.allowed_by(&format!("{function}Role"));
        calls.retain(|call| call.resource != format!("{function}Logs"));
        calls
    }

    /// The calls that a role allows, by the name of its resource.
    pub fn allowed_by(&self, role: &str) -> BTreeSet<Call> {
        let mut calls = BTreeSet::new();
        for statement in self.properties(role)["Policies"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|policy| {
                policy["PolicyDocument"]["Statement"]
                    .as_array()
                    .expect("statements")
            })
        {
            // A statement under a condition is only in some stacks.
            let statement = statement
                .get("Fn::If")
                .map_or(statement, |choice| &choice[1]);
            assert_eq!(statement["Effect"], "Allow", "{role}: {statement}");
            for action in texts(&statement["Action"]) {
                for resource in listed(&statement["Resource"]) {
                    calls.insert(Call {
                        action: action.clone(),
                        resource: resource_name(&resource),
                    });
                }
            }
        }
        calls
    }

    /// The patterns in the filter of an event source.
    pub fn filters(&self, function: &str, event: &str) -> Vec<String> {
        let source = &self.function(function)["Events"][event]["Properties"];
        source["FilterCriteria"]["Filters"]
            .as_array()
            .unwrap_or_else(|| panic!("{function} has no event {event} with filters"))
            .iter()
            .map(|filter| filter["Pattern"].as_str().expect("a pattern").to_owned())
            .collect()
    }
}

/// A list of values. A single value becomes a list of one.
fn listed(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values.clone(),
        value => vec![value.clone()],
    }
}

fn texts(value: &Value) -> Vec<String> {
    listed(value)
        .iter()
        .map(|value| value.as_str().expect("a text").to_owned())
        .collect()
}

/// The name of a resource from the expression for its ARN, such as `MeteringRecords/index/work`.
fn resource_name(value: &Value) -> String {
    if let Some(attribute) = value["Fn::GetAtt"].as_str() {
        return match attribute.split_once('.') {
            Some((name, "Arn")) => name.to_owned(),
            Some((name, "StreamArn")) => format!("{name}/stream"),
            _ => attribute.to_owned(),
        };
    }
    if let Some(parameter) = value["Ref"].as_str() {
        return parameter.to_owned();
    }
    match (value.as_str(), value["Fn::Sub"].as_str()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(text)) => text.replace("${", "").replace(".Arn}", "").replace('}', ""),
        (None, None) => panic!("{value} is no resource that a role should name"),
    }
}

fn plain(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(scalar) => match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => json!(value),
            Scalar::Integer(value) => json!(value),
            Scalar::FloatingPoint(value) => json!(value.into_inner()),
            Scalar::String(text) => json!(text),
        },
        Yaml::Sequence(values) => values.iter().map(plain).collect(),
        Yaml::Mapping(pairs) => Value::Object(
            pairs
                .iter()
                .map(|(key, value)| {
                    (
                        key.as_str().expect("keys are texts").to_owned(),
                        plain(value),
                    )
                })
                .collect(),
        ),
        Yaml::Tagged(tag, value) => {
            let name = match tag.suffix.as_str() {
                "Ref" => "Ref".to_owned(),
                other => format!("Fn::{other}"),
            };
            json!({ name: plain(value) })
        }
        other => panic!("a template holds {other:?}, which this reader does not know"),
    }
}
