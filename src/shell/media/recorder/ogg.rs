//! Stereo as Opus in Ogg (RFC 7845), in pages of what is given at a time: a second, as a rule.
//!
//! Each side is a stream of its own (channel mapping family 1, two streams, none coupled): what is coded as a pair leaks
//! from one side into the other at rates that suit voices.

use ::ogg::writing::PacketWriteEndInfo;
use ::ogg::writing::PacketWriter;
use opus_rs::Application;
use opus_rs::OpusEncoder;

/// Packets of 20 ms.
const PACKETS_A_SECOND: usize = 50;

/// Frames at 48 kHz, in which positions are counted whatever the rate (RFC 7845 §4), of a packet.
const POSITIONS: u64 = 960;

/// What the encoder holds back, in frames at 48 kHz: readers leave out so much of the beginning.
const PRE_SKIP: u16 = 312;

/// Packets that a page holds at most here: 255 segments, of which a packet takes one, as a rule.
const PACKETS_IN_PAGE: usize = 60;

/// Bits a second of each side, and how hard the encoder tries (0 to 10).
const BITS: i32 = 20_000;
const COMPLEXITY: i32 = 3;

/// An encoder and its pages.
pub(super) struct OggOpus {
    sides: [OpusEncoder; 2],
    writer: PacketWriter<'static, Vec<u8>>,
    serial: u32,
    rate: u32,
    /// Samples of a packet that is not full.
    rest: Vec<f32>,
    /// Frames at `rate` that were given, and packets that were made of them.
    frames: u64,
    packets: u64,
    /// The packet that is not in a page yet: the last one closes its page.
    held: Option<Vec<u8>>,
    in_page: usize,
}

impl std::fmt::Debug for OggOpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OggOpus")
            .field("rate", &self.rate)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

impl OggOpus {
    /// An encoder of stereo at 8000 or 16 000 hertz.
    ///
    /// # Errors
    /// What the encoder says of other rates.
    pub(super) fn new(rate: u32, serial: u32) -> Result<OggOpus, &'static str> {
        let side = || {
            let mut encoder = OpusEncoder::new(rate as i32, 1, Application::Voip)?;
            encoder.bitrate_bps = BITS;
            encoder.complexity = COMPLEXITY;
            Ok::<_, &'static str>(encoder)
        };
        Ok(OggOpus {
            sides: [side()?, side()?],
            writer: PacketWriter::new(Vec::new()),
            serial,
            rate,
            rest: Vec::new(),
            frames: 0,
            packets: 0,
            held: None,
            in_page: 0,
        })
    }

    /// The two header pages (RFC 7845 §5).
    pub(super) fn head(&mut self) -> Vec<u8> {
        let mut head = Vec::from(*b"OpusHead");
        head.extend([1, 2]); // version, channels
        head.extend(PRE_SKIP.to_le_bytes());
        head.extend(self.rate.to_le_bytes());
        head.extend([0, 0]); // no gain
        // Family 1 (§5.1.1.2), two streams, none of them coupled; the first is left, the second right.
        head.extend([1, 2, 0, 0, 1]);
        self.put(head, PacketWriteEndInfo::EndPage, 0);
        let vendor = concat!("Sentral ", env!("CARGO_PKG_VERSION"));
        let mut tags = Vec::from(*b"OpusTags");
        tags.extend((vendor.len() as u32).to_le_bytes());
        tags.extend(vendor.as_bytes());
        tags.extend(0u32.to_le_bytes()); // no comments
        self.put(tags, PacketWriteEndInfo::EndPage, 0);
        self.take()
    }

    /// Encodes frames (left, right, left, right) and closes the page; what does not fill a packet waits.
    pub(super) fn encode(&mut self, stereo: &[i16]) -> Vec<u8> {
        self.frames += stereo.len() as u64 / 2;
        self.rest.extend(stereo.iter().map(|sample| f32::from(*sample) / 32_768.0));
        self.encode_rest();
        self.close_page();
        self.take()
    }

    /// Encodes what is left, and ends the stream (RFC 7845 §4.4: the last position cuts off what was filled up).
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let end = u64::from(PRE_SKIP) + self.frames * u64::from(48_000 / self.rate);
        let samples = 2 * self.rate as usize / PACKETS_A_SECOND;
        // One packet at least is left for the page that ends the stream.
        while self.packets * POSITIONS < end || !self.rest.is_empty() || self.held.is_none() {
            self.rest.resize(samples.max(self.rest.len().next_multiple_of(samples)), 0.0);
            self.encode_rest();
        }
        let last = self.held.take().unwrap_or_default();
        self.put(last, PacketWriteEndInfo::EndStream, end);
        self.take()
    }

    fn encode_rest(&mut self) {
        let samples = 2 * self.rate as usize / PACKETS_A_SECOND;
        let whole = self.rest.len() / samples * samples;
        let rest = self.rest.split_off(whole);
        let full = std::mem::replace(&mut self.rest, rest);
        for packet in full.chunks_exact(samples) {
            let packet = self.encode_packet(packet);
            self.flush_held(PacketWriteEndInfo::NormalPacket);
            self.held = Some(packet);
            self.packets += 1;
            if self.in_page >= PACKETS_IN_PAGE {
                self.close_page();
            }
        }
    }

    /// Both sides of 20 ms as one packet (RFC 7845 §3): the first delimits itself (RFC 6716 appendix B).
    fn encode_packet(&mut self, stereo: &[f32]) -> Vec<u8> {
        let mut packet = Vec::with_capacity(160);
        for (at, encoder) in self.sides.iter_mut().enumerate() {
            let side: Vec<f32> = stereo.iter().skip(at).step_by(2).copied().collect();
            let mut space = [0; 1276];
            let length = encoder.encode(&side, side.len(), &mut space).unwrap_or(0);
            // An encoder that fails, or packs several frames, leaves a frame of silence: none, by its code.
            let frame = if length > 0 && space[0] & 3 == 0 { &space[..length] } else { &[WIDE_20_MS][..] };
            match at {
                0 => delimit(frame, &mut packet),
                _ => packet.extend_from_slice(frame),
            }
        }
        packet
    }

    fn close_page(&mut self) {
        self.flush_held(PacketWriteEndInfo::EndPage);
        self.in_page = 0;
    }

    fn flush_held(&mut self, end: PacketWriteEndInfo) {
        if let Some(packet) = self.held.take() {
            self.in_page += 1;
            self.put(packet, end, self.packets * POSITIONS);
        }
    }

    fn put(&mut self, packet: Vec<u8>, end: PacketWriteEndInfo, position: u64) {
        self.writer.write_packet(packet, self.serial, end, position).expect("a vector takes everything");
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.inner_mut())
    }
}

/// TOC octet of one SILK frame of 20 ms, wideband, mono; with no octet behind it the decoder conceals (RFC 6716 §3.1).
const WIDE_20_MS: u8 = 9 << 3;

/// Appends a packet of one frame with its length behind the TOC octet (RFC 6716 §3.2.1).
fn delimit(packet: &[u8], out: &mut Vec<u8>) {
    let [toc, frame @ ..] = packet else { return };
    out.push(*toc);
    match u8::try_from(frame.len()) {
        Ok(length) if length < 252 => out.push(length),
        _ => {
            let first = 252 + (frame.len() & 3);
            out.extend([first as u8, ((frame.len() - first) / 4) as u8]);
        }
    }
    out.extend_from_slice(frame);
}
