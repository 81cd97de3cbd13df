//! Which of the bound RTP ports are free: bookkeeping only, so that a promised port cannot fail.
//!
//! A port comes back when the media thread has told that its stream is closed, never earlier: two streams
//! can then never meet on one port.

use std::collections::HashMap;
use std::collections::VecDeque;

use crate::media::StreamId;

/// Ports that are kept for emergency calls, at most.
const KEPT_MAX: usize = 16;

/// The ports of all media threads.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    threads: Vec<Thread>,
    generations: HashMap<(u8, u16), u32>,
    total: usize,
}

#[derive(Debug, Default)]
struct Thread {
    /// Longest unused first, so that stragglers of an ended call find nobody.
    free: VecDeque<u16>,
    taken: usize,
}

impl Ports {
    /// Adds what a thread has bound.
    pub(crate) fn add(&mut self, thread: u8, ports: &[u16]) {
        let index = usize::from(thread);
        if self.threads.len() <= index {
            self.threads.resize_with(index + 1, Thread::default);
        }
        self.threads[index].free.extend(ports);
        self.total += ports.len();
    }

    /// Takes a port, on `beside`'s thread when given (the legs of a call live on one thread), else on the
    /// least loaded one. `None` when there is none; the last ones are for `emergency` calls.
    pub(crate) fn take(&mut self, beside: Option<u8>, emergency: bool) -> Option<StreamId> {
        if !emergency && self.free() <= self.kept() {
            return None;
        }
        let thread = match beside {
            Some(thread) if self.threads.get(usize::from(thread)).is_some_and(|t| !t.free.is_empty()) => {
                thread
            }
            Some(_) | None => {
                let (index, _) = self
                    .threads
                    .iter()
                    .enumerate()
                    .filter(|(_, thread)| !thread.free.is_empty())
                    .min_by_key(|(_, thread)| thread.taken)?;
                u8::try_from(index).ok()?
            }
        };
        let of = &mut self.threads[usize::from(thread)];
        let port = of.free.pop_front()?;
        of.taken += 1;
        let generation = self.generations.entry((thread, port)).or_insert(0);
        *generation = generation.wrapping_add(1);
        Some(StreamId { thread, port, generation: *generation })
    }

    /// Gives a port back: its stream was never opened, or is closed.
    pub(crate) fn give_back(&mut self, stream: StreamId) {
        let Some(of) = self.threads.get_mut(usize::from(stream.thread)) else { return };
        if self.generations.get(&(stream.thread, stream.port)) != Some(&stream.generation) {
            return;
        }
        debug_assert!(!of.free.contains(&stream.port) || cfg!(not(test)), "port given back twice");
        of.free.push_back(stream.port);
        of.taken -= 1;
    }

    /// Ports that are kept for emergency calls.
    fn kept(&self) -> usize {
        (self.total / 16).min(KEPT_MAX)
    }

    /// Ports in all.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Ports not in use.
    pub(crate) fn free(&self) -> usize {
        self.threads.iter().map(|thread| thread.free.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_once_and_its_next_use_has_another_generation() {
        let mut ports = Ports::default();
        ports.add(0, &[100]);
        let first = ports.take(None, false).expect("one is free");
        assert_eq!(ports.take(None, false), None);
        ports.give_back(first);
        let second = ports.take(Some(first.thread), false).expect("it is back");
        assert_eq!((second.port, second.generation), (100, first.generation + 1));
        assert_eq!((ports.free(), ports.total()), (0, 1));
    }

    #[test]
    fn legs_of_one_call_share_a_thread_while_it_has_ports() {
        let mut ports = Ports::default();
        ports.add(0, &[100, 102]);
        ports.add(1, &[200, 202]);
        let a = ports.take(None, false).expect("free");
        let b = ports.take(Some(a.thread), false).expect("free");
        assert_eq!(a.thread, b.thread);
        let other = ports.take(Some(a.thread), false).expect("free on the other thread");
        assert_ne!(other.thread, a.thread);
    }

    #[test]
    fn the_last_ports_are_kept_for_emergency_calls() {
        let mut ports = Ports::default();
        let all: Vec<u16> = (0..32).collect();
        ports.add(0, &all);
        let taken = (0..32).filter(|_| ports.take(None, false).is_some()).count();
        assert_eq!(taken, 30);
        assert!(ports.take(None, true).is_some() && ports.take(None, true).is_some());
        assert_eq!(ports.take(None, true), None);
    }
}
