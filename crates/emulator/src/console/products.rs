//! The page of the seller's products, with the form that lists a new product.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde_json::json;

use super::fields::{Fields, object, read};
use super::page::{self, Place, Refused, link, notice, refusal, typed};
use crate::emulator::Emulator;
use crate::limits::CONSOLE_PAGE_ROWS_MAX;
use crate::refusal::Refusal;
use crate::world::{Identity, NewProduct, Pricing};

pub(super) async fn show(State(emulator): State<Emulator>, query: Fields) -> Response {
    match page::number(&query, "page") {
        Ok(page) => view(&emulator, StatusCode::OK, page, &query, None),
        Err(error) => page::unreadable(&error),
    }
}

pub(super) async fn add(State(emulator): State<Emulator>, form: Fields) -> Response {
    match read::<NewProduct>(json_of(&form)).and_then(|new| emulator.add_product(new)) {
        Ok(()) => page::redirect("/products", &[("done", "listed")]),
        Err(error) => refuse(&emulator, &error, form),
    }
}

pub(super) async fn set_fulfillment_url(
    State(emulator): State<Emulator>,
    form: Fields,
) -> Response {
    match emulator.set_fulfillment_url(form.get("url")) {
        Ok(()) => page::redirect("/products", &[("done", "fulfillment-url")]),
        Err(error) => refuse(&emulator, &error, form),
    }
}

fn refuse(emulator: &Emulator, error: &Refusal, form: Fields) -> Response {
    let refused = Refused::of(error, form);
    view(
        emulator,
        error.status(),
        1,
        &Fields::default(),
        Some(&refused),
    )
}

fn json_of(form: &Fields) -> serde_json::Value {
    object([
        ("code", Some(json!(form.text("code")))),
        ("dimensions", Some(json!(form.lines("dimensions")))),
        ("identity", form.get("identity").map(|text| json!(text))),
        ("pricing", form.get("pricing").map(|text| json!(text))),
        (
            "fulfillment_url",
            form.get("fulfillment_url").map(|text| json!(text)),
        ),
    ])
}

fn view(
    emulator: &Emulator,
    status: StatusCode,
    page: usize,
    query: &Fields,
    refused: Option<&Refused>,
) -> Response {
    let products = emulator.products();
    let url = emulator.fulfillment_url();
    let size = CONSOLE_PAGE_ROWS_MAX;
    let shown = products.iter().skip(page::skipped(page)).take(size);
    let body = html! {
        (refusal(refused))
        (notice(query))
        p { "These products are on AWS Marketplace. You can subscribe to them as any AWS account." }
        (page::pages(("product", "products"), "/products", &[], "page", (page, size, products.len())))
        div.cards {
            @for product in shown { (listing(product, url.as_deref())) }
        }
        (url_form(url.as_deref(), refused))
        (product_form(refused))
    };
    page::page(emulator, status, Place::Products, "Products", &body)
}

fn listing(product: &NewProduct, default_url: Option<&str>) -> Markup {
    let code = &product.code;
    html! {
        article.card {
            h2 { (code) }
            dl {
                dt { "Priced by" } dd { (pricing(product.pricing)) }
                dt { "Dimensions" } dd { (dimensions(product)) }
                dt { "Buyers identified by" } dd { (identity(product.identity)) }
                dt { "Fulfillment URL" }
                dd {
                    @match (&product.fulfillment_url, default_url) {
                        (Some(url), _) => code { (url) },
                        (None, Some(_)) => "the URL for all products, below",
                        (None, None) => "none; set one below",
                    }
                }
            }
            p {
                a.button href=(link("/subscribe", &[("product", code)])) {
                    "Subscribe" span.apart { " to " (code) }
                }
            }
        }
    }
}

/// A product's dimensions. Each is marked up as code, because names may contain spaces.
pub(super) fn dimensions(product: &NewProduct) -> Markup {
    html! {
        @for (index, name) in product.dimensions.iter().enumerate() {
            @if index > 0 { ", " }
            code { (name) }
        }
    }
}

pub(super) fn pricing(pricing: Pricing) -> &'static str {
    match pricing {
        Pricing::Usage => "usage: everything is metered",
        Pricing::Contract => "contract: paid up front, nothing is metered",
        Pricing::ContractWithConsumption => {
            "contract with consumption: usage above the entitlement is metered"
        }
    }
}

pub(super) fn identity(identity: Identity) -> &'static str {
    match identity {
        Identity::License => "license (LicenseArn and CustomerAWSAccountId)",
        Identity::Customer => "customer (ProductCode and CustomerIdentifier)",
    }
}

fn url_form(url: Option<&str>, refused: Option<&Refused>) -> Markup {
    let shown = match refused {
        Some(refused) if refused.fields.get("url").is_some() => refused.fields.text("url"),
        _ => url.unwrap_or_default(),
    };
    html! {
        section aria-labelledby="fulfillment" {
            h2 id="fulfillment" { "Fulfillment URL" }
            p id="url-rule" {
                "“Set up your account” sends the buyer's browser to this URL, unless the product has a URL of its own. "
                "Blank removes it. You can also start the program with " code { "--fulfillment-url" } "."
            }
            form method="post" action="/_emulator/console/fulfillment-url" {
                label for="url" { "URL for all products" }
                input id="url" name="url" value=(shown) inputmode="url" autocomplete="off" placeholder="http://127.0.0.1:8080/register" aria-describedby="url-rule";
                button { "Set the fulfillment URL" }
            }
        }
    }
}

fn product_form(refused: Option<&Refused>) -> Markup {
    let is_legacy = typed(refused, "identity") == "customer";
    let priced = typed(refused, "pricing");
    html! {
        section aria-labelledby="list" {
            h2 id="list" { "List a product" }
            form method="post" action="/_emulator/console/products" {
                label for="code" { "Product code" }
                input id="code" name="code" value=(typed(refused, "code")) required autocomplete="off" aria-describedby="code-rule";
                p.hint id="code-rule" { "The product code, not the product id. It consists of letters, digits and -/=:_.@" }
                label for="dimensions" { "Dimensions" }
                textarea id="dimensions" name="dimensions" rows="3" required aria-describedby="dimensions-rule" { (typed(refused, "dimensions")) }
                p.hint id="dimensions-rule" { "The API names of the dimensions, one on each line. They are case-sensitive." }
                fieldset {
                    legend { "Usage records identify the buyer by" }
                    label.choice {
                        input type="radio" name="identity" value="license" checked[!is_legacy];
                        span { "license, as for products since June 2026" }
                    }
                    label.choice {
                        input type="radio" name="identity" value="customer" checked[is_legacy];
                        span { "customer, as for older listings" }
                    }
                }
                label for="pricing" { "Pricing" }
                select id="pricing" name="pricing" {
                    @for (value, kind) in [
                        ("usage", Pricing::Usage),
                        ("contract", Pricing::Contract),
                        ("contract-with-consumption", Pricing::ContractWithConsumption),
                    ] {
                        option value=(value) selected[priced == value] { (pricing(kind)) }
                    }
                }
                label for="fulfillment_url" { "Fulfillment URL of its own (optional)" }
                input id="fulfillment_url" name="fulfillment_url" value=(typed(refused, "fulfillment_url")) inputmode="url" autocomplete="off";
                button { "List the product" }
            }
        }
    }
}
