//! What a call costs the store: its record, what completes it, and the events of its decisions, from the signalling
//! thread's `record` until they are in SQLite.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;

use sentral::model::cdr::CallResult;
use sentral::model::cdr::Cdr;
use sentral::model::cdr::Direction;
use sentral::model::cdr::EndedBy;
use sentral::model::change::Change;
use sentral::model::event::Event;
use sentral::model::event::Fields;
use sentral::model::id::CallId;
use sentral::model::id::LineId;
use sentral::model::id::NodeId;
use sentral::shell::store::Store;
use sentral::time::Timestamp;

fn main() {
    divan::main();
}

/// Calls of one run.
const CALLS: u64 = 2_000;
/// Decisions of a call that is answered by an agent: started, two steps, joined, offered, answered, counted, talk
/// ended, ended.
const EVENTS: u64 = 9;

#[divan::bench]
fn a_call_of_a_queue(bencher: Bencher<'_, '_>) {
    calls(bencher, EVENTS);
}

#[divan::bench]
fn a_call_without_events(bencher: Bencher<'_, '_>) {
    calls(bencher, 0);
}

fn calls(bencher: Bencher<'_, '_>, events: u64) {
    let data = tempfile::TempDir::new().expect("a folder for the run");
    let (store, _) = Store::open(data.path()).expect("it is empty");
    let (mut call, mut seq) = (0, 0);
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        for _ in 0..CALLS {
            call += 1;
            for _ in 0..events {
                seq += 1;
                store.record(&event(call, seq));
                store.settle();
            }
            store.record(&Change::CallEnded { cdr: Box::new(record(call)) });
            store.record(&Change::CallMedia { call: id(call), received: 500, sent: 500, lost: 0 });
        }
        assert!(store.flush());
    });
}

fn id(call: u64) -> CallId {
    CallId { node: NodeId(0), seq: 1_790_000_000_000_000 + call }
}

fn event(call: u64, seq: u64) -> Change {
    let fields = Fields {
        agent: Some("kari".into()),
        wait_ms: Some(4_200),
        ..Fields::of_line(LineId::Queue("salg".into()))
    };
    Change::Decision(Box::new(Event {
        company: "fjord".into(),
        seq,
        at: Timestamp::UNIX_EPOCH,
        call: Some(id(call)),
        event: "queue.answered".into(),
        why: "answered: kari after 4 s".into(),
        fields,
    }))
}

fn record(call: u64) -> Cdr {
    let step = |step: &str| Arc::from(step);
    Cdr {
        id: id(call),
        company: Some("fjord".into()),
        direction: Direction::In,
        from: "+4790000000".into(),
        hidden: false,
        from_name: None,
        from_user: None,
        to: "+4736000100".into(),
        trunk: Some("carrier".into()),
        started: Timestamp::UNIX_EPOCH,
        answered: Some(Timestamp::UNIX_EPOCH),
        connected: Some(Timestamp::UNIX_EPOCH),
        ended: Timestamp::UNIX_EPOCH,
        result: CallResult::Answered,
        ended_by: EndedBy::Caller,
        status: 200,
        queue: Some("salg".into()),
        wait_ms: Some(4_200),
        answered_by: Some("kari".into()),
        talk_ms: 95_000,
        keys: "1".into(),
        tags: Vec::new(),
        path: vec![step("hoved/apent"), step("hoved/velkommen"), step("hoved/meny")],
        sip_call_id: "a84b4c76e66710@198.51.100.9".into(),
        codec: Some("PCMA".into()),
        rtp: (0, 0),
        rtp_lost: 0,
        audio: Vec::new(),
        recordings: Vec::new(),
        recording_trouble: None,
    }
}
