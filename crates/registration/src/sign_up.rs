//! The sign-up page: shows it for the license that the cookie names, and stores what is typed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::HeaderMap;
use axum::response::Response;
use ledger::profile::Profile;

use crate::answer::see_other;
use crate::app::{App, shown};
use crate::cookie::{Arrival, removal};
use crate::fields::Typed;
use crate::page::{Content, Pages, SignUp};
use crate::page_settings::FORM_TOKEN;
use crate::refusal::Refusal;
use crate::visit::{Situation, profile_of};

/// Handles `GET /sign-up`.
pub(crate) async fn show(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match opened(&app, &headers).await {
        Ok(answer) => answer,
        Err(refusal) => app.refuse(&headers, &refusal).await,
    }
}

/// Handles `POST /sign-up`.
pub(crate) async fn save(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Result<Form<BTreeMap<String, String>>, FormRejection>,
) -> Response {
    match saved(&app, &headers, form).await {
        Ok(answer) => answer,
        Err(refusal) => app.refuse(&headers, &refusal).await,
    }
}

async fn opened(app: &App, headers: &HeaderMap) -> Result<Response, Refusal> {
    let now = app.now().await?;
    let arrival = Arrival::read(&app.session, headers, now)?;
    let profile = profile_of(app, &arrival.session).await?;
    let visitor = Visitor {
        app,
        headers,
        arrival: &arrival,
        profile: &profile,
    };
    // What was stored earlier is never shown, because several people may share an AWS account.
    let empty = Typed::default();
    visitor.page(&app.pages().await, &empty).await
}

async fn saved(
    app: &App,
    headers: &HeaderMap,
    form: Result<Form<BTreeMap<String, String>>, FormRejection>,
) -> Result<Response, Refusal> {
    let Form(form) = form.map_err(|rejection| Refusal::of_form(&rejection))?;
    if is_from_another_site(headers) {
        tracing::info!("a sign-up form from another site was refused");
        return Err(Refusal::WrongForm);
    }
    let now = app.now().await?;
    let arrival = Arrival::read(&app.session, headers, now)?;
    let form_token = form.get(FORM_TOKEN).map_or("", String::as_str);
    if !arrival.is_form_of(&app.session, form_token) {
        tracing::info!("a sign-up form of another registration was refused");
        return Err(Refusal::WrongForm);
    }
    let profile = profile_of(app, &arrival.session).await?;
    let pages = app.pages().await;
    let typed = Typed::check(pages.settings().fields(), &form);
    if !typed.problems.is_empty() {
        let visitor = Visitor {
            app,
            headers,
            arrival: &arrival,
            profile: &profile,
        };
        return visitor.page(&pages, &typed).await;
    }
    let subscription = &profile.subscription;
    app.ledger
        .complete_contact(subscription, &typed.values, now)
        .await
        .map_err(|error| Refusal::of_ledger(&error))?;
    tracing::info!(%subscription, "a sign-up was completed");
    see_other("thanks", Some(removal(&app.session))).map_err(|error| {
        tracing::error!(%error, "the buyer could not be sent to the last page");
        Refusal::ContactSupport
    })
}

/// Whether a browser says that the form comes from another site, or from another host of this site.
/// Browsers that do not say so are stopped by the hidden field.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// A buyer whose registration is known.
struct Visitor<'a> {
    app: &'a App,
    headers: &'a HeaderMap,
    arrival: &'a Arrival,
    profile: &'a Profile,
}

impl Visitor<'_> {
    /// The sign-up page with these values and problems.
    async fn page(&self, pages: &Pages, typed: &Typed) -> Result<Response, Refusal> {
        let session = &self.arrival.session;
        let situation = Situation::read(&self.app.ledger, self.profile, session)
            .await
            .map_err(|error| Refusal::of_ledger(&error))?;
        let form_token = self.arrival.form_token(&self.app.session);
        let content = SignUp {
            visit: situation.visit,
            status: situation.status,
            free_trial: session.free_trial,
            same_product: situation.same_product,
            other_products: situation.other_products,
            form_token: &form_token,
            typed: &typed.values,
            problems: &typed.problems,
        };
        Ok(shown(pages, self.headers, Content::SignUp(content)))
    }
}
