//! Picking up: taking a call that rings at a colleague's phone, directed or within a pick-up group, oldest first.
//!
//! Who is in a pick-up group is open to the others in it; who is in none is open to the whole company. Supervisors,
//! administrators and the switchboard may take any. A queue's call counts for who takes it, who must be its agent.

use std::sync::Arc;

use crate::model::company::Company;
use crate::model::id::CallId;
use crate::model::id::LineId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::user::Role;
use crate::model::user::User;
use crate::switch::Switch;
use crate::switch::call::Call;
use crate::switch::dial::Purpose;
use crate::switch::leg::LegState;
use crate::switch::people::Refusal;
use crate::switch::people::Rings;
use crate::switch::people::Said;
use crate::switch::queue;
use crate::switch::queue::OfferId;
use crate::time::Now;

/// A call that rings at somebody's phones.
#[derive(Clone, Debug)]
struct Ringing {
    call: CallId,
    /// At whose.
    users: Vec<UserId>,
    /// For which queue or group.
    line: Option<LineId>,
}

impl Switch {
    /// The caller of `from` takes a call that rings: at `wanted`, else in the caller's pick-up group.
    pub(crate) fn pick_up(
        &mut self,
        now: Now,
        from: CallId,
        by: &UserKey,
        wanted: Option<&Rings>,
    ) -> Result<Option<Said>, Refusal> {
        let company = self.config.companies.get(&by.company).cloned().ok_or(Refusal::NotAllowed)?;
        let person = company.users.get(&by.user).ok_or(Refusal::NotAllowed)?;
        if wanted.is_none() && person.pickup_groups.is_empty() {
            return Err(Refusal::NotAllowed);
        }
        let ringing: Vec<Ringing> = self
            .ringing(by, from)
            .into_iter()
            .filter(|ringing| fits(&company, person, ringing, wanted))
            .collect();
        if ringing.is_empty() {
            return Err(Refusal::NothingRings);
        }
        let mut why = Refusal::NotAllowed;
        let allowed = ringing.into_iter().find(|ringing| match may(&company, by, person, ringing) {
            Ok(()) => true,
            Err(refusal) => {
                why = refusal;
                false
            }
        });
        let taken = allowed.ok_or(why)?;
        match &taken.line {
            Some(line) if is_member(&company, &by.user, line) => self.grab(now, from, by, taken.call)?,
            Some(_) | None => self.pick(now, from, by, &taken),
        }
        Ok(None)
    }

    /// An agent takes a caller of their own queue or group at the phone that they call from: it is their answer.
    fn grab(&mut self, now: Now, from: CallId, by: &UserKey, into: CallId) -> Result<(), Refusal> {
        self.queues.may_grab(now, into, by).map_err(|_| Refusal::NotAgent)?;
        let codec = self.calls.get(&into).and_then(|of| self.legs.get(&of.caller)?.codec());
        if !self.answer_caller(now, from, codec) {
            return Ok(());
        }
        if let Some(of) = self.calls.get_mut(&into) {
            of.taken_from = Some(from);
        }
        self.queue_input(now, queue::Input::Grab { entry: into, agent: by.clone() });
        self.settle_queues(now);
        Ok(())
    }

    /// The agent of an offer is on the telephone already and takes the caller there. `false`: that is not so.
    pub(crate) fn grabbed(&mut self, now: Now, call: CallId, offer: OfferId, agent: &UserKey) -> bool {
        let Some(from) = self.calls.get_mut(&call).and_then(|of| of.taken_from.take()) else { return false };
        if self.calls.get(&from).and_then(|of| of.caller_user()).as_ref() != Some(agent) {
            return false;
        }
        let Some(leg) = self.move_caller(now, from, call) else { return false };
        let attempt = self.new_attempt(call, Purpose::Offer(offer, agent.clone()));
        self.offers.insert(offer, (call, attempt));
        if let Some(of) = self.legs.get_mut(&leg) {
            of.attempt = Some(attempt);
        }
        if let Some(of) = self.attempt(call, attempt) {
            of.legs.insert(leg);
        }
        self.decide(
            now,
            &agent.company,
            Some(call),
            "call.picked_up",
            &format!("order: {} takes it", agent.user),
        );
        self.leg_won(now, leg);
        true
    }

    /// Takes it: a queue's or group's caller leaves it for who picks up.
    fn pick(&mut self, now: Now, from: CallId, by: &UserKey, taken: &Ringing) {
        let into = taken.call;
        if taken.line.is_some() {
            self.leave_queue(now, into, queue::Left::Key);
        }
        if self.join(now, from, into) {
            let company = by.company.clone();
            let why = format!("order: {} takes it", by.user);
            self.decide(now, &company, Some(into), "call.picked_up", &why);
        }
    }

    /// Calls that ring at phones of a company's users, oldest first.
    fn ringing(&self, by: &UserKey, except: CallId) -> Vec<Ringing> {
        let calls = self
            .calls
            .values()
            .filter(|call| call.company == by.company && call.id != except && !call.ending && !call.intercom);
        let mut ringing: Vec<Ringing> = calls
            .filter_map(|call| {
                let users = self.rung_users(call);
                let line = call.waiting.as_ref().map(|waiting| waiting.line.line.clone());
                (!users.is_empty()).then_some(Ringing { call: call.id, users, line })
            })
            .collect();
        ringing.sort_by_key(|ringing| ringing.call);
        ringing
    }

    /// The users of a call's company whose phones ring for it. What is originated rings for nobody else.
    pub(crate) fn rung_users(&self, call: &Call) -> Vec<UserId> {
        if call.originate.is_some() {
            return Vec::new();
        }
        let legs = call.attempts.values().flat_map(|attempt| &attempt.legs);
        let rung = legs.filter_map(|leg| self.legs.get(leg)).filter(|leg| leg.state == LegState::Calling);
        let users = rung.filter_map(|leg| leg.user.as_ref()).filter(|key| key.company == call.company);
        let mut users: Vec<UserId> = users.map(|key| key.user.clone()).collect();
        users.sort();
        users.dedup();
        users
    }
}

/// Whether a user is listed in a queue or group.
fn is_member(company: &Company, user: &UserId, line: &LineId) -> bool {
    match line {
        LineId::Queue(id) => {
            company.queues.get(id).is_some_and(|of| of.agents.iter().any(|agent| agent.user == *user))
        }
        LineId::Group(id) => company.groups.get(id).is_some_and(|of| of.members.contains(user)),
    }
}

/// Whether it is what is to be picked up.
fn fits(company: &Company, person: &User, ringing: &Ringing, wanted: Option<&Rings>) -> bool {
    match wanted {
        Some(Rings::User(user)) => ringing.users.contains(user),
        Some(Rings::Line(line)) => ringing.line.as_ref() == Some(line),
        None => groups_of(company, ringing).iter().any(|group| person.pickup_groups.contains(group)),
    }
}

/// The pick-up groups of those who are rung.
fn groups_of(company: &Company, ringing: &Ringing) -> Vec<Arc<str>> {
    let users = ringing.users.iter().filter_map(|user| company.users.get(user));
    let of_users = users.flat_map(|user| user.pickup_groups.iter().cloned());
    let of_line = ringing.line.as_ref().and_then(|line| match line {
        LineId::Group(id) => company.groups.get(id)?.pickup_group.clone(),
        LineId::Queue(_) => None,
    });
    of_users.chain(of_line).collect()
}

/// Whether a user may take a call that rings.
fn may(company: &Company, by: &UserKey, person: &User, ringing: &Ringing) -> Result<(), Refusal> {
    if ringing.users.contains(&by.user) {
        return Ok(());
    }
    if let Some(line @ LineId::Queue(_)) = &ringing.line {
        return if is_member(company, &by.user, line) { Ok(()) } else { Err(Refusal::NotAgent) };
    }
    let groups = groups_of(company, ringing);
    let open = groups.is_empty() || groups.iter().any(|group| person.pickup_groups.contains(group));
    let any = person.switchboard || matches!(person.role, Role::Supervisor | Role::Admin);
    if open || any { Ok(()) } else { Err(Refusal::NotAllowed) }
}
