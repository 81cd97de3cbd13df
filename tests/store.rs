//! The store: nothing that was recorded is lost or doubled, whatever way the process ended.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "tests may fail loudly and have a clock"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sentral::model::cdr::CallResult;
use sentral::model::cdr::Cdr;
use sentral::model::cdr::Direction;
use sentral::model::cdr::EndedBy;
use sentral::model::change::BindingRecord;
use sentral::model::change::Change;
use sentral::model::change::Source;
use sentral::model::event::Event;
use sentral::model::event::Fields;
use sentral::model::flow::Destination;
use sentral::model::id::AgentKey;
use sentral::model::id::CallId;
use sentral::model::id::LineId;
use sentral::model::id::LineKey;
use sentral::model::id::MailboxKey;
use sentral::model::id::NodeId;
use sentral::model::id::Number;
use sentral::model::mailbox::Message;
use sentral::model::mailbox::MessageState;
use sentral::model::personal::Condition;
use sentral::model::personal::Rule;
use sentral::model::personal::Setting;
use sentral::model::recording::RecordingView;
use sentral::shell::store::Store;
use sentral::shell::store::journal::Line;
use sentral::shell::store::recordings::RecordingFilter;
use sentral::shell::store::state::CdrFilter;
use sentral::time::Timestamp;
use tempfile::TempDir;

const ALL: CdrFilter = CdrFilter { since: None, limit: Some(100_000), company: None };

#[test]
fn ten_thousand_call_records_are_there_exactly_once_after_a_restart() {
    let data = TempDir::new().unwrap();
    let (store, facts) = Store::open(data.path()).unwrap();
    assert!(facts.is_empty());
    for seq in 0..10_000 {
        store.record(&ended(seq));
    }
    drop(store);

    let (store, _) = Store::open(data.path()).unwrap();
    let cdrs = store.cdrs(&ALL).unwrap();
    let expected: Vec<u64> = (0..10_000).rev().collect();
    assert_eq!(cdrs.iter().map(|cdr| cdr.id.seq).collect::<Vec<_>>(), expected, "newest first");
    assert_eq!(Change::CallEnded { cdr: Box::new(cdrs[0].clone()) }, ended(9_999));
}

#[test]
fn a_call_record_can_be_read_as_soon_as_it_is_recorded() {
    let data = TempDir::new().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    for seq in 0..5 {
        store.record(&ended(seq));
    }
    let read = |filter: CdrFilter| -> Vec<u64> {
        store.cdrs(&filter).unwrap().iter().map(|cdr| cdr.id.seq).collect()
    };
    assert_eq!(read(ALL), [4, 3, 2, 1, 0]);
    assert_eq!(read(CdrFilter { limit: Some(2), ..ALL }), [4, 3]);
    assert_eq!(read(CdrFilter { since: Some(second(3)), ..ALL }), [4, 3]);
    assert_eq!(read(CdrFilter { company: Some("fjord".into()), ..ALL }), [4, 2, 0]);
    assert_eq!(read(CdrFilter { company: Some("ukjent".into()), ..ALL }), [] as [u64; 0]);
}

#[test]
fn half_a_line_at_the_end_of_a_killed_journal_is_passed_over() {
    let data = TempDir::new().unwrap();
    drop(Store::open(data.path()).unwrap());
    let mut text = Vec::new();
    for (n, change) in [(1, ended(1)), (2, paused("kari", Some("lunsj"))), (3, ended(2))] {
        serde_json::to_writer(&mut text, &Line { n, change }).unwrap();
        text.push(b'\n');
    }
    // Cut at each byte of the last line.
    let last = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [last, last + 1, text.len() - 2, text.len() - 1, text.len()] {
        let copy = TempDir::new().unwrap();
        fs::write(copy.path().join("journal-7.jsonl"), &text[..cut]).unwrap();
        let (store, facts) = Store::open(copy.path()).unwrap();
        assert_eq!(facts, [paused("kari", Some("lunsj"))]);
        let expected = if cut == text.len() { 2 } else { 1 };
        assert_eq!(store.cdrs(&ALL).unwrap().len(), expected, "cut at {cut} of {}", text.len());
    }
}

#[test]
fn an_unreadable_line_is_set_aside_and_the_others_count() {
    let data = TempDir::new().unwrap();
    let good = serde_json::to_string(&Line { n: 2, change: ended(1) }).unwrap();
    fs::write(
        data.path().join("journal-1.jsonl"),
        format!("{{\"n\":1,\"change\":{{\"kind\":\"of a later version\"}}}}\n{good}\n"),
    )
    .unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    assert_eq!(store.cdrs(&ALL).unwrap().len(), 1);
    assert!(data.path().join("journal-1.bad").exists());
}

#[test]
fn a_journal_brought_in_twice_changes_nothing() {
    let data = TempDir::new().unwrap();
    let journal = |name: &str, lines: &[(u64, Change)]| {
        let mut file = fs::File::create(data.path().join(name)).unwrap();
        for (n, change) in lines {
            writeln!(file, "{}", serde_json::to_string(&Line { n: *n, change: change.clone() }).unwrap())
                .unwrap();
        }
    };
    let old = [(1, ended(1)), (2, paused("kari", Some("lunsj"))), (3, bound("a", 1)), (4, unbound("a"))];
    journal("journal-1.jsonl", &old);
    drop(Store::open(data.path()).unwrap());
    // As if the process had been killed between the commit and the removal of the file, then gone on.
    journal("journal-1.jsonl", &old);
    journal("journal-2.jsonl", &[(5, paused("kari", None))]);
    for _ in 0..2 {
        let (store, facts) = Store::open(data.path()).unwrap();
        assert_eq!(facts, [paused("kari", None)]);
        assert_eq!(store.cdrs(&ALL).unwrap().len(), 1);
        drop(store);
        journal("journal-1.jsonl", &old);
    }
}

#[test]
fn a_recorded_fact_is_in_the_journal_before_record_returns() {
    let data = TempDir::new().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    for seq in 0..100 {
        store.record(&ended(seq));
        // What a kill at this moment leaves: a copy taken without telling the store anything.
        if seq % 20 == 0 {
            let copy = killed(data.path());
            let (copied, _) = Store::open(copy.path()).unwrap();
            assert_eq!(copied.cdrs(&ALL).unwrap().len() as u64, seq + 1);
        }
    }
}

#[test]
fn of_many_facts_about_one_thing_the_newest_is_given_back() {
    let data = TempDir::new().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    for cseq in 0..3_000 {
        store.record(&bound(["a", "b", "c"][cseq as usize % 3], cseq));
        store.record(&login("kari", cseq % 2 == 0));
    }
    store.record(&unbound("b"));
    drop(store);
    let (_store, facts) = Store::open(data.path()).unwrap();
    assert_eq!(facts, [bound("a", 2_997), bound("c", 2_999), login("kari", false)]);
}

#[test]
fn a_binding_that_ended_meanwhile_is_not_given_back() {
    let data = TempDir::new().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    let Change::Bound { mut binding } = bound("a", 1) else { unreachable!() };
    binding.expires = second(0);
    store.record(&Change::Bound { binding });
    store.record(&bound("b", 2));
    drop(store);
    let (_store, facts) = Store::open(data.path()).unwrap();
    assert_eq!(facts, [bound("b", 2)]);
}

#[test]
fn a_deleted_message_is_gone_with_its_recording() {
    let data = TempDir::new().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    fs::create_dir(data.path().join("voicemail")).unwrap();
    let file = |id: &str| -> PathBuf { data.path().join("voicemail").join(format!("{id}.wav")) };
    for id in ["m1", "m2"] {
        fs::write(file(id), "RIFF").unwrap();
        store.record(&left(id, MessageState::New));
    }
    fs::write(data.path().join("outside.wav"), "RIFF").unwrap();
    store.record(&marked("m2"));
    store.record(&deleted("m1"));
    store.record(&marked("m1"));
    store.record(&deleted("../outside"));
    let messages = store.messages(None).unwrap();
    assert_eq!(messages.iter().map(|m| (&*m.id, m.state)).collect::<Vec<_>>(), [("m2", MessageState::Saved)]);
    assert!(store.messages(Some(&"annen".into())).unwrap().is_empty());
    assert!(!file("m1").exists() && file("m2").exists());
    assert!(data.path().join("outside.wav").exists(), "an id is never a path");
}

#[test]
fn a_recording_that_a_crash_has_ended_is_as_long_as_its_file() {
    let data = TempDir::new().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    let folder = data.path().join("recordings/fjord/2026/01/01");
    fs::create_dir_all(&folder).unwrap();
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(folder.join("a.wav"), spec).unwrap();
    (0..2 * 20_000).for_each(|_| wav.write_sample(0i16).unwrap());
    wav.finalize().unwrap();
    for name in ["a", "b", "c"] {
        let recording = RecordingView {
            id: name.into(),
            company: "fjord".into(),
            call: call(1),
            at: second(1),
            file: format!("recordings/fjord/2026/01/01/{name}.wav").into(),
            length_ms: None,
            line: None,
            user: None,
        };
        store.record(&Change::RecordingBegun { recording });
    }
    store.record(&Change::RecordingEnded { company: "fjord".into(), id: "c".into(), length_ms: 7_000 });
    fs::write(folder.join("b.wav"), "RIFF").unwrap();
    drop(store);
    let (store, _) = Store::open(data.path()).unwrap();
    let mut listed = store.recordings(&RecordingFilter::default()).unwrap();
    listed.sort_by(|a, b| a.id.cmp(&b.id));
    let lengths: Vec<Option<u64>> = listed.iter().map(|recording| recording.length_ms).collect();
    assert_eq!(lengths, [Some(2_500), Some(0), Some(7_000)], "2.5 s are there; of `b` nothing can be read");
}

#[test]
fn journal_files_are_removed_once_their_facts_are_in_the_database() {
    let data = TempDir::new().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    // About 24 MB of lines: two files.
    for cseq in 0..50_000 {
        store.record(&bound("a", cseq));
    }
    assert!(store.flush());
    let names = journals(data.path());
    assert_eq!(names.len(), 1, "only the file being written is left: {names:?}");
    drop(store);
    let (_store, facts) = Store::open(data.path()).unwrap();
    assert_eq!(facts, [bound("a", 49_999)]);
}

#[test]
fn a_data_folder_in_use_is_refused_with_a_remedy() {
    let data = TempDir::new().unwrap();
    let (_store, _) = Store::open(data.path()).unwrap();
    let refused = format!("{:#}", Store::open(data.path()).unwrap_err());
    assert!(refused.contains("in use by another sentral") && refused.contains("--data"), "{refused}");
}

#[test]
fn a_data_folder_that_cannot_be_made_is_refused_with_its_path_and_a_remedy() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = format!("{:#}", Store::open(&file.join("data")).unwrap_err());
    assert!(refused.contains("file/data") && refused.contains("--data"), "{refused}");
}

#[test]
fn a_database_of_a_later_version_is_refused() {
    let data = TempDir::new().unwrap();
    drop(Store::open(data.path()).unwrap());
    let database = rusqlite::Connection::open(data.path().join("sentral.db")).unwrap();
    database.pragma_update(None, "user_version", 999).unwrap();
    drop(database);
    let refused = format!("{:#}", Store::open(data.path()).unwrap_err());
    assert!(refused.contains("later version"), "{refused}");
}

fn decided(seq: u64, at: Timestamp) -> Change {
    Change::Decision(Box::new(Event {
        company: "fjord".into(),
        seq,
        at,
        call: Some(call(seq % 10)),
        event: "queue.joined".into(),
        why: "joined: place 1".into(),
        fields: Fields { place: Some(1), ..Fields::of_line(LineId::Queue("salg".into())) },
    }))
}

/// Numbers of the events that are given back.
fn seqs(facts: &[Change]) -> Vec<u64> {
    let seq = |fact: &Change| match fact {
        Change::Decision(event) => Some(event.seq),
        _ => None,
    };
    facts.iter().filter_map(seq).collect()
}

#[test]
fn events_are_kept_as_they_were_by_call_and_by_time() {
    let data = TempDir::new().unwrap();
    let (store, _) = Store::open(data.path()).unwrap();
    let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap();
    // The clock is set back by two hours half way.
    let at = |seq: u64| now - Duration::from_secs(if seq <= 15 { 60 * (20 - seq) } else { 7_200 });
    for seq in 1..=20 {
        store.record(&decided(seq, at(seq)));
    }
    let of_call: Vec<Change> = store
        .events_of(call(3))
        .unwrap()
        .into_iter()
        .map(|event| Change::Decision(Box::new(event)))
        .collect();
    assert_eq!(of_call, [decided(3, at(3)), decided(13, at(13))]);
    let mut seen = Vec::new();
    let (from, to) = (now - Duration::from_secs(60 * 10), now);
    store.events_between(&"fjord".into(), from, to, |event| seen.push(event.seq)).unwrap();
    assert_eq!(seen, (10..=15).collect::<Vec<_>>());
    store.events_between(&"annen".into(), from, to, |_| panic!("another company's")).unwrap();
}

#[test]
fn events_of_the_last_day_and_the_newest_come_back_and_old_ones_are_trimmed() {
    let data = TempDir::new().unwrap();
    let (store, facts) = Store::open(data.path()).unwrap();
    assert!(facts.is_empty());
    let now = Timestamp::now();
    let days_ago = |days: u64| now - Duration::from_secs(days * 86_400);
    for seq in 1..=10 {
        store.record(&decided(seq, days_ago(11 - seq)));
    }
    drop(store);
    let (store, facts) = Store::open(data.path()).unwrap();
    assert_eq!(seqs(&facts), [10], "one day and an hour or two");
    store.keep_events(Duration::from_secs(5 * 86_400));
    assert!(store.flush());
    let mut kept = Vec::new();
    store.events_between(&"fjord".into(), Timestamp::UNIX_EPOCH, now, |event| kept.push(event.seq)).unwrap();
    assert_eq!(kept, (6..=10).collect::<Vec<_>>(), "the old end is gone, without a gap");
    store.keep_events(Duration::from_secs(1));
    drop(store);
    let (_store, facts) = Store::open(data.path()).unwrap();
    assert_eq!(seqs(&facts), [10], "the newest stays, however old: its number goes on");
}

/// What a random run does.
#[derive(Debug, Clone)]
enum Op {
    Record(Box<Change>),
    Flush,
    /// A clean end and a new start.
    Restart,
    /// A kill, half a line of a write that never ended, and a new start.
    Kill,
}

fn op() -> impl Strategy<Value = Op> {
    let who = || prop::sample::select(vec!["kari", "ola"]);
    let message = || prop::sample::select(vec!["m1", "m2", "m3"]);
    let change = prop_oneof![
        (0..20_u64).prop_map(ended),
        (0..20_u64, 0..9_000_u64).prop_map(|(seq, received)| media(seq, received)),
        (who(), any::<bool>()).prop_map(|(user, on)| login(user, on)),
        (who(), prop::option::of(prop::sample::select(vec!["lunsj", "møte"])))
            .prop_map(|(user, why)| paused(user, why)),
        (who(), 0..50_u32).prop_map(|(contact, cseq)| bound(contact, cseq)),
        who().prop_map(unbound),
        message().prop_map(|id| left(id, MessageState::New)),
        message().prop_map(marked),
        message().prop_map(deleted),
        any::<bool>().prop_map(toggled),
        (who(), any::<bool>(), any::<bool>()).prop_map(|(user, always, on)| forwarded(user, always, on)),
    ];
    prop_oneof![
        20 => change.prop_map(|change| Op::Record(Box::new(change))),
        1 => Just(Op::Flush),
        1 => Just(Op::Restart),
        2 => Just(Op::Kill),
    ]
}

/// What the store must hold, kept the plain way.
#[derive(Debug, Default)]
struct Model {
    cdrs: BTreeMap<u64, Change>,
    state: BTreeMap<String, (usize, Change)>,
}

impl Model {
    fn record(&mut self, step: usize, change: Change) {
        let key = match &change {
            Change::CallEnded { cdr } => {
                self.cdrs.entry(cdr.id.seq).or_insert(change);
                return;
            }
            Change::CallMedia { call, received, sent, lost } => {
                if let Some(Change::CallEnded { cdr }) = self.cdrs.get_mut(&call.seq) {
                    (cdr.rtp, cdr.rtp_lost) = ((*received, *sent), *lost);
                }
                return;
            }
            Change::CallAudio { call, leg } => {
                if let Some(Change::CallEnded { cdr }) = self.cdrs.get_mut(&call.seq) {
                    cdr.audio.push((**leg).clone());
                }
                return;
            }
            Change::AgentLogin { agent, .. } => format!("login {agent}"),
            Change::AgentPaused { agent, .. } => format!("pause {agent}"),
            Change::Bound { binding } => format!("binding {}", binding.contact),
            Change::Unbound { contact, .. } => {
                self.state.remove(&format!("binding {contact}"));
                return;
            }
            Change::ToggleSet { .. } => "toggle".into(),
            Change::PersonalSet { user, setting, .. } => format!("personal {} {}", user.user, setting.name()),
            Change::MessageLeft { message } => format!("message {}", message.id),
            Change::MessageMarked { id, state, .. } => {
                if let Some((_, Change::MessageLeft { message })) =
                    self.state.get_mut(&format!("message {id}"))
                {
                    message.state = *state;
                }
                return;
            }
            Change::MessageDeleted { id, .. } => {
                self.state.remove(&format!("message {id}"));
                return;
            }
            other => unreachable!("{other:?} is not made here"),
        };
        self.state.insert(key, (step, change));
    }

    fn facts(&self) -> Vec<Change> {
        let mut facts: Vec<_> = self.state.values().cloned().collect();
        facts.sort_by_key(|(step, _)| *step);
        facts.into_iter().map(|(_, change)| change).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_store_holds_what_a_plain_map_holds(ops in prop::collection::vec(op(), 1..60)) {
        let mut data = TempDir::new().unwrap();
        let mut store = Store::open(data.path()).unwrap().0;
        let mut model = Model::default();
        for (step, op) in ops.into_iter().chain([Op::Restart]).enumerate() {
            match op {
                Op::Record(change) => {
                    store.record(&change);
                    model.record(step, *change);
                    continue;
                }
                Op::Flush => {
                    prop_assert!(store.flush());
                    continue;
                }
                Op::Restart => drop(store),
                Op::Kill => {
                    let copy = killed(data.path());
                    drop(store);
                    data = copy;
                    let newest = journals(data.path()).pop().unwrap();
                    let mut file = fs::OpenOptions::new().append(true).open(newest).unwrap();
                    file.write_all(br#"{"n":100000,"change":{"kind":"agent_lo"#).unwrap();
                }
            }
            let (opened, facts) = Store::open(data.path()).unwrap();
            store = opened;
            prop_assert_eq!(facts, model.facts());
            let mut cdrs = store.cdrs(&ALL).unwrap();
            cdrs.reverse();
            let cdrs: Vec<_> = cdrs.into_iter().map(|cdr| Change::CallEnded { cdr: Box::new(cdr) }).collect();
            prop_assert_eq!(cdrs, model.cdrs.values().cloned().collect::<Vec<_>>());
        }
    }
}

/// A copy of the folder as a kill at this moment leaves it. The database is copied as SQLite sees it (a file
/// copy in the middle of a commit would be no kill but a broken disk), and before the journal, because lines
/// only go from there to here.
fn killed(data: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    let database = rusqlite::Connection::open(data.join("sentral.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let target = copy.path().join("sentral.db");
    database.execute("VACUUM INTO ?1", [target.to_str().unwrap()]).unwrap();
    for journal in journals(data) {
        fs::copy(&journal, copy.path().join(journal.file_name().unwrap())).unwrap();
    }
    copy
}

fn journals(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let mut journals: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
    journals.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    journals
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 - 600_000_000 + second).unwrap()
}

fn call(seq: u64) -> CallId {
    CallId { node: NodeId(0), seq }
}

fn ended(seq: u64) -> Change {
    let cdr = Cdr {
        id: call(seq),
        company: seq.is_multiple_of(2).then(|| "fjord".into()),
        direction: Direction::In,
        from: "+4736000100".into(),
        hidden: false,
        from_name: None,
        from_user: None,
        to: "+4736000101".into(),
        trunk: Some("carrier".into()),
        started: second(seq as i64),
        answered: Some(second(seq as i64 + 1)),
        connected: None,
        ended: second(seq as i64 + 60),
        result: CallResult::Answered,
        ended_by: EndedBy::Caller,
        status: 200,
        queue: Some("salg".into()),
        wait_ms: Some(1_500),
        answered_by: Some("kari".into()),
        talk_ms: 58_000,
        keys: "2".into(),
        tags: vec!["vip".into()],
        path: vec!["inn/start".into()],
        sip_call_id: "abc@host".into(),
        codec: Some("G722".into()),
        rtp: (3_000, 2_990),
        rtp_lost: 3,
        audio: Vec::new(),
        recordings: vec!["recordings/fjord/2026/01/01/a.wav".into()],
        recording_trouble: None,
    };
    Change::CallEnded { cdr: Box::new(cdr) }
}

fn media(seq: u64, received: u64) -> Change {
    Change::CallMedia { call: call(seq), received, sent: received / 2, lost: 7 }
}

fn agent(user: &str) -> AgentKey {
    AgentKey { company: "fjord".into(), user: user.into() }
}

fn login(user: &str, logged_in: bool) -> Change {
    let line = LineKey { company: "fjord".into(), line: LineId::Queue("salg".into()) };
    Change::AgentLogin { agent: agent(user), line, logged_in, by: Source::Code, at: second(1) }
}

fn paused(user: &str, reason: Option<&str>) -> Change {
    Change::AgentPaused {
        agent: agent(user),
        line: None,
        reason: reason.map(Arc::from),
        until: None,
        by: Source::Cli,
        at: second(2),
    }
}

fn bound(contact: &str, cseq: u32) -> Change {
    let binding = BindingRecord {
        domain: "fjord.example".into(),
        device: "kari-desk".into(),
        contact: format!("sip:{contact}@192.0.2.9:5060").into(),
        path: vec!["<sip:192.0.2.1;lr>".into()],
        transport: "udp".into(),
        remote: "192.0.2.9:5060".into(),
        local: "192.0.2.1:5060".into(),
        instance: Some("<urn:uuid:00000000-0000-1000-8000-000A95A0E128>".into()),
        reg_id: None,
        call_id: "reg@host".into(),
        cseq,
        q: 1_000,
        agent: Some("Phone/1.0".into()),
        expires: Timestamp::from_second(4_000_000_000).unwrap(),
    };
    Change::Bound { binding }
}

fn unbound(contact: &str) -> Change {
    Change::Unbound {
        domain: "fjord.example".into(),
        device: "kari-desk".into(),
        contact: format!("sip:{contact}@192.0.2.9:5060").into(),
        why: "removed".into(),
    }
}

fn toggled(on: bool) -> Change {
    Change::ToggleSet {
        company: "fjord".into(),
        toggle: "natt".into(),
        on,
        until: None,
        by: Source::Code,
        user: Some("kari".into()),
        at: second(3),
    }
}

fn forwarded(user: &str, always: bool, on: bool) -> Change {
    let when = if always { Condition::Always } else { Condition::NoAnswer };
    let to = Destination::Phone(Number::new("+4736000102"));
    let rule = if on { Rule::To { to, after_s: Some(15) } } else { Rule::Off };
    let setting = Setting::Forward { when, rule };
    Change::PersonalSet { user: agent(user), setting, by: Source::Code, at: second(5) }
}

fn mailbox() -> MailboxKey {
    MailboxKey { company: "fjord".into(), mailbox: "felles".into() }
}

fn left(id: &str, state: MessageState) -> Change {
    let message = Message {
        id: id.into(),
        mailbox: mailbox(),
        call: call(1),
        from: None,
        at: second(4),
        length_ms: 8_000,
        state,
        handling: None,
    };
    Change::MessageLeft { message }
}

fn marked(id: &str) -> Change {
    Change::MessageMarked { mailbox: mailbox(), id: id.into(), state: MessageState::Saved }
}

fn deleted(id: &str) -> Change {
    Change::MessageDeleted { mailbox: mailbox(), id: id.into() }
}
