//! The page of all agreements, from the seller's side.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::changes;
use super::fields::Fields;
use super::page::{self, Place, link, time};
use super::products::identity;
use crate::emulator::Emulator;
use crate::limits::CONSOLE_PAGE_ROWS_MAX;
use crate::world::{AgreementView, Identity, NewProduct};

const STATUSES: [&str; 3] = ["ACTIVE", "CANCELLED", "RENEWED"];

pub(super) async fn show(State(emulator): State<Emulator>, query: Fields) -> Response {
    let page = match page::number(&query, "page") {
        Ok(page) => page,
        Err(error) => return page::unreadable(&error),
    };
    let (product, status) = (query.text("product"), query.text("status"));
    if !status.is_empty() && !STATUSES.contains(&status) {
        let names = STATUSES.join(", ");
        let problem = format!("`status` is `{status}`, but must be one of {names}, or blank.");
        return page::problem(StatusCode::BAD_REQUEST, &problem);
    }
    let products = emulator.products();
    let agreements = emulator.agreements();
    let found: Vec<&AgreementView> = agreements
        .iter()
        .rev()
        .filter(|agreement| product.is_empty() || agreement.product_code == product)
        .filter(|agreement| status.is_empty() || agreement.status == status)
        .collect();
    let size = CONSOLE_PAGE_ROWS_MAX;
    let parameters = [("product", product), ("status", status)];
    let shown = found.iter().skip(page::skipped(page)).take(size);
    let body = html! {
        (filters(&products, product, status))
        (page::pages(("agreement", "agreements"), "/agreements", &parameters, "page", (page, size, found.len())))
        div.scroll role="region" aria-label="Agreements" tabindex="0" {
            table {
                caption { "Agreements, the latest first" }
                thead {
                    tr {
                        @for name in ["Agreement", "Product", "Buyer", "License", "Status", "Start", "End"] {
                            th scope="col" { (name) }
                        }
                    }
                }
                tbody { @for agreement in shown { (row(agreement, &products)) } }
            }
        }
    };
    page::page(
        &emulator,
        StatusCode::OK,
        Place::Agreements,
        "Agreements",
        &body,
    )
}

fn row(agreement: &AgreementView, products: &[NewProduct]) -> Markup {
    let product = products.iter().find(|p| p.code == agreement.product_code);
    let account = &agreement.account_id;
    html! {
        tr {
            th.id scope="row" { code { (agreement.agreement_id) } }
            td {
                (agreement.product_code)
                @if let Some(product) = product { br; small { "by " (identity(product.identity)) } }
            }
            td {
                a href=(link("/purchases", &[("account", account)])) { (account) }
                @if product.is_some_and(|p| p.identity == Identity::Customer) {
                    br; small { "CustomerIdentifier " code { (agreement.customer_identifier) } }
                }
            }
            td.arn { code { (agreement.license_arn) } }
            td { (changes::status(agreement)) @if agreement.free_trial { ", began as a free trial" } }
            td { (time(agreement.start)) }
            td { @match agreement.ended { Some(ended) => (time(ended)), None => "none known" } }
        }
    }
}

fn filters(products: &[NewProduct], product: &str, status: &str) -> Markup {
    html! {
        form.filters method="get" action="/_emulator/console/agreements" {
            (product_choice(products, product))
            div {
                label for="status" { "Status" }
                select id="status" name="status" {
                    option value="" { "any" }
                    @for name in STATUSES { option value=(name) selected[name == status] { (name) } }
                }
            }
            button { "Show" }
        }
    }
}

/// A form field in which to choose a product. Its first choice stands for any product.
pub(super) fn product_choice(products: &[NewProduct], chosen: &str) -> Markup {
    html! {
        div {
            label for="product" { "Product" }
            select id="product" name="product" {
                option value="" { "any" }
                @for product in products {
                    option value=(product.code) selected[product.code == chosen] { (product.code) }
                }
            }
        }
    }
}
