//! What a waiting caller hears besides the music, and when; offers never wait for it.
//!
//! The estimate of the wait is the caller's place times what one place has cost those who were answered in the
//! last hour; with too few of them nothing is said, and it is never said more exactly than it can be known.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::model::id::CallId;
use crate::model::queue::PositionPolicy;
use crate::switch::queue::Deadline;
use crate::switch::queue::Output;
use crate::switch::queue::Queues;
use crate::switch::queue::line::Rules;
use crate::switch::queue::line::Stage;
use crate::time::Now;

/// Between two announcements of the place at least.
const PLACE_GAP: Duration = Duration::from_secs(20);
/// Music between one message and another that came due during it.
const BREATH: Duration = Duration::from_secs(5);
/// Answered calls are remembered for so long.
const SAMPLES_FOR: Duration = Duration::from_secs(60 * 60);
/// Samples kept at most.
const SAMPLES: usize = 100;
/// Fewer samples say nothing.
const SAMPLES_NEEDED: usize = 5;

/// One thing said to a waiting caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// The greeting of the queue.
    Welcome,
    /// The place in the queue; 1 is "you are next".
    Position(u32),
    /// The estimated wait.
    Wait(Eta),
    /// There is much to do.
    HighTraffic,
    /// The caller may hang up, keep the place and be called back.
    Callback,
    /// The comfort message.
    Comfort,
}

/// An estimated wait, as exactly as it can honestly be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Eta {
    /// Less than a minute.
    UnderOne,
    /// One to two minutes.
    OneToTwo,
    /// Two to five.
    TwoToFive,
    /// Five to ten.
    FiveToTen,
    /// More than ten.
    OverTen,
}

impl Eta {
    /// What is told of an estimate.
    pub fn of(estimate: Duration) -> Eta {
        match estimate.as_secs() {
            0..60 => Eta::UnderOne,
            60..120 => Eta::OneToTwo,
            120..300 => Eta::TwoToFive,
            300..=600 => Eta::FiveToTen,
            _ => Eta::OverTen,
        }
    }
}

/// An answered call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// From joining to the bridge.
    pub(super) wait: Duration,
    /// Place on joining.
    pub(super) rank: u32,
}

impl Sample {
    /// Adds a sample and forgets old ones.
    pub(super) fn keep(samples: &mut VecDeque<Sample>, sample: Sample) {
        samples.retain(|old| sample.at.saturating_duration_since(old.at) < SAMPLES_FOR);
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }
}

/// What has been said to one caller.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Something is being said.
    pub(super) speaking: bool,
    /// Came due while something else was being said.
    place_owed: bool,
    comfort_owed: bool,
    pub(super) callback_owed: bool,
    /// Best place said.
    rank: Option<u32>,
    /// Last estimate said.
    eta: Option<Eta>,
    /// Call-back has been offered.
    pub(super) callback: bool,
}

impl Said {
    /// Place and wait as they are said to a caller in place `rank`, by the rules of the queue.
    fn place_and_wait(&mut self, rules: &Rules, rank: u32, estimate: Option<Duration>) -> Vec<Announcement> {
        let mut what = Vec::new();
        let better = self.rank.is_none_or(|said| rank < said);
        if rules.announce_place && (better || rules.position == PositionPolicy::Always) {
            self.rank = Some(rank);
            what.push(Announcement::Position(rank));
        }
        if let Some(eta) = estimate.filter(|_| rules.announce_wait).map(Eta::of)
            && (rules.position == PositionPolicy::Always || self.eta.is_none_or(|said| differs(said, eta)))
        {
            self.eta = Some(eta);
            what.push(Announcement::Wait(eta));
        }
        what
    }
}

/// The wait of a caller in place `rank`, when enough answered calls back it.
fn estimate<'a>(
    now: Instant,
    samples: impl DoubleEndedIterator<Item = &'a Sample>,
    rank: u32,
) -> Option<Duration> {
    let (mut waits, mut count) = (Duration::ZERO, 0u32);
    for sample in samples.rev() {
        if now.saturating_duration_since(sample.at) >= SAMPLES_FOR {
            break;
        }
        waits += sample.wait / sample.rank.max(1);
        count += 1;
    }
    (usize::try_from(count).unwrap_or(usize::MAX) >= SAMPLES_NEEDED)
        .then(|| (waits / count.max(1)).saturating_mul(rank))
}

/// Whether an estimate is worth saying after another: a shorter one is, and one that is longer by more than the
/// width of a border between two.
fn differs(said: Eta, eta: Eta) -> bool {
    eta < said || (eta as u8).saturating_sub(said as u8) > 1
}

impl Queues {
    /// Says what is said on joining.
    pub(super) fn welcome(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get_mut(&call) else { return };
        let Some(line) = self.lines.get(&entry.line).filter(|line| !line.rules.group) else { return };
        let estimate = estimate(now.mono, line.samples.iter(), entry.first_rank);
        let mut what = entry.said.place_and_wait(&line.rules, entry.first_rank, estimate);
        let before = entry.first_rank - 1;
        let busy = line.rules.high_traffic.as_ref().is_some_and(|high| {
            high.waiting.is_some_and(|waiting| before >= waiting)
                || high.wait.zip(estimate).is_some_and(|(wait, estimate)| estimate >= wait)
        });
        if busy {
            what.insert(0, Announcement::HighTraffic);
        }
        if line.rules.welcome {
            what.insert(0, Announcement::Welcome);
        }
        if what.is_empty() {
            return self.arm_announcements(now, call);
        }
        self.say(call, what);
    }

    /// It has been said: the next one is due after its interval, from here on.
    pub(super) fn on_announced(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get_mut(&call).filter(|entry| entry.said.speaking) else { return };
        let said = &mut entry.said;
        said.speaking = false;
        for (owed, deadline) in [
            (std::mem::take(&mut said.place_owed), Deadline::Place(call)),
            (std::mem::take(&mut said.comfort_owed), Deadline::Comfort(call)),
            (std::mem::take(&mut said.callback_owed), Deadline::CallbackOffer(call)),
        ] {
            if owed {
                self.timers.set(deadline, now.mono + BREATH);
            }
        }
        self.arm_announcements(now, call);
    }

    /// Sets what is not set: when place and comfort are said next.
    pub(super) fn arm_announcements(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get(&call) else { return };
        let Some(rules) = self.lines.get(&entry.line).map(|line| &line.rules) else { return };
        if entry.said.speaking || entry.stage != Stage::Waiting || entry.callback.is_some() {
            return;
        }
        let place = Deadline::Place(call);
        if (rules.announce_place || rules.announce_wait) && self.timers.get(&place).is_none() {
            self.timers.set(place, now.mono + rules.announce_every.max(PLACE_GAP));
        }
        let comfort = Deadline::Comfort(call);
        if rules.comfort && self.timers.get(&comfort).is_none() {
            self.timers.set(comfort, now.mono + rules.comfort_every.max(BREATH));
        }
    }

    /// Place and wait are due.
    pub(super) fn on_place_due(&mut self, now: Now, call: CallId) {
        let Some(entry) = self.entries.get_mut(&call) else { return };
        if entry.said.speaking {
            entry.said.place_owed = true;
            return;
        }
        let Some(line) = self.lines.get(&entry.line) else { return };
        let rank = line.rank(&entry.place);
        let estimate = estimate(now.mono, line.samples.iter(), rank);
        let what = entry.said.place_and_wait(&line.rules, rank, estimate);
        if what.is_empty() {
            return self.arm_announcements(now, call);
        }
        self.say(call, what);
    }

    /// The comfort message is due.
    pub(super) fn on_comfort_due(&mut self, call: CallId) {
        let Some(entry) = self.entries.get_mut(&call) else { return };
        let comfort = self.lines.get(&entry.line).is_some_and(|line| line.rules.comfort);
        if entry.said.speaking {
            entry.said.comfort_owed = true;
        } else if comfort {
            self.say(call, vec![Announcement::Comfort]);
        }
    }

    /// An agent has answered, or the caller leaves: nothing more is said.
    pub(super) fn quiet(&mut self, call: CallId) {
        if let Some(entry) = self.entries.get_mut(&call) {
            entry.said.speaking = false;
            entry.said.place_owed = false;
            entry.said.comfort_owed = false;
            entry.said.callback_owed = false;
        }
        self.timers.clear(&Deadline::Place(call));
        self.timers.clear(&Deadline::Comfort(call));
        self.timers.clear(&Deadline::CallbackOffer(call));
    }

    pub(super) fn say(&mut self, call: CallId, what: Vec<Announcement>) {
        if let Some(entry) = self.entries.get_mut(&call) {
            entry.said.speaking = true;
            self.outputs.push_back(Output::Say { entry: call, what });
        }
    }
}
