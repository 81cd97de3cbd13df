//! RTP as pure computation; knows nothing of calls.
//!
//! The core sends [`Command`]s, the [`engine::Engine`] of each media thread answers with [`Event`]s. Packets
//! never pass through the core.

pub mod bank;
pub mod codec;
pub mod dtls;
pub mod dtmf;
pub mod dtmf_inband;
pub mod duck;
pub mod ear;
pub mod engine;
pub mod ice;
pub mod mix;
pub mod mixer;
pub mod mouth;
pub mod quality;
mod reading;
pub mod reel;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod slots;
pub mod source;
pub mod srtp;
pub mod stream;
pub mod tone;

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use crate::media::codec::Codec;

/// One RTP stream: the socket bound to `port` (RTP) and `port + 1` (RTCP) on a media thread, in its
/// `generation`-th use, so that late events of an earlier use are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Media thread.
    pub thread: u8,
    /// Even RTP port.
    pub port: u16,
    /// Counts the uses of this port.
    pub generation: u32,
}

/// Names one mix of several streams, and the media thread on which it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MixId {
    /// Media thread.
    pub thread: u8,
    /// Given once.
    pub number: u32,
}

/// Who hears a stream that is in a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Everybody else in it.
    All,
    /// Nobody.
    Nobody,
    /// Only this one.
    Only(StreamId),
}

/// Names one playing, so that its end can be told from that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayId(pub u64);

/// Names one recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub u64);

/// What the recording of a call becomes: two channels, one for each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapeForm {
    /// 16-bit PCM.
    Wav,
    /// Opus in Ogg (RFC 7845).
    Opus,
}

/// Names a clip of the bank; the engine looks it up when a command is carried out.
pub type ClipName = Arc<str>;

/// What was negotiated for a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Where the other side wants to receive (from its SDP); `None` while unknown (late offer).
    pub remote: Option<SocketAddr>,
    /// Codec that we send and expect.
    pub codec: Codec,
    /// Its payload type, as the other side numbers it (also used for receiving).
    pub payload_type: u8,
    /// Payload type of telephone-event (RFC 4733), when negotiated.
    pub dtmf: Option<u8>,
    /// Clock of those events in hertz, where it is not the codec's as RFC 4733 §2.1 would have it.
    pub dtmf_clock: Option<u32>,
    /// What else may come.
    pub besides: Besides,
    /// Milliseconds of audio in a packet that we make: 10, 20, 30, 40 or 60.
    pub packet_ms: u8,
    /// We send (their direction is sendrecv or recvonly).
    pub send: bool,
    /// We listen (their direction is sendrecv or sendonly).
    pub receive: bool,
    /// Follow the address that packets come from, within the latching rules.
    pub symmetric: bool,
    /// Packets of both directions are protected with these keys, and no others count.
    pub srtp: Option<srtp::Keys>,
    /// What lies between RTP and the sockets.
    pub transport: Transport,
    /// Without telephone-event, keys are looked for in the audio, and sent as tones.
    pub tones: bool,
    /// How the other side wants Opus; of no meaning to other codecs.
    pub opus: codec::opus::Manner,
    /// Payload type of comfort noise (RFC 3389), when negotiated: what a peer sends of it is passed on.
    pub comfort: Option<u8>,
}

/// Payload types that may come besides those that we send: of who answered our offer and has other numbers for what we
/// offered, or more codecs than one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Besides {
    codecs: [Option<(u8, Codec)>; 4],
    /// Another payload type of telephone-event.
    pub dtmf: Option<u8>,
}

impl Besides {
    /// This payload type is this codec, unless it is known already; more than four are left out.
    pub fn add(&mut self, payload_type: u8, codec: Codec) {
        if self.codec(payload_type).is_none()
            && let Some(free) = self.codecs.iter_mut().find(|place| place.is_none())
        {
            *free = Some((payload_type, codec));
        }
    }

    /// What comes by this payload type.
    pub fn codec(&self, payload_type: u8) -> Option<Codec> {
        let known = self.codecs.iter().flatten().find(|(known, _)| *known == payload_type);
        known.map(|(_, codec)| *codec)
    }
}

/// What lies between a stream's packets and its sockets, as browsers want it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    /// RTCP goes and comes by the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Where the other side is, is known by its checks alone.
    pub ice: Option<ice::Terms>,
    /// The keys come by DTLS: until then nothing is sent and nothing heard.
    pub dtls: Option<dtls::Terms>,
    /// The host that signalling comes from: audio from there is believed, as of a phone behind NAT.
    pub signaling: Option<IpAddr>,
}

impl Transport {
    /// Whether only keys that are still to come make a packet one of this session: they come by DTLS, or it is not even
    /// known how, since the other side has not answered.
    pub fn needs_keys(&self) -> bool {
        self.dtls.is_some() || self.ice.as_ref().is_some_and(|ice| ice.their_ufrag.is_none())
    }
}

impl Default for Session {
    /// A-law both ways in packets of 20 ms, to nobody yet.
    fn default() -> Session {
        Session {
            remote: None,
            codec: Codec::Pcma,
            payload_type: Codec::Pcma.payload_type(),
            dtmf: None,
            dtmf_clock: None,
            besides: Besides::default(),
            packet_ms: 20,
            send: true,
            receive: true,
            symmetric: true,
            srtp: None,
            transport: Transport::default(),
            tones: false,
            opus: codec::opus::Manner::default(),
            comfort: None,
        }
    }
}

impl Session {
    /// Units of the clock of telephone-events in a millisecond.
    pub fn dtmf_units_per_ms(&self) -> u16 {
        (self.dtmf_clock.unwrap_or(self.codec.clock_rate()) / 1000) as u16
    }
}

/// What a stream sends while nothing is played over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing: no packets.
    Silence,
    /// A clip over and over, as a continuous line: who comes later hears what all others hear.
    Music(ClipName),
    /// A tone for ever.
    Tone(tone::Tone),
    /// What the other stream receives: relayed on arrival, heard and said anew only if codecs or packet times differ.
    Peer(StreamId),
    /// What the stream itself receives.
    Echo,
    /// What the others in a mix say. A mix is there while a stream is in it.
    Mix {
        /// Which.
        mix: MixId,
        /// Who of them hears this stream.
        voice: Voice,
    },
}

/// An order to a media thread. A command for a stream of an older generation is ignored.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Begins a stream on its port; sends `Base::Silence`.
    Open {
        /// Which.
        stream: StreamId,
        /// How.
        session: Session,
    },
    /// Changes what was negotiated; sequence, timestamp and SSRC go on.
    Modify {
        /// Which.
        stream: StreamId,
        /// How.
        session: Session,
    },
    /// What to send while nothing is played.
    Base {
        /// Which.
        stream: StreamId,
        /// What.
        base: Base,
    },
    /// Plays items one after the other, over the base; replaces what is being played (which ends without event).
    Play {
        /// Which.
        stream: StreamId,
        /// Its name.
        play: PlayId,
        /// What, in order.
        items: Vec<PlayItem>,
        /// How many times in all; 0 is for ever.
        repeat: u32,
    },
    /// Stops playing; the base goes on. No event.
    Stop {
        /// Which.
        stream: StreamId,
    },
    /// Sends a key as a telephone-event (RFC 4733), or as a tone in the audio where the session has `tones`.
    SendDigit {
        /// Which.
        stream: StreamId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// Keys that come (RFC 4733) are told, but not passed on to the peer; or are again.
    KeepKeys {
        /// Whose keys.
        stream: StreamId,
        /// Kept.
        keep: bool,
    },
    /// Records what the stream receives, as 16-bit PCM at the codec's rate (16 kHz at most), into the file of that name.
    Record {
        /// Which.
        stream: StreamId,
        /// Its name.
        record: RecordId,
        /// File name under the data folder.
        file: Arc<str>,
        /// Ends by itself after this much audio.
        max: Duration,
        /// Ends by itself after this much silence (no packets, or below −45 dBm0).
        max_silence: Option<Duration>,
    },
    /// Ends a recording; answered by `Event::Recorded`.
    StopRecord {
        /// Which.
        stream: StreamId,
    },
    /// Plays items once to everybody in the mix that the stream is in, together with what is said. No event.
    PlayInMix {
        /// One of those in it.
        stream: StreamId,
        /// What, in order.
        items: Vec<PlayItem>,
    },
    /// Records what the stream receives and what it is sent, as one side each, into the file of that name; a recording
    /// of that name that has left another stream goes on. Answered by `Event::Recorded` after its last `StopTape`.
    Tape {
        /// Which.
        stream: StreamId,
        /// Its name.
        record: RecordId,
        /// File name under the data folder, as when it began.
        file: Arc<str>,
        /// What it becomes.
        form: TapeForm,
        /// What the stream receives is the right side, else the left.
        flipped: bool,
        /// Begins with a pause.
        paused: bool,
    },
    /// Takes nothing for a while, or again; silence stands in the file.
    PauseTape {
        /// Which.
        stream: StreamId,
        /// Nothing.
        paused: bool,
    },
    /// The recording leaves the stream: for good, or to go on at another. Also for a stream that is closed already.
    StopTape {
        /// Which.
        stream: StreamId,
        /// Its name.
        record: RecordId,
        /// For good.
        last: bool,
    },
    /// Ends the stream: RTCP BYE, socket unused, `Event::Closed`.
    Close {
        /// Which.
        stream: StreamId,
    },
}

/// One thing to play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayItem {
    /// A clip.
    Clip(ClipName),
    /// A tone for a while.
    Tone(tone::Tone, Duration),
    /// Silence for a while.
    Pause(Duration),
}

/// What a media thread says.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// At start: the even ports that this thread has bound.
    Ports {
        /// Thread.
        thread: u8,
        /// Ports.
        ports: Vec<u16>,
    },
    /// A key, once per press, when it begins.
    Digit {
        /// Where.
        stream: StreamId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// A playing came to its end by itself.
    PlayFinished {
        /// Where.
        stream: StreamId,
        /// Which.
        play: PlayId,
    },
    /// A recording has ended and its file is complete (or could not be written).
    Recorded {
        /// Where; none when the media ended before its call.
        stream: Option<StreamId>,
        /// Which.
        record: RecordId,
        /// Audio in the file.
        length: Duration,
        /// What went wrong, told to the operator.
        error: Option<Arc<str>>,
    },
    /// A recording that goes on cannot be written whole, told once; what is in the file so far can be read.
    NotRecorded {
        /// Which.
        record: RecordId,
        /// Why, for the operator.
        error: Arc<str>,
    },
    /// A recording that could not be written is written again.
    RecordedAgain {
        /// Which.
        record: RecordId,
        /// So much of it is silence.
        missing: Duration,
    },
    /// The first packet from the other side has come.
    Heard {
        /// Where.
        stream: StreamId,
        /// Where from.
        from: SocketAddr,
    },
    /// Nothing that could be heard has come for this long although the session says it should. Told once per silence,
    /// and once more when its cause turns out to be another.
    Quiet {
        /// Where.
        stream: StreamId,
        /// How long.
        silent: Duration,
        /// Why.
        cause: Silence,
    },
    /// At start: whose certificate DTLS shows here, for descriptions.
    Certificate {
        /// Its digest.
        fingerprint: dtls::Fingerprint,
    },
    /// DTLS has brought the keys.
    Secured {
        /// Where.
        stream: StreamId,
        /// What they are for.
        suite: srtp::Suite,
    },
    /// There will be no keys by DTLS; the stream stays silent.
    Unsecured {
        /// Where.
        stream: StreamId,
        /// For the operator.
        why: Arc<str>,
    },
    /// Audio comes again from a side that was quiet, or its reports say again that it hears us.
    Restored {
        /// Where.
        stream: StreamId,
    },
    /// The other side's reports say that nothing of what we send arrives (told once until it does).
    Unheard {
        /// Where.
        stream: StreamId,
    },
    /// What a stream has counted so far; told every other second.
    Figures {
        /// Where.
        stream: StreamId,
        /// What.
        stats: Stats,
    },
    /// A stream is over and its port can be used again.
    Closed {
        /// Where.
        stream: StreamId,
        /// What it counted.
        stats: Stats,
    },
    /// A thread is short of time: what it has to send goes out late, or soon will. Told every 100 ms while it is so.
    Short {
        /// Thread.
        thread: u8,
        /// How late the latest slot of these 100 ms was.
        late: Duration,
        /// How much of them it was at work.
        busy_percent: u8,
    },
}

/// Why nothing is heard of a stream's other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// Nothing comes.
    #[default]
    Nothing,
    /// What comes is from an address that neither the description nor ICE names.
    Stranger(SocketAddr),
    /// What comes from there is not protected by the agreed keys.
    Sealed(SocketAddr),
    /// What comes from there is not of the agreed payload types.
    Unfit(SocketAddr),
    /// DTLS has brought no keys.
    NoKeys,
}

/// What a stream counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// RTP packets received and used.
    pub received: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// Gaps in the received sequence.
    pub lost: u64,
    /// Dropped: malformed, not authentic, wrong payload type, wrong source, late.
    pub dropped: u64,
    /// Interarrival jitter at the end, in RTP units (RFC 3550 §6.4.1).
    pub jitter: u32,
    /// Round-trip time from RTCP in microseconds, when known.
    pub rtt_us: Option<u32>,
    /// What the other side reported as lost, out of 256 (last report).
    pub remote_fraction_lost: Option<u8>,
    /// What the other side talks; none before the stream was opened.
    pub codec: Option<Codec>,
    /// What its peer talks, where that has to be heard and said anew in `codec`.
    pub converted_from: Option<Codec>,
    /// Where its packets come from.
    pub from: Option<SocketAddr>,
    /// Interarrival jitter in microseconds.
    pub jitter_us: u32,
    /// Estimated mean opinion score of what the other side sends us, in hundredths; none before anything came.
    pub mos: Option<u16>,
    /// Nothing comes although it should.
    pub quiet: bool,
    /// It reports that nothing of ours arrives.
    pub unheard: bool,
}
