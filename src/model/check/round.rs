//! Whether calls can go round for ever, looked for over a whole company: a queue can overflow into a flow
//! that leads back to it.
//!
//! A round in which nothing ever waits is a mistake. A round that waits for people, but has ways past all of
//! them (nobody logged in, busy), draws a warning.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::check::Checker;
use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::flow::Exit;
use crate::model::flow::Step;
use crate::model::id::FlowId;
use crate::model::id::GroupId;
use crate::model::id::QueueId;
use crate::model::id::StepId;
use crate::model::id::UserId;
use crate::model::queue::Queue;
use crate::model::ring_group::RingGroup;

/// Checks `company`, leaving out the flows that are not `sure`.
pub(super) fn check(checker: &mut Checker<'_>, company: &Company, sure: &BTreeSet<&FlowId>) {
    going_round(checker, company, sure, Edges::WithoutWait);
    going_round(checker, company, sure, Edges::AtOnce);
}

/// A place where a call can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place<'a> {
    Step(&'a FlowId, &'a StepId),
    Queue(&'a QueueId),
    Group(&'a GroupId),
    User(&'a UserId),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Step(flow, step) => write!(f, "flow:{flow}/{step}"),
            Place::Queue(id) => write!(f, "queue:{id}"),
            Place::Group(id) => write!(f, "group:{id}"),
            Place::User(id) => write!(f, "user:{id}"),
        }
    }
}

/// Which ways from place to place are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edges {
    /// All ways out of places that never wait: going round there never ends, which is an error.
    WithoutWait,
    /// Ways that can be taken at once (nobody logged in, busy): going round there happens when all of that
    /// holds.
    AtOnce,
}

/// Reports where calls can go round.
fn going_round(checker: &mut Checker<'_>, company: &Company, sure: &BTreeSet<&FlowId>, edges: Edges) {
    let graph = Graph { company, edges };
    let starts =
        places(company).filter(|place| !matches!(place, Place::Step(flow, _) if !sure.contains(flow)));
    let mut done: BTreeSet<Place<'_>> = BTreeSet::new();
    for start in starts {
        if !done.insert(start) {
            continue;
        }
        // Each place on the way from `start`, with the ways out of it that are still to be tried.
        let mut way = vec![(start, graph.next(start))];
        while let Some((_, untried)) = way.last_mut() {
            let Some(next) = untried.pop() else {
                way.pop();
                continue;
            };
            if let Some(first) = way.iter().position(|(place, _)| *place == next) {
                let round: Vec<Place<'_>> = way[first..].iter().map(|(place, _)| *place).collect();
                report_round(checker, &graph, &round);
            } else if done.insert(next) {
                way.push((next, graph.next(next)));
            }
        }
    }
}

fn report_round(checker: &mut Checker<'_>, graph: &Graph<'_>, round: &[Place<'_>]) {
    const SHOWN_MAX: usize = 12;
    let never_waits = round.iter().all(|place| !graph.waits(*place));
    let (Some(first), at_once) = (round.iter().min(), graph.edges == Edges::AtOnce) else {
        return;
    };
    // The first pass has told about it, or the check of queues.
    if at_once && (never_waits || matches!(round, [Place::Queue(_)])) {
        return;
    }
    let from = round.iter().position(|place| place == first).unwrap_or(0);
    let mut names: Vec<String> =
        (0..=round.len()).take(SHOWN_MAX).map(|n| round[(from + n) % round.len()].to_string()).collect();
    if round.len() >= SHOWN_MAX {
        names.push("…".into());
    }
    let names = names.join(" → ");
    let path: Vec<&str> = match first {
        Place::Step(flow, step) => vec!["flows", flow.as_str(), "steps", step.as_str()],
        Place::Queue(id) => vec!["queues", id.as_str()],
        Place::Group(id) => vec!["groups", id.as_str()],
        Place::User(id) => vec!["users", id.as_str()],
    };
    if at_once {
        checker.warn(
            &path,
            format!("when nobody can be reached here, calls go round until they are cut off: {names}"),
        );
    } else {
        checker.key_error(&path, format!("calls go round here without a wait: {names}"));
    }
}

fn places(company: &Company) -> impl Iterator<Item = Place<'_>> {
    let steps =
        company.flows.iter().flat_map(|(id, flow)| flow.steps.keys().map(move |step| Place::Step(id, step)));
    let queues = company.queues.keys().map(Place::Queue);
    let groups = company.groups.keys().map(Place::Group);
    steps.chain(queues).chain(groups).chain(company.users.keys().map(Place::User))
}

/// Where calls can go.
struct Graph<'a> {
    company: &'a Company,
    edges: Edges,
}

impl<'a> Graph<'a> {
    /// Whether a call waits for a person here.
    fn waits(&self, place: Place<'_>) -> bool {
        match place {
            Place::Queue(_) | Place::Group(_) => true,
            Place::User(id) => self.company.users.get(id).is_none_or(|user| user.forward_always.is_none()),
            Place::Step(flow, step) => match self.step(flow, step) {
                Some(
                    Step::Menu { .. }
                    | Step::Queue { .. }
                    | Step::Group { .. }
                    | Step::Dial { .. }
                    | Step::Voicemail { .. }
                    | Step::Collect { .. }
                    | Step::Directory { .. }
                    | Step::Consent { .. },
                ) => true,
                Some(
                    Step::Hours { .. }
                    | Step::Play { .. }
                    | Step::Caller { .. }
                    | Step::Toggle { .. }
                    | Step::Ask { .. }
                    | Step::Set { .. }
                    | Step::Split { .. }
                    | Step::Sms { .. }
                    | Step::Flow { .. }
                    | Step::Hangup { .. },
                )
                | None => false,
            },
        }
    }

    fn step(&self, flow: &FlowId, step: &StepId) -> Option<&'a Step> {
        self.company.flows.get(flow)?.steps.get(step)
    }

    /// Where one can go from `place` along the ways looked at.
    fn next(&self, place: Place<'a>) -> Vec<Place<'a>> {
        if self.edges == Edges::WithoutWait && self.waits(place) {
            return Vec::new();
        }
        let ways = match place {
            Place::Step(flow, step) => self.out_of_step(flow, step),
            Place::Queue(id) => {
                self.company.queues.get(id).map(|queue| self.out_of_queue(queue)).unwrap_or_default()
            }
            Place::Group(id) => {
                self.company.groups.get(id).map(|group| self.out_of_group(group)).unwrap_or_default()
            }
            Place::User(id) => self.out_of_user(id),
        };
        let wanted = |at_once: bool| self.edges == Edges::WithoutWait || at_once;
        ways.into_iter().filter(|(_, at_once)| wanted(*at_once)).map(|(place, _)| place).collect()
    }

    /// Ways out of a step, and whether each can be taken at once.
    fn out_of_step(&self, flow: &'a FlowId, id: &'a StepId) -> Vec<(Place<'a>, bool)> {
        let Some(step) = self.step(flow, id) else { return Vec::new() };
        let waits = self.waits(Place::Step(flow, id));
        let mut ways = Vec::new();
        for (key, exit) in step.exits() {
            let at_once = !waits || AT_ONCE.contains(&key.as_str()) || Graph::no_answer_is_all(step, &key);
            match exit {
                Exit::Step(to) => {
                    let steps = self.company.flows.get(flow).map(|flow| &flow.steps);
                    let known = steps.and_then(|steps| steps.get_key_value(to));
                    ways.extend(known.map(|(to, _)| (Place::Step(flow, to), at_once)));
                }
                Exit::To(to) => ways.extend(self.place(to).map(|place| (place, at_once))),
            }
        }
        match step {
            Step::Flow { flow, .. } => {
                ways.extend(self.place(&Destination::Flow(flow.clone())).map(|place| (place, true)));
            }
            Step::Dial { to, forwarding: true, .. } => {
                ways.extend(to.iter().filter_map(|to| self.place(to)).map(|place| (place, true)));
            }
            // Exits that the step does not write are the queue's and the group's own.
            Step::Queue { queue, exits, .. } if !exits.contains_key("exit") => {
                let own =
                    self.company.queues.get(queue).map(|queue| self.own_exits(queue)).unwrap_or_default();
                let open = own.into_iter().filter(|(key, ..)| !exits.contains_key(*key));
                ways.extend(open.map(|(_, place, at_once)| (place, at_once)));
            }
            Step::Group { group, exits, .. } if !exits.contains_key("no_answer") => {
                ways.extend(
                    self.company.groups.get(group).map(|group| self.out_of_group(group)).unwrap_or_default(),
                );
            }
            _ => {}
        }
        ways
    }

    /// Whether `key` is the exit of a group that is also taken when nobody is there.
    fn no_answer_is_all(step: &Step, key: &str) -> bool {
        matches!(step, Step::Group { exits, .. } if key == "no_answer" && !exits.contains_key("nobody"))
    }

    fn own_exits(&self, queue: &'a Queue) -> Vec<(&'static str, Place<'a>, bool)> {
        let exits = [
            ("timeout", &queue.timeout, false),
            ("full", &queue.full, true),
            ("nobody", &queue.nobody, true),
            ("closed", &queue.closed, true),
            ("all_paused", if queue.all_paused.is_some() { &queue.all_paused } else { &queue.nobody }, true),
        ];
        let lead = |exit: &'a Option<Destination>| exit.as_ref().or(queue.overflow.as_ref());
        let place = |exit| lead(exit).and_then(|to| self.place(to));
        // Those that are taken only where they are written, or else lead where another one does.
        let written = [
            ("no_answer", &queue.no_answer, false),
            ("rejected_by_all", &queue.rejected_by_all, true),
            ("callback_taken", &queue.callback_taken, false),
            ("gone", &queue.gone, false),
        ];
        let usual = exits.into_iter().filter_map(|(key, exit, at_once)| Some((key, place(exit)?, at_once)));
        let written = written
            .into_iter()
            .filter_map(|(key, exit, at_once)| Some((key, self.place(exit.as_ref()?)?, at_once)));
        usual.chain(written).collect()
    }

    fn out_of_queue(&self, queue: &'a Queue) -> Vec<(Place<'a>, bool)> {
        self.own_exits(queue).into_iter().map(|(_, place, at_once)| (place, at_once)).collect()
    }

    fn out_of_group(&self, group: &'a RingGroup) -> Vec<(Place<'a>, bool)> {
        let or_no_answer = |exit: &'a Option<Destination>| exit.as_ref().or(group.no_answer.as_ref());
        let exits = [
            (group.no_answer.as_ref(), false),
            (or_no_answer(&group.busy), true),
            (or_no_answer(&group.nobody), true),
        ];
        exits.into_iter().filter_map(|(exit, at_once)| Some((self.place(exit?)?, at_once))).collect()
    }

    fn out_of_user(&self, id: &UserId) -> Vec<(Place<'a>, bool)> {
        let Some(user) = self.company.users.get(id) else { return Vec::new() };
        let exits = match &user.forward_always {
            Some(always) => vec![(Some(always), true)],
            None => vec![
                (user.no_answer.as_ref(), false),
                (user.busy.as_ref(), true),
                (user.unavailable.as_ref(), true),
            ],
        };
        exits
            .into_iter()
            .filter_map(|(forward, at_once)| Some((self.place(&forward?.to)?, at_once)))
            .collect()
    }

    /// Where a destination begins, when a call can go on from there.
    fn place(&self, to: &Destination) -> Option<Place<'a>> {
        match to {
            Destination::User(id) => self.company.users.get_key_value(id).map(|(id, _)| Place::User(id)),
            Destination::Group(id) => self.company.groups.get_key_value(id).map(|(id, _)| Place::Group(id)),
            Destination::Queue(id) => self.company.queues.get_key_value(id).map(|(id, _)| Place::Queue(id)),
            Destination::Flow(id) => {
                let (id, flow) = self.company.flows.get_key_value(id)?;
                flow.steps.get_key_value(&flow.start).map(|(start, _)| Place::Step(id, start))
            }
            Destination::Voicemail(_)
            | Destination::Phone(_)
            | Destination::Room(_)
            | Destination::Hangup => None,
        }
    }
}

/// Exits of waiting steps that are taken without any wait when nobody can be reached.
const AT_ONCE: [&str; 6] = ["busy", "unavailable", "nobody", "full", "closed", "exit"];
