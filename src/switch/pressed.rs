//! Keys that parties press, by INFO (RFC 6086 and what phones make of it) or in the audio, and the record key of phones.

use std::time::Duration;

use crate::model::command::RecordOrder;
use crate::model::id::LegId;
use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::Request;
use crate::sip::message::Name;
use crate::switch::Switch;
use crate::switch::call_recording::By;
use crate::switch::leg::KeyFrom;
use crate::switch::leg::LegState;
use crate::time::Now;

/// A key that comes by two ways within this long is one key.
const SAME_KEY: Duration = Duration::from_millis(40);

/// A tone is sure so long after it began, at most.
const TONE_SURE: Duration = Duration::from_millis(60);

/// Whether a key that came `since` ago by one way and comes by another is the same press. INFO comes when the key is
/// pressed or when it is let go, in which case it says for how long it was held.
fn is_same_key(first: KeyFrom, then: KeyFrom, tones: bool, since: Duration) -> bool {
    let within = match (first, then) {
        (KeyFrom::Media, KeyFrom::Info { held }) => SAME_KEY + held,
        (KeyFrom::Info { .. }, KeyFrom::Media) if tones => SAME_KEY + TONE_SURE,
        (KeyFrom::Info { .. }, KeyFrom::Media) => SAME_KEY,
        (KeyFrom::Media, KeyFrom::Media) | (KeyFrom::Info { .. }, KeyFrom::Info { .. }) => return false,
    };
    since < within
}

impl Switch {
    /// A key by INFO: `application/dtmf-relay` (`Signal=5`) or `application/dtmf` (`5`).
    pub(super) fn on_info(&mut self, now: Now, dialog: DialogId, request: &Request) -> (u16, Extra) {
        let Some(leg) = self.by_dialog.get(&dialog).copied() else { return (481, Vec::new()) };
        let content = request.headers.get(&Name::ContentType).unwrap_or_default().to_ascii_lowercase();
        if let Some(wish) = request.headers.get(&Name::Other("Record".into())) {
            return self.on_record_key(now, leg, &wish);
        }
        // RFC 6086 §4.2.2: no package was asked for.
        if request.headers.contains(&Name::Other("Info-Package".into())) {
            return (469, vec![("Recv-Info", String::new())]);
        }
        if request.body.is_empty() {
            return (200, Vec::new());
        }
        if !content.starts_with("application/dtmf") {
            return (415, vec![("Accept", "application/dtmf-relay, application/dtmf".into())]);
        }
        match info_key(&String::from_utf8_lossy(&request.body)) {
            Some((key, held)) => {
                self.on_key(now, leg, key, KeyFrom::Info { held });
                (200, Vec::new())
            }
            None => (400, vec![("Warning", "399 sentral \"no key in the body\"".into())]),
        }
    }

    /// The record key of a phone: INFO with `Record: on` or `off`, as Snom began it and others took over.
    fn on_record_key(&mut self, now: Now, leg: LegId, wish: &str) -> (u16, Extra) {
        let order = match wish.trim().to_ascii_lowercase().as_str() {
            "on" => RecordOrder::Start,
            "off" => RecordOrder::Stop,
            _ => return (400, vec![("Warning", "399 sentral \"Record is on or off\"".into())]),
        };
        let call = self.legs.get(&leg).map(|of| of.call);
        let (Some(user), Some(call)) = (self.user_of_leg(leg), call) else { return (403, Vec::new()) };
        match self.user_records(now, call, order, user, By::Phone) {
            Ok(()) => (200, Vec::new()),
            Err(why) => {
                (403, vec![("Warning", format!("399 sentral \"{}\"", why.words().replace('"', "'")))])
            }
        }
    }

    /// A party pressed a key.
    pub(crate) fn on_key(&mut self, now: Now, leg: LegId, key: char, from: KeyFrom) {
        let Some(of) = self.legs.get_mut(&leg) else { return };
        let tones = of.agreed.as_ref().is_some_and(|agreed| agreed.session.tones);
        if let Some((last, at, way)) = of.last_key
            && last == key
            && is_same_key(way, from, tones, now.mono.saturating_duration_since(at))
        {
            return;
        }
        of.last_key = Some((key, now.mono, from));
        let call = of.call;
        let confirms = of.confirm && of.attempt.is_some() && of.state == LegState::Up;
        let Some(in_call) = self.calls.get(&call) else { return };
        let to_program = in_call.caller == leg && in_call.callee.is_none();
        if confirms {
            if key == '1' {
                self.leg_won(now, leg);
            }
        } else if self.feature_key(now, leg, key) {
            tracing::trace!(%call, "a key of a feature");
        } else if to_program || from != KeyFrom::Media || self.keeps_keys(leg) || !self.travels(leg) {
            // A key by INFO, or one that was kept, or that the other party has no ear for, does not travel with the audio: it
            // is played on.
            self.ordinary_key(now, leg, key);
        }
    }
}

/// The key in an INFO body, and for how long it was held, of which half a second is believed.
fn info_key(body: &str) -> Option<(char, Duration)> {
    let field = |name: &str| {
        body.lines().find_map(|line| {
            let (field, value) = line.split_once('=')?;
            field.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let text = field("Signal").unwrap_or(body).trim();
    let held = field("Duration").and_then(|held| held.parse().ok()).unwrap_or(0);
    let held = Duration::from_millis(u64::min(held, 500));
    // The numbers of RFC 4733 §3.2, of which 16 is no key but a flash of the hook.
    let key = match text {
        "10" => '*',
        "11" => '#',
        "12" => 'A',
        "13" => 'B',
        "14" => 'C',
        "15" => 'D',
        _ => {
            let mut signs = text.chars();
            signs.next().filter(|_| signs.next().is_none())?.to_ascii_uppercase()
        }
    };
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D').then_some((key, held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_info_are_one_sign_or_the_number_of_one() {
        let numbers = "0123456789*#ABCD".chars().enumerate().map(|(at, key)| (at.to_string(), Some(key)));
        let signs = ["*", "#", "d", "16", "17", "!", "123", "1 2", ""];
        let keys = [Some('*'), Some('#'), Some('D'), None, None, None, None, None, None];
        for (signal, expect) in numbers.chain(signs.map(str::to_owned).into_iter().zip(keys)) {
            let relay = format!("Signal={signal}\r\nDuration=160\r\n");
            assert_eq!(info_key(&relay).map(|(key, _)| key), expect, "{relay}");
            assert_eq!(info_key(&signal).map(|(key, _)| key), expect, "{signal}");
        }
    }
}
