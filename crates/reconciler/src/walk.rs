//! A walk over the subscriptions of a shard. If a run has no time left, the next run continues its
//! walk.
//!
//! The place of a walk is only a hint: two runs at the same time do some of the work twice, and the
//! place that was stored first stays. If the place cannot be read, the walk begins again.

use std::fmt;
use std::future::Future;
use std::str::FromStr;

use futures_util::{StreamExt, stream};
use ledger::place::Place;
use ledger::profile::SubscriptionPage;
use ledger::{LedgerError, Written};
use marketplace::{Month, Subscription};
use runtime::Budget;

use crate::{AT_ONCE, App};

/// The text that follows the name of the pass in a place whose pass is over.
const DONE: &str = "done";

/// A list of subscriptions that a walk goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// The subscriptions that have not ended.
    Live,
    /// The ended subscriptions for which this month must still be proved.
    Ended(Month),
}

/// A walk over one shard. Each of its passes begins with the first subscription.
pub(crate) struct Walk<'a> {
    pub(crate) app: &'a App,
    /// The name under which the walk stores its place.
    pub(crate) name: &'a str,
    /// The name of the pass. It has no `|`.
    pub(crate) pass: &'a str,
    pub(crate) shard: u8,
    pub(crate) lists: &'a [List],
    pub(crate) budget: Budget,
    pub(crate) end: End,
}

/// The item that records the end of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The walk stores it as its place.
    InPlace,
    /// The caller stores it in the progress that names the next pass. So the walk saves a write. If
    /// the process dies before the caller's write, a part of the pass is repeated.
    InProgress,
}

/// How far a walk has come: `<pass>|<list>|<subscription>`, or `<pass>|done`. All lists before this
/// list are done. In this list all subscriptions up to and including this subscription are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) pass: String,
    at: At,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Done,
    Behind(usize, Option<Subscription>),
}

impl Reached {
    fn beginning(pass: &str) -> Self {
        Self {
            pass: pass.to_owned(),
            at: At::Behind(0, None),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (pass, rest) = text.split_once('|')?;
        let at = match rest.split_once('|') {
            None if rest == DONE => At::Done,
            None => return None,
            Some((list, "")) => At::Behind(list.parse().ok()?, None),
            Some((list, after)) => At::Behind(list.parse().ok()?, Some(after.parse().ok()?)),
        };
        let pass = pass.to_owned();
        Some(Self { pass, at })
    }

    /// Returns whether the pass is over.
    pub(crate) fn is_done(&self) -> bool {
        self.at == At::Done
    }
}

impl FromStr for Reached {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text).ok_or("it is not the place of a walk")
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pass = &self.pass;
        match &self.at {
            At::Done => write!(f, "{pass}|{DONE}"),
            At::Behind(list, None) => write!(f, "{pass}|{list}|"),
            At::Behind(list, Some(after)) => write!(f, "{pass}|{list}|{after}"),
        }
    }
}

/// Reads how far the last run of a walk has come; `None` if no run has stored it, or if it cannot
/// be read.
pub(crate) async fn reached(app: &App, name: &str) -> Result<Option<Reached>, LedgerError> {
    let place = app.ledger.place_of::<Reached>(name).await?;
    Ok(place.at)
}

impl Walk<'_> {
    /// Calls `each` for every subscription after the place, for several at the same time, and
    /// passes the results to `add` in the order of the subscriptions. `each` also returns whether
    /// it finished the subscription. If it did not, the walk stops, and the next run begins with
    /// that subscription. Returns `false` if the time ran out.
    pub(crate) async fn go<T, Working>(
        &self,
        each: impl Fn(Subscription) -> Working,
        add: impl FnMut(T),
    ) -> Result<bool, LedgerError>
    where
        Working: Future<Output = Result<(T, bool), LedgerError>>,
    {
        let mut place: Place<Reached> = self.app.ledger.place_of(self.name).await?;
        let mut reached = match &place.at {
            Some(reached) if reached.pass == self.pass => reached.clone(),
            _ => Reached::beginning(self.pass),
        };
        if reached.is_done() {
            return Ok(true);
        }
        let finished = self.go_on(&mut reached, each, add).await;
        let is_stored_elsewhere = self.end == End::InProgress && reached.is_done();
        if !is_stored_elsewhere {
            let moved = self.app.ledger.move_place(&mut place, Some(reached));
            if moved.await? == Written::Conflict {
                tracing::debug!(
                    walk = self.name,
                    "another run has moved the place of this walk"
                );
            }
        }
        finished
    }

    async fn go_on<T, Working>(
        &self,
        reached: &mut Reached,
        each: impl Fn(Subscription) -> Working,
        mut add: impl FnMut(T),
    ) -> Result<bool, LedgerError>
    where
        Working: Future<Output = Result<(T, bool), LedgerError>>,
    {
        while let At::Behind(list, after) = &mut reached.at {
            let Some(which) = self.lists.get(*list) else {
                reached.at = At::Done;
                break;
            };
            if self.budget.is_spent() {
                return Ok(false);
            }
            let page = self.page(*which, after.as_ref()).await?;
            let mut working = stream::iter(page.subscriptions)
                .map(|subscription| {
                    let work = each(subscription.clone());
                    async move { (subscription, work.await) }
                })
                .buffered(AT_ONCE);
            while let Some((subscription, done)) = working.next().await {
                let (outcome, finished) = done?;
                add(outcome);
                if !finished {
                    return Ok(false);
                }
                *after = Some(subscription);
            }
            drop(working);
            match page.next {
                Some(next) => *after = Some(next),
                None => reached.at = At::Behind(list.saturating_add(1), None),
            }
        }
        Ok(true)
    }

    async fn page(
        &self,
        list: List,
        after: Option<&Subscription>,
    ) -> Result<SubscriptionPage, LedgerError> {
        let ledger = &self.app.ledger;
        match list {
            List::Live => ledger.live_page(self.shard, after).await,
            List::Ended(month) => ledger.ended_page(self.shard, month, after).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let subscription: Subscription = "account|code|111122223333".parse().unwrap();
        for at in [
            At::Done,
            At::Behind(0, None),
            At::Behind(2, Some(subscription)),
        ] {
            let pass = "2026-11-21T00_2026-11-21T05".to_owned();
            let reached = Reached { pass, at };
            assert_eq!(reached.to_string().parse::<Reached>(), Ok(reached));
        }
        for text in ["", "x", "x|", "x|0", "x|-1|", "x|1|nobody", "x|done|"] {
            assert!(text.parse::<Reached>().is_err(), "{text}");
        }
    }
}
