//! The events of a call in words, Norwegian or English: what `sentral why` says. Pure: a call of last month reads as
//! one of now.
//!
//! Reason codes have a fixed translation; what steps of a flow say of themselves is translated by its first words, and
//! stands in English where there is no translation.

use crate::model::event::Event;
use crate::model::event::Passed;
use crate::model::report::WhyLine;
use crate::model::server::Language;
use crate::switch::one_way;
use crate::switch::one_way::by;

/// Tells the events of one call, in order.
pub fn tell(events: &[Event], language: Language) -> Vec<WhyLine> {
    events.iter().map(|event| line(event, events, language)).collect()
}

fn line(event: &Event, of_call: &[Event], language: Language) -> WhyLine {
    WhyLine {
        at: event.at,
        seq: event.seq,
        event: event.event.clone(),
        code: code(event),
        text: sentence(event, of_call, language),
    }
}

/// The reason code; of a step its result, since its text is a sentence.
fn code(event: &Event) -> String {
    let of = &event.fields;
    match (&*event.event, &of.result, of.key) {
        ("flow.told", Some(result), _) => result.to_string(),
        ("flow.told", None, _) => "told".to_owned(),
        (_, _, Some(key)) => format!("key_{key}"),
        _ => event.code().to_owned(),
    }
}

/// One event in words.
fn sentence(event: &Event, of_call: &[Event], language: Language) -> String {
    let of = &event.fields;
    let say = |nb: String, en: String| match language {
        Language::Nb => nb,
        Language::En => en,
    };
    let queue = of.line.as_ref().map(ToString::to_string).unwrap_or_default();
    let agent = of.agent.as_ref().map(ToString::to_string).unwrap_or_default();
    let wait = seconds(of.wait_ms);
    let exit = of.result.as_deref().unwrap_or_default();
    let result = reason(exit, language);
    let place = of.step.as_deref().unwrap_or_default();
    match &*event.event {
        "call.started" => match &of.number {
            Some(number) => say(format!("Samtale til {number}"), format!("A call to {number}")),
            None => say("Samtalen begynner".into(), "The call begins".into()),
        },
        "call.ended" => {
            let by = by(of.by.as_deref().unwrap_or_default(), language);
            say(format!("Slutt: {result}; lagt på av {by}"), format!("The end: {result}; hung up by {by}"))
        }
        "flow.step" => say(format!("Kommer til {place}"), format!("Comes to {place}")),
        "flow.told" => format!("{place}: {}", step(event, language)),
        "flow.exit" => say(format!("Går ut av {place}: {exit}"), format!("Leaves {place}: {exit}")),
        "flow.key" => {
            let key = of.key.unwrap_or_default();
            say(format!("Tast {key} i {place}"), format!("Key {key} in {place}"))
        }
        "queue.joined" => {
            let place = of.place.unwrap_or(0);
            let passed = passed(&of.passed, event, of_call, language);
            say(
                format!("Inn i {queue} på plass {place}{passed}"),
                format!("Joins {queue} at place {place}{passed}"),
            )
        }
        "queue.turned_away" => {
            say(format!("Slippes ikke inn i {queue}: {result}"), format!("Not let into {queue}: {result}"))
        }
        "queue.offered" => {
            let passed = passed(&of.passed, event, of_call, language);
            say(format!("Ringer {agent} for {queue}{passed}"), format!("Rings {agent} for {queue}{passed}"))
        }
        "queue.refused" => {
            let rung = seconds(of.ring_ms);
            say(
                format!("{agent} tok den ikke etter {rung} s: {result}"),
                format!("{agent} did not take it after {rung} s: {result}"),
            )
        }
        "queue.answered" => say(
            format!("{agent} svarte etter {wait} s i {queue}"),
            format!("{agent} answered after {wait} s in {queue}"),
        ),
        "queue.counted" => say(
            format!("Telles som besvart av {agent}: samtalen har vart i et sekund"),
            format!("Counts as answered by {agent}: they have talked for a second"),
        ),
        "queue.returned" => say(
            format!("Den som svarte falt ut: tilbake på sin gamle plass i {queue}"),
            format!("Who answered dropped out: back to the old place in {queue}"),
        ),
        "queue.abandoned" => say(
            format!("Innringeren la på etter {wait} s i {queue}"),
            format!("The caller hung up after {wait} s in {queue}"),
        ),
        "queue.overflowed" => say(
            format!("Ut av {queue} etter {wait} s: {result}"),
            format!("Leaves {queue} after {wait} s: {result}"),
        ),
        "talk.ended" => {
            let talk = seconds(of.talk_ms);
            say(format!("{agent} snakket i {talk} s"), format!("{agent} talked for {talk} s"))
        }
        "agent.auto_paused" => say(
            format!("{agent} settes på pause: for mange tapte anrop på rad"),
            format!("{agent} is put on pause: too many missed calls in a row"),
        ),
        "agent.paused" => say(format!("{agent} på pause"), format!("{agent} on pause")),
        "voicemail.left" => say("La igjen en beskjed".into(), "Left a message".into()),
        "recording.started" => say("Opptaket begynner".into(), "Recording begins".into()),
        "recording.paused" => say("Opptaket er på pause".into(), "Recording is paused".into()),
        "recording.resumed" => say("Opptaket fortsetter".into(), "Recording goes on".into()),
        "recording.moved" => say("Opptaket følger med hit".into(), "The recording goes on here".into()),
        "recording.failed" => say(
            format!("Opptaket kan ikke skrives: {}", event.why),
            format!("The recording cannot be written: {}", event.why),
        ),
        "recording.restored" => {
            let long = seconds(of.length_ms);
            say(
                format!("Opptaket skrives igjen; {long} s av det er stillhet"),
                format!("The recording is written again; {long} s of it are silence"),
            )
        }
        "recording.ready" => {
            let (long, file) = (seconds(of.length_ms), of.file.as_deref().unwrap_or_default());
            say(format!("Opptak på {long} s: {file}"), format!("A recording of {long} s: {file}"))
        }
        "transfer.blind" => say("Settes over".into(), "Transferred".into()),
        "transfer.attended" => {
            say("Settes over etter en samtale".into(), "Transferred after consultation".into())
        }
        "transfer.failed" => say(
            "Overføringen lyktes ikke: tilbake til den som satte over".into(),
            "The transfer failed: back to who transferred".into(),
        ),
        "call.barred" => say(format!("Sperret: {}", event.why), format!("Barred: {}", event.why)),
        "trunk.failover" => say(
            format!("Linjen feilet, neste prøves ({})", event.why),
            format!("The trunk failed, the next is tried ({})", event.why),
        ),
        "audio.one_way" => {
            let told = one_way::told(event, language);
            say(format!("Enveis lyd: {told}"), format!("One-way audio: {told}"))
        }
        "audio.restored" => {
            let by = by(of.by.as_deref().unwrap_or_default(), language);
            say(format!("Lyden går begge veier igjen ({by})"), format!("Audio goes both ways again ({by})"))
        }
        // Told by whoever decided, in their own words.
        _ => {
            let why = event.why.trim_end_matches(':');
            let code = event.code();
            let (known, rest) = (reason(code, language), why.get(code.len()..).unwrap_or_default());
            format!("{}: {known}{rest}", event.event)
        }
    }
}

/// Whom the line did not ring at that moment, by reason. Who was rung in the same turn is left out.
fn passed(passed: &[Passed], event: &Event, of_call: &[Event], language: Language) -> String {
    let rung = |who: &Passed| {
        of_call.iter().any(|other| {
            &*other.event == "queue.offered"
                && other.at == event.at
                && other.fields.agent.as_ref() == Some(&who.agent)
        })
    };
    let words: Vec<String> = passed
        .iter()
        .filter(|who| !rung(who))
        .map(|who| format!("{} – {}", who.agent, reason(&who.why, language)))
        .collect();
    if words.is_empty() {
        return String::new();
    }
    match language {
        Language::Nb => format!(". Ikke tilbudt: {}", words.join("; ")),
        Language::En => format!(". Not offered: {}", words.join("; ")),
    }
}

/// What a step says of itself.
fn step(event: &Event, language: Language) -> String {
    let why = &*event.why;
    if language == Language::En {
        return why.to_owned();
    }
    for (english, norwegian) in STEP_WORDS {
        if let Some(rest) = why.strip_prefix(english) {
            let rest = if *english == "hours " { hours(rest) } else { rest.to_owned() };
            return format!("{norwegian}{}", exits(&rest));
        }
    }
    exits(why)
}

/// The rule of the hours that decided.
fn hours(text: &str) -> String {
    let words = [
        (": open", ": åpent"),
        (": closed", ": stengt"),
        (": holiday", ": helligdag"),
        (": lunch", ": lunsj"),
        ("(set by hand", "(satt for hånd"),
        ("(closure", "(avvik"),
        ("(own date", "(egen dato"),
        ("(public holiday", "(offentlig fridag"),
        ("(named day", "(navngitt dag"),
        ("(week", "(uken"),
        ("(default", "(standard"),
    ];
    words.iter().fold(text.to_owned(), |text, (english, norwegian)| text.replacen(english, norwegian, 1))
}

/// Where a step leads: the last words of many.
fn exits(text: &str) -> String {
    text.replace("leads to", "fører til").replace("hangs up", "legger på").replace(" until ", " til ")
}

/// First words of what steps say, in both languages; the longer of two that begin alike comes first.
const STEP_WORDS: &[(&str, &str)] = &[
    ("hours ", "åpningstidene "),
    ("menu ", "menyen "),
    ("key ", "tast "),
    ("no key after", "ingen tast etter"),
    ("a key that means nothing after", "en tast uten betydning etter"),
    ("extension dialled:", "internnummer tastet:"),
    ("plays ", "spiller "),
    ("joins ", "går til "),
    ("leaves a message in ", "legger igjen beskjed i "),
    ("leaves ", "går ut av "),
    ("rings ", "ringer "),
    ("toggle ", "bryteren "),
    ("asks for consent", "spør om samtykke"),
    ("consent:", "samtykke:"),
    ("collects up to", "tar imot inntil"),
    ("the caller's number is listed", "innringerens nummer står på listen"),
    ("the caller's number is hidden", "innringerens nummer er skjult"),
    ("the caller is in ", "innringeren er i "),
    ("the caller is not listed", "innringeren står ikke på listen"),
    ("the user forwards all calls to", "brukeren viderekobler alle samtaler til"),
    ("the call ends here", "samtalen slutter her"),
    ("the message is kept", "beskjeden er lagret"),
    ("the message is too short", "beskjeden er for kort"),
    ("an emergency call", "et nødanrop"),
    ("a call to the outside", "en samtale ut"),
    ("the number is barred for this caller", "nummeret er sperret for denne innringeren"),
    ("goes through ", "går gjennom "),
    ("by lot:", "ved loddtrekning:"),
    ("sets facts of the call", "noterer opplysninger om samtalen"),
    ("pause", "pause"),
    ("end of the pause", "pausen er over"),
    ("end of wrap-up", "etterbehandlingen er over"),
    ("logs in to", "logger på"),
    ("logs out of", "logger av"),
    ("flips toggle", "vrir på bryteren"),
];

/// Reason codes: the code, Norwegian, English.
const REASONS: &[(&str, &str, &str)] = &[
    ("logged_out", "ikke pålogget", "not logged in"),
    ("unreachable", "telefonen er ikke pålogget nettet", "no phone can be reached"),
    ("paused", "på pause", "on pause"),
    ("absent", "borte, ikke forstyrr eller viderekoblet", "away, do not disturb, or forwarded"),
    ("ringing", "ringes for en annen", "being rung for somebody else"),
    ("busy", "opptatt", "busy"),
    ("wrap_up", "etterbehandling", "wrap-up"),
    ("tried_lately", "nettopp ringt uten hell", "rung in vain a moment ago"),
    ("later_tier", "ringes først på et senere trinn", "rung from a later tier on"),
    ("others_first", "andre står foran etter køens strategi", "others go first by the queue's strategy"),
    ("answered", "besvart", "answered"),
    ("abandoned", "la på mens de ventet", "hung up while waiting"),
    ("short_abandoned", "la på med en gang", "hung up at once"),
    ("no_answer", "svarte ikke", "no answer"),
    ("rejected", "avvist", "rejected"),
    ("dropped", "falt ut", "dropped out"),
    ("error", "feil", "error"),
    ("timeout", "ventet for lenge", "waited too long"),
    ("full", "køen er full", "the queue is full"),
    ("nobody", "ingen er pålogget", "nobody is logged in"),
    ("closed", "stengt", "closed"),
    ("gone", "køen finnes ikke lenger", "the queue is gone"),
    ("key", "innringeren trykket en tast", "the caller pressed a key"),
    ("system", "avsluttet av sentralen", "ended by the exchange"),
    ("voicemail", "la igjen beskjed", "left a message"),
    ("failed", "feilet", "failed"),
    ("started", "startet", "started"),
];

/// A reason code in words; one that is not known stands as it is.
pub fn reason(code: &str, language: Language) -> &str {
    let found = REASONS.iter().find(|(known, ..)| *known == code);
    found.map_or(code, |(_, nb, en)| match language {
        Language::Nb => nb,
        Language::En => en,
    })
}

fn seconds(ms: Option<u64>) -> u64 {
    ms.unwrap_or(0) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Fields;
    use crate::model::id::LineId;
    use crate::time::Timestamp;

    fn event(name: &str, why: &str, fields: Fields) -> Event {
        Event {
            company: "fjord".into(),
            seq: 1,
            at: Timestamp::UNIX_EPOCH,
            call: None,
            event: name.into(),
            why: why.into(),
            fields,
        }
    }

    fn passed_over(who: &[(&str, &str)]) -> Vec<Passed> {
        who.iter().map(|(agent, why)| Passed { agent: (*agent).into(), why: (*why).into() }).collect()
    }

    #[test]
    fn each_event_is_told_in_both_languages() {
        let salg = |fields: Fields| Fields { line: Some(LineId::Queue("salg".into())), ..fields };
        let kari = |fields: Fields| salg(Fields { agent: Some("kari".into()), ..fields });
        let none = Fields::default;
        let rows = [
            (
                event(
                    "queue.joined",
                    "joined: place 2",
                    salg(Fields { place: Some(2), passed: passed_over(&[("ola", "paused")]), ..none() }),
                ),
                "Inn i queue:salg på plass 2. Ikke tilbudt: ola – på pause",
                "Joins queue:salg at place 2. Not offered: ola – on pause",
            ),
            (
                event(
                    "queue.refused",
                    "no_answer: kari",
                    kari(Fields { result: Some("no_answer".into()), ring_ms: Some(30_400), ..none() }),
                ),
                "kari tok den ikke etter 30 s: svarte ikke",
                "kari did not take it after 30 s: no answer",
            ),
            (
                event(
                    "flow.told",
                    "hours \"kontor\": closed (public holiday)",
                    Fields { step: Some("hoved/apent".into()), ..none() },
                ),
                "hoved/apent: åpningstidene \"kontor\": stengt (offentlig fridag)",
                "hoved/apent: hours \"kontor\": closed (public holiday)",
            ),
            (
                event(
                    "call.ended",
                    "abandoned: ended by caller, 487",
                    Fields { result: Some("abandoned".into()), by: Some("caller".into()), ..none() },
                ),
                "Slutt: la på mens de ventet; lagt på av innringeren",
                "The end: hung up while waiting; hung up by the caller",
            ),
            (
                event("park.returned", "no_answer: slot 701", none()),
                "park.returned: svarte ikke: slot 701",
                "park.returned: no answer: slot 701",
            ),
        ];
        for (event, nb, en) in rows {
            assert_eq!(tell(std::slice::from_ref(&event), Language::Nb)[0].text, nb);
            assert_eq!(tell(&[event], Language::En)[0].text, en);
        }
    }

    #[test]
    fn who_is_rung_in_the_same_turn_is_not_called_passed_over() {
        let offered = |agent: &str, passed| {
            let fields = Fields { agent: Some(agent.into()), passed, ..Fields::default() };
            event("queue.offered", "offered", fields)
        };
        let events = [
            offered("kari", passed_over(&[("ola", "others_first"), ("per", "busy")])),
            offered("ola", Vec::new()),
        ];
        let told = tell(&events, Language::En);
        assert_eq!(told[0].text, "Rings kari for . Not offered: per – busy");
    }
}
