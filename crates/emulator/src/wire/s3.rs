//! The part of S3 with which the files of CloudTrail's trail are read: `ListObjectsV2` and
//! `GetObject`, in path style.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;

use super::caller::{Caller, scope};
use super::s3_error::S3Error;
use super::{ConnectionDropped, sigv4};
use crate::emulator::{Core, Emulator};
use crate::faults::FaultKind;
use crate::limits::OBJECTS_PAGE_MAX;
use crate::rules::Arrival;
use crate::rules::trail::{Calls, TrailFile, files};

const LIST: &str = "ListObjectsV2";
const GET: &str = "GetObject";
/// The names of the operations, for messages and faults.
pub(super) const OPERATIONS: [&str; 2] = [LIST, GET];
const SERVICE: &str = "s3";

/// A request to S3.
enum S3Request {
    List {
        bucket: String,
        query: BTreeMap<String, String>,
    },
    Get {
        bucket: String,
        key: String,
    },
}

/// An answer of S3.
enum Answer {
    Page(String),
    Object {
        content: Vec<u8>,
        made_at: Timestamp,
    },
}

/// Whether a request is signed for S3, and names no operation of another API.
pub(super) fn is_for(head: &Parts) -> bool {
    let header = head.headers.get(AUTHORIZATION);
    let header = header.and_then(|header| header.to_str().ok());
    let is_signed = |header: &str| scope(header).is_ok_and(|(_, _, service)| service == SERVICE);
    header.is_some_and(is_signed) && !head.headers.contains_key("x-amz-target")
}

/// Answers a request to S3. These requests are not logged, because they are many and change
/// nothing.
pub(super) async fn answer(emulator: &Emulator, head: &Parts) -> Response {
    let (answer, delay_ms, request_id) = {
        let core = &mut *emulator.core();
        let number = core.world.calls.next();
        let request_id = core.world.request_id(number);
        match read(head) {
            Err(error) => (Ok(Err(error)), 0, request_id),
            Ok(request) => {
                let operation = match &request {
                    S3Request::List { .. } => LIST,
                    S3Request::Get { .. } => GET,
                };
                let struck = core
                    .faults
                    .strike(operation, head.uri.to_string().as_bytes());
                let answer = match struck.refusal {
                    Some(kind) => S3Error::from_fault(kind).map(Err).ok_or(kind),
                    None if struck.drop_after => Err(FaultKind::DropAfter),
                    None => Ok(respond(core, head, request, emulator.region())),
                };
                (answer, struck.delay_ms, request_id)
            }
        }
    };
    if delay_ms > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(delay_ms)).await;
    }
    let mut response = match answer {
        Ok(Ok(Answer::Page(xml))) => xml_response(StatusCode::OK, xml),
        Ok(Ok(Answer::Object { content, made_at })) => object_response(content, made_at),
        Ok(Err(error)) => xml_response(error.status, error.xml(head.uri.path(), &request_id)),
        Err(FaultKind::BadGateway) => {
            let page = Html("<html><body>502 Bad Gateway</body></html>");
            return (StatusCode::BAD_GATEWAY, page).into_response();
        }
        Err(_) => return ConnectionDropped.into_response(),
    };
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amz-request-id", id);
    }
    response
}

fn read(head: &Parts) -> Result<S3Request, S3Error> {
    let path = head.uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    if head.method != Method::GET || bucket.is_empty() {
        return Err(S3Error::not_implemented(&format!(
            "{} {}",
            head.method,
            head.uri.path()
        )));
    }
    let query: BTreeMap<String, String> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    match (key, query.get("list-type").map(String::as_str)) {
        ("", Some("2")) => Ok(S3Request::List {
            bucket: bucket.to_owned(),
            query,
        }),
        ("", _) => Err(S3Error::not_implemented("a list without list-type=2")),
        (key, _) => Ok(S3Request::Get {
            bucket: bucket.to_owned(),
            key: decoded(key),
        }),
    }
}

fn respond(core: &Core, head: &Parts, request: S3Request, region: &str) -> Result<Answer, S3Error> {
    let header = head.headers.get(AUTHORIZATION);
    let header = header
        .and_then(|header| header.to_str().ok())
        .unwrap_or_default();
    let (access_key_id, given_region, _) = scope(header).map_err(S3Error::malformed)?;
    let caller = Caller {
        access_key_id: access_key_id.to_owned(),
        region: given_region.to_owned(),
    };
    let caller = caller.or_region(region);
    if let Some(secret) = &core.world.settings.secret_access_key {
        sigv4::verify(head, &[], secret).map_err(|_| S3Error::signature())?;
    }
    let (S3Request::List { bucket, .. } | S3Request::Get { bucket, .. }) = &request;
    if *bucket != core.world.settings.trail_bucket {
        return Err(S3Error::no_such_bucket(bucket));
    }
    let arrival = Arrival {
        now: core.clock.now(),
        region: &caller.region,
        access_key_id: &caller.access_key_id,
    };
    let files = files(&core.world, arrival);
    match request {
        S3Request::List { bucket, query } => list(core, &bucket, &query, files),
        S3Request::Get { key, .. } => {
            let (file, calls) = files
                .iter()
                .find(|(file, _)| file.may_be(&key) && file.key(&core.world) == key)
                .ok_or_else(|| S3Error::no_such_key(&key))?;
            Ok(Answer::Object {
                content: content(core, file, calls)?,
                made_at: file.made_at(),
            })
        }
    }
}

fn content(core: &Core, file: &TrailFile, calls: &Calls<'_>) -> Result<Vec<u8>, S3Error> {
    file.content(&core.world, calls)
        .map_err(|error| S3Error::internal(&error.to_string()))
}

fn list(
    core: &Core,
    bucket: &str,
    query: &BTreeMap<String, String>,
    files: BTreeMap<TrailFile, Calls<'_>>,
) -> Result<Answer, S3Error> {
    let given = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    if !given("delimiter").is_empty() {
        return Err(S3Error::not_implemented("a delimiter"));
    }
    let limit = usize::try_from(core.world.settings.trail_page_keys);
    let limit = limit.unwrap_or(OBJECTS_PAGE_MAX).clamp(1, OBJECTS_PAGE_MAX);
    let page_max = match given("max-keys") {
        "" => limit,
        text => text
            .parse::<usize>()
            .map_err(|_| S3Error::invalid("max-keys", text))?
            .min(limit),
    };
    let token = given("continuation-token");
    let after = match token {
        "" => given("start-after").to_owned(),
        token => URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| S3Error::invalid("continuation-token", token))?,
    };
    let prefix = given("prefix");
    let is_listed = |key: &String| key.starts_with(prefix) && *key > after;
    let keyed: BTreeMap<String, (TrailFile, Calls<'_>)> = files
        .into_iter()
        .map(|file| (file.0.key(&core.world), file))
        .collect();
    let mut found = keyed.into_iter().filter(|(key, _)| is_listed(key));
    let page: Vec<_> = found.by_ref().take(page_max).collect();
    let is_truncated = page_max > 0 && found.next().is_some();
    let mut xml = String::new();
    for (key, (file, calls)) in &page {
        let size = content(core, file, calls)?.len();
        xml.push_str(&format!(
            "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            escaped(key),
            file.made_at().strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            etag(file.made_at()),
        ));
    }
    let mut elements = vec![
        ("Name", bucket.to_owned()),
        ("Prefix", prefix.to_owned()),
        ("KeyCount", page.len().to_string()),
        ("MaxKeys", page_max.to_string()),
        ("IsTruncated", is_truncated.to_string()),
    ];
    for (name, element) in [
        ("start-after", "StartAfter"),
        ("continuation-token", "ContinuationToken"),
        ("encoding-type", "EncodingType"),
    ] {
        if let Some(value) = query.get(name) {
            elements.push((element, value.clone()));
        }
    }
    if let (true, Some((last, _))) = (is_truncated, page.last()) {
        elements.push(("NextContinuationToken", URL_SAFE_NO_PAD.encode(last)));
    }
    let elements: String = elements
        .iter()
        .map(|(element, value)| format!("<{element}>{}</{element}>", escaped(value)))
        .collect();
    Ok(Answer::Page(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{elements}{xml}</ListBucketResult>"
    )))
}

fn etag(made_at: Timestamp) -> String {
    format!("{:032x}", made_at.as_second())
}

fn xml_response(status: StatusCode, xml: String) -> Response {
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

fn object_response(content: Vec<u8>, made_at: Timestamp) -> Response {
    let mut response = Response::new(Body::from(content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    let modified = made_at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (name, value) in [
        (LAST_MODIFIED, modified),
        (ETAG, format!("\"{}\"", etag(made_at))),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

/// Escapes a text for XML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Decodes percent encoding. Invalid encodings stay as they are.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (*first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            (byte, _) => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_xml_escaped() {
        assert_eq!(decoded("AWSLogs%2Fa%20b+c%zz"), "AWSLogs/a b c%zz");
        assert_eq!(decoded("%"), "%");
        assert_eq!(escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
