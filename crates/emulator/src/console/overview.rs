//! The first page of the console: numbers of the emulated world, and the first steps with links.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::page::{self, Place};
use crate::emulator::Emulator;
use crate::world::{CallFilter, CallVerdict};

pub(super) async fn show(State(emulator): State<Emulator>) -> Response {
    let (products, agreements, slots, calls, refused) = {
        let world = &emulator.core().world;
        let count = |verdicts: &[CallVerdict]| {
            let of = CallFilter {
                operation: None,
                verdicts,
            };
            world.select_calls(of, 0, 0).0
        };
        (
            world.products.len(),
            world.agreements.len(),
            world.slots.iter().count(),
            count(&CallVerdict::ALL),
            count(&[CallVerdict::Refused, CallVerdict::Partly]),
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
                ", then set up your account: your browser sends a registration token to the seller's fulfillment URL."
            }
            li { "The seller's software reports usage to AWS Marketplace, at this same address, with any AWS SDK." }
            li { a href="/_emulator/console/clock" { "Move the clock" } " forward, one hour at a time." }
            li {
                "See the " a href="/_emulator/console/metered" { "metered usage" } " hour by hour. The page of the "
                a href="/_emulator/console/calls" { "calls" } " explains each refusal and says what to do about it."
            }
            li {
                "Then make it harder: " a href="/_emulator/console/faults" { "switch faults on" } ", and try other "
                a href="/_emulator/console/readings" { "readings" } ", where AWS does not document its behavior."
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
