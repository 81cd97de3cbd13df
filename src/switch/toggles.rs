//! Toggles that are set for a time: by code from a telephone, and what happens when the time is over.
//!
//! What a toggle does holds by the clock alone; the timer is for those who look on: lamps, and callers who wait in a
//! queue whose hours it overrides.

use std::time::Duration;

use crate::model::change::Change;
use crate::model::change::Source;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::ToggleId;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::flow::action::Event;
use crate::switch::watch::Watched;
use crate::time::Now;
use crate::time::Timestamp;

impl Switch {
    /// A caller turns a toggle on until a moment.
    pub(crate) fn toggle_until(&mut self, now: Now, call: CallId, toggle: ToggleId, until: Timestamp) {
        let Some(of) = self.calls.get(&call) else { return };
        let (company, user) = (of.company.clone(), of.facts.user.clone());
        let user = user.map(|user| user.as_str().into());
        let (on, until, by) = (true, Some(until), Source::Code);
        self.set_toggle(now, Change::ToggleSet { company, toggle, on, until, by, user, at: now.utc });
        self.run_program(now, call, Event::Toggled(true));
    }

    /// Notes when a toggle that was set goes off by itself.
    pub(crate) fn time_toggle(&mut self, now: Now, change: &Change) {
        let Change::ToggleSet { company, toggle, on, until, .. } = change else { return };
        let timer = Timer::Toggle(company.clone(), toggle.clone());
        match until {
            Some(until) if *on => {
                let wait = Duration::try_from(until.duration_since(now.utc)).unwrap_or(Duration::ZERO);
                self.timers.set(timer, now.mono + wait);
            }
            Some(_) | None => {
                self.timers.clear(&timer);
            }
        }
    }

    /// The time of a toggle may be over.
    pub(crate) fn toggle_over(&mut self, now: Now, company: &CompanyId, toggle: &ToggleId) {
        if self.toggles.is_on(company, toggle, now.utc) {
            // The wall clock was set back meanwhile.
            let left =
                self.toggles.until(company, toggle, now.utc).map(|until| until.duration_since(now.utc));
            if let Some(left) = left.and_then(|left| Duration::try_from(left).ok()) {
                self.timers.set(Timer::Toggle(company.clone(), toggle.clone()), now.mono + left);
            }
            return;
        }
        self.decide(now, company, None, "toggle.over", &format!("expired toggle={toggle}"));
        self.watch_changed(&Watched::Toggle(company.clone(), toggle.clone()));
        self.hours_may_change(now, company);
    }

    /// Queues of a company look at their hours again.
    pub(crate) fn hours_may_change(&mut self, now: Now, company: &CompanyId) {
        let Some(company) = self.config.companies.get(company).cloned() else { return };
        for (id, queue) in &company.queues {
            if queue.hours.is_some() {
                let line = LineKey { company: company.id.clone(), line: LineId::Queue(id.clone()) };
                self.line_hours(now, &line, true);
            }
        }
    }
}
