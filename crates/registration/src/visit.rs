//! What is known about a buyer who opens the sign-up page: is the visit the first one, and does the
//! buyer's AWS account have other subscriptions?

use ledger::contact::Contact;
use ledger::profile::Profile;
use ledger::{Ledger, LedgerError};
use marketplace::lifecycle::Status;

use crate::app::App;
use crate::cookie::Session;
use crate::page::Visit;
use crate::refusal::Refusal;

/// The state of a registration, as the sign-up page shows it. It contains nothing that somebody has
/// typed, because several people may share an AWS account.
pub(crate) struct Situation {
    /// Whether the sign-up is new, was begun earlier, or was completed earlier.
    pub visit: Visit,
    /// The status of the subscription.
    pub status: Status,
    /// The number of other subscriptions of the account to the same product.
    pub same_product: usize,
    /// The number of subscriptions of the account to other products.
    pub other_products: usize,
}

impl Situation {
    /// Reads the contact data and the list of the buyer's AWS account.
    pub async fn read(
        ledger: &Ledger,
        profile: &Profile,
        session: &Session,
    ) -> Result<Self, LedgerError> {
        let contact = ledger.contact(&profile.subscription).await?;
        let mut situation = Self {
            visit: visit_of(profile, contact.as_ref(), session.began()),
            status: profile.status(),
            same_product: 0,
            other_products: 0,
        };
        let Some(account) = &profile.account else {
            return Ok(situation);
        };
        for other in ledger.subscriptions_of_account(account).await? {
            if other.subscription == profile.subscription {
                continue;
            }
            match other.product == profile.product {
                true => situation.same_product += 1,
                false => situation.other_products += 1,
            }
        }
        Ok(situation)
    }
}

/// The kind of a visit whose session began at the second `began`. The first registration stores its
/// time, and a session begins with each registration. So an earlier registration without contact
/// data is a sign-up that was not completed.
fn visit_of(profile: &Profile, contact: Option<&Contact>, began: i64) -> Visit {
    let registered = profile.registered_at.map(|at| at.as_second());
    match (contact, registered) {
        (Some(_), _) => Visit::Finished,
        (None, Some(registered)) if registered < began => Visit::Unfinished,
        (None, _) => Visit::New,
    }
}

/// The profile of a session's subscription. Its status does not matter: the buyer may have bought the
/// product again, and AWS reports that in an event that may come after the buyer.
pub(crate) async fn profile_of(app: &App, session: &Session) -> Result<Profile, Refusal> {
    let stored = app.ledger.profile(&session.subscription).await;
    // The profile may have been deleted by hand. A new registration creates it again.
    stored
        .map_err(|error| Refusal::of_ledger(&error))?
        .ok_or(Refusal::SetUpAgain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_is_new_until_a_later_one_and_finished_once_the_page_was_completed() {
        let at = |time: &str| time.parse::<jiff::Timestamp>().unwrap();
        let created = at("2026-11-20T14:24:00Z");
        let subscription = "account|code1|111122223333".parse().unwrap();
        let mut profile = Profile::new(subscription, "code1".parse().unwrap(), created);
        let began = at("2026-11-20T15:00:00Z").as_second();
        // Only lifecycle events came so far.
        assert_eq!(visit_of(&profile, None, began), Visit::New);
        profile.registered_at = Some(at("2026-11-20T15:00:00.5Z"));
        assert_eq!(visit_of(&profile, None, began), Visit::New);
        let later = began + 1;
        assert_eq!(visit_of(&profile, None, later), Visit::Unfinished);
        let contact = Contact::default();
        for second in [began, later] {
            let visit = visit_of(&profile, Some(&contact), second);
            assert_eq!(visit, Visit::Finished);
        }
    }
}
