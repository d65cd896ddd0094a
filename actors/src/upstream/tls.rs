//! TLS settings, made at the first https address: reading the system's certificates takes
//! longer than all other start-up work, and an http upstream never needs them.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use super::UpstreamError;

fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .map_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()), Arc::clone)
}

fn refused(error: impl std::fmt::Display) -> UpstreamError {
    UpstreamError::Misconfigured(format!("TLS: {error}"))
}

/// Certificates of `upstream.ca`.
pub(super) fn read_ca(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, UpstreamError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates
        .map_err(|error| UpstreamError::Misconfigured(format!("upstream.ca: {error}")))?;
    if certificates.is_empty() {
        let why = "upstream.ca: no certificate in PEM form";
        return Err(UpstreamError::Misconfigured(String::from(why)));
    }
    Ok(certificates)
}

/// The system's certificates and the given ones, read once for both clients.
pub(super) fn system(ca: Vec<CertificateDer<'static>>) -> Result<ClientConfig, UpstreamError> {
    let verifier = Verifier::new_with_extra_roots(ca, provider()).map_err(refused)?;
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .dangerous() // the name of every own verifier; this one is the platform's
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Trusts nobody: for the clients that only speak http, so that no certificate is read.
pub(super) fn none() -> Result<ClientConfig, UpstreamError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}
