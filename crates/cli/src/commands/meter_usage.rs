//! The command `metering meter-usage`.

use clap::Args;
use jiff::Timestamp;
use marketplace::record::Allocation;
use marketplace::tags::Tags;
use marketplace::{Dimension, ProductCode, Quantity, TagSet};
use metering_api::MeterUsageRequest;
use serde::Deserialize;
use serde_json::json;

use crate::connect::Service;
use crate::failure::Failure;
use crate::{input, output};

/// The largest size of a file with allocations. 2,500 of the largest allocations fit into it.
const ALLOCATIONS_FILE_BYTES_MAX: usize = 8_000_000;
/// The error code with which AWS answers a dry run of a call that would be permitted.
const DRY_RUN_PERMITTED: &str = "DryRunOperation";

/// Meters usage from inside the buyer's account, for AMI and container products.
///
/// AWS accepts usage for 6 hours, once per hour and dimension of an instance, task or pod. An
/// identical repeat gets the same metering record id, and another quantity is refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  metering meter-usage --product-code examplecode1 --dimension gb --quantity 1.5 \\
    --timestamp 2026-11-21T04:00:00Z
  metering meter-usage --product-code examplecode1 --dimension gb --quantity 3 \\
    --timestamp 1795233600 --dry-run --local

Allocations are a JSON list as the API takes it:
  [{\"AllocatedUsageQuantityAsDecimal\": \"1\", \"Tags\": [{\"Key\": \"team\", \"Value\": \"red\"}]},
   {\"AllocatedUsageQuantityAsDecimal\": \"0.5\"}]")]
pub struct MeterUsage {
    /// Code of the product, not its id
    #[arg(long, value_name = "CODE")]
    product_code: ProductCode,
    /// API name of the dimension
    #[arg(long, value_name = "NAME")]
    dimension: Dimension,
    /// The quantity: 0 to 9999999999.999999, with at most six decimals
    #[arg(long)]
    quantity: Quantity,
    /// The time of the usage, in RFC 3339 or as seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    timestamp: Timestamp,
    /// Only check whether the call is permitted
    #[arg(long)]
    dry_run: bool,
    /// Token that identifies the request, 1 to 64 characters, so that AWS recognizes a repeat
    #[arg(long, value_name = "TOKEN")]
    client_token: Option<String>,
    /// File that splits the quantity by tags; - for standard input
    #[arg(long, value_name = "FILE")]
    allocations: Option<String>,
    #[command(flatten)]
    service: Service,
}

impl MeterUsage {
    pub async fn run(&self) -> Result<(), Failure> {
        let request = self.request()?;
        let metering = self.service.connect().await?;
        match metering.meter_usage(&request).await {
            Ok(id) => output::print_json(&json!({"MeteringRecordId": id})),
            Err(error) if self.dry_run && error.code == DRY_RUN_PERMITTED => {
                output::print_json(&json!({"DryRun": true, "Permitted": true}))
            }
            Err(error) => Err(Failure::failed(error)),
        }
    }

    fn request(&self) -> Result<MeterUsageRequest, Failure> {
        let request = MeterUsageRequest::new(
            self.product_code.clone(),
            self.timestamp,
            self.dimension.clone(),
            self.quantity,
        )
        .dry_run(self.dry_run);
        let request = match &self.client_token {
            Some(token) => request.with_client_token(token).map_err(Failure::usage)?,
            None => request,
        };
        match &self.allocations {
            Some(file) => {
                let text = input::read(file, ALLOCATIONS_FILE_BYTES_MAX)?;
                let allocations = read_allocations(&text)
                    .map_err(|problem| Failure::failed(format!("{file}: {problem}")))?;
                request
                    .with_allocations(allocations)
                    .map_err(|error| Failure::failed(format!("{file}: {error}")))
            }
            None => Ok(request),
        }
    }
}

/// Reads a time in RFC 3339, or as seconds since the epoch as the API takes it.
fn timestamp(text: &str) -> Result<Timestamp, String> {
    if let Ok(second) = text.parse::<i64>() {
        return Timestamp::from_second(second).map_err(|error| error.to_string());
    }
    text.parse()
        .map_err(|_| "write it like 2026-11-21T04:00:00Z, or as seconds since 1970".to_owned())
}

/// An allocation in the form that the API takes.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GivenAllocation {
    allocated_usage_quantity: Option<u64>,
    allocated_usage_quantity_as_decimal: Option<String>,
    #[serde(default)]
    tags: Vec<GivenTag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GivenTag {
    key: String,
    value: String,
}

fn read_allocations(text: &str) -> Result<Vec<Allocation>, String> {
    let given: Vec<GivenAllocation> = serde_json::from_str(text)
        .map_err(|error| format!("this is not a list of allocations: {error}"))?;
    given.into_iter().map(read_allocation).collect()
}

fn read_allocation(given: GivenAllocation) -> Result<Allocation, String> {
    let quantity = match (
        given.allocated_usage_quantity,
        given.allocated_usage_quantity_as_decimal,
    ) {
        (Some(whole), None) => whole.to_string(),
        (None, Some(decimal)) => decimal,
        _ => {
            return Err(
                "an allocation has either AllocatedUsageQuantity or AllocatedUsageQuantityAsDecimal"
                    .to_owned(),
            );
        }
    };
    let mut tags = Tags::new();
    for tag in given.tags {
        if let Some(other) = tags.insert(tag.key.clone(), tag.value) {
            return Err(format!(
                "tag {:?} occurs twice in one allocation, once as {other:?}",
                tag.key
            ));
        }
    }
    Ok(Allocation {
        tags: TagSet::try_from(tags).map_err(|error| error.to_string())?,
        quantity: quantity.parse().map_err(|error| format!("{error}"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_both_forms() {
        assert_eq!(timestamp("2026-11-21T04:00:00Z"), timestamp("1795233600"));
        assert!(
            timestamp("yesterday")
                .unwrap_err()
                .contains("2026-11-21T04:00:00Z")
        );
    }

    #[test]
    fn allocations_are_read_as_the_api_writes_them() {
        let text = r#"[{"AllocatedUsageQuantity": 2, "Tags": [{"Key": "team", "Value": "red"}]},
                       {"AllocatedUsageQuantityAsDecimal": "0.5"}]"#;
        let read = read_allocations(text).unwrap();
        let quantities: Vec<String> = read.iter().map(|a| a.quantity.to_string()).collect();
        assert_eq!(quantities, ["2", "0.5"]);
        assert_eq!(read[0].tags.iter().next(), Some(("team", "red")));
        for (text, complaint) in [
            ("{}", "not a list"),
            (r#"[{}]"#, "either"),
            (r#"[{"AllocatedUsageQuantity": 1, "Extra": 1}]"#, "Extra"),
            (r#"[{"AllocatedUsageQuantityAsDecimal": "-1"}]"#, "negative"),
            (
                r#"[{"AllocatedUsageQuantity": 1, "Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}]"#,
                "twice",
            ),
        ] {
            let refused = read_allocations(text).unwrap_err();
            assert!(refused.contains(complaint), "{refused}");
        }
    }
}
