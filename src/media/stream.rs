//! One RTP stream: what was negotiated, its two directions, and what it sends.
//!
//! `latch` says whose packets count and where ours go, `incoming` counts what comes (RFC 3550 appendix A),
//! `outgoing` keeps sequence, timestamp and SSRC one line whatever the source.

pub mod doubt;
pub mod incoming;
pub mod latch;
pub mod outgoing;
pub mod voice;

use crate::media::MixId;
use crate::media::Session;
use crate::media::Silence;
use crate::media::StreamId;
use crate::media::dtmf;
use crate::media::dtmf_inband::Listener;
use crate::media::duck::Duck;
use crate::media::engine::record::Record;
use crate::media::engine::reports::Hearing;
use crate::media::engine::secure::Guard;
use crate::media::engine::tape::Tape;
use crate::media::rtp::Header;
use crate::media::slots::Place;
use crate::media::source::Line;
use crate::media::source::Play;
use crate::media::srtp::Srtp;
use crate::media::stream::doubt::Doubt;
use crate::media::stream::incoming::Incoming;
use crate::media::stream::latch::Latch;
use crate::media::stream::outgoing::Outgoing;
use crate::media::stream::voice::Voice;

/// Everything about one stream. Made and changed by the engine only.
pub struct Stream {
    /// Which.
    pub id: StreamId,
    /// What was negotiated.
    pub session: Session,
    /// Whose packets count, and where ours go.
    pub latch: Latch,
    /// Its ICE and DTLS.
    pub guard: Guard,
    /// Opens what comes and protects what goes, where that was negotiated.
    pub srtp: Option<Box<Srtp>>,
    /// What has come.
    pub incoming: Incoming,
    /// What has gone.
    pub outgoing: Outgoing,
    /// Dropped packets.
    pub dropped: u64,
    /// Hears keys.
    pub keys_in: dtmf::Receiver,
    /// Hears keys in the audio, where no telephone-event was negotiated.
    pub tones_in: Option<Box<Listener>>,
    /// Keys that come are not passed on.
    pub keeps_keys: bool,
    /// Sends keys as telephone-events.
    pub keys_out: dtmf::Sender,
    /// Sends keys as tones.
    pub key_tones: Option<Play>,
    /// What is played over the base.
    pub play: Option<Play>,
    /// What is sent beneath.
    pub line: Line,
    /// Turns music down beneath what is played.
    pub duck: Option<Box<Duck>>,
    /// Makes its packets where bytes cannot be passed on or copied.
    pub voice: Option<Box<Voice>>,
    /// The key that its peer pressed last is pressed anew, not passed on.
    pub presses: bool,
    /// Packets of the peer in a row that were of another length than ours.
    pub misfits: u8,
    /// Whose base is this stream.
    pub listeners: Vec<StreamId>,
    /// What is recorded of it.
    pub record: Option<Record>,
    /// The recording of its call.
    pub tape: Option<Box<Tape>>,
    /// Its slot, from its first own packet on.
    pub place: Option<Place>,
    /// Whether it stands in the wheel.
    pub in_wheel: bool,
    /// When it is looked after, in turns of 50 ms.
    pub check: Place,
    /// When the other side was last alive, or was first expected to be.
    pub alive_ms: u64,
    /// What has come since, and was of no use.
    pub doubt: Doubt,
    /// As what its silence has been told.
    pub quiet_told: Option<Silence>,
    /// Whether its first packet has been told.
    pub heard_told: bool,
    /// When the next RTCP report is due.
    pub report_ms: u64,
    /// From the other side's reports.
    pub rtt_us: Option<u32>,
    /// From the other side's reports.
    pub remote_fraction_lost: Option<u8>,
    /// What the other side says that it hears.
    pub hearing: Hearing,
    /// When its figures are told next.
    pub figures_ms: u64,
}

impl Stream {
    /// Whether it makes packets of its own in this moment, rather than passing on what comes.
    pub fn generates(&self) -> bool {
        self.overlaid() || matches!(self.line, Line::Loop { .. }) || self.repeats()
    }

    /// Whether it says anew what its peer says, rather than passing it on.
    pub fn repeats(&self) -> bool {
        matches!(self.line, Line::Peer(_)) && self.voice.as_ref().is_some_and(|voice| voice.hears())
    }

    /// Listens for tones from here on, or no longer, as its session has it.
    pub fn settle_tones(&mut self) {
        let wanted = self.session.tones && self.session.dtmf.is_none();
        match (wanted, &self.tones_in) {
            (true, None) => self.tones_in = Some(Box::default()),
            (false, Some(_)) => self.tones_in = None,
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// The recording of its call takes a payload that it is sent.
    pub fn tape_sent(&mut self, header: &Header, payload: &[u8], ms: u64) {
        if let Some(tape) = &mut self.tape {
            tape.take(true, self.session.codec, (header.ssrc, header.timestamp), payload, ms);
        }
    }

    /// Whether something covers its base.
    pub fn overlaid(&self) -> bool {
        self.play.is_some() || self.key_tones.is_some() || !self.keys_out.is_idle()
    }

    /// Whether its keys are still to come: what arrives before is not theirs.
    pub fn awaits_keys(&self) -> bool {
        self.srtp.is_none() && self.session.transport.needs_keys()
    }

    /// Its silence counts from here on.
    pub fn watch_from(&mut self, ms: u64) {
        (self.alive_ms, self.quiet_told) = (ms, None);
        self.doubt.clear();
    }

    /// Why nothing is heard of it.
    pub fn silence(&self) -> Silence {
        if self.awaits_keys() { Silence::NoKeys } else { self.doubt.cause() }
    }

    /// Its peer is another from here on, or none.
    pub fn hear_another(&mut self) {
        if let Some(voice) = &mut self.voice {
            voice.forget();
        }
        (self.misfits, self.presses) = (0, false);
        self.outgoing.interrupt();
    }

    /// What its peer says is not passed on for a while.
    pub fn interrupt(&mut self) {
        if let Some(ear) = self.voice.as_mut().and_then(|voice| voice.hearing()) {
            ear.interrupt();
        }
        self.outgoing.interrupt();
    }

    /// Whose packets it passes on, if its base is a peer.
    pub fn peer(&self) -> Option<StreamId> {
        match self.line {
            Line::Peer(peer) => Some(peer),
            Line::Silence | Line::Loop { .. } | Line::Mix { .. } => None,
        }
    }

    /// The mix that it is in.
    pub fn mix(&self) -> Option<MixId> {
        match self.line {
            Line::Mix { mix, .. } => Some(mix),
            Line::Silence | Line::Loop { .. } | Line::Peer(_) => None,
        }
    }
}
