//! The key by which who answers takes a call, and the guard against voicemail that answers in their place.
//!
//! A mobile's answer counts only after key 1, since its operator's voicemail may have answered. Signs of voicemail are
//! an answer that comes faster than a person can give one, the network's word that the call is forwarded (181), and
//! early media of a phone that never rang (an announcement); such an answer must be confirmed even where no key is
//! asked for. After two answers in vain the user's mobile is suspected, which is told and shown until somebody presses
//! the key. Leaves out listening to what is said.

use std::time::Duration;
use std::time::Instant;

use crate::media::PlayItem;
use crate::model::change::Change;
use crate::model::id::LegId;
use crate::model::id::LineId;
use crate::model::id::UserKey;
use crate::model::prompt::PromptKey;
use crate::model::queue::Present;
use crate::model::server::Language;
use crate::sip::Response;
use crate::sip::message::Name;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::clip_name;
use crate::switch::leg::Leg;
use crate::switch::reasons;
use crate::switch::system_prompt;
use crate::time::Now;

/// How long somebody who answered has to press 1.
const CONFIRM_WITHIN: Duration = Duration::from_secs(8);
/// Between two askings.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// A mobile that answers sooner after the INVITE was not answered by a person.
const TOO_FAST: Duration = Duration::from_millis(1500);
/// Answers in vain after which voicemail is suspected; one that shows signs of it counts for two.
const SUSPECTED_AFTER: u8 = 2;

/// What was heard of a called party before its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// When the INVITE went out.
    pub(crate) invited: Option<Instant>,
    rang: bool,
    early: bool,
    sent_on: bool,
    talk: bool,
}

impl Heard {
    /// Takes a provisional answer into account.
    pub(crate) fn note(&mut self, response: &Response) {
        self.rang |= response.status == 180;
        self.early |= !response.body.is_empty();
        self.sent_on |= response.status == 181;
        let takes = response.headers.all(&Name::AllowEvents).any(|value| names_talk(&value));
        self.talk |= takes;
    }

    /// Whether the phone can be told to answer.
    pub(crate) fn takes_talk(&self) -> bool {
        self.talk
    }

    /// Whether an answer at `now` looks like a machine's.
    fn shows_voicemail(&self, now: Instant) -> bool {
        let fast = self.invited.is_some_and(|at| now.saturating_duration_since(at) < TOO_FAST);
        fast || self.sent_on || (self.early && !self.rang)
    }
}

impl Switch {
    /// Whether the answer of a leg must be confirmed by key: where that is asked for, and where a mobile's answer looks
    /// like a machine's.
    pub(crate) fn must_be_confirmed(&self, now: Now, leg: LegId) -> bool {
        let Some(of) = self.legs.get(&leg) else { return false };
        of.confirm || (is_mobile(of) && of.heard.shows_voicemail(now.mono))
    }

    /// Asks who answered to press 1, in their own language, and says which queue calls.
    pub(crate) fn ask_to_confirm(&mut self, now: Now, leg: LegId) {
        let Some(of) = self.legs.get_mut(&leg) else { return };
        of.confirm = true;
        self.timers.set(Timer::Confirm(leg), now.mono + CONFIRM_WITHIN);
        let language = self.language_of_leg(leg);
        let mut items = Vec::new();
        if let Some(name) = self.spoken_name(leg) {
            items.push(PlayItem::Clip(system_prompt(language, "queue/whisper-pre")));
            items.push(PlayItem::Clip(clip_name(&name)));
        }
        items.push(PlayItem::Clip(system_prompt(language, "queue/accept")));
        items.push(PlayItem::Pause(ASKED_EVERY));
        self.play(leg, items, 0);
    }

    /// Who answered did not press 1 in time: counts as no answer.
    pub(crate) fn not_confirmed(&mut self, now: Now, leg: LegId) {
        let Some(of) = self.legs.get(&leg) else { return };
        let (dialog, call, user) = (of.dialog, of.call, of.user.clone());
        let answered = now.mono.checked_sub(CONFIRM_WITHIN).unwrap_or(now.mono);
        let signs = is_mobile(of) && of.heard.shows_voicemail(answered);
        let mobile = is_mobile(of);
        let reason = reasons::not_confirmed(self.language_of_phones(call));
        self.endpoint.bye(now, dialog, reason);
        if let Some(user) = user.filter(|_| mobile) {
            let times = self.suspects.entry(user.clone()).or_insert(0);
            let before = *times;
            *times = times.saturating_add(if signs { SUSPECTED_AFTER } else { 1 });
            let signs = *times;
            self.tell(Change::VoicemailSigns { user: user.clone(), signs, at: now.utc });
            let why = format!("not_confirmed: {} answered and pressed no key", user.user);
            self.decide(now, &user.company, Some(call), "agent.not_confirmed", &why);
            if before < SUSPECTED_AFTER && self.is_voicemail_suspected(&user) {
                let why =
                    format!("voicemail_suspected: the mobile of {} answers without a person", user.user);
                self.decide(now, &user.company, Some(call), "agent.voicemail_suspected", &why);
            }
        }
        self.leg_failed(now, leg, 408);
    }

    /// A person has taken a call at this leg: nothing is suspected any more.
    pub(crate) fn person_answered(&mut self, now: Now, leg: LegId) {
        let Some(of) = self.legs.get(&leg).filter(|of| is_mobile(of)) else { return };
        let Some(user) = of.user.clone() else { return };
        if self.suspects.remove(&user).is_some() {
            self.tell(Change::VoicemailSigns { user, signs: 0, at: now.utc });
        }
    }

    /// Takes signs of voicemail back from the store.
    pub(crate) fn restore_voicemail_signs(&mut self, user: UserKey, signs: u8) {
        let company = self.config.companies.get(&user.company);
        if company.is_some_and(|company| company.users.contains_key(&user.user)) {
            self.suspects.insert(user, signs);
        }
    }

    /// Whether voicemail seems to answer the mobile of a user.
    pub(crate) fn is_voicemail_suspected(&self, user: &UserKey) -> bool {
        self.suspects.get(user).is_some_and(|times| *times >= SUSPECTED_AFTER)
    }

    /// The language of whose leg it is, else that of the call.
    pub(crate) fn language_of_leg(&self, leg: LegId) -> Language {
        let Some(of) = self.legs.get(&leg) else { return self.config.server.language };
        let user = of.user.as_ref();
        let person = user.and_then(|key| self.config.companies.get(&key.company)?.users.get(&key.user));
        person.map_or_else(|| self.language_of(of.call), |person| person.language)
    }

    /// What the queue that a leg is rung for shows and says.
    pub(crate) fn presenting(&self, leg: LegId) -> Option<&Present> {
        let of = self.calls.get(&self.legs.get(&leg)?.call)?;
        let line = &of.waiting.as_ref()?.line;
        let company = self.config.companies.get(&line.company)?;
        match &line.line {
            LineId::Queue(id) => company.queues.get(id).map(|queue| &queue.present),
            LineId::Group(_) => None,
        }
    }

    /// How the name of the queue that a leg is rung for is said.
    pub(crate) fn spoken_name(&self, leg: LegId) -> Option<PromptKey> {
        let company = &self.calls.get(&self.legs.get(&leg)?.call)?.company;
        let media = self.presenting(leg)?.spoken.clone()?;
        Some(PromptKey::Media(company.clone(), media))
    }
}

/// Whether an Allow-Events names `talk`.
fn names_talk(value: &str) -> bool {
    value.split(',').any(|event| event.trim().eq_ignore_ascii_case("talk"))
}

/// Whether a leg is a user's own number through a trunk.
fn is_mobile(leg: &Leg) -> bool {
    leg.trunk.is_some() && leg.user.is_some()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an `Instant` has no other beginning")]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_by_its_haste_by_the_networks_word_and_by_speech_without_ringing() {
        let invited = Instant::now();
        let answer = |heard: &[(u16, bool)], after_ms: u64| {
            let mut all = Heard { invited: Some(invited), ..Heard::default() };
            for (status, sdp) in heard {
                let mut response = Response::new(*status, None);
                response.body = if *sdp { "v=0".into() } else { bytes::Bytes::new() };
                all.note(&response);
            }
            all.shows_voicemail(invited + Duration::from_millis(after_ms))
        };
        // A person.
        assert!(!answer(&[(180, false)], 1500));
        assert!(!answer(&[(183, true), (180, false)], 6000));
        assert!(!answer(&[], 6000));
        // Faster than anybody can take up a phone.
        assert!(answer(&[(180, false)], 1499));
        // Forwarded by the network.
        assert!(answer(&[(180, false), (181, false)], 19_000));
        // An announcement.
        assert!(answer(&[(183, true)], 3000));
    }
}
