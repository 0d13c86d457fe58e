use super::*;

#[test]
fn the_same_seed_draws_the_same_day_with_and_without_faults() {
    let calm = draw(&DemoOptions::default());
    let harsh = draw(&DemoOptions {
        faults: FaultLevel::Harsh,
        ..DemoOptions::default()
    });
    assert_eq!(calm.actions, harsh.actions);
    assert_eq!(calm.expected_micros, harsh.expected_micros);
    assert!(calm.bad > 0 && calm.sent > calm.good);
}

#[test]
fn the_demo_begins_early_in_its_month() {
    assert_eq!(
        DemoOptions::default().start().to_string(),
        "2026-11-02T00:00:00Z"
    );
}

#[test]
fn a_day_out_of_range_is_refused_with_the_range() {
    let options = DemoOptions {
        hours: 1,
        ..DemoOptions::default()
    };
    assert!(
        options
            .check()
            .unwrap_err()
            .to_string()
            .contains("--hours 1")
    );
}
