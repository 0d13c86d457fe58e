use super::*;
use marketplace::lifecycle::Sign;

#[test]
fn a_profile_survives_its_item() {
    let now: Timestamp = "2026-11-21T02:03:04Z".parse().unwrap();
    let mut profile = Profile::new(
        "account|code|111122223333".parse().unwrap(),
        "code".parse().unwrap(),
        now,
    );
    assert_eq!(Profile::from_item(&profile.to_item()).unwrap(), profile);
    profile.account = Some("111122223333".parse().unwrap());
    profile.customer = Some("cust".parse().unwrap());
    profile.agreement = Some("agmt-1".parse().unwrap());
    profile.registered_at = Some(now);
    profile.reference = Some("Müller & Co".to_owned());
    profile.sealed_through = Some("2026-11-21T02".parse().unwrap());
    profile.lifecycle.observe(Sign::Activated, now);
    profile.call_attention(now);
    assert_eq!(Profile::from_item(&profile.to_item()).unwrap(), profile);
    assert!(profile.to_item().contains_key("attention"));
    profile.lifecycle.observe(Sign::Deprovisioned, now);
    profile.lifecycle.closed_at = Some(now);
    assert!(!profile.to_item().contains_key("live"));
    assert_eq!(Profile::from_item(&profile.to_item()).unwrap(), profile);
}

#[test]
fn a_profile_written_before_all_signs_were_kept_is_read() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let now = at("2026-11-21T02:03:04Z");
    let subscription = "account|code|111122223333".parse().unwrap();
    let mut profile = Profile::new(subscription, "code".parse().unwrap(), now);
    for (sign, time) in [
        (Sign::Activated, "2026-11-01T00:00:00Z"),
        (Sign::Activated, "2026-11-09T00:00:00Z"),
        (Sign::EndAnnounced, "2026-11-20T00:00:00Z"),
        (Sign::Deprovisioned, "2026-11-20T00:00:31Z"),
    ] {
        profile.lifecycle.observe(sign, at(time));
    }
    profile.lifecycle.closed_at = Some(now);
    let mut item = profile.to_item();
    item.remove("signs");
    assert_eq!(Profile::from_item(&item).unwrap(), profile);
    item.insert("signs".to_owned(), text("activated yesterday"));
    let error = Profile::from_item(&item).unwrap_err().to_string();
    assert!(error.contains("activated yesterday"), "{error}");
}
