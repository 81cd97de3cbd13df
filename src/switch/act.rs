//! Carrying out what programs and queues decide on a call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::media::Base;
use crate::media::PlayItem;
use crate::media::tone::Tone;
use crate::model::cdr::CallResult;
use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::event::Fields;
use crate::model::flow::HangupCause;
use crate::model::id::CallId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::MailboxKey;
use crate::model::id::ToggleId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::switch::Ask;
use crate::switch::Asked;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::admission::Admitted;
use crate::switch::bridge::Ending;
use crate::switch::call::Listener;
use crate::switch::clip_name;
use crate::switch::dial::Dial;
use crate::switch::flow::Program;
use crate::switch::flow::action::Action;
use crate::switch::flow::action::Context;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Presence;
use crate::switch::flow::action::World;
use crate::switch::identity;
use crate::switch::identity::Shown;
use crate::switch::leg::LegState;
use crate::switch::queue;
use crate::switch::queue::AgentState;
use crate::switch::watch::Watched;
use crate::time::Now;

/// How long the tone before a recording is.
const BEEP: Duration = Duration::from_millis(250);

impl Switch {
    /// Gives an event to a call's program and does what it says.
    pub(crate) fn run_program(&mut self, now: Now, call: CallId, event: Event) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        if of.ending {
            return;
        }
        let Some(mut program) = of.program.take() else { return };
        of.note_outcome(event);
        let actions = self.with_context(now, call, |context| program.handle(context, event));
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.program = Some(program);
        let mut actions = VecDeque::from(actions.unwrap_or_default());
        while let Some(action) = actions.pop_front() {
            let more = matches!(action, Action::Play { .. }) && matches!(actions.front(), Some(Action::Beep));
            self.act(now, call, action, more);
            if self.calls.get(&call).is_none_or(|of| of.ending) {
                return;
            }
        }
    }

    /// Builds what a program may look at.
    fn with_context<T>(&mut self, now: Now, call: CallId, ask: impl FnOnce(&Context) -> T) -> Option<T> {
        let random = self.rng.bits() as u32;
        let of = self.calls.get(&call)?;
        let company = self.config.companies.get(&of.company)?;
        let presence = |line: &LineId, user: &UserId| {
            let agent = UserKey { company: of.company.clone(), user: user.clone() };
            let line = LineKey { company: of.company.clone(), line: line.clone() };
            presence_of(&self.queues.stand(now, &agent, &line))
        };
        let world = World {
            toggles: &self.toggles,
            mailboxes: &self.mailboxes,
            people: &self.people,
            presence: &presence,
            duty: &|user| self.duty(now, &UserKey { company: of.company.clone(), user: user.clone() }),
            random,
        };
        let context =
            Context { config: &self.config, company, now: now.utc, caller: &of.facts, world: &world };
        Some(ask(&context))
    }

    fn act(&mut self, now: Now, call: CallId, action: Action, beep_follows: bool) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let caller = of.caller;
        match action {
            Action::Ring => self.ring_caller(now, call),
            Action::Answer => {
                self.answer_caller(now, call, None);
            }
            Action::Early => self.early(now, call),
            Action::Play { prompts, repeat } => {
                let items = prompts.iter().map(|prompt| PlayItem::Clip(clip_name(prompt))).collect();
                if beep_follows {
                    of.pending = Some((items, repeat));
                } else {
                    self.play_to_caller(call, items, repeat, Listener::Program);
                }
            }
            Action::Beep => {
                let (mut items, repeat) = of.pending.take().unwrap_or((Vec::new(), 1));
                items.push(PlayItem::Tone(Tone::Beep, BEEP));
                self.play_to_caller(call, items, repeat, Listener::Program);
            }
            Action::StopPlay => {
                of.playing = None;
                self.stop_play(caller);
            }
            Action::Echo => self.set_base(caller, Base::Echo),
            Action::Timer(after) => self.timers.set(Timer::Program(call), now.mono + after),
            Action::ClearTimer => {
                self.timers.clear(&Timer::Program(call));
            }
            Action::Enqueue { queue, priority, carry_wait } => {
                self.enqueue(now, call, queue, priority, carry_wait);
            }
            Action::LeaveQueue => self.leave_queue(now, call, queue::Left::Key),
            Action::Group { group, ring } => {
                self.join_line(now, call, LineId::Group(group), None, true, ring)
            }
            Action::Dial { to, ring, confirm, show } => {
                of.asked = true;
                of.find = None;
                self.ring_unless_early(now, call);
                self.dial(now, call, Dial { to, ring, confirm, show });
            }
            Action::Find { user, rings, long } => {
                of.asked = true;
                self.ring_unless_early(now, call);
                self.find(now, call, user, rings, long);
            }
            Action::SentOn { by, why } => {
                of.sent_on_by = Some(by);
                of.find = None;
                of.why = why.unwrap_or(of.why);
            }
            Action::SetPersonal(setting) => {
                let Some(user) = of.caller_user() else { return };
                self.set_personal(now, &user, setting, Source::Code);
            }
            Action::Outbound { number, trunks, emergency, hide } => {
                of.asked = true;
                self.dial_out(now, call, number, trunks, hide, emergency);
            }
            Action::Record { mailbox, max, max_silence, min } => {
                self.record(now, call, mailbox, max, max_silence, min);
            }
            Action::StopRecord => self.stop_recording(call),
            Action::KeepMessage => self.judge_recording(now, call, true),
            Action::DropMessage => self.judge_recording(now, call, false),
            Action::Load(file) => {
                self.ask(Ask::LoadClip { file }, Asked::Clip(call));
            }
            Action::MarkMessage { mailbox, id, state } => {
                let mailbox = MailboxKey { company: of.company.clone(), mailbox };
                self.change_mailbox(now, Change::MessageMarked { mailbox, id, state });
            }
            Action::DeleteMessage { mailbox, id } => {
                let mailbox = MailboxKey { company: of.company.clone(), mailbox };
                self.change_mailbox(now, Change::MessageDeleted { mailbox, id });
            }
            Action::LoadRecorded => {
                let file = of.recorded.and_then(|record| Some(self.recordings.get(&record)?.file()));
                match file {
                    Some(file) => drop(self.ask(Ask::LoadClip { file }, Asked::Clip(call))),
                    None => self.run_program(now, call, Event::Loaded(false)),
                }
            }
            Action::HearRecorded => {
                let file = of.recorded.and_then(|record| Some(self.recordings.get(&record)?.file()));
                let items = file.into_iter().map(PlayItem::Clip).collect();
                self.play_to_caller(call, items, 1, Listener::Program);
            }
            Action::KeepGreeting { mailbox, occasion, days } => {
                self.keep_greeting(now, call, mailbox, occasion, days);
            }
            Action::DropGreeting { mailbox, occasion } => {
                let mailbox = MailboxKey { company: of.company.clone(), mailbox };
                self.set_greeting(now, mailbox, occasion, None, None);
            }
            Action::PinTried { mailbox, right } => {
                let mailbox = MailboxKey { company: of.company.clone(), mailbox };
                self.pin_tried(now, call, &mailbox, right);
            }
            Action::SetPin { mailbox, pin } => {
                let mailbox = MailboxKey { company: of.company.clone(), mailbox };
                self.change_mailbox(now, Change::PinSet { mailbox, pin, at: now.utc });
            }
            Action::SendMessageOn { mailbox, id, to } => {
                let company = of.company.clone();
                self.send_message_on(now, &MailboxKey { company, mailbox }, &id, to);
            }
            Action::LeadTo(target) => {
                let target = match of.caller_user() {
                    Some(UserKey { company, user }) => {
                        self.within_limits(now, &Admitted::Device { company, user }, *target)
                    }
                    None => *target,
                };
                let Some(of) = self.calls.get_mut(&call) else { return };
                of.program = Some(Program::to(target));
                self.run_program(now, call, Event::Start);
            }
            Action::Login { line, logged_in } => {
                let Some(agent) = of.caller_user() else { return };
                let line = line.map(|line| LineKey { company: agent.company.clone(), line });
                self.queue_input(now, queue::Input::Login { agent, line, logged_in, by: Source::Code });
            }
            Action::Pause { reason, until } => {
                let Some(agent) = of.caller_user() else { return };
                self.queue_input(now, queue::Input::Pause { agent, reason, until, by: Source::Code });
            }
            Action::WrapUpEnd => {
                let Some(agent) = of.caller_user() else { return };
                self.wrap_up(now, agent, false, &Source::Code);
            }
            Action::WrapUpExtend => {
                let Some(agent) = of.caller_user() else { return };
                self.wrap_up(now, agent, true, &Source::Code);
            }
            Action::PinGiven { user, right } => self.pin_given(now, call, user, right),
            Action::KeepPlace { number } => self.keep_place(now, call, number),
            Action::FlipToggle(toggle) => self.flip_toggle(now, call, toggle),
            Action::ToggleUntil { toggle, until } => self.toggle_until(now, call, toggle, until),
            Action::Ask { what, timeout, names, tags } => {
                self.ask_system(now, call, &what, timeout, names, &tags);
            }
            Action::Sms { text } => self.send_sms(now, call, &text),
            Action::Enter(place) => self.entered(now, call, place),
            Action::Leave { place, exit } => self.left(now, call, &place, &exit),
            Action::Alarm { reason, why } => {
                let company = of.company.clone();
                self.alarm(now, &company, reason, &format!("call {call}: {why}"));
            }
            Action::People(deed) => self.do_deed(now, call, deed),
            Action::Room(deed) => self.do_in_room(now, call, deed),
            Action::SetName(name) => of.facts.name = Some(name),
            Action::SetLanguage(language) => of.facts.language = language,
            Action::SetTag { name, value } => {
                if &*name == "consent" {
                    of.tape.consent = Some(&*value == "yes");
                }
                let tag = if &*name == "tag" { value } else { format!("{name}={value}").into() };
                of.cdr.tags.push(tag);
            }
            Action::SetPriority(priority) => of.priority = Some(priority),
            Action::Key(key) => self.pressed(now, call, key),
            Action::Step { at, why, fields } => {
                let at: Arc<str> = at.into();
                if of.cdr.path.len() < 100 {
                    of.cdr.path.push(Arc::clone(&at));
                }
                let company = of.company.clone();
                tracing::debug!(%call, %at, why, "step");
                let fields = Fields { step: Some(at), ..*fields };
                self.decide_with(now, &company, Some(call), "flow.told", &why, fields);
            }
            Action::HangUp(cause) if self.returned(now, call, &cause) => {}
            Action::HangUp(cause) => {
                let Some(of) = self.calls.get_mut(&call) else { return };
                let mut ending = ending(cause);
                ending.extra.append(&mut of.refusal);
                self.end_call(now, call, ending);
            }
        }
    }

    /// 180 while a caller waits for a person, unless early media is heard.
    fn ring_unless_early(&mut self, now: Now, call: CallId) {
        let playing = self.calls.get(&call).is_some_and(|of| of.playing.is_some());
        if !playing {
            self.ring_caller(now, call);
        }
    }

    /// 183 with our SDP, so that an unanswered caller hears what is played.
    fn early(&mut self, now: Now, call: CallId) {
        let Some(of) = self.calls.get(&call) else { return };
        let caller = of.caller;
        let Some(leg) = self.legs.get(&caller) else { return };
        if leg.state != LegState::Incoming || leg.agreed.is_some() {
            return;
        }
        let dialog = leg.dialog;
        // Without an offer there is nothing to answer before the 200: what is played is then heard after it.
        if leg.offer.is_none() || !self.ready_media(caller) {
            self.answer_caller(now, call, None);
            return;
        }
        match self.answer_offer(caller, None) {
            Ok(body) => {
                self.early_body.insert(caller, body.clone());
                if let Some(leg) = self.legs.get_mut(&caller) {
                    leg.ringing = true;
                }
                self.watch_leg(caller);
                self.endpoint.ring(now, dialog, 183, Vec::new(), Some(body));
            }
            Err(refusal) => {
                self.end_call(now, call, Ending::refused(488, CallResult::Failed).warning(&refusal));
            }
        }
    }

    /// Plays to the caller; `listener` learns when it is over.
    pub(crate) fn play_to_caller(
        &mut self,
        call: CallId,
        items: Vec<PlayItem>,
        repeat: u32,
        listener: Listener,
    ) {
        let Some(of) = self.calls.get(&call) else { return };
        let play = self.play(of.caller, items, repeat);
        if let Some(of) = self.calls.get_mut(&call) {
            of.playing = play.map(|play| (play, listener));
        }
    }

    fn flip_toggle(&mut self, now: Now, call: CallId, toggle: ToggleId) {
        let Some(of) = self.calls.get(&call) else { return };
        let (company, user) = (of.company.clone(), of.facts.user.clone());
        let on = !self.toggles.is_on(&company, &toggle, now.utc);
        let user = user.map(|user| user.as_str().into());
        self.set_toggle(
            now,
            Change::ToggleSet { company, toggle, on, until: None, by: Source::Code, user, at: now.utc },
        );
        self.run_program(now, call, Event::Toggled(on));
    }

    /// Sets a toggle: new calls see it at once, waiting callers through their queue's hours.
    pub(crate) fn set_toggle(&mut self, now: Now, change: Change) {
        self.toggles.apply(&change);
        let company = match &change {
            Change::ToggleSet { company, toggle, .. } => {
                self.watch_changed(&Watched::Toggle(company.clone(), toggle.clone()));
                Some(company.clone())
            }
            _ => None,
        };
        self.time_toggle(now, &change);
        self.tell(change);
        if let Some(company) = company {
            self.hours_may_change(now, &company);
        }
    }

    /// What a colleague's phone shows of a call's caller.
    pub(crate) fn shown_inside(&self, call: CallId) -> Shown {
        let Some(of) = self.calls.get(&call) else { return Shown::hidden() };
        let shown = identity::shown_inside(&of.facts);
        Shown { name: of.shown_as.clone().or(shown.name), ..shown }
    }

    /// Tells the queues what can be said of an agent now.
    pub(crate) fn refresh_agent(&mut self, now: Now, agent: &UserKey) {
        let Some(company) = self.config.companies.get(&agent.company) else { return };
        let standing = self.people.standing(company, &agent.user, now.utc);
        let facts = queue::Facts {
            reachable: self.is_reachable(now, agent),
            in_call: self.in_call.contains_key(agent),
            do_not_disturb: standing.do_not_disturb,
            absent: standing.absent.is_some(),
            forwarded: standing.forwarded.is_some(),
        };
        self.queue_input(now, queue::Input::Facts { agent: agent.clone(), facts });
        for (line, reachable) in self.line_reaches(now, agent) {
            self.queue_input(now, queue::Input::LineReach { agent: agent.clone(), line, reachable });
        }
    }
}

fn ending(cause: HangupCause) -> Ending {
    let mut ending = Ending::hung_up(crate::model::cdr::EndedBy::System);
    match cause {
        HangupCause::Normal => {}
        HangupCause::Busy => ending.status = 486,
        HangupCause::Reject => ending.status = 603,
        HangupCause::Status(status) => ending.status = status,
    }
    if ending.status == 503 {
        ending.extra = crate::switch::bridge::retry_after();
    }
    ending
}

/// An agent's state as a dry run tells it.
pub(crate) fn presence_of(state: &AgentState) -> Presence {
    match state {
        AgentState::Offline => Presence::LoggedOut,
        AgentState::Unreachable { .. } | AgentState::Absent(_) => Presence::Unreachable,
        AgentState::Paused(_) => Presence::Paused,
        AgentState::Ringing(_) | AgentState::Busy(_) | AgentState::WrapUp(_) => Presence::Busy,
        AgentState::Ready(_) => Presence::Ready,
    }
}
