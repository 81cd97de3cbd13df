//! What is heard of a stream: packets in as they come, PCM out at the moment it is wanted.
//!
//! `packets` puts in order what came, `delay` measures how unevenly it comes and says how long to hold it,
//! `conceal` invents what was lost, `stretch` lets time pass a little quicker or slower, `noise` fills the pauses of
//! who sends nothing in silence. A packet is decoded when its first sample is wanted, not when it comes, so what
//! is late or out of order has until then.
//!
//! Time is that of the source's timestamps. When nothing is there to play, it stands still and what comes later is
//! played later: delay grows at once. It shrinks, and grows before that becomes necessary, by whole periods of the
//! voice that are taken out or put in; which is also how clocks that differ are kept together.

mod conceal;
mod delay;
mod noise;
mod packets;
mod stretch;

use crate::media::Codec;
use crate::media::codec::Decoder;
use crate::media::codec::Lost;
use crate::media::codec::MAX_MS;
use crate::media::codec::opus;
use crate::media::ear::conceal::Conceal;
use crate::media::ear::delay::Delay;
use crate::media::ear::noise::Noise;
use crate::media::ear::packets::Content;
use crate::media::ear::packets::Packets;
use crate::media::ear::packets::Place;
use crate::media::resample::Resampler;
use crate::media::rtp::Header;

/// What is made at a time when there is nothing to decode.
const PIECE_MS: u32 = 10;

/// Concealment is heard as the source's own for so long; then the line counts as dried up, and starts anew.
const DRY_MS: u32 = 200;

/// A hole longer than this is a pause, not loss.
const HOLE_MAX_US: i64 = 500_000;

/// A source that fell silent by its own word is alive for so long without another sign.
const PAUSE_MAX_MS: u32 = 30_000;

/// More held than wanted by so much is let go all at once.
const EXCESS_MAX_US: i64 = 800_000;

/// What an ear did to make whole what came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Samples decoded, at the codec's rate as it is decoded here.
    pub decoded: u64,
    /// Samples invented in place of what was lost or late.
    pub concealed: u64,
    /// Lost packets that were made from error correction.
    pub corrected: u64,
    /// Packets that came too late to be heard.
    pub late: u64,
    /// Periods taken out, and put in.
    pub shortened: u64,
    /// Periods put in.
    pub lengthened: u64,
}

/// Hears one stream.
pub struct Ear {
    codec: Codec,
    rate: u32,
    decoder: Decoder,
    resampler: Option<Resampler>,
    packets: Packets,
    delay: Delay,
    conceal: Conceal,
    noise: Noise,
    /// Decoded and not yet heard, at the decoder's rate, from `head` on.
    line: Vec<i16>,
    head: usize,
    mode: Mode,
    /// When the line was last made shorter or longer.
    stretched_ms: u64,
    /// How long the packet that was decoded last had been held, beyond the quickest.
    held_us: i64,
    /// How much is pulled at a time.
    wanted_us: i64,
    figures: Figures,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nothing has come, or nothing any more: what comes is held until it is due.
    Idle,
    /// `next` is the time, in units of the RTP clock, of the sample that comes after the line.
    Playing {
        next: i64,
        /// Number of the packet that was decoded last.
        last: i64,
        /// Samples invented since then while nothing was there.
        stalled: u32,
        /// The source has said that it is silent; for so many samples.
        pause: Option<u32>,
    },
}

impl Ear {
    /// Hears packets of `codec`, gives out mono samples at `rate`: 8000, 16 000 or 48 000.
    pub fn new(codec: Codec, rate: u32) -> Ear {
        let decoder = Decoder::at(codec, rate);
        let own = decoder.rate();
        Ear {
            codec,
            rate,
            resampler: (own != rate).then(|| Resampler::new(own, rate)),
            packets: Packets::default(),
            delay: Delay::default(),
            conceal: Conceal::new(own),
            noise: Noise::default(),
            line: Vec::with_capacity(own as usize * 2 * MAX_MS / 1000),
            head: 0,
            mode: Mode::Idle,
            stretched_ms: 0,
            held_us: 0,
            wanted_us: 0,
            figures: Figures::default(),
            decoder,
        }
    }

    /// What it hears.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// What it did so far.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// For how long packets are held at present, in milliseconds.
    pub fn delay_ms(&self) -> u32 {
        (self.delay.target_us() / 1000) as u32
    }

    /// For how long the packet that was heard last had been held, in milliseconds.
    pub fn held_ms(&self) -> u32 {
        (self.held_us.max(0) / 1000) as u32
    }

    /// Takes an audio packet that came at engine millisecond `ms`. Late, doubled, malformed, of another codec or SSRC:
    /// all may come here.
    pub fn receive(&mut self, header: &Header, payload: &[u8], codec: Codec, ms: u64) {
        if codec != self.codec {
            let figures = self.figures;
            *self = Ear::new(codec, self.rate);
            self.figures = figures;
        }
        let Some(units) = codec.units(payload) else { return };
        let silence = codec == Codec::Opus && opus::is_silence(payload);
        self.put(header, payload, Content::Audio { units, silence }, ms);
    }

    /// Takes a comfort noise packet (RFC 3389).
    pub fn comfort(&mut self, header: &Header, payload: &[u8], ms: u64) {
        if !payload.is_empty() {
            self.put(header, payload, Content::Comfort, ms);
        }
    }

    /// The line is not heard for a while: what waits is let go, and what comes then is another line.
    pub fn interrupt(&mut self) {
        self.packets.forget();
        self.line.clear();
        self.head = 0;
        self.mode = Mode::Idle;
    }

    fn put(&mut self, header: &Header, payload: &[u8], content: Content, ms: u64) {
        let played = match self.mode {
            Mode::Idle => None,
            Mode::Playing { next, .. } => Some(next),
        };
        match self.packets.put(header, payload, content, played, i64::from(self.codec.clock_rate())) {
            Place::Held(time) => self.delay.measure(self.micros(time), ms),
            Place::Late(time) => {
                self.figures.late += 1;
                self.delay.measure(self.micros(time), ms);
            }
            Place::Doubled => {}
            Place::Restarted(time) => {
                self.mode = Mode::Idle;
                self.delay.restart();
                self.delay.measure(self.micros(time), ms);
            }
        }
    }

    /// The next `out.len()` samples, a whole number of milliseconds, to be heard at `ms`; whether there was anything to
    /// hear. Else `out` is silence: nothing has come, or nothing for a long time.
    pub fn pull(&mut self, out: &mut [i16], ms: u64) -> bool {
        let wanted = self.resampler.as_ref().map_or(out.len(), |resampler| resampler.needs(out.len()));
        self.wanted_us = wanted as i64 * 1_000_000 / self.own();
        let mut heard = self.mode != Mode::Idle;
        while self.line.len() - self.head < wanted {
            heard |= self.produce(ms);
        }
        let piece = &self.line[self.head..self.head + wanted];
        match &mut self.resampler {
            Some(resampler) => resampler.process(piece, out),
            None => out.copy_from_slice(piece),
        }
        self.head += wanted;
        if self.head * 2 >= self.line.len() {
            self.line.drain(..self.head);
            self.head = 0;
        }
        heard && self.mode != Mode::Idle
    }

    /// Adds something to the line, or moves on in time; whether it is of the source.
    fn produce(&mut self, ms: u64) -> bool {
        let due_us = ms as i64 * 1000 + self.line_us();
        let clock = i64::from(self.codec.units_per_ms());
        let Mode::Playing { next, last, stalled, pause } = self.mode else {
            match self.packets.first() {
                Some(first) if self.delay.is_due(self.micros(first.time), due_us) => {
                    let (next, last) = (first.time, first.sequence - 1);
                    self.mode = Mode::Playing { next, last, stalled: 0, pause: None };
                }
                Some(_) | None => self.be_silent(),
            }
            return self.mode != Mode::Idle;
        };
        let Some(first) = self.packets.first() else {
            return self.wait(next, last, stalled, pause);
        };
        if first.time <= next {
            self.play(due_us, ms);
            return true;
        }
        let hole = first.time - next;
        let stalled_units = i64::from(stalled) * i64::from(self.codec.clock_rate()) / self.own();
        if pause.is_some() || first.sequence == last + 1 || self.micros(hole) > HOLE_MAX_US {
            // Nothing was sent, or nothing is known of what was: the next is heard when it is due.
            if self.delay.is_due(self.micros(first.time), due_us) {
                self.mode =
                    Mode::Playing { next: first.time, last: first.sequence - 1, stalled: 0, pause: None };
                return true;
            }
            return self.wait(next, last, stalled, pause.or(Some(0)));
        }
        if self.codec == Codec::Opus {
            // What corrects a loss comes with the packet behind it, which must be there in time from here on.
            self.delay.hold_at_least(self.micros(hole.min(60 * clock)));
        }
        if stalled_units >= hole {
            // As much has been invented already.
            self.mode = Mode::Playing { next: first.time, last: first.sequence - 1, stalled: 0, pause };
            return true;
        }
        let next = next + stalled_units;
        let hole = hole - stalled_units;
        // The packet behind the hole may hold a copy of the frame before it, whole and no other.
        let copied = match first.content {
            Content::Audio { .. } if self.codec == Codec::Opus => opus::frame_units(first.payload),
            Content::Audio { .. } | Content::Comfort => None,
        };
        let copied = i64::from(copied.unwrap_or(0));
        let corrects = hole == copied;
        let piece =
            if corrects { hole } else { (20 * clock).min(if hole > copied { hole - copied } else { hole }) };
        self.mode = Mode::Playing { next: next + piece, last, stalled: 0, pause };
        self.invent((piece * self.own() / (clock * 1000)) as usize, corrects);
        true
    }

    /// Nothing is there: concealment for a while, noise where the source has said that it is silent.
    fn wait(&mut self, next: i64, last: i64, stalled: u32, pause: Option<u32>) -> bool {
        let piece = self.own() as u32 * PIECE_MS / 1000;
        let Some(paused) = pause else {
            self.invent(piece as usize, false);
            let stalled = stalled + piece;
            self.mode = Mode::Playing { next, last, stalled, pause };
            if stalled as i64 * 1000 >= self.own() * i64::from(DRY_MS) {
                self.mode = Mode::Idle;
            }
            return true;
        };
        self.mode = Mode::Playing { next, last, stalled, pause: Some(paused + piece) };
        if i64::from(paused) * 1000 >= self.own() * i64::from(PAUSE_MAX_MS) {
            self.mode = Mode::Idle;
        }
        let at = self.line.len();
        self.line.resize(at + piece as usize, 0);
        match &mut self.decoder {
            Decoder::Opus(decoder) => decoder.conceal(Lost::Conceal, &mut self.line[at..]),
            Decoder::Pcma | Decoder::Pcmu | Decoder::G722(..) | Decoder::L16 => {
                self.noise.fill(&mut self.line[at..]);
                self.conceal.heard(&mut self.line[at..]);
            }
        }
        true
    }

    /// Decodes the first of what is held and keeps the delay.
    fn play(&mut self, due_us: i64, ms: u64) {
        let Mode::Playing { next, .. } = self.mode else { return };
        let Some(first) = self.packets.first() else { return };
        let at = self.line.len();
        let mut pause = None;
        let (mut behind, mut missing) = (first.time, 0);
        match first.content {
            Content::Comfort => {
                self.noise.set(first.payload);
                pause = Some(0);
            }
            Content::Audio { units, silence } => {
                behind += i64::from(units);
                let room = self.decoder.rate() as usize * MAX_MS / 1000;
                self.line.resize(at + room, 0);
                let count = self.decoder.decode(first.payload, &mut self.line[at..]);
                self.line.truncate(at + count);
                self.figures.decoded += count as u64;
                if count == 0 {
                    // Malformed within: as if it were lost.
                    missing = i64::from(units) * self.own() / i64::from(self.codec.clock_rate());
                } else if self.codec != Codec::Opus {
                    self.conceal.heard(&mut self.line[at..]);
                }
                if silence {
                    pause = Some(0);
                }
            }
        }
        let (time, last) = (first.time, first.sequence);
        self.packets.drop_first();
        if missing > 0 {
            self.invent(missing as usize, false);
        }
        self.mode = Mode::Playing { next: behind.max(next), last, stalled: 0, pause };
        let wanted_by = self.delay.due_us(self.micros(time));
        self.held_us = due_us - wanted_by + self.delay.target_us();
        // What counts is the packet that this pull needs last: it must be there now, whenever it is heard.
        let (now_us, length) = (ms as i64 * 1000, self.micros(behind - time).max(1));
        let to_come = (self.wanted_us - (due_us - now_us) - length).max(0);
        let behind_it = (to_come + length - 1) / length * length;
        self.keep_pace(now_us - behind_it - wanted_by, ms);
    }

    /// Makes what waits a little shorter or longer, when packets are held `excess` microseconds longer than wanted.
    fn keep_pace(&mut self, excess: i64, ms: u64) {
        if excess > EXCESS_MAX_US {
            let keep = self.packets.last_time()
                - self.delay.target_us() * i64::from(self.codec.clock_rate()) / 1_000_000;
            self.packets.drop_before(keep);
            if let (Some(first), Mode::Playing { .. }) = (self.packets.first(), self.mode) {
                let (next, last) = (first.time, first.sequence - 1);
                self.mode = Mode::Playing { next, last, stalled: 0, pause: None };
            }
            return;
        }
        let Some(step) = stretch::step(excess, ms - self.stretched_ms) else { return };
        let done = match step {
            stretch::Step::Shorten { hard } => {
                stretch::shorten(&mut self.line, self.head, self.decoder.rate(), hard)
            }
            stretch::Step::Lengthen { hard } => {
                stretch::lengthen(&mut self.line, self.head, self.decoder.rate(), hard)
            }
        };
        if done {
            self.stretched_ms = ms;
            match step {
                stretch::Step::Shorten { .. } => self.figures.shortened += 1,
                stretch::Step::Lengthen { .. } => self.figures.lengthened += 1,
            }
        }
    }

    /// Adds `count` samples in place of what did not come; `corrects`: the first packet held may have a copy of it.
    fn invent(&mut self, count: usize, corrects: bool) {
        let at = self.line.len();
        self.line.resize(at + count, 0);
        self.figures.concealed += count as u64;
        match &mut self.decoder {
            Decoder::Opus(decoder) => {
                let behind = self.packets.first().filter(|_| corrects);
                let lost = behind.map_or(Lost::Conceal, |behind| Lost::Correct(behind.payload));
                self.figures.corrected += u64::from(lost != Lost::Conceal);
                decoder.conceal(lost, &mut self.line[at..]);
            }
            Decoder::Pcma | Decoder::Pcmu | Decoder::G722(..) | Decoder::L16 => {
                self.conceal.fill(&mut self.line[at..]);
            }
        }
    }

    fn be_silent(&mut self) {
        let piece = self.own() as usize * PIECE_MS as usize / 1000;
        let at = self.line.len();
        self.line.resize(at + piece, 0);
        self.conceal.heard(&mut self.line[at..]);
    }

    /// The decoder's rate.
    fn own(&self) -> i64 {
        i64::from(self.decoder.rate())
    }

    /// How long what waits in the line lasts.
    fn line_us(&self) -> i64 {
        (self.line.len() - self.head) as i64 * 1_000_000 / self.own()
    }

    fn micros(&self, units: i64) -> i64 {
        units * 1000 / i64::from(self.codec.units_per_ms())
    }
}
