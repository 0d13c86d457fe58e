//! The settings that say where a trail writes its files: `AUDIT_BUCKET`, `AUDIT_PREFIX` and
//! `AUDIT_ACCOUNT`.

use crate::env::{Env, SettingError};

/// The most characters of a trail's prefix. Source: CloudTrail API reference, CreateTrail,
/// S3KeyPrefix.
const PREFIX_CHARS_MAX: usize = 200;
/// The least and the most characters of a bucket's name. Source: S3 user guide, bucket naming
/// rules.
const BUCKET_CHARS: std::ops::RangeInclusive<usize> = 3..=63;
/// The folder that CloudTrail makes in each bucket.
const LOGS: &str = "AWSLogs";

/// The place in S3 of a trail's files for one account and Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailPlace {
    /// The name of the bucket.
    pub bucket: String,
    /// The prefix before the folders of the years, without a slash at its end.
    pub folder: String,
    /// The account, 12 digits, whose calls are in the files.
    pub account: String,
    /// The Region whose calls are in the files.
    pub region: String,
}

impl TrailPlace {
    /// Reads the settings. Returns `None` if `AUDIT_BUCKET` is not set; then the audit reads the
    /// Event history.
    ///
    /// `AUDIT_PREFIX` is the trail's prefix. If it is not set, the trail has no prefix. A prefix
    /// with a segment `AWSLogs`, for example `AWSLogs/o-exampleorgid`, is the folder that contains
    /// the folders of the accounts. An organization's trail needs such a prefix. `AUDIT_ACCOUNT` is
    /// the account. The Region is `METERING_REGION`, or the function's own Region.
    pub fn from_env(env: &Env) -> Result<Option<Self>, SettingError> {
        let Some(bucket) = env.text_opt("AUDIT_BUCKET") else {
            return Ok(None);
        };
        let prefix = env.text_opt("AUDIT_PREFIX").unwrap_or_default();
        let account = env.text(
            "AUDIT_ACCOUNT",
            "the account whose usage is metered, of 12 digits, since AUDIT_BUCKET is set",
        )?;
        let region = match env.text_opt("METERING_REGION") {
            Some(region) => region,
            None => env.text(
                "AWS_REGION",
                "the Region in which usage is metered, as in us-east-1, since AUDIT_BUCKET is set",
            )?,
        };
        check_bucket(bucket).map_err(|rule| env.invalid("AUDIT_BUCKET", rule))?;
        check_prefix(prefix).map_err(|rule| env.invalid("AUDIT_PREFIX", rule))?;
        check_account(account).map_err(|rule| env.invalid("AUDIT_ACCOUNT", rule))?;
        let has_logs = prefix.split('/').any(|segment| segment == LOGS);
        let parent = match (prefix, has_logs) {
            ("", _) => LOGS.to_owned(),
            (prefix, true) => prefix.to_owned(),
            (prefix, false) => format!("{prefix}/{LOGS}"),
        };
        Ok(Some(Self {
            bucket: bucket.to_owned(),
            folder: format!("{parent}/{account}/CloudTrail/{region}"),
            account: account.to_owned(),
            region: region.to_owned(),
        }))
    }
}

fn check_bucket(bucket: &str) -> Result<(), &'static str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    match BUCKET_CHARS.contains(&bucket.len()) && bucket.chars().all(is_name) {
        true => Ok(()),
        false => Err(
            "it must be the name of an S3 bucket, 3 to 63 characters of a-z 0-9 . -; the trail's prefix goes into AUDIT_PREFIX",
        ),
    }
}

fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    let has_empty_segment = !prefix.is_empty() && prefix.split('/').any(str::is_empty);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/!-_.*'()".contains(c);
    match prefix.len() <= PREFIX_CHARS_MAX && !has_empty_segment && prefix.chars().all(is_plain) {
        true => Ok(()),
        false => Err(
            "it must be the trail's S3 key prefix, as in logs/metering, up to 200 characters of A-Z a-z 0-9 / ! - _ . * ' ( ), without a slash at either end",
        ),
    }
}

fn check_account(account: &str) -> Result<(), &'static str> {
    match account.len() == 12 && account.chars().all(|c| c.is_ascii_digit()) {
        true => Ok(()),
        false => Err("it must be an AWS account of 12 digits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(pairs: &[(&str, &str)]) -> Result<Option<TrailPlace>, SettingError> {
        let defaults = [
            ("AUDIT_ACCOUNT", "222222222222"),
            ("METERING_REGION", "us-east-1"),
        ];
        let pairs = defaults.iter().chain(pairs);
        TrailPlace::from_env(&Env::of(pairs.map(|(name, value)| (*name, *value))))
    }

    #[test]
    fn a_trail_has_a_folder_for_each_account_and_region() {
        for (prefix, folder) in [
            ("", "AWSLogs/222222222222/CloudTrail/us-east-1"),
            (
                "logs/metering",
                "logs/metering/AWSLogs/222222222222/CloudTrail/us-east-1",
            ),
            (
                "AWSLogs/o-exampleorgid",
                "AWSLogs/o-exampleorgid/222222222222/CloudTrail/us-east-1",
            ),
            (
                "all/AWSLogs/o-exampleorgid",
                "all/AWSLogs/o-exampleorgid/222222222222/CloudTrail/us-east-1",
            ),
        ] {
            let read = place(&[("AUDIT_BUCKET", "example-trail"), ("AUDIT_PREFIX", prefix)]);
            let read = read.unwrap().unwrap();
            assert_eq!(read.folder, folder, "{prefix:?}");
            assert_eq!(read.bucket, "example-trail");
        }
        assert_eq!(place(&[]), Ok(None));
        assert_eq!(
            place(&[("AUDIT_BUCKET", ""), ("AUDIT_ACCOUNT", "")]),
            Ok(None)
        );
    }

    #[test]
    fn an_invalid_value_is_refused_with_the_rule_that_it_breaks() {
        for (name, value, rule) in [
            ("AUDIT_BUCKET", "example/trail", "AUDIT_PREFIX"),
            ("AUDIT_BUCKET", "Example", "a-z"),
            ("AUDIT_BUCKET", "ab", "3 to 63"),
            ("AUDIT_PREFIX", "logs/", "slash"),
            ("AUDIT_PREFIX", "/logs", "slash"),
            ("AUDIT_PREFIX", "a//b", "slash"),
            ("AUDIT_PREFIX", "a b", "A-Z"),
            ("AUDIT_ACCOUNT", "22222222222", "12 digits"),
            ("AUDIT_ACCOUNT", "", "not set"),
        ] {
            let refused = place(&[("AUDIT_BUCKET", "example-trail"), (name, value)]);
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(rule), "{error}");
        }
    }
}
