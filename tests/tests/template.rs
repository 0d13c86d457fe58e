//! Compares `template.yaml` with the code: tables, settings, permissions, filters and alarms. Also
//! compares `listing.yaml` with `template.yaml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use end_to_end::template::{Call, FUNCTIONS, Template, workspace};
use ledger::tables::{TTL_ATTRIBUTE, definitions};
use ledger::{SHARDS, TableNames};
use local::pump::Filter;
use reconciler::Task;
use serde_json::{Value, json};

#[test]
fn tables_are_those_of_the_local_stack() {
    let template = Template::read();
    let names = TableNames::of_stack("${AWS::StackName}");
    for (resource, mut expected) in ["Subscriptions", "UsageEvents", "MeteringRecords"]
        .into_iter()
        .zip(definitions(&names))
    {
        let properties = template.properties(resource);
        expected["TableName"] = json!({ "Fn::Sub": expected["TableName"] });
        if let Some(stream) = expected.get_mut("StreamSpecification") {
            // In CloudFormation a declared stream is always enabled.
            stream.as_object_mut().unwrap().remove("StreamEnabled");
        }
        for member in [
            "TableName",
            "BillingMode",
            "KeySchema",
            "AttributeDefinitions",
            "GlobalSecondaryIndexes",
            "StreamSpecification",
        ] {
            assert_eq!(properties[member], expected[member], "{resource}: {member}");
        }
        assert!(
            properties["LocalSecondaryIndexes"].is_null(),
            "{resource}: a local index keeps a hot hour from being split"
        );
    }
}

#[test]
fn tables_are_encrypted_recoverable_and_outlive_the_stack() {
    let template = Template::read();
    for resource in ["Subscriptions", "UsageEvents", "MeteringRecords"] {
        let table = &template.section("Resources")[resource];
        assert_eq!(
            table["DeletionPolicy"], "RetainExceptOnCreate",
            "{resource}"
        );
        assert_eq!(table["UpdateReplacePolicy"], "Retain", "{resource}");
        let properties = &table["Properties"];
        assert_eq!(
            properties["SSESpecification"]["SSEEnabled"], true,
            "{resource}"
        );
        let recovery =
            &properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"];
        assert_eq!(*recovery, true, "{resource}");
        let ttl = &properties["TimeToLiveSpecification"];
        // Only items that are closed have the attribute. The ledger ensures that.
        assert_eq!(
            *ttl,
            json!({"AttributeName": TTL_ATTRIBUTE, "Enabled": true}),
            "{resource}"
        );
    }
}

#[test]
fn every_function_is_built_by_cargo_lambda_from_its_binary() {
    let template = Template::read();
    for (function, binary) in FUNCTIONS {
        let resource = &template.section("Resources")[&format!("{function}Function")];
        assert_eq!(resource["Type"], "AWS::Serverless::Function");
        assert_eq!(resource["Metadata"]["BuildMethod"], "rust-cargolambda");
        assert_eq!(resource["Metadata"]["BuildProperties"]["Binary"], binary);
        assert_eq!(
            resource["Properties"]["CodeUri"],
            format!("crates/{binary}")
        );
        assert!(
            resource["Properties"]["Timeout"].as_u64().unwrap() <= 900,
            "{function}"
        );
    }
    let functions = template
        .section("Resources")
        .values()
        .filter(|resource| resource["Type"] == "AWS::Serverless::Function");
    assert_eq!(functions.count(), FUNCTIONS.len());
}

/// The variables that each shared setting of `runtime` reads. The variables of the tables are left
/// out, because all functions have them.
const SHARED_SETTINGS: [(&str, &[&str]); 10] = [
    (
        "clients::ledger(",
        &[
            "SUBSCRIPTIONS_TABLE",
            "USAGE_EVENTS_TABLE",
            "METERING_RECORDS_TABLE",
            "DYNAMODB_ENDPOINT",
            "RETENTION_MONTHS",
        ],
    ),
    (
        "clients::metering_api(",
        &[
            "MARKETPLACE_ENDPOINT",
            "METERING_REGION",
            "MARKETPLACE_ROLE_ARN",
            "MARKETPLACE_ROLE_EXTERNAL_ID",
            "STACK_NAME",
        ],
    ),
    (
        "clients::cloudtrail(",
        &[
            "CLOUDTRAIL_ENDPOINT",
            "METERING_REGION",
            "MARKETPLACE_ROLE_ARN",
            "MARKETPLACE_ROLE_EXTERNAL_ID",
            "STACK_NAME",
        ],
    ),
    (
        "History::from_env(",
        &[
            "CLOUDTRAIL_ENDPOINT",
            "S3_ENDPOINT",
            "METERING_REGION",
            "MARKETPLACE_ROLE_ARN",
            "MARKETPLACE_ROLE_EXTERNAL_ID",
            "STACK_NAME",
            "AUDIT_BUCKET",
            "AUDIT_PREFIX",
            "AUDIT_ACCOUNT",
        ],
    ),
    ("Clock::from_env(", &["METERING_CLOCK"]),
    ("settings::schedule(", &["SETTLE_MINUTES"]),
    (
        "settings::seal_policy(",
        &["WINDOW_HOURS", "SETTLE_MINUTES", "DRY_RUN"],
    ),
    ("emit(", &["STACK_NAME"]),
    ("settings::late_policy(", &["LATE_POLICY"]),
    ("settings::heartbeats(", &["HEARTBEATS"]),
];
const PRODUCT_CODES: (&str, &[&str]) = ("Products::from_env(", &["PRODUCT_CODES"]);

#[test]
fn every_variable_that_a_function_reads_is_declared() {
    let template = Template::read();
    for (function, binary) in FUNCTIONS {
        let source = source_of(binary);
        let mut read = variables(&source);
        for (call, names) in SHARED_SETTINGS.iter().chain([&PRODUCT_CODES]) {
            if source.contains(call) {
                read.extend(names.iter().map(|name| (*name).to_owned()));
            }
        }
        assert!(
            read.contains("DYNAMODB_ENDPOINT"),
            "{function} reads no variable of a table: {read:?}"
        );
        let declared: BTreeSet<String> = template.environment(function).into_keys().collect();
        let missing: Vec<&String> = read.difference(&declared).collect();
        assert!(
            missing.is_empty(),
            "{function} reads {missing:?}, which template.yaml does not declare"
        );
        let everywhere = template.section("Globals")["Function"]["Environment"]["Variables"]
            .as_object()
            .unwrap();
        let unread: Vec<&String> = declared
            .difference(&read)
            .filter(|name| !everywhere.contains_key(*name))
            .collect();
        assert!(
            unread.is_empty(),
            "{function} gets {unread:?}, which it does not read"
        );
    }
}

#[test]
fn the_list_of_shared_settings_is_complete() {
    let known: BTreeSet<String> = SHARED_SETTINGS
        .iter()
        .chain([&PRODUCT_CODES])
        .flat_map(|(_, names)| names.iter().map(|name| (*name).to_owned()))
        .collect();
    assert_eq!(variables(&source_of("runtime")), known);
}

#[test]
fn endpoints_that_replace_aws_are_declared_empty() {
    let template = Template::read();
    for (function, _) in FUNCTIONS {
        let environment = template.environment(function);
        for name in [
            "DYNAMODB_ENDPOINT",
            "MARKETPLACE_ENDPOINT",
            "CLOUDTRAIL_ENDPOINT",
            "S3_ENDPOINT",
            "METERING_CLOCK",
        ] {
            assert_eq!(environment[name], "", "{function}: {name}");
        }
    }
}

#[test]
fn defaults_of_parameters_are_settings_that_the_functions_accept() {
    let parameters = Template::read().section("Parameters").clone();
    let default = |name: &str| match &parameters[name]["Default"] {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let env = runtime::Env::of([
        ("SETTLE_MINUTES", default("SettleMinutes")),
        ("WINDOW_HOURS", default("WindowHours")),
        ("DRY_RUN", default("DryRun")),
        ("LATE_POLICY", default("LatePolicy")),
        ("PRODUCT_CODES", default("ProductCodes")),
        ("RETENTION_MONTHS", default("RetentionMonths")),
    ]);
    assert_eq!(
        runtime::settings::retention(&env).unwrap(),
        Default::default()
    );
    assert_eq!(
        runtime::settings::schedule(&env).unwrap(),
        Default::default()
    );
    assert!(!runtime::settings::seal_policy(&env).unwrap().dry_run);
    runtime::settings::late_policy(&env).unwrap();
    runtime::settings::Products::from_env(&env).unwrap();

    // The code has the same bounds: the functions do not start with a value one step beyond them.
    // The parameters depend on each other, so each is tried together with the hardest value of
    // another.
    let bound = |parameter: &str, name: &str| parameters[parameter][name].as_i64().unwrap();
    for (parameter, variable, other, hardest) in [
        (
            "SettleMinutes",
            "SETTLE_MINUTES",
            "WINDOW_HOURS",
            bound("WindowHours", "MinValue"),
        ),
        (
            "WindowHours",
            "WINDOW_HOURS",
            "SETTLE_MINUTES",
            bound("SettleMinutes", "MaxValue"),
        ),
        (
            "RetentionMonths",
            "RETENTION_MONTHS",
            "WINDOW_HOURS",
            bound("WindowHours", "MaxValue"),
        ),
    ] {
        let bound = |name: &str| bound(parameter, name);
        for (value, allowed) in [
            (bound("MinValue") - 1, false),
            (bound("MinValue"), true),
            (bound("MaxValue"), true),
            (bound("MaxValue") + 1, false),
        ] {
            let env =
                runtime::Env::of([(variable, value.to_string()), (other, hardest.to_string())]);
            let starts = runtime::settings::schedule(&env).is_ok()
                && runtime::settings::retention(&env).is_ok()
                && runtime::settings::seal_policy(&env).is_ok();
            assert_eq!(starts, allowed, "{variable}={value}");
        }
    }
}

/// The calls that each role may allow at most, among those that move money or data. `read` means
/// GetItem, BatchGetItem, ConditionCheckItem, Query and Scan. `write` means PutItem and UpdateItem,
/// and `delete` means DeleteItem.
const ROLES: [(&str, &[&str]); 7] = [
    (
        "Registration",
        &[
            "aws-marketplace:ResolveCustomer on *",
            "sts:AssumeRole on MarketplaceRoles-registration",
            "aws-marketplace:GetEntitlements on *",
            "read Subscriptions",
            "write Subscriptions",
        ],
    ),
    (
        "Agreements",
        &[
            "aws-marketplace:GetEntitlements on *",
            "read Subscriptions",
            "write Subscriptions",
            "sqs:SendMessage on LifecycleQueue",
            "sqs:ReceiveMessage on LifecycleQueue",
            "sqs:DeleteMessage on LifecycleQueue",
            "sqs:GetQueueAttributes on LifecycleQueue",
        ],
    ),
    ("Intake", &["read Subscriptions", "write UsageEvents"]),
    (
        "LateUsage",
        &[
            "stream UsageEvents/stream",
            "read Subscriptions",
            "read MeteringRecords",
            "write MeteringRecords",
            // It itemises rows of unknown subscriptions, 25 at a time.
            "dynamodb:BatchWriteItem on MeteringRecords",
            "sqs:SendMessage on StreamDeadLetters",
        ],
    ),
    (
        "Sealer",
        &[
            "read Subscriptions",
            // It records its progress in subscriptions that have attention.
            "dynamodb:UpdateItem on Subscriptions",
            "read UsageEvents",
            "write UsageEvents",
            "read MeteringRecords",
            "write MeteringRecords",
            "delete MeteringRecords",
        ],
    ),
    (
        "Submitter",
        &[
            "aws-marketplace:BatchMeterUsage on *",
            "sts:AssumeRole on MarketplaceRoles-submitter",
            "stream MeteringRecords/stream",
            "read MeteringRecords",
            "dynamodb:UpdateItem on MeteringRecords",
            // Only for lanes, which the next test checks.
            "dynamodb:PutItem on MeteringRecords",
            "dynamodb:DeleteItem on MeteringRecords",
            "sqs:SendMessage on StreamDeadLetters",
        ],
    ),
    (
        "Reconciler",
        &[
            "cloudtrail:LookupEvents on *",
            "sts:AssumeRole on MarketplaceRoles-reconciler",
            "s3:ListBucket on arn:AWS::Partition:s3:::AuditBucket",
            "s3:GetObject on arn:AWS::Partition:s3:::AuditBucket/AuditPrefix*",
            "read Subscriptions",
            "write Subscriptions",
            "read UsageEvents",
            "read MeteringRecords",
            "write MeteringRecords",
        ],
    ),
];

#[test]
fn no_role_allows_more_than_its_function_is_for() {
    let template = Template::read();
    for (function, limits) in ROLES {
        let excess: Vec<String> = template
            .allowed(function)
            .iter()
            .filter(|call| !limits.iter().any(|limit| covers(limit, call)))
            .map(ToString::to_string)
            .collect();
        assert!(excess.is_empty(), "{function} may {excess:?}");
        let role = template.properties(&format!("{function}Role"));
        assert!(
            role["ManagedPolicyArns"].is_null(),
            "{function}: managed policies allow more than one function needs"
        );
    }
}

fn covers(limit: &str, call: &Call) -> bool {
    let (kind, resource) = limit.split_once(' ').expect("a kind and a resource");
    let actions: &[&str] = match kind {
        "read" => &[
            "GetItem",
            "BatchGetItem",
            "ConditionCheckItem",
            "Query",
            "Scan",
        ],
        "write" => &["PutItem", "UpdateItem"],
        "delete" => &["DeleteItem"],
        "stream" => &[
            "DescribeStream",
            "GetRecords",
            "GetShardIterator",
            "ListStreams",
        ],
        _ => return call.to_string() == limit,
    };
    let table = call
        .resource
        .split_once("/index/")
        .map_or(call.resource.as_str(), |(table, _)| table);
    table == resource
        && actions
            .iter()
            .any(|action| call.action == format!("dynamodb:{action}"))
}

#[test]
fn the_submitter_may_put_and_remove_lanes_only() {
    let template = Template::read();
    let role = template.properties("SubmitterRole");
    let statements = role["Policies"][0]["PolicyDocument"]["Statement"]
        .as_array()
        .expect("statements");
    let mut seen = 0;
    for statement in statements {
        let actions = statement["Action"].to_string();
        if actions.contains("PutItem") || actions.contains("DeleteItem") {
            let keys = &statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"];
            assert_eq!(keys, &json!(["lanes"]), "{statement}");
            seen += 1;
        }
    }
    assert_eq!(seen, 1);
}

#[test]
fn only_the_submitter_may_bill() {
    let template = Template::read();
    for (function, _) in FUNCTIONS {
        let bills = template.allowed(function).iter().any(|call| {
            call.action.ends_with("MeterUsage")
                || call.action.contains('*')
                || call.action.ends_with("RegisterUsage")
        });
        assert_eq!(bills, function == "Submitter", "{function}");
    }
}

/// The functions that call AWS services in the account of the listing.
const IN_THE_LISTING: [(&str, &str); 3] = [
    ("Registration", "registration"),
    ("Submitter", "submitter"),
    ("Reconciler", "reconciler"),
];

#[test]
fn functions_that_read_a_role_of_the_listing_may_assume_their_own() {
    let template = Template::read();
    for (function, binary) in FUNCTIONS {
        let role = template
            .environment(function)
            .get("MARKETPLACE_ROLE_ARN")
            .map(|value| value["Fn::If"][1]["Fn::Sub"].clone());
        let mut allowed = template.allowed(function).into_iter();
        let assumed = allowed.find(|call| call.action == "sts:AssumeRole");
        let calls_there = IN_THE_LISTING.contains(&(function, binary));
        let expected = |text: String| calls_there.then_some(text);
        let text = expected(format!("${{MarketplaceRoles}}-{binary}"));
        assert_eq!(role, text.map(|text| json!(text)), "{function}");
        let resource = expected(format!("MarketplaceRoles-{binary}"));
        assert_eq!(assumed.map(|call| call.resource), resource, "{function}");
    }
}

#[test]
fn each_role_of_the_listing_allows_what_its_function_calls_there_and_no_more() {
    let is_there =
        |call: &str| call.starts_with("aws-marketplace:") || call.starts_with("cloudtrail:");
    let stack = Template::read();
    let listing = Template::read_listing();
    for (function, limits) in ROLES {
        let expected: BTreeSet<String> = limits
            .iter()
            .filter(|call| is_there(call))
            .map(|call| (*call).to_owned())
            .collect();
        if !IN_THE_LISTING.iter().any(|(name, _)| *name == function) {
            continue;
        }
        let allowed: BTreeSet<String> = listing
            .allowed_by(&format!("{function}Role"))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(allowed, expected, "{function}");
        for call in stack.allowed(function) {
            let call = call.to_string();
            assert!(!is_there(&call) || allowed.contains(&call), "{call}");
        }
    }
}

#[test]
fn only_the_functions_role_that_names_the_external_id_may_assume_a_role_of_the_listing() {
    let listing = Template::read_listing();
    for (function, binary) in IN_THE_LISTING {
        let role = listing.properties(&format!("{function}Role"));
        let name = format!("${{AWS::StackName}}-{binary}");
        assert_eq!(role["RoleName"], json!({"Fn::Sub": name}));
        let [statement] = &role["AssumeRolePolicyDocument"]["Statement"]
            .as_array()
            .expect("statements")[..]
        else {
            panic!("{role} trusts in several ways");
        };
        let account = "arn:${AWS::Partition}:iam::${StackAccountId}";
        let trusted = format!("{account}:role/${{StackName}}-{function}Role-*");
        assert_eq!(
            statement["Condition"],
            json!({
                "StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}},
                "ArnLike": {"aws:PrincipalArn": {"Fn::Sub": trusted}},
            })
        );
        assert_eq!(statement["Action"], "sts:AssumeRole");
        let principal = format!("{account}:root");
        assert_eq!(
            statement["Principal"],
            json!({"AWS": {"Fn::Sub": principal}})
        );
    }
}

#[test]
fn the_listing_forwards_the_lifecycle_events_that_the_stack_handles() {
    let stack = Template::read();
    let listing = Template::read_listing();
    let handled = &stack.function("Agreements")["Events"]["Lifecycle"]["Properties"]["Pattern"];
    let rule = listing.properties("Lifecycle");
    assert_eq!(rule["EventPattern"], *handled);

    let [target] = &rule["Targets"].as_array().expect("targets")[..] else {
        panic!("{rule} has several targets");
    };
    let bus = "arn:${AWS::Partition}:events:${StackRegion}:${StackAccountId}:event-bus/default";
    assert_eq!(target["Arn"], json!({"Fn::Sub": bus}));
    assert_eq!(target["RoleArn"]["Fn::GetAtt"], "LifecycleRole.Arn");
    let put: Vec<String> = listing
        .allowed_by("LifecycleRole")
        .iter()
        .map(ToString::to_string)
        .collect();
    let bus = "arn:AWS::Partition:events:StackRegion:StackAccountId:event-bus/default";
    assert_eq!(put, [format!("events:PutEvents on {bus}")]);

    let queue = &target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"];
    assert_eq!(queue, "LifecycleDeadLetters.Arn");
    let alarm = listing.properties("LifecycleNotForwarded");
    let watched = &dimension(alarm, "QueueName")["Fn::GetAtt"];
    assert_eq!(watched, "LifecycleDeadLetters.QueueName");

    // The stack's bus takes only these events from the account of the listing.
    let policy = &stack.properties("ListingEvents")["Statement"];
    assert_eq!(policy["Action"], "events:PutEvents");
    let source = &policy["Condition"]["StringEquals"]["events:source"];
    assert_eq!(json!([source]), handled["source"]);
}

#[test]
fn the_listing_says_which_parameters_the_stack_needs() {
    let listing = Template::read_listing();
    let value = &listing.section("Outputs")["StackParameters"]["Value"]["Fn::If"];
    let stack = Template::read();
    let parameters = stack.section("Parameters");
    let named = |text: &Value| -> BTreeSet<String> {
        let pairs = text.as_str().expect("a text").split(' ');
        let pairs = pairs.map(|pair| pair.split_once('=').expect("a name and a value"));
        pairs.map(|(name, _)| name.to_owned()).collect()
    };
    let elsewhere = named(&value[1]["Fn::Sub"]);
    let there = named(&value[2]);
    assert_eq!(elsewhere.len(), 4);
    for name in elsewhere.union(&there) {
        assert!(parameters.contains_key(name), "the stack has no {name}");
    }
    let values = &parameters["LifecycleEvents"]["AllowedValues"];
    assert_eq!(*values, json!(["direct", "forwarded"]));
}

#[test]
fn usage_over_http_is_signed() {
    let template = Template::read();
    let usage = &template.function("Intake")["Events"]["Usage"]["Properties"];
    assert_eq!(usage["Auth"]["Authorizer"], "AWS_IAM");
    assert_eq!(
        template.properties("Http")["Auth"]["EnableIamAuthorizer"],
        true
    );
}

/// The tasks of the reconciler that the rules with this schedule ask for.
fn targets_on(template: &Template, schedule: &str) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (name, rule) in template.section("Resources") {
        let properties = &rule["Properties"];
        if rule["Type"] != "AWS::Events::Rule" || properties["ScheduleExpression"] != schedule {
            continue;
        }
        let targets = properties["Targets"].as_array().expect("targets");
        // EventBridge allows five targets a rule.
        assert!(targets.len() <= 5, "{name}");
        for target in targets {
            assert_eq!(target["Arn"]["Fn::GetAtt"], "ReconcilerFunction.Arn");
            let input = target["Input"].as_str().expect("an input");
            let event = serde_json::from_str(input).expect("an event");
            tasks.push(Task::of_event(&event).unwrap_or_else(|e| panic!("{name}: {e}")));
        }
        let permission = template.properties(&format!("{name}Permission"));
        assert_eq!(
            permission["SourceArn"]["Fn::GetAtt"],
            format!("{name}.Arn").as_str()
        );
        assert_eq!(permission["Principal"], "events.amazonaws.com");
    }
    tasks
}

#[test]
fn every_task_and_shard_of_the_reconciler_is_due_every_hour() {
    let template = Template::read();
    let hourly = targets_on(&template, "rate(1 hour)");
    let mut expected = vec![Task::Expire, Task::Close, Task::Judge, Task::Compare];
    expected.extend((0..SHARDS).map(|shard| Task::Recount(Some(shard))));
    expected.extend((0..SHARDS).map(|shard| Task::Prove(Some(shard))));
    assert_eq!(hourly.len(), expected.len());
    for task in expected {
        assert!(hourly.contains(&task), "no rule asks for {task}");
    }
    // The alarm counts the invocations, so it goes off if one of the tasks never runs.
    let alarm = template.properties("ReconcilerSilent");
    assert_eq!(alarm["Threshold"], hourly.len());
    assert_eq!(alarm["Period"], 3_600);
    assert_eq!(alarm["Statistic"], "SampleCount");
    assert_eq!(alarm["ComparisonOperator"], "LessThanThreshold");
}

#[test]
fn the_past_month_is_recounted_every_quarter_of_an_hour_before_its_close() {
    let template = Template::read();
    let month = targets_on(&template, "cron(0/15 3-4 1 * ? *)");
    assert_eq!(month.len(), usize::from(SHARDS));
    for shard in 0..SHARDS {
        assert!(month.contains(&Task::Recount(Some(shard))));
    }
}

#[test]
fn streams_are_retried_with_an_end() {
    let template = Template::read();
    for (function, event) in [("LateUsage", "UsageStream"), ("Submitter", "NewRecords")] {
        let source = &template.function(function)["Events"][event]["Properties"];
        assert!(
            source["MaximumRetryAttempts"].as_i64().unwrap() > 0,
            "{function}"
        );
        assert!(
            source["MaximumRecordAgeInSeconds"].as_i64().unwrap() > 0,
            "{function}"
        );
        assert_eq!(source["BisectBatchOnFunctionError"], true, "{function}");
        assert_eq!(
            source["FunctionResponseTypes"],
            json!(["ReportBatchItemFailures"]),
            "{function}"
        );
        assert!(
            source["DestinationConfig"]["OnFailure"]["Destination"].is_object(),
            "{function}"
        );
    }
}

#[test]
fn late_usage_sees_every_change_but_what_ttl_removes() {
    let filter = Filter::new(&Template::read().filters("LateUsage", "UsageStream")).unwrap();
    let removal = json!({"eventName": "REMOVE", "dynamodb": {"Keys": {}}});
    let mut expiry = removal.clone();
    expiry["userIdentity"] = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
    for (record, passes) in [
        (
            json!({"eventName": "INSERT", "dynamodb": {"Keys": {}}}),
            true,
        ),
        (
            json!({"eventName": "MODIFY", "dynamodb": {"Keys": {}}}),
            true,
        ),
        (removal, true),
        (expiry, false),
    ] {
        assert_eq!(filter.matches(&record), passes, "{record}");
    }
}

#[test]
fn the_submitter_is_woken_by_frozen_records_alone() {
    let filter = Filter::new(&Template::read().filters("Submitter", "NewRecords")).unwrap();
    let record =
        |event: &str, image: Value| json!({"eventName": event, "dynamodb": {"NewImage": image}});
    for (record, passes) in [
        (record("INSERT", json!({"send": {"S": "yes"}})), true),
        (record("INSERT", json!({"state": {"S": "dry-run"}})), false),
        (record("MODIFY", json!({"state": {"S": "accepted"}})), false),
        (
            json!({"eventName": "REMOVE", "dynamodb": {"Keys": {}}}),
            false,
        ),
    ] {
        assert_eq!(filter.matches(&record), passes, "{record}");
    }
}

#[test]
fn alarms_watch_metrics_that_the_functions_emit() {
    let template = Template::read();
    let sources: BTreeMap<&str, String> = FUNCTIONS
        .iter()
        .map(|(_, binary)| (*binary, source_of(binary)))
        .collect();
    let mut watched = 0;
    for (name, alarm) in template.section("Resources") {
        if alarm["Type"] != "AWS::CloudWatch::Alarm" {
            continue;
        }
        let properties = &alarm["Properties"];
        let several = properties["Metrics"].as_array().into_iter().flatten();
        let several = several.map(|metric| &metric["MetricStat"]["Metric"]);
        for metric in several.chain([properties]) {
            if metric["Namespace"] != runtime::metrics::NAMESPACE {
                continue;
            }
            watched += 1;
            let function = dimension(metric, "Function").as_str().unwrap();
            assert_eq!(
                dimension(metric, "Stack")["Ref"],
                "AWS::StackName",
                "{name}"
            );
            let emitted = format!("\"{}\"", metric["MetricName"].as_str().unwrap());
            assert!(
                sources[function].contains(&emitted),
                "{name} watches {emitted}, which {function} never emits"
            );
        }
    }
    assert!(watched > 0);
}

#[test]
fn every_alarm_that_the_error_table_names_is_there() {
    let template = Template::read();
    let resources = template.section("Resources");
    for row in marketplace::error_table::ERROR_TABLE {
        if let Some(alarm) = row.alarm.name() {
            let there = resources.iter().any(|(name, resource)| {
                name == alarm && resource["Type"] == "AWS::CloudWatch::Alarm"
            });
            assert!(there, "{}: the template has no alarm {alarm}", row.code);
        }
    }
}

/// The sources of a crate without their tests.
fn source_of(name: &str) -> String {
    let mut all = String::new();
    append_sources(&workspace().join("crates").join(name).join("src"), &mut all);
    all
}

fn append_sources(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            append_sources(&path, all);
        } else if is_code(&path) {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            all.push_str(code);
        }
    }
}

/// Whether a file is a source that has more than tests.
fn is_code(path: &Path) -> bool {
    let is_source = path.extension().is_some_and(|extension| extension == "rs");
    is_source && path.file_name().is_none_or(|name| name != "tests.rs")
}

/// The environment variables that a source names in string literals, except those of the Lambda
/// runtime.
fn variables(source: &str) -> BTreeSet<String> {
    // Quotes that do not begin or end a string literal are left out.
    let source = source.replace("\\\\", "").replace("\\\"", "");
    source
        .replace("'\"'", "")
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| {
            // Other words are in capitals as well. So the only variable whose name is a single word
            // is listed here.
            (text.contains('_') || *text == "HEARTBEATS")
                && text.starts_with(|c: char| c.is_ascii_uppercase())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        })
        .filter(|text| !text.starts_with("AWS_"))
        .map(str::to_owned)
        .collect()
}

/// The value of a dimension of a metric.
fn dimension<'m>(metric: &'m Value, name: &str) -> &'m Value {
    let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
    let mut found = dimensions.filter(|dimension| dimension["Name"] == name);
    &found.next().expect("the dimension")["Value"]
}
