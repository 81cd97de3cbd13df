//! What the lines of a media say of its formats: codecs by name, how they are to be used, keys, comfort noise.
//!
//! Opus after RFC 7587 §6 and §7: its clock is 48 kHz and it always has two channels by name, whatever is sent.

use crate::media::Codec;
use crate::media::codec::opus;
use crate::media::codec::opus::Manner;
use crate::sdp::Attribute;
use crate::sdp::Media;
use crate::sdp::RtpMap;

/// Payload types of telephone-event in our own offers: the customary one, and that of Opus' clock.
const DTMF_PAYLOAD: u8 = 101;
const WIDE_DTMF_PAYLOAD: u8 = 110;

/// The sixteen keys (RFC 4733 §3.2).
const DTMF_EVENTS: &str = "0-15";

/// The clock of telephone-event beside G.711 and G.722 (RFC 3551 §4.5.2).
const CLOCK: u32 = 8000;

/// Static payload type of comfort noise (RFC 3551 §6).
const COMFORT_PAYLOAD: u8 = 13;

/// Packet length that is meant where none is named (RFC 3551 §4.2, RFC 7587 §7).
const PACKET_MS: u32 = 20;

/// The codec of a payload type, from its mapping or else from its static number.
pub(super) fn codec_of(media: &Media, format: &str) -> Option<Codec> {
    match media.rtpmap(format) {
        Some(map) => Codec::ALL.into_iter().find(|&codec| is(&map, codec)),
        None => Codec::BYTEWISE.into_iter().find(|codec| Some(codec.payload_type()) == payload_type(format)),
    }
}

fn is(map: &RtpMap<'_>, codec: Codec) -> bool {
    let channels = if codec == Codec::Opus { 1..=2 } else { 1..=1 };
    // Without a clock only those whose clock is known by their number are meant.
    let clock = map.clock.unwrap_or(CLOCK) == codec.clock_rate();
    map.encoding.eq_ignore_ascii_case(codec.name()) && clock && channels.contains(&map.channels)
}

/// RFC 3551 §6: payload types are 0 to 127.
pub(super) fn payload_type(format: &str) -> Option<u8> {
    format.parse().ok().filter(|&number| number <= 127)
}

/// How the other side wants Opus, from the parameters of that format; what is not understood is passed over.
pub(super) fn manner(media: &Media, format: &str) -> Manner {
    let parameters = media.fmtp(format).unwrap_or_default();
    let value = |name: &str| {
        let pairs = parameters.split(';').filter_map(|pair| pair.split_once('='));
        let mut named = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        named.next().and_then(|(_, value)| value.trim().parse::<u32>().ok())
    };
    let bitrate = value("maxaveragebitrate").unwrap_or(opus::BITRATE_MAX).clamp(6000, opus::BITRATE_MAX);
    let on = |name| value(name) == Some(1);
    Manner { bitrate, fec: on("useinbandfec"), dtx: on("usedtx"), loss_percent: 0 }
}

/// The payload type of telephone-event and its clock: that of the codec (RFC 4733 §2.1), else the customary one.
pub(super) fn dtmf(media: &Media, codec: Codec) -> Option<(u8, u32)> {
    let clocks = || {
        media.formats.iter().filter_map(|format| {
            let map = media.rtpmap(format)?;
            let named = map.encoding.eq_ignore_ascii_case("telephone-event");
            named.then_some((payload_type(format)?, map.clock.unwrap_or(CLOCK)))
        })
    };
    let of = |clock| clocks().find(|(_, known)| *known == clock);
    of(codec.clock_rate()).or_else(|| of(CLOCK))
}

/// The payload type of comfort noise beside this codec (RFC 3389 §4: only where the clock is that of telephony).
pub(super) fn comfort(media: &Media, codec: Codec) -> Option<u8> {
    let is_comfort = |format: &&String| match media.rtpmap(format) {
        Some(map) => map.encoding.eq_ignore_ascii_case("CN") && map.clock.unwrap_or(CLOCK) == CLOCK,
        None => payload_type(format) == Some(COMFORT_PAYLOAD),
    };
    let found = media.formats.iter().find(is_comfort).filter(|_| codec.clock_rate() == CLOCK)?;
    payload_type(found)
}

/// The longest packet that we make and that is not longer than they ask for (`ptime`) and bear (`maxptime`). Opus has no
/// frame of 30 ms, and 60 ms of L16 do not fit into a packet.
pub(super) fn packet_ms(media: &Media, codec: Codec) -> u8 {
    let number = |name| {
        let digits = media.attribute(name)?.trim().split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u32>().ok().filter(|&ms| ms > 0)
    };
    let wanted = number("ptime").unwrap_or(PACKET_MS).min(number("maxptime").unwrap_or(u32::MAX));
    let lengths: &[u8] = match codec {
        Codec::Pcma | Codec::Pcmu | Codec::G722 => &[60, 40, 30, 20],
        Codec::Opus => &[60, 40, 20],
        Codec::L16 => &[40, 30, 20],
    };
    lengths.iter().copied().find(|&ms| u32::from(ms) <= wanted).unwrap_or(10)
}

/// Names a codec by this payload type.
pub(super) fn add(media: &mut Media, payload_type: u8, codec: Codec) {
    let channels = if codec == Codec::Opus { "/2" } else { "" };
    name(media, payload_type, &format!("{}/{}{channels}", codec.name(), codec.clock_rate()));
    if codec == Codec::Opus {
        // RFC 7587 §6.1: we read error correction, and hear one channel.
        let ours = format!("{payload_type} minptime=10;useinbandfec=1;stereo=0");
        media.attributes.push(attribute("fmtp", ours));
    }
}

/// Offers telephone-event on the clocks of these codecs.
pub(super) fn offer_dtmf(media: &mut Media, codecs: &[Codec]) {
    add_dtmf(media, DTMF_PAYLOAD, CLOCK);
    if codecs.contains(&Codec::Opus) {
        add_dtmf(media, WIDE_DTMF_PAYLOAD, Codec::Opus.clock_rate());
    }
}

/// The payload type of telephone-event of this clock in our own offers.
pub(super) fn offered_dtmf(clock: u32) -> u8 {
    if clock == CLOCK { DTMF_PAYLOAD } else { WIDE_DTMF_PAYLOAD }
}

/// Names telephone-event.
pub(super) fn add_dtmf(media: &mut Media, payload_type: u8, clock: u32) {
    name(media, payload_type, &format!("telephone-event/{clock}"));
    media.attributes.push(attribute("fmtp", format!("{payload_type} {DTMF_EVENTS}")));
}

/// Names comfort noise.
pub(super) fn add_comfort(media: &mut Media, payload_type: u8) {
    name(media, payload_type, &format!("CN/{CLOCK}"));
}

fn name(media: &mut Media, payload_type: u8, encoding: &str) {
    media.formats.push(payload_type.to_string());
    media.attributes.push(attribute("rtpmap", format!("{payload_type} {encoding}")));
}

/// An attribute with a value.
pub(super) fn attribute(name: &str, value: String) -> Attribute {
    (name.into(), Some(value))
}
