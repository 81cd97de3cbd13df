//! The calls that the standard library does not offer: epoll, eventfd, limits, scheduling, the allocator's
//! thresholds. Linux only.
//!
//! The only file with unsafe code. What it gains: one thread waits for thousands of sockets and wakes within
//! 50 µs of its slot, where a runtime's timer wheel is a millisecond wide and a task per socket costs twice
//! as much for each packet.

#![allow(unsafe_code)] // System calls; each block says why it is sound.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd as _;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::time::Duration;

/// Waits for any of many descriptors to become readable; level-triggered.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
    ready: usize,
    /// Whether the kernel knows `epoll_pwait2` (5.11), which waits by the nanosecond.
    precise: bool,
}

impl Epoll {
    /// Reports at most `capacity` descriptors at a time; the others follow at the next wait.
    ///
    /// # Errors
    /// When the process may open no more descriptors.
    pub fn new(capacity: usize) -> io::Result<Epoll> {
        // SAFETY: no pointers; the result is checked.
        let fd = own(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; capacity.max(1)];
        Ok(Epoll { fd, events, ready: 0, precise: true })
    }

    /// Watches a descriptor, which is reported as `token`. A closed descriptor leaves by itself.
    ///
    /// # Errors
    /// When it is watched already, or the system refuses.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        self.control(libc::EPOLL_CTL_ADD, fd.as_fd(), &mut event)
    }

    /// Watches a descriptor no more.
    ///
    /// # Errors
    /// When it was not watched.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        self.control(libc::EPOLL_CTL_DEL, fd.as_fd(), &mut event)
    }

    fn control(&self, what: i32, fd: BorrowedFd<'_>, event: &mut libc::epoll_event) -> io::Result<()> {
        // SAFETY: both descriptors are open for the length of the call, and `event` outlives it.
        let result = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), what, fd.as_raw_fd(), event) };
        check(result).map(drop)
    }

    /// Waits until something is readable or `timeout` has passed (`None`: for ever); tells how many are ready.
    /// A signal ends it early with 0.
    ///
    /// # Errors
    /// When the system refuses, which is a fault of ours.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.ready = 0;
        let mut result = Err(io::Error::from_raw_os_error(libc::ENOSYS));
        if self.precise {
            result = self.wait_precise(timeout);
            let unknown = |e: &io::Error| matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM));
            self.precise = !result.as_ref().is_err_and(unknown);
        }
        if !self.precise {
            result = self.wait_ms(timeout);
        }
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
            Ok(ready) => {
                self.ready = ready;
                Ok(ready)
            }
        }
    }

    fn wait_precise(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let limit = timeout.map(|t| libc::timespec {
            tv_sec: t.as_secs() as libc::time_t,
            tv_nsec: t.subsec_nanos().into(),
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let space = self.events.len() as libc::c_int;
        let no_signals = std::ptr::null::<libc::sigset_t>();
        // SAFETY: `events` has room for `space` entries, `limit` is null or points at a timespec that outlives
        // the call, and a null signal set is allowed (its size is then not looked at).
        let result = unsafe {
            let events = self.events.as_mut_ptr();
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                events,
                space,
                limit,
                no_signals,
                8usize,
            )
        };
        check(result as i32).map(|ready| ready as usize)
    }

    fn wait_ms(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let ms = timeout.map_or(-1, |t| t.as_micros().div_ceil(1000).min(60_000) as i32);
        let space = self.events.len() as libc::c_int;
        // SAFETY: `events` has room for `space` entries.
        let result = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), space, ms) };
        check(result).map(|ready| ready as usize)
    }

    /// The token of the `at`-th ready descriptor of the last wait; `at` is below what it told.
    pub fn token(&self, at: usize) -> u64 {
        let event = self.events[..self.ready][at];
        event.u64
    }
}

/// Wakes a thread that waits in [`Epoll::wait`].
#[derive(Debug)]
pub struct EventFd(File);

impl EventFd {
    /// Not readable until woken.
    ///
    /// # Errors
    /// When the process may open no more descriptors.
    pub fn new() -> io::Result<EventFd> {
        // SAFETY: no pointers; the result is checked.
        let fd = own(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        Ok(EventFd(File::from(fd)))
    }

    /// Makes it readable. Cannot fail but by a counter at its end, and then it is readable anyhow.
    pub fn wake(&self) {
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// Makes it unreadable until the next [`EventFd::wake`].
    pub fn clear(&self) {
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Raises the limit of open descriptors as far as the system allows; tells what it is.
///
/// # Errors
/// When the limit cannot be read.
pub fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writing.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    let soft = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is valid for reading.
    let raised = check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }).is_ok();
    Ok(if raised { limit.rlim_max } else { soft })
}

/// Puts the calling thread before others where the process may: real-time, else nice −11; and lets its timers
/// fire on time instead of up to 50 µs late. Tells whether it comes before others.
pub fn come_first() -> bool {
    let parameters = libc::sched_param { sched_priority: 10 };
    // SAFETY: `parameters` outlives the call; 0 is the calling thread; the others take plain numbers.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1_000 as libc::c_ulong, 0, 0, 0);
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) == 0
            || libc::setpriority(libc::PRIO_PROCESS, 0, -11) == 0
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn own(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call that made it has just succeeded, and nobody else knows the descriptor.
    check(fd).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets the allocator keep what threads free: an arena that shrinks after each call and grows with the next costs
/// a system call and page faults each time (73 `mprotect` a second at 300 registrations a second).
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    {
        const KEEP: libc::c_int = 32 << 20;
        const GROW: libc::c_int = 1 << 20;
        // SAFETY: no pointers; it only sets two numbers of the allocator. Failure leaves the defaults.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEEP);
            libc::mallopt(libc::M_TOP_PAD, GROW);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_wakes_once_and_is_readable_until_cleared() {
        for precise in [true, false] {
            let mut epoll = Epoll::new(4).expect("epoll");
            epoll.precise = precise;
            let event = EventFd::new().expect("eventfd");
            epoll.add(&event, 77).expect("added");
            assert!(epoll.add(&event, 78).is_err(), "twice");
            assert_eq!(epoll.wait(Some(Duration::ZERO)).expect("waits"), 0);
            event.wake();
            event.wake();
            assert_eq!(epoll.wait(None).expect("waits"), 1);
            assert_eq!(epoll.token(0), 77);
            event.clear();
            assert_eq!(epoll.wait(Some(Duration::from_micros(100))).expect("waits"), 0);
            event.wake();
            epoll.remove(&event).expect("removed");
            assert_eq!(epoll.wait(Some(Duration::ZERO)).expect("waits"), 0);
        }
    }

    #[test]
    fn the_file_limit_is_told() {
        assert!(raise_file_limit().expect("readable") >= 256);
    }
}
