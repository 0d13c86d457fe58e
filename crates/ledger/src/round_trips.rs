//! Tests of all codecs: every value is the same after it was written as an item and read again, and
//! no item makes a reader panic.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use marketplace::books::Books;
use marketplace::lifecycle::Sign;
use marketplace::record::{Allocation, Outcome, Transmissions};
use marketplace::recount::{Movement, MovementKind};
use marketplace::retention::Retention;
use marketplace::slot::Slot;
use marketplace::tags::Tags;
use marketplace::usage::{UsageEvent, read_row};
use marketplace::{
    Dimension, IdentityKind, MeteringRecord, Quantity, State, Subscription, TagSet, Total,
    UsageHour,
};
use proptest::option::of;
use proptest::prelude::*;

use crate::buyer::Registered;
use crate::contact::Contact;
use crate::day::{DaySums, Slots, first_of_day};
use crate::item::Item;
use crate::pages::StoredPages;
use crate::product::Product;
use crate::profile::Profile;
use crate::{movement, record, usage_event};

fn subscription() -> impl Strategy<Value = Subscription> {
    prop_oneof![
        "arn:aws:license-manager::[0-9]{12}:license:l-[0-9a-f]{1,32}",
        "legacy\\|[-a-z0-9/=:_.@]{1,20}\\|[A-Za-z0-9@]{1,20}",
        "account\\|[-a-z0-9/=:_.@]{1,20}\\|[0-9]{12}",
    ]
    .prop_filter_map("a subscription", |text| text.parse().ok())
}

fn dimension() -> impl Strategy<Value = Dimension> {
    "[ -~]{1,40}".prop_filter_map("a dimension", |text| text.parse().ok())
}

fn quantity() -> impl Strategy<Value = Quantity> {
    (0..=Quantity::MAX.micros()).prop_map(|micros| Quantity::from_micros(micros).unwrap())
}

/// Times in whole seconds, as in records.
fn second() -> impl Strategy<Value = Timestamp> {
    (0_i64..5_000_000_000).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0_i128..5_000_000_000_000_000_000)
        .prop_map(|nanosecond| Timestamp::from_nanosecond(nanosecond).unwrap())
}

fn hour() -> impl Strategy<Value = UsageHour> {
    second().prop_map(UsageHour::of)
}

fn tags() -> impl Strategy<Value = TagSet> {
    proptest::collection::btree_map(
        "[A-Za-z0-9 +=._:/@-]{1,20}",
        "[A-Za-z0-9 +=._:/@-]{1,30}",
        0..4,
    )
    .prop_filter_map("tags", |tags| {
        TagSet::try_from(tags.into_iter().collect::<Tags>()).ok()
    })
}

fn slot() -> impl Strategy<Value = Slot> {
    (subscription(), hour(), dimension()).prop_map(|(subscription, hour, dimension)| Slot {
        subscription,
        hour,
        dimension,
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    (time(), "[A-Za-z]{1,30}", of("[!-~]{1,40}"), of(quantity())).prop_map(
        |(at, code, metering_record_id, quantity_at_aws)| Outcome {
            at,
            code,
            metering_record_id,
            quantity_at_aws,
        },
    )
}

prop_compose! {
    fn a_record()(
        key in slot(),
        product in "[-a-z0-9/=:_.@]{1,30}",
        account in of("[0-9]{12}"),
        quantity in quantity(),
        allocations in proptest::collection::vec((tags(), quantity()), 0..4),
        (stamp, deadline, sealed_at) in (second(), second(), second()),
        state in proptest::sample::select(&State::ALL[..]),
        (version, movements, open_holds) in (1_u64..1_000_000, any::<u32>(), 0_u32..3),
        (attempts, doubtful, answered) in (any::<u32>(), any::<u32>(), any::<u32>()),
        (due, final_at) in (of(second()), of(second())),
        outcome in of(outcome()),
    ) -> MeteringRecord {
        MeteringRecord {
            slot: key,
            product: product.parse().unwrap(),
            account: account.map(|account| account.parse().unwrap()),
            quantity,
            allocations: allocations
                .into_iter()
                .map(|(tags, quantity)| Allocation { tags, quantity })
                .collect(),
            stamp,
            deadline,
            sealed_at,
            state,
            version,
            movements,
            open_holds,
            final_at,
            attempts,
            sent: Transmissions { doubtful, answered },
            due,
            outcome,
        }
    }
}

prop_compose! {
    fn a_movement()(
        number in 1_u32..,
        kind in prop_oneof![
            (hour(), of(dimension())).prop_map(|(target, into)| MovementKind::Carried { target, into }),
            Just(MovementKind::Held),
            Just(MovementKind::WrittenOff),
            Just(MovementKind::Refunded),
        ],
        entries in proptest::collection::vec((tags(), quantity()), 0..5),
        of_number in of(any::<u32>()),
        at in time(),
        reason in of("[ -~]{1,60}"),
    ) -> Movement {
        Movement { number, kind, entries, of: of_number, at, reason }
    }
}

prop_compose! {
    fn a_profile()(
        subscription in subscription(),
        product in "[-a-z0-9/=:_.@]{1,30}",
        (account, customer, agreement) in (of("[0-9]{12}"), of("[A-Za-z0-9@]{1,20}"), of("agmt-[a-z0-9]{1,20}")),
        times in proptest::array::uniform7(of(time())),
        created_at in time(),
        reference in of("\\PC{1,30}"),
        attention_since in of(time()),
        sealed_through in of(hour()),
        version in 1_u64..1_000_000,
    ) -> Profile {
        let mut profile = Profile::new(subscription, product.parse().unwrap(), created_at);
        profile.account = account.map(|text| text.parse().unwrap());
        profile.customer = customer.map(|text| text.parse().unwrap());
        profile.agreement = agreement.map(|text| text.parse().unwrap());
        let signs = [Sign::Activated, Sign::Activated, Sign::EndAnnounced, Sign::Deprovisioned];
        for (sign, at) in signs.into_iter().zip(times).filter_map(|(s, at)| Some((s, at?))) {
            profile.lifecycle.observe(sign, at);
        }
        profile.lifecycle.closed_at = times[4];
        profile.registered_at = times[5];
        profile.reference = reference;
        profile.attention_since = attention_since;
        profile.sealed_through = sealed_through;
        profile.version = version;
        profile
    }
}

/// Attributes of any type under the names that items have.
fn any_item() -> impl Strategy<Value = Item> {
    let names = proptest::sample::select(vec![
        "subscription",
        "item",
        "version",
        "state",
        "product_code",
        "quantity",
        "stamp",
        "deadline",
        "sealed_at",
        "allocations",
        "allocation_parts",
        "allocation_digest",
        "due",
        "outcome",
        "outcome_at",
        "kind",
        "target",
        "into",
        "of",
        "at",
        "entries",
        "created_at",
        "identity",
        "dimensions",
        "subscription_hour",
        "dimension_event",
        "time",
        "tags",
        "fields",
        "completed_at",
        "registered_at",
        "settings",
    ]);
    let text = prop_oneof![
        "\\PC{0,30}",
        Just("r#2026-11-21T02#gb".to_owned()),
        Just("c#2026-11-21T02#gb#1".to_owned()),
        Just("legacy|code|cust".to_owned()),
        Just("2026-11-21T02:00:00Z".to_owned()),
        Just("[[\"1\",{}]]".to_owned()),
    ];
    let leaf = prop_oneof![
        text.prop_map(AttributeValue::S),
        "-?[0-9]{0,40}(\\.[0-9]{0,40})?([eE][+-]?[0-9]{1,4})?".prop_map(AttributeValue::N),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null(true)),
    ];
    let value = leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(AttributeValue::L),
            proptest::collection::hash_map("[a-z]{1,5}", inner, 0..3).prop_map(AttributeValue::M),
        ]
    });
    proptest::collection::hash_map(names.prop_map(str::to_owned), value, 0..20)
}

fn total() -> impl Strategy<Value = Total> {
    (-1_000_000_000_000_000_000_i128..1_000_000_000_000_000_000).prop_map(Total::from_micros)
}

fn slots() -> impl Strategy<Value = Slots> {
    proptest::collection::btree_map((hour(), dimension()), total(), 0..5)
}

fn a_day() -> impl Strategy<Value = DaySums> {
    let states = proptest::sample::select(State::ALL.to_vec());
    let books = (
        proptest::collection::vec(total(), 10),
        proptest::collection::btree_map(states, 1_u64..100, 0..4),
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(|(totals, records, rows, rows_set_aside)| Books {
            ingested: totals[0],
            accepted: totals[1],
            pending: totals[2],
            held: totals[3],
            dry_run: totals[4],
            lost: totals[5],
            over_metered: totals[6],
            refunded: totals[7],
            carried_in: totals[8],
            carried_out: totals[9],
            records,
            rows_set_aside: rows_set_aside.into(),
            rows: rows.into(),
        });
    (books, slots(), slots(), any::<bool>(), hour(), second()).prop_map(
        |(books, sent, arrived, is_counted, hour, proved_at)| DaySums {
            day: first_of_day(hour),
            books,
            sent,
            arrived,
            records: "0123456789abcdef".to_owned(),
            known: "any".to_owned(),
            is_counted,
            proved_at,
        },
    )
}

proptest! {
    #[test]
    fn a_record_survives_its_item(record in a_record()) {
        let stored = record::to_item(&record, Retention::default());
        prop_assert!(stored.parts.is_empty());
        let (read, parts) = record::from_item(&stored.item).unwrap();
        prop_assert_eq!(parts, None);
        prop_assert_eq!(read, record);
    }

    #[test]
    fn a_record_expires_if_and_only_if_it_is_closed(record in a_record(), months in 4_i64..=120) {
        let retention = Retention::from_months(months).unwrap();
        let stored = record::to_item(&record, retention).item;
        let end = stored.get("expires_at").map(|end| end.as_n().unwrap().clone());
        let due = record.is_closed().then(|| retention.ends(record.slot.hour).as_second());
        prop_assert_eq!(end, due.map(|second| second.to_string()));
    }

    #[test]
    fn a_movement_survives_its_item(key in slot(), movement in a_movement()) {
        let read = movement::from_item(&movement::to_item(&key, &movement)).unwrap();
        prop_assert_eq!(read, (key.hour, key.dimension, movement));
    }

    #[test]
    fn a_day_survives_its_item(subscription in subscription(), day in a_day()) {
        prop_assert_eq!(DaySums::from_item(&day.to_item(&subscription, Retention::default())).unwrap(), day);
    }

    #[test]
    fn a_profile_survives_its_item(profile in a_profile()) {
        prop_assert_eq!(Profile::from_item(&profile.to_item()).unwrap(), profile);
    }

    #[test]
    fn a_product_survives_its_item(
        code in "[-a-z0-9/=:_.@]{1,30}",
        identity in proptest::sample::select(vec![
            IdentityKind::License, IdentityKind::Customer, IdentityKind::Account,
        ]),
        dimensions in proptest::collection::btree_set(dimension(), 0..6),
        version in 1_u64..1_000_000,
    ) {
        let product = Product { code: code.parse().unwrap(), identity, dimensions, version };
        prop_assert_eq!(Product::from_item(&product.to_item()).unwrap(), product);
    }

    #[test]
    fn contact_data_survives_its_item(
        subscription in subscription(),
        fields in proptest::collection::btree_map("[a-z][a-z0-9_]{0,9}", "\\PC{1,30}", 0..5),
        completed_at in of(time()),
        version in 1_u64..1_000_000,
    ) {
        let contact = Contact { fields, completed_at, version };
        prop_assert_eq!(Contact::from_item(&contact.to_item(&subscription)).unwrap(), contact);
    }

    #[test]
    fn an_entry_in_the_list_of_an_account_survives_its_item(
        subscription in subscription(),
        (product, account) in ("[-a-z0-9/=:_.@]{1,30}", "[0-9]{12}"),
        registered_at in time(),
    ) {
        let product = product.parse().unwrap();
        let entry = Registered { subscription, product, registered_at };
        let item = entry.to_item(&account.parse().unwrap());
        prop_assert_eq!(Registered::from_item(&item).unwrap(), entry);
    }

    #[test]
    fn the_settings_of_the_pages_survive_their_item(settings in "\\PC{0,90}", version in 1_u64..) {
        let stored = StoredPages { settings, version };
        prop_assert_eq!(StoredPages::from_item(&stored.to_item()).unwrap(), stored);
    }

    #[test]
    fn an_event_survives_its_item(
        subscription in subscription(),
        dimension in dimension(),
        id in "[A-Za-z0-9._:-]{1,128}",
        quantity in quantity(),
        time in time(),
        tags in tags(),
    ) {
        let event = UsageEvent { dimension, id: id.parse().unwrap(), quantity, time, tags };
        let item = usage_event::to_item(&subscription, &event);
        let hour = UsageHour::of(time);
        prop_assert_eq!(read_row(&usage_event::to_row(&item), hour).unwrap(), event);
        let partition = item["subscription_hour"].as_s().unwrap();
        prop_assert_eq!(
            usage_event::read_partition_key(partition).unwrap(),
            (subscription, hour)
        );
    }

    #[test]
    fn no_item_makes_a_reader_panic(item in any_item()) {
        let _record = record::from_item(&item);
        let _movement = movement::from_item(&item);
        let _profile = Profile::from_item(&item);
        let _product = Product::from_item(&item);
        let _contact = Contact::from_item(&item);
        let _entry = Registered::from_item(&item);
        let _pages = StoredPages::from_item(&item);
        let _day = DaySums::from_item(&item);
        let hour = "2026-11-21T02".parse().unwrap();
        let _row = read_row(&usage_event::to_row(&item), hour);
        let _empty = record::from_item(&HashMap::new());
    }
}
