//! How a queue's call is presented to an agent: what the phone shows, how it rings, whether it answers by itself.

use crate::model::id::CallId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::queue::Confirm;
use crate::model::queue::Present;
use crate::sip::Extra;
use crate::switch::Switch;
use crate::switch::identity;
use crate::switch::identity::Shown;

impl Switch {
    /// What an agent's phone shows for a call of this line, whether a key is asked for, and how it rings.
    pub(crate) fn present(&self, call: CallId, line: &LineKey) -> (Shown, Option<Confirm>, Extra) {
        let Some(of) = self.calls.get(&call) else { return (Shown::hidden(), None, Extra::new()) };
        let Some(company) = self.config.companies.get(&line.company) else {
            return (Shown::hidden(), None, Extra::new());
        };
        match &line.line {
            LineId::Queue(id) => match company.queues.get(id) {
                Some(queue) => {
                    let shown = identity::presented(company, queue, &of.facts);
                    let shown = Shown { name: of.shown_as.clone().or(shown.name), ..shown };
                    (shown, Some(queue.present.confirm), alerting(&queue.present, &company.domain))
                }
                None => (self.shown_inside(call), None, Extra::new()),
            },
            LineId::Group(_) => (self.shown_inside(call), None, Extra::new()),
        }
    }
}

/// How a program's last word ends a call.
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
