//! The company's ledger: gives each decision its number, and keeps the figures of the day.
//!
//! Numbers go on where the store's log ends: the newest event of each company, and those of today, come back at
//! the start as facts. The figures of a day begin at midnight in the company's zone.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use crate::model::Config;
use crate::model::cdr::Cdr;
use crate::model::cdr::Direction;
use crate::model::cdr::EndedBy;
use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::event::Event;
use crate::model::event::Fields;
use crate::model::figures::Figures;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::Number;
use crate::switch::Output;
use crate::switch::Switch;
use crate::switch::call::Call;
use crate::switch::figures::fold;
use crate::switch::recent::Recent;
use crate::time::Now;
use crate::time::Timestamp;

/// A decision without its number.
pub(crate) struct Decided<'a> {
    pub(crate) company: &'a CompanyId,
    pub(crate) at: Timestamp,
    pub(crate) call: Option<CallId>,
    /// `area.what`.
    pub(crate) event: &'a str,
    /// Begins with the reason code.
    pub(crate) why: &'a str,
    pub(crate) fields: Fields,
}

/// All companies' ledgers.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pages: HashMap<CompanyId, Page>,
}

/// One company's.
#[derive(Debug, Default)]
struct Page {
    /// Number of the newest event.
    last: u64,
    day: Day,
    figures: Figures,
    recent: Recent,
}

/// From midnight to midnight.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Day {
    begins: Timestamp,
    ends: Timestamp,
}

impl Day {
    fn holds(&self, at: Timestamp) -> bool {
        (self.begins..self.ends).contains(&at)
    }
}

impl Ledger {
    /// Numbers a decision and counts it.
    fn enter(&mut self, config: &Config, decided: Decided<'_>) -> Event {
        let page = self.pages.entry(decided.company.clone()).or_default();
        let event = Event {
            company: decided.company.clone(),
            seq: page.last + 1,
            at: to_microsecond(decided.at),
            call: decided.call,
            event: decided.event.into(),
            why: decided.why.into(),
            fields: decided.fields,
        };
        page.enter(config, &event);
        event
    }

    /// Learns an event of an earlier life.
    pub(crate) fn learn(&mut self, config: &Config, event: &Event) {
        self.pages.entry(event.company.clone()).or_default().enter(config, event);
    }

    /// Learns a fact of an earlier life, or of this one.
    pub(crate) fn learn_fact(&mut self, change: &Change) {
        if let Change::AgentLogin { agent, .. } | Change::AgentPaused { agent, .. } = change {
            self.pages.entry(agent.company.clone()).or_default().recent.learn_fact(change);
        }
    }

    /// What happened lately in a company.
    pub(crate) fn recent(&self, company: &CompanyId) -> Option<&Recent> {
        self.pages.get(company).map(|page| &page.recent)
    }

    /// Whether a company has any event.
    fn knows(&self, company: &CompanyId) -> bool {
        self.pages.get(company).is_some_and(|page| page.last > 0)
    }

    /// The figures of the day of `now`; none when nothing has happened on it.
    pub(crate) fn today(&self, company: &CompanyId, now: Timestamp) -> Option<&Figures> {
        self.pages.get(company).filter(|page| page.day.holds(now)).map(|page| &page.figures)
    }
}

impl Page {
    fn enter(&mut self, config: &Config, event: &Event) {
        self.last = self.last.max(event.seq);
        if event.at >= self.day.ends {
            self.day = day_of(config, &event.company, event.at);
            self.figures = Figures::default();
        }
        fold(&mut self.figures, event);
        self.recent.learn(event);
    }
}

/// As exact as the log: an event that comes back from it is the same.
fn to_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

fn day_of(config: &Config, company: &CompanyId, at: Timestamp) -> Day {
    let zone =
        config.companies.get(company).and_then(|of| TimeZone::get(&of.zone).ok()).unwrap_or(TimeZone::UTC);
    let midnight = at.to_zoned(zone).start_of_day().ok();
    let next = midnight.as_ref().and_then(|day| day.tomorrow().ok()?.start_of_day().ok());
    // At the edge of the calendar a day has no end.
    let begins = midnight.map_or(at, |day| day.timestamp());
    Day { begins, ends: next.map_or(Timestamp::MAX, |day| day.timestamp()) }
}

impl Switch {
    /// Tells a decision: one event, with a number of its own in the company. `why` begins with the reason code.
    pub(crate) fn decide(
        &mut self,
        now: Now,
        company: &CompanyId,
        call: Option<CallId>,
        event: &str,
        why: &str,
    ) {
        self.decide_with(now, company, call, event, why, Fields::default());
    }

    /// Tells a decision with what programs read of it.
    pub(crate) fn decide_with(
        &mut self,
        now: Now,
        company: &CompanyId,
        call: Option<CallId>,
        event: &str,
        why: &str,
        fields: Fields,
    ) {
        self.log(Decided { company, at: now.utc, call, event, why, fields });
    }

    fn log(&mut self, decided: Decided<'_>) {
        let event = self.ledger.enter(&self.config, decided);
        self.outputs.push_back(Output::Change(Change::Decision(Box::new(event))));
    }

    /// Tells a fact, and the event that it is for its company.
    pub(crate) fn tell(&mut self, change: Change) {
        self.log_fact(&change);
        self.outputs.push_back(Output::Change(change));
    }

    /// Tells every company with a log that the process has begun anew: who waited when it stopped is lost.
    pub fn tell_started(&mut self, now: Now) {
        let known: Vec<CompanyId> =
            self.config.companies.keys().filter(|id| self.ledger.knows(id)).cloned().collect();
        for company in known {
            self.decide(now, &company, None, "system.started", "started: calls of before are over");
        }
    }

    /// A fact about a person, place or call is an event as well.
    fn log_fact(&mut self, change: &Change) {
        self.ledger.learn_fact(change);
        match change {
            Change::AgentLogin { agent, line, logged_in, by, at } => {
                let event = if *logged_in { "agent.logged_in" } else { "agent.logged_out" };
                let (by, why) = by_whom(by);
                let fields = Fields {
                    agent: Some(agent.user.clone()),
                    by: Some(by.into()),
                    ..Fields::of_line(line.line.clone())
                };
                self.log(Decided { company: &agent.company, at: *at, call: None, event, why, fields });
            }
            Change::AgentPaused { agent, line, reason, until, by, at } => {
                let event = if reason.is_some() { "agent.paused" } else { "agent.resumed" };
                let (by, why) = by_whom(by);
                let fields = Fields {
                    agent: Some(agent.user.clone()),
                    by: Some(by.into()),
                    line: line.as_ref().map(|line| line.line.clone()),
                    result: reason.clone(),
                    ..Fields::default()
                };
                let end = until.map_or(String::new(), |until| format!(": until {until:.0}"));
                let why = &format!("{why}{end}");
                self.log(Decided { company: &agent.company, at: *at, call: None, event, why, fields });
            }
            Change::ToggleSet { company, toggle, on, by, at, .. } => {
                let (by, why) = by_whom(by);
                let why = format!("{why}: toggle \"{toggle}\" is {}", if *on { "on" } else { "off" });
                let fields = Fields { by: Some(by.into()), ..Fields::default() };
                self.log(Decided { company, at: *at, call: None, event: "toggle.set", why: &why, fields });
            }
            Change::MessageLeft { message } => {
                let why = format!("left in voicemail:{}", message.mailbox.mailbox);
                let (company, call) = (&message.mailbox.company, Some(message.call));
                let fields = Fields::default();
                self.log(Decided {
                    company,
                    at: message.at,
                    call,
                    event: "voicemail.left",
                    why: &why,
                    fields,
                });
            }
            Change::CallEnded { cdr } => self.log_ended(cdr),
            // Told as events of their own, or no company's.
            Change::CallStarted { .. }
            | Change::CallLeg { .. }
            | Change::CallAnswered { .. }
            | Change::CallMedia { .. }
            | Change::Decision(_)
            | Change::RoundRobin { .. }
            | Change::AgentTally { .. }
            | Change::LastAgent { .. }
            | Change::Callback { .. }
            | Change::Bound { .. }
            | Change::Unbound { .. }
            | Change::RegistrationFailed { .. }
            | Change::Refused { .. }
            | Change::Alarm { .. }
            | Change::RecordingBegun { .. }
            | Change::RecordingEnded { .. }
            | Change::RecordingDeleted { .. }
            | Change::RecordingsExpired { .. }
            | Change::DevicePassword { .. }
            | Change::BusyCallback { .. }
            | Change::HotDesk { .. }
            | Change::MessageMarked { .. }
            | Change::PersonalSet { .. }
            | Change::AppKnown { .. }
            | Change::PinTries { .. }
            | Change::VoicemailSigns { .. }
            | Change::MessageHandled { .. }
            | Change::GreetingSet { .. }
            | Change::PinSet { .. }
            | Change::Missed { .. }
            | Change::MissedCleared { .. }
            | Change::MessageDeleted { .. }
            | Change::Trunk { .. } => {}
        }
    }

    fn log_ended(&mut self, cdr: &Cdr) {
        let Some(company) = &cdr.company else { return };
        let by = match cdr.ended_by {
            EndedBy::Caller => "caller",
            EndedBy::Callee => "callee",
            EndedBy::System => "system",
        };
        let result = cdr.result.as_str();
        let why = format!("{result}: ended by {by}, {}", cdr.status);
        let fields = Fields {
            number: dialled(cdr),
            direction: Some(cdr.direction),
            result: Some(result.into()),
            by: Some(by.into()),
            wait_ms: cdr.wait_ms,
            talk_ms: Some(cdr.talk_ms),
            ..Fields::default()
        };
        let call = Some(cdr.id);
        self.log(Decided { company, at: cdr.ended, call, event: "call.ended", why: &why, fields });
    }
}

/// What is told of a call that begins.
pub(crate) fn started(call: &Call) -> Fields {
    Fields {
        number: dialled(&call.cdr),
        direction: Some(call.cdr.direction),
        agent: call.facts.user.clone(),
        ..Fields::default()
    }
}

/// The company's own number, when the call came from outside: whom its people call is for the call record.
fn dialled(cdr: &Cdr) -> Option<Number> {
    (cdr.direction == Direction::In).then(|| Number::new(&cdr.to))
}

/// Who, as one word, and the text that begins with it.
fn by_whom(source: &Source) -> (&'static str, &str) {
    match source {
        Source::Code => ("code", "code"),
        Source::Cli => ("cli", "cli"),
        Source::Auto(why) => ("auto", why),
        Source::Config => ("config", "config"),
    }
}
