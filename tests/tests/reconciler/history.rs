//! A CloudTrail that is slow, that fails, or that shows events hours late.

use emulator::{Fault, FaultKind, Faults};
use marketplace::UsageHour;
use marketplace::audit::Source;
use serde_json::json;
use simulation::run::{Executor, on_a_thread};

use crate::town::{Town, at};

fn fails(town: &Town, operation: &str, kind: FaultKind, times: u32) {
    town.world.emulator.set_faults(Faults {
        seed: 0,
        faults: vec![Fault::next(operation, kind, times)],
    });
}

/// Makes a call that bills nothing, so that there is something to read.
async fn call(town: &Town, hour: UsageHour) {
    town.world.set_time(at(&format!("{hour}:01:00Z")));
    let empty = json!({"UsageRecords": []});
    let metering = &town.world.functions.submitter.metering;
    metering.batch_meter_usage_raw(empty).await.expect("called");
}

#[test]
fn a_page_that_fails_temporarily_is_asked_for_again() {
    on_a_thread(|| {
        for (source, operation) in [
            (Source::EventHistory, "LookupEvents"),
            (Source::Trail, "ListObjectsV2"),
            (Source::Trail, "GetObject"),
        ] {
            Executor::default().finish(read_through_failures(source, operation));
        }
    });
}

async fn read_through_failures(source: Source, operation: &str) {
    let town = Town::reading(1, source).await;
    let mut hour: UsageHour = "2026-11-27T02".parse().unwrap();
    for kind in [
        FaultKind::Throttling,
        FaultKind::InternalError,
        FaultKind::BadGateway,
        FaultKind::UnknownError,
        FaultKind::DropBefore,
        FaultKind::DropAfter,
    ] {
        hour = hour.next();
        call(&town, hour).await;
        fails(&town, operation, kind, 3);
        let report = town.reconcile_at(&format!("{hour}:40:00Z")).await;
        assert_eq!(report.audit.failure, None, "{operation} {kind:?}");
        assert!(report.finished, "{operation} {kind:?}: {report:?}");
        assert_eq!(report.audit.unclear, 0, "{operation} {kind:?}");
    }
    // A lasting failure is reported at once. A temporary failure is reported after all tries.
    for (kind, times, tries) in [
        (FaultKind::AccessDenied, 3, "tried 1 times"),
        (FaultKind::Throttling, 1_000, "tried 6 times"),
    ] {
        if operation == "GetObject" && kind == FaultKind::AccessDenied {
            // If a file is denied, the other files can still be read. Another test has that case.
            continue;
        }
        hour = hour.next();
        call(&town, hour).await;
        fails(&town, operation, kind, times);
        let report = town.reconcile_at(&format!("{hour}:40:00Z")).await;
        let failure = report.audit.failure.expect("a failure");
        assert!(
            failure.contains(tries) && failure.contains(operation),
            "{failure}"
        );
        assert!(!report.finished);
    }
}

#[test]
fn a_call_that_comes_late_into_the_history_is_still_compared() {
    on_a_thread(|| {
        for source in [Source::EventHistory, Source::Trail] {
            Executor::default().finish(find_late_call(source));
        }
    });
}

async fn find_late_call(source: Source) {
    let town = Town::reading(1, source).await;
    let mut settings = town.world.emulator.settings();
    settings.cloudtrail_delay_s = 8 * 3_600;
    town.world.emulator.set_settings(settings);
    town.world.set_time(at("2026-11-27T02:40:00Z"));
    let theirs = json!({"UsageRecords": [{
        "LicenseArn": town.buyers[0].0.license_arn,
        "CustomerAWSAccountId": town.buyers[0].0.account_id,
        "Dimension": "gb",
        "Quantity": 3,
        "Timestamp": at("2026-11-27T02:00:00Z").as_second(),
    }]});
    let metering = &town.world.functions.submitter.metering;
    metering
        .batch_meter_usage_raw(theirs)
        .await
        .expect("metered");
    let mut reported_at = Vec::new();
    let mut hour: UsageHour = "2026-11-27T03".parse().unwrap();
    for _ in 0..20 {
        let report = town.reconcile_at(&format!("{hour}:05:00Z")).await;
        assert!(report.finished, "{report:?}");
        if report.audit.unknown > 0 {
            assert_eq!(report.audit.unknown, 1, "{report:?}");
            reported_at.push(hour.to_string());
        }
        hour = hour.next();
    }
    // The stack sealed nothing in that hour, so the ledger has no record for this success.
    assert_eq!(reported_at, ["2026-11-27T12"], "{source:?}");
}
