//! The signature of RegisterUsage's answer, with keys that these tests make.
#![cfg(feature = "register-usage")]

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use metering_api::{Claims, Expected, InvalidSignature, verify_register_usage};
use proptest::prelude::*;
use serde_json::{Value, json};

struct Signer(RsaKeyPair);

impl Signer {
    fn new() -> Self {
        Self(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn pem(&self) -> String {
        let der = AsDer::as_der(self.0.public_key()).unwrap();
        let der: &[u8] = der.as_ref();
        let text = STANDARD.encode(der);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(|l| std::str::from_utf8(l).unwrap())
            .collect();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        )
    }

    fn sign_with(
        &self,
        encoding: &'static dyn RsaEncoding,
        header: &Value,
        payload: &Value,
    ) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(payload));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(
                encoding,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn sign(&self, payload: &Value) -> String {
        self.sign_with(
            &RSA_PSS_SHA256,
            &json!({"alg": "PS256", "typ": "JWT"}),
            payload,
        )
    }
}

fn payload() -> Value {
    json!({"ProductCode": "code1", "PublicKeyVersion": 1, "Nonce": "n-1", "iat": 1795262400})
}

fn expected() -> Expected {
    Expected {
        product: "code1".parse().unwrap(),
        public_key_version: 1,
        nonce: Some("n-1".to_owned()),
    }
}

#[test]
fn a_token_that_aws_signed_for_this_call_is_accepted() {
    let aws = Signer::new();
    let claims = Claims {
        product: "code1".parse().unwrap(),
        public_key_version: 1,
        nonce: Some("n-1".to_owned()),
        issued_at: Some("2026-11-21T12:00:00Z".parse().unwrap()),
    };
    let verify = |payload: &Value, expected: &Expected| {
        verify_register_usage(&aws.sign(payload), &aws.pem(), expected)
    };
    assert_eq!(verify(&payload(), &expected()), Ok(claims));
    let spelled = json!({"productCode": "code1", "publicKeyVersion": 1, "nonce": "n-1"});
    assert_eq!(verify(&spelled, &expected()).unwrap().issued_at, None);
    let plain = Expected {
        nonce: None,
        ..expected()
    };
    let without = json!({"ProductCode": "code1", "PublicKeyVersion": 1});
    assert_eq!(verify(&without, &plain).unwrap().nonce, None);
}

#[test]
fn a_valid_signature_of_another_call_is_rejected() {
    let aws = Signer::new();
    let mut other = [expected(), expected(), expected(), expected()];
    other[0].product = "code2".parse().unwrap();
    other[1].public_key_version = 2;
    other[2].nonce = Some("n-2".to_owned());
    other[3].nonce = None;
    for (expected, claim) in other
        .iter()
        .zip(["ProductCode", "PublicKeyVersion", "Nonce", "Nonce"])
    {
        let error = verify_register_usage(&aws.sign(&payload()), &aws.pem(), expected).unwrap_err();
        let InvalidSignature::Mismatch { claim: found, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*found, claim);
    }
    let bare = aws.sign(&json!({"PublicKeyVersion": 1}));
    assert!(matches!(
        verify_register_usage(&bare, &aws.pem(), &expected()),
        Err(InvalidSignature::Malformed(_))
    ));
}

#[test]
fn a_forged_signature_is_rejected() {
    let (aws, forger) = (Signer::new(), Signer::new());
    let token = forger.sign(&payload());
    assert_eq!(
        verify_register_usage(&token, &aws.pem(), &expected()),
        Err(InvalidSignature::Forged(1))
    );
    // The payload is changed, and the signature is that of the original payload.
    let token = aws.sign(&payload());
    let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts[1] = URL_SAFE_NO_PAD.encode(payload().to_string().replace("n-1", "n-2"));
    let expected = Expected {
        nonce: Some("n-2".to_owned()),
        ..expected()
    };
    assert_eq!(
        verify_register_usage(&parts.join("."), &aws.pem(), &expected),
        Err(InvalidSignature::Forged(1))
    );
}

#[test]
fn every_algorithm_but_ps256_is_rejected() {
    let aws = Signer::new();
    let header = |alg: &str| json!({"alg": alg, "typ": "JWT"});
    for alg in ["none", "None", "HS256", "RS256", "PS384", "ps256", ""] {
        let token = aws.sign_with(&RSA_PSS_SHA256, &header(alg), &payload());
        assert_eq!(
            verify_register_usage(&token, &aws.pem(), &expected()),
            Err(InvalidSignature::Algorithm(alg.to_owned()))
        );
    }
    // A signature of another kind with the name PS256, and a token without a signature.
    let token = aws.sign_with(&RSA_PKCS1_SHA256, &header("PS256"), &payload());
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    for token in [token, unsigned] {
        assert_eq!(
            verify_register_usage(&token, &aws.pem(), &expected()),
            Err(InvalidSignature::Forged(1))
        );
    }
}

#[test]
fn a_malformed_key_or_token_is_named_in_the_error() {
    let aws = Signer::new();
    let token = aws.sign(&payload());
    for pem in [
        "",
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    ] {
        let error = verify_register_usage(&token, pem, &expected());
        assert_eq!(error, Err(InvalidSignature::PublicKey), "{pem}");
    }
    for token in ["", ".", "..", "a.b", "e30.e30.e30", &"a.".repeat(10_000)] {
        let error = verify_register_usage(token, &aws.pem(), &expected());
        assert!(
            matches!(error, Err(InvalidSignature::Malformed(_))),
            "{token}"
        );
    }
}

proptest! {
    #[test]
    fn no_random_text_is_accepted_as_a_signature(token in "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,4}|\\PC{0,60}", pem in "\\PC{0,60}") {
        prop_assert!(verify_register_usage(&token, &pem, &expected()).is_err());
        let pem = format!("-----BEGIN PUBLIC KEY-----{pem}-----END PUBLIC KEY-----");
        prop_assert!(verify_register_usage(&token, &pem, &expected()).is_err());
    }
}
