//! Supervisors in a colleague's call: they listen, whisper to the colleague, or barge in. By code, and by order at the
//! command line; guarded by the right to take calls over. In the call the keys 1, 2 and 3 change between the three.
//!
//! The supervisor's call is one of its own, with a record of its own. It follows the supervised call through hold and
//! transfer and ends with it.

use std::time::Duration;

use crate::media::PlayItem;
use crate::media::tone::Tone;
use crate::model::command::Answer;
use crate::model::event::Fields;
use crate::model::flow::HangupCause;
use crate::model::id::CallId;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::room::Supervise;
use crate::switch::Switch;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::stage::Held;
use crate::switch::flow::stage::Stage;
use crate::switch::identity::Shown;
use crate::switch::originate::Click;
use crate::switch::people;
use crate::switch::people::Deed;
use crate::switch::people::Order;
use crate::switch::people::Refusal;
use crate::switch::people::Said;
use crate::switch::route::Target;
use crate::switch::service::Service;
use crate::time::Now;

/// How long whoever is listened to hears a tone, where that is configured.
const BEEP: Duration = Duration::from_millis(200);

/// What a supervisor's call takes part in.
#[derive(Clone, Debug)]
pub(crate) struct Supervision {
    /// The colleague's call.
    pub(crate) call: CallId,
    /// How.
    pub(crate) mode: Supervise,
    /// The colleague.
    pub(crate) whom: UserKey,
}

/// Whose call a supervisor wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The newest of this user.
    User(UserId),
    /// This one.
    Call(CallId),
}

/// The program of a supervisor's call.
#[derive(Clone, Debug)]
pub struct Run {
    whose: Whose,
    mode: Supervise,
    state: State,
    held: Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The call begins.
    Start,
    /// Whether it may be is awaited.
    Ordered,
    /// In the colleague's call.
    Inside,
    /// Last words.
    Telling,
    /// The call was hung up.
    Ended,
}

impl Run {
    /// Takes part in a call.
    pub fn new(whose: Whose, mode: Supervise) -> Run {
        Run { whose, mode, state: State::Start, held: Held::default() }
    }

    /// Handles one event. Events that nothing waits for are passed over.
    pub fn handle(&mut self, ctx: &Context<'_>, event: Event) -> Vec<Action> {
        let mut stage = Stage::new(ctx, std::mem::take(&mut self.held), event);
        match (self.state, event) {
            (State::Start, Event::Start) => {
                stage.place("service");
                if stage.calling_user().is_none() {
                    self.state = State::Ended;
                } else {
                    stage.answer();
                    self.state = State::Ordered;
                    let order = Order::Supervise(self.whose.clone(), self.mode);
                    stage.add(Action::People(Deed::Order(order)));
                }
            }
            (State::Ordered, Event::People(Said::Supervises(_))) => self.state = State::Inside,
            (State::Inside, Event::Digit(key)) => {
                let mode = match key {
                    '1' => Some(Supervise::Listen),
                    '2' => Some(Supervise::Whisper),
                    '3' => Some(Supervise::Barge),
                    _ => None,
                };
                stage.add(Action::People(Deed::SuperviseAs(mode.unwrap_or(self.mode))));
            }
            (State::Inside, Event::People(Said::Supervises(mode))) => {
                self.mode = mode;
                let prompts = people::prompts(&mut stage, Said::Supervises(mode));
                stage.play(prompts, 1);
            }
            (State::Ordered | State::Inside, Event::People(said)) => {
                self.state = State::Telling;
                let prompts = people::prompts(&mut stage, said);
                stage.play(prompts, 1);
            }
            (State::Telling, Event::PlayFinished) => {
                self.state = State::Ended;
                stage.leave();
                stage.add(Action::HangUp(HangupCause::Normal));
            }
            _ => {}
        }
        let (held, actions) = stage.finish();
        self.held = held;
        actions
    }
}

impl Switch {
    /// The caller of `from`, a supervisor, takes part in a colleague's call.
    pub(crate) fn supervise(
        &mut self,
        now: Now,
        from: CallId,
        by: &UserKey,
        whose: &Whose,
        mode: Supervise,
    ) -> Result<Option<Said>, Refusal> {
        let (call, whom) = self.supervised(from, by, whose)?;
        if let Some(of) = self.calls.get_mut(&from) {
            of.supervises = Some(Supervision { call, mode, whom: whom.clone() });
        }
        self.mixes.entry(call).or_default().supervisors.push(from);
        self.remix(call);
        self.tell_supervision(now, by, call, &whom.user, mode, "supervision.began");
        self.beep_supervised(call, &whom);
        Ok(Some(Said::Supervises(mode)))
    }

    /// Which call it is, and whose, if the user may supervise it.
    fn supervised(&self, from: CallId, by: &UserKey, whose: &Whose) -> Result<(CallId, UserKey), Refusal> {
        let key = |user: &UserId| UserKey { company: by.company.clone(), user: user.clone() };
        match whose {
            Whose::User(user) => {
                self.may_take_over(by, user)?;
                let talks = self.talks_of(&key(user), Some(from));
                let talk = talks.iter().rev().find(|talk| !talk.held).or(talks.last());
                Ok((talk.ok_or(Refusal::NoCall)?.call, key(user)))
            }
            Whose::Call(call) => {
                let of = self.calls.get(call).filter(|of| !of.ending).ok_or(Refusal::NoCall)?;
                let legs = of.callee.into_iter().chain([of.caller]).collect::<Vec<_>>();
                let users = legs.into_iter().filter_map(|leg| {
                    let user = self.user_of_leg(leg).or_else(|| self.legs.get(&leg)?.user.clone());
                    user.filter(|user| user.company == by.company && user != by)
                });
                let whom = users.into_iter().next().filter(|_| of.callee.is_some()).ok_or(Refusal::NoCall)?;
                self.may_take_over(by, &whom.user)?;
                Ok((*call, whom))
            }
        }
    }

    /// A supervisor goes on listening, whispering or talking.
    pub(crate) fn supervise_as(&mut self, now: Now, from: CallId, mode: Supervise) {
        let Some(by) = self.calls.get(&from).and_then(|of| of.caller_user()) else { return };
        let Some(of) = self.calls.get_mut(&from).and_then(|of| of.supervises.as_mut()) else { return };
        let changed = std::mem::replace(&mut of.mode, mode) != mode;
        let (call, whom) = (of.call, of.whom.clone());
        if changed {
            self.remix(call);
            self.tell_supervision(now, &by, call, &whom.user, mode, "supervision.changed");
        }
        self.run_program(now, from, Event::People(Said::Supervises(mode)));
    }

    fn tell_supervision(
        &mut self,
        now: Now,
        by: &UserKey,
        call: CallId,
        whom: &UserId,
        mode: Supervise,
        event: &str,
    ) {
        let fields = Fields {
            agent: Some(whom.clone()),
            by: Some(by.user.as_str().into()),
            result: Some(mode.as_str().into()),
            ..Fields::default()
        };
        let why = format!("{}: {} in a call of {whom}", mode.as_str(), by.user);
        self.decide_with(now, &by.company, Some(call), event, &why, fields);
    }

    /// The colleague hears a tone, where the company wants it.
    fn beep_supervised(&mut self, call: CallId, whom: &UserKey) {
        let company = self.config.companies.get(&whom.company);
        let Some(of) = self.calls.get(&call).filter(|_| company.is_some_and(|of| of.supervision.beep)) else {
            return;
        };
        let theirs = |leg: &crate::model::id::LegId| {
            self.user_of_leg(*leg).or_else(|| self.legs.get(leg)?.user.clone()).as_ref() == Some(whom)
        };
        let leg = of.callee.into_iter().chain([of.caller]).find(theirs);
        if let Some(leg) = leg {
            self.play(leg, vec![PlayItem::Tone(Tone::Beep, BEEP)], 1);
        }
    }

    /// An order at the command line: changes how the user takes part, or rings their phone first.
    pub(crate) fn order_supervise(&mut self, now: Now, call: CallId, by: &UserId, mode: Supervise) -> Answer {
        let Some(of) = self.calls.get(&call) else {
            let why = format!(
                "{} to call {call}: there is no such call; `sentral calls` lists them",
                mode.as_str()
            );
            return Answer::Refused { why, not_found: true };
        };
        let by = UserKey { company: of.company.clone(), user: by.clone() };
        let own = |of: &&crate::switch::call::Call| {
            let this = of.supervises.as_ref().is_some_and(|supervision| supervision.call == call);
            this && of.caller_user().as_ref() == Some(&by)
        };
        if let Some(from) = self.calls.values().find(own).map(|of| of.id) {
            self.supervise_as(now, from, mode);
            return Answer::Done;
        }
        let whose = Whose::Call(call);
        let refused = |why: Refusal| Answer::Refused {
            why: format!("{} to call {call}: {}", mode.as_str(), why.words()),
            not_found: false,
        };
        let whom = match self.supervised(call, &by, &whose) {
            Ok((_, whom)) => whom,
            Err(why) => return refused(why),
        };
        let company = by.company.clone();
        let name = self.config.companies.get(&company).and_then(|of| of.users.get(&whom.user));
        let shown = Shown {
            number: name.and_then(|user| user.ext.clone()).unwrap_or_else(|| Number::new("")),
            name: name.map(|user| user.name.clone()),
            hidden: false,
            own: None,
            sent_on: false,
        };
        let service = Service::People(Order::Supervise(whose, mode));
        let target = Target::Service { company, service };
        let click = Click { user: by, target, dialled: Number::new(""), shown, auto_answer: true };
        match self.originate(now, click) {
            Ok(call) => Answer::Dialled { call },
            Err(why) => refused(why),
        }
    }
}
