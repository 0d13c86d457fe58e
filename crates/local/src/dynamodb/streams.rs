//! Reads a stream without HTTP, for the poller of an event source mapping.

use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use serde_json::{Value, json};

use super::EmbeddedDynamoDb;

/// The largest number of records in one GetRecords call, as in the DynamoDB Streams API.
pub const STREAM_RECORDS_PER_CALL_MAX: usize = 1_000;

/// The reason why a stream could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StreamReadError {
    /// The table has no stream, or there is no such table.
    #[error("table {table} has no stream: create it with a StreamSpecification")]
    NoStream {
        /// The name of the table.
        table: String,
    },
    /// The engine refused the call.
    #[error("{operation} failed: {source}")]
    Engine {
        /// The operation of the DynamoDB Streams API.
        operation: &'static str,
        /// The error that the engine returned.
        source: dynoxide::DynoxideError,
    },
    /// The engine's answer did not have the documented shape.
    #[error("{operation} answered without {missing}")]
    Answer {
        /// The operation of the DynamoDB Streams API.
        operation: &'static str,
        /// The member that is missing.
        missing: &'static str,
    },
}

/// The place in a shard at which an iterator starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IteratorPosition {
    /// The oldest record that the stream still has.
    TrimHorizon,
    /// Only records written after this call.
    Latest,
    /// The record after the one with this sequence number.
    AfterSequenceNumber(String),
}

/// One answer of GetRecords.
#[derive(Debug, Clone)]
pub struct StreamRecords {
    /// The records, in order, in the shape of the DynamoDB Streams API.
    pub records: Vec<Value>,
    /// The iterator for the next call. A shard of the embedded database never closes.
    pub next_iterator: String,
}

impl EmbeddedDynamoDb {
    /// Returns the shard ids of a table's stream. The embedded database has one shard for each
    /// table.
    ///
    /// # Errors
    ///
    /// [`StreamReadError`]: there is no such table, or it has no stream.
    pub fn shards(&self, table: &str) -> Result<Vec<String>, StreamReadError> {
        match self.stream_arn(table) {
            Ok(Some(_)) => Ok(vec![dynoxide::streams::shard_id(table)]),
            _ => Err(StreamReadError::NoStream {
                table: table.to_owned(),
            }),
        }
    }

    /// Returns an iterator into one shard of a stream.
    ///
    /// # Errors
    ///
    /// [`StreamReadError`]: there is no such stream, or the sequence number was never issued.
    pub fn shard_iterator(
        &self,
        stream_arn: &str,
        shard: &str,
        position: &IteratorPosition,
    ) -> Result<String, StreamReadError> {
        const OPERATION: &str = "GetShardIterator";
        let (kind, sequence_number) = match position {
            IteratorPosition::TrimHorizon => ("TRIM_HORIZON", None),
            IteratorPosition::Latest => ("LATEST", None),
            IteratorPosition::AfterSequenceNumber(n) => ("AFTER_SEQUENCE_NUMBER", Some(n.clone())),
        };
        self.database
            .get_shard_iterator(GetShardIteratorRequest {
                stream_arn: stream_arn.to_owned(),
                shard_id: shard.to_owned(),
                shard_iterator_type: kind.to_owned(),
                sequence_number,
            })
            .map_err(|source| StreamReadError::Engine {
                operation: OPERATION,
                source,
            })?
            .shard_iterator
            .ok_or(StreamReadError::Answer {
                operation: OPERATION,
                missing: "ShardIterator",
            })
    }

    /// Returns the next records of a shard, at most `limit` and at most
    /// [`STREAM_RECORDS_PER_CALL_MAX`].
    ///
    /// # Errors
    ///
    /// [`StreamReadError`]: the iterator is not valid, or the table no longer exists.
    pub fn stream_records(
        &self,
        iterator: &str,
        limit: usize,
    ) -> Result<StreamRecords, StreamReadError> {
        const OPERATION: &str = "GetRecords";
        let answer = self
            .database
            .get_records(GetRecordsRequest {
                shard_iterator: iterator.to_owned(),
                limit: Some(limit.clamp(1, STREAM_RECORDS_PER_CALL_MAX)),
            })
            .map_err(|source| StreamReadError::Engine {
                operation: OPERATION,
                source,
            })?;
        let next_iterator = answer.next_shard_iterator.ok_or(StreamReadError::Answer {
            operation: OPERATION,
            missing: "NextShardIterator",
        })?;
        match json!(answer.records) {
            Value::Array(records) => Ok(StreamRecords {
                records,
                next_iterator,
            }),
            _ => Err(StreamReadError::Answer {
                operation: OPERATION,
                missing: "Records",
            }),
        }
    }
}
