//! Every command against `metering local --sample`, whose clock stands at 2026-11-21T04:40:00Z.

mod common;

use common::{Local, Ran, metering, metering_in, metering_with};
use serde_json::{Value, json};

const LICENSE: &str =
    "arn:aws:license-manager::294406891311:license:l-0123456789abcdef0123456789abcdef";
const CUSTOMER: &str = "legacy|examplecode2|CUSTEXAMPLE2";

struct Sample {
    local: Local,
    dynamodb: String,
    aws: String,
}

impl Sample {
    fn start() -> Self {
        let local = Local::start(&["--sample"]);
        Self {
            dynamodb: format!("http://{}", local.dynamodb),
            aws: format!("http://{}", local.aws),
            local,
        }
    }

    /// Runs a command that works with the tables.
    fn tables(&self, arguments: &[&str]) -> Ran {
        let mut all = arguments.to_vec();
        all.extend(["--dynamodb-endpoint", &self.dynamodb]);
        metering(&all)
    }

    /// Runs a command that calls AWS Marketplace directly.
    fn operation(&self, arguments: &[&str], input: &str) -> Ran {
        let mut all = arguments.to_vec();
        all.extend(["--endpoint", &self.aws]);
        metering_with(&all, input)
    }
}

#[test]
fn records_are_listed_and_one_is_shown_with_everything_about_its_slot() {
    let sample = Sample::start();
    let list = ["records", "list", "--subscription", LICENSE];
    let records = sample.tables(&[&list[..], &["--json"]].concat()).json();
    let seen: Vec<(&Value, &Value, &Value)> = records
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (&r["dimension"], &r["quantity"], &r["state"]))
        .collect();
    assert_eq!(
        seen,
        [
            (&json!("gb"), &json!("3.5"), &json!("sealed")),
            (&json!("requests"), &json!("1200"), &json!("sealed"))
        ]
    );
    for (filter, found) in [
        (["--hour", "2026-11-21T02"], true),
        (["--hour", "2026-11-21T03"], false),
        (["--month", "2026-11"], true),
        (["--month", "2026-10"], false),
        (["--state", "sealed"], true),
        (["--state", "refused"], false),
    ] {
        let out = sample.tables(&[&list[..], &filter].concat()).ok();
        assert_eq!(out.contains("3.5"), found, "{filter:?}: {out}");
    }

    let show = |hour: &'static str, dimension: &'static str, more: &[&str]| {
        let head = ["records", "show", "--subscription", LICENSE];
        let slot = ["--hour", hour, "--dimension", dimension];
        sample.tables(&[&head[..], &slot, more].concat())
    };
    let gb = show("2026-11-21T02", "gb", &["--json"]).json();
    assert_eq!(gb["record"]["allocations"][1]["tags"]["team"], "red");
    assert_eq!(gb["rows"]["own"], "4.25");
    // The row that came after the hour was sealed.
    assert_eq!(gb["books"]["uncounted"], "0.75");
    assert!(show("2026-11-21T02", "gb", &[]).ok().contains("0.75"));
    let unsealed = show("2026-11-21T03", "requests", &["--json"]).json();
    assert_eq!(
        (&unsealed["record"], &unsealed["rows"]["own"]),
        (&Value::Null, &json!("800"))
    );
    let nothing = show("2026-11-21T02", "seats", &[]);
    assert_eq!((nothing.code, nothing.out.as_str()), (1, ""));
    assert!(
        nothing.err.contains("no record and no usage of seats"),
        "{}",
        nothing.err
    );
}

#[test]
fn the_books_are_printed_for_people_for_machines_and_for_spreadsheets() {
    let sample = Sample::start();
    let month = ["books", "--month", "2026-11"];
    let all = sample.tables(&[&month[..], &["--json"]].concat()).json();
    assert_eq!(all["balanced"], true);
    assert_eq!(all["sum"]["ingested"], "2046.25");
    assert_eq!(
        (&all["sum"]["accepted"], &all["sum"]["pending"]),
        (&json!("0"), &json!("2046.25"))
    );
    assert_eq!(all["subscriptions"].as_array().unwrap().len(), 3);
    let one = [&month[..], &["--json", "--subscription", CUSTOMER]].concat();
    let one = sample.tables(&one).json();
    assert_eq!(one["sum"]["ingested"], "24.25");
    assert_eq!(
        one["subscriptions"][0]["lines"].as_array().unwrap().len(),
        3
    );
    let csv = sample.tables(&[&month[..], &["--csv"]].concat()).ok();
    assert!(
        csv.starts_with("subscription,hour,dimension,state,own"),
        "{csv}"
    );
    let line = format!("{LICENSE},2026-11-21T02,gb,sealed,4.25,0,3.5,0,0,0,0,0.75");
    assert!(csv.lines().any(|l| l == line), "{csv}");
    let text = sample.tables(&month).ok();
    assert!(text.contains("they balance"), "{text}");
    for empty in [
        vec!["books", "--month", "2025-01", "--json", "--all-is-kept"],
        vec![
            "books",
            "--month",
            "2026-11",
            "--json",
            "--subscription",
            "legacy|examplecode2|NOBODY",
        ],
    ] {
        let empty = sample.tables(&empty).json();
        assert_eq!(
            (&empty["balanced"], &empty["sum"]["ingested"]),
            (&json!(true), &json!("0"))
        );
    }
}

#[test]
fn products_are_configured_and_the_change_is_printed() {
    let sample = Sample::start();
    let put = |identity: &str, dimensions: &[&str]| {
        let arguments = [
            "products",
            "put",
            "--code",
            "newcode",
            "--identity",
            identity,
        ];
        sample.tables(&[&arguments[..], dimensions].concat())
    };
    let gb = ["--dimension", "gb"];
    let configured = put("license", &gb).ok();
    assert!(configured.contains("configured, identity license, dimensions gb"));
    assert!(put("license", &gb).ok().contains("nothing to change"));
    // A dimension that is forgotten on the command line stays.
    let forgotten = put("customer", &["--dimension", "requests"]);
    assert_eq!(forgotten.code, 2, "{}", forgotten.out);
    assert!(forgotten.err.contains("--remove gb"), "{}", forgotten.err);
    let kept = put("customer", &["--dimension", "gb", "--remove", "gb"]);
    assert_eq!(kept.code, 2, "{}", kept.out);
    assert!(kept.err.contains("removes nothing"), "{}", kept.err);
    let changed = put("customer", &["--dimension", "requests", "--remove", "gb"]).ok();
    for words in [
        "identity license -> customer",
        "+ dimension requests",
        "- dimension gb",
    ] {
        assert!(changed.contains(words), "{changed}");
    }
    let listed = sample.tables(&["products", "list", "--json"]).json();
    assert_eq!(listed[3]["code"], "newcode");
    assert_eq!(listed[3]["identity"], "customer");
    assert!(
        sample
            .tables(&["products", "list"])
            .ok()
            .contains("examplecode1")
    );
    let subscriptions = sample.tables(&["subscriptions", "list", "--json"]).json();
    let statuses: Vec<&Value> = subscriptions
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["status"])
        .collect();
    assert_eq!(statuses, ["active", "active", "active"]);
    assert!(
        sample
            .tables(&["subscriptions", "list"])
            .ok()
            .contains(CUSTOMER)
    );
}

#[test]
fn the_raw_operations_answer_as_aws_marketplace_does() {
    let sample = Sample::start();
    let token = ["resolve-customer", "--token-file", "-"];
    let resolved = sample
        .operation(&token, "sample-registration-token-1\r\n")
        .json();
    assert_eq!(
        resolved,
        json!({
            "ProductCode": "examplecode1",
            "CustomerAWSAccountId": "111122223333",
            "LicenseArn": LICENSE,
            "Metadata": {"AgreementId": "agmt-EXAMPLE1"},
        })
    );
    let unknown = sample.operation(&token, "no-such-token");
    assert_eq!((unknown.code, unknown.out.as_str()), (1, ""));
    assert!(
        unknown.err.contains("Set up your account"),
        "{}",
        unknown.err
    );
    assert!(!unknown.err.contains("no-such-token"), "{}", unknown.err);

    let record = |quantity: &str| {
        json!({"UsageRecords": [{
            "LicenseArn": LICENSE,
            "CustomerAWSAccountId": "111122223333",
            "Dimension": "requests",
            "Timestamp": 1_795_233_600,
            "QuantityAsDecimal": quantity,
        }]})
        .to_string()
    };
    let batch = ["batch-meter-usage", "--file", "-"];
    let sent = sample.operation(&batch, &record("1.5")).json();
    assert_eq!(sent["Results"][0]["Status"], "Success");
    let other = sample.operation(&batch, &record("2"));
    assert_eq!(other.code, 1);
    assert_eq!(other.json()["Results"][0]["Status"], "DuplicateRecord");
    assert!(other.err.contains("1 DuplicateRecord"), "{}", other.err);
    let refused = sample.operation(&batch, &record("1.5").replace("requests", "parsecs"));
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    assert!(
        refused.err.contains("InvalidUsageDimensionException"),
        "{}",
        refused.err
    );
    let metered = sample.local.control("GET", "metered", "");
    assert_eq!(metered[0]["quantity"], "1.5");
}

#[test]
fn the_endpoint_variable_of_every_aws_sdk_is_honoured() {
    let sample = Sample::start();
    let environment = [
        ("AWS_ENDPOINT_URL_MARKETPLACE_METERING", sample.aws.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
    ];
    let arguments = ["resolve-customer", "--token-file", "-"];
    let ran = metering_in(&environment, &arguments, "sample-registration-token-1");
    assert_eq!(ran.json()["LicenseArn"], LICENSE);
    let environment = [
        ("DYNAMODB_ENDPOINT", sample.dynamodb.as_str()),
        ("METERING_STACK", "metering"),
    ];
    let ran = metering_in(&environment, &["products", "list", "--json"], "");
    assert_eq!(ran.json().as_array().unwrap().len(), 3);
}

#[test]
fn a_container_is_announced_and_its_signature_checked() {
    let sample = Sample::start();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let key = key.to_str().unwrap();
    let pem = sample.local.control("GET", "public-keys/1", "");
    std::fs::write(key, pem["pem"].as_str().unwrap()).unwrap();
    let call = [
        "register-usage",
        "--product-code",
        "examplecode1",
        "--public-key-version",
        "1",
        "--nonce",
        "n-1",
    ];
    let with_key = [&call[..], &["--public-key", key]].concat();
    let verified = sample.operation(&with_key, "").json();
    assert_eq!(verified["Verified"], true);
    let unchecked = sample.operation(&call, "").json();
    assert_eq!(unchecked["Verified"], Value::Null);
    assert!(
        unchecked["Signature"]
            .as_str()
            .unwrap()
            .matches('.')
            .count()
            == 2
    );
    // A key that is not the product's.
    sample.local.control("POST", "public-keys", "");
    let other = sample.local.control("GET", "public-keys/2", "");
    std::fs::write(key, other["pem"].as_str().unwrap()).unwrap();
    let forged = sample.operation(&with_key, "");
    assert_eq!((forged.code, forged.out.as_str()), (1, ""));
}

#[test]
fn usage_is_metered_from_the_buyers_side() {
    let sample = Sample::start();
    let usage = |more: &[&str], input: &str| {
        let call = [
            "meter-usage",
            "--product-code",
            "examplecode1",
            "--dimension",
            "gb",
            "--quantity",
            "1.5",
            "--timestamp",
            "2026-11-21T04:00:00Z",
        ];
        sample.operation(&[&call[..], more].concat(), input)
    };
    assert_eq!(
        usage(&["--dry-run"], "").json(),
        json!({"DryRun": true, "Permitted": true})
    );
    let split = r#"[{"AllocatedUsageQuantityAsDecimal": "1", "Tags": [{"Key": "team", "Value": "red"}]},
                    {"AllocatedUsageQuantityAsDecimal": "0.5"}]"#;
    let metered = usage(&["--allocations", "-", "--client-token", "t-1"], split).json();
    let id = metered["MeteringRecordId"].as_str().unwrap().to_owned();
    let again = usage(&["--allocations", "-", "--client-token", "t-1"], split).json();
    assert_eq!(again["MeteringRecordId"], id);
    let wrong = usage(
        &["--allocations", "-"],
        r#"[{"AllocatedUsageQuantity": 1}]"#,
    );
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("add up to 1"), "{}", wrong.err);
}
