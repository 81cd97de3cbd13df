//! The golden rows of opening hours by whole calls: who calls at that moment gets the status of the exit that must be
//! taken. And the warning before a holiday.

use std::time::Duration;

use sentral::model::change::Change;
use sentral::model::command::Answer;
use sentral::model::command::Command;

use crate::golden_rows as golden;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::MAIN;
use crate::world::World;
use crate::world::config;

const S: Duration = Duration::from_secs(1);

/// The company with these hours and a flow that refuses every call by what they say.
fn company(hours: &str) -> String {
    let flow = COMPANY.find("time = { hours").expect("the flow is there");
    COMPANY[..flow].replace("start = \"time\"", "start = \"s\"") + &golden::steps(hours)
}

/// What a caller at this moment meets.
fn called_at(hours: &str, at: &str) -> &'static str {
    let mut world = World::at(1, at.parse().expect("a time"), config(&company(hours)));
    let carrier = world.carrier();
    let call = world.phones[carrier].call(world.now, MAIN, false);
    world.until("the call is refused", S, |w| matches!(w.phones[carrier].lines[&call].stage, Stage::Over(_)));
    let Stage::Over(status) = world.phones[carrier].lines[&call].stage else { panic!("it was refused") };
    world.finish();
    let exit = golden::EXITS.iter().find(|(_, of)| *of == status);
    exit.unwrap_or_else(|| panic!("no exit has {status}")).0
}

#[test]
fn the_golden_rows_hold_for_calls() {
    for (hours, at, expect) in golden::ROWS {
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
