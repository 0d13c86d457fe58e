//! What a delivery leads to: late flags, and rows itemised because they are nobody's.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use ledger::profile::Profile;
use ledger::set_aside::{BATCH_WRITE_MAX, Itemised, UnattributedRow};
use ledger::{Ledger, LedgerError};
use marketplace::lifecycle::Status;
use marketplace::planted::{Bug, is_planted};
use marketplace::spans::Span;
use marketplace::usage::SetAsideReason;
use marketplace::{Subscription, UsageHour};
use startup::Budget;

use crate::delivery::{Delivery, Place, TouchedHour};

/// Calls to DynamoDB under way at the same time.
const AT_ONCE: usize = 16;

/// How far a delivery was handled.
#[derive(Debug, Default)]
pub(crate) struct Handled<'d> {
    /// Flags put.
    pub flagged: u64,
    /// Rows itemised.
    pub set_aside: u64,
    /// Rows that could not be itemised for what stands in them; the log names them.
    pub refused: u64,
    /// The first change that is to be delivered again.
    pub again_from: Option<Place<'d>>,
}

/// Writes down everything that a delivery leads to.
///
/// All of it may be repeated: a flag is put again with another mark, and an itemised row is put over
/// itself. So a crash between any two writes, and a repeated delivery, change nothing.
pub(crate) async fn write_down<'d>(
    ledger: &Ledger,
    delivery: &'d Delivery<'_>,
    now: Timestamp,
    budget: Budget,
) -> Handled<'d> {
    let mut handled = Handled::default();
    let Some(first) = delivery.hours.first() else {
        return handled;
    };
    // Read once for the batch, strongly consistent, and never kept for the next one. All its rows
    // were put before they came here, so before this read; the sealer raises the watermark before it
    // reads any row. A row that the sealer's read has missed was put after that read, so after the
    // raise: this read sees the watermark raised, and flags. Reading it any earlier, or from memory,
    // would leave a gap in which a row is neither counted nor flagged.
    let watermark = match ledger.watermark().await {
        Ok(watermark) => watermark,
        Err(error) => {
            tracing::error!(%error, "the watermark could not be read; the batch is delivered again");
            handled.again_from = Some(first.first.clone());
            return handled;
        }
    };
    let is_late = |hour: UsageHour| {
        let flags = !is_planted(Bug::LateRowsNotFlagged);
        flags && watermark.is_some_and(|watermark| hour <= watermark)
    };
    let (known, stopped_at) = find_subscriptions(ledger, delivery, is_late, now, budget).await;
    handled.again_from = stopped_at;

    let end = handled.again_from.as_ref().map(|place| place.index);
    let is_too_old = |hour: UsageHour| ledger.retention().is_over(hour, now);
    let writes = plan(delivery, &known, (is_late, is_too_old), end);
    let mut outcomes = stream::iter(&writes)
        .map(|write| async move { (write, write.perform(ledger, now, budget).await) })
        .buffered(AT_ONCE);
    while let Some((write, outcome)) = outcomes.next().await {
        match (outcome, &write.what) {
            (Ok(_), What::Flag { .. }) => handled.flagged += 1,
            (Ok(refused), What::SetAside(rows)) => {
                let rows = u64::try_from(rows.len()).unwrap_or(u64::MAX);
                handled.set_aside += rows.saturating_sub(refused);
                handled.refused += refused;
            }
            (Err(_), _) if is_planted(Bug::FlagFailureForgotten) => {}
            (Err(stopped), _) => {
                tracing::error!(%stopped, sequence_number = %write.place.sequence_number, "the batch is delivered again from here");
                handled.again_from = Some(write.place.clone());
                break;
            }
        }
    }
    handled
}

/// Why a change was not handled.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the invocation's time ran out")]
    OutOfTime,
}

/// How the delivery's subscriptions stand. Stops at the first that cannot be looked up, and
/// says where.
///
/// Nothing is remembered from one invocation to the next: a subscription that was not there a moment
/// ago may have been created by the buyer's registration since.
async fn find_subscriptions<'d>(
    ledger: &Ledger,
    delivery: &'d Delivery<'_>,
    is_late: impl Fn(UsageHour) -> bool,
    now: Timestamp,
    budget: Budget,
) -> (HashMap<&'d Subscription, Standing>, Option<Place<'d>>) {
    let mut asked = HashSet::new();
    let mut questions: Vec<(&Subscription, &Place<'_>)> = Vec::new();
    for touched in &delivery.hours {
        let Ok((subscription, hour)) = &touched.key else {
            continue;
        };
        // A removal that touches no sealed hour asks for nothing.
        let matters = is_late(*hour) || !touched.written.is_empty();
        if matters && asked.insert(subscription) {
            questions.push((subscription, &touched.first));
        }
    }
    let mut answers = stream::iter(questions)
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
                tracing::error!(%stopped, sequence_number = %place.sequence_number, "a subscription could not be looked up; the batch is delivered again from here");
                return (known, Some(place.clone()));
            }
        }
    }
    (known, None)
}

/// What matters of a subscription here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// There is none.
    Absent,
    /// Its hours are sealed in order.
    Open,
    /// Its licence was removed in this hour, or an announced end in it has been given up waiting for.
    /// Later hours are not sealed any more once it is closed, so usage dated after the end is flagged
    /// at once, and comes to be held.
    EndsIn(UsageHour),
}

impl Standing {
    fn is_over_by(self, hour: UsageHour) -> bool {
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
        // It is there, and its late usage must not be forgotten until somebody has repaired it.
        Err(LedgerError::Malformed(error)) => {
            tracing::error!(%error, "a damaged profile: its hours are flagged all the same");
            Ok(Standing::Open)
        }
        Err(error) => Err(error.into()),
    }
}

fn standing(profile: &Profile, now: Timestamp) -> Standing {
    let spans = profile.lifecycle.spans();
    let last = match profile.status() {
        // Whatever our own clock says.
        Status::Ended => spans.last().and_then(Span::last_hour),
        _ => spans.over_after(now),
    };
    last.map_or(Standing::Open, Standing::EndsIn)
}

/// One call that writes, and the first change that asks for it.
struct Write<'d> {
    place: &'d Place<'d>,
    what: What<'d>,
}

enum What<'d> {
    Flag {
        subscription: &'d Subscription,
        hour: UsageHour,
    },
    /// Up to [`BATCH_WRITE_MAX`] rows that are nobody's.
    SetAside(Vec<Unattributed<'d>>),
}

/// A row that is nobody's.
struct Unattributed<'d> {
    place: &'d Place<'d>,
    partition: &'d str,
    dimension_event: &'d str,
    reason: Arc<SetAsideReason>,
}

/// The writes that the changes before number `end` ask for, by the first change of each: Lambda
/// delivers again from the lowest number that is named.
fn plan<'d>(
    delivery: &'d Delivery<'_>,
    known: &HashMap<&'d Subscription, Standing>,
    (is_late, is_too_old): (impl Fn(UsageHour) -> bool, impl Fn(UsageHour) -> bool),
    end: Option<usize>,
) -> Vec<Write<'d>> {
    let mut writes = Vec::new();
    let mut nobodys = Vec::new();
    for touched in &delivery.hours {
        match &touched.key {
            Err(reason) => set_aside(&mut nobodys, touched, reason.clone()),
            Ok((subscription, hour)) => match known.get(subscription) {
                // Without a flag: what is bought later is counted from before its activation on, as
                // soon as the subscription becomes known.
                Some(Standing::Absent) => {
                    let reason = SetAsideReason::UnknownSubscription(subscription.to_string());
                    set_aside(&mut nobodys, touched, reason);
                }
                // A recount would take all of the hour's usage for uncounted.
                Some(_) if is_too_old(*hour) => {
                    set_aside(&mut nobodys, touched, SetAsideReason::HourTooOld(*hour));
                }
                Some(standing) if is_late(*hour) || standing.is_over_by(*hour) => {
                    writes.push(Write {
                        place: &touched.first,
                        what: What::Flag {
                            subscription,
                            hour: *hour,
                        },
                    })
                }
                // Not sealed yet: the fold will find these rows.
                Some(_) => {}
                // Not asked for, or not answered; then the delivery ends before it.
                None => {}
            },
        }
    }
    let comes_before_end = |place: &Place<'_>| end.is_none_or(|end| place.index < end);
    writes.retain(|write| comes_before_end(write.place));
    nobodys.retain(|row: &Unattributed<'_>| comes_before_end(row.place));
    nobodys.sort_by_key(|row| row.place.index);
    let mut rest = nobodys.into_iter().peekable();
    while let Some(place) = rest.peek().map(|row| row.place) {
        writes.push(Write {
            place,
            what: What::SetAside(rest.by_ref().take(BATCH_WRITE_MAX).collect()),
        });
    }
    writes.sort_by_key(|write| write.place.index);
    writes
}

fn set_aside<'d>(
    nobodys: &mut Vec<Unattributed<'d>>,
    touched: &'d TouchedHour<'_>,
    reason: SetAsideReason,
) {
    let reason = Arc::new(reason);
    nobodys.extend(touched.written.iter().map(|row| Unattributed {
        place: &row.place,
        partition: &touched.partition,
        dimension_event: &row.dimension_event,
        reason: Arc::clone(&reason),
    }));
}

impl Write<'_> {
    /// Writes, and returns how many rows could not be itemised for what stands in them.
    async fn perform(
        &self,
        ledger: &Ledger,
        now: Timestamp,
        budget: Budget,
    ) -> Result<u64, Stopped> {
        if budget.is_spent() {
            return Err(Stopped::OutOfTime);
        }
        match &self.what {
            What::Flag { subscription, hour } => {
                ledger.flag_late(subscription, *hour, now).await?;
                Ok(0)
            }
            What::SetAside(rows) => {
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
