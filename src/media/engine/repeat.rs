//! A peer's packets that cannot be passed on as they are: heard through an ear, and said anew in the listener's slot.

use crate::media::codec::Converter;
use crate::media::engine::output::Kind;
use crate::media::engine::output::Passed;
use crate::media::rtp::Header;
use crate::media::stream::Stream;
use crate::media::stream::voice::Voice;
use crate::media::tone::KEYS;

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

/// Whether a peer's event is not to be passed on to this listener, for it is of a key that is pressed anew, or whose
/// beginning was not passed on; presses the key when its press begins. Timestamps of the peer mean nothing on a line of our
/// own, and what covers that line must not swallow a key: a press is passed on or pressed anew, never both.
pub(super) fn takes_key(
    stream: &mut Stream,
    begun: Option<u8>,
    passed: (&Header, u64),
    payload: &[u8],
) -> bool {
    let is_key = payload.first().is_some_and(|event| usize::from(*event) < KEYS.len());
    let (header, line) = passed;
    let goes_on = stream.outgoing.goes_on(header, line);
    if let Some(code) = begun {
        let sends = stream.session.send && stream.session.dtmf.is_some();
        // Some gateways send keys as another source, which would begin another line with each report between audio.
        let breaks = stream.outgoing.is_passing() && !goes_on;
        stream.presses = sends && (stream.repeats() || stream.overlaid() || breaks);
        if stream.presses {
            stream.keys_out.push(code);
        }
        return stream.presses;
    }
    is_key && (stream.presses || !goes_on)
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
        // A key is pressed anew; other events mean nothing on a line of our own.
        Kind::Event { .. } | Kind::Kept => {}
    }
}
