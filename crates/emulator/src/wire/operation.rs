//! The operations, by the names their callers use.

/// An operation of one of the emulated APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    BatchMeterUsage,
    ResolveCustomer,
}

const OPERATIONS: &[Operation] = &[Operation::BatchMeterUsage, Operation::ResolveCustomer];

impl Operation {
    /// The operation an `X-Amz-Target` names.
    pub(crate) fn from_target(target: &str) -> Option<Operation> {
        let (service, name) = target.split_once('.')?;
        OPERATIONS
            .iter()
            .find(|operation| operation.name() == name && operation.target_prefix() == service)
            .copied()
    }

    /// The operation's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::BatchMeterUsage => "BatchMeterUsage",
            Operation::ResolveCustomer => "ResolveCustomer",
        }
    }

    fn target_prefix(self) -> &'static str {
        match self {
            Operation::BatchMeterUsage | Operation::ResolveCustomer => "AWSMPMeteringService",
        }
    }

    /// The service name of the credential scope.
    pub(crate) fn signing_name(self) -> &'static str {
        match self {
            Operation::BatchMeterUsage | Operation::ResolveCustomer => "aws-marketplace",
        }
    }

    /// Every operation's name, for messages.
    pub(crate) fn names() -> Vec<&'static str> {
        OPERATIONS
            .iter()
            .map(|operation| operation.name())
            .collect()
    }
}
