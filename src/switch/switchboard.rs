//! The switchboard: what attendants see of callers and colleagues, and orders about people's calls that come by command.
//!
//! Every order ends in what the codes do (`switch::park`, `take_over` …) or in a call to the user's own phone that goes
//! on as if they had dialled the code.

use crate::model::board::BoardCaller;
use crate::model::board::BoardView;
use crate::model::board::NightView;
use crate::model::board::Order;
use crate::model::board::ParkedView;
use crate::model::board::PersonState;
use crate::model::board::Reachable;
use crate::model::board::TransferredView;
use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::command::Answer;
use crate::model::company::Company;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::Number;
use crate::model::id::QueueId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::queue::Strategy;
use crate::switch::Switch;
use crate::switch::admission::Admitted;
use crate::switch::call::Call;
use crate::switch::identity::Shown;
use crate::switch::location::Aor;
use crate::switch::originate::Click;
use crate::switch::people;
use crate::switch::people::Refusal;
use crate::switch::people::Talk;
use crate::switch::queue;
use crate::switch::reach;
use crate::switch::returns;
use crate::switch::route::Target;
use crate::switch::service::Service;
use crate::switch::transfer::Referral;
use crate::time::Now;
use crate::time::Timestamp;

impl Switch {
    /// Carries out an order about people's calls.
    pub(crate) fn on_board(&mut self, now: Now, order: Order) -> Answer {
        match self.board(now, order) {
            Ok(answer) => answer,
            Err((why, not_found)) => Answer::Refused { why, not_found },
        }
    }

    fn board(&mut self, now: Now, order: Order) -> Result<Answer, (String, bool)> {
        match order {
            Order::Look { company, queue } => {
                let of = self.config.companies.get(&company);
                let of = of.ok_or_else(|| (format!("there is no company \"{company}\""), true))?;
                if let Some(queue) = queue.as_ref().filter(|queue| !of.queues.contains_key(*queue)) {
                    return Err((format!("company \"{company}\" has no queue \"{queue}\""), true));
                }
                Ok(Answer::Board(Box::new(self.board_view(now, of, queue.as_ref()))))
            }
            Order::Take { company, user, call } => {
                let user = self.person_named(company, user)?;
                self.board_take(now, &user, call)
            }
            Order::Transfer { company, user, to, with, call } => {
                let user = self.person_named(company, user)?;
                self.board_transfer(now, &user, to, with, call)
            }
            Order::Return { company, user, call } => {
                let user = self.person_named(company, user)?;
                self.board_return(now, &user, call)
            }
            Order::Park { company, user, slot, call } => {
                let user = self.person_named(company, user)?;
                let talk = self.talk_named(&user, call)?;
                let slot = self.park_talk(now, &user, talk, slot).map_err(|why| refused("park", why))?;
                Ok(Answer::Parked { slot })
            }
            Order::Hold { company, user, on, call } => {
                let user = self.person_named(company, user)?;
                let talk = self.talk_named(&user, call)?;
                self.board_hold(now, &user, talk, on);
                Ok(Answer::Done)
            }
            Order::Answer { company, user, call, device } => {
                let user = self.person_named(company, user)?;
                self.answer_ringing(now, &user, call, device.as_ref())
            }
            Order::Dial { company, user, to, auto_answer } => {
                let user = self.person_named(company, user)?;
                self.board_dial(now, &user, &to, auto_answer)
            }
            Order::TakeOver { company, user, from } => {
                let user = self.person_named(company, user)?;
                self.may_take_over(&user, &from).map_err(|why| refused("take over the call", why))?;
                let whose = UserKey { company: user.company.clone(), user: from.clone() };
                let talk = self.talk_named(&whose, None)?;
                let shown = self.shown_inside(talk.call);
                self.board_bring(now, &user, people::Order::TakeOver(from), shown)
            }
            Order::Night { company, on, until } => {
                let of = self.config.companies.get(&company);
                let of = of.ok_or_else(|| (format!("there is no company \"{company}\""), true))?;
                let none = || {
                    (
                        format!(
                            "company \"{company}\" has no night service: name a toggle as night under [company]"
                        ),
                        true,
                    )
                };
                let toggle = of.night.clone().ok_or_else(none)?;
                let change = Change::ToggleSet {
                    company,
                    toggle,
                    on,
                    until,
                    by: Source::Cli,
                    user: None,
                    at: now.utc,
                };
                self.set_toggle(now, change);
                Ok(Answer::Done)
            }
            Order::Desk { company, device, user } => self.board_desk(now, &company, &device, user),
            Order::CallBack { company, user, wanted, on } => {
                let user = self.person_named(company.clone(), user)?;
                let wanted = self.person_named(company, wanted)?;
                let done = match on {
                    true => self.wish_call_back(now, &user, Some(wanted.user)),
                    false => self.cancel_call_back(now, &user, Some(wanted.user)),
                };
                done.map(|_| Answer::Done).map_err(|why| refused("call back", why))
            }
        }
    }

    fn person_named(&self, company: CompanyId, user: UserId) -> Result<UserKey, (String, bool)> {
        let of = self.config.companies.get(&company);
        let of = of.ok_or_else(|| (format!("there is no company \"{company}\""), true))?;
        if !of.users.contains_key(&user) {
            return Err((format!("company \"{company}\" has no user \"{user}\""), true));
        }
        Ok(UserKey { company, user })
    }

    /// The call that an order is about: the newest of the user's that is not on hold, else the newest.
    fn talk_named(&self, user: &UserKey, call: Option<CallId>) -> Result<Talk, (String, bool)> {
        let talks = self.talks_of(user, None);
        let named = talks.iter().copied().filter(|talk| call.is_none_or(|call| talk.call == call));
        let active = named.clone().rfind(|talk| !talk.held);
        active.or_else(|| named.clone().next_back()).ok_or_else(|| {
            (format!("user \"{}\" has no such call; `sentral calls` lists them", user.user), true)
        })
    }

    /// Brings a waiting or parked caller to a user.
    fn board_take(&mut self, now: Now, user: &UserKey, call: CallId) -> Result<Answer, (String, bool)> {
        let gone = || (format!("take call {call}: it neither waits nor is parked; look again"), true);
        let of = self.calls.get(&call).filter(|of| of.company == user.company).ok_or_else(gone)?;
        if let Some(slot) = of.parked {
            let shown = self.shown_inside(call);
            return self.board_bring(now, user, people::Order::Slot(slot), shown);
        }
        if of.waiting.is_none() {
            return Err(gone());
        }
        self.queues
            .may_take(now, call, user)
            .map_err(|why| (format!("user \"{}\" cannot take call {call}: {why}", user.user), false))?;
        self.queue_input(now, queue::Input::Take { entry: call, agent: user.clone() });
        Ok(Answer::Done)
    }

    /// Rings a user's phone, which is asked to answer by itself, and has what they would have dialled done.
    fn board_bring(
        &mut self,
        now: Now,
        user: &UserKey,
        order: people::Order,
        shown: Shown,
    ) -> Result<Answer, (String, bool)> {
        let target = Target::Service { company: user.company.clone(), service: Service::People(order) };
        let dialled = Number::new("");
        let click = Click { user: user.clone(), target, dialled, shown, auto_answer: true };
        let call = self.originate(now, click).map_err(|why| refused("ring", why))?;
        Ok(Answer::Dialled { call })
    }

    /// Where a number leads that a user would dial, past all limits.
    fn board_target(&mut self, now: Now, user: &UserKey, to: &Number) -> Result<Target, (String, bool)> {
        let admitted = Admitted::Device { company: user.company.clone(), user: user.user.clone() };
        let target = self.target(&admitted, to.as_str()).map_err(|status| {
            (
                format!(
                    "\"{to}\" leads nowhere for user \"{}\" ({status}); see `sentral simulate`",
                    user.user
                ),
                true,
            )
        })?;
        match self.within_limits(now, &admitted, target) {
            Target::Barred { why, .. } => {
                Err((format!("\"{to}\" is barred for user \"{}\": {why}", user.user), false))
            }
            target => Ok(target),
        }
    }

    /// Rings the phones of a user, and then whom they want to talk with.
    pub(crate) fn board_dial(
        &mut self,
        now: Now,
        user: &UserKey,
        to: &Number,
        auto_answer: bool,
    ) -> Result<Answer, (String, bool)> {
        let target = self.board_target(now, user, to)?;
        let name = Some(self.target_name(user, &target));
        let shown = Shown { number: to.clone(), name, hidden: false, own: None, sent_on: false };
        let click = Click { user: user.clone(), target, dialled: to.clone(), shown, auto_answer };
        let call = self.originate(now, click).map_err(|why| refused("ring", why))?;
        Ok(Answer::Dialled { call })
    }

    fn board_transfer(
        &mut self,
        now: Now,
        user: &UserKey,
        to: Option<Number>,
        with: Option<CallId>,
        call: Option<CallId>,
    ) -> Result<Answer, (String, bool)> {
        let talk = match (call, with) {
            // The one on hold goes into the other.
            (None, Some(with)) => {
                let other = self.talks_of(user, Some(with)).pop();
                other.ok_or_else(|| (format!("user \"{}\" has no other call", user.user), true))?
            }
            (call, _) => self.talk_named(user, call)?,
        };
        match (to, with) {
            (Some(to), None) => {
                let target = self.board_target(now, user, &to)?;
                if let Target::Service { service: Service::People(order), .. } = &target {
                    let slot = match order {
                        people::Order::Park(slot) => *slot,
                        people::Order::Slot(slot) => Some(*slot),
                        _ => return Err((format!("\"{to}\" is no place to transfer to"), false)),
                    };
                    let slot = self.park_talk(now, user, talk, slot).map_err(|why| refused("park", why))?;
                    return Ok(Answer::Parked { slot });
                }
                self.decide(
                    now,
                    &user.company,
                    Some(talk.call),
                    "transfer.blind",
                    &format!("order: by {}", user.user),
                );
                self.transfer_blind(now, talk.call, talk.party, Referral::ordered(talk.leg), target);
                Ok(Answer::Done)
            }
            (None, Some(with)) => {
                let into = self.talk_named(user, Some(with))?;
                let moved = self.join_parties(now, &user.company, talk.call, talk.leg, talk.party, into.leg);
                if moved { Ok(Answer::Done) } else { Err((format!("call {with} is over"), true)) }
            }
            (Some(_), Some(_)) | (None, None) => {
                Err(("a transfer needs either a number or another call of the user".to_owned(), false))
            }
        }
    }

    fn board_return(&mut self, now: Now, user: &UserKey, call: CallId) -> Result<Answer, (String, bool)> {
        let none =
            || (format!("call {call} was not transferred by \"{}\", or has been answered", user.user), true);
        let of = self.calls.get(&call).ok_or_else(none)?;
        if of.transferred.as_ref().is_none_or(|transferred| transferred.by != *user) {
            return Err(none());
        }
        let done = if of.referral.is_some() {
            self.referral_failed(now, call, 487)
        } else {
            self.go_back(now, call, returns::Why::Recalled)
        };
        if done { Ok(Answer::Done) } else { Err(none()) }
    }

    fn board_hold(&mut self, now: Now, user: &UserKey, talk: Talk, on: bool) {
        if let Some(leg) = self.legs.get_mut(&talk.leg) {
            leg.holds = on;
        }
        self.refresh_bridge(talk.call);
        let event = if on { "call.held" } else { "call.resumed" };
        self.decide(now, &user.company, Some(talk.call), event, &format!("order: by {}", user.user));
    }

    fn board_desk(
        &mut self,
        now: Now,
        company: &CompanyId,
        device: &DeviceId,
        user: Option<UserId>,
    ) -> Result<Answer, (String, bool)> {
        let of = self.config.companies.get(company);
        let of = of.ok_or_else(|| (format!("there is no company \"{company}\""), true))?;
        let phone = Aor { domain: of.domain.clone(), device: device.clone() };
        match of.devices.get(device) {
            None => return Err((format!("company \"{company}\" has no device \"{device}\""), true)),
            Some(found) if !found.hot_desk => return Err(refused("log in", Refusal::NoSharedPhone)),
            Some(_) => {}
        }
        if let Some(user) = &user {
            self.person_named(company.clone(), user.clone())?;
        }
        let until = user.as_ref().and_then(|_| self.desk_until(now, company));
        self.change_desk(now, &phone, user, until, "order");
        Ok(Answer::Done)
    }

    fn board_view(&self, now: Now, company: &Company, queue: Option<&QueueId>) -> BoardView {
        let night = company.night.as_ref().map(|toggle| NightView {
            toggle: toggle.clone(),
            on: self.toggles.is_on(&company.id, toggle, now.utc),
            until: self.toggles.until(&company.id, toggle, now.utc),
        });
        let mut calls: Vec<&Call> = self.calls.values().filter(|call| call.company == company.id).collect();
        calls.sort_by_key(|call| call.id);
        let mut callers: Vec<BoardCaller> =
            calls.iter().filter_map(|call| self.board_caller(now, company, queue, call)).collect();
        callers.sort_by(|a, b| (&a.queue, a.position).cmp(&(&b.queue, b.position)));
        let parked = self.between.parked.iter().filter(|((of, _), _)| *of == company.id);
        let parked = parked.filter_map(|((_, slot), parked)| {
            let call = self.calls.get(&parked.call)?;
            Some(ParkedView {
                slot: *slot,
                call: call.id,
                number: shown_number(call),
                name: call.facts.name.clone().filter(|_| !call.facts.hidden),
                by: parked.by.user.clone(),
                parked_s: now.mono.saturating_duration_since(parked.since).as_secs(),
                returning: !call.attempts.is_empty(),
            })
        });
        let transferred = calls.iter().filter(|call| call.callee.is_none() && call.waiting.is_none());
        let transferred = transferred.filter_map(|call| {
            let to = call.transferred.as_ref()?;
            let number = shown_number(call);
            Some(TransferredView { call: call.id, number, by: to.by.user.clone(), to: to.to.clone() })
        });
        BoardView {
            company: company.id.clone(),
            night,
            callers,
            parked: parked.collect(),
            transferred: transferred.collect(),
            people: company.users.keys().map(|user| self.person_state(now, company, user)).collect(),
        }
    }

    /// A waiting caller, if an attendant is to see them.
    fn board_caller(
        &self,
        now: Now,
        company: &Company,
        queue: Option<&QueueId>,
        call: &Call,
    ) -> Option<BoardCaller> {
        let LineId::Queue(id) = &call.waiting.as_ref()?.line.line else { return None };
        let seen = match queue {
            Some(queue) => queue == id,
            None => company.queues.get(id).is_some_and(|queue| queue.strategy == Strategy::Pull),
        };
        let since = call.waited_since.filter(|_| seen)?;
        Some(BoardCaller {
            call: call.id,
            queue: id.clone(),
            position: self.queues.place(call.id).unwrap_or(1),
            wait_s: now.mono.saturating_duration_since(since).as_secs(),
            number: shown_number(call),
            name: call.facts.name.clone().filter(|_| !call.facts.hidden),
            dialled: call.facts.dialled.clone(),
            tags: call.cdr.tags.clone(),
            returned_from: call.returned_from.clone(),
            ringing: self.rung_users(call),
        })
    }

    fn person_state(&self, now: Now, company: &Company, user: &UserId) -> PersonState {
        let key = UserKey { company: company.id.clone(), user: user.clone() };
        let person = &company.users[user];
        let rings = || {
            let mut calls = self.calls.values().filter(|call| call.company == company.id);
            calls.any(|call| self.rung_users(call).contains(user))
        };
        let (wish, until) = self.absence_of(now, company, user);
        let state = match () {
            () if self.is_talking(&key, None) => Reachable::Busy,
            () if rings() => Reachable::Ringing,
            () => match wish {
                Some(state) => state,
                None if !reach::reachable(person, self.devices_of(&key), &self.location) => {
                    Reachable::Unreachable
                }
                None => Reachable::Free,
            },
        };
        let queues = company.queues.keys().cloned().map(LineId::Queue);
        let lines = queues.chain(company.groups.keys().cloned().map(LineId::Group));
        let logged_in = lines.filter(|line| {
            let line = LineKey { company: company.id.clone(), line: line.clone() };
            self.queues.logged_in(&key, &line)
        });
        let desks =
            self.between.desks.iter().filter(|(phone, (at, _))| at == user && phone.domain == company.domain);
        PersonState {
            user: user.clone(),
            name: person.name.clone(),
            title: person.title.clone(),
            ext: person.ext.clone(),
            mobile: person.mobile.clone(),
            state,
            until: until.filter(|_| Some(state) == wish),
            paused: self.queues.standing(&key).paused,
            logged_in: logged_in.collect(),
            desks: desks.map(|(phone, _)| phone.device.clone()).collect(),
        }
    }

    /// What a user has set that keeps calls away, and until when.
    fn absence_of(
        &self,
        now: Now,
        company: &Company,
        user: &UserId,
    ) -> (Option<Reachable>, Option<Timestamp>) {
        let standing = self.people.standing(company, user, now.utc);
        match (standing.do_not_disturb, standing.absent, standing.forwarded) {
            (true, ..) => (Some(Reachable::DoNotDisturb), standing.dnd_until),
            (false, Some(absence), _) => (Some(Reachable::Absent), absence.until),
            (false, None, Some(_)) => (Some(Reachable::Forwarded), None),
            (false, None, None) => (None, None),
        }
    }
}

fn shown_number(call: &Call) -> Option<Number> {
    call.facts.number.clone().filter(|_| !call.facts.hidden)
}

fn refused(what: &str, why: Refusal) -> (String, bool) {
    (format!("{what}: {}", why.words()), false)
}
