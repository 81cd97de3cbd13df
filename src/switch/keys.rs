//! Feature keys: who talks on a mobile, which knows no transfer, puts the other party through by keys.
//!
//! `**` and a number and `#` sends the other party there; `*2` and a number and `#` asks there first, hanging up then puts
//! them through, `*1` goes back, and `*3` joins all three. The codes stand in `[codes]`. Only a user of ours has them, never the other party.
//! Keys that could begin a code are kept from the other party until it is known that they do not; then they are played
//! on. A number that leads nowhere is told, and both talk on. `*5` records the talk, or ends that; `*6` pauses it.

use std::time::Duration;

use crate::media::Base;
use crate::media::Command;
use crate::media::PlayItem;
use crate::media::tone::Tone;
use crate::model::command::RecordOrder;
use crate::model::company::FeatureKeys;
use crate::model::dtmf::KeysBy;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::id::UserKey;
use crate::model::server::KeyCodes;
use crate::sip::Body;
use crate::sip::Method;
use crate::switch::Output;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::admission::Admitted;
use crate::switch::call_recording::By;
use crate::switch::call_recording::Taping;
use crate::switch::flow::action::Event;
use crate::switch::leg::LegState;
use crate::switch::queue;
use crate::switch::route::Target;
use crate::switch::system_prompt;
use crate::switch::transfer::Referral;
use crate::time::Now;

/// For the next key of a code.
const NEXT_KEY: Duration = Duration::from_secs(2);
/// For the next digit of a number.
const NEXT_DIGIT: Duration = Duration::from_secs(6);
/// Digits of a number at most.
const DIGITS_MAX: usize = 20;

/// What a party has keyed in so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keying {
    /// What may become a code.
    Code(String),
    /// A number to put the other party through to; `consult`: after asking there.
    Number {
        /// Ask first.
        consult: bool,
        /// So far.
        digits: String,
    },
}

/// What a code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    Transfer,
    Consult,
    Back,
    Join,
    Record,
    RecordPause,
}

/// What keys are, against the codes that count now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Feature(Feature),
    /// A code may begin so.
    Begins,
    /// Keys for the other party.
    Ordinary,
}

/// Reads keys against codes.
fn read(keys: &str, codes: &[(Feature, &str)]) -> Read {
    match codes.iter().find(|(_, code)| *code == keys) {
        Some((feature, _)) => Read::Feature(*feature),
        None if codes.iter().any(|(_, code)| code.starts_with(keys)) => Read::Begins,
        None => Read::Ordinary,
    }
}

impl Switch {
    /// Keeps the keys of a party who has features from the other, or lets them through again.
    pub(crate) fn review_keys(&mut self, leg: LegId) {
        let keep = self.has_features(leg);
        let Some(stream) = self.open_stream(leg) else { return };
        let Some(of) = self.legs.get_mut(&leg) else { return };
        if std::mem::replace(&mut of.keeps_keys, keep) != keep {
            self.outputs.push_back(Output::Media(Command::KeepKeys { stream, keep }));
        }
    }

    /// A party pressed a key. `true`: it belongs to a feature, or may.
    pub(crate) fn feature_key(&mut self, now: Now, leg: LegId, key: char) -> bool {
        let Some((codes, user)) = self.codes_of(leg) else { return false };
        match self.keying.remove(&leg) {
            Some(Keying::Number { consult, digits }) => self.number_key(now, leg, consult, digits, key),
            other => {
                let mut keys = match other {
                    Some(Keying::Code(keys)) => keys,
                    Some(Keying::Number { .. }) | None => String::new(),
                };
                keys.push(key);
                let open = self.features_now(leg, &codes, &user);
                match read(&keys, &open) {
                    Read::Feature(feature) => {
                        self.timers.clear(&Timer::Keys(leg));
                        self.feature(now, leg, feature, &user);
                    }
                    Read::Begins => {
                        self.keying.insert(leg, Keying::Code(keys));
                        self.timers.set(Timer::Keys(leg), now.mono + NEXT_KEY);
                    }
                    Read::Ordinary if keys.len() == 1 => return false,
                    Read::Ordinary => self.pass_keys(now, leg, &keys),
                }
            }
        }
        true
    }

    /// No further key came.
    pub(crate) fn keys_timeout(&mut self, now: Now, leg: LegId) {
        match self.keying.remove(&leg) {
            Some(Keying::Code(keys)) => self.pass_keys(now, leg, &keys),
            Some(Keying::Number { consult, digits }) if !digits.is_empty() => {
                self.number_keyed(now, leg, consult, &digits);
            }
            Some(Keying::Number { .. }) => self.talk_on(now, leg, "transfer/back"),
            None => {}
        }
    }

    /// A leg is over, or in another call.
    pub(crate) fn forget_keys(&mut self, leg: LegId) {
        self.timers.clear(&Timer::Keys(leg));
        self.keying.remove(&leg);
    }

    /// A key that is none of a feature: for the program that the party talks with, else for the other party.
    pub(crate) fn ordinary_key(&mut self, now: Now, leg: LegId, key: char) {
        let Some(call) = self.legs.get(&leg).map(|of| of.call) else { return };
        let Some(of) = self.calls.get(&call) else { return };
        if of.caller == leg && of.callee.is_none() {
            self.run_program(now, call, Event::Digit(key));
            return;
        }
        let other = if of.caller == leg { of.callee } else { Some(of.caller) };
        let Some(other) = other else { return };
        if self.legs.get(&other).is_some_and(|of| of.dtmf == KeysBy::Info) {
            self.send_info(now, other, key);
        } else if let Some(stream) = self.open_stream(other) {
            self.outputs.push_back(Output::Media(Command::SendDigit { stream, digit: key }));
        }
    }

    /// A key for a device or carrier that wants INFO.
    fn send_info(&mut self, now: Now, leg: LegId, key: char) {
        let Some(of) = self.legs.get(&leg).filter(|of| of.state == LegState::Up) else { return };
        let dialog = of.dialog;
        let bytes = format!("Signal={key}\r\nDuration=100\r\n").into();
        let body = Body { content_type: "application/dtmf-relay", bytes };
        self.endpoint.request_in(now, dialog, Method::Info, Vec::new(), Some(body));
    }

    /// Whether a key that a party pressed comes to the other by itself, as it was sent: as an event to who has events,
    /// as a tone to who has none.
    pub(crate) fn travels(&self, leg: LegId) -> bool {
        let Some(of) = self.legs.get(&leg) else { return true };
        let Some(call) = self.calls.get(&of.call) else { return true };
        let other = if call.caller == leg { call.callee } else { Some(call.caller) };
        let session = |leg: LegId| self.legs.get(&leg)?.agreed.as_ref().map(|agreed| &agreed.session);
        let (Some(from), Some(to)) = (session(leg), other.and_then(session)) else { return true };
        from.dtmf.is_some() == to.dtmf.is_some() && (to.dtmf.is_some() || to.tones)
    }

    /// Whether the keys of a leg are kept from the other party's audio.
    pub(crate) fn keeps_keys(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(|of| of.keeps_keys)
    }

    fn pass_keys(&mut self, now: Now, leg: LegId, keys: &str) {
        self.timers.clear(&Timer::Keys(leg));
        for key in keys.chars() {
            self.ordinary_key(now, leg, key);
        }
    }

    /// Whose leg it is, if that is a user for whom features are on.
    fn feature_user(&self, leg: LegId) -> Option<UserKey> {
        let of = self.legs.get(&leg)?;
        let call = self.calls.get(&of.call)?;
        let caller = || call.caller_user().filter(|_| call.caller == leg && of.trunk.is_none());
        let user = of.user.clone().or_else(caller)?;
        let on = match self.config.companies.get(&user.company)?.feature_keys {
            FeatureKeys::Off => false,
            FeatureKeys::Mobile => of.trunk.is_some(),
            FeatureKeys::All => true,
        };
        on.then_some(user)
    }

    fn has_features(&self, leg: LegId) -> bool {
        self.feature_user(leg).is_some()
    }

    /// The codes of a party who has any at this moment: in a talk, while asking elsewhere, and while one's transfer
    /// is under way.
    fn codes_of(&self, leg: LegId) -> Option<(KeyCodes, UserKey)> {
        let user = self.feature_user(leg)?;
        let call = self.legs.get(&leg)?.call;
        let of = self.calls.get(&call)?;
        let refers = of.referral.as_ref().is_some_and(|referral| referral.leg == leg);
        let talks = self.other_party(call, leg).is_some();
        if !refers && !talks && !self.consults(leg) {
            return None;
        }
        Some((self.config.companies.get(&user.company)?.codes.keys.clone(), user))
    }

    /// What may be keyed in where a party stands.
    fn features_now<'a>(&self, leg: LegId, codes: &'a KeyCodes, user: &UserKey) -> Vec<(Feature, &'a str)> {
        let call = self.legs.get(&leg).and_then(|of| self.calls.get(&of.call));
        let refers = call.and_then(|of| of.referral.as_ref()).is_some_and(|referral| referral.leg == leg);
        let all = [
            (Feature::Transfer, &codes.transfer),
            (Feature::Consult, &codes.consult),
            (Feature::Back, &codes.back),
            (Feature::Join, &codes.join),
            (Feature::Record, &codes.record),
            (Feature::RecordPause, &codes.record_pause),
        ];
        let away = refers || self.consults(leg);
        let open = all.into_iter().filter(|(feature, _)| match feature {
            Feature::Back => away,
            Feature::Transfer | Feature::Consult | Feature::Record | Feature::RecordPause => !away,
            Feature::Join => self.can_join(leg, user),
        });
        open.filter_map(|(feature, code)| Some((feature, code.as_deref()?))).collect()
    }

    fn feature(&mut self, now: Now, leg: LegId, feature: Feature, user: &UserKey) {
        let Some(call) = self.legs.get(&leg).map(|of| of.call) else { return };
        match feature {
            Feature::Back => {
                self.decide(now, &user.company, Some(call), "transfer.back", "key_back: by key");
                if self.consults(leg) {
                    self.end_consultation(now, call);
                } else {
                    self.recall_transfer(now, call);
                }
            }
            Feature::Join => {
                if let Err(why) = self.join_three(now, user) {
                    self.decide(now, &user.company, Some(call), "call.not_joined", why.code());
                    self.say_to(leg, "people/nothing-held");
                }
            }
            Feature::Record | Feature::RecordPause => {
                self.record_by_keys(now, leg, call, feature == Feature::Record, user);
            }
            Feature::Transfer | Feature::Consult => {
                let Some(party) = self.other_party(call, leg) else { return };
                let music = self.music_of(call);
                self.set_base(party, Base::Music(music));
                self.set_base(leg, Base::Silence);
                self.say_to(leg, "transfer/enter");
                let consult = feature == Feature::Consult;
                self.keying.insert(leg, Keying::Number { consult, digits: String::new() });
                self.timers.set(Timer::Keys(leg), now.mono + 2 * NEXT_DIGIT);
            }
        }
    }

    /// A user has the talk recorded, or no longer, or pauses that; and hears what came of it.
    fn record_by_keys(&mut self, now: Now, leg: LegId, call: CallId, whole: bool, user: &UserKey) {
        let tape = self.calls.get(&call).map(|of| &of.tape);
        let recorded = tape.is_some_and(|tape| tape.state().is_some() || tape.is_announcing());
        let paused = tape.is_some_and(Taping::is_paused);
        let (order, prompt) = match (whole, recorded, paused) {
            (true, false, _) => (RecordOrder::Start, "recording/on"),
            (true, true, _) => (RecordOrder::Stop, "recording/off"),
            (false, _, true) => (RecordOrder::Resume, "recording/resumed"),
            (false, _, false) => (RecordOrder::Pause, "recording/paused"),
        };
        let done = self.user_records(now, call, order, user.clone(), By::Keys);
        if self.calls.get(&call).is_some_and(|of| of.tape.is_announcing()) {
            // Both hear that it begins.
            return;
        }
        self.say_to(leg, if done.is_ok() { prompt } else { "recording/refused" });
    }

    /// A key of a number. Two stars give up.
    fn number_key(&mut self, now: Now, leg: LegId, consult: bool, mut digits: String, key: char) {
        self.stop_play(leg);
        match key {
            '#' if digits.is_empty() => self.talk_on(now, leg, "transfer/back"),
            '#' => self.number_keyed(now, leg, consult, &digits),
            '*' if digits.ends_with('*') => self.talk_on(now, leg, "transfer/back"),
            _ => {
                if digits.len() < DIGITS_MAX {
                    digits.push(key);
                }
                self.keying.insert(leg, Keying::Number { consult, digits });
                self.timers.set(Timer::Keys(leg), now.mono + NEXT_DIGIT);
            }
        }
    }

    /// The number is complete: the other party goes there, or the user asks there first.
    fn number_keyed(&mut self, now: Now, leg: LegId, consult: bool, digits: &str) {
        self.timers.clear(&Timer::Keys(leg));
        let Some(user) = self.feature_user(leg) else { return };
        let Some(call) = self.legs.get(&leg).map(|of| of.call) else { return };
        let Some(party) = self.other_party(call, leg) else { return };
        let target = match self.keyed_target(now, &user, digits) {
            Ok(target) => target,
            Err((status, prompt)) => {
                let why = format!("{status}: the number keyed in leads nowhere");
                self.decide(now, &user.company, Some(call), "transfer.refused", &why);
                self.talk_on(now, leg, prompt);
                return;
            }
        };
        if consult {
            self.consult(now, leg, party, &user, target, digits);
            return;
        }
        self.decide(now, &user.company, Some(call), "transfer.blind", digits);
        self.transfer_blind(now, call, party, Referral::by_keys(leg), target);
        let still = self.calls.get(&call).is_some_and(|of| of.referral.is_some());
        if still {
            self.set_base(leg, Base::Tone(Tone::Ringback));
        }
    }

    /// Where a user may put somebody through to, with the user's own rights; else a status and what is said.
    fn keyed_target(
        &mut self,
        now: Now,
        user: &UserKey,
        digits: &str,
    ) -> Result<Target, (u16, &'static str)> {
        let admitted = Admitted::Device { company: user.company.clone(), user: user.user.clone() };
        let target = self.target(&admitted, digits).map_err(|status| (status, prompt_of(status)))?;
        match self.within_limits(now, &admitted, target) {
            Target::Barred { status, .. } => Err((status, "call/barred")),
            // A caller is no agent who could log in, or turn a switch.
            Target::Toggle { .. } | Target::Service { .. } => Err((403, "menu/invalid")),
            target @ (Target::Inside { .. } | Target::Phone { .. } | Target::Outside { .. }) => Ok(target),
        }
    }

    /// The transfer under way is taken back: both talk again.
    fn recall_transfer(&mut self, now: Now, call: CallId) {
        if self.calls.get(&call).is_some_and(|of| of.waiting.is_some()) {
            self.leave_queue(now, call, queue::Left::Key);
        }
        self.referral_failed(now, call, 487);
    }

    /// The user of a transfer by keys gets the party back, and hears why.
    pub(crate) fn tell_why_back(&mut self, leg: LegId, status: u16) {
        self.say_to(leg, prompt_of(status));
    }

    /// Both talk on; the user hears this over it.
    fn talk_on(&mut self, now: Now, leg: LegId, prompt: &str) {
        self.timers.clear(&Timer::Keys(leg));
        let Some(call) = self.legs.get(&leg).map(|of| of.call) else { return };
        tracing::debug!(%call, at = ?now.utc, "back to the talk");
        if let Some(party) = self.other_party(call, leg) {
            self.join_media(party, leg);
            self.say_to(leg, prompt);
        }
    }

    /// Says something of the system's to one party, in their language.
    pub(crate) fn say_to(&mut self, leg: LegId, prompt: &str) {
        let clip = system_prompt(self.language_of_leg(leg), prompt);
        self.play(leg, vec![PlayItem::Clip(clip)], 1);
    }
}

/// What is said of a number or a transfer that came to this.
fn prompt_of(status: u16) -> &'static str {
    match status {
        404 | 410 | 484 | 604 => "call/unallocated",
        403 | 603 => "call/barred",
        486 | 600 => "call/busy",
        487 => "transfer/back",
        408 | 480 => "call/no-answer",
        _ => "call/technical",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_against_the_codes_that_count() {
        let codes = [(Feature::Transfer, "**"), (Feature::Consult, "*2")];
        for (keys, expect) in [
            ("*", Read::Begins),
            ("**", Read::Feature(Feature::Transfer)),
            ("*2", Read::Feature(Feature::Consult)),
            // Not now.
            ("*1", Read::Ordinary),
            ("1", Read::Ordinary),
            ("#", Read::Ordinary),
        ] {
            assert_eq!(read(keys, &codes), expect, "{keys}");
        }
        assert_eq!(read("*", &[]), Read::Ordinary, "nobody's codes");
    }
}
