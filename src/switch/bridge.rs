//! Two legs talking: answering the caller, joining the streams, hold, and how a call ends.

use std::collections::HashMap;

use crate::media::Base;
use crate::media::Codec;
use crate::media::Session;
use crate::model::cdr::CallResult;
use crate::model::cdr::EndedBy;
use crate::model::change::Change;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::id::LineId;
use crate::model::id::TrunkId;
use crate::model::id::UserKey;
use crate::sip::Extra;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::call::Call;
use crate::switch::leg::Leg;
use crate::switch::leg::LegState;
use crate::switch::negotiate;
use crate::switch::negotiate::Agreed;
use crate::switch::negotiate::Direction;
use crate::switch::negotiate::Refusal;
use crate::switch::people::Deadline;
use crate::switch::queue;
use crate::switch::reasons;
use crate::switch::watch::Watched;
use crate::time::Now;

/// How and why a call ends.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// Who ended it.
    pub(crate) by: EndedBy,
    /// Final status towards a caller who is not answered.
    pub(crate) status: u16,
    /// Further headers of that status or of the BYE.
    pub(crate) extra: Extra,
    /// How it came out, when the call's own history does not tell.
    pub(crate) result: Option<CallResult>,
}

impl Ending {
    /// A party hung up.
    pub(crate) fn hung_up(by: EndedBy) -> Ending {
        Ending { by, status: 480, extra: Vec::new(), result: None }
    }

    /// The system ends it with this status.
    pub(crate) fn refused(status: u16, result: CallResult) -> Ending {
        Ending { by: EndedBy::System, status, extra: Vec::new(), result: Some(result) }
    }

    /// Says what was missing in the SDP (RFC 3261 §20.43).
    pub(crate) fn warning(mut self, refusal: &Refusal) -> Ending {
        self.extra.push(("Warning", refusal.header()));
        self
    }
}

/// Users whom a call keeps busy, besides what the queues know of by themselves.
pub(crate) fn busy_users(call: &Call, legs: &HashMap<LegId, Leg>) -> Vec<UserKey> {
    let mut users: Vec<UserKey> = call.caller_user().into_iter().collect();
    if let Some(referral) = &call.referral {
        users.extend(legs.get(&referral.leg).and_then(|leg| leg.user.clone()));
    }
    if let (Some(callee), None) = (call.callee, &call.served_by) {
        users.extend(legs.get(&callee).and_then(|leg| leg.user.clone()));
    }
    // Who calls their own other phone is one person.
    users.dedup();
    users
}

impl Switch {
    /// 200 OK to the caller, once. `false`: the call had to be ended instead.
    pub(crate) fn answer_caller(&mut self, now: Now, call: CallId, prefer: Option<Codec>) -> bool {
        let Some(of) = self.calls.get(&call) else { return false };
        let caller = of.caller;
        let Some(leg) = self.legs.get(&caller) else { return false };
        if leg.state != LegState::Incoming {
            // A transferred party has been answered long ago; now the target has.
            self.referral_done(now, call);
            return true;
        }
        let dialog = leg.dialog;
        let late = leg.offer.is_none() && leg.agreed.is_none();
        let body = if let Some(body) = self.early_body.remove(&caller) {
            Ok(body)
        } else if !self.ready_media(caller) {
            self.end_call(
                now,
                call,
                Ending { extra: retry_after(), ..Ending::refused(503, CallResult::Failed) },
            );
            return false;
        } else if late {
            self.offer_late(caller, prefer)
        } else {
            self.answer_offer(caller, prefer)
        };
        match body {
            Ok(body) => {
                self.endpoint.accept(now, dialog, Vec::new(), body);
                if let Some(leg) = self.legs.get_mut(&caller) {
                    leg.state = LegState::Up;
                }
                if let Some(of) = self.calls.get_mut(&call) {
                    of.facts.answered = true;
                    of.cdr.answered = Some(now.utc);
                }
                self.tell(Change::CallAnswered { call });
                self.watch_leg(caller);
                true
            }
            Err(refusal) => {
                self.end_call(now, call, Ending::refused(488, CallResult::Failed).warning(&refusal));
                false
            }
        }
    }

    /// Sees to it that a caller's leg has a port. `false`: none is free.
    pub(crate) fn ready_media(&mut self, caller: LegId) -> bool {
        let Some(leg) = self.legs.get(&caller) else { return false };
        if leg.local.is_some() {
            return true;
        }
        let Some(hop) = self.endpoint.hop(leg.dialog) else { return false };
        let codecs = self.codecs_for(leg.trunk.as_ref());
        self.prepare_media(caller, hop.local.ip(), codecs).is_some()
    }

    /// The codecs that may be used with a party: those of its trunk, else the server's; the best liked first.
    pub(crate) fn codecs_for(&self, trunk: Option<&TrunkId>) -> Vec<Codec> {
        let of_trunk = trunk.and_then(|id| self.config.trunks.get(id)?.codecs.as_ref());
        negotiate::codecs(of_trunk.unwrap_or(&self.config.server.codecs))
    }

    /// The 200 to an INVITE without SDP holds our offer; the stream is open but knows no address until the ACK.
    pub(crate) fn offer_late(
        &mut self,
        caller: LegId,
        prefer: Option<Codec>,
    ) -> Result<crate::sip::Body, Refusal> {
        let Some(local) = self.legs.get_mut(&caller).and_then(|leg| leg.local.as_mut()) else {
            return Err(Refusal::no_media());
        };
        if let Some(codec) = prefer {
            local.codecs.sort_by_key(|c| *c != codec);
        }
        let Some(codec) = local.codecs.first().copied() else { return Err(Refusal::no_media()) };
        let session = Session {
            codec,
            payload_type: codec.payload_type(),
            // Before their answer is known, what comes may be encrypted, and nothing may go out in the clear.
            send: !local.secrecy.offers(),
            receive: !local.secrecy.offers(),
            ..Session::default()
        };
        let body = self.make_offer(caller).ok_or_else(Refusal::no_media)?;
        if let Some(leg) = self.legs.get_mut(&caller) {
            leg.awaiting_answer = true;
        }
        self.set_session(caller, Agreed { session, their_direction: Direction::SendRecv, hold: false });
        Ok(body)
    }

    /// The winner of all that rang talks with the caller.
    pub(crate) fn connect(&mut self, now: Now, call: CallId, winner: LegId) {
        let elsewhere = reasons::elsewhere(self.language_of_phones(call));
        self.give_up_attempts(now, call, Some(winner), &elsewhere);
        let codec = self.legs.get(&winner).and_then(Leg::codec);
        if let Some(of) = self.calls.get_mut(&call) {
            of.callee = Some(winner);
            of.program = None;
            of.playing = None;
            of.shown_as = None;
            of.transferred = None;
        }
        self.timers.clear(&Timer::Program(call));
        self.timers.clear(&Timer::People(Deadline::Return(call)));
        self.leave_slot(call);
        let transferred = self.calls.get(&call).is_some_and(|of| of.referral.is_some());
        if !self.answer_caller(now, call, codec) {
            return;
        }
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.talking_since = Some(now.mono);
        of.cdr.connected.get_or_insert(now.utc);
        of.cdr.answered_by =
            self.legs.get(&winner).and_then(|leg| leg.user.as_ref()).map(|key| key.user.clone());
        let caller = of.caller;
        self.stop_play(caller);
        self.join_media(caller, winner);
        self.update_busy(now, call);
        if transferred {
            self.show_parties(now, call);
        }
        self.reached(now, call);
        tracing::info!(%call, "connected");
    }

    /// The two parties of a call hear each other, and whoever else takes part.
    pub(crate) fn join_media(&mut self, a: LegId, b: LegId) {
        let call = self.legs.get(&a).map(|leg| leg.call);
        if !call.is_some_and(|call| self.mix_instead(call)) {
            self.join_two(a, b);
        }
    }

    /// Each of two legs hears the other, or music while the other holds.
    pub(crate) fn join_two(&mut self, a: LegId, b: LegId) {
        let (Some(stream_a), Some(stream_b)) = (self.open_stream(a), self.open_stream(b)) else { return };
        let held = |leg: LegId| self.legs.get(&leg).is_some_and(|leg| leg.on_hold() || leg.holds);
        let (a_holds, b_holds) = (held(a), held(b));
        let music = self.legs.get(&a).map(|leg| self.music_of(leg.call)).unwrap_or_else(|| "music".into());
        let silent = |leg: LegId| self.legs.get(&leg).is_some_and(|leg| leg.holds);
        let base = |leg: LegId, other_holds: bool, other| match other_holds {
            true => Base::Music(music.clone()),
            // Who had somebody put on hold by order does not listen to them.
            false if silent(leg) => Base::Silence,
            false => Base::Peer(other),
        };
        let (of_a, of_b) = (base(a, b_holds, stream_b), base(b, a_holds, stream_a));
        self.set_base(a, of_a);
        self.set_base(b, of_b);
        self.review_keys(a);
        self.review_keys(b);
    }

    /// The music that this call's waiting and held parties hear.
    pub(crate) fn music_of(&self, call: CallId) -> crate::media::ClipName {
        let company = self.calls.get(&call).and_then(|of| self.config.companies.get(&of.company));
        let Some(company) = company else { return "music".into() };
        let of_queue = self.calls.get(&call).and_then(|of| match &of.waiting.as_ref()?.line.line {
            LineId::Queue(queue) => company.queues.get(queue)?.music.clone(),
            LineId::Group(_) => None,
        });
        match of_queue.or_else(|| company.music.clone()) {
            Some(media) => {
                crate::switch::clip_name(&crate::model::prompt::PromptKey::Media(company.id.clone(), media))
            }
            None => "music".into(),
        }
    }

    /// After a re-INVITE: the other party hears music, or the party again.
    pub(crate) fn refresh_bridge(&mut self, call: CallId) {
        if self.seat_again(call) || self.mix_instead(call) {
            return;
        }
        let Some(of) = self.calls.get(&call) else { return };
        if let Some(callee) = of.callee {
            let caller = of.caller;
            self.join_media(caller, callee);
        }
    }

    /// Ends a call: every leg, its place in a queue, its program; and writes its record.
    pub(crate) fn end_call(&mut self, now: Now, call: CallId, ending: Ending) {
        if ending.by == EndedBy::System && self.referral_failed(now, call, ending.status)
            || self.put_into_queue(now, call, &ending)
        {
            return;
        }
        let Some(of) = self.calls.get_mut(&call) else { return };
        if of.ending {
            return;
        }
        of.ending = true;
        self.leave_room(now, call);
        self.mix_over(now, call);
        self.consultation_over(now, call, &ending);
        self.callback_ended(now, call);
        self.end_segments(now, call);
        let Some(of) = self.calls.get_mut(&call) else { return };
        if let Some(referral) = of.referral.take() {
            self.hang_up_leg(now, referral.leg, Vec::new());
        }
        let Some(of) = self.calls.get_mut(&call) else { return };
        let (caller, callee) = (of.caller, of.callee);
        let originating = of.originate.is_some();
        let rang = !of.attempts.is_empty() || of.waiting.is_some();
        let waiting = of.waiting.take();
        let served = of.served_by.take();
        self.timers.clear(&Timer::Program(call));
        self.timers.clear(&Timer::People(Deadline::Return(call)));
        self.leave_slot(call);
        if let Some(waiting) = &waiting {
            self.note_wait(now, call, waiting.since);
        }
        if let Some(waiting) = &waiting {
            self.note_abandoned(now, call, waiting, ending.by);
            let why = match ending.by {
                EndedBy::Caller => queue::Left::HungUp,
                EndedBy::Callee | EndedBy::System => queue::Left::System,
            };
            self.queue_input(now, queue::Input::Leave { entry: call, why });
        }
        if served.is_some() {
            self.queue_input(now, queue::Input::TalkEnded { entry: call });
        }
        self.stop_taping(call);
        self.note_message(now, call);
        self.stop_recording(call);
        // What was recorded and not kept before the call ended is not wanted.
        self.judge_recording(now, call, false);
        let reason = match (ending.by, ending.extra.is_empty()) {
            (EndedBy::Caller, true) => reasons::caller_gone(self.language_of_phones(call)),
            (EndedBy::Caller | EndedBy::Callee | EndedBy::System, _) => ending.extra.clone(),
        };
        self.give_up_attempts(now, call, None, &reason);
        if let Some(callee) = callee {
            self.hang_up_leg(now, callee, Vec::new());
        }
        let unanswered =
            originating || self.legs.get(&caller).is_some_and(|leg| leg.state == LegState::Incoming);
        if let Some(leg) = self.legs.get(&caller) {
            let dialog = leg.dialog;
            match leg.state {
                LegState::Incoming if ending.by != EndedBy::Caller => {
                    self.endpoint.reject(now, dialog, ending.status, ending.extra.clone());
                }
                LegState::Up if ending.by != EndedBy::Caller => {
                    self.endpoint.bye(now, dialog, ending.extra.clone());
                }
                LegState::Incoming | LegState::Up | LegState::Calling | LegState::Cancelled => {}
            }
        }
        let codec = self.legs.get(&caller).and_then(Leg::codec);
        self.forget_leg(now, caller);
        let Some(mut of) = self.calls.remove(&call) else { return };
        self.note_unreached(now, &of);
        for user in std::mem::take(&mut of.busy) {
            self.less_busy(now, user);
        }
        let mut cdr = of.cdr;
        cdr.ended = now.utc;
        cdr.ended_by = ending.by;
        if let Some(since) = of.talking_since {
            cdr.talk_ms += millis(now.mono.saturating_duration_since(since));
        }
        cdr.codec = codec.map(|codec| codec.name().into());
        cdr.status = match (unanswered, ending.by) {
            (false, _) => 200,
            (true, EndedBy::Caller) => 487,
            (true, EndedBy::Callee | EndedBy::System) => ending.status,
        };
        cdr.result = result(&cdr, &ending, rang, of.asked, of.left_message);
        tracing::info!(%call, result = cdr.result.as_str(), status = cdr.status, "call ended");
        self.tell(Change::CallEnded { cdr: Box::new(cdr) });
    }

    /// Ends a call whose caller goes on in another.
    pub(crate) fn dissolve(&mut self, now: Now, call: CallId) {
        let elsewhere = reasons::elsewhere(self.language_of_phones(call));
        self.give_up_attempts(now, call, None, &elsewhere);
        self.leave_room(now, call);
        self.mix_over(now, call);
        self.end_segments(now, call);
        self.stop_taping(call);
        self.timers.clear(&Timer::Program(call));
        let Some(mut of) = self.calls.remove(&call) else { return };
        for user in std::mem::take(&mut of.busy) {
            self.less_busy(now, user);
        }
        let mut cdr = of.cdr;
        (cdr.ended, cdr.ended_by) = (now.utc, EndedBy::System);
        (cdr.status, cdr.result) = (200, CallResult::Answered);
        tracing::info!(%call, "goes on in another call");
        self.tell(Change::CallEnded { cdr: Box::new(cdr) });
    }

    /// BYE to an answered leg, and everything of it is forgotten.
    pub(crate) fn hang_up_leg(&mut self, now: Now, leg: LegId, extra: Extra) {
        if let Some(of) = self.legs.get(&leg) {
            let dialog = of.dialog;
            self.endpoint.bye(now, dialog, extra);
        }
        self.forget_leg(now, leg);
    }

    /// Forgets a leg whose dialog is over.
    pub(crate) fn forget_leg(&mut self, now: Now, leg: LegId) {
        self.watch_leg(leg);
        if !self.between.wishes.is_empty()
            && let Some(user) = self.user_of_leg(leg)
        {
            self.put_down(now, &user);
        }
        self.spending.end(leg, now.mono);
        self.close_media(leg);
        self.free_channel(leg);
        self.timers.clear(&Timer::Confirm(leg));
        self.timers.clear(&Timer::RangOut(leg));
        self.forget_whisper(leg);
        self.forget_keys(leg);
        self.early_body.remove(&leg);
        if let Some(of) = self.legs.remove(&leg) {
            self.by_dialog.remove(&of.dialog);
        }
    }

    /// Adds the time in a queue to the record.
    pub(crate) fn note_wait(&mut self, now: Now, call: CallId, since: std::time::Instant) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let waited = millis(now.mono.saturating_duration_since(since));
        *of.cdr.wait_ms.get_or_insert(0) += waited;
    }

    /// Tells the queues whom this call keeps busy now.
    pub(crate) fn update_busy(&mut self, now: Now, call: CallId) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let busy = busy_users(of, &self.legs);
        let before = std::mem::replace(&mut of.busy, busy.clone());
        for user in &busy {
            if !before.contains(user) {
                let count = self.in_call.entry(user.clone()).or_insert(0);
                *count += 1;
                if *count == 1 {
                    self.refresh_agent(now, user);
                }
            }
        }
        for user in before {
            if !busy.contains(&user) {
                self.less_busy(now, user);
            }
        }
        self.review_segments(now, call);
        self.review_recording(now, call);
        self.watch_call(call);
    }

    fn less_busy(&mut self, now: Now, user: UserKey) {
        let Some(count) = self.in_call.get_mut(&user) else { return };
        *count -= 1;
        if *count == 0 {
            self.in_call.remove(&user);
            self.refresh_agent(now, &user);
        }
        // Who left a call that goes on is no longer found in it.
        self.watch_changed(&Watched::User(user));
    }
}

/// How a call came out: what happened to it decides, then why it ended.
fn result(
    cdr: &crate::model::cdr::Cdr,
    ending: &Ending,
    rang: bool,
    asked: bool,
    left_message: bool,
) -> CallResult {
    if cdr.connected.is_some() {
        return CallResult::Answered;
    }
    if left_message {
        return CallResult::Voicemail;
    }
    if let Some(result) = ending.result {
        return result;
    }
    if ending.by == EndedBy::Caller {
        return if rang || cdr.answered.is_none() { CallResult::Abandoned } else { CallResult::Answered };
    }
    match cdr.status {
        486 | 600 => CallResult::Busy,
        408 | 480 => CallResult::NoAnswer,
        200 if asked => CallResult::NoAnswer,
        200 => CallResult::Answered,
        500..=599 => CallResult::Failed,
        _ => CallResult::Rejected,
    }
}

/// When to try again (RFC 3261 §20.33).
pub(crate) fn retry_after() -> Extra {
    vec![("Retry-After", "10".into())]
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
