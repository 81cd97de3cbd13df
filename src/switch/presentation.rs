//! How a queue's call is presented to an agent: what the phone shows, how it rings, whether it answers by itself.

use std::sync::Arc;
use std::time::Duration;

use crate::model::flow::Show;
use crate::model::id::CallId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::UserKey;
use crate::model::queue::Confirm;
use crate::model::queue::Present;
use crate::model::user::ContactRule;
use crate::sip::Extra;
use crate::sip::invite::HeaderEdit;
use crate::sip::message::Name;
use crate::switch::Switch;
use crate::switch::identity;
use crate::switch::identity::Shown;
use crate::switch::reach;
use crate::time::Now;

/// How a queue's call comes to one agent.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    /// What phones show.
    pub(crate) shown: Shown,
    /// What the carrier of a mobile is told.
    pub(crate) outside: Shown,
    /// How phones ring.
    pub(crate) alerting: Extra,
    /// Further headers for phones.
    pub(crate) headers: Vec<HeaderEdit>,
    /// What rings, instead of what the user says.
    pub(crate) contacts: Option<Vec<ContactRule>>,
}

impl Presented {
    /// Shown as this, and nothing else.
    pub(crate) fn plain(shown: Shown, outside: Shown) -> Presented {
        Presented { shown, outside, alerting: Extra::new(), headers: Vec::new(), contacts: None }
    }
}

impl Switch {
    /// How a call of this line comes to an agent, and whether a key is asked for.
    pub(crate) fn present(
        &self,
        now: Now,
        call: CallId,
        line: &LineKey,
        agent: &UserKey,
    ) -> (Presented, Confirm) {
        let of = self.calls.get(&call);
        let Some((of, company)) = of.zip(self.config.companies.get(&line.company)) else {
            return (Presented::plain(Shown::hidden(), Shown::hidden()), Confirm::Auto);
        };
        let queue = match &line.line {
            LineId::Queue(id) => company.queues.get(id),
            LineId::Group(_) => None,
        };
        let Some(queue) = queue else {
            let outside = identity::shown_forwarded(company, &of.facts, &Show::Caller);
            return (Presented::plain(self.shown_inside(call), outside), Confirm::Auto);
        };
        let since = of.waited_since.or(of.waiting.as_ref().map(|waiting| waiting.since));
        let wait = since.map_or(Duration::ZERO, |since| now.mono.saturating_duration_since(since));
        let tag = of.cdr.tags.iter().rev().find(|tag| !tag.contains('='));
        let words = identity::words(company, queue, &of.facts, wait, tag.map(|tag| &**tag));
        let header = |(name, template): &(Arc<str>, Arc<str>)| {
            HeaderEdit::Add(Name::from(&**name), words.fill(template))
        };
        let member = queue.agents.iter().find(|member| member.user == agent.user);
        let shown = identity::presented(company, queue, &of.facts, &words);
        let presented = Presented {
            shown: Shown { name: of.shown_as.clone().or(shown.name), ..shown },
            outside: identity::presented_outside(company, queue, &of.facts),
            alerting: alerting(&queue.present, &company.domain),
            headers: queue.present.headers.iter().map(header).collect(),
            contacts: member.and_then(|member| member.contacts.clone()),
        };
        (presented, queue.present.confirm)
    }

    /// Whether anything of an agent can ring by their own rules.
    pub(crate) fn is_reachable(&self, now: Now, agent: &UserKey) -> bool {
        let Some(company) = self.config.companies.get(&agent.company) else { return false };
        let Some(person) = self.people.person(company, &agent.user, now.utc) else { return false };
        reach::reachable(&person, self.devices_of(agent), &self.location)
    }

    /// For each queue that lists an agent, whether what it rings instead of the agent's own can ring; none where it
    /// rings the agent's own.
    pub(crate) fn line_reaches(&self, now: Now, agent: &UserKey) -> Vec<(LineKey, Option<bool>)> {
        let Some(company) = self.config.companies.get(&agent.company) else { return Vec::new() };
        let Some(person) = self.people.person(company, &agent.user, now.utc) else { return Vec::new() };
        let devices = self.devices_of(agent);
        let mut reaches = Vec::new();
        for (id, queue) in &company.queues {
            let Some(member) = queue.agents.iter().find(|member| member.user == agent.user) else { continue };
            let rules = member.contacts.as_ref();
            let reachable = rules.map(|rules| reach::rings(&person, rules, devices, &self.location));
            let line = LineKey { company: company.id.clone(), line: LineId::Queue(id.clone()) };
            reaches.push((line, reachable));
        }
        reaches
    }
}

/// Headers that tell a phone how to ring: Alert-Info (RFC 3261 §20.4), and those by which phones of different makers
/// answer by themselves (RFC 5373 §4.1, and the usage before it).
fn alerting(present: &Present, domain: &str) -> Extra {
    let mut extra = Extra::new();
    if let Some(alert) = &present.alert {
        let whole = alert.starts_with('<');
        let value = if whole { alert.to_string() } else { format!("<http://{domain}>;info={alert}") };
        extra.push(("Alert-Info", value));
    }
    if present.auto_answer {
        extra.extend(auto_answer(domain, present.alert.is_none()));
    }
    extra
}

/// Headers by which phones of different makers answer by themselves (RFC 5373 §4.1, and the usage before it).
pub(crate) fn auto_answer(domain: &str, alert: bool) -> Extra {
    let mut extra =
        vec![("Answer-Mode", "Auto".to_owned()), ("Call-Info", format!("<sip:{domain}>;answer-after=0"))];
    if alert {
        extra.push(("Alert-Info", format!("<http://{domain}>;info=alert-autoanswer")));
    }
    extra
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_told_how_to_ring_and_whether_to_answer() {
        let present = |alert: Option<&str>, auto_answer| Present {
            name: "".into(),
            caller_number: true,
            alert: alert.map(Into::into),
            auto_answer,
            whisper: None,
            spoken: None,
            headers: Vec::new(),
            confirm: Confirm::Auto,
        };
        let rows: [(Option<&str>, bool, &[&str]); 4] = [
            (None, false, &[]),
            (Some("internal"), false, &["Alert-Info: <http://h>;info=internal"]),
            (
                Some("<urn:alert:source:internal>"),
                true,
                &[
                    "Alert-Info: <urn:alert:source:internal>",
                    "Answer-Mode: Auto",
                    "Call-Info: <sip:h>;answer-after=0",
                ],
            ),
            (
                None,
                true,
                &[
                    "Answer-Mode: Auto",
                    "Call-Info: <sip:h>;answer-after=0",
                    "Alert-Info: <http://h>;info=alert-autoanswer",
                ],
            ),
        ];
        for (alert, auto_answer, expected) in rows {
            let headers = alerting(&present(alert, auto_answer), "h");
            let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            assert_eq!(lines, expected);
        }
    }
}
