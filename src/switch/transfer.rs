//! Transfer and replacement: REFER from one of our phones (RFC 3515, blind and attended as in RFC 5589), its NOTIFYs
//! (with RFC 4488's wish for none), and INVITE with Replaces (RFC 3891), which takes over a call or picks one up.
//!
//! A blind transfer runs the target like a number that the transferred party dialled, with the rights of who transfers;
//! until somebody answers, who transfers may stay and gets the party back. An attended one puts the party into the
//! other call in place of who transfers. Only devices of ours may do either: a carrier's REFER is declined. What rings
//! at a colleague may be picked up; a call that stands is taken over only by another phone of who talks.

use std::borrow::Cow;

use crate::media::Base;
use crate::model::cdr::CallResult;
use crate::model::cdr::EndedBy;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LegId;
use crate::model::id::UserKey;
use crate::sip::Body;
use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Method;
use crate::sip::Request;
use crate::sip::TransactionId;
use crate::sip::Uri;
use crate::sip::header::NameAddr;
use crate::sip::header::Replaces;
use crate::sip::message::Name;
use crate::switch::Switch;
use crate::switch::admission::Admitted;
use crate::switch::bridge::Ending;
use crate::switch::charges;
use crate::switch::flow::Program;
use crate::switch::flow::action::Event;
use crate::switch::leg::Leg;
use crate::switch::leg::LegState;
use crate::switch::on_sip::offer_of;
use crate::switch::parties::note_talk;
use crate::switch::people::Order;
use crate::switch::people::Refusal;
use crate::switch::queue;
use crate::switch::route::Target;
use crate::switch::service::Service;
use crate::time::Now;

/// Who transfers, until the target has answered.
#[derive(Debug)]
pub(crate) struct Referral {
    /// Their leg, which hears nothing meanwhile.
    pub(crate) leg: LegId,
    /// The implicit subscription: value of Event in its NOTIFYs; none when they are not wanted (RFC 4488).
    event: Option<String>,
    /// Ringing has been told.
    rings: bool,
    /// Asked for by keys: why it failed is said.
    by_keys: bool,
}

impl Referral {
    /// One that a user asked for by keys.
    pub(crate) fn by_keys(leg: LegId) -> Referral {
        Referral { leg, event: None, rings: false, by_keys: true }
    }

    /// One that was ordered otherwise than by REFER.
    pub(crate) fn ordered(leg: LegId) -> Referral {
        Referral { leg, event: None, rings: false, by_keys: false }
    }
}

impl Switch {
    /// REFER.
    pub(crate) fn on_refer(
        &mut self,
        now: Now,
        transaction: TransactionId,
        dialog: Option<DialogId>,
        request: &Request,
        hop: Hop,
    ) {
        match self.refer(now, dialog, request, hop) {
            Ok(refer) => self.carry_out(now, transaction, refer),
            Err((status, extra)) => self.endpoint.respond(now, transaction, status, extra, None),
        }
    }

    /// What a REFER asks for, if it may.
    fn refer(
        &mut self,
        now: Now,
        dialog: Option<DialogId>,
        request: &Request,
        hop: Hop,
    ) -> Result<Refer, (u16, Extra)> {
        let dialog = match dialog {
            Some(dialog) => dialog,
            None => self.target_dialog(now, request, hop)?,
        };
        let leg = self.by_dialog.get(&dialog).copied().ok_or((481, Vec::new()))?;
        let by = self.user_of_leg(leg).ok_or((603, Vec::new()))?;
        let call = self.legs.get(&leg).map(|of| of.call).ok_or((481, Vec::new()))?;
        let party = self.other_party(call, leg).ok_or((603, Vec::new()))?;
        // RFC 3515 §2.4.1: exactly one.
        let mut values = request.headers.all(&Name::ReferTo);
        let to = match (values.next(), values.next()) {
            (Some(value), None) => NameAddr::parse(&value).map_err(|_| wrong("Malformed Refer-To"))?,
            _ => return Err(wrong("REFER needs exactly one Refer-To")),
        };
        let to_uri = to.uri;
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        let quiet = request
            .headers
            .get(&Name::ReferSub)
            .is_some_and(|value| value.trim().to_ascii_lowercase().starts_with("false"));
        let event = (!quiet).then(|| self.refer_event(leg, number));
        let kind = match replaces_in(&to_uri) {
            Some(replaces) => {
                let replaces = Replaces::parse(&replaces).map_err(|_| wrong("Malformed Replaces"))?;
                // Not 481: to a request in a dialog that would say that the dialog itself is gone.
                let own = |leg: &LegId| self.user_of_leg(*leg).as_ref() == Some(&by);
                let replaced = self.leg_to_replace(&replaces, &by).filter(own).ok_or((603, Vec::new()))?;
                if self.is_recorded(replaced) {
                    return Err(wrong_moment());
                }
                Kind::Attended(replaced)
            }
            None => {
                let dialled = match &to_uri {
                    Uri::Sip(_) => to_uri.user().unwrap_or_default().to_owned(),
                    Uri::Tel(tel) => tel.number.clone(),
                    Uri::Other(_) => return Err((416, Vec::new())),
                };
                let admitted = Admitted::Device { company: by.company.clone(), user: by.user.clone() };
                let by_gruu = self.gruu_target(&admitted, &to_uri);
                let target = by_gruu.unwrap_or_else(|| self.target(&admitted, &dialled));
                let target = target.map_err(|status| (status, Vec::new()))?;
                if let Some(kind) = self.refer_to_service(&by, &target)? {
                    return Ok(Refer { leg, call, party, dialog, by, event, kind });
                }
                match self.within_limits(now, &admitted, target) {
                    Target::Barred { status, why, .. } => return Err((status, charges::reason(why))),
                    target => Kind::Blind(target, dialled),
                }
            }
        };
        Ok(Refer { leg, call, party, dialog, by, event, kind })
    }

    /// A REFER to a parking slot or to the code parks; other services between people are not for who is transferred.
    fn refer_to_service(&self, by: &UserKey, target: &Target) -> Result<Option<Kind>, (u16, Extra)> {
        let Target::Service { service: Service::People(order), .. } = target else { return Ok(None) };
        let slot = match order {
            Order::Park(slot) => *slot,
            Order::Slot(slot) => Some(*slot),
            _ => return Err((603, Vec::new())),
        };
        let free = self.free_slot(&by.company, slot);
        let slot = free.map_err(|refusal| {
            let status = if refusal == Refusal::NoSlot { 404 } else { 486 };
            (status, vec![("Warning", format!("399 sentral \"{}\"", refusal.words()))])
        })?;
        Ok(Some(Kind::Park(slot)))
    }

    /// The dialog that a REFER outside of any is about (RFC 4538): one of the device that sends it.
    fn target_dialog(&mut self, now: Now, request: &Request, hop: Hop) -> Result<DialogId, (u16, Extra)> {
        let Admitted::Device { company, user } = self.admit(now, request, hop)? else {
            return Err((603, Vec::new()));
        };
        let value = request.headers.get(&Name::TargetDialog).ok_or((403, Vec::new()))?;
        let named = Replaces::parse_target_dialog(&value).map_err(|_| wrong("Malformed Target-Dialog"))?;
        let dialog = self.endpoint.dialog_named(&named.call_id, &named.to_tag, &named.from_tag);
        let leg = dialog.and_then(|dialog| self.by_dialog.get(&dialog).copied());
        let theirs = leg.and_then(|leg| self.user_of_leg(leg)) == Some(UserKey { company, user });
        dialog.filter(|_| theirs).ok_or((481, Vec::new()))
    }

    fn carry_out(&mut self, now: Now, transaction: TransactionId, refer: Refer) {
        // RFC 4488 §4: without subscription the answer says so.
        let extra = match refer.event {
            Some(_) => Vec::new(),
            None => vec![("Refer-Sub", "false".to_owned())],
        };
        self.endpoint.respond(now, transaction, 202, extra, None);
        self.notify_refer(now, refer.dialog, refer.event.as_deref(), 100, false);
        let company = refer.by.company.clone();
        match refer.kind {
            Kind::Blind(target, dialled) => {
                self.decide(now, &company, Some(refer.call), "transfer.blind", &dialled);
                let referral = Referral { leg: refer.leg, event: refer.event, rings: false, by_keys: false };
                self.transfer_blind(now, refer.call, refer.party, referral, target);
            }
            Kind::Park(slot) => {
                let referral = Referral { leg: refer.leg, event: refer.event, rings: false, by_keys: false };
                self.park_referred(now, refer.call, refer.party, &refer.by, referral, Some(slot));
            }
            Kind::Attended(replaced) => {
                let into = self.legs.get(&replaced).map(|of| of.call);
                let moved = self.moved_into(now, refer.call, refer.party, replaced);
                let (status, why) = if moved { (200, "joined") } else { (481, "call to join is over") };
                self.decide(now, &company, into, "transfer.attended", why);
                self.notify_refer(now, refer.dialog, refer.event.as_deref(), status, true);
                if moved {
                    self.end_emptied(now, refer.call, refer.leg);
                }
            }
        }
    }

    /// The party of `leg` goes into the other call of who transfers, in the place of `replaced`; both of their legs are
    /// let go.
    pub(crate) fn join_parties(
        &mut self,
        now: Now,
        company: &CompanyId,
        call: CallId,
        leg: LegId,
        party: LegId,
        replaced: LegId,
    ) -> bool {
        let into = self.legs.get(&replaced).map(|of| of.call);
        let moved = self.moved_into(now, call, party, replaced);
        let why = if moved { "joined" } else { "call to join is over" };
        self.decide(now, company, into, "transfer.attended", why);
        if moved {
            self.end_emptied(now, call, leg);
        }
        moved
    }

    /// Moves a party out of its call into that of `replaced`, whose place it takes.
    fn moved_into(&mut self, now: Now, call: CallId, party: LegId, replaced: LegId) -> bool {
        let into = self.legs.get(&replaced).map(|of| of.call);
        into.is_some_and(|into| into != call && self.take_place(now, into, replaced, call, party))
    }

    /// The transferred party goes where who transfers wants it.
    pub(crate) fn transfer_blind(
        &mut self,
        now: Now,
        call: CallId,
        party: LegId,
        referral: Referral,
        target: Target,
    ) {
        let by = self.user_of_leg(referral.leg);
        self.leave_alone(now, call, party);
        self.note_transfer(now, call, by, &target);
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.only = if let Target::Phone { only, .. } = &target { Some(only.clone()) } else { None };
        let referrer = referral.leg;
        of.referral = Some(referral);
        of.program = Some(Program::to(target));
        self.set_base(referrer, Base::Silence);
        self.set_base(party, Base::Silence);
        self.update_busy(now, call);
        self.run_program(now, call, Event::Start);
    }

    /// Nobody but `party` is left in a call, to be led anywhere; the leg of who talked with them is the business of who
    /// calls this.
    pub(crate) fn leave_alone(&mut self, now: Now, call: CallId, party: LegId) {
        let facts = self.facts_of(call, party);
        let user = self.user_of_leg(party);
        let Some(of) = self.calls.get_mut(&call) else { return };
        note_talk(of, now);
        let served = of.served_by.take();
        if of.caller != party {
            of.facts = facts;
            of.visitor = user.filter(|user| user.company != of.company);
        }
        (of.caller, of.callee) = (party, None);
        of.only = None;
        of.intercom = false;
        if served.is_some() {
            self.queue_input(now, queue::Input::TalkEnded { entry: call });
        }
    }

    /// Who transfers is told that it rings, once.
    pub(crate) fn referral_rings(&mut self, now: Now, call: CallId) {
        let Some(referral) = self.calls.get_mut(&call).and_then(|of| of.referral.as_mut()) else { return };
        if std::mem::replace(&mut referral.rings, true) {
            return;
        }
        let (leg, event) = (referral.leg, referral.event.clone());
        if let Some(dialog) = self.legs.get(&leg).map(|of| of.dialog) {
            self.notify_refer(now, dialog, event.as_deref(), 180, false);
        }
    }

    /// The target has answered: who transfers is told so, and let go.
    pub(crate) fn referral_done(&mut self, now: Now, call: CallId) {
        let Some(referral) = self.calls.get_mut(&call).and_then(|of| of.referral.take()) else { return };
        if let Some(dialog) = self.legs.get(&referral.leg).map(|of| of.dialog) {
            self.notify_refer(now, dialog, referral.event.as_deref(), 200, true);
            self.hang_up_leg(now, referral.leg, Vec::new());
        }
        self.update_busy(now, call);
    }

    /// The target cannot be reached: who transferred and is still there gets the party back. `false` when nobody is.
    pub(crate) fn referral_failed(&mut self, now: Now, call: CallId, status: u16) -> bool {
        let Some(referral) = self.calls.get_mut(&call).and_then(|of| of.referral.take()) else {
            return false;
        };
        let Some(dialog) = self.legs.get(&referral.leg).map(|of| of.dialog) else { return false };
        self.notify_refer(now, dialog, referral.event.as_deref(), status.max(400), true);
        let party = self.calls.get(&call).and_then(|of| self.legs.get(&of.caller));
        if party.is_none_or(|party| party.state != LegState::Up) {
            // The party itself is lost: there is nobody to give back.
            self.hang_up_leg(now, referral.leg, Vec::new());
            return false;
        }
        self.give_up_attempts(now, call, None, &Vec::new());
        let Some(of) = self.calls.get_mut(&call) else { return false };
        of.callee = Some(referral.leg);
        of.program = None;
        of.talking_since = Some(now.mono);
        let (caller, company) = (of.caller, of.company.clone());
        self.stop_play(caller);
        self.join_media(caller, referral.leg);
        if referral.by_keys {
            self.tell_why_back(referral.leg, status);
        }
        self.update_busy(now, call);
        self.decide(
            now,
            &company,
            Some(call),
            "transfer.failed",
            &format!("{status}: back to who transferred"),
        );
        true
    }

    /// INVITE with Replaces: its sender takes the place of a leg, or answers a call that rings elsewhere.
    pub(crate) fn on_replaces(
        &mut self,
        now: Now,
        dialog: DialogId,
        request: &Request,
        admitted: &Admitted,
    ) -> Result<(), (u16, Extra)> {
        let Admitted::Device { company, user } = admitted else { return Err((603, Vec::new())) };
        let by = UserKey { company: company.clone(), user: user.clone() };
        let mut values = request.headers.all(&Name::Replaces);
        let value = match (values.next(), values.next()) {
            (Some(value), None) => value,
            // RFC 3891 §3: more than one is a bad request.
            _ => return Err(wrong("More Than One Replaces")),
        };
        let replaces = Replaces::parse(&value).map_err(|_| wrong("Malformed Replaces"))?;
        let replaced = self.leg_to_replace(&replaces, &by).ok_or((481, Vec::new()))?;
        let of = self.legs.get(&replaced).ok_or((481, Vec::new()))?;
        let (call, state, attempt) = (of.call, of.state, of.attempt);
        match state {
            LegState::Up if replaces.early_only => return Err((486, Vec::new())),
            // Who watches a colleague's lamp knows the dialog; that is no right to the call.
            LegState::Up if self.user_of_leg(replaced).as_ref() != Some(&by) => {
                return Err((403, Vec::new()));
            }
            LegState::Up if self.is_recorded(replaced) => return Err(wrong_moment()),
            LegState::Up | LegState::Calling => {}
            // §3: an early dialog may be replaced only where this side began it.
            LegState::Incoming | LegState::Cancelled => return Err((481, Vec::new())),
        }
        let offer = offer_of(request)?;
        let id = self.next_leg();
        let mut leg = Leg::new(call, dialog, LegState::Incoming);
        leg.offer = offer;
        leg.user = Some(by);
        leg.dtmf = self.keys_by(admitted, request);
        leg.attempt = attempt;
        self.legs.insert(id, leg);
        self.by_dialog.insert(dialog, id);
        if let Err(refused) = self.answer_leg(now, id, replaced) {
            self.forget_leg(now, id);
            return Err(refused);
        }
        self.decide(now, company, Some(call), "call.replaced", user.as_str());
        if state == LegState::Calling {
            if let Some(of) = attempt.and_then(|attempt| self.attempt(call, attempt)) {
                of.legs.insert(id);
            }
            self.leg_won(now, id);
        } else if !self.swap_leg(now, call, replaced, id) {
            self.hang_up_leg(now, id, Vec::new());
        }
        Ok(())
    }

    /// 200 OK to a leg that takes another's place, with that one's codec if it can be.
    fn answer_leg(&mut self, now: Now, leg: LegId, instead: LegId) -> Result<(), (u16, Extra)> {
        if !self.ready_media(leg) {
            return Err((503, crate::switch::bridge::retry_after()));
        }
        let codec = self.legs.get(&instead).and_then(Leg::codec);
        let late = self.legs.get(&leg).is_some_and(|of| of.offer.is_none());
        let body = if late { self.offer_late(leg, codec) } else { self.answer_offer(leg, codec) };
        let body = body.map_err(|refusal| (488, vec![("Warning", refusal.header())]))?;
        let Some(of) = self.legs.get_mut(&leg) else { return Err((500, Vec::new())) };
        of.state = LegState::Up;
        let dialog = of.dialog;
        self.endpoint.accept(now, dialog, Vec::new(), body);
        Ok(())
    }

    /// Ends a call whose other party has gone into another call: only who transferred is left in it.
    fn end_emptied(&mut self, now: Now, call: CallId, left: LegId) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        (of.caller, of.callee) = (left, None);
        let served = of.served_by.take();
        if served.is_some() {
            self.queue_input(now, queue::Input::TalkEnded { entry: call });
        }
        let ending = Ending { by: EndedBy::System, ..Ending::refused(200, CallResult::Answered) };
        self.end_call(now, call, ending);
    }

    /// The leg of a dialog that Replaces names, if the user's company has it.
    fn leg_to_replace(&self, replaces: &Replaces, by: &UserKey) -> Option<LegId> {
        let Replaces { call_id, to_tag, from_tag, .. } = replaces;
        // Who watches a lamp names the dialog as the watched phone knows it (RFC 4235 §4.1.1): the other way round.
        let seen = || self.endpoint.dialog_named(call_id, from_tag, to_tag);
        let dialog = self.endpoint.dialog_named(call_id, to_tag, from_tag).or_else(seen)?;
        let leg = *self.by_dialog.get(&dialog)?;
        let call = self.calls.get(&self.legs.get(&leg)?.call)?;
        (call.company == by.company).then_some(leg)
    }

    /// Whether a message is being taken from a leg: who speaks cannot be another from one moment to the next.
    fn is_recorded(&self, leg: LegId) -> bool {
        let call = self.legs.get(&leg).and_then(|of| self.calls.get(&of.call));
        call.is_some_and(|call| call.caller == leg && call.recording.is_some())
    }

    /// Event of a REFER's NOTIFYs: the second and later REFERs of a dialog are told apart by id (RFC 3515 §2.4.6).
    fn refer_event(&mut self, leg: LegId, number: u32) -> String {
        let again = self.legs.get_mut(&leg).is_some_and(|of| std::mem::replace(&mut of.referred, true));
        if again { format!("refer;id={number}") } else { "refer".to_owned() }
    }

    /// NOTIFY with the state of a transfer (RFC 3515 §2.4.5).
    fn notify_refer(&mut self, now: Now, dialog: DialogId, event: Option<&str>, status: u16, last: bool) {
        let Some(event) = event else { return };
        let state = if last { "terminated;reason=noresource" } else { "active;expires=60" };
        let extra = vec![("Event", event.to_owned()), ("Subscription-State", state.to_owned())];
        let phrase = crate::sip::Response::new(status, None).reason;
        let body = Body {
            content_type: "message/sipfrag;version=2.0",
            bytes: format!("SIP/2.0 {status} {phrase}\r\n").into(),
        };
        self.endpoint.request_in(now, dialog, Method::Notify, extra, Some(body));
    }
}

/// A REFER that may be carried out.
struct Refer {
    leg: LegId,
    call: CallId,
    /// Whom to transfer.
    party: LegId,
    dialog: DialogId,
    by: UserKey,
    event: Option<String>,
    kind: Kind,
}

enum Kind {
    /// To a number.
    Blind(Target, String),
    /// Into another call, in the place of this leg of who transfers.
    Attended(LegId),
    /// Into a parking slot.
    Park(u32),
}

/// A message is being taken: the call cannot change hands now.
fn wrong_moment() -> (u16, Extra) {
    (603, vec![("Warning", "399 sentral \"a message is being recorded: finish it first\"".to_owned())])
}

fn wrong(what: &str) -> (u16, Extra) {
    (400, vec![("Warning", format!("399 sentral \"{what}\""))])
}

/// The Replaces header in a Refer-To URI, unescaped (RFC 3261 §19.1.1).
fn replaces_in(uri: &Uri) -> Option<String> {
    let headers = uri.as_sip()?.headers.as_deref()?;
    let (_, value) = headers
        .split('&')
        .filter_map(|header| header.split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("replaces"))?;
    Some(unescaped(value).into_owned())
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| byte == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_is_found_in_a_refer_to_and_unescaped() {
        let rows = [
            ("sip:205@h?Replaces=abc%40h%3Bto-tag%3D1%3Bfrom-tag%3D2", Some("abc@h;to-tag=1;from-tag=2")),
            ("sip:205@h?Subject=x&replaces=a%3Bto-tag%3D1", Some("a;to-tag=1")),
            ("sip:205@h?Subject=x", None),
            ("sip:205@h", None),
            ("tel:+4736000300", None),
        ];
        for (uri, expected) in rows {
            assert_eq!(replaces_in(&Uri::parse(uri).unwrap()).as_deref(), expected, "{uri}");
        }
    }
}
