//! HTTPS for the emulator: a certificate authority made on the spot, and a certificate of its for loopback.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::time::{Delay, Timestamp};

/// A certificate for the loopback addresses, and the authority that vouches for it. The authority's key is
/// forgotten at once: nobody can make another certificate that its trusters would take.
pub struct Tls {
    ca_pem: String,
    acceptor: TlsAcceptor,
}

/// How long a certificate is good for before and after it was made, so that a wrong clock does not matter.
const MARGIN: Delay = Delay::from_secs(2 * 24 * 3600);
const GOOD_FOR: Delay = Delay::from_secs(90 * 24 * 3600);

impl Tls {
    /// Makes an authority and a certificate, good around `now`.
    ///
    /// Fails if the system has no randomness.
    pub fn new(now: Timestamp) -> io::Result<Self> {
        let (ca_pem, config) = make(now).map_err(io::Error::other)?;
        Ok(Self { ca_pem, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Returns the authority's certificate for clients to trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Writes the authority's certificate to a file.
    pub fn write_ca(&self, path: &Path) -> io::Result<()> {
        fs::write(path, &self.ca_pem)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn make(now: Timestamp) -> Result<(String, ServerConfig), Box<dyn std::error::Error + Send + Sync>> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    dress(&mut ca, "synflow emulator CA", now);
    let ca_key = KeyPair::generate()?;
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);

    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut leaf = CertificateParams::new(names)?;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python's strict check asks for it.
    leaf.use_authority_key_identifier_extension = true;
    dress(&mut leaf, "synflow emulator", now);
    let leaf_key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&leaf_key, &issuer)?;

    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((ca_pem, config))
}

fn dress(params: &mut CertificateParams, name: &str, now: Timestamp) {
    let mut full_name = DistinguishedName::new();
    full_name.push(DnType::CommonName, name);
    params.distinguished_name = full_name;
    let day = |at: Timestamp| {
        let at = at.to_jiff().to_zoned(jiff::tz::TimeZone::UTC);
        date_time_ymd(i32::from(at.year()), at.month().unsigned_abs(), at.day().unsigned_abs())
    };
    params.not_before = day(now - MARGIN);
    params.not_after = day(now + GOOD_FOR);
}
