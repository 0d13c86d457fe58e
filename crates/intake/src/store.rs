//! Puts the events of one request into the table.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use ledger::Ledger;
use marketplace::UsageHour;
use runtime::Budget;

use crate::event::Usage;
use crate::event_result::{EventResult, within};
use crate::limits::AT_ONCE;

/// Stores `usages`, each with its place in the request. Returns a result for each place.
///
/// Every put fails if its key exists. So after a crash, or if the whole request is sent again, each
/// event is stored once. Events with the same key are put one after the other, in the order of the
/// request. So the first event is stored, and the others are compared with it.
pub(crate) async fn store(
    ledger: &Ledger,
    usages: Vec<(usize, &Usage)>,
    budget: Budget,
) -> Vec<(usize, EventResult)> {
    // The futures are created outside the stream, because axum does not accept the lifetimes of a
    // closure inside it.
    let puts: Vec<_> = by_key(usages)
        .into_iter()
        .map(|same_key| store_in_order(ledger, same_key, budget))
        .collect();
    stream::iter(puts)
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await
        .concat()
}

/// The events of each key, in the order of the request.
fn by_key(usages: Vec<(usize, &Usage)>) -> Vec<Vec<(usize, &Usage)>> {
    let mut groups: Vec<Vec<(usize, &Usage)>> = Vec::new();
    let mut known = HashMap::new();
    for (place, usage) in usages {
        let event = &usage.event;
        let hour = UsageHour::of(event.time);
        let key = (&usage.subscription, hour, &event.dimension, &event.id);
        let group = *known.entry(key).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(same_key) => same_key.push((place, usage)),
            None => groups.push(vec![(place, usage)]),
        }
    }
    groups
}

async fn store_in_order(
    ledger: &Ledger,
    same_key: Vec<(usize, &Usage)>,
    budget: Budget,
) -> Vec<(usize, EventResult)> {
    let mut results: Vec<(usize, EventResult)> = Vec::with_capacity(same_key.len());
    for (place, usage) in same_key {
        // After a failure it is unknown whether the key exists. A later event must not take the
        // key, because the first event must have it when both are sent again.
        let result = match results.last() {
            Some((_, EventResult::Failed(unavailable))) => EventResult::Failed(*unavailable),
            _ => {
                let put = ledger.put_event(&usage.subscription, &usage.event);
                EventResult::of(usage, within(budget, put).await)
            }
        };
        results.push((place, result));
    }
    results
}
