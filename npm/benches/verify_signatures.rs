//! Judging the signatures of a package with 8,000 versions, and of one new version.

use std::hint::black_box;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use npm::signature::{Keyring, Signature, SignatureVerdict, SigningKey};

const NAME: &str = "left-pad";
const INTEGRITY: &str = "sha512-XI5MPzVNApjAyhQzphX8BkmKsKUxD4LdyK24iZeQGinBN9yTQT3bFlCBy/aVx2HrNcqQGsdot8ghrjyrvMCoEA==";
const KIND: &str = "ecdsa-sha2-nistp256";

fn pair() -> EcdsaKeyPair {
    match EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING) {
        Ok(pair) => pair,
        Err(_) => std::process::abort(), // no randomness, no bench
    }
}

fn key(pair: &EcdsaKeyPair) -> SigningKey {
    let spki: Result<PublicKeyX509Der<'_>, _> = pair.public_key().as_der();
    let key = spki.map(|spki| STANDARD.encode(spki.as_ref())).unwrap_or_default();
    let kind = || KIND.to_owned();
    SigningKey { expires: None, keyid: "one".into(), keytype: kind(), scheme: kind(), key }
}

fn signed(pair: &EcdsaKeyPair, versions: usize) -> Vec<(String, Signature<'static>)> {
    let one = |index: usize| {
        let version = format!("1.{index}.0");
        let message = format!("{NAME}@{version}:{INTEGRITY}");
        let signed = pair.sign(&SystemRandom::new(), message.as_bytes());
        let sig = signed.map(|signed| STANDARD.encode(signed)).unwrap_or_default();
        (version, Signature { keyid: "one".into(), sig: sig.into() })
    };
    (0..versions).map(one).collect()
}

fn judge(keyring: &Keyring, versions: &[(String, Signature<'_>)]) -> usize {
    let good = versions.iter().filter(|(version, signature)| {
        let signatures = std::slice::from_ref(signature);
        let verdict = keyring.judge(NAME, version, Some(INTEGRITY), signatures, None);
        verdict == SignatureVerdict::Valid
    });
    good.count()
}

fn verify(criterion: &mut Criterion) {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let pair = pair();
    let keyring = Keyring::new(&[key(&pair)]);
    let versions = signed(&pair, if is_test { 80 } else { 8_000 });
    assert_eq!(judge(&keyring, &versions), versions.len());
    let mut group = criterion.benchmark_group("verify_signatures");
    group.sample_size(10);
    for (name, versions) in
        [("all", versions.as_slice()), ("one new", versions.get(..1).unwrap_or(&[]))]
    {
        group.throughput(Throughput::Elements(versions.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| judge(&keyring, black_box(versions))));
    }
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
