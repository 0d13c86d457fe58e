//! Failures of a command, and the exit code for each.

use std::fmt::Display;
use std::process::ExitCode;

use ledger::LedgerError;

/// The reason why a command failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// An argument breaks a rule. Exit code 2, as for arguments that clap refuses.
    #[error("{0}")]
    Usage(String),
    /// The command could not be carried out, or it found something wrong. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The reader of the output closed it, as `head` does. Exit code 0.
    #[error("standard output was closed")]
    OutputClosed,
}

impl Failure {
    /// Creates a failure because an argument breaks a rule.
    pub fn usage(problem: impl Display) -> Self {
        Self::Usage(problem.to_string())
    }

    /// Creates a failure because the command could not be carried out, or found something wrong.
    pub fn failed(problem: impl Display) -> Self {
        Self::Failed(problem.to_string())
    }

    /// Prints the failure to standard error and returns the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Usage(problem) => {
                eprintln!("error: {problem}");
                ExitCode::from(2)
            }
            Self::Failed(problem) => {
                eprintln!("error: {problem}");
                ExitCode::from(1)
            }
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

/// Returns the SDK's message without the debug structure that the SDK appends.
fn in_words(message: &str) -> &str {
    let structures = [
        " (ConstructionFailure(",
        " (TimeoutError(",
        " (DispatchFailure(",
        " (ResponseError(",
        " (ServiceError(",
    ];
    structures
        .iter()
        .filter_map(|name| message.find(name))
        .min()
        .and_then(|end| message.get(..end))
        .unwrap_or(message)
}

/// Turns a failed call to the tables into a message that says what to do about it.
impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let LedgerError::Unavailable {
            operation,
            table,
            code,
            message,
        } = &error
        else {
            return Self::failed(error);
        };
        let next = match code.as_str() {
            _ if message.contains("loading credentials") => {
                "there are no AWS credentials: set AWS_PROFILE, or sign in; for the stack on this machine use --local"
            }
            "ResourceNotFoundException" => {
                "there is no such table in this account and Region: name the stack with --stack, or set AWS_REGION and AWS_PROFILE; for the stack on this machine, --local"
            }
            "connection failed" | "timeout" => {
                "nothing answers at this endpoint: is `metering local` running, or is the endpoint wrong?"
            }
            "AccessDeniedException" => {
                "the credentials in use have no permission to read this table"
            }
            _ => "check AWS_REGION and the credentials, or use --local",
        };
        let message = in_words(message);
        Self::Failed(format!(
            "{operation} on table {table} failed ({code}): {message}; {next}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_is_explained_with_the_next_step() {
        let explained = |code: &str| {
            Failure::from(LedgerError::Unavailable {
                operation: "Query",
                table: "metering-MeteringRecords".to_owned(),
                code: code.to_owned(),
                message: "dispatch failure: refused (DispatchFailure(DispatchFailure { .. }))"
                    .to_owned(),
            })
            .to_string()
        };
        assert_eq!(
            explained("connection failed"),
            "Query on table metering-MeteringRecords failed (connection failed): dispatch failure: refused; nothing answers at this endpoint: is `metering local` running, or is the endpoint wrong?"
        );
        assert!(explained("ResourceNotFoundException").contains("--stack"));
    }
}
