//! The golden rows of opening hours, and a flow that refuses every call by what they say: for whole calls in virtual time
//! (`tests/sim/golden.rs`) and to a real daemon (`tests/network/golden.rs`).

/// Exits by the status that a caller gets.
pub(crate) const EXITS: [(&str, u16); 5] =
    [("open", 486), ("closed", 480), ("holiday", 410), ("closure", 404), ("lunsj", 488)];

const OFFICE: &str = "mon-fri = \"08:00-16:00\"";
const BAR: &str = "fri = \"22:00-02:00\"";
const HOLIDAYS: &str = "mon-fri = \"08:00-16:00\"\nholidays = \"no\"";
const SUNDAY: &str = "sun = \"10:00-14:00\"\nholidays = { calendar = \"no\", policy = \"as-sunday\" }";
const NIGHT: &str = "mon-sun = \"22:00-02:30\"";
const CLOSED: &str =
    "mon-fri = \"08:00-16:00\"\n[closures.jul]\nfrom = 2026-12-24T12:00:00\nto = 2027-01-02T08:00:00";
const HALF: &str = "mon-fri = \"08:00-16:00\"\nholidays = \"no\"\nonsdag_for_skjaertorsdag = \"08:00-12:00\"";
const LUNCH: &str = "mon-fri = \"08:00-16:00, 11:30-12:00 lunsj\"";
const OWN: &str = "mon-fri = \"08:00-16:00\"\nholidays = \"no\"\n\"2026-05-01\" = \"09:00-12:00\"";

/// Hours, a moment, and the exit that a call takes then.
pub(crate) const ROWS: [(&str, &str, &str); 17] = [
    // G1: to the millisecond.
    (OFFICE, "2026-11-23T15:59:59.990+01:00", "open"),
    (OFFICE, "2026-11-23T16:00:00+01:00", "closed"),
    // G2: over midnight.
    (BAR, "2026-11-28T01:00:00+01:00", "open"),
    (BAR, "2026-11-27T01:00:00+01:00", "closed"),
    // G3: two holidays on one day.
    (HOLIDAYS, "2027-05-17T10:00:00+02:00", "holiday"),
    // G4: a holiday as Sunday, on the night of the clock change.
    (SUNDAY, "2027-03-28T03:30:00+02:00", "holiday"),
    (SUNDAY, "2027-03-28T11:00:00+02:00", "open"),
    // G5: the repeated hour, both times.
    (NIGHT, "2026-10-25T02:15:00+02:00", "open"),
    (NIGHT, "2026-10-25T02:15:00+01:00", "open"),
    (NIGHT, "2026-10-25T02:30:00+01:00", "closed"),
    // G7: a closure to the second.
    (CLOSED, "2026-12-25T10:00:00+01:00", "closure"),
    (CLOSED, "2027-01-02T07:59:59+01:00", "closure"),
    (CLOSED, "2027-01-02T08:00:00+01:00", "closed"),
    // G8: a half day.
    (HALF, "2026-04-01T11:59:00+02:00", "open"),
    (HALF, "2026-04-01T12:00:00+02:00", "closed"),
    // G10: lunch.
    (LUNCH, "2026-11-23T11:45:00+01:00", "lunsj"),
    // G6: a date of one's own beats the holiday.
    (OWN, "2026-05-01T10:00:00+02:00", "open"),
];

/// Steps of a flow that starts with `s`, and the hours that it asks.
pub(crate) fn steps(hours: &str) -> String {
    let (mut exits, mut steps) = (String::new(), String::new());
    for (exit, status) in EXITS {
        // An exit that the template cannot take is refused at load.
        if exit != "lunsj" || hours.contains("lunsj") {
            exits.push_str(&format!(", {exit} = \"{exit}\""));
            steps.push_str(&format!("{exit} = {{ hangup = {status} }}\n"));
        }
    }
    format!("s = {{ hours = \"g\"{exits} }}\n{steps}[hours.g]\n{hours}\n")
}
