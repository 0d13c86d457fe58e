//! Page tokens. Each contains the start of the next page. It is valid only for the same question,
//! which is made of filters of the request.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A token for the page of the answer to `question` that starts at `position`.
pub(super) fn token(position: u64, question: &impl Hash) -> String {
    URL_SAFE_NO_PAD.encode(format!("{position}.{:016x}", digest(question)))
}

/// The position in a token. `None` if the token is malformed or belongs to another question.
pub(super) fn position(token: &str, question: &impl Hash) -> Option<u64> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (position, asked) = text.split_once('.')?;
    if asked != format!("{:016x}", digest(question)) {
        return None;
    }
    position.parse().ok()
}

fn digest(question: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    question.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place_for_its_own_question_only() {
        let token = token(50, &"question");
        assert_eq!(position(&token, &"question"), Some(50));
        assert_eq!(position(&token, &"another"), None);
        assert_eq!(position("made-up", &"question"), None);
    }
}
