//! Packets that wait, in the order of their numbers; sequence and timestamp counted on beyond their wrap.

use crate::media::rtp::Header;

/// How many packets may wait: 1.28 s of 20 ms, 640 ms of 10 ms.
const SLOTS: usize = 64;

/// A number so far ahead, or so far behind, begins another line (RFC 3550 appendix A.1).
const AHEAD_MAX: i16 = 3000;
const BEHIND_MAX: i16 = -1000;

/// So does a timestamp that moves by more seconds.
const JUMP_MAX_S: i64 = 10;

/// What a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Audio of so many units of the RTP clock; `silence`: a sign of life, after which nothing may come for a while.
    Audio { units: u32, silence: bool },
    /// Comfort noise.
    Comfort,
}

/// What was done with a packet; with its time, where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It waits.
    Held(i64),
    /// Its time is over.
    Late(i64),
    /// It waits already, or was heard; or is so old that nobody can tell.
    Doubled,
    /// It is the first of another line; what waited is gone.
    Restarted(i64),
}

/// The first of what waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct First<'p> {
    pub(super) sequence: i64,
    pub(super) time: i64,
    pub(super) content: Content,
    pub(super) payload: &'p [u8],
}

#[derive(Debug, Default)]
struct Slot {
    /// `None` when it is empty.
    held: Option<(i64, i64, Content)>,
    /// Its room is used again.
    payload: Vec<u8>,
}

/// What waits of one source.
#[derive(Debug, Default)]
pub(super) struct Packets {
    slots: Vec<Slot>,
    ssrc: u32,
    /// The highest number that came, and the time of the packet that came last; of no meaning before the first.
    newest: i64,
    time: i64,
    /// Everything below this number is gone.
    first: i64,
    begun: bool,
    /// What follows the last packet that was too old to be of this line: two of them in order are another line.
    astray: Option<u16>,
}

impl Packets {
    /// Takes a packet; `played` is up to when is heard already, `clock` the units in a second.
    pub(super) fn put(
        &mut self,
        header: &Header,
        payload: &[u8],
        content: Content,
        played: Option<i64>,
        clock: i64,
    ) -> Place {
        let ahead = header.sequence.wrapping_sub(self.newest as u16) as i16;
        let moved = i64::from(header.timestamp.wrapping_sub(self.time as u32) as i32);
        let goes_on = self.begun
            && header.ssrc == self.ssrc
            && (BEHIND_MAX..=AHEAD_MAX).contains(&ahead)
            && moved.abs() <= JUMP_MAX_S * clock;
        if !goes_on {
            self.restart(header);
            let time = self.time;
            self.hold((self.newest, time, content), payload);
            return Place::Restarted(time);
        }
        let sequence = self.newest + i64::from(ahead);
        let time = self.time + moved;
        if sequence <= self.newest - SLOTS as i64 {
            // RFC 3550 appendix A.1: the other side may have begun anew a little below where it was.
            if self.astray == Some(header.sequence) {
                self.restart(header);
                let time = self.time;
                self.hold((self.newest, time, content), payload);
                return Place::Restarted(time);
            }
            self.astray = Some(header.sequence.wrapping_add(1));
            return Place::Doubled;
        }
        self.astray = None;
        if self.slot(sequence).held.is_some_and(|(number, ..)| number == sequence) {
            return Place::Doubled;
        }
        let end = match content {
            Content::Audio { units, .. } => time + i64::from(units),
            Content::Comfort => time,
        };
        if sequence < self.first || played.is_some_and(|played| end < played || end == played && time < end) {
            return Place::Late(time);
        }
        if sequence > self.newest {
            self.newest = sequence;
            self.time = time;
            // What does not fit is let go, oldest first.
            self.first = self.first.max(sequence - SLOTS as i64 + 1);
        }
        self.hold((sequence, time, content), payload);
        Place::Held(time)
    }

    /// Lets go of everything; what comes next begins another line.
    pub(super) fn forget(&mut self) {
        self.begun = false;
    }

    fn restart(&mut self, header: &Header) {
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, Slot::default);
        }
        for slot in &mut self.slots {
            slot.held = None;
        }
        self.ssrc = header.ssrc;
        // Numbers stay positive however far back a straggler lies.
        self.newest = i64::from(header.sequence) + (1 << 16);
        self.time = i64::from(header.timestamp);
        self.first = self.newest - SLOTS as i64 / 2;
        self.begun = true;
        self.astray = None;
    }

    fn hold(&mut self, held: (i64, i64, Content), payload: &[u8]) {
        let slot = &mut self.slots[held.0 as usize % SLOTS];
        slot.held = Some(held);
        slot.payload.clear();
        slot.payload.extend_from_slice(payload);
    }

    fn slot(&self, sequence: i64) -> &Slot {
        &self.slots[sequence as usize % SLOTS]
    }

    /// The first that waits.
    pub(super) fn first(&self) -> Option<First<'_>> {
        (self.first..=self.newest).take(if self.begun { SLOTS } else { 0 }).find_map(|number| {
            let slot = self.slot(number);
            let (sequence, time, content) = slot.held.filter(|(held, ..)| *held == number)?;
            Some(First { sequence, time, content, payload: &slot.payload })
        })
    }

    /// The first is done with.
    pub(super) fn drop_first(&mut self) {
        if let Some(sequence) = self.first().map(|first| first.sequence) {
            self.first = sequence + 1;
        }
    }

    /// Lets go of what lies before `time`, but for the last.
    pub(super) fn drop_before(&mut self, time: i64) {
        while let Some(first) = self.first()
            && first.time < time
            && first.sequence < self.newest
        {
            self.first = first.sequence + 1;
        }
    }

    /// The time of the newest.
    pub(super) fn last_time(&self) -> i64 {
        self.time
    }
}
