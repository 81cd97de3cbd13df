//! What an engine has to say, kept in buffers that are used again.

use std::net::SocketAddr;
use std::ops::Range;

use crate::media::Codec;
use crate::media::Event;
use crate::media::MixId;
use crate::media::PlayItem;
use crate::media::StreamId;
use crate::media::Voice;
use crate::media::codec::Converter;
use crate::media::dtls::Errand;
use crate::media::engine::record::Chunk;
use crate::media::mix::Format;
use crate::media::rtp::Header;
use crate::media::srtp::Srtp;

/// Of the headers that we write: no lists, no extensions.
const HEADER_BYTES: usize = 12;

/// Everything that is to go out. Whoever fetches empties it.
#[derive(Default)]
pub struct Output {
    bytes: Vec<u8>,
    packets: Vec<Placed>,
    /// For the core.
    pub events: Vec<Event>,
    /// For the recorder.
    pub chunks: Vec<Chunk>,
    /// For the engines of other threads.
    pub links: Vec<Link>,
    /// For the worker that shakes hands.
    pub errands: Vec<Errand>,
    /// Packets that came or were to go, and did not.
    pub dropped: Dropped,
}

/// Packets dropped, by reason. A stream's own count is in its `Stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// No RTP or RTCP of the session.
    pub malformed: u64,
    /// Not protected by the keys of the session.
    pub unauthentic: u64,
    /// Of somebody who is not the stream's source.
    pub stranger: u64,
    /// Repeated, far out of order, or while nothing is to be received.
    pub unwanted: u64,
    /// Not taken by the kernel.
    pub unsent: u64,
    /// For a media thread that is too far behind.
    pub thread_behind: u64,
    /// For a recorder that is too far behind: seconds of audio.
    pub disk_behind: u64,
    /// Of a recorded call that sends more in a second than is kept of one: packets.
    pub tape_full: u64,
}

impl Dropped {
    /// Names of the reasons, in the order of [`Dropped::take`].
    pub const REASONS: [&str; 8] = [
        "malformed",
        "unauthentic",
        "stranger",
        "unwanted",
        "unsent",
        "thread_behind",
        "disk_behind",
        "tape_full",
    ];

    /// Counts what could not be opened or read.
    pub fn no_use(&mut self, protected: bool) {
        match protected {
            true => self.unauthentic += 1,
            false => self.malformed += 1,
        }
    }

    /// The counts, which begin again from nought.
    pub fn take(&mut self) -> [u64; 8] {
        let Dropped {
            malformed,
            unauthentic,
            stranger,
            unwanted,
            unsent,
            thread_behind,
            disk_behind,
            tape_full,
        } = std::mem::take(self);
        [malformed, unauthentic, stranger, unwanted, unsent, thread_behind, disk_behind, tape_full]
    }
}

struct Placed {
    port: u16,
    /// It is RTCP, whichever port it leaves from.
    report: bool,
    /// It leaves from the port above.
    rtcp: bool,
    to: SocketAddr,
    range: Range<usize>,
}

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'b> {
    /// The stream's even port; RTCP leaves from the port above it, unless it is multiplexed.
    pub port: u16,
    /// Whether it leaves from the RTCP port.
    pub rtcp: bool,
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub bytes: &'b [u8],
}

/// What an engine says to that of another thread, where a peer is served by the other.
#[derive(Debug, PartialEq, Eq)]
pub enum Link {
    /// To the source's thread: pass its packets to this listener.
    Listen {
        /// Whose packets.
        source: StreamId,
        /// To whom.
        listener: StreamId,
    },
    /// To the source's thread: no longer.
    Unlisten {
        /// Whose packets.
        source: StreamId,
        /// To whom.
        listener: StreamId,
    },
    /// To a mix's thread: a stream is in it, or changes.
    Join {
        /// Which mix.
        mix: MixId,
        /// Which stream.
        stream: StreamId,
        /// What it is sent.
        format: Format,
        /// Who hears it.
        voice: Voice,
    },
    /// To a mix's thread: a stream is no longer in it.
    Leave {
        /// Which mix.
        mix: MixId,
        /// Which stream.
        stream: StreamId,
    },
    /// To a mix's thread: what one of its streams has received.
    Said {
        /// Which mix.
        mix: MixId,
        /// What it is.
        passed: Passed,
        /// Its payload.
        payload: Box<[u8]>,
    },
    /// To a mix's thread: what all in it are to hear.
    PlayInMix {
        /// Which mix.
        mix: MixId,
        /// What.
        items: Vec<PlayItem>,
    },
    /// To the listener's thread: a packet of the mix that it is in.
    Mixed {
        /// To whom.
        listener: StreamId,
        /// Which mix.
        mix: MixId,
        /// Its payload.
        payload: Box<[u8]>,
    },
    /// To the listener's thread: a packet of its peer.
    Packet {
        /// To whom.
        listener: StreamId,
        /// What it is.
        passed: Passed,
        /// Its payload.
        payload: Box<[u8]>,
    },
}

impl Link {
    /// Whether it is one packet of many, which may be lost; the others begin or end something.
    pub fn is_packet(&self) -> bool {
        match self {
            Link::Packet { .. } | Link::Said { .. } | Link::Mixed { .. } => true,
            Link::Listen { .. }
            | Link::Unlisten { .. }
            | Link::Join { .. }
            | Link::Leave { .. }
            | Link::PlayInMix { .. } => false,
        }
    }

    /// The thread that it is for.
    pub fn thread(&self) -> u8 {
        match self {
            Link::Listen { source, .. } | Link::Unlisten { source, .. } => source.thread,
            Link::Packet { listener, .. } | Link::Mixed { listener, .. } => listener.thread,
            Link::Join { mix, .. }
            | Link::Leave { mix, .. }
            | Link::Said { mix, .. }
            | Link::PlayInMix { mix, .. } => mix.thread,
        }
    }
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Audio in this codec.
    Audio(Codec),
    /// A telephone-event, on a clock of so many units in a millisecond; `begun` is the event code of the key whose press
    /// begins with it.
    Event { per_ms: u16, begun: Option<u8> },
    /// Comfort noise (RFC 3389): a sign of life, not audio.
    Comfort,
    /// Something that is kept from those who listen.
    Kept,
}

/// A received packet on its way to those who listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Who received it.
    pub source: StreamId,
    /// Its header.
    pub header: Header,
    /// What it carries.
    pub kind: Kind,
    /// When it came, in the engine's milliseconds.
    pub ms: u64,
}

impl Output {
    /// Adds an RTP packet whose payload is written by `fill` into a buffer of `length` bytes.
    pub fn rtp<T>(
        &mut self,
        (port, to): (u16, SocketAddr),
        header: &Header,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> T,
    ) -> T {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&header.bytes());
        let at = self.bytes.len();
        self.bytes.resize(at + length, 0);
        let told = fill(&mut self.bytes[at..]);
        self.packets.push(Placed { port, report: false, rtcp: false, to, range: start..at + length });
        told
    }

    /// Adds an RTP packet with this payload, turned into another codec where they differ.
    pub fn pass(
        &mut self,
        (port, to): (u16, SocketAddr),
        header: &Header,
        payload: &[u8],
        converter: Option<Converter>,
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&header.bytes());
        self.bytes.extend_from_slice(payload);
        let end = self.bytes.len();
        if let Some(converter) = converter {
            converter.convert(&mut self.bytes[end - payload.len()..]);
        }
        self.packets.push(Placed { port, report: false, rtcp: false, to, range: start..end });
    }

    /// Adds an RTCP packet; with `mux` it leaves from the RTP port.
    pub fn rtcp(&mut self, (port, mux): (u16, bool), to: SocketAddr, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.packets.push(Placed { port, report: true, rtcp: !mux, to, range: start..self.bytes.len() });
    }

    /// Adds a datagram of ICE or DTLS, which is never protected further.
    pub fn plain(&mut self, port: u16, to: SocketAddr, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.packets.push(Placed { port, report: false, rtcp: false, to, range: start..self.bytes.len() });
    }

    /// The payload of the RTP packet that was added last, before it is protected.
    pub fn last_payload(&self) -> &[u8] {
        let range = self.packets.last().map_or(0..0, |last| last.range.clone());
        self.bytes.get(range.start + HEADER_BYTES..range.end).unwrap_or_default()
    }

    /// Protects the packet that was added last, where the stream is protected. One that cannot be is not sent.
    pub fn protect(&mut self, srtp: Option<&mut Srtp>) {
        let (Some(srtp), Some(last)) = (srtp, self.packets.last_mut()) else { return };
        let start = last.range.start;
        let done = match last.report {
            true => srtp.protect_rtcp(&mut self.bytes, start),
            false => srtp.protect(&mut self.bytes, start),
        };
        last.range.end = self.bytes.len();
        if !done {
            self.bytes.truncate(start);
            self.packets.pop();
        }
    }

    /// The packets, in the order in which they came to be.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.packets.iter().map(|placed| Packet {
            port: placed.port,
            rtcp: placed.rtcp,
            to: placed.to,
            bytes: &self.bytes[placed.range.clone()],
        })
    }

    /// Forgets the packets, which have been sent; their space is used again.
    pub fn clear_packets(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }
}
