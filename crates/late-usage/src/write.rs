//! Writes the late flags that a delivery requires, and itemises rows that belong to no known
//! subscription or to an hour that is too old.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use ledger::profile::Profile;
use ledger::set_aside::{BATCH_WRITE_MAX, Itemised, UnattributedRow};
use ledger::{Ledger, LedgerError};
use marketplace::lifecycle::Status;
use marketplace::spans::Span;
use marketplace::usage::SetAsideReason;
use marketplace::{Subscription, UsageHour};
use runtime::Budget;

use crate::delivery::{Delivery, Place, TouchedHour};

/// The most calls to DynamoDB at the same time.
const AT_ONCE: usize = 16;

/// The result of handling a delivery.
#[derive(Debug, Default)]
pub(crate) struct Handled<'d> {
    /// The number of late flags that were put.
    pub flagged: u64,
    /// The number of rows that were itemised.
    pub set_aside: u64,
    /// The number of rows that DynamoDB refused because of their content. They are not itemised,
    /// and the log names them.
    pub refused: u64,
    /// The first change that must be delivered again; `None` if everything was handled.
    pub again_from: Option<Place<'d>>,
}

/// Makes all writes that a delivery requires.
///
/// All writes may be repeated: a flag is put again with another mark, and an itemised row is
/// replaced by the same row. So a crash between two writes, or a repeated delivery, does no
/// harm.
pub(crate) async fn write_all<'d>(
    ledger: &Ledger,
    delivery: &'d Delivery<'_>,
    now: Timestamp,
    budget: Budget,
) -> Handled<'d> {
    let mut handled = Handled::default();
    let Some(first) = delivery.hours.first() else {
        return handled;
    };
    // The watermark is read once for the batch, strongly consistent, and never kept for the next
    // batch. All rows of the batch were put before this read. The sealer raises the watermark
    // before it reads any row. So a row that the sealer's read has missed was put after the
    // watermark was raised. This read sees the raised watermark, so the hour is flagged. If the
    // watermark were read earlier or kept in memory, a missed row could stay without a flag.
    let watermark = match ledger.watermark().await {
        Ok(watermark) => watermark,
        Err(error) => {
            tracing::error!(%error, "the watermark could not be read; the batch is delivered again");
            handled.again_from = Some(first.first.clone());
            return handled;
        }
    };
    let is_late = |hour: UsageHour| watermark.is_some_and(|watermark| hour <= watermark);
    let (known, stopped_at) = find_subscriptions(ledger, delivery, is_late, now, budget).await;
    handled.again_from = stopped_at;

    let end = handled.again_from.as_ref().map(|place| place.index);
    let is_too_old = |hour: UsageHour| ledger.retention().is_over(hour, now);
    let writes = plan(delivery, &known, (is_late, is_too_old), end);
    let mut outcomes = stream::iter(&writes)
        .map(|write| async move { (write, write.perform(ledger, now, budget).await) })
        .buffered(AT_ONCE);
    while let Some((write, outcome)) = outcomes.next().await {
        match (outcome, &write.action) {
            (Ok(_), Action::Flag { .. }) => handled.flagged += 1,
            (Ok(refused), Action::SetAside(rows)) => {
                let rows = u64::try_from(rows.len()).unwrap_or(u64::MAX);
                handled.set_aside += rows.saturating_sub(refused);
                handled.refused += refused;
            }
            (Err(stopped), _) => {
                tracing::error!(%stopped, sequence_number = %write.place.sequence_number, "Lambda delivers the batch again from this change");
                handled.again_from = Some(write.place.clone());
                break;
            }
        }
    }
    handled
}

/// The reason why a change was not handled.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the invocation's time ran out")]
    OutOfTime,
}

/// Looks up the delivery's subscriptions. It stops at the first subscription that cannot be looked
/// up, and returns the place of its first change.
///
/// No result is kept for the next invocation, because the buyer's registration may create a
/// subscription meanwhile.
async fn find_subscriptions<'d>(
    ledger: &Ledger,
    delivery: &'d Delivery<'_>,
    is_late: impl Fn(UsageHour) -> bool,
    now: Timestamp,
    budget: Budget,
) -> (HashMap<&'d Subscription, Standing>, Option<Place<'d>>) {
    let mut seen = HashSet::new();
    let mut look_ups: Vec<(&Subscription, &Place<'_>)> = Vec::new();
    for touched in &delivery.hours {
        let Ok((subscription, hour)) = &touched.key else {
            continue;
        };
        // A removal in an hour that is not sealed requires no write.
        let is_needed = is_late(*hour) || !touched.written.is_empty();
        if is_needed && seen.insert(subscription) {
            look_ups.push((subscription, &touched.first));
        }
    }
    let mut answers = stream::iter(look_ups)
        .map(|(subscription, place)| async move {
            (
                subscription,
                place,
                look_up(ledger, subscription, now, budget).await,
            )
        })
        .buffered(AT_ONCE);
    let mut known = HashMap::new();
    while let Some((subscription, place, answer)) = answers.next().await {
        match answer {
            Ok(standing) => {
                known.insert(subscription, standing);
            }
            Err(stopped) => {
                tracing::error!(%stopped, sequence_number = %place.sequence_number, "a subscription could not be looked up; Lambda delivers the batch again from this change");
                return (known, Some(place.clone()));
            }
        }
    }
    (known, None)
}

/// The part of a subscription's state that decides which of its hours are flagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The subscription does not exist.
    Absent,
    /// The subscription's hours are sealed in order.
    Open,
    /// The subscription ends in this hour: its license was removed in the hour, or an end was
    /// announced for it and the removal did not come in time. Later hours are not sealed once the
    /// subscription has ended. So an hour after the end is flagged at once, and the recount holds
    /// its usage.
    EndsIn(UsageHour),
}

impl Standing {
    fn ends_before(self, hour: UsageHour) -> bool {
        matches!(self, Self::EndsIn(last) if hour > last)
    }
}

async fn look_up(
    ledger: &Ledger,
    subscription: &Subscription,
    now: Timestamp,
    budget: Budget,
) -> Result<Standing, Stopped> {
    if budget.is_spent() {
        return Err(Stopped::OutOfTime);
    }
    match ledger.profile(subscription).await {
        Ok(None) => Ok(Standing::Absent),
        Ok(Some(profile)) => Ok(standing(&profile, now)),
        // The subscription exists. Its late usage must not be lost while its profile is damaged.
        Err(LedgerError::Malformed(error)) => {
            tracing::error!(%error, "a profile is damaged; its hours are flagged nevertheless");
            Ok(Standing::Open)
        }
        Err(error) => Err(error.into()),
    }
}

fn standing(profile: &Profile, now: Timestamp) -> Standing {
    let spans = profile.lifecycle.spans();
    let last = match profile.status() {
        // An ended subscription is over, even if this function's clock is slow.
        Status::Ended => spans.last().and_then(Span::last_hour),
        _ => spans.over_after(now),
    };
    last.map_or(Standing::Open, Standing::EndsIn)
}

/// One write, and the first change that requires it.
struct Write<'d> {
    place: &'d Place<'d>,
    action: Action<'d>,
}

enum Action<'d> {
    Flag {
        subscription: &'d Subscription,
        hour: UsageHour,
    },
    /// Itemises up to [`BATCH_WRITE_MAX`] rows.
    SetAside(Vec<Unattributed<'d>>),
}

/// A row to itemise, because it belongs to no known subscription or its hour is too old.
struct Unattributed<'d> {
    place: &'d Place<'d>,
    partition: &'d str,
    dimension_event: &'d str,
    reason: Arc<SetAsideReason>,
}

/// The writes that the changes before the index `end` require. They are in the order of their first
/// changes, because Lambda delivers again from the first change that the response names.
fn plan<'d>(
    delivery: &'d Delivery<'_>,
    known: &HashMap<&'d Subscription, Standing>,
    (is_late, is_too_old): (impl Fn(UsageHour) -> bool, impl Fn(UsageHour) -> bool),
    end: Option<usize>,
) -> Vec<Write<'d>> {
    let mut writes = Vec::new();
    let mut unattributed = Vec::new();
    for touched in &delivery.hours {
        match &touched.key {
            Err(reason) => set_aside(&mut unattributed, touched, reason.clone()),
            Ok((subscription, hour)) => match known.get(subscription) {
                // No flag is needed. Once the subscription becomes known, the sealer counts its
                // hours from before its activation on.
                Some(Standing::Absent) => {
                    let reason = SetAsideReason::UnknownSubscription(subscription.to_string());
                    set_aside(&mut unattributed, touched, reason);
                }
                // The hour's records may have expired. A recount would find all of its usage
                // uncounted.
                Some(_) if is_too_old(*hour) => {
                    set_aside(
                        &mut unattributed,
                        touched,
                        SetAsideReason::HourTooOld(*hour),
                    );
                }
                Some(standing) if is_late(*hour) || standing.ends_before(*hour) => {
                    writes.push(Write {
                        place: &touched.first,
                        action: Action::Flag {
                            subscription,
                            hour: *hour,
                        },
                    })
                }
                // The hour is not sealed yet, so its fold will find these rows.
                Some(_) => {}
                // No look-up was needed, or it failed. If it failed, Lambda delivers the changes
                // from this one on again.
                None => {}
            },
        }
    }
    let comes_before_end = |place: &Place<'_>| end.is_none_or(|end| place.index < end);
    writes.retain(|write| comes_before_end(write.place));
    unattributed.retain(|row: &Unattributed<'_>| comes_before_end(row.place));
    unattributed.sort_by_key(|row| row.place.index);
    let mut rest = unattributed.into_iter().peekable();
    while let Some(place) = rest.peek().map(|row| row.place) {
        writes.push(Write {
            place,
            action: Action::SetAside(rest.by_ref().take(BATCH_WRITE_MAX).collect()),
        });
    }
    writes.sort_by_key(|write| write.place.index);
    writes
}

fn set_aside<'d>(
    unattributed: &mut Vec<Unattributed<'d>>,
    touched: &'d TouchedHour<'_>,
    reason: SetAsideReason,
) {
    let reason = Arc::new(reason);
    unattributed.extend(touched.written.iter().map(|row| Unattributed {
        place: &row.place,
        partition: &touched.partition,
        dimension_event: &row.dimension_event,
        reason: Arc::clone(&reason),
    }));
}

impl Write<'_> {
    /// Performs the write, and returns how many rows DynamoDB refused because of their content.
    async fn perform(
        &self,
        ledger: &Ledger,
        now: Timestamp,
        budget: Budget,
    ) -> Result<u64, Stopped> {
        if budget.is_spent() {
            return Err(Stopped::OutOfTime);
        }
        match &self.action {
            Action::Flag { subscription, hour } => {
                ledger.flag_late(subscription, *hour, now).await?;
                Ok(0)
            }
            Action::SetAside(rows) => {
                let rows: Vec<UnattributedRow<'_>> = rows.iter().map(Unattributed::row).collect();
                let itemised = ledger.itemise_unattributed(&rows, now, || !budget.is_spent());
                match itemised.await? {
                    Itemised::All { refused } => Ok(refused),
                    Itemised::OutOfTime => Err(Stopped::OutOfTime),
                }
            }
        }
    }
}

impl Unattributed<'_> {
    fn row(&self) -> UnattributedRow<'_> {
        UnattributedRow {
            partition: self.partition,
            dimension_event: self.dimension_event,
            reason: &self.reason,
        }
    }
}
