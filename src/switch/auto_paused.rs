//! Telling an agent whom the system has put on pause, since nobody notices by themselves that calls stay away.
//!
//! Their phones get a text (MESSAGE, RFC 3428), their sleeping apps a push, an agent who is rung on the mobile a text message when the company can
//! send any; and as long as the pause lasts, every service code and service number begins by saying so
//! (`switch::pausing`). What was sent is an event.

use std::sync::Arc;

use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::event::Fields;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::UserKey;
use crate::model::server::Language;
use crate::model::user::Rings;
use crate::switch::Switch;
use crate::time::Now;
use crate::time::Timestamp;

impl Switch {
    /// Tells an agent of a pause that the system has begun; any other change is passed over.
    pub(crate) fn tell_auto_paused(&mut self, now: Now, change: &Change) {
        let Change::AgentPaused { agent, line, reason: Some(_), until, by: Source::Auto(_), .. } = change
        else {
            return;
        };
        let Some(text) = self.pause_text(agent, line.as_ref(), *until) else { return };
        let mut ways: Vec<String> = Vec::new();
        let phones = self.page_user(now, agent, &text);
        if phones > 0 {
            ways.push(format!("message to {phones}"));
        }
        let apps = self.push_text(now, agent, &text);
        if apps > 0 {
            ways.push(format!("push to {apps}"));
        }
        if self.text_mobile(now, agent, phones == 0, &text) {
            ways.push("sms".to_owned());
        }
        let why = match ways.is_empty() {
            true => "no_way: no phone is registered and no text message can be sent; heard at the next code"
                .to_owned(),
            false => format!("sent: {}", ways.join(", ")),
        };
        let line = line.as_ref().map(|line| line.line.clone());
        let fields = Fields { agent: Some(agent.user.clone()), line, ..Fields::default() };
        self.decide_with(now, &agent.company, None, "agent.told", &why, fields);
    }

    /// Sends a text message to the mobile of an agent who is rung there, or has nothing else.
    fn text_mobile(&mut self, now: Now, agent: &UserKey, alone: bool, text: &str) -> bool {
        let Some(company) = self.config.companies.get(&agent.company).cloned() else { return false };
        let Some(person) = self.people.person(&company, &agent.user, now.utc) else { return false };
        let members = company.queues.values().flat_map(|queue| &queue.agents);
        let own = members.filter(|of| of.user == agent.user).filter_map(|of| of.contacts.as_ref());
        let mut rules = own.flatten().chain(&person.rings);
        let Some(to) =
            person.mobile.clone().filter(|_| alone || rules.any(|rule| rule.what == Rings::Mobile))
        else {
            return false;
        };
        company.sms.is_some() && self.send_text(now, &agent.company, None, &to, text)
    }

    fn pause_text(
        &self,
        agent: &UserKey,
        line: Option<&LineKey>,
        until: Option<Timestamp>,
    ) -> Option<String> {
        let company = self.config.companies.get(&agent.company)?;
        let language = company.users.get(&agent.user)?.language;
        let name: Option<Arc<str>> = line.map(|line| match &line.line {
            LineId::Queue(id) => {
                company.queues.get(id).map_or_else(|| id.as_str().into(), |of| of.name.clone())
            }
            LineId::Group(id) => {
                company.groups.get(id).map_or_else(|| id.as_str().into(), |of| of.name.clone())
            }
        });
        let until = until.map(|until| {
            let zone = jiff::tz::TimeZone::get(&company.zone).unwrap_or(jiff::tz::TimeZone::UTC);
            until.to_zoned(zone).strftime("%H:%M").to_string()
        });
        let back = company.codes.unpause.as_deref();
        Some(match language {
            Language::Nb => {
                let place = name.map_or("alle køer".to_owned(), |name| name.to_string());
                let end = until.map_or(String::new(), |until| format!(" Pausen varer til {until}."));
                let back =
                    back.map_or(String::new(), |code| format!(" Ring {code} når du vil ha samtaler igjen."));
                format!("Du er satt på pause i {place} fordi du ikke tok samtalene.{end}{back}")
            }
            Language::En => {
                let place = name.map_or("all queues".to_owned(), |name| name.to_string());
                let end = until.map_or(String::new(), |until| format!(" The break ends at {until}."));
                let back =
                    back.map_or(String::new(), |code| format!(" Dial {code} when you want calls again."));
                format!(
                    "You have been put on a break in {place} because you did not take the calls.{end}{back}"
                )
            }
        })
    }
}
