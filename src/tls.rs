//! TLS by rustls, when a certificate is configured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM of the right kind.
    #[error("{} cannot be used as {what}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key do not belong together, or are not supported.
    #[error("certificate {} and its key are refused: {source}", path.display())]
    Refused {
        /// The file with the certificate.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// Reads a certificate chain and its key from PEM files.
///
/// # Errors
/// See [`TlsError`].
pub fn server_config(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let refused = |source| TlsError::Refused { path: certificate.to_owned(), source };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain(certificate)?, private_key(key)?)
        .map_err(refused)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |reason: String| TlsError::File {
        path: path.to_owned(),
        what: "a certificate chain",
        reason,
    };
    let chain =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| file(error.to_string()))?;
    if chain.is_empty() {
        return Err(file("it holds no certificate".to_owned()));
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::File {
        path: path.to_owned(),
        what: "a private key",
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_and_its_key_are_taken_and_anything_else_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        assert!(matches!(server_config(&certificate, &key), Err(TlsError::File { .. })));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, "no key").unwrap();
        let error = server_config(&certificate, &key).unwrap_err().to_string();
        assert!(error.contains("key.pem cannot be used as a private key"), "{error}");
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        assert!(server_config(&certificate, &key).is_ok());
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        assert!(matches!(server_config(&certificate, &key), Err(TlsError::Refused { .. })));
    }
}
