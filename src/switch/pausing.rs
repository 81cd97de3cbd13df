//! Pauses and wrap-up by code and by order: what was dialled behind the code, what is said of it, and what is refused.
//!
//! `*42` pauses, `*421` for the reason 1 of the company's `[pauses]`, `*42*30` for half an hour, `*421*1200` until noon.

use std::sync::Arc;

use crate::model::change::Source;
use crate::model::command::Answer;
use crate::model::event::Fields;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::prompt::PromptKey;
use crate::switch::Switch;
use crate::switch::flow::action::Duty;
use crate::switch::flow::stage::Stage;
use crate::switch::on_command::not_found;
use crate::switch::queue;
use crate::switch::toggling;
use crate::time::Now;
use crate::time::Timestamp;

/// Seconds of a minute.
const MINUTE_S: i64 = 60;
/// Signs of a reason.
const REASON_MAX: usize = 60;
/// An order for a pause that ends later is a mistake.
const LONGEST_DAYS: i64 = 366;

/// What was dialled behind the code for a pause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PauseCode {
    /// Stands for a reason; empty for none.
    reason: Arc<str>,
    /// Minutes, or a time of day; none until the agent comes back.
    time: Option<Arc<str>>,
}

/// Why a pause is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPause {
    /// Nobody has named such a reason.
    Reason,
    /// Neither minutes nor a time of day.
    Time,
}

impl NoPause {
    /// What the caller hears.
    pub(crate) fn prompt(self) -> &'static str {
        match self {
            NoPause::Reason => "pause/wrong-reason",
            NoPause::Time => "pause/wrong-time",
        }
    }
}

impl PauseCode {
    /// Reads what stands behind the code, such as `1*30` or `*1200#`.
    pub fn read(rest: &str) -> PauseCode {
        let rest = rest.trim_end_matches('#');
        match rest.split_once('*') {
            Some((reason, time)) => PauseCode { reason: reason.into(), time: Some(time.into()) },
            None => PauseCode { reason: rest.into(), time: None },
        }
    }

    /// The reason in words, and when the pause ends.
    pub(crate) fn settle(&self, stage: &Stage<'_>) -> Result<(Arc<str>, Option<Timestamp>), NoPause> {
        let reason = match &*self.reason {
            "" => Arc::from("code"),
            digits => stage.ctx.company.pauses.get(digits).cloned().ok_or(NoPause::Reason)?,
        };
        let until = match &self.time {
            Some(time) => Some(toggling::ahead(stage, time, MINUTE_S).ok_or(NoPause::Time)?),
            None => None,
        };
        Ok((reason, until))
    }
}

/// What an agent is told first whom the system has put on pause: whenever they call a service, as long as it lasts.
pub(crate) fn notice(stage: &mut Stage<'_>, everywhere: bool) -> Vec<PromptKey> {
    let Some(user) = &stage.ctx.caller.user else { return Vec::new() };
    let duty = (stage.ctx.world.duty)(user);
    if if everywhere { duty.auto_paused_everywhere } else { duty.auto_paused } {
        stage.tell("auto_paused: the caller is told of the pause");
        return vec![stage.system("pause/auto")];
    }
    Vec::new()
}

/// Whether a user is an agent or a member anywhere.
pub(crate) fn is_agent(stage: &Stage<'_>, user: &UserId) -> bool {
    let company = stage.ctx.company;
    company.queues.values().any(|queue| queue.agents.iter().any(|agent| agent.user == *user))
        || company.groups.values().any(|group| group.members.contains(user))
}

impl Switch {
    /// What is under way for an agent.
    pub(crate) fn duty(&self, now: Now, agent: &UserKey) -> Duty {
        Duty {
            auto_paused: self.queues.notices(agent).next().is_some(),
            auto_paused_everywhere: self.queues.notices(agent).any(|(line, _)| line.is_none()),
            wraps_up: self.queues.wrap_up_left(now, agent).is_some(),
        }
    }

    /// An agent has finished wrapping up, or needs longer; nothing when no wrap-up is under way.
    pub(crate) fn wrap_up(&mut self, now: Now, agent: UserKey, longer: bool, by: &Source) {
        if self.queues.wrap_up_left(now, &agent).is_none() {
            return;
        }
        let (event, what) = match longer {
            true => ("agent.wrap_up_extended", "longer"),
            false => ("agent.wrap_up_ended", "finished"),
        };
        let key = agent.clone();
        self.queue_input(
            now,
            match longer {
                true => queue::Input::WrapUpExtend { agent },
                false => queue::Input::WrapUpEnd { agent },
            },
        );
        let by = if *by == Source::Code { "code" } else { "order" };
        let left = self.queues.wrap_up_left(now, &key).map_or(0, |left| left.as_secs());
        let fields = Fields { agent: Some(key.user), by: Some(by.into()), ..Fields::default() };
        self.decide_with(now, &key.company, None, event, &format!("{what}: by {by}, {left} s left"), fields);
    }

    /// Pauses an agent by order, or ends every pause with no reason.
    pub(crate) fn order_pause(
        &mut self,
        now: Now,
        agent: UserKey,
        reason: Option<Arc<str>>,
        until: Option<Timestamp>,
    ) -> Answer {
        if !self.queues.standing(&agent).listed {
            return not_found(format!(
                "user \"{}\" is in no queue or group of company \"{}\": there is nothing to pause from",
                agent.user, agent.company
            ));
        }
        let refused = |why: String| Answer::Refused { why, not_found: false };
        if let Some(text) = &reason
            && (text.trim().is_empty()
                || text.chars().count() > REASON_MAX
                || text.chars().any(char::is_control))
        {
            return refused(format!("a reason is one line of 1 to {REASON_MAX} signs"));
        }
        if let Some(until) = until {
            if until <= now.utc {
                return refused(format!("a pause until {until} would have ended before it begins"));
            }
            if until.duration_since(now.utc).as_hours() > LONGEST_DAYS * 24 {
                return refused(format!(
                    "a pause lasts at most {LONGEST_DAYS} days: log the agent out instead"
                ));
            }
        }
        self.queue_input(now, queue::Input::Pause { agent, reason, until, by: Source::Cli });
        Answer::Done
    }

    /// Ends or prolongs an agent's wrap-up by order.
    pub(crate) fn order_wrap_up(&mut self, now: Now, agent: UserKey, longer: bool) -> Answer {
        if self.queues.wrap_up_left(now, &agent).is_none() {
            let why = format!("user \"{}\" of company \"{}\" is not wrapping up", agent.user, agent.company);
            return Answer::Refused { why, not_found: false };
        }
        self.wrap_up(now, agent, longer, &Source::Cli);
        Answer::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_and_a_time_stand_behind_the_code_each_or_none() {
        let code = |reason: &str, time: Option<&str>| PauseCode {
            reason: reason.into(),
            time: time.map(Into::into),
        };
        let rows = [
            ("", code("", None)),
            ("1", code("1", None)),
            ("*30", code("", Some("30"))),
            ("2*1200#", code("2", Some("1200"))),
            ("1*", code("1", Some(""))),
        ];
        for (rest, expect) in rows {
            assert_eq!(PauseCode::read(rest), expect, "{rest:?}");
        }
    }
}
