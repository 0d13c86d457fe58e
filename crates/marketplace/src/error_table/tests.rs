use super::*;

#[test]
fn only_errors_that_name_a_part_of_a_record_are_about_a_record() {
    for code in [
        "InvalidUsageDimensionException",
        "InvalidTagException",
        "InvalidUsageAllocationsException",
    ] {
        assert_eq!(about(code), About::Record, "{code}");
    }
    for code in [
        "InvalidLicenseException",
        "InvalidCustomerIdentifierException",
        "TimestampOutOfBoundsException",
    ] {
        assert_eq!(about(code), About::RecordForNow, "{code}");
    }
    for code in [
        "ThrottlingException",
        "InvalidProductCodeException",
        "AccessDeniedException",
        "NeverSeenException",
        // This is a record's status. It refuses no request.
        "CustomerNotSubscribed",
        "",
    ] {
        assert_eq!(about(code), About::Request, "{code}");
    }
}

#[test]
fn a_record_may_be_the_cause_only_if_the_code_names_no_other_cause() {
    for code in [
        "InternalServiceErrorException",
        "ServiceUnavailableException",
        "NeverSeenException",
        SERVER_ERROR,
        TIMEOUT,
        CONNECTION_FAILED,
        RESPONSE_UNREADABLE,
    ] {
        assert!(may_hide_a_record(code), "{code}");
    }
    for code in [
        "ThrottlingException",
        "AccessDeniedException",
        "ExpiredTokenException",
        "DisabledApiException",
        "InvalidProductCodeException",
        NO_CREDENTIALS,
        NOT_SENT,
    ] {
        assert!(!may_hide_a_record(code), "{code}");
    }
}

#[test]
fn failures_of_one_product_differ_from_failures_of_every_request() {
    for code in [
        "InvalidProductCodeException",
        "InternalServiceErrorException",
        "NeverSeenException",
        TIMEOUT,
        CONNECTION_FAILED,
    ] {
        assert!(!is_of_every_request(code), "{code}");
    }
    for code in [
        "ThrottlingException",
        "AccessDeniedException",
        "ExpiredTokenException",
        "DisabledApiException",
        NO_CREDENTIALS,
        NOT_SENT,
    ] {
        assert!(is_of_every_request(code), "{code}");
    }
    assert!(!is_of_every_request("InvalidTagException"));
}

#[test]
fn only_a_call_with_a_definite_answer_has_recorded_nothing() {
    for code in [
        TIMEOUT,
        CONNECTION_FAILED,
        SERVER_ERROR,
        "NeverSeenException",
    ] {
        assert!(may_have_recorded(code), "{code}");
    }
    for code in [
        "ThrottlingException",
        "AccessDeniedException",
        NO_CREDENTIALS,
        NOT_CONNECTED,
        NOT_SENT,
    ] {
        assert!(!may_have_recorded(code), "{code}");
    }
}

#[test]
fn every_error_of_the_model_and_every_status_is_in_the_table() {
    for code in [
        "InternalServiceErrorException",
        "ThrottlingException",
        "DisabledApiException",
        "InvalidProductCodeException",
        "InvalidUsageDimensionException",
        "InvalidTagException",
        "InvalidUsageAllocationsException",
        "InvalidCustomerIdentifierException",
        "InvalidLicenseException",
        "TimestampOutOfBoundsException",
    ] {
        assert!(is_known_error(code), "{code}");
    }
    for status in ["Success", "CustomerNotSubscribed", "DuplicateRecord"] {
        assert_eq!(of_status(status).code, status);
    }
    assert_eq!(of_status("Postponed").code, ANY_OTHER_STATUS);
    assert_eq!(of_error("NeverSeenException").code, ANY_OTHER_CODE);
    assert!(!is_known_error("Success"));
}

#[test]
fn every_code_occurs_once_and_says_what_to_do() {
    let mut seen = std::collections::BTreeSet::new();
    for row in ERROR_TABLE {
        for code in std::iter::once(&row.code).chain(row.also) {
            assert!(seen.insert(code.to_ascii_lowercase()), "{code}");
            assert_eq!(look_up(&code.to_uppercase()), Some(row));
        }
        for text in [row.meaning, row.action] {
            assert!(text.ends_with('.') && !text.contains('|'), "{}", row.code);
        }
    }
}

#[test]
fn a_code_that_ends_no_record_is_always_tried_again() {
    for row in ERROR_TABLE {
        let ends =
            row.origin == Origin::OwnDecision || matches!(row.code, "Success" | "DuplicateRecord");
        assert_eq!(row.retry.after(3).is_none(), ends, "{}", row.code);
    }
}

#[test]
fn retries_slow_down_to_a_bound() {
    let minutes = |retry: Retry, attempts| retry.after(attempts).unwrap().as_mins();
    assert_eq!(minutes(Retry::Soon, 0), 1);
    assert_eq!(minutes(Retry::Soon, 3), 8);
    assert_eq!(minutes(Retry::Soon, u32::MAX), 15);
    assert_eq!(minutes(Retry::SoonInParts, 1), 2);
    assert_eq!(minutes(Retry::Slowly, 1), 10);
    assert_eq!(minutes(Retry::Slowly, 9), 60);
    assert_eq!(minutes(Retry::HourlyAmongSuspects, 0), 60);
}

#[test]
fn different_things_have_different_words() {
    fn all_differ(words: &[&str]) {
        let different: std::collections::BTreeSet<_> = words.iter().collect();
        assert_eq!(different.len(), words.len(), "{words:?}");
        assert!(words.iter().all(|word| word.len() > 4), "{words:?}");
    }
    all_differ(&[About::Record, About::RecordForNow, About::Request].map(About::words));
    all_differ(
        &[
            Origin::Status,
            Origin::Error,
            Origin::Failure,
            Origin::OwnDecision,
        ]
        .map(Origin::words),
    );
    let retries = [
        Retry::Never,
        Retry::Soon,
        Retry::SoonInParts,
        Retry::Slowly,
        Retry::HourlyAmongSuspects,
    ];
    all_differ(&retries.map(Retry::words));
    let alarms = [
        Alarm::MeteringFailing,
        Alarm::RecordsRefused,
        Alarm::RecordsDisputed,
        Alarm::HalfOfWindowUsed,
        Alarm::AnswersUnknown,
        Alarm::RecordsUnconfirmed,
    ];
    all_differ(&alarms.map(|alarm| alarm.name().unwrap()));
    assert_eq!(Alarm::None.name(), None);
}
