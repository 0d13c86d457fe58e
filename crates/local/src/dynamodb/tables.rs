//! Operations on tables of the embedded database: repeatable creation, TTL and stream ARNs.

use dynoxide::Database;
use dynoxide::DynoxideError;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::describe_time_to_live::DescribeTimeToLiveRequest;
use dynoxide::actions::update_time_to_live::{TimeToLiveSpecification, UpdateTimeToLiveRequest};
use serde_json::{Value, json};

use super::REGION;

/// The reason why a table could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateTableError {
    /// The JSON is not a CreateTable request that DynamoDB would accept.
    #[error("not a CreateTable request: {0}")]
    Request(#[from] serde_json::Error),
    /// The table exists and differs from the request.
    #[error(
        "table {table} exists with another {member}: {existing}, not {wanted} as requested; \
         remove the data file, or give the table another name"
    )]
    Different {
        /// The name of the table.
        table: String,
        /// The member of the CreateTable request that differs.
        member: &'static str,
        /// The table's value of the member.
        existing: Value,
        /// The request's value of the member.
        wanted: Value,
    },
    /// The engine could not create the table.
    #[error("table {table} could not be created: {source}")]
    Engine {
        /// The name of the table.
        table: String,
        /// The error that the engine returned.
        source: DynoxideError,
    },
}

/// The reason why an operation on a whole table failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {source}")]
pub struct TableError {
    operation: &'static str,
    source: DynoxideError,
}

impl TableError {
    fn of(operation: &'static str) -> impl Fn(DynoxideError) -> Self {
        move |source| Self { operation, source }
    }
}

pub(crate) fn delete_item(database: &Database, table: &str, key: Value) -> Result<(), TableError> {
    let request = json!({"TableName": table, "Key": key});
    let request = serde_json::from_value(request)
        .map_err(|error| DynoxideError::ValidationException(error.to_string()))
        .map_err(TableError::of("DeleteItem"))?;
    database
        .delete_item(request)
        .map(drop)
        .map_err(TableError::of("DeleteItem"))
}

pub(crate) fn create(database: &Database, request: Value) -> Result<(), CreateTableError> {
    let wanted = schema(&request);
    let typed: CreateTableRequest = serde_json::from_value(request)?;
    let table = typed.table_name.clone();
    let engine = |source| CreateTableError::Engine {
        table: table.clone(),
        source,
    };
    match database.create_table(typed) {
        Ok(_) => return Ok(()),
        Err(DynoxideError::ResourceInUseException(_)) => {}
        Err(source) => return Err(engine(source)),
    }
    let existing = database
        .describe_table(DescribeTableRequest {
            table_name: table.clone(),
        })
        .map_err(engine)?;
    let existing = schema(&json!(existing.table));
    for ((member, existing), (_, wanted)) in existing.into_iter().zip(wanted) {
        if existing != wanted {
            return Err(CreateTableError::Different {
                table,
                member,
                existing,
                wanted,
            });
        }
    }
    Ok(())
}

/// The properties that make two tables equal, read from a CreateTable request or a table
/// description. Lists are sorted, and properties of the present state are left out.
fn schema(table: &Value) -> [(&'static str, Value); 5] {
    let stream = &table["StreamSpecification"];
    let stream = match stream["StreamEnabled"].as_bool() {
        Some(true) => stream["StreamViewType"].clone(),
        _ => Value::Null,
    };
    [
        ("KeySchema", table["KeySchema"].clone()),
        (
            "AttributeDefinitions",
            sorted(&table["AttributeDefinitions"], Value::clone),
        ),
        (
            "GlobalSecondaryIndexes",
            sorted(&table["GlobalSecondaryIndexes"], index),
        ),
        (
            "LocalSecondaryIndexes",
            sorted(&table["LocalSecondaryIndexes"], index),
        ),
        ("StreamSpecification", stream),
    ]
}

fn index(index: &Value) -> Value {
    json!({
        "IndexName": index["IndexName"],
        "KeySchema": index["KeySchema"],
        "ProjectionType": index["Projection"]["ProjectionType"],
        "NonKeyAttributes": sorted(&index["Projection"]["NonKeyAttributes"], Value::clone),
    })
}

fn sorted(list: &Value, view: impl Fn(&Value) -> Value) -> Value {
    let mut members: Vec<Value> = list.as_array().into_iter().flatten().map(view).collect();
    members.sort_by_cached_key(Value::to_string);
    Value::Array(members)
}

pub(crate) fn enable_ttl(
    database: &Database,
    table: &str,
    attribute: &str,
) -> Result<(), TableError> {
    let present = database
        .describe_time_to_live(DescribeTimeToLiveRequest {
            table_name: table.to_owned(),
        })
        .map_err(TableError::of("DescribeTimeToLive"))?;
    let present = json!(present.time_to_live_description);
    if present["TimeToLiveStatus"] == "ENABLED" && present["AttributeName"] == attribute {
        return Ok(());
    }
    database
        .update_time_to_live(UpdateTimeToLiveRequest {
            table_name: table.to_owned(),
            time_to_live_specification: TimeToLiveSpecification {
                attribute_name: attribute.to_owned(),
                enabled: true,
            },
        })
        .map_err(TableError::of("UpdateTimeToLive"))?;
    Ok(())
}

pub(crate) fn sweep_ttl(database: &Database) -> Result<usize, TableError> {
    database.sweep_ttl().map_err(TableError::of("TTL sweep"))
}

pub(crate) fn stream_arn(database: &Database, table: &str) -> Result<Option<String>, TableError> {
    let described = database
        .describe_table(DescribeTableRequest {
            table_name: table.to_owned(),
        })
        .map_err(TableError::of("DescribeTable"))?;
    let engine_region = format!(":dynamodb:{}:", dynoxide::streams::LOCAL_REGION);
    Ok(json!(described.table)["LatestStreamArn"]
        .as_str()
        .map(|arn| arn.replacen(&engine_region, &format!(":dynamodb:{REGION}:"), 1)))
}

/// The newest sequence number of a table's stream. `None` if the table has no stream or the stream
/// has no record.
pub(crate) fn last_sequence_number(
    database: &Database,
    table: &str,
) -> Result<Option<String>, DynoxideError> {
    let streamed = database
        .get_table_metadata(table)?
        .is_some_and(|metadata| metadata.stream_enabled);
    if !streamed {
        return Ok(None);
    }
    let described = database.describe_stream(DescribeStreamRequest {
        // The engine uses only the table name of the ARN.
        stream_arn: dynoxide::streams::stream_arn(table, "any"),
        ..DescribeStreamRequest::default()
    })?;
    Ok(described
        .stream_description
        .shards
        .into_iter()
        .find_map(|shard| shard.sequence_number_range.ending_sequence_number))
}
