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
pub(crate) fn read_ca(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, UpstreamError> {
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
pub(crate) fn system(ca: Vec<CertificateDer<'static>>) -> Result<ClientConfig, UpstreamError> {
    let verifier = Verifier::new_with_extra_roots(ca, provider()).map_err(refused)?;
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .dangerous() // the name of every own verifier; this one is the platform's
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Trusts nobody: for the clients that only speak http, so that no certificate is read.
pub(crate) fn none() -> Result<ClientConfig, UpstreamError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use actix_web::dev::ServerHandle;
    use actix_web::{App, HttpResponse, HttpServer, web};
    use bytes::Bytes;
    use npm::PackageName;
    use rustls::ServerConfig;
    use rustls_pki_types::PrivateKeyDer;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use store::Validators;
    use tokio::net::TcpListener;
    use url::Url;

    use super::*;
    use crate::upstream::{PackumentAnswer, RetryPolicy, Upstream, UpstreamSettings, Urgency};

    /// A registry with a certificate of its own making: its address, the PEM, its handle.
    fn serve() -> (Url, Vec<u8>, ServerHandle) {
        let (config, pem) = certified();
        let app = || {
            App::new()
                .route("/left-pad", web::get().to(|| async { "{\"name\":\"left-pad\"}" }))
                .route("/a.tgz", web::get().to(|| async { "bytes" }))
                .route(
                    "/down.tgz",
                    web::get().to(|| async {
                        HttpResponse::Found()
                            .insert_header(("location", "http://localhost/a"))
                            .finish()
                    }),
                )
        };
        let server = HttpServer::new(app)
            .workers(1)
            .disable_signals()
            .bind_rustls_0_23("127.0.0.1:0", config)
            .unwrap();
        let port = server.addrs()[0].port();
        let running = server.run();
        let handle = running.handle();
        tokio::spawn(running);
        let url = Url::parse(&format!("https://localhost:{port}/")).unwrap();
        (url, pem, handle)
    }

    /// A server's side of TLS with a certificate of its own making, and its PEM.
    fn certified() -> (ServerConfig, Vec<u8>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (config, made.cert.pem().into_bytes())
    }

    /// A registry that speaks HTTP/2 only: its address, the PEM, connections accepted.
    async fn serve_h2() -> (Url, Vec<u8>, Arc<AtomicUsize>) {
        let (mut config, pem) = certified();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        tokio::spawn(async move {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                let stream = acceptor.accept(stream).await.unwrap();
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        let name = request.uri().path().trim_start_matches('/').to_owned();
                        let head = http::Response::new(());
                        let mut body = respond.send_response(head, false).unwrap();
                        let text = format!("{{\"name\":\"{name}\"}}");
                        body.send_data(Bytes::from(text), true).unwrap();
                    }
                });
            }
        });
        (Url::parse(&format!("https://localhost:{port}/")).unwrap(), pem, connections)
    }

    #[tokio::test]
    async fn many_documents_share_one_connection_of_http_2() {
        let (url, ca, connections) = serve_h2().await;
        let upstream = upstream(&url, ca);
        let ask = async |name: &str| {
            let parsed = PackageName::parse(name).unwrap();
            let none = Validators::default();
            let answer = upstream.packument(&parsed, &none, Urgency::Person).await.unwrap();
            let PackumentAnswer::Found(document) = answer else { panic!("304") };
            assert_eq!(document.body, format!("{{\"name\":\"{name}\"}}"));
        };
        ask("first").await; // the protocol is known from here on
        let names: Vec<_> = (0..20).map(|index| format!("package-{index}")).collect();
        futures_util::future::join_all(names.iter().map(|name| ask(name))).await;
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }

    fn upstream(url: &Url, ca: Vec<u8>) -> Upstream {
        let mut settings = UpstreamSettings::new("default", url.clone());
        settings.ca_pem = Some(ca);
        settings.retry = RetryPolicy { attempts: 1, ..settings.retry };
        Upstream::new(settings).unwrap()
    }

    async fn read(upstream: &Upstream, url: &Url) -> Result<Bytes, UpstreamError> {
        let mut schedule = upstream.retry_policy().schedule(Urgency::Person);
        let mut body = upstream.tarball(url, &mut schedule).await?;
        Ok(body.next().await?.unwrap_or_default())
    }

    #[tokio::test]
    async fn a_registry_with_its_own_authority_is_asked_over_tls() {
        let (url, ca, server) = serve();
        let upstream = upstream(&url, ca);
        let name = PackageName::parse("left-pad").unwrap();
        let answer = upstream.packument(&name, &Validators::default(), Urgency::Person).await;
        assert!(matches!(answer, Ok(PackumentAnswer::Found(_))));
        for scheme in ["https", "http"] {
            // a document behind a TLS proxy may still say http
            let port = url.port().filter(|_| scheme == "https");
            let text = port.map_or_else(String::new, |port| format!(":{port}"));
            let written = Url::parse(&format!("{scheme}://localhost{text}/a.tgz")).unwrap();
            assert_eq!(read(&upstream, &written).await.unwrap(), "bytes");
        }
        let down = read(&upstream, &url.join("/down.tgz").unwrap()).await;
        let error = down.err().unwrap();
        assert!(
            matches!(&error, UpstreamError::BadRedirect(text) if text.contains("https to http"))
        );
        server.stop(false).await;
    }

    #[tokio::test]
    async fn a_certificate_nobody_vouches_for_is_refused() {
        let (url, _, server) = serve();
        let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let upstream = upstream(&url, stranger.cert.pem().into_bytes());
        let error = read(&upstream, &url.join("/a.tgz").unwrap()).await.err();
        let error = error.unwrap().to_string();
        assert!(error.contains("invalid peer certificate"), "{error}");
        server.stop(false).await;
    }
}
