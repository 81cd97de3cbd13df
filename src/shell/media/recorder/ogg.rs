//! Stereo as Opus in Ogg (RFC 7845), in pages of what is given at a time: a second, as a rule.

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

/// Packets that a page holds at most here: 255 segments, of which a packet takes up to three at our rates.
const PACKETS_IN_PAGE: usize = 60;

/// Bits a second, and how hard the encoder tries (0 to 10). Of both sides of a telephone call at 16 kHz.
const BITS: i32 = 40_000;
const COMPLEXITY: i32 = 3;

/// An encoder and its pages.
pub(super) struct OggOpus {
    encoder: OpusEncoder,
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
        let mut encoder = OpusEncoder::new(rate as i32, 2, Application::Voip)?;
        encoder.bitrate_bps = BITS;
        encoder.complexity = COMPLEXITY;
        Ok(OggOpus {
            encoder,
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
        head.extend([0, 0, 0]); // no gain; channel mapping family 0: left, right
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
            let mut space = [0; 1276];
            // An encoder that fails leaves a packet out; readers conceal it, and the positions go on.
            let length = self.encoder.encode(packet, samples / 2, &mut space).unwrap_or(0);
            self.flush_held(PacketWriteEndInfo::NormalPacket);
            self.held = Some(space[..length].to_vec());
            self.packets += 1;
            if self.in_page >= PACKETS_IN_PAGE {
                self.close_page();
            }
        }
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
