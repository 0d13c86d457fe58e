//! A walk over the subscriptions of a shard. If a run has no time left, the next run continues its
//! walk.
//!
//! The place of a walk is only a hint: two runs at the same time do some of the work twice. If the
//! place cannot be read, the walk begins again.

use std::future::Future;

use futures_util::{StreamExt, stream};
use ledger::LedgerError;
use ledger::profile::SubscriptionPage;
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

/// A place: `<pass>|<list>|<subscription>`, or `<pass>|done`. All lists before this list are
/// done. In this list all subscriptions up to and including this subscription are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pass: String,
    at: At,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Done,
    Behind(usize, Option<Subscription>),
}

impl Place {
    fn beginning(pass: &str) -> Self {
        Self {
            pass: pass.to_owned(),
            at: At::Behind(0, None),
        }
    }

    /// Reads a stored place; `None` if the text is not a place.
    pub(crate) fn read(text: &str) -> Option<Self> {
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

    /// Returns whether the pass of this place is over.
    pub(crate) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    fn to_text(&self) -> String {
        match &self.at {
            At::Done => format!("{}|{DONE}", self.pass),
            At::Behind(list, after) => {
                let after = after.as_ref().map(Subscription::to_string);
                format!("{}|{list}|{}", self.pass, after.unwrap_or_default())
            }
        }
    }
}

/// Reads the place that the last run of a walk has stored; `None` if there is none or it cannot be
/// read.
pub(crate) async fn kept(app: &App, name: &str) -> Result<Option<Place>, LedgerError> {
    let text = app.ledger.stopped_at(name).await?;
    Ok(text.as_deref().and_then(Place::read))
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
        let kept = kept(self.app, self.name).await?;
        let mut place = match &kept {
            Some(kept) if kept.pass == self.pass => kept.clone(),
            _ => Place::beginning(self.pass),
        };
        if place.is_done() {
            return Ok(true);
        }
        let finished = self.go_on(&mut place, each, add).await;
        let is_stored_elsewhere = self.end == End::InProgress && place.is_done();
        if kept.as_ref() != Some(&place) && !is_stored_elsewhere {
            let text = place.to_text();
            self.app.ledger.stop_at(self.name, Some(&text)).await?;
        }
        finished
    }

    async fn go_on<T, Working>(
        &self,
        place: &mut Place,
        each: impl Fn(Subscription) -> Working,
        mut add: impl FnMut(T),
    ) -> Result<bool, LedgerError>
    where
        Working: Future<Output = Result<(T, bool), LedgerError>>,
    {
        while let At::Behind(list, after) = &mut place.at {
            let Some(which) = self.lists.get(*list) else {
                place.at = At::Done;
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
                None => place.at = At::Behind(list.saturating_add(1), None),
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
    fn a_place_is_read_as_it_was_kept() {
        let subscription: Subscription = "account|code|111122223333".parse().unwrap();
        for at in [
            At::Done,
            At::Behind(0, None),
            At::Behind(2, Some(subscription)),
        ] {
            let pass = "2026-11-21T00_2026-11-21T05".to_owned();
            let place = Place { pass, at };
            assert_eq!(Place::read(&place.to_text()), Some(place));
        }
        for text in ["", "x", "x|", "x|0", "x|-1|", "x|1|nobody", "x|done|"] {
            assert_eq!(Place::read(text), None, "{text}");
        }
    }
}
