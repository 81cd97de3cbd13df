//! Events to figures: the one function that counts. Live counters, reports and the test that computes them anew
//! all call [`fold`].
//!
//! An event counts in the period in which it happened: who joins before midnight and is answered after it is offered
//! on one day and answered on the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::cdr::Direction;
use crate::model::event::Event;
use crate::model::event::Fields;
use crate::model::figures::Figures;
use crate::model::figures::LineFigures;
use crate::model::figures::NumberFigures;
use crate::model::figures::UserFigures;

/// Lines, users, numbers and steps each that one company is counted by at most; further ones are not counted.
const ROWS_MAX: usize = 20_000;

/// Adds an event to the figures of its company. Events that count for nothing are passed over.
pub fn fold(figures: &mut Figures, event: &Event) {
    let of = &event.fields;
    match &*event.event {
        "queue.joined" => on_line(figures, of, |line| {
            line.offered += 1;
            line.open += 1;
        }),
        "queue.turned_away" => on_line(figures, of, |line| {
            line.offered += 1;
            overflow(line, of);
        }),
        "queue.overflowed" => on_line(figures, of, |line| {
            overflow(line, of);
            line.open = line.open.saturating_sub(1);
        }),
        "queue.abandoned" => on_line(figures, of, |line| {
            line.open = line.open.saturating_sub(1);
            if of.result.as_deref() == Some("short_abandoned") {
                line.short_abandoned += 1;
            } else {
                line.abandoned += 1;
                line.abandoned_wait_ms += of.wait_ms.unwrap_or(0);
            }
        }),
        "queue.counted" => {
            on_line(figures, of, |line| answered(line, of));
            on_user(figures, of, |user| user.answered += 1);
        }
        "queue.offered" => on_user(figures, of, |user| user.offered += 1),
        "queue.refused" => on_user(figures, of, |user| match of.result.as_deref() {
            Some("no_answer") => user.missed += 1,
            Some("rejected") => user.rejected += 1,
            Some(_) | None => user.failed += 1,
        }),
        "talk.ended" => talked(figures, of),
        "call.started" => on_number(figures, of, |number| number.calls += 1),
        "call.ended" => on_number(figures, of, |number| {
            count(&mut number.results, of.result.as_ref());
            number.wait_ms += of.wait_ms.unwrap_or(0);
            number.talk_ms += of.talk_ms.unwrap_or(0);
        }),
        "flow.step" | "flow.exit" | "flow.key" => step(figures, of),
        "system.started" => {
            for line in figures.lines.values_mut() {
                line.lost += std::mem::take(&mut line.open);
            }
        }
        // Other engines' events are for people; what they count they tell by the names above.
        _ => {}
    }
}

fn answered(line: &mut LineFigures, of: &Fields) {
    let wait = of.wait_ms.unwrap_or(0);
    line.answered += 1;
    line.in_target += u64::from(of.target_ms.is_some_and(|target| wait <= target));
    line.wait_ms += wait;
    line.wait_longest_ms = line.wait_longest_ms.max(wait);
    line.open = line.open.saturating_sub(1);
}

fn overflow(line: &mut LineFigures, of: &Fields) {
    count(&mut line.overflowed, of.result.as_ref());
}

/// A segment: a user's part of a call is over.
fn talked(figures: &mut Figures, of: &Fields) {
    let talk = of.talk_ms.unwrap_or(0);
    if of.line.is_some() {
        on_line(figures, of, |line| line.talk_ms += talk);
        on_user(figures, of, |user| user.line_talk_ms += talk);
        return;
    }
    on_user(figures, of, |user| {
        user.direct_talk_ms += talk;
        match of.direction {
            Some(Direction::Out) => user.calls_out += 1,
            Some(Direction::In | Direction::Internal) | None => user.calls_in += 1,
        }
    });
}

fn step(figures: &mut Figures, of: &Fields) {
    let counts = of.entered || of.key.is_some() || of.result.is_some();
    let Some(at) = of.step.as_ref().filter(|_| counts) else { return };
    let Some(row) = row(&mut figures.steps, at) else { return };
    row.visits += u64::from(of.entered);
    match of.key {
        Some(key) => *row.keys.entry(key).or_default() += 1,
        None => count(&mut row.results, of.result.as_ref()),
    }
}

fn on_line(figures: &mut Figures, of: &Fields, change: impl FnOnce(&mut LineFigures)) {
    if let Some(row) = of.line.as_ref().and_then(|line| row(&mut figures.lines, line)) {
        change(row);
    }
}

fn on_user(figures: &mut Figures, of: &Fields, change: impl FnOnce(&mut UserFigures)) {
    if let Some(row) = of.agent.as_ref().and_then(|user| row(&mut figures.users, user)) {
        change(row);
    }
}

/// Only calls from outside are counted by number: what people dial has no bound.
fn on_number(figures: &mut Figures, of: &Fields, change: impl FnOnce(&mut NumberFigures)) {
    let number = of.number.as_ref().filter(|_| of.direction == Some(Direction::In));
    if let Some(row) = number.and_then(|number| row(&mut figures.numbers, number)) {
        change(row);
    }
}

fn count(results: &mut BTreeMap<Arc<str>, u64>, result: Option<&Arc<str>>) {
    if let Some(result) = result
        && let Some(times) = row(results, result)
    {
        *times += 1;
    }
}

/// The row of a key, made when there is room.
fn row<'a, K: Ord + Clone, V: Default>(rows: &'a mut BTreeMap<K, V>, key: &K) -> Option<&'a mut V> {
    if !rows.contains_key(key) {
        if rows.len() >= ROWS_MAX {
            return None;
        }
        rows.insert(key.clone(), V::default());
    }
    rows.get_mut(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::LineId;
    use crate::time::Timestamp;

    fn event(name: &str, fields: Fields) -> Event {
        Event {
            company: "fjord".into(),
            seq: 1,
            at: Timestamp::UNIX_EPOCH,
            call: None,
            event: name.into(),
            why: "".into(),
            fields,
        }
    }

    fn salg(fields: Fields) -> Fields {
        Fields { line: Some(LineId::Queue("salg".into())), ..fields }
    }

    fn result(result: &str, wait_ms: u64) -> Fields {
        salg(Fields { result: Some(result.into()), wait_ms: Some(wait_ms), ..Fields::default() })
    }

    fn answered_after(wait_ms: u64) -> Fields {
        let agent = Some("kari".into());
        Fields { agent, target_ms: Some(20_000), ..result("answered", wait_ms) }
    }

    fn of(events: &[(&str, Fields)]) -> Figures {
        let mut figures = Figures::default();
        for (name, fields) in events {
            fold(&mut figures, &event(name, fields.clone()));
        }
        figures
    }

    #[test]
    fn callers_of_a_queue_are_counted_by_how_they_came_out() {
        let joined = || ("queue.joined", salg(Fields::default()));
        let line = |events: &[(&str, Fields)]| of(events).lines[&LineId::Queue("salg".into())].clone();
        let none = LineFigures::default();
        let overflow = |exit: &str| BTreeMap::from([(Arc::from(exit), 1)]);
        let rows = [
            ("waits", vec![joined()], LineFigures { offered: 1, open: 1, ..none.clone() }),
            (
                "in the target",
                vec![joined(), ("queue.counted", answered_after(20_000))],
                LineFigures {
                    offered: 1,
                    answered: 1,
                    in_target: 1,
                    wait_ms: 20_000,
                    wait_longest_ms: 20_000,
                    ..none.clone()
                },
            ),
            (
                "after the target",
                vec![joined(), ("queue.counted", answered_after(20_001))],
                LineFigures {
                    offered: 1,
                    answered: 1,
                    wait_ms: 20_001,
                    wait_longest_ms: 20_001,
                    ..none.clone()
                },
            ),
            (
                "hung up",
                vec![joined(), ("queue.abandoned", result("abandoned", 5_000))],
                LineFigures { offered: 1, abandoned: 1, abandoned_wait_ms: 5_000, ..none.clone() },
            ),
            (
                "hung up at once",
                vec![joined(), ("queue.abandoned", result("short_abandoned", 4_999))],
                LineFigures { offered: 1, short_abandoned: 1, ..none.clone() },
            ),
            (
                "waited too long",
                vec![joined(), ("queue.overflowed", result("timeout", 600_000))],
                LineFigures { offered: 1, overflowed: overflow("timeout"), ..none.clone() },
            ),
            (
                "not let in",
                vec![("queue.turned_away", result("full", 0))],
                LineFigures { offered: 1, overflowed: overflow("full"), ..none.clone() },
            ),
            (
                "the process stopped",
                vec![joined(), ("system.started", Fields::default())],
                LineFigures { offered: 1, lost: 1, ..none.clone() },
            ),
        ];
        for (what, events, expected) in rows {
            let line = line(&events);
            assert_eq!(line, expected, "{what}");
            let out = line.answered + line.abandoned + line.short_abandoned + line.overflowed_in_all();
            assert_eq!(line.offered, out + line.lost + line.open, "{what}: everybody is somewhere");
        }
    }

    #[test]
    fn the_service_level_leaves_out_who_hung_up_at_once() {
        let joined = || ("queue.joined", salg(Fields::default()));
        let figures = of(&[
            joined(),
            joined(),
            joined(),
            ("queue.counted", answered_after(1_000)),
            ("queue.counted", answered_after(30_000)),
            ("queue.abandoned", result("short_abandoned", 100)),
        ]);
        let line = &figures.lines[&LineId::Queue("salg".into())];
        assert_eq!((line.service_level(), line.wait_mean_ms()), (Some(0.5), Some(15_500)));
        assert_eq!(LineFigures::default().service_level(), None);
    }

    #[test]
    fn a_user_has_talks_of_queues_apart_from_their_own() {
        let kari = |fields: Fields| Fields { agent: Some("kari".into()), ..fields };
        let refused = |how: &str| kari(result(how, 0));
        let talk = |fields: Fields| kari(Fields { talk_ms: Some(1_000), ..fields });
        let direct = |direction| talk(Fields { direction: Some(direction), ..Fields::default() });
        let figures = of(&[
            ("queue.offered", kari(salg(Fields::default()))),
            ("queue.counted", answered_after(1)),
            ("queue.refused", refused("no_answer")),
            ("queue.refused", refused("rejected")),
            ("queue.refused", refused("busy")),
            ("talk.ended", talk(salg(Fields::default()))),
            ("talk.ended", direct(Direction::In)),
            ("talk.ended", direct(Direction::Out)),
        ]);
        let expected = UserFigures {
            offered: 1,
            answered: 1,
            missed: 1,
            rejected: 1,
            failed: 1,
            line_talk_ms: 1_000,
            calls_in: 1,
            calls_out: 1,
            direct_talk_ms: 2_000,
        };
        assert_eq!(figures.users["kari"], expected);
        assert_eq!(figures.lines[&LineId::Queue("salg".into())].talk_ms, 1_000);
    }

    #[test]
    fn numbers_are_counted_for_calls_from_outside_and_steps_by_visit_and_key() {
        let to = |direction, result: Option<&str>| Fields {
            number: Some(crate::model::id::Number::new("+4736000100")),
            direction: Some(direction),
            result: result.map(Arc::from),
            talk_ms: Some(7),
            ..Fields::default()
        };
        let step = |fields: Fields| Fields { step: Some("hoved/meny".into()), ..fields };
        let figures = of(&[
            ("call.started", to(Direction::In, None)),
            ("call.ended", to(Direction::In, Some("answered"))),
            ("call.started", to(Direction::Out, None)),
            ("flow.step", step(Fields { entered: true, ..Fields::default() })),
            ("flow.step", step(Fields::default())),
            ("flow.key", step(Fields { key: Some('1'), ..Fields::default() })),
            ("flow.exit", step(Fields { result: Some("timeout".into()), ..Fields::default() })),
        ]);
        assert_eq!(figures.numbers.len(), 1);
        let number = figures.numbers.values().next().unwrap();
        assert_eq!((number.calls, number.talk_ms, number.results["answered"]), (1, 7, 1));
        let step = &figures.steps["hoved/meny"];
        assert_eq!((step.visits, step.keys[&'1'], step.results["timeout"]), (1, 1, 1));
    }
}
