use super::*;

const NOW: &str = "2026-11-25T12:00:00Z";

/// A record without an outcome, of this hour. Its deadline has passed.
fn record(hour: &str) -> MeteringRecord {
    let slot: Slot = format!("legacy|code|buyer@{hour}#gb").parse().unwrap();
    let (sealed_at, deadline) = (slot.hour.end(), slot.hour.plus(25).start());
    MeteringRecord {
        state: State::Unconfirmed,
        ..MeteringRecord::new(
            slot,
            "code".parse().unwrap(),
            "1".parse().unwrap(),
            deadline,
            sealed_at,
        )
    }
}

fn grouped(hours: &[&str]) -> Vec<Vec<String>> {
    let records = hours.iter().map(|hour| record(hour)).collect();
    let groups = groups(records, NOW.parse().unwrap());
    let hours = |group: &Vec<MeteringRecord>| {
        let hours = group.iter().map(|record| record.slot.hour.to_string());
        hours.collect()
    };
    groups.iter().map(hours).collect()
}

#[test]
fn an_old_record_is_not_read_together_with_the_latest_ones() {
    assert_eq!(
        grouped(&["2026-11-10T07", "2026-11-24T09", "2026-11-24T10"]),
        [
            vec!["2026-11-24T09".to_owned(), "2026-11-24T10".to_owned()],
            vec!["2026-11-10T07".to_owned()],
        ]
    );
}

#[test]
fn the_records_of_an_outage_are_read_together() {
    assert_eq!(
        grouped(&["2026-11-22T23", "2026-11-23T20", "2026-11-24T08"]).len(),
        1
    );
    assert!(grouped(&[]).is_empty());
}
