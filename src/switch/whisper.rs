//! What an agent hears before the caller does: which queue calls, who, and how long they have waited.
//!
//! It is played between the answer (and the key, where one is asked for) and the bridge, to the agent alone; the caller
//! hears music meanwhile. It is cut off when either hangs up. The bridge stands the moment it is over.

use std::time::Duration;

use crate::media::PlayId;
use crate::media::PlayItem;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::prompt::PromptKey;
use crate::model::queue::Whisper;
use crate::model::queue::Whispered;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::clip_name;
use crate::switch::queue::OfferId;
use crate::switch::say;
use crate::switch::say::What;
use crate::switch::system_prompt;
use crate::time::Now;

/// A caller is kept from the agent for so long at most.
const LONGEST: Duration = Duration::from_secs(20);

/// A whisper that an agent is hearing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whispering {
    play: PlayId,
    offer: OfferId,
    call: CallId,
}

impl Switch {
    /// An agent has taken an offer: hears the queue's whisper, if it has one, and then the caller.
    pub(crate) fn whisper_or_connect(&mut self, now: Now, offer: OfferId, call: CallId) {
        let winner = self.offer_leg(offer);
        if !winner.is_some_and(|leg| self.whisper(now, offer, call, leg)) {
            self.connect_offer(now, offer, call);
        }
    }

    /// The leg that has taken an offer.
    pub(crate) fn offer_leg(&self, offer: OfferId) -> Option<LegId> {
        let (call, attempt) = self.offers.get(&offer)?;
        self.calls.get(call)?.attempts.get(attempt)?.legs.first().copied()
    }

    /// Begins to whisper. `false`: there is nothing to say, or nobody to hear it.
    fn whisper(&mut self, now: Now, offer: OfferId, call: CallId, leg: LegId) -> bool {
        let items = self.whispered(now, call, leg);
        let Some(play) = (!items.is_empty()).then(|| self.play(leg, items, 1)).flatten() else {
            return false;
        };
        self.whispers.insert(leg, Whispering { play, offer, call });
        self.timers.set(Timer::Whisper(leg), now.mono + LONGEST);
        true
    }

    /// What is whispered to a leg.
    fn whispered(&self, now: Now, call: CallId, leg: LegId) -> Vec<PlayItem> {
        let said = match self.presenting(leg).and_then(|present| present.whisper.as_ref()) {
            None => return Vec::new(),
            Some(Whisper::Media(media)) => {
                let Some(of) = self.calls.get(&call) else { return Vec::new() };
                let media = PromptKey::Media(of.company.clone(), media.clone());
                return vec![PlayItem::Clip(clip_name(&media))];
            }
            Some(Whisper::Said(said)) => said,
        };
        said.iter().flat_map(|word| self.whispered_word(now, call, leg, *word)).collect()
    }

    fn whispered_word(&self, now: Now, call: CallId, leg: LegId, word: Whispered) -> Vec<PlayItem> {
        let Some(of) = self.calls.get(&call) else { return Vec::new() };
        let language = self.language_of_leg(leg);
        let system = |id: &str| PlayItem::Clip(system_prompt(language, id));
        let said = |what: &What<'_>| say::say(language, what).into_iter().map(|id| system(&id)).collect();
        let after = |first: &str, rest: Vec<PlayItem>| [vec![system(first)], rest].concat();
        match word {
            Whispered::Queue => {
                let name = self.spoken_name(leg).map(|name| PlayItem::Clip(clip_name(&name)));
                after("queue/whisper-pre", name.into_iter().collect())
            }
            Whispered::Caller => match of.facts.number.as_ref().filter(|_| !of.facts.hidden) {
                Some(number) => after("vm/from", said(&What::Phone(number))),
                None => after("vm/from", vec![system("vm/unknown")]),
            },
            Whispered::Wait => {
                let since = of.waited_since.unwrap_or(now.mono);
                let seconds = now.mono.saturating_duration_since(since).as_secs();
                after("queue/whisper-waited", said(&What::Duration { seconds }))
            }
        }
    }

    /// A playing has ended: when it was a whisper, the agent hears the caller. `false` when it was none.
    pub(crate) fn whisper_played(&mut self, now: Now, leg: LegId, play: PlayId) -> bool {
        let over = self.whispers.get(&leg).is_some_and(|whispering| whispering.play == play);
        if over {
            self.whisper_over(now, leg);
        }
        over
    }

    /// The agent hears the caller from here on.
    pub(crate) fn whisper_over(&mut self, now: Now, leg: LegId) {
        if let Some(Whispering { offer, call, .. }) = self.forget_whisper(leg) {
            self.stop_play(leg);
            self.connect_offer(now, offer, call);
        }
    }

    /// A leg is over, or hears the caller.
    pub(crate) fn forget_whisper(&mut self, leg: LegId) -> Option<Whispering> {
        self.timers.clear(&Timer::Whisper(leg));
        self.whispers.remove(&leg)
    }
}
