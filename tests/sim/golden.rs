//! The golden rows of opening hours by whole calls: who calls at that moment gets the status of the exit that must be
//! taken. And the warning before a holiday.

use std::time::Duration;

use sentral::model::change::Change;
use sentral::model::command::Answer;
use sentral::model::command::Command;

use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::MAIN;
use crate::world::World;
use crate::world::config;

const S: Duration = Duration::from_secs(1);

/// Exits by the status that a caller gets.
const EXITS: [(&str, u16); 5] =
    [("open", 486), ("closed", 480), ("holiday", 410), ("closure", 404), ("lunsj", 488)];

/// The company with these hours and a flow that refuses every call by what they say.
fn company(hours: &str) -> String {
    let flow = COMPANY.find("time = { hours").expect("the flow is there");
    let (mut exits, mut steps) = (String::new(), String::new());
    for (exit, status) in EXITS {
        // An exit that the template cannot take is refused at load.
        if exit != "lunsj" || hours.contains("lunsj") {
            exits.push_str(&format!(", {exit} = \"{exit}\""));
            steps.push_str(&format!("{exit} = {{ hangup = {status} }}\n"));
        }
    }
    let head = COMPANY[..flow].replace("start = \"time\"", "start = \"s\"");
    format!("{head}s = {{ hours = \"g\"{exits} }}\n{steps}[hours.g]\n{hours}\n")
}

/// What a caller at this moment meets.
fn called_at(hours: &str, at: &str) -> &'static str {
    let mut world = World::at(1, at.parse().expect("a time"), config(&company(hours)));
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.until("the call is refused", S, |w| matches!(w.phones[carrier].lines[&call].stage, Stage::Over(_)));
    let Stage::Over(status) = world.phones[carrier].lines[&call].stage else { panic!("it was refused") };
    world.finish();
    let exit = EXITS.iter().find(|(_, of)| *of == status);
    exit.unwrap_or_else(|| panic!("no exit has {status}")).0
}

#[test]
fn the_golden_rows_hold_for_calls() {
    let office = "mon-fri = \"08:00-16:00\"";
    let bar = "fri = \"22:00-02:00\"";
    let holidays = "mon-fri = \"08:00-16:00\"\nholidays = \"no\"";
    let sunday = "sun = \"10:00-14:00\"\nholidays = { calendar = \"no\", policy = \"as-sunday\" }";
    let night = "mon-sun = \"22:00-02:30\"";
    let closed =
        "mon-fri = \"08:00-16:00\"\n[closures.jul]\nfrom = 2026-12-24T12:00:00\nto = 2027-01-02T08:00:00";
    let half = "mon-fri = \"08:00-16:00\"\nholidays = \"no\"\nonsdag_for_skjaertorsdag = \"08:00-12:00\"";
    let rows = [
        // G1: to the millisecond.
        (office, "2026-11-23T15:59:59.990+01:00", "open"),
        (office, "2026-11-23T16:00:00+01:00", "closed"),
        // G2: over midnight.
        (bar, "2026-11-28T01:00:00+01:00", "open"),
        (bar, "2026-11-27T01:00:00+01:00", "closed"),
        // G3: two holidays on one day.
        (holidays, "2027-05-17T10:00:00+02:00", "holiday"),
        // G4: a holiday as Sunday, on the night of the clock change.
        (sunday, "2027-03-28T03:30:00+02:00", "holiday"),
        (sunday, "2027-03-28T11:00:00+02:00", "open"),
        // G5: the repeated hour, both times.
        (night, "2026-10-25T02:15:00+02:00", "open"),
        (night, "2026-10-25T02:15:00+01:00", "open"),
        (night, "2026-10-25T02:30:00+01:00", "closed"),
        // G7: a closure to the second.
        (closed, "2026-12-25T10:00:00+01:00", "closure"),
        (closed, "2027-01-02T07:59:59+01:00", "closure"),
        (closed, "2027-01-02T08:00:00+01:00", "closed"),
        // G8: a half day.
        (half, "2026-04-01T11:59:00+02:00", "open"),
        (half, "2026-04-01T12:00:00+02:00", "closed"),
        // G10: lunch.
        ("mon-fri = \"08:00-16:00, 11:30-12:00 lunsj\"", "2026-11-23T11:45:00+01:00", "lunsj"),
        // G6: a date of one's own beats the holiday.
        (
            "mon-fri = \"08:00-16:00\"\nholidays = \"no\"\n\"2026-05-01\" = \"09:00-12:00\"",
            "2026-05-01T10:00:00+02:00",
            "open",
        ),
    ];
    for (hours, at, expect) in rows {
        assert_eq!(called_at(hours, at), expect, "{at} with {hours}");
    }
}

#[test]
fn a_holiday_on_which_it_would_be_open_unawares_is_warned_of_a_fortnight_and_three_days_before() {
    // 17 May 2027, a Monday: fourteen days before it is the third.
    let hours = "mon-sun = \"08:00-16:00\"\npinse1 = \"closed\"\nmai1 = \"normal\"\nhimmelfart = \"closed\"";
    let alarms = |day: &str| {
        // Half an hour before they are looked for.
        let at = format!("2027-05-{day}T05:30:00Z").parse().expect("a time");
        let mut world = World::at(2, at, config(&company(hours)));
        world.run(3600 * S);
        world.order(Command::Status);
        let Some(Answer::Status(status)) = world.answers.pop() else { panic!("a status was asked for") };
        let told = world.changes.iter().filter(|change| matches!(change, Change::Alarm { .. })).count();
        assert_eq!(status.alarms.len(), told);
        world.finish();
        status.alarms
    };
    assert_eq!(alarms("02"), Vec::<String>::new());
    for (day, ahead) in [("03", 14), ("14", 3)] {
        let [alarm] = &alarms(day)[..] else { panic!("one alarm on day {day}") };
        let what =
            format!("hours \"g\" are open on 2027-05-17 (Grunnlovsdagen / 2. pinsedag), in {ahead} days");
        assert!(alarm.contains(&what) && alarm.contains("mai17 = \"closed\" or \"normal\""), "{alarm}");
    }
}

#[test]
fn opening_hours_are_told_with_why_and_day_by_day() {
    let hours = "name = \"Butikk\"\nmon-fri = \"08:00-16:00\"\nholidays = \"no\"";
    let mut world = World::at(3, "2026-11-23T17:00:00Z".parse().expect("a time"), config(&company(hours)));
    let command = |at: Option<&str>, year| Command::Hours {
        company: None,
        hours: Some("g".into()),
        at: at.map(|at| at.parse().expect("a time")),
        year,
    };
    world.order(command(None, Some(2027)));
    let Some(Answer::Hours { hours }) = world.answers.pop() else { panic!("hours were asked for") };
    let [of] = &hours[..] else { panic!("one template, not {hours:?}") };
    assert_eq!((&*of.category, &*of.rule, &*of.name), ("closed", "default", "Butikk"));
    assert_eq!(of.opens.map(|at| at.to_string()).as_deref(), Some("2026-11-24T07:00:00Z"));
    assert_eq!(of.days.len(), 365);
    world.order(command(Some("2027-05-17T10:00:00Z"), None));
    let Some(Answer::Hours { hours }) = world.answers.pop() else { panic!("hours were asked for") };
    assert_eq!(hours[0].day.as_deref(), Some("Grunnlovsdagen / 2. pinsedag"));
    world.order(Command::Hours { company: None, hours: Some("x".into()), at: None, year: None });
    assert!(matches!(world.answers.pop(), Some(Answer::Refused { not_found: true, .. })));
    world.finish();
}
