//! A pass over the subscriptions with attention: it works on many at a time, and none of them waits
//! for ever.

use std::future::Future;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ledger::{Ledger, LedgerError, Written};
use marketplace::Subscription;
use runtime::Budget;

use crate::settle::Settled;
use crate::{AT_ONCE, Report, Run};

/// The work that was done for one subscription.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// The result for each of its hours.
    pub settled: Vec<Settled>,
    /// The number of its records that were made urgent.
    pub made_urgent: u64,
    /// The number of its items that are damaged.
    pub damaged: u64,
    /// The reason for its attention.
    pub kind: Kind,
    /// Whether some work was left to the next run.
    pub is_cut: bool,
}

/// The reason for which a subscription has attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// Any other reason. The subscription is not sealed individually.
    #[default]
    Other,
    /// The subscription was just activated, or activated again.
    New,
    /// An end was announced or has happened.
    Ending,
}

/// The result of a pass.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// The subscriptions that have just been activated.
    pub new: Vec<Subscription>,
    /// The number of subscriptions that are ending.
    pub ending: u64,
    /// Whether no work was left to the next run.
    pub finished: bool,
}

impl Work {
    /// Returns whether the time ran out before anything was done.
    fn is_untouched(&self) -> bool {
        self.is_cut && self.settled.is_empty()
    }
}

/// Works on every subscription that has attention. If the time runs out, the next pass with this
/// name begins with the first subscription for which nothing was done. A subscription for which
/// something was done waits for its next turn, even if much of its work is left, so that it does
/// not delay the others.
pub(crate) async fn over_attention<Working>(
    run: &Run<'_>,
    pass: &'static str,
    budget: Budget,
    work: impl Fn(Subscription) -> Working,
    report: &mut Report,
) -> Result<Passed, LedgerError>
where
    Working: Future<Output = Result<Work, LedgerError>>,
{
    let ledger = &run.app.ledger;
    let place = ledger.place_of_pass(pass).await?;
    let mut ring = Ring::new(ledger, place.at.clone());
    let mut at_work = FuturesUnordered::new();
    let mut passed = Passed {
        finished: true,
        ..Passed::default()
    };
    let mut begun: Vec<Subscription> = Vec::new();
    let mut first_untouched: Option<usize> = None;
    let mut is_cut = false;
    let mut has_more = true;
    loop {
        while has_more && at_work.len() < AT_ONCE {
            let next = ring.next().await?;
            has_more = next.is_some() && !budget.is_spent();
            is_cut = next.is_some() && !has_more;
            if let (Some(subscription), true) = (next, has_more) {
                let (turn, working) = (begun.len(), work(subscription.clone()));
                begun.push(subscription.clone());
                at_work.push(async move { (turn, subscription, working.await) });
            }
        }
        let Some((turn, subscription, outcome)) = at_work.next().await else {
            break;
        };
        if outcome.as_ref().is_ok_and(Work::is_untouched) {
            first_untouched = Some(first_untouched.map_or(turn, |first| first.min(turn)));
        }
        passed.add(subscription, outcome, report);
    }
    report.damaged += ring.damaged;
    passed.finished &= !is_cut;
    let touched = first_untouched.unwrap_or(begun.len());
    let next = match passed.finished {
        true => None,
        // If nothing was done at all, the stored place is not moved.
        false => begun
            .into_iter()
            .take(touched)
            .next_back()
            .or(place.at.clone()),
    };
    if ledger.move_place(&place, next).await? == Written::Conflict {
        tracing::debug!(pass, "another run has moved the place of this pass");
    }
    Ok(passed)
}

impl Passed {
    fn add(
        &mut self,
        subscription: Subscription,
        outcome: Result<Work, LedgerError>,
        report: &mut Report,
    ) {
        match outcome {
            Ok(work) => {
                work.settled.iter().for_each(|one| report.add(one));
                report.records_made_urgent += work.made_urgent;
                report.damaged += work.damaged;
                self.finished &= !work.is_cut;
                self.ending += u64::from(work.kind == Kind::Ending);
                if work.kind == Kind::New {
                    self.new.push(subscription);
                }
            }
            Err(error) => {
                // It keeps its attention, so the next run tries again.
                tracing::error!(%subscription, %error, "this subscription could not be sealed; the next run tries again");
                report.left_flagged += 1;
                report.damaged += u64::from(matches!(error, LedgerError::Malformed(_)));
            }
        }
    }
}

/// The subscriptions with attention, each once: first those after `begin`, then those up to it.
struct Ring<'l> {
    ledger: &'l Ledger,
    begin: Option<Subscription>,
    page: std::vec::IntoIter<Subscription>,
    /// The next page to read: `None` if there is none, `Some(None)` for the first page of the
    /// index, and otherwise the subscription after which the page begins.
    next: Option<Option<Subscription>>,
    is_second_lap: bool,
    damaged: u64,
}

impl<'l> Ring<'l> {
    fn new(ledger: &'l Ledger, begin: Option<Subscription>) -> Self {
        Self {
            ledger,
            page: Vec::new().into_iter(),
            next: Some(begin.clone()),
            begin,
            is_second_lap: false,
            damaged: 0,
        }
    }

    async fn next(&mut self) -> Result<Option<Subscription>, LedgerError> {
        loop {
            if let Some(subscription) = self.page.next() {
                if self.is_second_lap && self.is_after_beginning(&subscription) {
                    self.page = Vec::new().into_iter();
                    self.next = None;
                    return Ok(None);
                }
                return Ok(Some(subscription));
            }
            if self.next.is_none() && self.begin.is_some() && !self.is_second_lap {
                self.is_second_lap = true;
                self.next = Some(None);
            }
            let Some(after) = self.next.take() else {
                return Ok(None);
            };
            let page = self.ledger.attention_page(after.as_ref()).await?;
            self.damaged += page.damaged;
            self.page = page.subscriptions.into_iter();
            self.next = page.next.map(Some);
        }
    }

    /// Compares the texts of the subscriptions, because the index is sorted by them.
    fn is_after_beginning(&self, subscription: &Subscription) -> bool {
        let begin = self.begin.as_ref().map(ToString::to_string);
        begin.is_none_or(|begin| subscription.to_string() > begin)
    }
}
