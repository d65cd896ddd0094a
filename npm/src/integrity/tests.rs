use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use sha2::Digest;

use super::*;

fn sri_of(algorithm: HashAlgorithm, bytes: &[u8]) -> String {
    let digest = match algorithm {
        HashAlgorithm::Sha1 => sha1::Sha1::digest(bytes).to_vec(),
        HashAlgorithm::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
        HashAlgorithm::Sha384 => sha2::Sha384::digest(bytes).to_vec(),
        HashAlgorithm::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
    };
    format!("{}-{}", algorithm.as_str(), STANDARD.encode(digest))
}

const ALL: [HashAlgorithm; 4] =
    [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];

fn check(expected: &ExpectedDigest, bytes: &[u8]) -> Result<Sha512Digest, Mismatch> {
    let mut verifier = expected.verifier();
    for part in bytes.chunks(7) {
        verifier.update(part);
    }
    verifier.finish()
}

fn from_dist(integrity: Option<&str>, shasum: Option<&str>) -> ExpectedDigest {
    ExpectedDigest::from_dist(integrity, shasum).unwrap().unwrap()
}

#[test]
fn every_algorithm_verifies_and_yields_our_sha512() {
    for algorithm in ALL {
        let expected = from_dist(Some(&sri_of(algorithm, b"some tarball bytes")), None);
        assert_eq!(
            check(&expected, b"some tarball bytes"),
            Ok(Sha512Digest::of(b"some tarball bytes"))
        );
        let mismatch = check(&expected, b"some tarball byteS").unwrap_err();
        assert_eq!(mismatch.expected, sri_of(algorithm, b"some tarball bytes"));
        assert_eq!(mismatch.actual, sri_of(algorithm, b"some tarball byteS"));
    }
}

#[test]
fn a_shasum_verifies_where_there_is_no_integrity() {
    let shasum = hex::encode(sha1::Sha1::digest(b"old tarball"));
    let expected = from_dist(None, Some(&shasum.to_uppercase()));
    assert_eq!(expected.text(), shasum);
    assert_eq!(expected.sha512(), None);
    assert_eq!(check(&expected, b"old tarball"), Ok(Sha512Digest::of(b"old tarball")));
    assert_eq!(check(&expected, b"").unwrap_err().expected, shasum);
}

#[test]
fn integrity_goes_before_shasum() {
    let sha512 = sri_of(HashAlgorithm::Sha512, b"right");
    let shasum = hex::encode(sha1::Sha1::digest(b"wrong"));
    let expected = from_dist(Some(&sha512), Some(&shasum));
    assert!(check(&expected, b"right").is_ok());
    assert_eq!(expected.sha512(), Some(Sha512Digest::of(b"right")));
}

#[test]
fn the_strongest_algorithm_counts_and_any_of_its_hashes_may_match() {
    let text = format!(
        "{} {} {}?opt=1",
        sri_of(HashAlgorithm::Sha1, b"other"),
        sri_of(HashAlgorithm::Sha512, b"one"),
        sri_of(HashAlgorithm::Sha512, b"two"),
    );
    let integrity: Integrity = text.parse().unwrap();
    assert_eq!(integrity.strongest().0, HashAlgorithm::Sha512);
    assert_eq!(integrity.strongest().1.len(), 2);
    let expected = ExpectedDigest::Integrity(integrity);
    assert_eq!(expected.sha512(), None, "two keys are no key");
    assert!(check(&expected, b"one").is_ok());
    assert!(check(&expected, b"two").is_ok());
    assert!(check(&expected, b"other").is_err());
}

#[test]
fn options_and_unknown_algorithms_are_dropped() {
    let plain = sri_of(HashAlgorithm::Sha512, b"x");
    let integrity: Integrity =
        format!("  md5-1B2M2Y8AsgTpgAmY7PhCfg==\n{plain}?a?b {plain}\tsha3-AAAA ").parse().unwrap();
    assert_eq!(integrity.to_string(), plain);
}

#[test]
fn what_cannot_be_checked_is_an_error_and_never_something_weaker() {
    let shasum = hex::encode(sha1::Sha1::digest(b"x"));
    let short = format!("sha512-{}", STANDARD.encode([0; 63]));
    let url_safe = format!("sha512-{}", "_-8".repeat(28) + "AA==");
    for text in [
        "sha512-",
        "sha512",
        "-AAAA",
        "sha512-!!!!",
        "sha512-AAA",
        short.as_str(),
        url_safe.as_str(),
        "sha1-AAAA",
        "sha512-AAAA sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
        "sha 512-AAAA",
        "nonsense",
        "sha3-AAAA",
    ] {
        assert!(ExpectedDigest::from_dist(Some(text), Some(&shasum)).is_err(), "{text}");
        assert!(ExpectedDigest::from_dist(Some(text), None).is_err(), "{text}");
    }
    for shasum in [
        "abc",
        "zz39a3ee5e6b4b0d3255bfef95601890afd80709",
        "da39a3ee5e6b4b0d3255bfef95601890afd8070",
    ] {
        assert!(ExpectedDigest::from_dist(None, Some(shasum)).is_err(), "{shasum}");
    }
}

#[test]
fn md5_gives_way_to_a_shasum_but_proves_nothing_alone() {
    let md5 = "md5-1B2M2Y8AsgTpgAmY7PhCfg==";
    let shasum = hex::encode(sha1::Sha1::digest(b""));
    assert!(matches!(from_dist(Some(md5), Some(&shasum)), ExpectedDigest::Shasum(_)));
    assert!(matches!(
        ExpectedDigest::from_dist(Some(md5), None),
        Err(IntegrityError::Unsupported { .. })
    ));
}

#[test]
fn nothing_given_is_nothing_expected() {
    for empty in [None, Some(""), Some("  ")] {
        assert_eq!(ExpectedDigest::from_dist(empty, empty).unwrap(), None);
    }
}

#[test]
fn only_a_second_value_of_one_algorithm_contradicts() {
    let (one, two) = (sri_of(HashAlgorithm::Sha512, b"1"), sri_of(HashAlgorithm::Sha512, b"2"));
    let sha1_of_one = sri_of(HashAlgorithm::Sha1, b"1");
    let shasum = |bytes: &[u8]| ExpectedDigest::Shasum(sha1::Sha1::digest(bytes).into());
    let read = |text: &str| ExpectedDigest::from_text(text).unwrap();
    assert!(read(&one).contradicts(&read(&two)));
    assert!(!read(&one).contradicts(&read(&format!("{one} {two}"))));
    assert!(!read(&one).contradicts(&shasum(b"2")), "nothing to compare");
    assert!(!read(&sha1_of_one).contradicts(&shasum(b"1")));
    assert!(read(&sha1_of_one).contradicts(&shasum(b"2")));
    assert!(read(&format!("{sha1_of_one} {one}")).contradicts(&shasum(b"2")));
}

#[test]
fn digest_forms() {
    let digest = Sha512Digest::of(b"bytes");
    assert_eq!(Sha512Digest::from_hex(&digest.to_hex()), Ok(digest));
    assert_eq!(Sha512Digest::from_slice(digest.as_bytes()), Some(digest));
    assert_eq!(Sha512Digest::from_slice(&[0; 63]), None);
    assert_eq!(digest.to_string(), digest.to_hex());
    assert_eq!(digest.to_sri(), sri_of(HashAlgorithm::Sha512, b"bytes"));
    assert!(Sha512Digest::from_hex("00").is_err());
}

proptest! {
    #[test]
    fn verdicts_agree_with_ssri(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        given in prop::collection::vec((0_usize..4, any::<bool>()), 1..5),
    ) {
        let text: Vec<String> = given
            .iter()
            .map(|&(at, right)| sri_of(ALL[at], if right { &bytes } else { b"something else entirely" }))
            .collect();
        let text = text.join(" ");
        let theirs: ssri::Integrity = text.parse().unwrap();
        let ours = from_dist(Some(&text), None);
        prop_assert_eq!(check(&ours, &bytes).is_ok(), theirs.check(&bytes).is_ok(), "{}", text);
        let strongest = theirs.pick_algorithm().to_string();
        prop_assert_eq!(ours.algorithm().as_str(), strongest);
    }

    #[test]
    fn what_ssri_makes_is_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let sri = ssri::IntegrityOpts::new()
            .algorithm(ssri::Algorithm::Sha512)
            .algorithm(ssri::Algorithm::Sha256)
            .chain(&bytes)
            .result()
            .to_string();
        let expected = from_dist(Some(&sri), None);
        prop_assert_eq!(check(&expected, &bytes), Ok(Sha512Digest::of(&bytes)));
        prop_assert_eq!(expected.sha512(), Some(Sha512Digest::of(&bytes)));
    }

    #[test]
    fn the_stored_text_leads_back(at in 0_usize..5, bytes in any::<[u8; 8]>()) {
        let expected = match ALL.get(at) {
            Some(&algorithm) => from_dist(Some(&sri_of(algorithm, &bytes)), None),
            None => from_dist(None, Some(&hex::encode(sha1::Sha1::digest(bytes)))),
        };
        prop_assert_eq!(ExpectedDigest::from_text(&expected.text()).unwrap(), expected);
    }

    #[test]
    fn any_text_is_judged_without_panic(text in any::<String>()) {
        let _ = ExpectedDigest::from_dist(Some(&text), Some(&text));
        let _ = ExpectedDigest::from_text(&text);
    }
}
