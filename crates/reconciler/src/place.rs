//! Where a run breaks off in a walk over all subscriptions, as a text that is kept until the next.

use ledger::SHARDS;
use marketplace::Subscription;

/// A place in a walk over the shards: `<what>|<shard>|<subscription>`. `what` names the round of the
/// walk; a place of another round is no place of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which shard the walk had come to.
    pub(crate) shard: u8,
    /// Everything through this subscription is done there; nothing yet, if `None`.
    pub(crate) after: Option<Subscription>,
}

impl Place {
    /// Where each round begins.
    pub(crate) const BEGINNING: Self = Self {
        shard: 0,
        after: None,
    };

    /// As it is kept.
    pub(crate) fn to_text(&self, what: &str) -> String {
        let after = self.after.as_ref().map(Subscription::to_string);
        format!("{what}|{}|{}", self.shard, after.unwrap_or_default())
    }

    /// The place that is kept of this round; the beginning, if there is none.
    pub(crate) fn of_round(text: Option<&str>, what: &str) -> Self {
        let read = || {
            let rest = text?.strip_prefix(what)?.strip_prefix('|')?;
            let (shard, after) = rest.split_once('|')?;
            let shard = shard.parse().ok().filter(|shard| *shard < SHARDS)?;
            let after = match after {
                "" => None,
                after => Some(after.parse().ok()?),
            };
            Some(Self { shard, after })
        };
        read().unwrap_or(Self::BEGINNING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again_in_its_round_only() {
        for after in [None, Some("account|code|111122223333".parse().unwrap())] {
            let place = Place { shard: 7, after };
            let text = place.to_text("2026-11-21T02");
            assert_eq!(Place::of_round(Some(&text), "2026-11-21T02"), place);
            for other in ["2026-11-21T03", "2026-11-21T0", ""] {
                assert_eq!(Place::of_round(Some(&text), other), Place::BEGINNING);
            }
        }
        for text in ["", "x", "x|8|", "x|-1|", "x|1|nobody", "x|1"] {
            assert_eq!(Place::of_round(Some(text), "x"), Place::BEGINNING, "{text}");
        }
        assert_eq!(Place::of_round(None, "x"), Place::BEGINNING);
    }
}
