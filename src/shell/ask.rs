//! Carries the core's questions to other systems: HTTP/1.1 POST of JSON, over TLS for `https`, signed as Standard
//! Webhooks 1.0 has it (`webhook-id`, `webhook-timestamp`, `webhook-signature: v1,…`).
//!
//! Who is asked is not trusted: the budget covers all from the look-up of the name to the last byte, head and body of
//! an answer are bounded, and a redirection is an answer like any other that is not 200: it is never followed. There is
//! no second try; the core leaves alone who is down. Certificates are verified by the machine's authorities and those
//! of `[tls] ca`, as they are when the first question is asked. Left out: connections that are kept, HTTP/2, proxies.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Request;
use hyper::Uri;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use crate::shell::net::dns::Names;
use crate::sip::Transport;
use crate::switch::asking::Post;
use crate::switch::flow::action::Unanswered;

/// Questions that are out at once.
const OUT_MAX: usize = 512;
/// Longest answer in bytes.
const ANSWER_MAX: usize = 16_384;
/// Longest head of an answer in bytes; hyper's least.
const HEAD_MAX: usize = 16_384;
/// Where systems keep the authorities that they trust.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Asks other systems. Clones share it.
#[derive(Clone, Debug)]
pub struct Asker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    names: Names,
    ca: Option<PathBuf>,
    tls: OnceLock<Option<Arc<ClientConfig>>>,
    out: Semaphore,
}

impl Asker {
    /// Finds hosts by `names`, and trusts the authorities in the file `ca` besides the machine's.
    pub fn new(names: Names, ca: Option<PathBuf>) -> Asker {
        Asker(Arc::new(Shared { names, ca, tls: OnceLock::new(), out: Semaphore::new(OUT_MAX) }))
    }

    /// Asks once. The body of an answer with status 200, or why there is none.
    ///
    /// # Errors
    /// When there is none within the budget.
    pub async fn ask(&self, post: &Post) -> Result<Vec<u8>, Unanswered> {
        let Ok(_permit) = self.0.out.try_acquire() else { return Err(Unanswered::Busy) };
        match tokio::time::timeout(post.timeout, self.exchange(post)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::debug!(error = format!("{error:#}"), "another system cannot be asked");
                Err(Unanswered::Unreachable)
            }
            Err(_) => Err(Unanswered::Timeout),
        }
    }

    async fn exchange(&self, post: &Post) -> anyhow::Result<Result<Vec<u8>, Unanswered>> {
        let uri: Uri = post.url.parse().context("the URL cannot be read")?;
        let host = uri.host().context("the URL has no host")?;
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = self.connect(host, port).await?;
        if !secure {
            return converse(stream, &uri, post).await;
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).context("the host can have no certificate")?;
        let config = self.tls().context("no authorities are known to verify the certificate by")?;
        let stream = TlsConnector::from(config).connect(name, stream).await.context("TLS failed")?;
        converse(stream, &uri, post).await
    }

    /// The first address that takes the connection.
    async fn connect(&self, host: &str, port: u16) -> anyhow::Result<TcpStream> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let (places, _) =
            self.0.names.locate(bare, Some(port), Some(Transport::Tcp), &[Transport::Tcp]).await;
        let addresses: Vec<SocketAddr> = places.into_iter().map(|(_, address)| address).collect();
        let stream = TcpStream::connect(&*addresses).await.context("no connection")?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn tls(&self) -> Option<Arc<ClientConfig>> {
        let make = || match client_config(self.0.ca.as_ref()) {
            Ok(config) => Some(Arc::new(config)),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "https cannot be used for webhooks");
                None
            }
        };
        self.0.tls.get_or_init(make).clone()
    }
}

async fn converse<S>(stream: S, uri: &Uri, post: &Post) -> anyhow::Result<Result<Vec<u8>, Unanswered>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_MAX).handshake(TokioIo::new(stream)).await?;
    let connection = AbortOnDrop(tokio::spawn(connection));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let host = host.rsplit('@').next().unwrap_or_default();
    let mut request = Request::post(path)
        .header("host", host)
        .header("connection", "close")
        .header("content-type", "application/json")
        .header("user-agent", concat!("Sentral/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", &post.id)
        .header("webhook-timestamp", post.at);
    if let Some(secret) = &post.secret {
        request = request.header("webhook-signature", signature(&secret.0, &post.id, post.at, &post.body));
    }
    let request = request.body(Full::new(Bytes::from(post.body.clone())))?;
    let response = sender.send_request(request).await.context("no answer")?;
    let status = response.status().as_u16();
    if status != 200 {
        return Ok(Err(Unanswered::Status(status)));
    }
    let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
    drop(connection);
    Ok(body.map(|body| body.to_bytes().to_vec()).map_err(|_| Unanswered::Unreadable))
}

/// A connection ends with the question, whatever the other side would still like to say.
struct AbortOnDrop(tokio::task::JoinHandle<hyper::Result<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// `v1,` and HMAC-SHA256 of `id.timestamp.body` in base64. A secret `whsec_…` is a key in base64; any other is the key.
fn signature(secret: &str, id: &str, at: i64, body: &str) -> String {
    let key = secret.strip_prefix("whsec_").and_then(base64_read);
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_deref().unwrap_or(secret.as_bytes()));
    let tag = hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", base64(tag.as_ref()))
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= chunk.len() { digit.into() } else { '=' });
        }
    }
    out
}

/// Reads base64; `None` when it is none.
fn base64_read(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut word, mut bits) = (Vec::new(), 0u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        word = word << 6 | u32::try_from(DIGITS.iter().position(|known| *known == digit)?).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    Some(out)
}

fn client_config(ca: Option<&PathBuf>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let bundle = BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file());
    for path in bundle.iter().chain(ca) {
        let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
            // Bundles hold old authorities that cannot be used; the others can.
            let _ = roots.add(certificate);
        }
    }
    anyhow::ensure!(!roots.is_empty(), "no authority is known: install ca-certificates, or set [tls] ca");
    Ok(ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_written_and_read_back() {
        for (plain, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), text);
            assert_eq!(base64_read(text).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(base64_read("not base64!"), None);
    }

    #[test]
    fn a_question_is_signed_as_standard_webhooks_has_it() {
        // The example of the specification's reference library.
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
