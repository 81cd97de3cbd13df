//! Sessions that end when nobody refreshes them (RFC 4028): what is asked for and granted, who refreshes, and when a
//! session is over.
//!
//! We ask for a timer in each call that we make, and grant one to who supports them. Refreshes go as UPDATE where the
//! other side allows it; else the user is asked for a re-INVITE ([`Event::Refresh`]).

use std::time::Duration;

use crate::sip::DialogId;
use crate::sip::Event;
use crate::sip::Extra;
use crate::sip::Response;
use crate::sip::client::Owner;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::Timer;
use crate::sip::header::Headers;
use crate::sip::header::Name;
use crate::sip::header::Refresher;
use crate::sip::header::SessionExpires;
use crate::sip::header::delta_seconds;
use crate::sip::message::Method;
use crate::sip::message::Request;
use crate::time::Now;

/// The option tag.
pub(super) const TAG: &str = "timer";

/// The least interval that anybody may demand (§4).
pub(super) const MIN_SE_S: u32 = 90;

/// The most that a 422 can make us ask for.
const MAX_MIN_SE_S: u32 = 86_400;

/// Between tries of a refresh that was in the way of something else, or could not be sent.
const AGAIN: Duration = Duration::from_secs(3);

/// A running session timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionTimer {
    seconds: u32,
    /// We refresh.
    ours: bool,
    /// A refresh was refused for good, and is tried once more.
    refused: bool,
}

impl SessionTimer {
    /// The header of a request of ours that refreshes.
    fn asks(self) -> String {
        let refresher = if self.ours { Refresher::Uac } else { Refresher::Uas };
        SessionExpires { seconds: self.seconds, refresher: Some(refresher) }.to_string()
    }
}

impl Dialog {
    /// A 422 demands a longer session than we have asked for.
    fn raise_interval(&mut self, refusal: &Response) {
        self.min_se = min_se(&refusal.headers).clamp(MIN_SE_S, MAX_MIN_SE_S);
        if let Some(timer) = &mut self.session {
            timer.seconds = timer.seconds.max(self.min_se);
        }
    }
}

impl Endpoint {
    /// Headers of an INVITE of ours that ask for a timer; `min_se` is what a 422 demanded.
    pub(super) fn session_wish(&self, min_se: u32) -> Extra {
        let mut extra = Extra::new();
        if self.settings.session_expires == 0 {
            return extra;
        }
        extra.push(("Session-Expires", self.settings.session_expires.max(min_se).to_string()));
        if min_se > MIN_SE_S {
            extra.push(("Min-SE", min_se.to_string()));
        }
        extra
    }

    /// Headers of a re-INVITE or UPDATE of ours in a dialog with a timer (§7.4: the roles stay).
    pub(super) fn session_keep(&self, id: DialogId) -> Extra {
        let Some(dialog) = self.dialogs.get(&id) else { return Extra::new() };
        let Some(timer) = dialog.session else { return Extra::new() };
        let mut extra = vec![("Session-Expires", timer.asks())];
        if dialog.min_se > MIN_SE_S {
            extra.push(("Min-SE", dialog.min_se.to_string()));
        }
        extra
    }

    /// Whether a request asks for a shorter session than anybody may (§9): 422.
    pub(super) fn session_too_brief(&self, request: &Request) -> bool {
        let wish = session_expires(&request.headers);
        self.settings.session_expires > 0
            && supports(request)
            && wish.is_some_and(|wish| wish.seconds < MIN_SE_S)
    }

    /// Grants a timer in our 2xx to `request`, by the table of §9; returns the headers that say so.
    pub(super) fn session_grant(&mut self, now: Now, id: DialogId, request: &Request) -> Extra {
        let most = self.settings.session_expires;
        let wish = session_expires(&request.headers);
        let supported = supports(request);
        if most == 0 || (wish.is_none() && !supported) {
            self.session_set(now, id, None);
            return Extra::new();
        }
        let least = min_se(&request.headers).max(MIN_SE_S);
        let seconds = wish.map_or(most, |wish| wish.seconds.min(most)).max(least);
        let refresher = match wish.and_then(|wish| wish.refresher) {
            Some(refresher) if supported => refresher,
            None if supported => Refresher::Uac,
            Some(_) | None => Refresher::Uas,
        };
        let timer = SessionTimer { seconds, ours: refresher == Refresher::Uas, refused: false };
        self.session_set(now, id, Some(timer));
        let granted = SessionExpires { seconds, refresher: Some(refresher) }.to_string();
        let mut extra = vec![("Session-Expires", granted)];
        if refresher == Refresher::Uac {
            extra.push(("Require", TAG.to_owned()));
        }
        extra
    }

    /// Takes the timer that a 2xx to a request of ours grants (§7.2).
    pub(super) fn session_take(&mut self, now: Now, id: DialogId, response: &Response) {
        let granted = session_expires(&response.headers).filter(|_| self.settings.session_expires > 0);
        let timer = granted.map(|granted| SessionTimer {
            seconds: granted.seconds.max(MIN_SE_S),
            ours: granted.refresher != Some(Refresher::Uas),
            refused: false,
        });
        self.session_set(now, id, timer);
    }

    fn session_set(&mut self, now: Now, id: DialogId, timer: Option<SessionTimer>) {
        let Some(dialog) = self.dialogs.get_mut(&id).filter(|dialog| !dialog.ended) else { return };
        dialog.session = timer;
        self.timers.clear(&Timer::Refresh(id));
        self.timers.clear(&Timer::SessionOver(id));
        let Some(SessionTimer { seconds, ours, .. }) = timer else { return };
        // §10: the refresher acts at half time; the other side hangs up a little before the end.
        let early = if ours { 0 } else { (seconds / 3).min(32) };
        let whole = Duration::from_secs(u64::from(seconds - early));
        self.timers.set(Timer::SessionOver(id), now.mono + whole);
        if ours {
            self.timers.set(Timer::Refresh(id), now.mono + Duration::from_secs(u64::from(seconds)) / 2);
        }
    }

    /// It is time to refresh.
    pub(super) fn on_refresh(&mut self, now: Now, id: DialogId) {
        let Some(dialog) = self.dialogs.get(&id).filter(|dialog| dialog.confirmed && !dialog.ended) else {
            return;
        };
        // A refresh that is in the way of another INVITE waits; one that nobody answers ends with the session.
        self.timers.set(Timer::Refresh(id), now.mono + AGAIN);
        if dialog.theirs.is_some() || dialog.ours.is_some() {
            return;
        }
        if !dialog.peer_updates {
            return self.event(Event::Refresh { dialog: id });
        }
        let extra = self.session_keep(id);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        dialog.local_seq = dialog.local_seq.saturating_add(1);
        let request = dialog.request(Method::Update, dialog.local_seq, extra, &self.settings);
        let (hop, credentials) = (dialog.next_hop(), dialog.credentials.clone());
        self.timers.clear(&Timer::Refresh(id));
        self.send(now, request, hop, Owner::Refresh(id), credentials);
    }

    /// What came of a refresh by UPDATE.
    pub(super) fn on_refreshed(&mut self, now: Now, id: DialogId, status: u16, response: Option<&Response>) {
        let wait = self.refresh_wait(id, status);
        let Some(dialog) = self.dialogs.get_mut(&id).filter(|dialog| !dialog.ended) else { return };
        match (status, response) {
            (200..300, Some(response)) => return self.session_take(now, id, response),
            (408 | 481, _) => return self.lose(now, id),
            (422, Some(response)) => dialog.raise_interval(response),
            // It was in the way of something, or did not get out.
            (491 | 500 | 503, _) => {}
            _ => dialog.peer_updates = false,
        }
        self.timers.set(Timer::Refresh(id), now.mono + wait);
    }

    /// Nobody refreshed the session (§10).
    pub(super) fn on_session_over(&mut self, now: Now, id: DialogId) {
        self.refuse("session expired");
        self.lose(now, id);
    }

    /// A refresh by re-INVITE was refused. What was in its way, or what failed there, is tried again soon; whatever else
    /// was wrong, once more when half of the time left is over.
    pub(super) fn refresh_later(&mut self, now: Now, id: DialogId, status: u16, response: Option<&Response>) {
        let mut wait = self.refresh_wait(id, status);
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let Some(timer) = dialog.session.as_mut().filter(|timer| timer.ours) else { return };
        if status != 491 && !(500..600).contains(&status) {
            if std::mem::replace(&mut timer.refused, true) {
                // The session ends with its time.
                self.timers.clear(&Timer::Refresh(id));
                return;
            }
            wait = Duration::from_secs(u64::from(timer.seconds)) / 4;
            if let Some(response) = response.filter(|_| status == 422) {
                dialog.raise_interval(response);
            }
        }
        self.timers.set(Timer::Refresh(id), now.mono + wait);
    }

    /// How long to wait after a refusal. RFC 3261 §14.1: after 491, whoever made the Call-ID waits for 2.1 to 4 s, the
    /// other side for 2 s at most.
    fn refresh_wait(&mut self, id: DialogId, status: u16) -> Duration {
        let own = self.dialogs.get(&id).is_some_and(|dialog| dialog.own_call_id);
        let ms = |ms: usize| Duration::from_millis(ms as u64);
        match (status, own) {
            (491, true) => ms(2100 + 10 * self.rng.below(191)),
            (491, false) => ms(10 * self.rng.below(201)),
            _ => AGAIN + ms(self.rng.below(1000)),
        }
    }

    /// The interval to ask for after a 422 to our INVITE; `None` when it demands nothing sensible, or again no more
    /// than before.
    pub(super) fn raised_interval(&mut self, id: DialogId, response: &Response) -> Option<Extra> {
        let demanded = min_se(&response.headers);
        let dialog = self.dialogs.get_mut(&id)?;
        // Each time at least twice as much, so that a few tries are all.
        let more = demanded > MIN_SE_S && demanded <= MAX_MIN_SE_S && demanded >= 2 * dialog.min_se;
        if response.status != 422 || !more {
            return None;
        }
        dialog.min_se = demanded;
        Some(self.session_wish(demanded))
    }
}

fn supports(request: &Request) -> bool {
    request.tokens(&Name::Supported).iter().any(|tag| tag.eq_ignore_ascii_case(TAG))
}

fn session_expires(headers: &Headers) -> Option<SessionExpires> {
    SessionExpires::parse(&headers.get(&Name::SessionExpires)?).ok()
}

fn min_se(headers: &Headers) -> u32 {
    let value = headers.get(&Name::MinSe);
    let digits = value.as_deref().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    delta_seconds(digits)
}
