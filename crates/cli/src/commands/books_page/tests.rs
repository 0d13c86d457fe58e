use super::*;
use marketplace::{Quantity, Total};

fn units(text: &str) -> Total {
    text.parse::<Quantity>().unwrap().into()
}

/// Creates a slot in conflict from the quantity of its record and the quantity at AWS Marketplace.
fn conflict(recorded: &str, at_aws: &str) -> SlotBooks {
    SlotBooks {
        recorded: units(recorded),
        at_aws: units(at_aws),
        state: Some(State::Conflict),
        ..SlotBooks::default()
    }
}

#[test]
fn a_conflict_counts_as_lost_only_if_aws_marketplace_holds_too_little() {
    assert_eq!(Mark::of(&conflict("5", "3")), Mark::Lost);
    // AWS Marketplace holds more than was used.
    let over = SlotBooks {
        uncounted: Total::ZERO.minus(units("2")).unwrap(),
        ..conflict("7", "7")
    };
    assert_eq!(Mark::of(&over), Mark::Over);
    // The shortfall of 2 was carried, or written off.
    let carried = SlotBooks {
        carried_out: units("2"),
        ..conflict("3", "3")
    };
    assert_eq!(Mark::of(&carried), Mark::Billed);
    let all_carried = SlotBooks {
        carried_out: units("5"),
        ..conflict("0", "0")
    };
    assert_eq!(Mark::of(&all_carried), Mark::Moved);
    let written_off = SlotBooks {
        written_off: units("2"),
        ..conflict("3", "3")
    };
    assert_eq!(Mark::of(&written_off), Mark::Lost);
    // A part of the shortfall was carried, and the rest is still missing.
    let partly = SlotBooks {
        carried_out: units("1"),
        ..conflict("4", "3")
    };
    assert_eq!(Mark::of(&partly), Mark::Lost);
}
