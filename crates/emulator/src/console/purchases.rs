//! The page of a buyer's agreements, with buttons for what a buyer can do with them.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::changes::{self, Change};
use super::fields::Fields;
use super::page::{self, Place, Refused, link, notice, refusal, time};
use crate::emulator::Emulator;
use crate::limits::CONSOLE_PAGE_ROWS_MAX;
use crate::world::AgreementView;

pub(super) async fn show(State(emulator): State<Emulator>, query: Fields) -> Response {
    view(&emulator, StatusCode::OK, &query, None)
}

/// The list of all buyers, or the agreements of one buyer.
pub(super) fn view(
    emulator: &Emulator,
    status: StatusCode,
    query: &Fields,
    refused: Option<&Refused>,
) -> Response {
    let page = match page::number(query, "page") {
        Ok(page) => page,
        Err(error) => return page::unreadable(&error),
    };
    let agreements = emulator.agreements();
    let (title, shown) = match query.get("account") {
        Some(account) => (
            format!("Purchases of account {account}"),
            purchases(emulator, &agreements, account, page),
        ),
        None => ("Purchases".to_owned(), buyers(&agreements, page)),
    };
    let body = html! {
        (refusal(refused))
        (notice(query))
        (shown)
    };
    page::page(emulator, status, Place::Purchases, &title, &body)
}

fn buyers(agreements: &[AgreementView], page: usize) -> Markup {
    let mut buyers: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for agreement in agreements {
        let (all, active) = buyers.entry(&agreement.account_id).or_default();
        *all += 1;
        *active += usize::from(agreement.ended.is_none());
    }
    let size = CONSOLE_PAGE_ROWS_MAX;
    let shown = buyers.iter().skip(page::skipped(page)).take(size);
    html! {
        @if buyers.is_empty() {
            p { "Nobody has bought anything yet. " a href="/_emulator/console/products" { "Subscribe to a product" } "." }
        } @else {
            p { "Choose a buyer, to see and change that buyer's agreements." }
            (page::pages(("buyer", "buyers"), "/purchases", &[], "page", (page, size, buyers.len())))
            div.scroll role="region" aria-label="Buyers" tabindex="0" {
                table {
                    caption { "Buyers by AWS account" }
                    thead { tr { th scope="col" { "Account" } th scope="col" { "Agreements" } th scope="col" { "In force" } } }
                    tbody {
                        @for (account, (all, active)) in shown {
                            tr {
                                th scope="row" { a href=(link("/purchases", &[("account", account)])) { (account) } }
                                td.number { (all) }
                                td.number { (active) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn purchases(
    emulator: &Emulator,
    agreements: &[AgreementView],
    account: &str,
    page: usize,
) -> Markup {
    // The latest purchase comes first, because the buyer usually wants to set it up next.
    let theirs: Vec<&AgreementView> = agreements
        .iter()
        .rev()
        .filter(|agreement| agreement.account_id == account)
        .collect();
    let size = CONSOLE_PAGE_ROWS_MAX;
    let parameters = [("account", account)];
    html! {
        p { a href="/_emulator/console/purchases" { "All buyers" } }
        @if theirs.is_empty() {
            p { "This account has bought nothing. " a href="/_emulator/console/products" { "Subscribe to a product" } "." }
        }
        (page::pages(("agreement", "agreements"), "/purchases", &parameters, "page", (page, size, theirs.len())))
        div.cards {
            @for agreement in theirs.iter().skip(page::skipped(page)).take(size) {
                (card(emulator, agreement))
            }
        }
    }
}

fn card(emulator: &Emulator, agreement: &AgreementView) -> Markup {
    let is_active = agreement.ended.is_none();
    html! {
        article.card {
            h2 { (agreement.product_code) }
            p { (changes::status(agreement)) }
            dl {
                dt { "Agreement" } dd { code { (agreement.agreement_id) } }
                dt { "License" } dd { code { (agreement.license_arn) } }
                dt { "Since" } dd { (time(agreement.start)) @if agreement.free_trial { ", began as a free trial" } }
                @if let Some(ended) = agreement.ended { dt { "Ended" } dd { (time(ended)) } }
            }
            @if is_active {
                (set_up(emulator, agreement))
                div.actions {
                    (changes::button(agreement, Change::Renew))
                    (changes::button(agreement, Change::Amend))
                    (changes::button(agreement, Change::Cancel))
                    (changes::button(agreement, if agreement.suspended { Change::Resume } else { Change::Suspend }))
                }
            }
        }
    }
}

fn set_up(emulator: &Emulator, agreement: &AgreementView) -> Markup {
    let has_url = super::set_up::fulfillment_url(emulator, &agreement.product_code).is_some();
    html! {
        @if has_url {
            form.inline method="post" action="/_emulator/console/set-up" {
                input type="hidden" name="agreement_id" value=(agreement.agreement_id);
                button.main { "Set up your account" span.apart { " for " (agreement.product_code) ", " (agreement.agreement_id) } }
            }
        } @else {
            p {
                "“Set up your account” needs a fulfillment URL: "
                a href="/_emulator/console/products#fulfillment" { "set a fulfillment URL" } "."
            }
        }
    }
}
