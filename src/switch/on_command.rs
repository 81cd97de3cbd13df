//! What happens when a person asks or orders something.

use std::collections::BTreeMap;

use crate::model::cdr::CallResult;
use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::command::Answer;
use crate::model::command::BindingView;
use crate::model::command::CallView;
use crate::model::command::Command;
use crate::model::command::DeviceView;
use crate::model::command::QueueView;
use crate::model::command::Simulate;
use crate::model::command::Status;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::ToggleId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::report::WhyAsk;
use crate::switch::CommandId;
use crate::switch::Output;
use crate::switch::Switch;
use crate::switch::act::presence_of;
use crate::switch::bridge::Ending;
use crate::switch::call::Call;
use crate::switch::explain;
use crate::switch::flow::action::Duty;
use crate::switch::flow::action::Presence;
use crate::switch::flow::action::World;
use crate::switch::location::Aor;
use crate::switch::periods;
use crate::switch::queue;
use crate::time::Now;

impl Switch {
    pub(crate) fn on_command(&mut self, now: Now, id: CommandId, command: Command) {
        let answer = match command {
            Command::Status => Answer::Status(Box::new(self.status(now))),
            Command::Calls => Answer::Calls { calls: self.call_views(now) },
            Command::HangUp { call } => {
                if self.calls.contains_key(&call) {
                    self.end_call(now, call, Ending::refused(480, CallResult::Failed));
                    Answer::Done
                } else {
                    not_found(format!(
                        "hang up call {call}: there is no such call; `sentral calls` lists them"
                    ))
                }
            }
            Command::Record { call, order } => self.command_recording(now, call, order),
            Command::DeleteRecording { company, id } => {
                self.decide(now, &company, None, "recording.deleted", &format!("order: {id}"));
                self.tell(Change::RecordingDeleted { company, id });
                Answer::Done
            }
            Command::Queues { company } => Answer::Queues { queues: self.queue_views(now, company.as_ref()) },
            Command::Agents { company } => {
                let mut agents = self.queues.agent_views(now, company.as_ref());
                for view in &mut agents {
                    view.voicemail_suspected = self.is_voicemail_suspected(&view.agent);
                    if self.is_waking(&view.agent) {
                        let ringing = view.lines.iter_mut().filter(|(_, state)| *state == "ringing");
                        ringing.for_each(|(_, state)| *state = "waking".to_owned());
                    }
                }
                Answer::Agents { agents }
            }
            Command::Login { company, user, line, logged_in } => {
                self.login(now, &company, &user, line, logged_in)
            }
            Command::Pause { company, user, reason, until } => match self.known_user(&company, &user) {
                Ok(agent) => self.order_pause(now, agent, reason, until),
                Err(refused) => refused,
            },
            Command::WrapUp { company, user, longer } => match self.known_user(&company, &user) {
                Ok(agent) => self.order_wrap_up(now, agent, longer),
                Err(refused) => refused,
            },
            Command::Users { company } => Answer::Users { users: self.person_views(now, company.as_ref()) },
            Command::Personal { company, user, wish } => {
                self.order_personal(now, &company, &user, &wish, &Source::Cli)
            }
            Command::Inbox { company, mailbox, order } => self.order_inbox(now, &company, &mailbox, &order),
            Command::Missed { company, order } => self.order_missed(now, &company, &order),
            Command::Toggle { company, toggle, on, until } => {
                self.order_toggle(now, &company, &toggle, on, until)
            }
            Command::Hours { company, hours, at, year } => {
                self.hours_views(company.as_ref(), hours.as_ref(), at.unwrap_or(now.utc), year)
            }
            Command::Devices => Answer::Devices { devices: self.device_views(now) },
            Command::SyncDevice { company, device, reboot } => {
                self.sync_device(now, company.as_ref(), &device, reboot)
            }
            Command::Trunks => Answer::Trunks { trunks: self.trunk_views(now) },
            Command::Board(order) => self.on_board(now, order),
            Command::Simulate(simulate) => self.simulate(now, &simulate),
            Command::Figures { company } => match self.config.companies.contains_key(&company) {
                true => {
                    let figures = self.ledger.today(&company, now.utc).cloned().unwrap_or_default();
                    Answer::Figures { figures: Box::new(figures) }
                }
                false => not_found(format!("there is no company \"{company}\"")),
            },
            Command::Report(ask) => match periods::plan(&self.config, ask, now.utc) {
                Ok(plan) => Answer::Planned(plan),
                Err((why, not_found)) => Answer::Refused { why, not_found },
            },
            Command::Why(WhyAsk { call, .. }) => {
                not_found(format!("call {call} is told from the log, which only the control socket reaches"))
            }
            Command::WhyNot(ask) => self.why_not(now, &ask),
            Command::Rooms { company } => Answer::Rooms { rooms: self.room_views(now, company.as_ref()) },
            Command::Room { company, room, order } => self.order_room(now, &company, &room, &order),
            Command::Supervise { call, by, mode } => self.order_supervise(now, call, &by, mode),
            Command::Join { company, user } => self.order_join(now, &company, &user),
            Command::Drain => {
                self.draining = true;
                Answer::Done
            }
        };
        self.outputs.push_back(Output::Reply { id, answer });
    }

    fn known_user(&self, company: &CompanyId, user: &UserId) -> Result<UserKey, Answer> {
        let Some(of) = self.config.companies.get(company) else {
            return Err(not_found(format!("there is no company \"{company}\"")));
        };
        if !of.users.contains_key(user) {
            return Err(not_found(format!("company \"{company}\" has no user \"{user}\"")));
        }
        Ok(UserKey { company: company.clone(), user: user.clone() })
    }

    fn login(
        &mut self,
        now: Now,
        company: &CompanyId,
        user: &UserId,
        line: Option<LineId>,
        logged_in: bool,
    ) -> Answer {
        let agent = match self.known_user(company, user) {
            Ok(agent) => agent,
            Err(refused) => return refused,
        };
        if let Some(line) = &line {
            let of = self.config.companies.get(company);
            let member = of.is_some_and(|of| match line {
                LineId::Queue(id) => {
                    of.queues.get(id).is_some_and(|q| q.agents.iter().any(|m| m.user == *user))
                }
                LineId::Group(id) => of.groups.get(id).is_some_and(|g| g.members.contains(user)),
            });
            if !member {
                return not_found(format!(
                    "user \"{user}\" is not listed in {line} of company \"{company}\""
                ));
            }
        }
        let line = line.map(|line| LineKey { company: company.clone(), line });
        self.queue_input(now, queue::Input::Login { agent, line, logged_in, by: Source::Cli });
        Answer::Done
    }

    fn order_toggle(
        &mut self,
        now: Now,
        company: &CompanyId,
        toggle: &ToggleId,
        on: bool,
        until: Option<crate::time::Timestamp>,
    ) -> Answer {
        let known = self.config.companies.get(company).is_some_and(|of| of.toggles.contains_key(toggle));
        if !known {
            return not_found(format!("company \"{company}\" has no toggle \"{toggle}\""));
        }
        self.set_toggle(
            now,
            Change::ToggleSet {
                company: company.clone(),
                toggle: toggle.clone(),
                on,
                until,
                by: Source::Cli,
                user: None,
                at: now.utc,
            },
        );
        Answer::Done
    }

    fn status(&self, now: Now) -> Status {
        Status {
            name: self.config.server.name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_s: now.mono.saturating_duration_since(self.started).as_secs(),
            companies: self.config.companies.len(),
            calls: self.calls.len(),
            legs: self.legs.len(),
            dialogs: self.endpoint.dialogs(),
            transactions: self.endpoint.transactions(),
            bindings: self.location.len(),
            ports_free: self.ports.free(),
            ports: self.ports.total(),
            waiting: self.queues.waiting(),
            agent_state_divergence: self.divergence,
            draining: self.draining,
            shut_out: self.guard.shut_out(now.mono),
            alarms: self.alarm_lines(),
        }
    }

    /// Queues and ring groups, with what the ledger has counted today.
    fn queue_views(&self, now: Now, company: Option<&CompanyId>) -> Vec<QueueView> {
        let mut views = self.queues.views(now, company);
        for view in &mut views {
            let today = self.ledger.today(&view.company, now.utc);
            view.today = today.and_then(|of| of.lines.get(&view.line)).cloned().unwrap_or_default();
        }
        views
    }

    fn call_views(&self, now: Now) -> Vec<CallView> {
        let mut calls: Vec<&Call> = self.calls.values().collect();
        calls.sort_by_key(|call| call.id);
        let mut call_ids: BTreeMap<CallId, Vec<String>> = BTreeMap::new();
        let mut legs: Vec<_> = self.legs.iter().collect();
        legs.sort_by_key(|(id, _)| **id);
        for (_, leg) in legs {
            let call_id = self.endpoint.call_id(leg.dialog).map(str::to_owned);
            call_ids.entry(leg.call).or_default().extend(call_id);
        }
        calls
            .into_iter()
            .map(|call| CallView {
                id: call.id,
                company: Some(call.company.clone()),
                direction: call.cdr.direction,
                from: call.shown_number(),
                to: call.facts.dialled.to_string(),
                state: call.state().to_owned(),
                at: match &call.waiting {
                    Some(waiting) => waiting.line.line.to_string(),
                    None => call.cdr.path.last().map(ToString::to_string).unwrap_or_default(),
                },
                with: self.parties(call),
                age_s: u64::try_from(now.utc.duration_since(call.cdr.started).as_secs()).unwrap_or(0),
                codec: self.legs.get(&call.caller).and_then(|leg| leg.codec()).map(|c| c.name().to_owned()),
                call_ids: call_ids.remove(&call.id).unwrap_or_default(),
                recording: call.tape.state().map(str::to_owned),
            })
            .collect()
    }

    /// Whom a call talks with or rings.
    fn parties(&self, call: &Call) -> Vec<String> {
        let ringing = call.attempts.values().flat_map(|attempt| attempt.legs.iter().copied());
        call.callee
            .into_iter()
            .chain(ringing)
            .filter_map(|leg| self.legs.get(&leg))
            .filter_map(|leg| match (&leg.user, &leg.trunk) {
                (Some(user), _) => Some(user.user.to_string()),
                (None, Some(trunk)) => Some(format!("trunk {trunk}")),
                (None, None) => None,
            })
            .collect()
    }

    fn device_views(&self, now: Now) -> Vec<DeviceView> {
        let mut views = Vec::new();
        for (id, company) in &self.config.companies {
            for (device, of) in &company.devices {
                let aor = Aor { domain: company.domain.clone(), device: device.clone() };
                let bindings = self.location.of(&aor).iter().map(|b| BindingView {
                    contact: b.record.contact.to_string(),
                    remote: format!("{} {}", b.record.transport, b.record.remote),
                    expires_s: b.record.expires.duration_since(now.utc).as_secs(),
                    agent: b.record.agent.as_ref().map(ToString::to_string),
                });
                views.push(DeviceView {
                    company: id.clone(),
                    device: device.to_string(),
                    user: of.user.clone(),
                    bindings: bindings.collect(),
                });
            }
        }
        views
    }

    fn simulate(&self, now: Now, simulate: &Simulate) -> Answer {
        let company = explain::company_of(&self.config, simulate);
        let of = company.as_ref().and_then(|company| self.config.companies.get(company));
        let mut pretended = simulate.logged_in.iter().flatten();
        let unknown = pretended.find(|user| of.is_some_and(|of| !of.users.contains_key(*user)));
        if let (Some(of), Some(user)) = (of, unknown) {
            return not_found(format!("company \"{}\" has no user \"{user}\" who could be logged in", of.id));
        }
        let steps = self.dry_world(now, company.as_ref(), |world| {
            let presence = |line: &LineId, user: &UserId| match &simulate.logged_in {
                Some(users) if users.contains(user) => Presence::Ready,
                Some(_) => Presence::LoggedOut,
                None => (world.presence)(line, user),
            };
            let world = World { presence: &presence, ..*world };
            explain::simulate(&self.config, &world, simulate, simulate.at.unwrap_or(now.utc))
        });
        Answer::Told { steps }
    }

    /// What a program would see that runs dry.
    pub(crate) fn dry_world<T>(
        &self,
        now: Now,
        company: Option<&CompanyId>,
        run: impl FnOnce(&World<'_>) -> T,
    ) -> T {
        let presence = |line: &LineId, user: &UserId| {
            let Some(company) = company else { return Presence::LoggedOut };
            let agent = UserKey { company: company.clone(), user: user.clone() };
            let line = LineKey { company: company.clone(), line: line.clone() };
            presence_of(&self.queues.stand(now, &agent, &line))
        };
        run(&World {
            toggles: &self.toggles,
            mailboxes: &self.mailboxes,
            people: &self.people,
            presence: &presence,
            duty: &|_| Duty::default(),
            random: 0,
        })
    }
}

pub(crate) fn not_found(why: String) -> Answer {
    Answer::Refused { why, not_found: true }
}
