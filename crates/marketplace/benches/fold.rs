//! Measures how many rows one core folds per second: `cargo bench -p marketplace`.
//!
//! The control parses the same rows' quantities and adds them up without checks. The ratio shows
//! the cost of checking keys, times, tags and limits, independent of the machine.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use marketplace::fold::Fold;
use marketplace::tags::Tags;
use marketplace::usage::{Field, UsageRow};
use marketplace::{Quantity, UsageHour};

const ROWS: usize = 200_000;
const ROUNDS: usize = 5;

fn main() {
    let hour: UsageHour = "2026-11-21T02".parse().expect("an hour");
    let plain = rows(false);
    let tagged = rows(true);
    let control = best(|| {
        plain.iter().fold(0_u64, |sum, row| match &row.quantity {
            Field::Value(text) => sum + Quantity::from_number(text).map_or(0, Quantity::micros),
            _ => sum,
        })
    });
    println!("{:>16} {:>14} {:>9}", "rows", "rows/s", "x control");
    report("control", control, control);
    for (name, rows) in [("plain", &plain), ("one tag each", &tagged)] {
        let time = best(|| {
            let mut fold = Fold::new(hour, None);
            for row in rows {
                fold.add(row).expect("in range");
            }
            assert_eq!(fold.rows_set_aside_count(), 0);
            fold
        });
        report(name, time, control);
    }
}

fn rows(tagged: bool) -> Vec<UsageRow<'static>> {
    (0..ROWS)
        .map(|n| UsageRow {
            dimension_event: format!("{}#event-{n}", ["gb", "requests", "gb#cold"][n % 3]).into(),
            quantity: Field::Value(format!("{}.{:06}", n % 50, n % 1_000_000).into()),
            time: Field::Value(format!("2026-11-21T02:{:02}:{:02}Z", n % 60, n / 60 % 60).into()),
            tags: if tagged {
                Field::Value(Tags::from([(
                    "team".to_owned(),
                    format!("team-{}", n % 20),
                )]))
            } else {
                Field::Absent
            },
            expires_at: None,
        })
        .collect()
}

fn best<T>(mut run: impl FnMut() -> T) -> Duration {
    (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            black_box(run());
            begin.elapsed()
        })
        .min()
        .unwrap_or(Duration::MAX)
}

fn report(name: &str, time: Duration, control: Duration) {
    let nanos = time.as_nanos().max(1);
    let per_second = ROWS as u128 * 1_000_000_000 / nanos;
    let tenths = nanos * 10 / control.as_nanos().max(1);
    println!(
        "{name:>16} {per_second:>14} {:>7}.{}",
        tenths / 10,
        tenths % 10
    );
}
