//! What calls ask of other systems: the verbs `ask` and `sms`. The core writes the question and reads the answer; the
//! shell carries both.
//!
//! A question is a JSON object with `type`, `at` and `data`; an answer is `{"exit": "…"}` with, if it likes, `name`,
//! `priority`, `language` and `tag` to set first, or the exit's name alone as text. Answers are hostile: everything in
//! them is bounded, and what is not understood is left out.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::model::company::Company;
use crate::model::id::CallId;
use crate::model::id::Number;
use crate::model::server::Language;
use crate::model::server::Secret;
use crate::switch::Ask;
use crate::switch::AskId;
use crate::switch::Asked;
use crate::switch::Switch;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Unanswered;
use crate::time::Now;

/// How long sending a text message may take; no call waits for it.
const SMS_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest name that an answer may set.
const NAME_MAX: usize = 64;
/// Longest tag that an answer may set.
const TAG_MAX: usize = 128;

/// A question to another system over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Where to.
    pub url: Arc<str>,
    /// Names the question for who is asked.
    pub id: String,
    /// Seconds since 1970.
    pub at: i64,
    /// Signs it.
    pub secret: Option<Secret>,
    /// JSON.
    pub body: String,
    /// Budget for all of it, from the look-up of the name to the last byte of the answer.
    pub timeout: Duration,
}

/// What an answer is for.
#[derive(Clone, Debug)]
pub(crate) enum For {
    /// A call that waits: the names it knows.
    Call(CallId, Vec<Arc<str>>),
    /// An app that is to be woken for a call, or told something.
    Push(Option<CallId>, crate::model::id::CompanyId),
    /// A text message, of a call that goes on or of none.
    Sms(Option<CallId>, crate::model::id::CompanyId),
}

impl Switch {
    /// Asks for a call; it hears of it by [`Event::Asked`].
    pub(crate) fn ask_system(
        &mut self,
        now: Now,
        call: CallId,
        what: &str,
        timeout: Duration,
        names: Vec<Arc<str>>,
        tags: &[(Arc<str>, Arc<str>)],
    ) {
        let Some(of) = self.calls.get(&call) else { return };
        let Some(company) = self.config.companies.get(&of.company) else { return };
        let Some((url, secret)) = self.address(company, what) else {
            return self.run_program(now, call, Event::Asked(Err(Unanswered::NotConfigured)));
        };
        if !self.circuits.may_ask(&url, now.mono) {
            return self.run_program(now, call, Event::Asked(Err(Unanswered::Resting)));
        }
        let facts = &of.facts;
        let number = facts.number.as_ref().filter(|_| !facts.hidden);
        let tags: serde_json::Map<String, Value> =
            tags.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        let data = json!({
            "company": company.id.as_str(),
            "call": call.to_string(),
            "step": of.cdr.path.last(),
            "from": number.map(|number| number.as_str()),
            "name": facts.name.as_deref().filter(|_| !facts.hidden),
            "hidden": facts.hidden,
            "to": facts.dialled.as_str(),
            "language": facts.language.as_str(),
            "keys": of.cdr.keys,
            "tags": tags,
            "exits": names,
        });
        let post = self.post(now, "flow.ask", Some(call), url.clone(), secret, data, timeout);
        let id = self.ask(Ask::Post(post), Asked::Posted { url, of: For::Call(call, names) });
        if let Some(of) = self.calls.get_mut(&call) {
            of.asking = Some(id);
        }
    }

    /// Has a text message sent to a call's caller.
    pub(crate) fn send_sms(&mut self, now: Now, call: CallId, text: &str) {
        let Some(of) = self.calls.get(&call) else { return };
        let id = of.company.clone();
        match of.facts.number.clone().filter(|_| !of.facts.hidden) {
            Some(to) => drop(self.send_text(now, &id, Some(call), &to, text)),
            None => self.decide(now, &id, Some(call), "sms.failed", "not_configured"),
        }
    }

    /// Has a text message sent for a company, for a call or otherwise; `false` when it is not even tried.
    pub(crate) fn send_text(
        &mut self,
        now: Now,
        id: &crate::model::id::CompanyId,
        call: Option<CallId>,
        to: &Number,
        text: &str,
    ) -> bool {
        let Some(company) = self.config.companies.get(id) else { return false };
        let hook = company.sms.as_ref().and_then(|sms| Some((sms, self.address(company, &sms.webhook)?)));
        let Some((sms, (url, secret))) = hook else {
            self.decide(now, id, call, "sms.failed", "not_configured");
            return false;
        };
        if !self.circuits.may_ask(&url, now.mono) {
            self.decide(now, id, call, "sms.failed", "resting");
            return false;
        }
        let data = json!({
            "company": id.as_str(),
            "call": call.map(|call| call.to_string()),
            "to": to.as_str(),
            "from": sms.sender.as_deref(),
            "text": text,
        });
        let post = self.post(now, "sms.send", call, url.clone(), secret, data, SMS_TIMEOUT);
        self.ask(Ask::Post(post), Asked::Posted { url, of: For::Sms(call, id.clone()) });
        true
    }

    /// Has an app woken, or told something; none when the webhook is not configured, or was down just now.
    pub(crate) fn post_push(
        &mut self,
        now: Now,
        company: &Company,
        kind: &str,
        call: Option<CallId>,
        webhook: &str,
        data: Value,
        timeout: Duration,
    ) -> Option<AskId> {
        let (url, secret) = self.address(company, webhook)?;
        if !self.circuits.may_ask(&url, now.mono) {
            return None;
        }
        let post = self.post(now, kind, call, url.clone(), secret, data, timeout);
        Some(self.ask(Ask::Post(post), Asked::Posted { url, of: For::Push(call, company.id.clone()) }))
    }

    fn post(
        &mut self,
        now: Now,
        kind: &str,
        call: Option<CallId>,
        url: Arc<str>,
        secret: Option<Secret>,
        data: Value,
        timeout: Duration,
    ) -> Post {
        let of = call.map_or_else(|| now.utc.as_microsecond().to_string(), |call| call.to_string());
        let id = format!("{of}-{}", self.next_ask + 1);
        let body = json!({ "type": kind, "at": now.utc.to_string(), "data": data }).to_string();
        Post { url, id, at: now.utc.as_second(), secret, body, timeout }
    }

    /// Where a URL or webhook leads: the company's own webhooks come before the operator's.
    fn address(&self, company: &Company, what: &str) -> Option<(Arc<str>, Option<Secret>)> {
        if what.contains("://") {
            return Some((what.into(), None));
        }
        let hook = company.webhooks.get(what).or_else(|| self.config.server.webhooks.get(what))?;
        Some((hook.url.clone(), hook.secret.clone()))
    }

    /// Another system has answered, or has not.
    pub(crate) fn system_answered(
        &mut self,
        now: Now,
        id: AskId,
        url: &Arc<str>,
        of: For,
        answer: Result<Vec<u8>, Unanswered>,
    ) {
        let up = match &answer {
            Ok(_) | Err(Unanswered::Unreadable | Unanswered::Unknown) => Some(true),
            Err(Unanswered::Status(status)) => Some(*status < 500),
            Err(Unanswered::Timeout | Unanswered::Unreachable) => Some(false),
            // Nobody was asked.
            Err(Unanswered::Busy | Unanswered::Resting | Unanswered::NotConfigured) => None,
        };
        let company = match &of {
            For::Call(call, _) => self.calls.get(call).map(|of| of.company.clone()),
            For::Sms(_, company) | For::Push(_, company) => Some(company.clone()),
        };
        let changed = up.and_then(|up| self.circuits.asked(url, up, now.mono));
        if let (Some(open), Some(company)) = (changed, company) {
            let host = crate::switch::flow::step::ask::shown(url);
            if open {
                self.alarm(
                    now,
                    &company,
                    "hook.down",
                    &format!("{host} does not answer: left alone for half a minute"),
                );
            } else {
                self.decide(now, &company, None, "hook.up", &format!("answers: {host}"));
            }
        }
        match of {
            For::Call(call, names) => {
                // An answer that comes after the call has gone on is for nobody.
                if self
                    .calls
                    .get_mut(&call)
                    .is_none_or(|of| of.asking.take_if(|asking| *asking == id).is_none())
                {
                    return;
                }
                let event = match answer.and_then(|body| read(&body, &names)) {
                    Ok(reply) => {
                        let exit = reply.exit;
                        self.take_up(call, reply);
                        Event::Asked(Ok(exit))
                    }
                    Err(why) => Event::Asked(Err(why)),
                };
                self.run_program(now, call, event);
            }
            For::Push(call, company) => {
                let failed = answer.err();
                if failed.is_none() {
                    self.decide(now, &company, call, "app.pushed", "accepted");
                }
                self.push_answered(now, id, failed);
            }
            For::Sms(call, company) => match answer {
                Ok(_) => self.decide(now, &company, call, "sms.sent", "accepted"),
                Err(why) => self.decide(now, &company, call, "sms.failed", &why.to_string()),
            },
        }
    }

    /// Sets what an answer says of the call.
    fn take_up(&mut self, call: CallId, reply: Reply) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        if let Some(name) = reply.name {
            of.facts.name = Some(name);
        }
        if let Some(priority) = reply.priority {
            of.priority = Some(priority);
        }
        if let Some(language) = reply.language {
            of.facts.language = language;
        }
        of.cdr.tags.extend(reply.tag);
    }
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    exit: u16,
    name: Option<Arc<str>>,
    priority: Option<i32>,
    language: Option<Language>,
    tag: Option<Arc<str>>,
}

/// Reads an answer to a call that knows these exits.
fn read(body: &[u8], names: &[Arc<str>]) -> Result<Reply, Unanswered> {
    let text = std::str::from_utf8(body).map_err(|_| Unanswered::Unreadable)?.trim();
    let value = match text.starts_with(['{', '"']) {
        true => serde_json::from_str(text).map_err(|_| Unanswered::Unreadable)?,
        false => Value::from(text),
    };
    let exit = value.as_str().or_else(|| value.get("exit")?.as_str()).ok_or(Unanswered::Unreadable)?;
    let exit = names.iter().position(|name| **name == *exit).ok_or(Unanswered::Unknown)?;
    let line = |key: &str, longest: usize| {
        let text = value.get(key)?.as_str()?.trim();
        let plain: String = text.chars().filter(|c| !c.is_control()).take(longest).collect();
        (!plain.is_empty()).then(|| plain.into())
    };
    let priority =
        value.get("priority").and_then(Value::as_i64).filter(|priority| (1..=10).contains(priority));
    Ok(Reply {
        exit: u16::try_from(exit).map_err(|_| Unanswered::Unknown)?,
        name: line("name", NAME_MAX),
        priority: priority.and_then(|priority| i32::try_from(priority).ok()),
        language: match value.get("language").and_then(Value::as_str) {
            Some("nb") => Some(Language::Nb),
            Some("en") => Some(Language::En),
            Some(_) | None => None,
        },
        tag: line("tag", TAG_MAX),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Vec<Arc<str>> {
        vec!["ny".into(), "vip".into()]
    }

    #[test]
    fn an_answer_is_an_exit_with_what_it_sets_and_nothing_else() {
        let exit = |body: &str| read(body.as_bytes(), &names()).map(|reply| reply.exit);
        assert_eq!(exit("vip"), Ok(1));
        assert_eq!(exit(" \"ny\"\n"), Ok(0));
        assert_eq!(exit("{\"exit\": \"vip\"}"), Ok(1));
        assert_eq!(exit("{\"exit\": \"else\"}"), Err(Unanswered::Unknown));
        assert_eq!(exit("error"), Err(Unanswered::Unknown));
        assert_eq!(exit(""), Err(Unanswered::Unknown));
        assert_eq!(exit("{\"exit\": 3}"), Err(Unanswered::Unreadable));
        assert_eq!(exit("{\"exit\": \"vip\""), Err(Unanswered::Unreadable));
        assert_eq!(read(b"\xff", &names()), Err(Unanswered::Unreadable));
        let all = r#"{"exit":"vip","name":"Kari\r\nFrom: x","priority":9,"language":"en","tag":"gull"}"#;
        let reply = read(all.as_bytes(), &names()).expect("it is right");
        assert_eq!(reply.name.as_deref(), Some("KariFrom: x"), "no line ends");
        assert_eq!((reply.priority, reply.language), (Some(9), Some(Language::En)));
        assert_eq!(reply.tag.as_deref(), Some("gull"));
        let wild = format!(r#"{{"exit":"vip","name":"{}","priority":99,"language":"xx"}}"#, "x".repeat(5000));
        let reply = read(wild.as_bytes(), &names()).expect("it is right");
        assert_eq!(reply.name.map(|name| name.len()), Some(NAME_MAX));
        assert_eq!((reply.priority, reply.language), (None, None));
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(body in proptest::collection::vec(0u8.., 0..200)) {
            let _ = read(&body, &names());
        }
    }
}
