use super::*;

fn languages(tags: &[&str]) -> Vec<Language> {
    tags.iter().map(|tag| tag.parse().unwrap()).collect()
}

/// Compares the choice among English, German and Brazilian Portuguese. The default is English.
#[track_caller]
fn check(header: &str, expect: &str) {
    let offered = languages(&["en", "de", "pt-br"]);
    let best = best(Some(header), &offered, &ENGLISH);
    assert_eq!(best.as_str(), expect, "{header:?}");
}

#[test]
fn the_browsers_wish_decides() {
    check("de", "de");
    check("DE", "de");
    check("de-AT", "de");
    check("de-Latn-CH-1996", "de");
    check("pt-BR", "pt-br");
    check("pt", "pt-br");
    check("fr-FR, fr;q=0.9, de;q=0.5, en;q=0.3", "de");
    check("en;q=0.3, de;q=0.5", "de");
    check("en;q=0.5, de;q=0.50", "en");
    check("de;q=0.5, en;q=0.500", "de");
    check("en;q=0.999, de;q=1.000", "de");
    check("de ; q = 0.8 , en ; q = 0.7", "de");
    check("de;Q=0.8, en;q=0.7", "de");
}

#[test]
fn a_star_and_an_unknown_language_give_the_default() {
    check("*", "en");
    check("fr", "en");
    check("fr, *;q=0.1", "en");
    check("*, de;q=0.5", "en");
    // Another variety of a language may be unreadable to this reader.
    check("pt-pt", "en");
}

#[test]
fn a_language_of_weight_zero_is_not_chosen() {
    check("en;q=0", "de");
    check("en;q=0, *", "de");
    check("en;q=0.000, de;q=0.1", "de");
    check("de;q=0, de-at", "en");
    check("en;q=0, de;q=0, *;q=0.5", "pt-br");
    // Some page must be shown.
    check("en;q=0, de;q=0, pt;q=0", "en");
    check("*;q=0", "en");
    check("de, *;q=0", "de");
}

#[test]
fn a_malformed_part_is_ignored() {
    check("", "en");
    check(",,;;==", "en");
    check("de;q=1.5", "en");
    check("de;q=0.1234", "en");
    check("de;q=-1", "en");
    check("de;q=", "en");
    check("de;q", "en");
    check("de;q=.5", "en");
    check("d, en;q=0.1, de;q=0.2", "de");
    check("d_e, de", "de");
    check("\u{fc}ber, de", "de");
    check("deutsch, de;q=0.1", "de");
}

#[test]
fn only_the_beginning_of_a_long_header_is_read() {
    let long = |filler: &str, times: usize| format!("{}de", filler.repeat(times));
    check(&long("fr,", 300), "de");
    check(&long("fr,", 400), "en");
    // The part at the limit is cut off, so it is not read.
    check(&format!("{}de-at", "fr,".repeat(332)), "en");
    check(&"\u{fc}".repeat(2_000), "en");
    check(&"x".repeat(100_000), "en");
}

#[test]
fn without_a_header_the_default_is_shown() {
    let offered = languages(&["en", "de"]);
    assert_eq!(best(None, &offered, &offered[1]).as_str(), "de");
}

#[test]
fn a_language_is_a_tag_in_lower_case() {
    for (text, expect) in [
        ("en", Some("en")),
        ("pt-BR", Some("pt-br")),
        ("zh-Hant-TW", Some("zh-hant-tw")),
        ("gsw", Some("gsw")),
        ("", None),
        ("e", None),
        ("english", None),
        ("en_US", None),
        ("en-", None),
        ("-en", None),
        ("en us", None),
        ("*", None),
        ("en-abcdefghi", None),
        ("en-aaaaaaaa-bbbbbbbb-cccccccc-dddddddd", None),
    ] {
        let language = text.parse::<Language>();
        assert_eq!(language.as_ref().ok().map(Language::as_str), expect);
        if let Err(error) = language {
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
