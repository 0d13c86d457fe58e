//! The task of an invocation. The event names a `task`, and a `shard` if the task has shards.

use std::fmt;
use std::ops::Range;

use ledger::SHARDS;
use serde_json::Value;

/// The values of `task` in an event.
const TASKS: [&str; 6] = ["expire", "recount", "close", "prove", "judge", "compare"];

/// The task of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// All tasks for all shards. Each task gets a share of the time.
    Everything,
    /// Ends records that are past their deadline.
    Expire,
    /// Recounts hours of one shard, or of all shards.
    Recount(Option<u8>),
    /// Clears attention, and ends subscriptions that are completely metered.
    Close,
    /// Proves the books of one shard, or of all shards.
    Prove(Option<u8>),
    /// Judges records in question by CloudTrail's events.
    Judge,
    /// Compares the ledger with CloudTrail's events.
    Compare,
}

/// An event that names no task of the reconciler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTask {
    /// The event is not a JSON object.
    #[error(
        "the event {0} is not a JSON object; send {{\"task\": \"<name>\"}}, or {{}} for every task"
    )]
    NoObject(String),
    /// No task has this name.
    #[error(
        "the event's task {0} is unknown; the tasks are {tasks}; correct the event, or send {{}} for every task",
        tasks = TASKS.join(", ")
    )]
    Name(String),
    /// There is no such shard.
    #[error(
        "the event's shard {0} is not a whole number from 0 to {last}; correct it, or leave it out to run every shard",
        last = SHARDS - 1
    )]
    Shard(String),
    /// The event names a shard, but its task has no shards.
    #[error(
        "the task {task} has no shards, but the event names shard {shard}; leave the shard out, because only recount and prove have shards"
    )]
    NoShards {
        /// The name of the task.
        task: &'static str,
        /// The shard that the event names.
        shard: String,
    },
}

impl Task {
    /// Reads the task of an event. An event that names neither a task nor a shard means all tasks.
    /// Its other members do not matter. EventBridge's own scheduled event is an example.
    pub fn of_event(event: &Value) -> Result<Self, UnknownTask> {
        let members = event
            .as_object()
            .ok_or_else(|| UnknownTask::NoObject(event.to_string()))?;
        let Some(named) = members.get("task") else {
            return match members.get("shard") {
                None => Ok(Self::Everything),
                Some(shard) => Err(UnknownTask::NoShards {
                    task: Self::Everything.name(),
                    shard: shard.to_string(),
                }),
            };
        };
        let shard = match members.get("shard") {
            None => None,
            Some(shard) => Some(read_shard(shard)?),
        };
        let task = match named.as_str() {
            Some("expire") => Self::Expire,
            Some("recount") => Self::Recount(shard),
            Some("close") => Self::Close,
            Some("prove") => Self::Prove(shard),
            Some("judge") => Self::Judge,
            Some("compare") => Self::Compare,
            _ => return Err(UnknownTask::Name(named.to_string())),
        };
        match (task.shard(), shard) {
            (None, Some(shard)) => Err(UnknownTask::NoShards {
                task: task.name(),
                shard: shard.to_string(),
            }),
            _ => Ok(task),
        }
    }

    /// The name of the task in events, reports and the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Expire => "expire",
            Self::Recount(_) => "recount",
            Self::Close => "close",
            Self::Prove(_) => "prove",
            Self::Judge => "judge",
            Self::Compare => "compare",
        }
    }

    /// The shard that the task is limited to; `None` if it works on all shards or has none.
    pub fn shard(self) -> Option<u8> {
        match self {
            Self::Recount(shard) | Self::Prove(shard) => shard,
            _ => None,
        }
    }

    /// Returns whether this task does the work of `other`.
    pub(crate) fn includes(self, other: Self) -> bool {
        self == Self::Everything || self.name() == other.name()
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shard() {
            Some(shard) => write!(f, "{}#{shard}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

/// Returns the shards that an invocation works on, in their order. An invocation for all shards
/// begins with another shard in every hour, so that the time does not always run out before the
/// same shard.
pub(crate) fn shards(only: Option<u8>, hour: i64) -> Vec<u8> {
    let all: Range<u8> = match only {
        Some(shard) => shard..shard.saturating_add(1),
        None => 0..SHARDS,
    };
    let mut all: Vec<u8> = all.collect();
    if only.is_none() {
        let first = usize::try_from(hour.rem_euclid(i64::from(SHARDS))).unwrap_or_default();
        all.rotate_left(first);
    }
    all
}

fn read_shard(shard: &Value) -> Result<u8, UnknownTask> {
    shard
        .as_u64()
        .and_then(|shard| u8::try_from(shard).ok())
        .filter(|shard| *shard < SHARDS)
        .ok_or_else(|| UnknownTask::Shard(shard.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_names_a_task_and_its_shard() {
        for (event, task, text) in [
            (json!({}), Task::Everything, "everything"),
            (
                json!({"source": "aws.events", "detail": {}}),
                Task::Everything,
                "everything",
            ),
            (json!({"task": "expire"}), Task::Expire, "expire"),
            (json!({"task": "recount"}), Task::Recount(None), "recount"),
            (
                json!({"task": "recount", "shard": 7}),
                Task::Recount(Some(7)),
                "recount#7",
            ),
            (
                json!({"task": "prove", "shard": 0}),
                Task::Prove(Some(0)),
                "prove#0",
            ),
            (json!({"task": "compare"}), Task::Compare, "compare"),
        ] {
            let read = Task::of_event(&event).unwrap();
            assert_eq!((read, read.to_string().as_str()), (task, text));
        }
        for name in TASKS {
            assert_eq!(Task::of_event(&json!({"task": name})).unwrap().name(), name);
        }
    }

    #[test]
    fn an_event_that_names_no_task_is_refused_and_the_error_names_the_mistake() {
        for (event, parts) in [
            (json!("recount"), ["\"recount\"", "not a JSON object"]),
            (json!({"task": "sweep"}), ["\"sweep\"", "expire, recount"]),
            (json!({"task": 3}), ["3", "unknown"]),
            (json!({"task": "recount", "shard": 8}), ["8", "0 to 7"]),
            (json!({"task": "prove", "shard": -1}), ["-1", "0 to 7"]),
            (json!({"task": "prove", "shard": "1"}), ["\"1\"", "0 to 7"]),
            (json!({"task": "judge", "shard": 1}), ["judge", "no shards"]),
            (json!({"shard": 1}), ["everything", "no shards"]),
        ] {
            let error = Task::of_event(&event).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{event}: {error}");
            }
        }
    }

    #[test]
    fn every_shard_has_its_turn_to_be_first() {
        assert_eq!(shards(Some(3), 9), [3]);
        assert_eq!(shards(None, 0), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(shards(None, 10), [2, 3, 4, 5, 6, 7, 0, 1]);
    }
}
