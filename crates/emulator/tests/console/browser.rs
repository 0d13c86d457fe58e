//! Reads pages and sends forms as a browser does.

use super::common::{Answer, Running};
pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

pub async fn page(running: &Running, path: &str) -> Answer {
    let path = format!("/_emulator/console{path}");
    running
        .http("GET", &path, &[], Vec::new())
        .await
        .expect("an answer")
}

pub async fn text(running: &Running, path: &str) -> String {
    let answer = page(running, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", html(&answer));
    html(&answer)
}

pub fn html(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).expect("UTF-8")
}

pub async fn send(running: &Running, path: &str, fields: &[(&str, &str)]) -> Answer {
    let encode = |text: &str| {
        let bytes = text.bytes();
        bytes.map(|byte| format!("%{byte:02X}")).collect::<String>()
    };
    let body: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let path = format!("/_emulator/console{path}");
    running
        .http("POST", &path, &[FORM], body.join("&").into_bytes())
        .await
        .expect("an answer")
}

/// Sends a form that is accepted. Returns the path to which the answer redirects.
pub async fn accepted(running: &Running, path: &str, fields: &[(&str, &str)]) -> String {
    let answer = send(running, path, fields).await;
    assert_eq!(answer.status, 303, "{path}: {}", html(&answer));
    let to = answer.headers["location"].to_str().expect("a location");
    to.strip_prefix("/_emulator/console")
        .expect("a page of the console")
        .to_owned()
}

/// Sends a form that is refused. Returns the page with the reason.
pub async fn refused(
    running: &Running,
    path: &str,
    fields: &[(&str, &str)],
    status: u16,
) -> String {
    let answer = send(running, path, fields).await;
    let page = html(&answer);
    assert_eq!(answer.status, status, "{path} {fields:?}: {page}");
    assert!(page.contains("<h1>"), "{page}");
    page
}

#[track_caller]
pub fn says(page: &str, words: &[&str]) {
    for word in words {
        assert!(page.contains(word), "no {word:?} in {page}");
    }
}
