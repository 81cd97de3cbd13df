//! What browsers and DTLS phones say in a description, and what we say to them (RFC 8829 §5, RFC 5763 §5, RFC 8839).
//!
//! We are ICE-lite: our addresses are all named at once, and theirs are learned from their checks, so that their
//! candidates are not read, however late they come (RFC 8838). One audio line, RTCP beside RTP, nothing else in the
//! bundle; header extensions and feedback messages are not agreed to. Left out: two lite agents, and `a=tls-id`.

use std::net::IpAddr;
use std::sync::Arc;

use crate::media::Transport;
use crate::media::dtls;
use crate::media::dtls::Fingerprint;
use crate::media::dtls::Role;
use crate::media::ice;
use crate::sdp::Attribute;
use crate::sdp::Media;
use crate::sdp::SessionDescription;

/// The protocol of our own offers.
pub const PROTOCOL: &str = "UDP/TLS/RTP/SAVPF";

/// The only group there is for us.
const BUNDLE: &str = "BUNDLE";

/// Our `a=mid` in offers, when they have named none.
const MID: &str = "0";

/// Longest credential that is kept (RFC 8839 §5.4).
const CREDENTIAL_MAX: usize = 256;

/// Whether a protocol says that keys come by DTLS (RFC 5764 §9).
pub fn is_dtls(protocol: &str) -> bool {
    ["UDP/TLS/RTP/SAVP", PROTOCOL].iter().any(|known| protocol.eq_ignore_ascii_case(known))
}

/// Our side of a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// Of our certificate.
    pub fingerprint: Fingerprint,
    /// `a=ice-ufrag`.
    pub ufrag: Arc<str>,
    /// `a=ice-pwd`.
    pub password: Arc<str>,
    /// Our part in the DTLS that goes on already.
    pub role: Option<Role>,
}

/// Their `a=setup` (RFC 4145 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setup {
    Active,
    Passive,
    ActPass,
}

/// What a description says of one media.
struct Theirs {
    fingerprint: Fingerprint,
    setup: Setup,
    /// Their `a=ice-ufrag`, when they are a full agent.
    ufrag: Option<Arc<str>>,
    rtcp_mux: bool,
}

/// Whether a media has a certificate's fingerprint, usable or not.
pub fn has_fingerprint(sdp: &SessionDescription, media: &Media) -> bool {
    sdp.attribute_of(media, "fingerprint").is_some()
}

/// Whether a media's address is found by ICE, so that the one in its `c=` says nothing.
pub fn has_ice(sdp: &SessionDescription, media: &Media) -> bool {
    has_fingerprint(sdp, media) && ufrag(sdp, media).is_some()
}

fn ufrag(sdp: &SessionDescription, media: &Media) -> Option<Arc<str>> {
    let is_lite = sdp.attributes.iter().any(|(name, _)| name.eq_ignore_ascii_case("ice-lite"));
    let ufrag = sdp.attribute_of(media, "ice-ufrag").map(str::trim);
    let password = sdp.attribute_of(media, "ice-pwd");
    let fits = |text: &&str| (4..=CREDENTIAL_MAX).contains(&text.len());
    ufrag.filter(fits).filter(|_| password.is_some() && !is_lite).map(Arc::from)
}

fn theirs(sdp: &SessionDescription, media: &Media) -> Option<Theirs> {
    let setup = match sdp.attribute_of(media, "setup").map(str::trim) {
        Some(setup) if setup.eq_ignore_ascii_case("active") => Setup::Active,
        Some(setup) if setup.eq_ignore_ascii_case("passive") => Setup::Passive,
        Some(setup) if setup.eq_ignore_ascii_case("actpass") => Setup::ActPass,
        Some(_) => return None, // holdconn: no DTLS for the time being
        None => Setup::ActPass,
    };
    let fingerprint = sdp.attributes_of(media, "fingerprint").find_map(Fingerprint::parse)?;
    let rtcp_mux = media.has("rtcp-mux");
    Some(Theirs { fingerprint, setup, ufrag: ufrag(sdp, media), rtcp_mux })
}

/// What an offered media agrees on with us, and what our answer says of it; `None` when it names no certificate that
/// could be known again, or no part for us.
pub fn answer(offer: &SessionDescription, media: &Media, ours: &Ours) -> Option<(Transport, Vec<Attribute>)> {
    let theirs = theirs(offer, media)?;
    let role = match theirs.setup {
        Setup::Active => Role::Passive,
        Setup::Passive => Role::Active,
        // RFC 8842 §5.5: what goes on keeps its parts; and who begins is better the one who knows where we are.
        Setup::ActPass => ours.role.unwrap_or(Role::Passive),
    };
    let mut attributes = credentials(ours, theirs.ufrag.is_some());
    attributes.push(("setup".into(), Some(if role == Role::Active { "active" } else { "passive" }.into())));
    Some((transport(theirs, ours, role), attributes))
}

/// What their answer to our offer agrees on; `None` as for `answer`.
pub fn agree(answer: &SessionDescription, media: &Media, ours: &Ours) -> Option<Transport> {
    let theirs = theirs(answer, media)?;
    let role = match theirs.setup {
        Setup::Active => Role::Passive,
        Setup::Passive => Role::Active,
        // RFC 5763 §5: an answer decides.
        Setup::ActPass => return None,
    };
    Some(transport(theirs, ours, role))
}

/// What our offer says of its audio.
pub fn offer(ours: &Ours) -> Vec<Attribute> {
    let mut attributes = vec![("rtcp-mux".into(), None)];
    attributes.extend(credentials(ours, true));
    attributes.push(("setup".into(), Some("actpass".into())));
    attributes
}

/// What our offer is held to before it is answered: their checks may come first.
pub fn unanswered(ours: &Ours) -> Transport {
    let ice = ice::Terms {
        ufrag: Arc::clone(&ours.ufrag),
        password: Arc::clone(&ours.password),
        their_ufrag: None,
    };
    Transport { rtcp_mux: true, ice: Some(ice), ..Transport::default() }
}

fn transport(theirs: Theirs, ours: &Ours, role: Role) -> Transport {
    let ice = theirs.ufrag.map(|their_ufrag| ice::Terms {
        ufrag: Arc::clone(&ours.ufrag),
        password: Arc::clone(&ours.password),
        their_ufrag: Some(their_ufrag),
    });
    let dtls = Some(dtls::Terms { role, fingerprint: theirs.fingerprint });
    Transport { rtcp_mux: theirs.rtcp_mux, ice, dtls, signaling: None }
}

fn credentials(ours: &Ours, ice: bool) -> Vec<Attribute> {
    let mut attributes = Vec::new();
    if ice {
        attributes.push(("ice-ufrag".into(), Some(ours.ufrag.to_string())));
        attributes.push(("ice-pwd".into(), Some(ours.password.to_string())));
    }
    attributes.push(("fingerprint".into(), Some(ours.fingerprint.to_string())));
    attributes
}

/// Where we are, the best address first (RFC 8839 §5.1). All are host candidates: behind a router that passes our ports
/// on, the outer address is as good as our own.
pub fn candidates(addresses: &[IpAddr], port: u16) -> Vec<Attribute> {
    let mut attributes: Vec<Attribute> = Vec::new();
    for (address, place) in addresses.iter().zip(1u32..) {
        // RFC 8445 §5.1.2.1: a host's type preference, a local preference that falls, component 1.
        let priority = 126 << 24 | (65_536 - place) << 8 | 255;
        let candidate = format!("{place} 1 udp {priority} {address} {port} typ host");
        attributes.push(("candidate".into(), Some(candidate)));
    }
    attributes.push(("end-of-candidates".into(), None));
    attributes
}

/// The `a=mid` of an offered media, as its answer repeats it.
pub fn mid(media: &Media) -> Option<Attribute> {
    media.attribute("mid").map(|mid| ("mid".into(), Some(mid.to_owned())))
}

/// Puts our audio into a bundle of its own and says what holds for the whole description: in an answer what the offer
/// has (`offer`), in our offers both.
pub fn bundle(sdp: &mut SessionDescription, place: usize, offer: Option<&SessionDescription>) {
    let Some(audio) = sdp.media.get_mut(place) else { return };
    if offer.is_none() && audio.attribute("mid").is_none() {
        audio.attributes.push(("mid".into(), Some(MID.into())));
    }
    let mid = audio.attribute("mid").map(str::to_owned);
    let is_lite = audio.has("ice-ufrag");
    // RFC 9143 §7.3: what is refused leaves its group.
    let named = |group: &str, mid: &str| {
        let mut words = group.split_whitespace();
        words.next().is_some_and(|kind| kind.eq_ignore_ascii_case(BUNDLE)) && words.any(|word| word == mid)
    };
    if let Some(mid) = mid
        && offer.is_none_or(|offer| offer.values("group").any(|group| named(group, &mid)))
    {
        sdp.attributes.push(("group".into(), Some(format!("{BUNDLE} {mid}"))));
    }
    if is_lite {
        sdp.attributes.push(("ice-lite".into(), None));
    }
}
