//! Offer and answer (RFC 3264): which codec, which payload types, who sends.
//!
//! One audio stream over RTP or SRTP (`secrecy.rs` has the keys, `webrtc.rs` what browsers add); every other media of an
//! offer is answered with port 0. How a codec is named and how it is to be used is `format.rs`. An answer of ours names one codec, so that nobody changes
//! it in mid-stream; where theirs names several, each of them may come. RTCP is on the port
//! above unless it is multiplexed, so `a=rtcp` (RFC 3605) is never needed. Left out: bandwidth and time of a session.

use std::net::IpAddr;
use std::net::SocketAddr;

use crate::media;
use crate::media::Codec;
use crate::media::codec::opus::Manner;
use crate::model::dtmf::KeysBy;
use crate::model::server::CodecName;
use crate::sdp::Attribute;
use crate::sdp::Crypto;
pub use crate::sdp::Direction;
use crate::sdp::Host;
use crate::sdp::Media;
use crate::sdp::Origin;
use crate::sdp::SessionDescription;
use crate::switch::format;
use crate::switch::secrecy;
use crate::switch::secrecy::Secrecy;
use crate::switch::secrecy::Shield;
use crate::switch::secrecy::Unfit;
use crate::switch::webrtc;

/// Packet length that we ask for and make unless told otherwise.
const PACKET_MS: u8 = 20;

/// Our side of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Where the other side shall send.
    pub address: IpAddr,
    /// RTP port there.
    pub port: u16,
    /// Codecs, the best liked first.
    pub codecs: Vec<Codec>,
    /// Session id in `o=`, the same for the whole dialog.
    pub session: u64,
    /// Version in `o=`; one higher with each description that differs from the last.
    pub version: u64,
    /// What we want to do.
    pub direction: Direction,
    /// How keys of telephones travel.
    pub keys: KeysBy,
    /// Which keys we have, and whether we want them used.
    pub secrecy: Secrecy,
    /// Our own address, where `address` is that of a router before us.
    pub inside: Option<IpAddr>,
    /// The media lines of this dialog so far.
    pub lines: Lines,
}

/// The media lines of a dialog: every description has the same ones (RFC 3264 §8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Which one is our audio.
    audio: usize,
    /// Its name in a bundle.
    mid: Option<Attribute>,
    /// Its protocol, as agreed.
    protocol: Option<Box<str>>,
    /// All of them, refused.
    refused: Vec<Media>,
}

impl Lines {
    /// The lines of our answer.
    pub fn of(answer: &SessionDescription) -> Lines {
        let audio = answer.media.iter().position(|media| media.port != 0).unwrap_or(0);
        let taken = answer.media.get(audio);
        let protocol = taken.map(|media| media.protocol.as_str().into());
        let refused = answer.media.iter().map(refused).collect();
        Lines { audio, mid: taken.and_then(webrtc::mid), protocol, refused }
    }
}

impl Local {
    /// Takes note of the keys that an answer, ours or theirs, has brought: later offers of ours keep to them.
    pub fn keep(&mut self, answer: &SessionDescription, agreed: &Agreed) {
        let audio = answer.media.get(self.lines.audio).filter(|_| agreed.session.srtp.is_some());
        self.secrecy.keep_suite(audio);
    }
}

/// What both sides have agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// For the stream.
    pub session: media::Session,
    /// What they said they do.
    pub their_direction: Direction,
    /// They do not want to hear us: `sendonly`, `inactive` or the old `c=0.0.0.0`.
    pub hold: bool,
}

/// Why an offer is answered with 488, or an answer is no use; for the `Warning` header (RFC 3261 §20.43).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {warning}")]
pub struct Refusal {
    /// Warn-code: 301, 302, 304, 305 or 330.
    pub code: u16,
    /// Warn-text, without quotes.
    pub warning: String,
}

impl Refusal {
    fn new(code: u16, warning: &str) -> Refusal {
        Refusal { code, warning: warning.to_owned() }
    }

    /// There is no session description where one is needed, or it cannot be read.
    pub fn no_media() -> Refusal {
        Refusal::new(304, "no usable audio described")
    }

    /// Nothing that is offered can be decoded here.
    pub fn no_codec() -> Refusal {
        Refusal::new(305, "no codec in common: PCMA, PCMU, G722 and opus are known")
    }

    /// Nothing that is offered may be used here.
    fn none_in_common() -> Refusal {
        Refusal::new(305, "no codec in common")
    }

    /// There is no audio in the offer.
    fn no_audio() -> Refusal {
        Refusal::new(304, "no audio offered")
    }

    /// One side demands SRTP, the other cannot or will not (RFC 3261 §20.43: 302 is an incompatible protocol).
    fn secrecy(unfit: Unfit) -> Refusal {
        Refusal::new(302, &unfit.to_string())
    }

    /// Value of a Warning header.
    pub fn header(&self) -> String {
        format!("{} sentral \"{}\"", self.code, self.warning)
    }
}

/// The codecs of a configured list, in its order.
pub fn codecs(names: &[CodecName]) -> Vec<Codec> {
    let codec = |name: &CodecName| match name {
        CodecName::Opus => Codec::Opus,
        CodecName::G722 => Codec::G722,
        CodecName::Pcma => Codec::Pcma,
        CodecName::Pcmu => Codec::Pcmu,
        CodecName::L16 => Codec::L16,
    };
    names.iter().map(codec).collect()
}

/// Our offer: every codec in order, then telephone-event.
pub fn offer(local: &Local) -> SessionDescription {
    let dtls = local.secrecy.offer_dtls();
    // What was agreed on once stays.
    let protocol = local.lines.protocol.as_deref().filter(|_| dtls.is_none());
    let mut audio = Media {
        kind: "audio".into(),
        port: local.port,
        ports: 1,
        protocol: protocol.unwrap_or(local.secrecy.protocol()).into(),
        formats: Vec::new(),
        connection: None,
        attributes: Vec::new(),
    };
    for &codec in &local.codecs {
        format::add(&mut audio, codec.payload_type(), codec);
    }
    if local.keys.events() {
        format::offer_dtmf(&mut audio, &local.codecs);
    }
    add_manner(&mut audio, PACKET_MS, local.direction);
    audio.attributes.extend(local.secrecy.offer().iter().map(Crypto::attribute));
    let is_web = dtls.is_some();
    audio.attributes.extend(local.lines.mid.clone());
    add_transport(&mut audio, dtls.unwrap_or_default(), local);
    let mut media = local.lines.refused.clone();
    let place = local.lines.audio.min(media.len());
    match media.get_mut(place) {
        Some(line) => *line = audio,
        None => media.push(audio),
    }
    let mut sdp = description(local, media, (0, 0));
    if is_web {
        webrtc::bundle(&mut sdp, place, None);
    }
    sdp
}

/// The codecs that an offer names and we know, best first.
pub fn offered(offer: &SessionDescription) -> Vec<Codec> {
    let audio = offer.media.iter().filter(|media| is_audio(media));
    audio
        .flat_map(|media| media.formats.iter().filter_map(|format| format::codec_of(media, format)))
        .collect()
}

/// Whether an offer names a codec that we know, whatever may be used here.
///
/// # Errors
/// It does not: the offer is to be answered with 488 and this warning.
pub fn known(offer: &SessionDescription) -> Result<(), Refusal> {
    match offered(offer).is_empty() {
        false => Ok(()),
        true if offer.media.iter().any(is_audio) => Err(Refusal::no_codec()),
        true => Err(Refusal::no_audio()),
    }
}

fn is_audio(media: &Media) -> bool {
    media.kind.eq_ignore_ascii_case("audio") && media.port != 0
}

/// Our answer to an offer, and what is agreed by it.
///
/// `prefer` is the codec in use, or the other party's: it is taken as long as the offer and we have it. Else the first of the offer that we
/// have is taken (RFC 3264 §6.1), with the offer's payload types.
///
/// # Errors
/// No audio that we can carry: the offer is to be answered with 488 and this warning.
pub fn answer(
    offer: &SessionDescription,
    local: &Local,
    prefer: Option<Codec>,
) -> Result<(SessionDescription, Agreed), Refusal> {
    let mut refusal = Refusal::no_audio();
    let mut taken = None;
    for (place, media) in offer.media.iter().enumerate() {
        let fits = || {
            usable(offer, media, local.address)?;
            let choice = choose(media, local, prefer)?;
            Ok((choice, local.secrecy.answer(offer, media).map_err(Refusal::secrecy)?))
        };
        match fits() {
            Ok((choice, secret)) => {
                taken = Some((place, media, choice, secret));
                break;
            }
            // Of several refusals, tell the one that came nearest to an agreement.
            Err(nearer) if is_audio(media) => refusal = nearer,
            Err(_) => {}
        }
    }
    let Some((taken_place, media, choice, shield)) = taken else { return Err(refusal) };
    let mut agreed = agree(offer, media, local, choice);
    agreed.session.transport.rtcp_mux = media.has("rtcp-mux");

    let mut audio = refused(media);
    audio.port = local.port;
    audio.formats.clear();
    format::add(&mut audio, choice.payload_type, choice.codec);
    if let Some((dtmf, clock)) = choice.dtmf {
        format::add_dtmf(&mut audio, dtmf, clock);
    }
    if let Some(comfort) = choice.comfort {
        format::add_comfort(&mut audio, comfort);
    }
    let direction = Direction::new(agreed.session.send, agreed.session.receive);
    add_manner(&mut audio, agreed.session.packet_ms, direction);
    if agreed.session.transport.rtcp_mux {
        audio.attributes.push(("rtcp-mux".into(), None));
    }
    match shield {
        Shield::Plain => {}
        Shield::Described(crypto, keys) => {
            audio.attributes.push(crypto.attribute());
            agreed.session.srtp = Some(keys);
        }
        Shield::Dtls(transport, said) => {
            agreed.session.transport = transport;
            add_transport(&mut audio, said, local);
        }
    }
    let mut media: Vec<Media> = offer.media.iter().map(refused).collect();
    media[taken_place] = audio;
    // RFC 3264 §6: the time is the offer's.
    let mut sdp = description(local, media, offer.time);
    webrtc::bundle(&mut sdp, taken_place, Some(offer));
    Ok((sdp, agreed))
}

/// Adds what is said of DTLS; with ICE, also where we are. Who hears audio of no stream gets none from a browser.
fn add_transport(audio: &mut Media, said: Vec<Attribute>, local: &Local) {
    if said.is_empty() {
        return;
    }
    audio.attributes.extend(said);
    if audio.has("ice-ufrag") {
        let addresses: Vec<IpAddr> = [Some(local.address), local.inside].into_iter().flatten().collect();
        audio.attributes.extend(webrtc::candidates(&addresses, local.port));
        audio.attributes.push(format::attribute("msid", "sentral audio".into()));
    }
}

/// What the other side's answer to our offer agrees on.
///
/// # Errors
/// The answer refuses the audio, or names nothing that was offered.
pub fn agreed(our_offer: &Local, answer: &SessionDescription) -> Result<Agreed, Refusal> {
    // RFC 3264 §6: one answer for each stream of the offer, in order.
    let Some(media) = answer.media.get(our_offer.lines.audio) else {
        return Err(Refusal::new(304, "no audio in the answer"));
    };
    usable(answer, media, our_offer.address)?;
    let choice = choose(media, our_offer, None)?;
    let mut agreed = agree(answer, media, our_offer, choice);
    agreed.session.besides = besides(media, our_offer, choice);
    our_offer.secrecy.agree(answer, media, &mut agreed.session).map_err(Refusal::secrecy)?;
    Ok(agreed)
}

/// Whether an offer has audio that [`answer`] would take with these codecs at this address, before anything is done for
/// its call.
///
/// # Errors
/// It has none: the offer is to be answered with 488 and this warning.
pub fn fits(
    offer: &SessionDescription,
    codecs: &[Codec],
    address: IpAddr,
    secrecy: &Secrecy,
) -> Result<(), Refusal> {
    let judge = |media: &Media| {
        usable(offer, media, address)?;
        first_common(formats(media), codecs).ok_or_else(Refusal::none_in_common)?;
        secrecy.answer(offer, media).map(|_| ()).map_err(Refusal::secrecy)
    };
    let mut judged = Err(Refusal::no_audio());
    for media in offer.media.iter().filter(|media| is_audio(media)) {
        judged = judge(media);
        if judged.is_ok() {
            break;
        }
    }
    judged
}

/// What is taken of a stream's formats.
#[derive(Clone, Copy)]
struct Choice {
    codec: Codec,
    payload_type: u8,
    /// Payload type of telephone-event and its clock.
    dtmf: Option<(u8, u32)>,
    /// Payload type of comfort noise.
    comfort: Option<u8>,
    opus: Manner,
}

/// Whether a stream is audio that could reach us and that we could reach.
fn usable(sdp: &SessionDescription, media: &Media, our: IpAddr) -> Result<(), Refusal> {
    if !is_audio(media) {
        return Err(Refusal::no_audio());
    }
    if !secrecy::is_known(&media.protocol) {
        return Err(Refusal::new(302, "only RTP/AVP, RTP/SAVP and UDP/TLS/RTP/SAVPF are supported"));
    }
    match sdp.connection_of(media) {
        // A browser's address is found by ICE; this one is any of its candidates, or none.
        _ if webrtc::has_ice(sdp, media) => Ok(()),
        Some(Host::Address(address)) if address.is_multicast() => {
            Err(Refusal::new(330, "multicast is not available"))
        }
        Some(Host::Address(address)) if address.to_canonical().is_ipv6() != our.to_canonical().is_ipv6() => {
            Err(Refusal::new(301, "the other version of IP is needed here"))
        }
        _ => Ok(()),
    }
}

fn choose(media: &Media, local: &Local, prefer: Option<Codec>) -> Result<Choice, Refusal> {
    let (codec, payload_type, format) = formats(media)
        .find(|(codec, ..)| Some(*codec) == prefer && local.codecs.contains(codec))
        .or_else(|| first_common(formats(media), &local.codecs))
        .ok_or_else(Refusal::none_in_common)?;
    let dtmf = format::dtmf(media, codec).filter(|_| local.keys.events());
    let comfort = format::comfort(media, codec);
    Ok(Choice { codec, payload_type, dtmf, comfort, opus: format::manner(media, format) })
}

/// The formats of a stream that we know, with their payload types.
fn formats(media: &Media) -> impl Iterator<Item = (Codec, u8, &String)> + Clone {
    media
        .formats
        .iter()
        .filter_map(|format| Some((format::codec_of(media, format)?, format::payload_type(format)?, format)))
}

/// The first of the offer that we have; but Opus, which costs as much as a hundred others, only where we like nothing
/// better that is offered too.
fn first_common<'f>(
    offered: impl Iterator<Item = (Codec, u8, &'f String)> + Clone,
    ours: &[Codec],
) -> Option<(Codec, u8, &'f String)> {
    let liked = |codec: Codec| ours.iter().position(|our| *our == codec);
    let mut common = offered.filter(|(codec, ..)| liked(*codec).is_some());
    let first = common.clone().next()?;
    match first.0 {
        Codec::Opus => common.min_by_key(|(codec, ..)| liked(*codec)),
        Codec::Pcma | Codec::Pcmu | Codec::G722 | Codec::L16 => common.next(),
    }
}

/// What `choice` of their description means for us.
fn agree(theirs: &SessionDescription, media: &Media, local: &Local, choice: Choice) -> Agreed {
    let their_direction = theirs.direction_of(media);
    let address = match theirs.connection_of(media) {
        Some(Host::Address(address)) => Some(address.to_canonical()),
        // A name is not looked up: packets tell where they come from.
        Some(Host::Name(_)) | None => None,
    };
    // RFC 3264 §8.4: 0.0.0.0 is "send me nothing", whatever the direction says; under ICE it is "not known yet".
    let unknown = address.is_some_and(|address| address.is_unspecified());
    let nowhere = unknown && !webrtc::has_ice(theirs, media);
    let hold = nowhere || !their_direction.receives();
    let session = media::Session {
        remote: address.filter(|_| !unknown).map(|address| SocketAddr::new(address, media.port)),
        codec: choice.codec,
        payload_type: choice.payload_type,
        dtmf: choice.dtmf.map(|(payload_type, _)| payload_type),
        dtmf_clock: choice.dtmf.map(|(_, clock)| clock).filter(|&clock| clock != choice.codec.clock_rate()),
        besides: media::Besides::default(),
        packet_ms: format::packet_ms(media, choice.codec),
        send: local.direction.sends() && !hold,
        receive: local.direction.receives() && their_direction.sends(),
        symmetric: true,
        srtp: None,
        transport: media::Transport::default(),
        tones: choice.dtmf.is_none() && local.keys.tones(),
        opus: choice.opus,
        comfort: choice.comfort,
    };
    Agreed { session, their_direction, hold }
}

/// RFC 3264 §6.1, §7: who answers sends by the numbers of our offer, and any codec that their answer names; some send by
/// their own numbers.
fn besides(answer: &Media, our_offer: &Local, choice: Choice) -> media::Besides {
    let mut besides = media::Besides::default();
    for format in &answer.formats {
        let known = format::codec_of(answer, format).zip(format::payload_type(format));
        let Some((codec, theirs)) = known.filter(|(codec, _)| our_offer.codecs.contains(codec)) else {
            continue;
        };
        for number in [codec.payload_type(), theirs] {
            if number != choice.payload_type {
                besides.add(number, codec);
            }
        }
    }
    let offered = choice.dtmf.map(|(theirs, clock)| (theirs, format::offered_dtmf(clock)));
    besides.dtmf = offered.filter(|(theirs, ours)| theirs != ours).map(|(_, ours)| ours);
    besides
}

fn description(local: &Local, media: Vec<Media>, time: (u64, u64)) -> SessionDescription {
    let address = Host::Address(local.address);
    SessionDescription {
        origin: Origin {
            user: "-".into(),
            id: local.session.to_string(),
            version: local.version.to_string(),
            address: address.clone(),
        },
        name: "-".into(),
        connection: Some(address),
        time,
        attributes: Vec::new(),
        media,
    }
}

/// The `m=` line that refuses an offered media: port 0, the rest as offered (RFC 3264 §6).
fn refused(offered: &Media) -> Media {
    let attributes = webrtc::mid(offered).into_iter().collect();
    Media { port: 0, ports: 1, connection: None, attributes, ..offered.clone() }
}

fn add_manner(media: &mut Media, packet_ms: u8, direction: Direction) {
    media.attributes.push(format::attribute("ptime", packet_ms.to_string()));
    media.attributes.push((direction.as_str().into(), None));
}
