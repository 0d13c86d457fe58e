//! A buyer's browser. It keeps the cookie of the pages, and fills in their form.

use std::net::SocketAddr;

use registration::page_settings::PageSettings;

use crate::buyers::{Answer, FORM, TOKEN, form_of, request_with};

/// What a buyer types into the default fields of the sign-up page.
pub const TYPED: [(&str, &str); 4] = [
    ("company", "Example Corp."),
    ("name", "Jane Doe"),
    ("email", "jane@example.com"),
    ("note", ""),
];

/// A browser, which sends the cookie only to the pages that it may be sent to.
pub struct Browser {
    page: SocketAddr,
    pub cookie: Option<String>,
}

impl Browser {
    /// A browser that has not seen the pages at this address.
    pub fn at(page: SocketAddr) -> Self {
        Self { page, cookie: None }
    }

    /// Posts the token from AWS's site. The cookie is not sent, because of its `SameSite=Lax`.
    pub async fn arrive(&mut self, token: &str) -> Answer {
        self.arrive_with(&[(TOKEN, token)]).await
    }

    /// Posts a fulfillment form from AWS's site.
    pub async fn arrive_with(&mut self, form: &[(&str, &str)]) -> Answer {
        let headers = [("content-type", FORM), ("sec-fetch-site", "cross-site")];
        let body = form_of(form);
        let answer = request_with(self.page, "POST", "/register", &headers, &body).await;
        self.keep(answer)
    }

    /// Opens a page.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// Posts a form of one of the pages.
    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let headers = [("content-type", FORM), ("sec-fetch-site", "same-origin")];
        self.send("POST", path, &headers, &form_of(form)).await
    }

    /// Fills in the form of a page and sends it.
    pub async fn submit(&mut self, page: &Answer, typed: &[(&str, &str)]) -> Answer {
        let token = form_token(page);
        let mut form = vec![("form", token.as_str())];
        form.extend(typed);
        self.post("/sign-up", &form).await
    }

    /// Makes a request with the cookie.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut headers = headers.to_vec();
        let cookie = self.cookie.clone();
        headers.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
        let answer = request_with(self.page, method, path, &headers, body).await;
        self.keep(answer)
    }

    /// Keeps or removes the cookie as the answer says.
    fn keep(&mut self, answer: Answer) -> Answer {
        if let Some(set) = answer.header("set-cookie") {
            let is_removed = set.ends_with("Max-Age=0");
            let cookie = answer.cookie().filter(|_| !is_removed);
            self.cookie = cookie.map(str::to_owned);
        }
        answer
    }
}

/// The hidden value of a page's form.
///
/// # Panics
///
/// If the page has no such form.
pub fn form_token(page: &Answer) -> String {
    let inputs = page.body.split("<input").skip(1);
    let mut inputs = inputs.filter_map(|rest| rest.split('>').next());
    let input = inputs
        .find(|input| input.contains("name=\"form\""))
        .unwrap_or_else(|| panic!("no form in {}", page.body));
    let (_, value) = input.split_once("value=\"").expect("a value");
    value.split('"').next().unwrap_or_default().to_owned()
}

/// Checks that a page has this status and the English text with this id.
#[track_caller]
pub fn shows(page: &Answer, status: u16, id: &str) {
    assert_eq!(page.status, status, "{}", page.body);
    assert!(says(page, id), "{id} is not in {}", page.body);
}

/// Whether a page has the English text with this id.
///
/// # Panics
///
/// If there is no such text.
pub fn says(page: &Answer, id: &str) -> bool {
    let settings = PageSettings::default();
    let texts = settings.texts(settings.default_language());
    let text = texts.get(id).unwrap_or_else(|| panic!("no text {id}"));
    page.body.contains(text)
}
