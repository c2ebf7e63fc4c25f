//! Configurations for both sides: bytes of certificates in, `rustls` configurations out. There is no way to switch verification off.

use super::TlsError;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;

/// Whom a client trusts.
#[derive(Clone, Copy, Debug)]
pub enum Roots<'a> {
    /// The public certificate authorities (Mozilla's list, compiled in).
    WebPki,
    /// These certificates (PEM) and no others: the simulator's own, or a test's.
    Pem(&'a [u8]),
}

/// A client's configuration: TLS 1.3 or 1.2, certificates always verified.
///
/// # Errors
/// The PEM text holds no certificate or a broken one.
pub fn client_config(roots: Roots<'_>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::WebPki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::Pem(pem) => {
            for certificate in certificates("trusted certificate", pem)? {
                store.add(certificate).map_err(|error| bad("trusted certificate", error))?;
            }
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// A server's configuration from its certificate chain and key, both PEM.
///
/// # Errors
/// One of them is missing or broken, or they do not belong together.
pub fn server_config(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates("server certificate", certificate_pem)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| bad("server key", error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// A fresh certificate for `names` (host names or addresses) and its key, both PEM. The certificate is its own root.
///
/// # Errors
/// A name that cannot stand in a certificate.
pub fn self_signed(names: &[&str]) -> Result<(String, String), TlsError> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|error| bad("names of the self-signed certificate", error))?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| bad(what, error))?;
    if chain.is_empty() {
        return Err(bad(what, "no `-----BEGIN CERTIFICATE-----` in the text"));
    }
    Ok(chain)
}

fn bad(what: &'static str, why: impl ToString) -> TlsError {
    TlsError::Pem { what, why: why.to_string() }
}
