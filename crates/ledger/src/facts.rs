//! Puts together the facts about all lifecycle keys of one subscription.
//!
//! An agreement can grant several licenses. License events store their signs under the license of
//! the agreement, so that the removal of one license does not end another one. Agreement events
//! name no license, so their signs count for every license of the agreement. License events that
//! name no license store their signs under the agreement as well, and so did earlier versions for
//! all license events.

use std::collections::BTreeMap;

use marketplace::agreements::lifecycle_of;
use marketplace::lifecycle::Lifecycle;
use marketplace::{AgreementId, Subscription};

use crate::Ledger;
use crate::error::LedgerError;
use crate::lifecycle_key::LifecycleKey;

/// The signs of a subscription's agreements and of its legacy customer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscriptionFacts {
    /// The lifecycles of each agreement: one for each license that is linked to the subscription,
    /// or a single one if no license is linked.
    agreements: BTreeMap<AgreementId, Vec<Lifecycle>>,
    /// The signs of the legacy customer; `None` if the subscription is linked to none.
    customer: Option<Lifecycle>,
}

impl SubscriptionFacts {
    /// Gives the signs of each agreement to all of its licenses. The order of the facts does not
    /// matter.
    fn of(facts: impl IntoIterator<Item = (LifecycleKey, Lifecycle)>) -> Self {
        let mut of_agreements = BTreeMap::new();
        let mut all = Self::default();
        for (lifecycle_key, lifecycle) in facts {
            match lifecycle_key {
                LifecycleKey::Agreement(id) => {
                    of_agreements.insert(id, lifecycle);
                }
                LifecycleKey::License { agreement, .. } => {
                    all.agreements.entry(agreement).or_default().push(lifecycle);
                }
                LifecycleKey::Customer(..) => all.customer = Some(lifecycle),
                LifecycleKey::Buyer(..) => {}
            }
        }
        for (id, of_agreement) in of_agreements {
            let licenses = all.agreements.entry(id).or_default();
            if licenses.is_empty() {
                licenses.push(Lifecycle::default());
            }
            for license in licenses {
                for (sign, at) in of_agreement.signs() {
                    license.observe(sign, at);
                }
            }
        }
        all
    }

    /// The agreements, each with one lifecycle. An agreement is in force while one of its licenses
    /// is.
    pub fn agreements(&self) -> Vec<(AgreementId, Lifecycle)> {
        let merged = |licenses: &Vec<Lifecycle>| {
            lifecycle_of(Lifecycle::default(), std::slice::from_ref(licenses), None)
        };
        self.agreements
            .iter()
            .map(|(id, licenses)| (id.clone(), merged(licenses)))
            .collect()
    }

    /// The lifecycle of the subscription. `own` is the lifecycle in its profile.
    pub(crate) fn lifecycle_of(&self, own: Lifecycle) -> Lifecycle {
        let agreements: Vec<Vec<Lifecycle>> = self.agreements.values().cloned().collect();
        lifecycle_of(own, &agreements, self.customer.clone())
    }
}

impl Ledger {
    /// Reads the facts about all lifecycle keys of a subscription, strongly consistent.
    pub async fn subscription_facts(
        &self,
        subscription: &Subscription,
    ) -> Result<SubscriptionFacts, LedgerError> {
        let mut facts = Vec::new();
        for lifecycle_key in self.lifecycle_keys(&subscription.to_string()).await? {
            // An account has no facts of its own.
            if matches!(lifecycle_key, LifecycleKey::Buyer(..)) {
                continue;
            }
            let lifecycle = self.lifecycle_facts(&lifecycle_key).await?.lifecycle;
            facts.push((lifecycle_key, lifecycle));
        }
        Ok(SubscriptionFacts::of(facts))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use marketplace::agreements::agreement_at;
    use marketplace::lifecycle::Sign::{self, Activated, Deprovisioned, EndAnnounced};
    use marketplace::lifecycle::Status;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// Lifecycle keys with their signs.
    type Known<'a> = &'a [(&'a str, &'a [(Sign, i64)])];

    fn facts(known: Known<'_>) -> SubscriptionFacts {
        let mut facts: Vec<(LifecycleKey, Lifecycle)> = Vec::new();
        for (lifecycle_key, signs) in known {
            let mut life = Lifecycle::default();
            for (sign, second) in *signs {
                life.observe(*sign, at(*second));
            }
            facts.push((lifecycle_key.parse().unwrap(), life));
        }
        SubscriptionFacts::of(facts)
    }

    #[track_caller]
    fn check(known: Known<'_>, status: Status, end: Option<i64>) {
        let reversed: Vec<_> = known.iter().rev().copied().collect();
        for known in [known, reversed.as_slice()] {
            let life = facts(known).lifecycle_of(Lifecycle::default());
            let found = (life.status(), life.first_end());
            assert_eq!(found, (status, end.map(at)), "{known:?}");
        }
    }

    #[test]
    fn the_removal_of_one_license_leaves_the_others_of_its_agreement_in_force() {
        let one = "license|agmt-1|arn:aws:license-manager::1:license:l-1";
        let two = "license|agmt-1|arn:aws:license-manager::1:license:l-2";
        let removed: &[(Sign, i64)] = &[(Activated, 0), (Deprovisioned, 100)];
        let in_force: &[(Sign, i64)] = &[(Activated, 0)];
        check(&[(one, removed), (two, in_force)], Status::Active, None);
        // The agreement's end ends all of its licenses.
        check(
            &[
                ("agreement|agmt-1", &[(EndAnnounced, 200)]),
                (one, removed),
                (two, in_force),
            ],
            Status::Ending,
            Some(200),
        );
    }

    #[test]
    fn the_signs_under_an_agreement_count_for_its_license() {
        let license = "license|agmt-1|arn:aws:license-manager::1:license:l-1";
        // An earlier version stored the activation.
        check(
            &[
                ("agreement|agmt-1", &[(Activated, 0)]),
                (license, &[(Deprovisioned, 100)]),
            ],
            Status::Ending,
            Some(100),
        );
        // No license event has named a license.
        check(
            &[("agreement|agmt-1", &[(Activated, 0)])],
            Status::Active,
            None,
        );
        let unknown: Known<'_> = &[("agreement|agmt-1", &[])];
        check(unknown, Status::Pending, None);
    }

    #[test]
    fn a_customer_and_an_account_are_no_agreements() {
        let known: Known<'_> = &[
            ("buyer|code1|111122223333", &[]),
            (
                "customer|code1|cust1",
                &[(Activated, 0), (EndAnnounced, 50)],
            ),
        ];
        check(known, Status::Ending, Some(50));
        assert!(facts(known).agreements().is_empty());
    }

    #[test]
    fn an_agreement_has_one_lifecycle_and_is_in_force_while_one_license_is() {
        let all = facts(&[
            ("agreement|agmt-1", &[]),
            (
                "license|agmt-1|arn:aws:license-manager::1:license:l-1",
                &[(Activated, 0), (Deprovisioned, 100)],
            ),
            (
                "license|agmt-1|arn:aws:license-manager::1:license:l-2",
                &[(Activated, 10)],
            ),
            ("agreement|agmt-2", &[(Activated, 500)]),
        ]);
        let agreements = all.agreements();
        let names: Vec<&str> = agreements.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(names, ["agmt-1", "agmt-2"]);
        let spans = all.lifecycle_of(Lifecycle::default()).spans();
        for (second, expect) in [(0, "agmt-1"), (300, "agmt-1"), (500, "agmt-2")] {
            let found = agreement_at(&agreements, &spans, at(second));
            assert_eq!(found.map(AgreementId::as_str), Some(expect), "{second}");
        }
    }
}
