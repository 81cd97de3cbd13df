//! What is counted of flows, and alarms. Each is one decision with fields that can be read back: the reason code, then
//! `name=value` with blanks between, none of which holds a blank.
//!
//! | event | why | once for |
//! |---|---|---|
//! | `flow.step` | `menu flow=hovednummer step=meny` | each time a call comes to a step; the code is its verb |
//! | `flow.exit` | `exit flow=hovednummer step=meny exit=1` | each time a call leaves a step |
//! | `flow.key` | `key flow=hovednummer step=meny key=1` | each key pressed in a menu, a queue, a message, a choice |
//! | `flow.told` | `hovednummer/meny: key 1: queue:salg` | each decision of a step, in words |
//!
//! Of a destination that a call is led to outside any flow, the flow is `-` and the step `queue:salg` or `phone`. A call
//! that ends in a step, because the caller hangs up or somebody takes it, does not leave it. The exit `hangup` is one
//! that nobody wrote; `forward` leads where a user forwards to; `extension` to an extension that was dialled in a menu.
//! Keys of PINs, of digits collected and of names spelled are not told.

use crate::model::change::Change;
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
        let why = format!("{} {}", place.verb, fields(&place));
        of.place = Some(place);
        self.decide(now, &company, Some(call), "flow.step", &why);
    }

    /// A call leaves a step or destination by an exit.
    pub(crate) fn left(&mut self, now: Now, call: CallId, place: &Place, exit: &str) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.place = None;
        let company = of.company.clone();
        let why = format!("exit {} exit={exit}", fields(place));
        self.decide(now, &company, Some(call), "flow.exit", &why);
    }

    /// The caller has chosen by a key.
    pub(crate) fn pressed(&mut self, now: Now, call: CallId, key: char) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.cdr.keys.push(key);
        // Service codes and voicemail have no step.
        let Some(place) = &of.place else { return };
        let (company, why) = (of.company.clone(), format!("key {} key={key}", fields(place)));
        self.decide(now, &company, Some(call), "flow.key", &why);
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

fn fields(place: &Place) -> String {
    format!("flow={} step={}", place.flow.as_ref().map_or("-", |flow| flow.as_str()), place.step)
}
