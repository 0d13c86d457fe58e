//! The client with the four operations of the metering service.

use aws_sdk_marketplacemetering::Client;
use aws_sdk_marketplacemetering::operation::batch_meter_usage::{
    BatchMeterUsageError as BatchMeterUsageSdkError, BatchMeterUsageOutput,
};
use aws_sdk_marketplacemetering::operation::meter_usage::{
    MeterUsageError as MeterUsageSdkError, MeterUsageOutput,
};
use aws_sdk_marketplacemetering::operation::register_usage::{
    RegisterUsageError as RegisterUsageSdkError, RegisterUsageOutput,
};
use aws_sdk_marketplacemetering::operation::resolve_customer::{
    ResolveCustomerError as ResolveCustomerSdkError, ResolveCustomerOutput,
};
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use marketplace::MeteringRecord;
use marketplace::batch::BatchGroup;
use marketplace::limits::{BATCH_RECORDS_MAX, REQUEST_BYTES_MAX};
use serde_json::Value;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use crate::batch_answer::BatchAnswer;
use crate::call_error::CallError;
use crate::exchange::{Exchange, Reply};
use crate::meter_usage::MeterUsageRequest;
use crate::operation::Operation;
use crate::register_usage::{RegisterUsageAnswer, RegisterUsageError, RegisterUsageRequest};
use crate::resolve_customer::{RegistrationToken, ResolveCustomerError, ResolvedCustomer};
use crate::usage_record::{request_body, to_json};

/// The client of the AWS Marketplace Metering Service. It is cheap to clone, and clones share the
/// SDK's connections and its retry limits.
///
/// Retries, time-outs, endpoint and credentials are those of the SDK client it was created from.
///
/// ```no_run
/// use metering_api::{MeteringApi, RegistrationToken};
///
/// # async fn example(client: aws_sdk_marketplacemetering::Client, token: String)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let api = MeteringApi::new(client);
/// let buyer = api.resolve_customer(&RegistrationToken::new(token)?).await?;
/// println!("{:?} bought {}", buyer.account, buyer.product);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MeteringApi {
    client: Client,
}

impl MeteringApi {
    /// Creates a client that calls through this SDK client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Sends 1 to 25 records of one group. The body is exactly [`request_body`].
    ///
    /// `Ok` means that the service answered, not that anything was billed. Pass the answer to
    /// [`marketplace::answer::interpret`]. After an `Err`, send the same records again.
    pub async fn batch_meter_usage(
        &self,
        group: &BatchGroup,
        records: &[&MeteringRecord],
    ) -> Result<BatchAnswer, CallError> {
        let not_sent = |why: String| CallError::not_sent(Operation::BatchMeterUsage, why);
        check_batch(group, records).map_err(not_sent)?;
        let body = request_body(group, records);
        if body.len() >= REQUEST_BYTES_MAX {
            let bytes = body.len();
            return Err(not_sent(format!(
                "the request has {bytes} bytes: AWS Marketplace accepts less than {REQUEST_BYTES_MAX}"
            )));
        }
        let reply = self.send_batch(body).await?;
        let request_id = reply.request_id.clone();
        BatchAnswer::read(reply)
            .map_err(|why| CallError::unreadable(Operation::BatchMeterUsage, why, request_id))
    }

    /// Sends any JSON object as a BatchMeterUsage request, and returns the whole answer.
    pub async fn batch_meter_usage_raw(&self, body: Value) -> Result<Value, CallError> {
        let Value::Object(body) = body else {
            return Err(CallError::not_sent(
                Operation::BatchMeterUsage,
                "the request is not a JSON object: write {\"UsageRecords\": [..]}",
            ));
        };
        let reply = self.send_batch(to_json(&body)).await?;
        Ok(Value::Object(reply.members))
    }

    async fn send_batch(&self, body: Vec<u8>) -> Result<Reply, CallError> {
        let exchange = Exchange::new(
            Operation::BatchMeterUsage,
            body,
            || Output::erase(BatchMeterUsageOutput::builder().build()),
            |error| Error::erase(BatchMeterUsageSdkError::generic(error)),
        );
        let call = self.client.batch_meter_usage().customize();
        exchange
            .clone()
            .finish(call.interceptor(exchange).send().await)
    }

    /// Returns the buyer and the product of a registration token. A token can be resolved
    /// repeatedly until it expires.
    ///
    /// Tracing is off during the call, because with `LOG_SIGNABLE_BODY` set the SDK's traces show
    /// the bodies of requests.
    pub async fn resolve_customer(
        &self,
        token: &RegistrationToken,
    ) -> Result<ResolvedCustomer, ResolveCustomerError> {
        let exchange = Exchange::new(
            Operation::ResolveCustomer,
            token.request_body(),
            || Output::erase(ResolveCustomerOutput::builder().build()),
            |error| Error::erase(ResolveCustomerSdkError::generic(error)),
        );
        let call = self.client.resolve_customer().customize();
        let sent = call
            .interceptor(exchange.clone())
            .send()
            .with_subscriber(NoSubscriber::default())
            .await;
        let reply = exchange
            .finish(sent)
            .map_err(|error| token.erase_from(error))?;
        Ok(ResolvedCustomer::read(&reply)?)
    }

    /// Meters usage from within the buyer's account, and returns the metering record id.
    pub async fn meter_usage(&self, request: &MeterUsageRequest) -> Result<String, CallError> {
        let exchange = Exchange::new(
            Operation::MeterUsage,
            request.request_body(),
            || Output::erase(MeterUsageOutput::builder().build()),
            |error| Error::erase(MeterUsageSdkError::generic(error)),
        );
        let call = self.client.meter_usage().customize();
        let reply = exchange
            .clone()
            .finish(call.interceptor(exchange).send().await)?;
        match reply
            .members
            .get("MeteringRecordId")
            .and_then(Value::as_str)
        {
            Some(id) => Ok(id.to_owned()),
            None => Err(CallError::unreadable(
                Operation::MeterUsage,
                "the answer has no MeteringRecordId",
                reply.request_id,
            )),
        }
    }

    /// Registers a container when it starts. Check the answer's signature before relying on it.
    pub async fn register_usage(
        &self,
        request: &RegisterUsageRequest,
    ) -> Result<RegisterUsageAnswer, RegisterUsageError> {
        let exchange = Exchange::new(
            Operation::RegisterUsage,
            request.request_body(),
            || Output::erase(RegisterUsageOutput::builder().build()),
            |error| Error::erase(RegisterUsageSdkError::generic(error)),
        );
        let call = self.client.register_usage().customize();
        let reply = exchange
            .clone()
            .finish(call.interceptor(exchange).send().await)?;
        RegisterUsageAnswer::read(&reply)
    }
}

/// Checks the number of records, and that all records belong to the group. A request never mixes
/// products or identity kinds, because AWS would refuse it, or bill an hour twice.
fn check_batch(group: &BatchGroup, records: &[&MeteringRecord]) -> Result<(), String> {
    let count = records.len();
    if !(1..=BATCH_RECORDS_MAX).contains(&count) {
        return Err(format!(
            "the request has {count} records: it must have 1 to {BATCH_RECORDS_MAX}"
        ));
    }
    for record in records {
        let kind = record.slot.subscription.kind();
        let product = &record.product;
        if kind != group.kind || *product != group.product {
            return Err(format!(
                "record {} is of product {product} by {kind}, but the request is of product {} by {}: send it in another request",
                record.slot, group.product, group.kind
            ));
        }
    }
    Ok(())
}
