//! Before a call is recorded both parties are told; what is told to its end begins the recording.

use std::time::Duration;

use crate::media::PlayId;
use crate::media::PlayItem;
use crate::model::id::CallId;
use crate::model::number;
use crate::model::prompt::PromptKey;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::call_recording::By;
use crate::switch::clip_name;
use crate::switch::system_prompt;
use crate::time::Now;

/// An announcement that has not come to its end after this long was cut off, and is played again.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(30);

/// How often it is played in vain before the call goes unrecorded.
const ANNOUNCED_MAX: u8 = 3;

/// Both parties are being told.
#[derive(Debug)]
pub(super) struct Announcing {
    pub(super) play: PlayId,
    pub(super) by: By,
    pub(super) times: u8,
    /// It is to begin paused.
    pub(super) paused: bool,
}

impl Switch {
    /// Tells both parties, if they must be told; then it begins.
    pub(super) fn begin_recording(&mut self, now: Now, call: CallId, by: By) {
        self.announce_recording(now, call, by, 1, false);
    }

    pub(super) fn announce_recording(&mut self, now: Now, call: CallId, by: By, times: u8, paused: bool) {
        let Some(of) = self.calls.get(&call) else { return };
        let Some(company) = self.config.companies.get(&of.company) else { return };
        let emergency = number::is_emergency(of.facts.dialled.as_str());
        if !company.recordings.announce || of.tape.consent == Some(true) || emergency {
            return self.start_taping(now, call, &by, paused);
        }
        let (caller, callee) = (of.caller, of.callee);
        let own = company.recordings.announcement.clone();
        let own = own.map(|media| clip_name(&PromptKey::Media(company.id.clone(), media)));
        let said = |switch: &mut Switch, leg| {
            let language = switch.language_of_leg(leg);
            let clip = own.clone().unwrap_or_else(|| system_prompt(language, "recording/announce"));
            switch.play(leg, vec![PlayItem::Clip(clip)], 1)
        };
        if let Some(callee) = callee {
            said(self, callee);
        }
        let Some(play) = said(self, caller) else { return };
        if let Some(of) = self.calls.get_mut(&call) {
            of.tape.announcing = Some(Announcing { play, by, times, paused });
        }
        self.timers.set(Timer::Announced(call), now.mono + ANNOUNCED_WITHIN);
    }

    /// A playing has come to its end. `true`: it was the announcement of a recording, which begins.
    pub(crate) fn recording_announced(&mut self, now: Now, call: CallId, play: PlayId) -> bool {
        let Some(of) = self.calls.get_mut(&call) else { return false };
        let Some(told) = of.tape.announcing.take_if(|told| told.play == play) else { return false };
        self.timers.clear(&Timer::Announced(call));
        if self.talks(call) {
            self.start_taping(now, call, &told.by, told.paused);
        }
        true
    }

    /// The announcement has not come to its end: the parties have changed, or something else was played.
    pub(crate) fn announcement_cut(&mut self, now: Now, call: CallId) {
        let talks = self.talks(call);
        let Some(of) = self.calls.get_mut(&call) else { return };
        let Some(told) = of.tape.announcing.take() else { return };
        if !talks {
            // With the next party it begins anew.
            return;
        }
        if told.times < ANNOUNCED_MAX {
            return self.announce_recording(now, call, told.by, told.times + 1, told.paused);
        }
        of.tape.ended = true;
        let company = of.company.clone();
        let why = "not_announced: the announcement was cut off each time";
        self.decide(now, &company, Some(call), "recording.refused", why);
    }
}
