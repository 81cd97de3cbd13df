//! Whether the audio with a device or carrier is encrypted.

/// `srtp`: SRTP with keys in the session description (RFC 4568), which are as secret as the signalling that carries
/// them, so of worth over TLS only; or with keys by DTLS (RFC 5763), as browsers have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SrtpPolicy {
    /// Never: an offer that demands it is refused.
    Off,
    /// What offers it gets it; we offer it beside plain RTP where signalling is encrypted.
    #[default]
    Optional,
    /// What does not offer it in either way is refused, and we offer nothing but keys in the description.
    Required,
    /// Keys by DTLS and no others, in what we offer and what we take.
    Dtls,
}
