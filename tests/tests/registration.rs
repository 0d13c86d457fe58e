//! Buyers arrive at the fulfillment URL and register, on the pages of the stack or at the seller's
//! own sign-up.

mod buyers;

#[path = "registration/addresses.rs"]
mod addresses;
#[path = "registration/arrival.rs"]
mod arrival;
#[path = "registration/browser.rs"]
mod browser;
#[path = "registration/cookies.rs"]
mod cookies;
#[path = "registration/design.rs"]
mod design;
#[path = "registration/offline.rs"]
mod offline;
#[path = "registration/privacy.rs"]
mod privacy;
#[path = "registration/settings.rs"]
mod settings;
#[path = "registration/sign_up.rs"]
mod sign_up;
#[path = "registration/tickets.rs"]
mod tickets;
#[path = "registration/trouble.rs"]
mod trouble;
#[path = "registration/visits.rs"]
mod visits;
