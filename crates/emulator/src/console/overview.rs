//! The first page: the state of the world, and links to what can be done.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::page::{self, Place};
use crate::emulator::Emulator;
use crate::world::{CallFilter, Verdict};

pub(super) async fn show(State(emulator): State<Emulator>) -> Response {
    let (products, agreements, slots, calls, refused) = {
        let world = &emulator.core().world;
        let count = |verdicts: &[Verdict]| {
            let of = CallFilter {
                operation: None,
                verdicts,
            };
            world.calls_of(of, 0, 0).0
        };
        (
            world.products.len(),
            world.agreements.len(),
            world.slots.iter().count(),
            count(&Verdict::ALL),
            count(&[Verdict::Refused, Verdict::Partly]),
        )
    };
    let faults = emulator.faults().faults.len();
    let body = html! {
        dl.facts {
            div { dt { "Products" } dd { a href="/_emulator/console/products" { (products) } } }
            div { dt { "Agreements" } dd { a href="/_emulator/console/agreements" { (agreements) } } }
            div { dt { "Slots metered" } dd { a href="/_emulator/console/metered" { (slots) } } }
            div { dt { "Calls in the log" } dd { a href="/_emulator/console/calls" { (calls) } } }
            div { dt { "Calls with a refusal" } dd { a href="/_emulator/console/calls?verdict=refusal" { (refused) } } }
            div { dt { "Faults in force" } dd { a href="/_emulator/console/faults" { (faults) } } }
        }
        h2 { "From a subscription to the bill" }
        ol {
            li {
                "As the buyer, " a href="/_emulator/console/products" { "subscribe to a product" }
                ", then set up your account: your browser takes a registration token to the seller's fulfillment URL."
            }
            li { "The seller's software reports usage to AWS Marketplace, at this very address, with any AWS SDK." }
            li { a href="/_emulator/console/clock" { "Move the clock" } " on, an hour at a time." }
            li {
                "See " a href="/_emulator/console/metered" { "what was metered" } " hour by hour, and in "
                a href="/_emulator/console/calls" { "the calls" } " what was refused, why, and what to do about it."
            }
            li {
                "Then make it hard: " a href="/_emulator/console/faults" { "switch faults on" } ", and try the "
                a href="/_emulator/console/readings" { "readings of what AWS leaves open" } "."
            }
        }
    };
    page::page(
        &emulator,
        StatusCode::OK,
        Place::Overview,
        "Overview",
        &body,
    )
}
