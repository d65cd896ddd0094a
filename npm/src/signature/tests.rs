use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use super::*;

const INTEGRITY: &str = "sha512-AAAA";
const OFTEN: &str = "2020-06-01T00:00:00.000Z";

struct Signer {
    pair: EcdsaKeyPair,
    keyid: String,
}

impl Signer {
    fn new(keyid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self { pair, keyid: keyid.to_owned() }
    }

    fn key(&self, expires: Option<&str>) -> SigningKey {
        let spki: PublicKeyX509Der<'_> = self.pair.public_key().as_der().unwrap();
        SigningKey {
            expires: expires.map(str::to_owned),
            keyid: self.keyid.clone(),
            keytype: KEY_TYPE.to_owned(),
            scheme: KEY_TYPE.to_owned(),
            key: STANDARD.encode(spki.as_ref()),
        }
    }

    fn sign(&self, message: &str) -> Signature<'static> {
        let signed = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        Signature { keyid: self.keyid.clone().into(), sig: STANDARD.encode(signed).into() }
    }
}

fn judge(keyring: &Keyring, signatures: &[Signature<'_>], at: Option<&str>) -> SignatureVerdict {
    keyring.judge("@a/lamp", "1.0.0", Some(INTEGRITY), signatures, at)
}

#[test]
fn a_signature_counts_for_its_name_version_and_integrity_only() {
    let signer = Signer::new("one");
    let keyring = Keyring::new(&[signer.key(None)]);
    let good = signer.sign("@a/lamp@1.0.0:sha512-AAAA");
    assert_eq!(judge(&keyring, std::slice::from_ref(&good), None), SignatureVerdict::Valid);
    for message in ["@a/lamp@1.0.1:sha512-AAAA", "lamp@1.0.0:sha512-AAAA", "@a/lamp@1.0.0:x"] {
        let other = [signer.sign(message)];
        assert_eq!(judge(&keyring, &other, None), SignatureVerdict::Invalid, "{message}");
    }
    let without = keyring.judge("@a/lamp", "1.0.0", None, &[good], None);
    assert_eq!(without, SignatureVerdict::Invalid);
    let garbage = [Signature { keyid: "one".into(), sig: "no base64!".into() }];
    assert_eq!(judge(&keyring, &garbage, None), SignatureVerdict::Invalid);
}

#[test]
fn a_key_is_judged_at_publish_time() {
    let signer = Signer::new("one");
    let good = [signer.sign("@a/lamp@1.0.0:sha512-AAAA")];
    let keyring = Keyring::new(&[signer.key(Some("2025-01-29T00:00:00.000Z"))]);
    for (published_at, verdict) in [
        (Some("2025-01-28T23:59:59.999Z"), SignatureVerdict::Valid),
        (Some("2025-01-29T00:00:00.000Z"), SignatureVerdict::ExpiredKey),
        (Some("2026-01-01T00:00:00.000Z"), SignatureVerdict::ExpiredKey),
        (None, SignatureVerdict::Valid),
        (Some("not a date"), SignatureVerdict::Valid),
    ] {
        assert_eq!(judge(&keyring, &good, published_at), verdict, "{published_at:?}");
    }
}

#[test]
fn keys_that_are_missing_or_unusable_verify_nothing() {
    let (signer, other) = (Signer::new("one"), Signer::new("two"));
    let good = [signer.sign("@a/lamp@1.0.0:sha512-AAAA")];
    let unknown = Keyring::new(&[other.key(None)]);
    assert_eq!(judge(&unknown, &good, Some(OFTEN)), SignatureVerdict::UnknownKey);
    assert_eq!(judge(&unknown, &[], Some(OFTEN)), SignatureVerdict::Unsigned);
    assert_eq!(judge(&Keyring::default(), &good, None), SignatureVerdict::NoKeys);
    let broken = SigningKey { key: "AAAA".into(), ..signer.key(None) };
    let foreign = SigningKey { keytype: "rsa".into(), ..signer.key(None) };
    let never = SigningKey { expires: Some("soon".into()), ..signer.key(None) };
    for key in [broken, foreign, never] {
        assert!(Keyring::new(std::slice::from_ref(&key)).is_empty(), "{key:?}");
    }
}

#[test]
fn of_several_signatures_a_wrong_one_condemns_and_a_good_one_suffices() {
    let (one, two) = (Signer::new("one"), Signer::new("two"));
    let keyring = Keyring::new(&[one.key(None), two.key(None)]);
    let good = one.sign("@a/lamp@1.0.0:sha512-AAAA");
    let wrong = two.sign("something else");
    let unknown = Signer::new("three").sign("@a/lamp@1.0.0:sha512-AAAA");
    assert_eq!(judge(&keyring, &[unknown.clone(), good.clone()], None), SignatureVerdict::Valid);
    assert_eq!(judge(&keyring, &[good, wrong], None), SignatureVerdict::Invalid);
    assert_eq!(judge(&keyring, &[unknown], None), SignatureVerdict::UnknownKey);
}

#[test]
fn every_verdict_is_read_back_from_its_word() {
    for word in ["valid", "invalid", "unsigned", "unknown key", "expired key", "no keys"] {
        assert_eq!(SignatureVerdict::from_text(word).map(SignatureVerdict::as_str), Some(word));
    }
    assert_eq!(SignatureVerdict::from_text("maybe"), None);
}
