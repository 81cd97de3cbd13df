//! Packets that a stream must make of PCM: its codec is not bytewise, or its peer's packets do not fit as they are.
//!
//! One mouth says all that the stream says, whether it was played or heard, so that the codec's state is one line.

use crate::media::Codec;
use crate::media::Session;
use crate::media::codec::BYTES_PER_MS;
use crate::media::codec::g722;
use crate::media::codec::opus;
use crate::media::ear::Ear;
use crate::media::mouth::Mouth;

/// Longest packet that is made, in milliseconds.
const PACKET_MAX_MS: usize = 60;

/// Highest rate that is worked at.
const RATE_MAX: usize = 16_000;

/// Makes packets of PCM.
pub struct Voice {
    rate: u32,
    mouth: Mouth,
    /// Hears the peer, where its packets are not passed on as they are.
    ear: Option<Box<Ear>>,
    /// Reads what is played, whose bytes are of G.722.
    played: g722::Decoder,
    payload: Vec<u8>,
}

impl Voice {
    /// For a stream of this session.
    pub fn new(session: &Session) -> Voice {
        // Nothing here comes or goes wider than 16 kHz but between two streams of Opus, which is passed on as it is.
        let narrow = matches!(session.codec, Codec::Pcma | Codec::Pcmu);
        let rate = if narrow { 8000 } else { RATE_MAX as u32 };
        let mut mouth = Mouth::new(session.codec, rate);
        mouth.opus(session.opus);
        Voice {
            rate,
            mouth,
            ear: None,
            played: if narrow { g722::Decoder::narrow() } else { g722::Decoder::wide() },
            payload: Vec::new(),
        }
    }

    /// Goes on with what has been negotiated anew; `None` when the codec is another.
    pub fn modify(mut self: Box<Voice>, session: &Session) -> Option<Box<Voice>> {
        self.mouth.opus(session.opus);
        (self.mouth.codec() == session.codec).then_some(self)
    }

    /// Says Opus otherwise, from the next packet on.
    pub fn opus(&mut self, manner: opus::Manner) {
        self.mouth.opus(manner);
    }

    /// The ear for a peer of `codec`.
    pub fn ear(&mut self, codec: Codec) -> &mut Ear {
        let rate = self.rate;
        self.ear.get_or_insert_with(|| Box::new(Ear::new(codec, rate)))
    }

    /// Whether it hears a peer.
    pub fn hears(&self) -> bool {
        self.ear.is_some()
    }

    /// Its ear, where it has one.
    pub fn hearing(&mut self) -> Option<&mut Ear> {
        self.ear.as_deref_mut()
    }

    /// What the peer talks, where it is heard.
    pub fn heard_codec(&self) -> Option<Codec> {
        self.ear.as_ref().map(|ear| ear.codec())
    }

    /// Packets of the peer that came too late to be heard.
    pub fn late(&self) -> u64 {
        self.ear.as_ref().map_or(0, |ear| ear.figures().late)
    }

    /// Hears nobody any more.
    pub fn forget(&mut self) {
        self.ear = None;
    }

    /// The payload of a packet of what is played, as `bytes` of G.722. Empty where nothing is to be sent.
    pub fn say(&mut self, bytes: &[u8]) -> &[u8] {
        let mut pcm = [0; PACKET_MAX_MS * RATE_MAX / 1000];
        let length = bytes.len() / BYTES_PER_MS * self.rate as usize / 1000;
        let bytes = &bytes[..bytes.len().min(PACKET_MAX_MS * BYTES_PER_MS)];
        self.played.decode(bytes, &mut pcm);
        self.payload.clear();
        self.mouth.encode(&pcm[..length.min(pcm.len())], &mut self.payload);
        &self.payload
    }

    /// The payload of a packet of `packet_ms` of what the peer is heard to say at `ms`. Empty while that is nothing.
    pub fn repeat(&mut self, packet_ms: u8, ms: u64) -> &[u8] {
        self.payload.clear();
        let mut pcm = [0; PACKET_MAX_MS * RATE_MAX / 1000];
        let pcm = &mut pcm[..usize::from(packet_ms).min(PACKET_MAX_MS) * self.rate as usize / 1000];
        if self.ear.as_mut().is_some_and(|ear| ear.pull(pcm, ms)) {
            self.mouth.encode(pcm, &mut self.payload);
        }
        &self.payload
    }
}
