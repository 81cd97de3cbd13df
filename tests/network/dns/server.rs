//! A tiny name server on loopback (RFC 1035 §4): answers what it was given, counts what it was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const A: u16 = 1;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;
pub(crate) const NAPTR: u16 = 35;

/// Name and type of a question.
type Asked = (String, u16);

/// Records by name and type, each with its TTL in seconds and its data.
#[derive(Default)]
pub(crate) struct Zone(BTreeMap<Asked, Vec<(u32, Vec<u8>)>>);

impl Zone {
    pub(crate) fn a(mut self, name: &str, ttl: u32, address: [u8; 4]) -> Zone {
        self.put(name, A, ttl, address.to_vec());
        self
    }

    pub(crate) fn srv(
        mut self,
        name: &str,
        ttl: u32,
        (priority, weight, port): (u16, u16, u16),
        target: &str,
    ) -> Zone {
        let mut data: Vec<u8> = [priority, weight, port].into_iter().flat_map(u16::to_be_bytes).collect();
        data.extend(name_bytes(target));
        self.put(name, SRV, ttl, data);
        self
    }

    pub(crate) fn naptr(mut self, name: &str, ttl: u32, order: u16, service: &str, to: &str) -> Zone {
        let mut data: Vec<u8> = [order, 10].into_iter().flat_map(u16::to_be_bytes).collect();
        for text in ["s", service, ""] {
            data.push(text.len() as u8);
            data.extend(text.bytes());
        }
        data.extend(name_bytes(to));
        self.put(name, NAPTR, ttl, data);
        self
    }

    fn put(&mut self, name: &str, kind: u16, ttl: u32, data: Vec<u8>) {
        self.0.entry((name.to_owned(), kind)).or_default().push((ttl, data));
    }
}

/// A running name server; ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(zone: Zone) -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let (asked, ended) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicBool>::default());
        let (log, end) = (Arc::clone(&asked), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 1_500];
            while !end.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let (answer, question) = answer(&zone, &buffer[..length]);
                log.lock().unwrap().push(question);
                socket.send_to(&answer, from).unwrap();
            }
        });
        Server { address, asked, ended, thread: Some(thread) }
    }

    /// How often a question was asked.
    pub(crate) fn asked(&self, name: &str, kind: u16) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(of, what)| of == name && *what == kind).count()
    }

    /// How many questions were asked in all.
    pub(crate) fn total(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The answer to a query of one question, and the question.
fn answer(zone: &Zone, query: &[u8]) -> (Vec<u8>, Asked) {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..=at + length]).to_ascii_lowercase());
        at += length + 1;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let question = &query[12..at + 5];
    let asked = (labels.join("."), kind);
    let records = zone.0.get(&asked).map(Vec::as_slice).unwrap_or_default();
    let known = zone.0.keys().any(|(name, _)| *name == asked.0);
    let code: u16 = if known { 0 } else { 3 };
    let mut out = query[..2].to_vec();
    // A response, authoritative, recursion asked for and available; one question, the records.
    for word in [0x8580 | code, 1, records.len() as u16, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(question);
    for (ttl, data) in records {
        // The name is that of the question, which begins at octet 12.
        out.extend([0xC0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend(1_u16.to_be_bytes());
        out.extend(ttl.to_be_bytes());
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    (out, asked)
}

fn name_bytes(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.bytes());
    }
    out.push(0);
    out
}
