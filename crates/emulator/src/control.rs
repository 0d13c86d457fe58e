//! The control interface under `/_emulator`. It sets up, changes and shows the emulated world.

mod clock;
mod cross_site;
mod faults;
mod status;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use clock::ClockChange;
pub(crate) use cross_site::other_site;

use crate::emulator::Emulator;
use crate::faults::Faults;
use crate::keys::PublicKey;
use crate::limits::CONTROL_BODY_BYTES_MAX;
use crate::readings::Readings;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::target::{Delivery, Target};
use crate::world::{Agreement, AgreementView, Call, Invoice, Metered, NewAgreement, NewProduct};

pub(crate) fn routes() -> axum::Router<Emulator> {
    axum::Router::new()
        .route("/_emulator/products", get(products).post(add_product))
        .route("/_emulator/agreements", get(agreements).post(add_agreement))
        .route("/_emulator/agreements/{id}", delete(cancel_agreement))
        .route(
            "/_emulator/agreements/{id}/registration-token",
            post(registration_token),
        )
        .route("/_emulator/agreements/{id}/renew", post(renew))
        .route("/_emulator/agreements/{id}/amend", post(amend))
        .route("/_emulator/agreements/{id}/suspend", post(suspend))
        .route("/_emulator/agreements/{id}/resume", post(resume))
        .route("/_emulator/clock", get(clock::read).put(clock::set))
        .route("/_emulator/faults", get(faults).put(set_faults))
        .route("/_emulator/readings", get(readings).put(set_readings))
        .route("/_emulator/settings", get(settings).put(set_settings))
        .route("/_emulator/metered", get(metered))
        .route("/_emulator/calls", get(calls))
        .route("/_emulator/invoices", get(invoices))
        .route("/_emulator/target", get(target).put(set_target))
        .route(
            "/_emulator/fulfillment-url",
            get(fulfillment_url).put(set_fulfillment_url),
        )
        .route("/_emulator/world", get(save).put(load))
        .route("/_emulator/public-keys", post(rotate_public_key))
        .route("/_emulator/public-keys/{version}", get(public_key))
        .route("/_emulator/reset", post(reset))
        .route("/_emulator", get(index))
        .route("/_emulator/{*rest}", axum::routing::any(not_found))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn(cross_site::refuse))
}

/// The JSON body of a request. A body of another form is refused with status 400 and the reason. An
/// empty body is read as `{}`.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Body<T>, Refusal> {
        let body = Limited::new(request.into_body(), CONTROL_BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(|e| Refusal::Body {
                problem: e.to_string(),
            })?
            .to_bytes();
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(body)
            .map(Body)
            .map_err(|e| Refusal::Body {
                problem: e.to_string(),
            })
    }
}

async fn index() -> Json<Vec<&'static str>> {
    Json(vec![
        "GET, POST /_emulator/products {\"code\",\"dimensions\":[..],\"identity\":\"license\"|\"customer\",\"pricing\"?,\"fulfillment_url\"?}",
        "POST /_emulator/agreements {\"product_code\",\"account_id\"?,\"start\"?,\"free_trial\"?,\"entitlements\"?,\"agreement_id\"?,\"license_arn\"?,\"customer_identifier\"?}",
        "DELETE /_emulator/agreements/{agreement_id}",
        "POST /_emulator/agreements/{agreement_id}/registration-token {\"token\"?}",
        "POST /_emulator/agreements/{agreement_id}/renew",
        "POST /_emulator/agreements/{agreement_id}/amend, /suspend, /resume",
        "GET, PUT /_emulator/clock {\"now\"?,\"speed\"?,\"advance\"?: \"1h\"}",
        "GET, PUT /_emulator/faults {\"seed\"?,\"faults\":[{\"operation\",\"kind\",\"rate\"|\"next\",\"records\"?,\"delay_ms\"?,\"containing\"?}]}",
        "GET, PUT /_emulator/readings",
        "GET, PUT /_emulator/settings",
        "GET /_emulator/metered",
        "GET /_emulator/calls",
        "GET /_emulator/invoices?month=2026-11",
        "GET /_emulator/public-keys/{version}, POST /_emulator/public-keys",
        "GET, PUT /_emulator/target {\"url\": \"http://127.0.0.1:8080/events\"}, null for none",
        "GET, PUT /_emulator/fulfillment-url {\"url\": \"http://127.0.0.1:8080/register\"}, null for none",
        "GET, PUT /_emulator/world",
        "POST /_emulator/reset",
        "GET /_emulator/console, for a browser",
    ])
}

async fn not_found(request: Request) -> Refusal {
    Refusal::NoSuchPath {
        path: request.uri().path().to_owned(),
    }
}

async fn method_not_allowed(request: Request) -> Refusal {
    Refusal::Method {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
    }
}

async fn add_product(
    State(emulator): State<Emulator>,
    Body(product): Body<NewProduct>,
) -> Result<(StatusCode, Json<NewProduct>), Refusal> {
    emulator.add_product(product.clone())?;
    Ok((StatusCode::CREATED, Json(product)))
}

async fn products(State(emulator): State<Emulator>) -> Json<Vec<NewProduct>> {
    Json(emulator.products())
}

async fn add_agreement(
    State(emulator): State<Emulator>,
    Body(agreement): Body<NewAgreement>,
) -> Result<(StatusCode, Json<Agreement>), Refusal> {
    let agreement = emulator.add_agreement(agreement)?;
    Ok((StatusCode::CREATED, Json(agreement)))
}

async fn cancel_agreement(
    State(emulator): State<Emulator>,
    Path(agreement_id): Path<String>,
) -> Result<StatusCode, Refusal> {
    emulator.cancel_agreement(&agreement_id)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
struct Token {
    registration_token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChosenToken {
    #[serde(default)]
    token: Option<String>,
}

async fn registration_token(
    State(emulator): State<Emulator>,
    Path(agreement_id): Path<String>,
    Body(chosen): Body<ChosenToken>,
) -> Result<Json<Token>, Refusal> {
    let registration_token = match chosen.token {
        Some(token) => {
            emulator.choose_registration_token(&agreement_id, &token)?;
            token
        }
        None => emulator.registration_token(&agreement_id)?,
    };
    Ok(Json(Token { registration_token }))
}

async fn renew(
    State(emulator): State<Emulator>,
    Path(agreement_id): Path<String>,
) -> Result<(StatusCode, Json<Agreement>), Refusal> {
    let agreement = emulator.renew_agreement(&agreement_id)?;
    Ok((StatusCode::CREATED, Json(agreement)))
}

async fn amend(
    State(emulator): State<Emulator>,
    Path(agreement_id): Path<String>,
) -> Result<StatusCode, Refusal> {
    emulator.amend_agreement(&agreement_id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn agreements(State(emulator): State<Emulator>) -> Json<Vec<AgreementView>> {
    Json(emulator.agreements())
}

async fn suspend(
    State(emulator): State<Emulator>,
    Path(agreement_id): Path<String>,
) -> Result<StatusCode, Refusal> {
    emulator.suspend_agreement(&agreement_id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn resume(
    State(emulator): State<Emulator>,
    Path(agreement_id): Path<String>,
) -> Result<StatusCode, Refusal> {
    emulator.resume_agreement(&agreement_id)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvoiceQuery {
    #[serde(default)]
    month: Option<String>,
}

async fn invoices(
    State(emulator): State<Emulator>,
    query: Result<Query<InvoiceQuery>, QueryRejection>,
) -> Result<Json<Vec<Invoice>>, Refusal> {
    let Query(query) = query.map_err(|e| Refusal::Query {
        problem: e.body_text(),
    })?;
    Ok(Json(emulator.invoices(query.month.as_deref())?))
}

async fn public_key(
    State(emulator): State<Emulator>,
    Path(version): Path<String>,
    uri: Uri,
) -> Result<Json<PublicKey>, Refusal> {
    let version = version.parse().map_err(|_| Refusal::NoSuchPath {
        path: uri.path().to_owned(),
    })?;
    Ok(Json(emulator.public_key(version)?))
}

async fn rotate_public_key(
    State(emulator): State<Emulator>,
) -> Result<(StatusCode, Json<PublicKey>), Refusal> {
    let version = emulator.rotate_public_key()?;
    Ok((StatusCode::CREATED, Json(emulator.public_key(version)?)))
}

#[derive(Serialize)]
struct TargetState {
    #[serde(flatten)]
    target: Option<Target>,
    #[serde(flatten)]
    delivery: Delivery,
}

async fn target(State(emulator): State<Emulator>) -> Json<TargetState> {
    let (target, delivery) = emulator.delivery();
    Json(TargetState { target, delivery })
}

/// The target in a request. Over HTTP a target can only be a URL: only the person who starts the
/// program may choose a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTarget {
    url: Option<String>,
}

async fn set_target(
    State(emulator): State<Emulator>,
    Body(new): Body<NewTarget>,
) -> Result<Json<TargetState>, Refusal> {
    emulator.set_target(new.url.map(Target::Url))?;
    Ok(target(State(emulator)).await)
}

/// The fulfillment URL for all products. `{"url": null}` means that there is none. A body without
/// `url` is refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FulfillmentUrl {
    #[serde(deserialize_with = "Option::deserialize")]
    url: Option<String>,
}

async fn fulfillment_url(State(emulator): State<Emulator>) -> Json<FulfillmentUrl> {
    Json(FulfillmentUrl {
        url: emulator.fulfillment_url(),
    })
}

async fn set_fulfillment_url(
    State(emulator): State<Emulator>,
    Body(new): Body<FulfillmentUrl>,
) -> Result<Json<FulfillmentUrl>, Refusal> {
    emulator.set_fulfillment_url(new.url.as_deref())?;
    Ok(fulfillment_url(State(emulator)).await)
}

async fn save(State(emulator): State<Emulator>) -> Result<Response, Refusal> {
    let json = emulator.save().map_err(|e| Refusal::Body {
        problem: e.to_string(),
    })?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

async fn load(
    State(emulator): State<Emulator>,
    Body(world): Body<serde_json::Value>,
) -> Result<StatusCode, Refusal> {
    emulator
        .load(&world.to_string())
        .map_err(|e| Refusal::Body {
            problem: e.to_string(),
        })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn faults(State(emulator): State<Emulator>) -> Json<Faults> {
    Json(emulator.faults())
}

async fn set_faults(
    State(emulator): State<Emulator>,
    Body(faults): Body<Faults>,
) -> Result<Json<Faults>, Refusal> {
    emulator.check_and_set_faults(faults)?;
    Ok(Json(emulator.faults()))
}

async fn readings(State(emulator): State<Emulator>) -> Json<Readings> {
    Json(emulator.readings())
}

async fn set_readings(
    State(emulator): State<Emulator>,
    Body(readings): Body<Readings>,
) -> Json<Readings> {
    emulator.set_readings(readings);
    Json(emulator.readings())
}

async fn settings(State(emulator): State<Emulator>) -> Json<Settings> {
    Json(emulator.settings())
}

async fn set_settings(
    State(emulator): State<Emulator>,
    Body(settings): Body<Settings>,
) -> Json<Settings> {
    emulator.set_settings(settings);
    Json(emulator.settings())
}

async fn metered(State(emulator): State<Emulator>) -> Json<Vec<Metered>> {
    Json(emulator.metered())
}

async fn calls(State(emulator): State<Emulator>) -> Json<Vec<Call>> {
    Json(emulator.calls())
}

async fn reset(State(emulator): State<Emulator>) -> StatusCode {
    emulator.reset();
    StatusCode::NO_CONTENT
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({"error": self.to_string()});
        (self.status(), Json(body)).into_response()
    }
}
