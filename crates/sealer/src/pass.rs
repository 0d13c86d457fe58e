//! A pass over the subscriptions that have attention: many at a time, and none for ever before others.

use std::future::Future;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ledger::{Ledger, LedgerError, Written};
use marketplace::Subscription;
use startup::Budget;

use crate::settle::Settled;
use crate::{AT_ONCE, Report, Run};

/// What was done for one subscription.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Its hours that were settled.
    pub settled: Vec<Settled>,
    /// Its records that go before all others now.
    pub hurried: u64,
    /// Its items that are damaged.
    pub damaged: u64,
    /// What it is, as far as this pass has to know.
    pub kind: Kind,
    /// Whether something had to be left to the next run.
    pub is_cut: bool,
}

/// What a subscription with attention is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// Nothing that is sealed by itself.
    #[default]
    Other,
    /// Just activated, or activated again.
    New,
    /// Ending.
    Ending,
}

/// What a pass came to.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// The subscriptions that have just been activated.
    pub new: Vec<Subscription>,
    /// How many of them are ending.
    pub ending: u64,
    /// Whether nothing was left.
    pub finished: bool,
}

impl Work {
    /// Whether the time was up before anything was done.
    fn is_untouched(&self) -> bool {
        self.is_cut && self.settled.is_empty()
    }
}

/// Works on every subscription that has attention. Where the time runs out before the end, the next
/// pass of this name begins with the first one for which nothing was done. One for which something was
/// done waits for its next turn, however much there is still to do: it must not hold up the others.
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
        passed.note(subscription, outcome, report);
    }
    report.damaged += ring.damaged;
    passed.finished &= !is_cut;
    let done = first_untouched.unwrap_or(begun.len());
    let next = match passed.finished {
        true => None,
        // What was cut at the very beginning stays where it is.
        false => begun
            .into_iter()
            .take(done)
            .next_back()
            .or(place.at.clone()),
    };
    if ledger.move_place(&place, next).await? == Written::Conflict {
        tracing::debug!(pass, "another run has moved the place of this pass");
    }
    Ok(passed)
}

impl Passed {
    fn note(
        &mut self,
        subscription: Subscription,
        outcome: Result<Work, LedgerError>,
        report: &mut Report,
    ) {
        match outcome {
            Ok(work) => {
                work.settled.iter().for_each(|one| report.add(one));
                report.records_hurried += work.hurried;
                report.damaged += work.damaged;
                self.finished &= !work.is_cut;
                self.ending += u64::from(work.kind == Kind::Ending);
                if work.kind == Kind::New {
                    self.new.push(subscription);
                }
            }
            Err(error) => {
                // It keeps its attention, so the next run tries again.
                tracing::error!(%subscription, %error, "this subscription could not be sealed by itself");
                report.left_flagged += 1;
                report.damaged += u64::from(matches!(error, LedgerError::Malformed(_)));
            }
        }
    }
}

/// The subscriptions with attention behind a place, then those before it, each once.
struct Ring<'l> {
    ledger: &'l Ledger,
    begin: Option<Subscription>,
    page: std::vec::IntoIter<Subscription>,
    /// Behind which subscription the next page begins, if there is one.
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
                if self.is_second_lap && self.is_behind_the_beginning(&subscription) {
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

    /// The index is in the order of the texts.
    fn is_behind_the_beginning(&self, subscription: &Subscription) -> bool {
        let begin = self.begin.as_ref().map(ToString::to_string);
        begin.is_none_or(|begin| subscription.to_string() > begin)
    }
}
