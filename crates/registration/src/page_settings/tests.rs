use serde_json::{Value, json};

use super::*;

fn settings(json: &Value) -> PageSettings {
    PageSettings::from_json(&json.to_string()).unwrap()
}

#[track_caller]
fn refused(json: &Value, part: &str) {
    let error = PageSettings::from_json(&json.to_string()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(part), "{error}");
}

fn language(tag: &str) -> Language {
    tag.parse().unwrap()
}

fn tags(languages: &[Language]) -> Vec<&str> {
    languages.iter().map(Language::as_str).collect()
}

#[test]
fn without_settings_the_pages_are_in_english_and_german() {
    let default = PageSettings::default();
    assert_eq!(default, settings(&json!({})));
    assert_eq!(default.to_json(), "{}");
    assert_eq!(tags(default.languages()), ["de", "en"]);
    assert_eq!(default.default_language().as_str(), "en");
    assert_eq!(default.missing_texts(), BTreeMap::new());
    let ids: Vec<&str> = default.fields().iter().map(|f| f.id.as_str()).collect();
    assert_eq!(ids, ["company", "name", "email", "note"]);
    let required: Vec<bool> = default.fields().iter().map(|f| f.required).collect();
    assert_eq!(required, [true, true, true, false]);
    for (header, expect) in [(None, "en"), (Some("de-AT"), "de"), (Some("fr"), "en")] {
        assert_eq!(default.language_for(header).as_str(), expect);
    }
}

#[test]
fn everything_that_was_written_is_kept() {
    let written = json!({
        "logo": "https://cdn.example.com/logo.svg",
        "sign_in_url": "https://app.example.com/aws",
        "default_language": "fr",
        "offered_languages": ["fr", "en"],
        "colors": {"text": "#000000", "background": "#ffffff", "accent": "#123456"},
        "fields": [
            {"id": "vat_id", "kind": "line", "required": true},
            {"id": "email", "kind": "email", "required": true, "autocomplete": "email"}
        ],
        "languages": {
            "en": {"turnaround": "one day"},
            "fr": {
                "turnaround": "un jour",
                "texts": {"field.vat_id": "N° TVA", "thanks.title": "Merci"}
            }
        }
    });
    let read = settings(&written);
    assert_eq!(
        serde_json::from_str::<Value>(&read.to_json()).unwrap(),
        written
    );
    assert_eq!(PageSettings::from_json(&read.to_json()).unwrap(), read);
    assert_eq!(
        read.sign_in_url().unwrap().origin(),
        "https://app.example.com"
    );
    assert_eq!(
        read.logo().unwrap().url(),
        "https://cdn.example.com/logo.svg"
    );
    assert_eq!(read.fields().len(), 2);
}

#[test]
fn a_missing_text_is_shown_in_the_default_language_and_then_in_english() {
    let read = settings(&json!({
        "default_language": "fr",
        "languages": {
            "fr": {"texts": {"thanks.title": "Merci", "welcome.title": "Bienvenue"}, "turnaround": "un jour"},
            "de": {"texts": {"thanks.title": "Danke"}},
            "de-at": {"texts": {"thanks.text": "Servus"}},
            "es": {"texts": {"thanks.title": "Gracias"}}
        }
    }));
    let check = |tag: &str, key: TextKey, expect: &str, source: &str| {
        let language = language(tag);
        let (text, found) = read.text(&language, key);
        assert_eq!(
            (text, found.as_str()),
            (expect, source),
            "{tag} {}",
            key.id()
        );
    };
    check("fr", TextKey::ThanksTitle, "Merci", "fr");
    check("es", TextKey::ThanksTitle, "Gracias", "es");
    check("es", TextKey::WelcomeTitle, "Bienvenue", "fr");
    check("es", TextKey::FieldNote, "Note", "en");
    check("de", TextKey::ThanksTitle, "Danke", "de");
    check("de", TextKey::FieldNote, "Anmerkung", "de");
    check("de-at", TextKey::ThanksText, "Servus", "de-at");
    check("de-at", TextKey::ThanksTitle, "Danke", "de");
    check("de-at", TextKey::FieldNote, "Anmerkung", "de");
    let missing = read.missing_texts();
    let without_title = |tag: &str| missing[&language(tag)].contains(&"thanks.title".to_owned());
    assert!(!without_title("fr") && !without_title("es"));
    assert!(missing[&language("es")].contains(&"field.note".to_owned()));
    // English and German lack only the turnaround time, which French has.
    for tag in ["en", "de", "de-at"] {
        assert_eq!(missing[&language(tag)], ["turnaround"]);
    }
    let german = language("de");
    let (turnaround, source) = read.turnaround(&german).unwrap();
    assert_eq!((turnaround, source.as_str()), ("un jour", "fr"));
    assert_eq!(PageSettings::default().turnaround(&german), None);
}

#[test]
fn a_field_of_the_seller_has_a_label() {
    let fields = json!([{"id": "vat_id"}]);
    refused(
        &json!({"fields": fields}),
        "the field \"vat_id\" has no label in the default language",
    );
    refused(
        &json!({"fields": fields, "languages": {"de": {"texts": {"field.vat_id": "USt-IdNr."}}}}),
        "\"field.vat_id\" to languages.en.texts",
    );
    let read = settings(&json!({
        "fields": fields,
        "languages": {"en": {"texts": {"field.vat_id": "VAT id"}}}
    }));
    let label = read.label(&language("de"), &read.fields()[0]);
    assert_eq!((label.0, label.1.as_str()), ("VAT id", "en"));
    assert_eq!(read.missing_texts()[&language("de")], ["field.vat_id"]);
    refused(
        &json!({"languages": {"en": {"texts": {"field.vat_id": "VAT id"}}}}),
        "languages.en.texts: \"field.vat_id\" is the label of a field that is not in fields",
    );
}

#[test]
fn texts_can_be_listed_with_the_labels_of_the_fields() {
    let texts = PageSettings::default().texts(&language("de"));
    assert_eq!(texts["field.note"], "Anmerkung");
    assert_eq!(texts["thanks.title"], "Vielen Dank");
    assert_eq!(texts.len(), TextKey::ALL.len());
    let other = settings(&json!({"fields": []}));
    assert_eq!(other.texts(&language("en")).len(), TextKey::ALL.len() - 4);
}

#[test]
fn settings_that_break_a_rule_are_refused_with_the_place_and_the_rule() {
    refused(&json!({"colours": {}}), "unknown field `colours`");
    refused(
        &json!({"colors": {"border": "#000000"}}),
        "unknown field `border`",
    );
    refused(
        &json!({"colors": {"text": "black"}}),
        "color \"black\" is not valid",
    );
    refused(
        &json!({"colors": {"text": "#777777"}}),
        "colors.text is #777777, and its contrast to colors.background, #ffffff, is 4.47:1",
    );
    refused(
        &json!({"colors": {"accent": "#ffcc00"}}),
        "colors.accent is #ffcc00",
    );
    refused(
        &json!({"logo": "logo.png"}),
        "logo \"logo.png\" is not valid",
    );
    refused(
        &json!({"sign_in_url": "http://app.example.com"}),
        "URL \"http://app.example.com\" is not valid",
    );
    refused(
        &json!({"default_language": "english"}),
        "language \"english\"",
    );
    refused(
        &json!({"default_language": "fr"}),
        "default_language is fr, which is not in offered_languages",
    );
    refused(
        &json!({"offered_languages": []}),
        "default_language is en, which is not in offered_languages",
    );
    refused(
        &json!({"offered_languages": ["en", "fr"]}),
        "offered_languages: fr has no texts",
    );
    refused(
        &json!({"languages": {"en": {"turnaround": " "}}}),
        "languages.en: text \"turnaround\" is empty",
    );
    refused(
        &json!({"languages": {"en": {"text": {}}}}),
        "unknown field `text`",
    );
    refused(&json!({"languages": {"e": {}}}), "language \"e\"");
    let field = json!({"id": "note"});
    refused(
        &json!({"fields": [field, field]}),
        "fields: the id \"note\" is there twice",
    );
    let many: Vec<Value> = (0..21).map(|n| json!({"id": format!("f{n}")})).collect();
    refused(&json!({"fields": many}), "fields has 21 entries");
    refused(&json!("en"), "expected struct Written");
}

#[test]
fn large_settings_are_refused() {
    let texts: BTreeMap<&str, String> = TextKey::ALL
        .iter()
        .map(|key| (key.id(), "\u{4e00}".repeat(1_000)))
        .collect();
    refused(
        &json!({"languages": {"ja": {"texts": texts}, "zh": {"texts": texts}}}),
        "bytes as JSON, and at most 307,200 are allowed",
    );
}

#[test]
fn a_seller_can_offer_one_language_only() {
    let read = settings(&json!({"offered_languages": ["de"]}));
    assert_eq!(read.default_language().as_str(), "de");
    assert_eq!(read.language_for(Some("en")).as_str(), "de");
    assert_eq!(read.missing_texts(), BTreeMap::new());
}
