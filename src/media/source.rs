//! What a stream sends of its own: the clip or tone beneath, and what is played over it.
//!
//! Both are read as payload bytes, 8 to the millisecond, so a packet of any length is a copy of the right run.

use std::sync::Arc;
use std::time::Duration;

use crate::media::Base;
use crate::media::Codec;
use crate::media::MixId;
use crate::media::PlayId;
use crate::media::PlayItem;
use crate::media::StreamId;
use crate::media::Voice;
use crate::media::bank::Bank;
use crate::media::bank::Clip;
use crate::media::codec::BYTES_PER_MS;

/// [`Base`] with its clip at hand.
#[derive(Debug)]
pub enum Line {
    /// No packets.
    Silence,
    /// A clip over and over; `origin_ms` is the millisecond of the engine at which a turn began.
    Loop {
        /// What; never empty.
        clip: Arc<Clip>,
        /// Music counts from the engine's start, so that everyone hears the same; tones from their own.
        origin_ms: u64,
        /// Announcements are heard over it, rather than in its place.
        music: bool,
    },
    /// What another stream, or for an echo this one, receives.
    Peer(StreamId),
    /// What is said in a mix; `seat` is its place in the engine and in the mix, when that is one of this thread.
    Mix {
        /// Which.
        mix: MixId,
        /// Who hears this stream there.
        voice: Voice,
        /// None when the mix is another thread's, or full.
        seat: Option<(u16, u16)>,
    },
}

impl Line {
    /// Looks up what `base` names. A clip that is not in the bank, or is empty, is silence.
    pub fn new(base: Base, own: StreamId, bank: &Bank, ms: u64) -> Line {
        let music = matches!(base, Base::Music(_));
        let (clip, origin_ms) = match base {
            Base::Silence => return Line::Silence,
            Base::Peer(peer) => return Line::Peer(peer),
            Base::Echo => return Line::Peer(own),
            // Joined by the engine.
            Base::Mix { mix, voice } => return Line::Mix { mix, voice, seat: None },
            Base::Music(name) => (bank.get(&name), 0),
            Base::Tone(tone) => (Some(bank.tone(tone)), ms),
        };
        match clip.filter(|clip| !clip.bytes(Codec::Pcma).is_empty()) {
            Some(clip) => Line::Loop { clip, origin_ms, music },
            None => Line::Silence,
        }
    }

    /// Fills a packet that begins at `ms`; only a loop has anything to fill it with.
    pub fn fill(&self, codec: Codec, ms: u64, packet: &mut [u8]) {
        if let Line::Loop { clip, origin_ms, .. } = self {
            let at = (ms.saturating_sub(*origin_ms) * BYTES_PER_MS as u64) as usize;
            copy_around(clip.bytes(codec), at, packet);
        }
    }
}

/// Copies from `clip`, beginning `at` bytes in and starting over at its end.
fn copy_around(clip: &[u8], at: usize, mut packet: &mut [u8]) {
    if clip.is_empty() {
        return;
    }
    let mut at = at % clip.len();
    while !packet.is_empty() {
        let run = (clip.len() - at).min(packet.len());
        let (now, later) = packet.split_at_mut(run);
        now.copy_from_slice(&clip[at..at + run]);
        packet = later;
        at = 0;
    }
}

/// Items played one after the other without a gap, so many times.
#[derive(Debug)]
pub struct Play {
    items: Vec<Item>,
    /// Which item is next, and how many bytes of it are played.
    next: usize,
    played: usize,
    /// Turns that are left, this one included; `None` is for ever.
    turns: Option<u32>,
    /// Whose end is told; keys in the audio have none.
    name: Option<PlayId>,
}

#[derive(Debug)]
enum Item {
    Clip(Arc<Clip>),
    Tone(Arc<Clip>, usize),
    Pause(usize),
}

impl Item {
    fn new(item: PlayItem, bank: &Bank) -> Option<Item> {
        let bytes = |length: Duration| length.as_millis().min(86_400_000) as usize * BYTES_PER_MS;
        Some(match item {
            PlayItem::Clip(name) => Item::Clip(bank.get(&name)?),
            PlayItem::Tone(tone, length) => Item::Tone(bank.tone(tone), bytes(length)),
            PlayItem::Pause(length) => Item::Pause(bytes(length)),
        })
    }

    fn len(&self) -> usize {
        match self {
            Item::Clip(clip) => clip.bytes(Codec::Pcma).len(), // the same in every codec
            Item::Tone(_, bytes) | Item::Pause(bytes) => *bytes,
        }
    }

    fn read(&self, codec: Codec, at: usize, packet: &mut [u8]) {
        match self {
            Item::Clip(clip) => packet.copy_from_slice(&clip.bytes(codec)[at..at + packet.len()]),
            Item::Tone(clip, _) => copy_around(clip.bytes(codec), at, packet),
            Item::Pause(_) => packet.fill(codec.silence()),
        }
    }
}

impl Play {
    /// Looks up the items; clips that are not in the bank are left out. `repeat` 0 is for ever.
    pub fn new(name: PlayId, items: Vec<PlayItem>, repeat: u32, bank: &Bank) -> Play {
        let items: Vec<Item> = items
            .into_iter()
            .filter_map(|item| Item::new(item, bank))
            .filter(|item| item.len() > 0)
            .collect();
        let turns = (repeat != 0 || items.is_empty()).then_some(repeat);
        Play { items, next: 0, played: 0, turns, name: Some(name) }
    }

    /// Items played once without telling their end; clips that are not in the bank are left out.
    pub fn once(items: Vec<PlayItem>, bank: &Bank) -> Play {
        Play { name: None, ..Play::new(PlayId(0), items, 1, bank) }
    }

    /// Keys as tones in the audio; add them by [`Play::push_key`].
    pub fn keys() -> Play {
        Play { items: Vec::new(), next: 0, played: 0, turns: Some(1), name: None }
    }

    /// Adds a key; at most 32 wait, more are dropped.
    pub fn push_key(&mut self, clip: Arc<Clip>) {
        if self.items.len() - self.next < 32 {
            self.items.push(Item::Clip(clip));
        }
    }

    /// Its name, to tell its end by.
    pub fn name(&self) -> Option<PlayId> {
        self.name
    }

    /// Fills a packet, with silence behind the end; tells whether more is to come.
    pub fn fill(&mut self, codec: Codec, packet: &mut [u8]) -> bool {
        let mut filled = 0;
        loop {
            let Some(item) = self.items.get(self.next) else {
                // Items are never of length 0, so a turn moves on and this ends.
                self.turns = self.turns.map(|turns| turns.saturating_sub(1));
                if self.turns == Some(0) {
                    packet[filled..].fill(codec.silence());
                    return false;
                }
                self.next = 0;
                continue;
            };
            if filled == packet.len() {
                return true;
            }
            let run = (item.len() - self.played).min(packet.len() - filled);
            item.read(codec, self.played, &mut packet[filled..filled + run]);
            filled += run;
            self.played += run;
            if self.played == item.len() {
                self.next += 1;
                self.played = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bank whose clips `a` and `b` are 20 ms of µ-law bytes that can be told apart, and `none` is empty.
    fn bank() -> Bank {
        let bank = Bank::new();
        bank.insert("a".into(), Arc::new(Clip::from_pcm(&[1000; 160], 8000)));
        bank.insert("b".into(), Arc::new(Clip::from_pcm(&[-1000; 160], 8000)));
        bank.insert("none".into(), Arc::new(Clip::from_pcm(&[], 8000)));
        bank
    }

    fn played(items: Vec<PlayItem>, repeat: u32, packet_ms: usize) -> (Vec<u8>, usize) {
        let mut play = Play::new(PlayId(1), items, repeat, &bank());
        let mut all = Vec::new();
        for packets in 1..100 {
            let mut packet = vec![0; packet_ms * BYTES_PER_MS];
            let more = play.fill(Codec::Pcmu, &mut packet);
            all.extend(packet);
            if !more {
                return (all, packets);
            }
        }
        (all, 100)
    }

    #[test]
    fn items_follow_each_other_without_a_gap_whatever_the_packet_length() {
        let clip = |name: &str| PlayItem::Clip(name.into());
        let items = vec![
            clip("a"),
            clip("unknown"),
            clip("none"),
            PlayItem::Pause(Duration::from_millis(10)),
            clip("b"),
        ];
        let bank = bank();
        let a = bank.get("a").expect("just put in");
        let b = bank.get("b").expect("just put in");
        let once = [a.bytes(Codec::Pcmu), &[0xFF; 80], b.bytes(Codec::Pcmu)].concat();
        let expect = [&once[..], &once].concat();
        for packet_ms in [10, 20, 30, 40, 60] {
            let (bytes, packets) = played(items.clone(), 2, packet_ms);
            assert_eq!(&bytes[..expect.len()], expect, "{packet_ms} ms");
            assert!(bytes[expect.len()..].iter().all(|byte| *byte == 0xFF), "{packet_ms} ms");
            assert_eq!(packets, 100usize.div_ceil(packet_ms), "{packet_ms} ms");
        }
    }

    #[test]
    fn playing_nothing_ends_at_once_even_for_ever() {
        assert_eq!(played(vec![], 0, 20).1, 1);
        assert_eq!(played(vec![PlayItem::Clip("none".into())], 0, 20).1, 1);
        assert_eq!(played(vec![PlayItem::Clip("unknown".into())], 3, 20).1, 1);
        assert_eq!(played(vec![PlayItem::Clip("a".into())], 0, 20).1, 100, "for ever");
    }

    #[test]
    fn music_is_one_line_for_all_and_wraps_at_its_end() {
        let bank = Bank::new();
        let samples: Vec<i16> = (0..480).map(|at| at * 60).collect();
        bank.insert("music".into(), Arc::new(Clip::from_pcm(&samples, 8000)));
        let clip = bank.get("music").expect("just put in");
        let bytes = clip.bytes(Codec::Pcma);
        let own = StreamId { thread: 0, port: 2, generation: 0 };
        let line = Line::new(Base::Music("music".into()), own, &bank, 777);
        let mut packet = [0; 160];
        line.fill(Codec::Pcma, 50, &mut packet);
        assert_eq!(packet, [&bytes[400..], &bytes[..80]].concat()[..]);
    }
}
