//! TLS 1.2 and 1.3 for SIP (RFC 3261 §26.3.1, RFC 5922): our certificate, whom we trust, and who is at the other end.
//!
//! The files are read again every other second and taken up when their content is another and right; contents are
//! compared because renewals swap links, of which no event in the folder tells. Connections that stand keep what they
//! began with. Who we connect to must show a certificate of the trunk's `certificate`, or of its host when that is not
//! set; an address that no trunk's name led to is not connected to at all, because nothing could be verified. A
//! wildcard in such a certificate counts, though RFC 5922 §7.2 would not have it. Of two trunks at one address and port,
//! the name looked up last is demanded. Left out: revocation lists.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::RwLock;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::bail;
use dashmap::DashMap;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use sha2::Digest as _;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::TlsConnector;
use webpki::EndEntityCert;

use crate::model::Config;
use crate::model::server;
use crate::model::trunk::Trunk;
use crate::model::trunk::TrunkTransport;
use crate::sip::Hop;
use crate::sip::Transport;
use crate::sip::Uri;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Addresses whose names are remembered.
const ADDRESSES_MAX: usize = 10_000;
/// Names taken from a certificate.
const NAMES_MAX: usize = 100;

/// All that TLS connections are made with. Clones share it.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: RwLock<State>,
    /// Hosts of trunks by the addresses they led to.
    hosts: DashMap<SocketAddr, Arc<str>>,
}

#[derive(Debug, Default)]
struct State {
    files: server::Tls,
    /// Certificate names by the hosts of trunks.
    expected: BTreeMap<Arc<str>, Arc<str>>,
    /// What the files were like at the last look, usable or not.
    seen: [u8; 32],
    made: Made,
}

/// What the newest usable files made.
#[derive(Clone, Debug, Default)]
struct Made {
    sip: Option<Arc<ServerConfig>>,
    /// Browsers are not asked for a certificate: they would ask their user for one.
    web: Option<Arc<ServerConfig>>,
    client: Option<Arc<ClientConfig>>,
}

/// The contents of the files.
#[derive(Debug, Default)]
struct Pem {
    pair: Option<(Vec<u8>, Vec<u8>)>,
    ca: Option<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files of a configuration.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn new(config: &Config) -> anyhow::Result<Tls> {
        let mut state = State::default();
        state.take_up(config);
        let pem = read(&state.files)?;
        state.seen = fingerprint(&state.files, Ok(&pem));
        state.made = make(&pem)?;
        Ok(Tls(Arc::new(Shared { state: RwLock::new(state), hosts: DashMap::new() })))
    }

    /// Takes up another configuration; with files that cannot be used, the old ones stay.
    pub fn adopt(&self, config: &Config) {
        if let Ok(mut state) = self.0.state.write() {
            state.take_up(config);
        }
        self.look();
    }

    /// Looks at the files now and then, as long as the runtime lives.
    pub(super) async fn watch(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let tls = self.clone();
            // A panic in there would be told by the next look.
            let _ = tokio::task::spawn_blocking(move || tls.look()).await;
        }
    }

    /// Reads the files, and takes them up if they are others and right.
    fn look(&self) {
        let Ok((files, last)) = self.0.state.read().map(|state| (state.files.clone(), state.seen)) else {
            return;
        };
        let pem = read(&files);
        let seen = fingerprint(&files, pem.as_ref().map_err(|error| format!("{error:#}")));
        if last == seen {
            return;
        }
        let made = pem.and_then(|pem| make(&pem));
        // Handshakes wait for this lock, so nothing is read or computed under it.
        let Ok(mut state) = self.0.state.write() else { return };
        state.seen = seen;
        match made {
            Ok(made) => {
                state.made = made;
                tracing::info!("certificates taken up");
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "certificates not taken up, the old ones stay");
            }
        }
    }

    /// Notes where the host of a trunk is, so that who answers there must be that host.
    pub fn learn(&self, host: &str, hops: &[Hop]) {
        let Ok(state) = self.0.state.read() else { return };
        let Some((host, _)) = state.expected.get_key_value(host) else { return };
        if self.0.hosts.len() + hops.len() > ADDRESSES_MAX {
            self.0.hosts.clear();
        }
        for hop in hops.iter().filter(|hop| hop.transport == Transport::Tls) {
            self.0.hosts.insert(hop.remote, Arc::clone(host));
        }
    }

    /// The name that a certificate at `remote` must bear; `None` when nobody of ours is there.
    pub(super) fn name_at(&self, remote: SocketAddr) -> Option<Arc<str>> {
        let host = self.0.hosts.get(&remote)?;
        self.0.state.read().ok()?.expected.get(&*host).cloned()
    }

    /// For connections from others; `None` without a certificate.
    pub(super) fn acceptor(&self, transport: Transport) -> Option<TlsAcceptor> {
        let state = self.0.state.read().ok()?;
        let made = if transport == Transport::Tls { &state.made.sip } else { &state.made.web };
        made.clone().map(TlsAcceptor::from)
    }

    /// For connections to others; `None` without authorities to verify them by.
    pub(super) fn connector(&self) -> Option<TlsConnector> {
        self.0.state.read().ok()?.made.client.clone().map(TlsConnector::from)
    }
}

impl State {
    fn take_up(&mut self, config: &Config) {
        self.files = config.server.tls.clone();
        let secure = |trunk: &&Trunk| matches!(trunk.transport, TrunkTransport::Tls | TrunkTransport::Auto);
        let secure = config.trunks.values().filter(secure);
        self.expected = secure
            .map(|trunk| {
                (Arc::clone(&trunk.host), trunk.certificate.clone().unwrap_or(Arc::clone(&trunk.host)))
            })
            .collect();
    }
}

/// The name as rustls wants it; an IPv6 address without brackets.
pub fn server_name(name: &str) -> Option<ServerName<'static>> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    ServerName::try_from(bare.to_owned()).ok()
}

/// The SIP domains that a verified certificate stands for, in small letters (RFC 5922 §7.1): of its SIP URIs those
/// without user; if there is none, its DNS names.
pub(super) fn domains(certificate: &CertificateDer<'_>) -> Vec<Arc<str>> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    let small = |name: String| Arc::from(name.to_ascii_lowercase());
    let uris = certificate.valid_uri_names().take(NAMES_MAX).filter_map(|uri| Uri::parse(uri).ok());
    let domain = |uri: Uri| {
        let sip = uri.as_sip().filter(|sip| !sip.secure && sip.user.is_none())?;
        Some(small(sip.host.to_string()))
    };
    let domains: Vec<Arc<str>> = uris.filter_map(domain).collect();
    if !domains.is_empty() {
        return domains;
    }
    certificate.valid_dns_names().take(NAMES_MAX).map(|name| small(name.to_owned())).collect()
}

fn read(files: &server::Tls) -> anyhow::Result<Pem> {
    let read = |path: &PathBuf| {
        std::fs::read(path).with_context(|| format!("cannot read {}, a file of [tls]", path.display()))
    };
    let pair = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
        _ => None,
    };
    let ca = files.ca.as_ref().map(read).transpose()?;
    let client_ca = files.client_ca.as_ref().map(read).transpose()?;
    Ok(Pem { pair, ca, client_ca })
}

/// Tells contents apart without keeping a second copy of the key.
fn fingerprint(files: &server::Tls, pem: Result<&Pem, String>) -> [u8; 32] {
    let mut hash = sha2::Sha256::new();
    let paths = [&files.certificate, &files.key, &files.ca, &files.client_ca];
    hash.update(format!("{paths:?}"));
    match pem {
        Ok(pem) => {
            let (certificate, key) = pem.pair.as_ref().map(|(certificate, key)| (certificate, key)).unzip();
            for content in [certificate, key, pem.ca.as_ref(), pem.client_ca.as_ref()] {
                hash.update(content.map_or(0, |content| content.len() as u64 + 1).to_be_bytes());
                hash.update(content.map_or(&[][..], Vec::as_slice));
            }
        }
        Err(error) => hash.update(error),
    }
    hash.finalize().into()
}

fn make(pem: &Pem) -> anyhow::Result<Made> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pair = pem.pair.as_ref().map(|(certificate, key)| pair(certificate, key)).transpose()?;
    let mut made = Made::default();
    if let Some((chain, key)) = &pair {
        let again = || (chain.clone(), key.clone_key());
        made.sip = Some(Arc::new(server_config(&provider, again(), pem.client_ca.as_deref())?));
        made.web = Some(Arc::new(server_config(&provider, again(), None)?));
    }
    if let Some(ca) = &pem.ca {
        made.client = Some(Arc::new(client_config(&provider, ca, pair)?));
    }
    Ok(made)
}

/// A certificate chain and its key.
type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn pair(certificate: &[u8], key: &[u8]) -> anyhow::Result<Pair> {
    let chain = certificates(certificate).context("in [tls] certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key).context("[tls] key is no private key in PEM")?;
    Ok((chain, key))
}

fn certificates(pem: &[u8]) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().context("not PEM as it should be")?;
    if chain.is_empty() {
        bail!("no certificate in PEM is in it");
    }
    Ok(chain)
}

fn roots(pem: &[u8]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).context("a certificate in it cannot be an authority's")?;
    }
    Ok(roots)
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    (chain, key): Pair,
    client_ca: Option<&[u8]>,
) -> anyhow::Result<ServerConfig> {
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
    let asks = client_ca.is_some();
    let builder = match client_ca {
        Some(ca) => {
            let roots = Arc::new(roots(ca).context("in [tls] client_ca")?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
            // Phones have none; who shows one must show a good one.
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .context("[tls] certificate and key do not fit together, or are of an unknown kind")?;
    if asks {
        // Who comes back is verified again, by the time of that day.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    ca: &[u8],
    pair: Option<Pair>,
) -> anyhow::Result<ClientConfig> {
    let roots = roots(ca).context("in [tls] ca")?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(match pair {
        // RFC 5923 §9: with ours shown too, the carrier may use the connection for its calls.
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    })
}
