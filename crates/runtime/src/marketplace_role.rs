//! The settings of a role in the account of the listing: `MARKETPLACE_ROLE_ARN` and
//! `MARKETPLACE_ROLE_EXTERNAL_ID`.

use std::ops::RangeInclusive;

use crate::env::{Env, SettingError};

/// The most characters of a role's ARN. Source: STS API reference, AssumeRole, RoleArn.
const ARN_CHARS_MAX: usize = 2_048;
/// The least and the most characters of an external id. Source: STS API reference, AssumeRole,
/// ExternalId.
const EXTERNAL_ID_CHARS: RangeInclusive<usize> = 2..=1_224;
/// The least and the most characters of a session's name. Source: STS API reference, AssumeRole,
/// RoleSessionName.
const SESSION_NAME_CHARS: RangeInclusive<usize> = 2..=64;
/// The name of the session if `STACK_NAME` is not set, for example on a developer's machine.
const SESSION_NAME_DEFAULT: &str = "metering";

/// A role in the account of the listing. The stack calls AWS Marketplace and CloudTrail with its
/// credentials if it runs in another account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketplaceRole {
    /// The ARN of the role.
    pub arn: String,
    /// The external id that the role's trust policy demands; `None` if it demands none.
    pub external_id: Option<String>,
    /// The name of the session, which CloudTrail shows in the account of the listing.
    pub session_name: String,
}

impl MarketplaceRole {
    /// Reads the settings. Returns `None` if `MARKETPLACE_ROLE_ARN` is not set; then the stack runs
    /// in the account of the listing.
    ///
    /// The session has the name of the stack, `STACK_NAME`, cut to the length that STS allows.
    pub fn from_env(env: &Env) -> Result<Option<Self>, SettingError> {
        let external_id = env.text_opt("MARKETPLACE_ROLE_EXTERNAL_ID");
        let Some(arn) = env.text_opt("MARKETPLACE_ROLE_ARN") else {
            return match external_id {
                None => Ok(None),
                Some(_) => Err(env.invalid(
                    "MARKETPLACE_ROLE_EXTERNAL_ID",
                    "an external id is only used to assume a role; set MARKETPLACE_ROLE_ARN too",
                )),
            };
        };
        if !is_role_arn(arn) {
            return Err(env.invalid(
                "MARKETPLACE_ROLE_ARN",
                "it must be the ARN of an IAM role, as in arn:aws:iam::222222222222:role/listing",
            ));
        }
        if external_id.is_some_and(|id| !is_external_id(id)) {
            return Err(env.invalid(
                "MARKETPLACE_ROLE_EXTERNAL_ID",
                "it must be 2 to 1,224 characters of A-Z a-z 0-9 _ + = , . @ : / -",
            ));
        }
        Ok(Some(Self {
            arn: arn.to_owned(),
            external_id: external_id.map(str::to_owned),
            session_name: session_name(env.text_opt("STACK_NAME")),
        }))
    }
}

fn is_role_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else {
        return false;
    };
    let is_partition = |c: char| c.is_ascii_lowercase() || c == '-';
    let is_in_path = |c: char| is_in_name(c) || c == '/';
    arn.len() <= ARN_CHARS_MAX
        && partition.starts_with("aws")
        && partition.chars().all(is_partition)
        && account.len() == 12
        && account.chars().all(|c| c.is_ascii_digit())
        && resource.strip_prefix("role/").is_some_and(|name| {
            !name.is_empty() && !name.ends_with('/') && name.chars().all(is_in_path)
        })
}

fn is_external_id(id: &str) -> bool {
    let is_allowed = |c: char| is_in_name(c) || c == ':' || c == '/';
    EXTERNAL_ID_CHARS.contains(&id.len()) && id.chars().all(is_allowed)
}

/// Whether the names of roles and sessions may contain the character.
fn is_in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
}

/// The name of the stack as the name of a session. STS refuses some names that a stack can have: a
/// name of one character, and a name that is too long.
fn session_name(stack: Option<&str>) -> String {
    let stack = stack.unwrap_or(SESSION_NAME_DEFAULT);
    let allowed = stack.chars().filter(|c| is_in_name(*c));
    let name: String = allowed.take(*SESSION_NAME_CHARS.end()).collect();
    match name.len() < *SESSION_NAME_CHARS.start() {
        true => format!("{SESSION_NAME_DEFAULT}-{name}"),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:iam::222222222222:role/listing-Role-EXAMPLE";

    fn role(pairs: &[(&str, &str)]) -> Result<Option<MarketplaceRole>, SettingError> {
        MarketplaceRole::from_env(&Env::of(pairs.iter().copied()))
    }

    #[test]
    fn a_stack_in_the_account_of_the_listing_assumes_no_role() {
        let empty = [
            ("MARKETPLACE_ROLE_ARN", ""),
            ("MARKETPLACE_ROLE_EXTERNAL_ID", " "),
        ];
        assert_eq!(role(&[]), Ok(None));
        assert_eq!(role(&empty), Ok(None));
    }

    #[test]
    fn a_role_is_assumed_with_its_external_id_under_the_name_of_the_stack() {
        let read = role(&[
            ("MARKETPLACE_ROLE_ARN", ARN),
            ("MARKETPLACE_ROLE_EXTERNAL_ID", "example:external/id"),
            ("STACK_NAME", "billing"),
        ]);
        let expected = MarketplaceRole {
            arn: ARN.to_owned(),
            external_id: Some("example:external/id".to_owned()),
            session_name: "billing".to_owned(),
        };
        assert_eq!(read, Ok(Some(expected)));
        let read = role(&[("MARKETPLACE_ROLE_ARN", ARN)]).unwrap().unwrap();
        assert_eq!(read.external_id, None);
        assert_eq!(read.session_name, "metering");
    }

    #[test]
    fn the_name_of_a_session_is_one_that_sts_allows() {
        let long = "s".repeat(128);
        for (stack, session) in [
            ("metering-2", "metering-2".to_owned()),
            (long.as_str(), "s".repeat(64)),
            ("m", "metering-m".to_owned()),
            ("a b/c", "abc".to_owned()),
        ] {
            let read = role(&[("MARKETPLACE_ROLE_ARN", ARN), ("STACK_NAME", stack)]);
            assert_eq!(read.unwrap().unwrap().session_name, session, "{stack:?}");
        }
    }

    #[test]
    fn the_arn_of_a_role_may_have_a_path_and_any_partition() {
        for arn in [
            "arn:aws:iam::222222222222:role/r",
            "arn:aws:iam::222222222222:role/service/metering/listing+role@example",
            "arn:aws-us-gov:iam::222222222222:role/listing",
        ] {
            let read = role(&[("MARKETPLACE_ROLE_ARN", arn)]);
            assert_eq!(read.unwrap().unwrap().arn, arn);
        }
    }

    #[test]
    fn an_invalid_value_is_refused_with_the_rule_that_it_breaks() {
        let long_arn = format!("arn:aws:iam::222222222222:role/{}", "r".repeat(2_048));
        for arn in [
            "listing",
            "arn:aws:iam::222222222222:user/listing",
            "arn:aws:iam::222222222222:role/",
            "arn:aws:iam::222222222222:role/listing/",
            "arn:aws:iam::222222222222:role/a role",
            "arn:aws:iam::22222222222:role/listing",
            "arn:aws:iam:us-east-1:222222222222:role/listing",
            "arn:aws:sts::222222222222:assumed-role/listing/session",
            "aws:iam::222222222222:role/listing",
            long_arn.as_str(),
        ] {
            let error = role(&[("MARKETPLACE_ROLE_ARN", arn)]).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("MARKETPLACE_ROLE_ARN"), "{error}");
            assert!(error.contains(arn) && error.contains("IAM role"), "{error}");
        }
        let long_id = "x".repeat(1_225);
        for id in ["x", "an id", "id;1", long_id.as_str()] {
            let error = role(&[
                ("MARKETPLACE_ROLE_ARN", ARN),
                ("MARKETPLACE_ROLE_EXTERNAL_ID", id),
            ]);
            let error = error.unwrap_err().to_string();
            assert!(error.contains("MARKETPLACE_ROLE_EXTERNAL_ID"), "{error}");
            assert!(error.contains(id) && error.contains("1,224"), "{error}");
        }
    }

    #[test]
    fn an_external_id_without_a_role_is_refused() {
        let error = role(&[("MARKETPLACE_ROLE_EXTERNAL_ID", "example-external-id")]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("example-external-id"), "{error}");
        assert!(error.contains("set MARKETPLACE_ROLE_ARN too"), "{error}");
    }
}
