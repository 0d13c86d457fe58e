//! The ids of the calls that a period of the history shows.
//!
//! An id is kept once, even if its event is shown several times. The order of the events does not
//! matter. At the quota of BatchMeterUsage an hour has some 40,000 calls, so the ids of a step take
//! a few megabytes at most.

use std::collections::BTreeSet;

use jiff::Timestamp;
use ledger::audit_steps::SettledStep;
use ledger::content_digest;
use marketplace::audit::Event;

/// The ids of the calls that were seen.
#[derive(Debug, Default)]
pub(super) struct CallIds {
    ids: BTreeSet<String>,
    /// Whether some event has no id or cannot be read. If so, the ids do not identify all calls.
    is_incomplete: bool,
}

impl CallIds {
    /// Adds the id of an event. Events of other operations are ignored, because they say nothing
    /// about records.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::Call(call) if !call.event_id.is_empty() => {
                self.ids.insert(call.event_id.clone());
            }
            Event::Call(_) | Event::Unreadable { .. } => self.is_incomplete = true,
            Event::Foreign(_) => {}
        }
    }

    /// Returns the step from `from` to `until` with these calls, all of which are settled. Returns
    /// `None` if these calls cannot be distinguished from others later. Also returns `None` if
    /// there are no calls, because the second comparison of such a step reads no record anyway.
    pub fn settled(&self, from: Timestamp, until: Timestamp) -> Option<SettledStep> {
        if self.is_incomplete || self.ids.is_empty() {
            return None;
        }
        Some(SettledStep {
            from,
            until,
            calls: u64::try_from(self.ids.len()).unwrap_or(u64::MAX),
            digest: self.digest(),
        })
    }

    /// Returns whether these are exactly the calls of a settled step.
    pub fn matches(&self, step: &SettledStep) -> bool {
        self.settled(step.from, step.until).as_ref() == Some(step)
    }

    fn digest(&self) -> String {
        let ids: Vec<&str> = self.ids.iter().map(String::as_str).collect();
        content_digest(&ids.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> Event {
        let text = format!(
            r#"{{"eventID": "{id}", "eventTime": "2026-11-27T02:01:00Z", "eventName": "BatchMeterUsage", "eventSource": "metering-marketplace.amazonaws.com"}}"#
        );
        let event = Event::read(&text, None);
        assert!(matches!(event, Event::Call(_)), "{event:?}");
        event
    }

    fn settled(events: &[Event]) -> Option<SettledStep> {
        let mut seen = CallIds::default();
        events.iter().for_each(|event| seen.add(event));
        let at = |text: &str| text.parse().unwrap();
        seen.settled(at("2026-11-27T02:00:00Z"), at("2026-11-27T03:00:00Z"))
    }

    #[test]
    fn the_same_calls_are_recognised_in_any_order_and_number() {
        let foreign = Event::Foreign("another operation".to_owned());
        let once = settled(&[call("a"), call("b")]).unwrap();
        assert_eq!(once.calls, 2);
        let others = [call("b"), foreign, call("a"), call("b")];
        assert_eq!(settled(&others), Some(once.clone()));
        for others in [
            vec![call("a")],
            vec![call("a"), call("c")],
            vec![call("a"), call("b"), call("c")],
            vec![call("ab")],
        ] {
            assert_ne!(settled(&others), Some(once.clone()), "{others:?}");
        }
    }

    #[test]
    fn calls_without_an_id_are_never_recognised() {
        let unreadable = Event::Unreadable {
            at: None,
            problem: "cut off".to_owned(),
        };
        assert_eq!(settled(&[call("a"), unreadable]), None);
        assert_eq!(settled(&[call("a"), call("")]), None);
        assert_eq!(settled(&[]), None);
    }

    #[test]
    fn the_digest_does_not_change_with_a_version() {
        let step = settled(&[call("a"), call("b")]).unwrap();
        assert_eq!(step.digest, "7e18f737311b2dc3b2f269dd78396b03");
    }
}
