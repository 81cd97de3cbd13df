//! Whether the audio with a device or carrier is encrypted.

/// `srtp`: SRTP with keys in the session description (RFC 4568). They are as secret as the signalling that carries
/// them: of worth over TLS only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SrtpPolicy {
    /// Never: an offer that demands it is refused.
    Off,
    /// What offers it gets it; we offer it beside plain RTP where signalling is encrypted.
    #[default]
    Optional,
    /// What does not offer it is refused, and we offer nothing else.
    Required,
}
