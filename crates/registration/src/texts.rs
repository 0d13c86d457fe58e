//! Every text of the pages, in the languages that are built in.
//!
//! A text has an id, as in `welcome.title`, by which a seller can replace it. It may contain
//! placeholders, as in `{seller}`. The ids that begin with `field.` are the labels of the form's
//! default fields.

mod de;
mod en;

use crate::language::{ENGLISH, GERMAN, Language};

/// The seller's name. Every text may contain it.
pub(crate) const SELLER: &str = "seller";
/// The code of a product that this stack does not serve.
pub(crate) const PRODUCT: &str = "product";
/// The largest number of characters of a field.
pub(crate) const MAX: &str = "max";
/// The time that a manual set-up takes, as the seller wrote it.
pub(crate) const TURNAROUND: &str = "turnaround";

/// What the ids of fields' labels begin with.
pub(crate) const LABEL_PREFIX: &str = "field.";

macro_rules! text_keys {
    ($($key:ident $id:literal,)*) => {
        /// Names one text of the pages.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum TextKey {
            $($key,)*
        }

        impl TextKey {
            /// Every text, in the order of the pages.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$key,)*];

            /// The id by which a seller names the text.
            pub(crate) fn id(self) -> &'static str {
                match self {
                    $(Self::$key => $id,)*
                }
            }
        }
    };
}

text_keys! {
    PageHelp "page.help",
    PageWayBack "page.way_back",
    WelcomeTitle "welcome.title",
    WelcomeText "welcome.text",
    SignUpTitle "sign_up.title",
    SignUpText "sign_up.text",
    SignUpUnfinishedTitle "sign_up.unfinished_title",
    SignUpUnfinishedText "sign_up.unfinished_text",
    SignUpFinishedTitle "sign_up.finished_title",
    SignUpFinishedText "sign_up.finished_text",
    SignUpPending "sign_up.pending",
    SignUpEnding "sign_up.ending",
    SignUpEnded "sign_up.ended",
    SignUpFreeTrial "sign_up.free_trial",
    SignUpSameProduct "sign_up.same_product",
    SignUpOtherProducts "sign_up.other_products",
    SignUpTurnaround "sign_up.turnaround",
    SignUpAccountQuestion "sign_up.account_question",
    SignUpSignIn "sign_up.sign_in",
    SignUpRequired "sign_up.required",
    SignUpOptional "sign_up.optional",
    SignUpSubmit "sign_up.submit",
    SignUpSubmitAgain "sign_up.submit_again",
    FieldCompany "field.company",
    FieldName "field.name",
    FieldEmail "field.email",
    FieldNote "field.note",
    ProblemTitle "problem.title",
    ProblemMissing "problem.missing",
    ProblemTooLong "problem.too_long",
    ProblemControl "problem.control",
    ProblemEmail "problem.email",
    ThanksTitle "thanks.title",
    ThanksText "thanks.text",
    ThanksTurnaround "thanks.turnaround",
    SetUpAgainTitle "set_up_again.title",
    SetUpAgainText "set_up_again.text",
    NoCookieTitle "no_cookie.title",
    NoCookieText "no_cookie.text",
    WrongFormTitle "wrong_form.title",
    WrongFormText "wrong_form.text",
    MalformedTitle "malformed.title",
    MalformedNoToken "malformed.no_token",
    MalformedInvalidToken "malformed.invalid_token",
    MalformedUnreadable "malformed.unreadable",
    OtherProductTitle "other_product.title",
    OtherProductText "other_product.text",
    TryAgainTitle "try_again.title",
    TryAgainText "try_again.text",
    TryAgainWhatToDo "try_again.what_to_do",
    ContactSupportTitle "contact_support.title",
    ContactSupportText "contact_support.text",
    NotFoundTitle "not_found.title",
    MethodNotAllowedTitle "method_not_allowed.title",
    TooLargeTitle "too_large.title",
    TooLargeText "too_large.text",
    WrongContentTypeTitle "wrong_content_type.title",
    WrongContentTypeText "wrong_content_type.text",
}

impl TextKey {
    /// The text with this id. `None` if there is none.
    pub(crate) fn of(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.id() == id)
    }

    /// The placeholders that the text may contain.
    pub(crate) fn placeholders(self) -> &'static [&'static str] {
        match self {
            Self::OtherProductText => &[SELLER, PRODUCT],
            Self::ProblemTooLong => &[SELLER, MAX],
            Self::SignUpTurnaround | Self::ThanksTurnaround => &[SELLER, TURNAROUND],
            _ => &[SELLER],
        }
    }

    /// Whether the text is the label of one of the form's default fields.
    pub(crate) fn is_label(self) -> bool {
        self.id().starts_with(LABEL_PREFIX)
    }
}

/// A language whose texts are built in.
pub(crate) struct BuiltIn {
    pub language: &'static Language,
    text: fn(TextKey) -> &'static str,
}

impl BuiltIn {
    /// The text in this language.
    pub(crate) fn text(&self, key: TextKey) -> &'static str {
        (self.text)(key)
    }
}

/// English, which stands in for every text that exists in no other language.
pub(crate) static BUILT_IN_ENGLISH: BuiltIn = BuiltIn {
    language: &ENGLISH,
    text: en::text,
};

static BUILT_IN_GERMAN: BuiltIn = BuiltIn {
    language: &GERMAN,
    text: de::text,
};

/// The languages whose texts are built in.
pub(crate) fn built_in() -> [&'static BuiltIn; 2] {
    [&BUILT_IN_ENGLISH, &BUILT_IN_GERMAN]
}

/// The built-in texts of the language with exactly this tag.
pub(crate) fn built_in_of(tag: &str) -> Option<&'static BuiltIn> {
    built_in()
        .into_iter()
        .find(|built_in| built_in.language.as_str() == tag)
}

/// The names between braces in a text. The name is empty for a brace that is not closed.
pub(crate) fn placeholders_in(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split('{').skip(1);
    parts.map(|part| part.split_once('}').map_or("", |(name, _)| name))
}

/// Replaces the placeholders in a text. Values are not searched for placeholders.
pub(crate) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let named = after.split_once('}').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((*value, after))
        });
        match named {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn used(text: &str) -> BTreeSet<&str> {
        placeholders_in(text).collect()
    }

    #[test]
    fn english_and_german_are_complete_and_have_the_same_placeholders() {
        for key in TextKey::ALL.iter().copied() {
            let english = BUILT_IN_ENGLISH.text(key);
            for built_in in built_in() {
                let text = built_in.text(key);
                let place = format!("{} in {}", key.id(), built_in.language);
                assert!(!text.trim().is_empty(), "{place} is empty");
                assert_eq!(used(text), used(english), "{place}");
                let allowed: BTreeSet<&str> = key.placeholders().iter().copied().collect();
                assert!(used(text).is_subset(&allowed), "{place}: {text}");
            }
        }
    }

    #[test]
    fn an_id_names_one_text() {
        let ids: BTreeSet<&str> = TextKey::ALL.iter().map(|key| key.id()).collect();
        assert_eq!(ids.len(), TextKey::ALL.len());
        assert_eq!(TextKey::of("welcome.title"), Some(TextKey::WelcomeTitle));
        assert_eq!(TextKey::of("welcome"), None);
    }

    #[test]
    fn the_way_back_names_the_button_of_the_aws_console() {
        for built_in in built_in() {
            let text = built_in.text(TextKey::PageWayBack);
            for name in [
                "AWS Marketplace",
                "Manage subscriptions",
                "Set up your account",
            ] {
                assert!(text.contains(name), "{text}");
            }
        }
    }

    #[test]
    fn placeholders_are_filled_once() {
        let values = [("seller", "{max} & Sons"), ("max", "254")];
        assert_eq!(fill("{seller}: {max}", &values), "{max} & Sons: 254");
        assert_eq!(fill("{other} {max", &values), "{other} {max");
        assert_eq!(fill("", &values), "");
        assert_eq!(placeholders_in("a {b} c {d").collect::<Vec<_>>(), ["b", ""]);
    }
}
