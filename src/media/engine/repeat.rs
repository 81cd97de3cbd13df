//! A peer's packets that cannot be passed on as they are: heard through an ear, and said anew in the listener's slot.

use crate::media::codec::Converter;
use crate::media::engine::output::Kind;
use crate::media::engine::output::Passed;
use crate::media::stream::Stream;
use crate::media::stream::voice::Voice;

/// So many packets in a row of another length than the listener asked for, and they are cut anew.
const MISFITS_MAX: u8 = 3;

/// Whether a peer's packet must be heard and said anew: its codec cannot be turned into ours byte by byte, or its
/// packets are of another length than the other side asked for.
///
/// Opus is never cut anew, for its receivers take any length (RFC 7587 §7) and every decoding costs quality.
pub(super) fn must(stream: &mut Stream, kind: Kind, payload: &[u8]) -> bool {
    let ours = stream.session.codec;
    if let Kind::Audio(codec) = kind {
        if !Converter::passes(codec, ours) {
            return true;
        }
        let asked = u32::from(stream.session.packet_ms) * ours.units_per_ms();
        let misfits = ours.is_bytewise() && codec.units(payload) != Some(asked);
        stream.misfits = if misfits { stream.misfits.saturating_add(1) } else { 0 };
        if stream.misfits >= MISFITS_MAX {
            return true;
        }
    }
    stream.repeats()
}

/// Hears a peer's packet; what it is turned into goes out in the stream's slot.
pub(super) fn hear(stream: &mut Stream, passed: &Passed, payload: &[u8]) {
    let (header, ms) = (&passed.header, passed.ms);
    let voice = stream.voice.get_or_insert_with(|| Box::new(Voice::new(&stream.session)));
    match passed.kind {
        Kind::Audio(codec) => voice.ear(codec).receive(header, payload, codec, ms),
        Kind::Comfort => {
            if let Some(ear) = voice.hearing() {
                ear.comfort(header, payload, ms);
            }
        }
        // Timestamps of the peer mean nothing on a line of our own: the key is pressed anew.
        Kind::Event(_) => {
            let key = voice.key(payload, header.timestamp, header.marker, ms);
            if let (Some(code), Some(_)) = (key, stream.session.dtmf) {
                stream.keys_out.push(code);
            }
        }
        Kind::Kept => {}
    }
}
