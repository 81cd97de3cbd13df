//! Call-backs in the switch: what callers are told of them, and how a kept place is served.

use std::sync::Arc;

use crate::model::company::Company;
use crate::model::id::CallId;
use crate::model::id::Number;
use crate::model::queue::Queue;
use crate::model::server::Language;
use crate::switch::Switch;
use crate::switch::hours;
use crate::switch::hours::HoursState;
use crate::switch::queue::Eta;
use crate::switch::say;
use crate::switch::say::What;

impl Switch {
    /// Who calls, as the queues may know: none when hidden.
    pub(crate) fn number_of_caller(&self, call: CallId) -> Option<Number> {
        let of = self.calls.get(&call)?;
        of.facts.number.clone().filter(|number| !of.facts.hidden && !number.is_empty())
    }
}

/// What says an estimated wait.
pub(crate) fn eta_prompt(eta: Eta) -> &'static str {
    match eta {
        Eta::UnderOne => "queue/wait-less-minute",
        Eta::OneToTwo => "queue/wait-one-to-two",
        Eta::TwoToFive => "queue/wait-two-to-five",
        Eta::FiveToTen => "queue/wait-five-to-ten",
        Eta::OverTen => "queue/wait-over-ten",
    }
}

/// What offers a call-back, with the key to press.
pub(crate) fn callback_prompts(language: Language, queue: &Queue) -> Vec<Arc<str>> {
    let key = queue.callback.unwrap_or_default().key;
    if key == '1' {
        return vec!["queue/callback-offer".into()];
    }
    let mut prompts = vec!["queue/callback-press".into()];
    prompts.extend(say::say(language, &What::Digits(&key.to_string())));
    prompts.push("queue/callback-instead".into());
    prompts
}

/// Whether hours are closed by a closure for which nobody may wait on.
pub(crate) fn immediate(company: &Company, state: &HoursState) -> bool {
    match &state.source {
        hours::Source::Closure(id) => company.closures.get(id).is_some_and(|closure| closure.immediate),
        hours::Source::ByHand
        | hours::Source::Date
        | hours::Source::Holiday(_)
        | hours::Source::NamedDay(_)
        | hours::Source::Week
        | hours::Source::Default => false,
    }
}
