//! The pages that a seller uses.

use serde_json::json;

use super::browser::{says, text};
use super::common::{self, LICENSED, by_license, run, running, with};

#[test]
fn refusals_are_explained_in_plain_words() {
    run(async {
        let running = running().await;
        let agreement = running.buys(LICENSED);
        let record = by_license(&agreement);
        running.meter(std::slice::from_ref(&record)).await;
        running.meter(&[with(&record, "Quantity", 2)]).await;
        running
            .meter(&[with(&record, "Dimension", "nothing")])
            .await;
        let old = with(&record, "Timestamp", common::epoch("2026-11-20T11:00:00Z"));
        running.meter(&[old]).await;
        let lost =
            json!({"faults": [{"operation": "BatchMeterUsage", "kind": "drop-after", "next": 1}]});
        running.control("PUT", "faults", &lost).await;
        let body = json!({"UsageRecords": [with(&record, "Dimension", "gb")]}).to_string();
        let target = "AWSMPMeteringService.BatchMeterUsage";
        assert!(running.try_aws(target, body.as_bytes()).await.is_none());

        let all = text(&running, "/calls").await;
        says(
            &all,
            &[
                "5 calls",
                "Never meter an hour twice",
                "InvalidUsageDimensionException",
                "case counts",
                "24 hours since July 2026",
                "drop-after",
                "they are billed once",
            ],
        );
        let some = text(&running, "/calls?verdict=partly").await;
        says(&some, &["1 call.", "DuplicateRecord"]);
        assert!(!some.contains("case counts"), "{some}");
        says(
            &text(&running, "/calls?verdict=refusal&operation=BatchMeterUsage").await,
            &["3 calls"],
        );
        says(
            &text(&running, "/calls?operation=MeterUsage").await,
            &["0 calls"],
        );
        says(
            &text(&running, "/calls/2").await,
            &[
                "Call 2: BatchMeterUsage",
                &agreement.license_arn,
                "<td>DuplicateRecord</td><td>no</td>",
            ],
        );
        says(&text(&running, "/calls/1").await, &["yes, as"]);
        running.meter(std::slice::from_ref(&record)).await;
        says(&text(&running, "/calls/6").await, &["no: it repeats"]);
    });
}

#[test]
fn the_heat_map_of_a_day_names_the_state_of_each_hour() {
    run(async {
        let running = running().await;
        let agreement = running.buys(LICENSED);
        let record = by_license(&agreement);
        let at = |time: &str| with(&record, "Timestamp", common::epoch(time));
        running.meter(&[at("2026-11-21T11:00:00Z")]).await;
        running
            .meter(&[with(&at("2026-11-21T10:00:00Z"), "Quantity", 0)])
            .await;
        running
            .meter(&[with(&at("2026-11-21T09:00:00Z"), "Quantity", 5)])
            .await;
        running
            .meter(&[with(&at("2026-11-21T09:00:00Z"), "Quantity", 6)])
            .await;
        running
            .emulator
            .suspend_agreement(&agreement.agreement_id)
            .expect("suspended");
        running.meter(&[at("2026-11-21T08:00:00Z")]).await;
        running
            .emulator
            .resume_agreement(&agreement.agreement_id)
            .expect("resumed");
        let day = text(&running, "/metered?day=2026-11-21&dimension=requests").await;
        says(
            &day,
            &[
                "Saturday, 21 November 2026",
                "title=\"11:00 to 12:00 UTC: 1 metered\"",
                "title=\"10:00 to 11:00 UTC: 0 zero\"",
                "title=\"09:00 to 10:00 UTC: 5 disputed\"",
                "title=\"08:00 to 09:00 UTC: refused\"",
                "title=\"07:00 to 08:00 UTC: open\"",
                "title=\"13:00 to 14:00 UTC: later\"",
                "1 line of",
                "3 slots",
                "What the words mean",
            ],
        );
        assert!(!day.contains(">Requests<") || day.contains("value=\"Requests\""));
        let before = text(&running, "/metered?day=2026-11-20&dimension=requests").await;
        says(
            &before,
            &[
                "title=\"11:00 to 12:00 UTC: closed\"",
                "title=\"12:00 to 13:00 UTC: open\"",
            ],
        );
        let long_before = text(&running, "/metered?day=2026-10-31").await;
        says(&long_before, &["Nobody has an agreement on that day"]);
        says(
            &text(&running, "/metered?product=legacyproduct1").await,
            &["0 lines", "0 slots"],
        );
    });
}
