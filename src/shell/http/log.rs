//! Questions that the event log answers: reports, and why a call went as it did. The core cuts the times and knows the
//! company; the store has the events; the functions that count and tell are the core's.

use crate::model::command::Answer;
use crate::model::event::Event;
use crate::model::figures::DEFINITIONS;
use crate::model::figures::Figures;
use crate::model::id::LineId;
use crate::model::report::AbandonedCall;
use crate::model::report::Plan;
use crate::model::report::Report;
use crate::model::report::ReportRow;
use crate::model::report::Subject;
use crate::model::report::WhyAsk;
use crate::model::server::Language;
use crate::shell::store::Store;
use crate::switch::figures::fold;
use crate::switch::why;

/// Callers listed in one report at most; the newest are left out.
const ABANDONED_MAX: usize = 10_000;

/// Counts what a report asks for.
///
/// # Errors
/// When the log cannot be read.
pub(crate) fn report(store: &Store, plan: Plan) -> anyhow::Result<Report> {
    let mut rows = Vec::new();
    let mut abandoned = Vec::new();
    for period in plan.periods {
        let mut figures = Figures::default();
        store.events_between(&plan.company, period.from, period.to, |event| {
            fold(&mut figures, &event);
            if plan.subject == Subject::Abandoned && abandoned.len() < ABANDONED_MAX {
                abandoned.extend(gone(&event).filter(|call| wanted(plan.id.as_deref(), &call.line)));
            }
        })?;
        only(&mut figures, plan.subject, plan.id.as_deref());
        rows.push(ReportRow { period, figures });
    }
    for call in &mut abandoned {
        let cdr = call.call.map(|call| store.cdr(call)).transpose()?.flatten();
        call.from = cdr.filter(|cdr| !cdr.hidden && !cdr.from.is_empty()).map(|cdr| cdr.from.to_string());
    }
    let words = DEFINITIONS.iter().map(|(word, nb, en)| {
        let means = match plan.language {
            Language::Nb => nb,
            Language::En => en,
        };
        ((*word).to_owned(), (*means).to_owned())
    });
    Ok(Report {
        subject: plan.subject,
        company: plan.company,
        zone: plan.zone,
        definitions: words.collect(),
        rows,
        abandoned,
    })
}

/// A caller who hung up while waiting.
fn gone(event: &Event) -> Option<AbandonedCall> {
    let of = &event.fields;
    (&*event.event == "queue.abandoned").then(|| AbandonedCall {
        at: event.at,
        line: of.line.as_ref().map(LineId::to_string).unwrap_or_default(),
        call: event.call,
        from: None,
        wait_ms: of.wait_ms.unwrap_or(0),
        short: of.result.as_deref() == Some("short_abandoned"),
    })
}

/// Leaves what was asked for.
fn only(figures: &mut Figures, subject: Subject, id: Option<&str>) {
    let all = std::mem::take(figures);
    match subject {
        Subject::Queue | Subject::Abandoned => {
            figures.lines = all.lines;
            figures.lines.retain(|line, _| wanted(id, &line.to_string()));
        }
        Subject::User => {
            figures.users = all.users;
            figures.users.retain(|user, _| id.is_none_or(|id| id == user.as_str()));
        }
        Subject::Number => {
            figures.numbers = all.numbers;
            figures.numbers.retain(|number, _| id.is_none_or(|id| id == number.as_str()));
        }
        Subject::Menu => {
            figures.steps = all.steps;
            figures.steps.retain(|step, _| {
                id.is_none_or(|id| {
                    **step == *id || step.strip_prefix(id).is_some_and(|rest| rest.starts_with('/'))
                })
            });
        }
    }
}

/// Whether a line (`queue:salg`) is the one asked for (`salg` or `queue:salg`).
fn wanted(id: Option<&str>, line: &str) -> bool {
    id.is_none_or(|id| line == id || line.split_once(':').is_some_and(|(_, of)| of == id))
}

/// Tells a call, past or running.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn tell(store: &Store, ask: &WhyAsk) -> anyhow::Result<Answer> {
    let events = store.events_of(ask.call)?;
    let cdr = store.cdr(ask.call)?.map(Box::new);
    if events.is_empty() && cdr.is_none() {
        return Ok(Answer::Refused {
            why: format!(
                "the log has nothing of call {}: it is older than [history] keep, or never was; `sentral cdr` and `sentral calls` list calls",
                ask.call
            ),
            not_found: true,
        });
    }
    Ok(Answer::Why { cdr, lines: why::tell(&events, ask.language) })
}
