//! A registry that signs: keys made at run time, signatures as npm's registry makes them.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Package;

/// One key of a registry.
pub struct Signer {
    pair: EcdsaKeyPair,
    pub keyid: String,
}

impl Signer {
    /// A new key under this id.
    pub fn new(keyid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("randomness");
        Self { pair, keyid: keyid.to_owned() }
    }

    /// The key as the keys endpoint lists it.
    pub fn key(&self, expires: Option<&str>) -> Value {
        let spki: PublicKeyX509Der<'_> = self.pair.public_key().as_der().expect("a key");
        json!({
            "expires": expires,
            "keyid": self.keyid,
            "keytype": "ecdsa-sha2-nistp256",
            "scheme": "ecdsa-sha2-nistp256",
            "key": STANDARD.encode(spki.as_ref()),
        })
    }

    /// One entry of `dist.signatures` over this message.
    pub fn sign(&self, message: &str) -> Value {
        let signed = self.pair.sign(&SystemRandom::new(), message.as_bytes()).expect("randomness");
        json!({"keyid": self.keyid, "sig": STANDARD.encode(signed)})
    }

    /// The package with every version signed as the registry would.
    pub fn signed(&self, mut package: Package) -> Package {
        for version in &mut package.versions {
            let integrity = version.dist.get("integrity").and_then(Value::as_str);
            let integrity = integrity.unwrap_or("undefined");
            let message = format!("{}@{}:{integrity}", package.name, version.version);
            version.dist.insert("signatures".into(), json!([self.sign(&message)]));
        }
        package
    }
}

/// The body of the keys endpoint.
pub fn key_list(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}
