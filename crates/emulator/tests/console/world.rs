//! The forms that change the clock, the faults and the readings.

use emulator::{FaultKind, When};

use super::browser::{accepted, refused, says, text};
use super::common::{self, run, running};

#[test]
fn the_clock_is_advanced_set_frozen_and_sped_up_by_forms() {
    run(async {
        let running = running().await;
        let to = accepted(&running, "/clock", &[("advance", "1h")]).await;
        says(
            &text(&running, &to).await,
            &["2026-11-21 13:00:00", "frozen", "Advance one hour"],
        );
        accepted(
            &running,
            "/clock",
            &[("now", "2026-12-01T05:00:00Z"), ("speed", "")],
        )
        .await;
        assert_eq!(running.emulator.now(), common::at("2026-12-01T05:00:00Z"));
        accepted(&running, "/clock", &[("speed", "60")]).await;
        says(
            &text(&running, "/clock").await,
            &["60 times as fast", "Freeze"],
        );
        accepted(&running, "/clock", &[("speed", "0")]).await;
        let frozen = running.emulator.now();
        for (field, bad, words) in [
            ("advance", "a while", "not a duration"),
            ("now", "noon", "2026-11-21T12:00:00Z"),
            ("speed", "fast", "must be a number"),
            ("speed", "-1", "0 (frozen) or more"),
        ] {
            let page = refused(&running, "/clock", &[(field, bad)], 400).await;
            says(
                &page,
                &[
                    bad,
                    words,
                    "Nothing was changed",
                    &format!("value=\"{bad}\""),
                ],
            );
        }
        assert_eq!(running.emulator.now(), frozen);
    });
}

#[test]
fn faults_are_switched_on_seen_removed_and_cleared_by_forms() {
    run(async {
        let running = running().await;
        let throttled = [
            ("kind", "throttling"),
            ("operation", "BatchMeterUsage"),
            ("rate", "0.25"),
            ("next", ""),
            ("records", ""),
            ("delay_ms", ""),
            ("seed", "7"),
        ];
        accepted(&running, "/faults", &throttled).await;
        let unprocessed = [
            ("kind", "unprocessed"),
            ("operation", "*"),
            ("next", "2"),
            ("records", "3"),
        ];
        accepted(&running, "/faults", &unprocessed).await;
        let delay = [
            ("kind", "delay"),
            ("operation", "ResolveCustomer"),
            ("next", "1"),
            ("delay_ms", "20"),
        ];
        accepted(&running, "/faults", &delay).await;
        let faults = running.emulator.faults();
        assert_eq!(faults.seed, 7);
        let kinds: Vec<FaultKind> = faults.faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(
            kinds,
            [
                FaultKind::Throttling,
                FaultKind::Unprocessed,
                FaultKind::Delay
            ]
        );
        assert_eq!(faults.faults[0].when, When::Rate(0.25));
        assert_eq!(
            (faults.faults[1].when, faults.faults[1].records),
            (When::Next(2), 3)
        );
        assert_eq!(faults.faults[2].delay_ms, 20);
        says(
            &text(&running, "/faults").await,
            &[
                "0.25 of the calls",
                "the next 2 calls",
                "every operation",
                "20 ms",
                "Clear all",
            ],
        );

        let stale = [("place", "0"), ("kind", "delay")];
        says(
            &refused(&running, "/faults/remove", &stale, 400).await,
            &["have changed"],
        );
        accepted(
            &running,
            "/faults/remove",
            &[("place", "0"), ("kind", "throttling")],
        )
        .await;
        assert_eq!(running.emulator.faults().faults.len(), 2);
        accepted(&running, "/faults/clear", &[]).await;
        assert!(running.emulator.faults().faults.is_empty());
        says(&text(&running, "/faults").await, &["No fault is in force"]);

        for (field, bad, words) in [
            ("rate", "2", "not between 0 and 1"),
            ("rate", "often", "must be a number"),
            ("next", "-1", "a whole number"),
            ("operation", "Meter", "no such operation"),
            ("kind", "flood", "unknown variant"),
            ("delay_ms", "5", "absent otherwise"),
        ] {
            let mut fields = vec![("kind", "throttling"), ("operation", "*")];
            if !["rate", "next"].contains(&field) {
                fields.push(("next", "1"));
            }
            fields.retain(|(name, _)| *name != field);
            fields.push((field, bad));
            let page = refused(&running, "/faults", &fields, 400).await;
            says(&page, &[bad, words]);
        }
        let neither = [("kind", "throttling"), ("operation", "*")];
        says(
            &refused(&running, "/faults", &neither, 400).await,
            &["exactly one"],
        );
        assert!(running.emulator.faults().faults.is_empty());
    });
}

#[test]
fn readings_are_set_by_a_form() {
    run(async {
        let running = running().await;
        says(
            &text(&running, "/readings").await,
            &["A quantity of zero", "leaves-slot-free"],
        );
        let fields = [
            ("zero_quantity", "leaves-slot-free"),
            ("five_tags", "per-record"),
        ];
        accepted(&running, "/readings", &fields).await;
        let set = serde_json::to_value(running.emulator.readings()).expect("readings");
        assert_eq!(set["zero_quantity"], "leaves-slot-free");
        assert_eq!(set["five_tags"], "per-record");
        assert_eq!(set["slot_scope"], "region");
        says(
            &text(&running, "/readings").await,
            &["value=\"leaves-slot-free\" checked"],
        );
        let bad = [("zero_quantity", "maybe")];
        says(
            &refused(&running, "/readings", &bad, 400).await,
            &[
                "`zero_quantity` is `maybe`",
                "spends-slot or leaves-slot-free",
            ],
        );
        let unknown = [("colour", "red")];
        says(
            &refused(&running, "/readings", &unknown, 400).await,
            &["colour"],
        );
    });
}
