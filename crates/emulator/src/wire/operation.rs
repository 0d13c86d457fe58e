//! The APIs, their operations, and the names by which requests call them.

/// An emulated API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Metering,
    Entitlement,
    Agreement,
    CloudTrail,
}

/// An operation of an emulated API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    BatchMeterUsage,
    MeterUsage,
    RegisterUsage,
    ResolveCustomer,
    GetEntitlements,
    SearchAgreements,
    DescribeAgreement,
    ListAgreementInvoiceLineItems,
    BatchCreateBillingAdjustmentRequest,
    LookupEvents,
}

const OPERATIONS: &[(Operation, Api, &str)] = &[
    (Operation::BatchMeterUsage, Api::Metering, "BatchMeterUsage"),
    (Operation::MeterUsage, Api::Metering, "MeterUsage"),
    (Operation::RegisterUsage, Api::Metering, "RegisterUsage"),
    (Operation::ResolveCustomer, Api::Metering, "ResolveCustomer"),
    (
        Operation::GetEntitlements,
        Api::Entitlement,
        "GetEntitlements",
    ),
    (
        Operation::SearchAgreements,
        Api::Agreement,
        "SearchAgreements",
    ),
    (
        Operation::DescribeAgreement,
        Api::Agreement,
        "DescribeAgreement",
    ),
    (
        Operation::ListAgreementInvoiceLineItems,
        Api::Agreement,
        "ListAgreementInvoiceLineItems",
    ),
    (
        Operation::BatchCreateBillingAdjustmentRequest,
        Api::Agreement,
        "BatchCreateBillingAdjustmentRequest",
    ),
    (Operation::LookupEvents, Api::CloudTrail, "LookupEvents"),
];

impl Api {
    /// The part of an `X-Amz-Target` before the last dot.
    fn target_prefix(self) -> &'static str {
        match self {
            Api::Metering => "AWSMPMeteringService",
            Api::Entitlement => "AWSMPEntitlementService",
            Api::Agreement => "AWSMPCommerceService_v20200301",
            Api::CloudTrail => "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
        }
    }

    /// The other prefix that a client may use for the same API. `None` if there is none.
    fn other_prefix(self) -> Option<&'static str> {
        match self {
            Api::CloudTrail => Some("CloudTrail_20131101"),
            _ => None,
        }
    }

    /// The service name in the credential scope.
    pub(crate) fn signing_name(self) -> &'static str {
        match self {
            Api::CloudTrail => "cloudtrail",
            _ => "aws-marketplace",
        }
    }

    /// The media type of JSON bodies.
    pub(crate) fn json(self) -> &'static str {
        match self {
            Api::Agreement => "application/x-amz-json-1.0",
            _ => "application/x-amz-json-1.1",
        }
    }

    /// Whether the API's model lists Smithy RPC v2 CBOR in addition to JSON.
    fn has_cbor(self) -> bool {
        matches!(self, Api::Entitlement | Api::Agreement)
    }

    /// The error code with which the API reports an internal error.
    pub(crate) fn internal_error(self) -> &'static str {
        match self {
            Api::Metering | Api::Entitlement => "InternalServiceErrorException",
            Api::Agreement => "InternalServerException",
            Api::CloudTrail => "InternalFailure",
        }
    }
}

impl Operation {
    /// The operation that an `X-Amz-Target` names.
    pub(crate) fn from_target(target: &str) -> Option<Operation> {
        let (service, name) = target.rsplit_once('.')?;
        Operation::find(name, |api| {
            api.target_prefix() == service || api.other_prefix() == Some(service)
        })
    }

    /// The operation in a Smithy RPC v2 path, `/service/SERVICE/operation/OPERATION`.
    pub(crate) fn from_path(path: &str) -> Option<Operation> {
        let (service, name) = path.strip_prefix("/service/")?.split_once("/operation/")?;
        Operation::find(name, |api| api.has_cbor() && api.target_prefix() == service)
    }

    fn find(name: &str, of: impl Fn(Api) -> bool) -> Option<Operation> {
        OPERATIONS
            .iter()
            .find(|(_, api, known)| *known == name && of(*api))
            .map(|(operation, _, _)| *operation)
    }

    /// The name of the operation in its API.
    pub(crate) fn name(self) -> &'static str {
        self.entry().map_or("", |(_, _, name)| *name)
    }

    /// The API that the operation belongs to.
    pub(crate) fn api(self) -> Api {
        self.entry().map_or(Api::Metering, |(_, api, _)| *api)
    }

    fn entry(self) -> Option<&'static (Operation, Api, &'static str)> {
        OPERATIONS
            .iter()
            .find(|(operation, _, _)| *operation == self)
    }

    /// The names of all operations, without those of S3.
    pub(crate) fn names() -> Vec<&'static str> {
        OPERATIONS.iter().map(|(_, _, name)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_its_target_and_knows_its_name() {
        for (operation, api, name) in OPERATIONS {
            let target = format!("{}.{name}", api.target_prefix());
            assert_eq!(Operation::from_target(&target), Some(*operation));
            assert_eq!(operation.name(), *name);
            assert_eq!(operation.api(), *api);
        }
        assert_eq!(
            Operation::from_path("/service/AWSMPEntitlementService/operation/GetEntitlements"),
            Some(Operation::GetEntitlements)
        );
        assert_eq!(
            Operation::from_path(
                "/service/AWSMPCommerceService_v20200301/operation/DescribeAgreement"
            ),
            Some(Operation::DescribeAgreement)
        );
        assert_eq!(
            Operation::from_path("/service/AWSMPMeteringService/operation/MeterUsage"),
            None
        );
    }
}
