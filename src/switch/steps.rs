//! What is counted of flows, and alarms. Each is one decision with its fields; the step is `hovednummer/meny`.
//!
//! | event | fields | once for |
//! |---|---|---|
//! | `flow.step` | `step`, `entered` | each time a call comes to a step; the reason code is its verb |
//! | `flow.exit` | `step`, `result`: the exit | each time a call leaves a step |
//! | `flow.key` | `step`, `key` | each key pressed in a menu, a queue, a message, a choice |
//! | `flow.told` | `step` | each decision of a step, in words; nothing is counted from it |
//!
//! Of a destination that a call is led to outside any flow, the step is `queue:salg` or `phone`. A call
//! that ends in a step, because the caller hangs up or somebody takes it, does not leave it. The exit `hangup` is one
//! that nobody wrote; `forward` leads where a user forwards to; `extension` to an extension that was dialled in a menu.
//! Keys of PINs, of digits collected and of names spelled are not told.

use crate::model::change::Change;
use crate::model::event::Fields;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::switch::Switch;
use crate::switch::flow::action::Place;
use crate::time::Now;

/// Alarms that are remembered.
const ALARMS_MAX: usize = 100;

impl Switch {
    /// A call comes to a step or destination.
    pub(crate) fn entered(&mut self, now: Now, call: CallId, place: Place) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let company = of.company.clone();
        let why = format!("{} {}", place.verb, words(&place));
        let fields = Fields { entered: true, ..of_step(&place) };
        of.place = Some(place);
        self.decide_with(now, &company, Some(call), "flow.step", &why, fields);
    }

    /// A call leaves a step or destination by an exit.
    pub(crate) fn left(&mut self, now: Now, call: CallId, place: &Place, exit: &str) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.place = None;
        let company = of.company.clone();
        let why = format!("exit {} exit={exit}", words(place));
        let fields = Fields { result: Some(exit.into()), ..of_step(place) };
        self.decide_with(now, &company, Some(call), "flow.exit", &why, fields);
    }

    /// The caller has chosen by a key.
    pub(crate) fn pressed(&mut self, now: Now, call: CallId, key: char) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        // While a recording is paused, what is keyed in is nobody's business: a card number, as a rule.
        let secret = of.tape.is_paused();
        of.cdr.keys.push(if secret { '•' } else { key });
        if secret {
            return;
        }
        // Service codes and voicemail have no step.
        let Some(place) = &of.place else { return };
        let (company, why) = (of.company.clone(), format!("key {} key={key}", words(place)));
        let fields = Fields { key: Some(key), ..of_step(place) };
        self.decide_with(now, &company, Some(call), "flow.key", &why, fields);
    }

    /// Somebody must look at this: told as a decision and as an alarm, and remembered for `sentral status`.
    pub(crate) fn alarm(&mut self, now: Now, company: &CompanyId, reason: &str, why: &str) {
        tracing::warn!(%company, reason, why, "alarm");
        self.decide(now, company, None, reason, why);
        self.alarms.push_back((now.utc, format!("{company}: {why}")));
        while self.alarms.len() > ALARMS_MAX {
            self.alarms.pop_front();
        }
        self.tell(Change::Alarm {
            company: company.clone(),
            reason: reason.into(),
            why: why.into(),
            at: now.utc,
        });
    }
}

fn words(place: &Place) -> String {
    format!("flow={} step={}", place.flow.as_ref().map_or("-", |flow| flow.as_str()), place.step)
}

fn of_step(place: &Place) -> Fields {
    let step = match &place.flow {
        Some(flow) => format!("{flow}/{}", place.step).into(),
        None => place.step.clone(),
    };
    Fields { step: Some(step), ..Fields::default() }
}
