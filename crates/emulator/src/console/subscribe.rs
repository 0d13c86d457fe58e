//! The page on which a buyer accepts an offer.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::fields::{Fields, not_a_number, object, read};
use super::page::{self, Place, Refused, refusal, typed};
use super::products::{dimensions, identity, pricing};
use crate::emulator::Emulator;
use crate::limits::CONSOLE_PAGE_ROWS_MAX;
use crate::refusal::Refusal;
use crate::world::{Agreement, NewAgreement, NewProduct, Pricing};

pub(super) async fn show(State(emulator): State<Emulator>, query: Fields) -> Response {
    view(&emulator, StatusCode::OK, query.text("product"), None)
}

pub(super) async fn subscribe(State(emulator): State<Emulator>, form: Fields) -> Response {
    match agreement_of(&emulator, &form) {
        Ok(agreement) => page::redirect(
            "/purchases",
            &[("account", &agreement.account_id), ("done", "subscribed")],
        ),
        Err(error) => {
            let code = form.text("product_code").to_owned();
            let refused = Refused::of(&error, form);
            view(&emulator, error.status(), &code, Some(&refused))
        }
    }
}

fn agreement_of(emulator: &Emulator, form: &Fields) -> Result<Agreement, Refusal> {
    let entitlements = form
        .with_prefix("entitlement:")
        .map(|(dimension, value)| {
            let rule = "a whole number of units, at most 4294967295";
            let units: u32 = value
                .parse()
                .map_err(|_| not_a_number(dimension, value, rule))?;
            Ok(json!({"dimension": dimension, "value": units}))
        })
        .collect::<Result<Vec<Value>, Refusal>>()?;
    let new: NewAgreement = read(object([
        ("product_code", Some(json!(form.text("product_code")))),
        ("account_id", form.get("account_id").map(|text| json!(text))),
        ("free_trial", form.get("free_trial").map(|_| json!(true))),
        ("entitlements", Some(Value::Array(entitlements))),
    ]))?;
    emulator.add_agreement(new)
}

fn view(
    emulator: &Emulator,
    status: StatusCode,
    code: &str,
    refused: Option<&Refused>,
) -> Response {
    let products = emulator.products();
    let Some(product) = products.iter().find(|product| product.code == code) else {
        let problem = format!(
            "No product has the code `{code}`. The page Products lists the products and adds new ones."
        );
        return page::problem(StatusCode::NOT_FOUND, &problem);
    };
    let accounts: BTreeSet<String> = {
        let world = &emulator.core().world;
        let latest = world.customers.iter().rev().take(CONSOLE_PAGE_ROWS_MAX);
        latest.map(|customer| customer.account_id.clone()).collect()
    };
    let body = html! {
        (refusal(refused))
        dl {
            dt { "Priced by" } dd { (pricing(product.pricing)) }
            dt { "Dimensions" } dd { (dimensions(product)) }
            dt { "Buyers identified by" } dd { (identity(product.identity)) }
        }
        (form(product, &accounts, refused))
    };
    let title = format!("Subscribe to {code}");
    page::page(emulator, status, Place::Products, &title, &body)
}

fn form(product: &NewProduct, accounts: &BTreeSet<String>, refused: Option<&Refused>) -> Markup {
    let entitled = |dimension: &str| typed(refused, &format!("entitlement:{dimension}")).to_owned();
    html! {
        form method="post" action="/_emulator/console/subscribe" {
            input type="hidden" name="product_code" value=(product.code);
            label for="account_id" { "The buyer's AWS account" }
            input id="account_id" name="account_id" value=(typed(refused, "account_id")) list="accounts" inputmode="numeric" autocomplete="off" aria-describedby="account-rule";
            datalist id="accounts" { @for account in accounts { option value=(account); } }
            p.hint id="account-rule" { "12 digits. Blank makes a new account. One account may subscribe several times, and each subscription has a license of its own." }
            @if product.pricing != Pricing::Usage {
                fieldset {
                    legend { "Units that the contract includes" }
                    @for (index, dimension) in product.dimensions.iter().enumerate() {
                        label for={ "entitlement-" (index) } { (dimension) }
                        input id={ "entitlement-" (index) } name={ "entitlement:" (dimension) } value=(entitled(dimension)) inputmode="numeric" autocomplete="off";
                    }
                }
            }
            label.choice {
                input type="checkbox" name="free_trial" value="yes" checked[!typed(refused, "free_trial").is_empty()];
                span { "Begin with a free trial. Usage is metered as usual, but invoiced at 0." }
            }
            button { "Subscribe" }
        }
    }
}
