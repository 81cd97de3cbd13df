//! The calls that the standard library does not offer: epoll, eventfd, timers, arrival times, limits, scheduling, the
//! allocator's thresholds. Linux only.
//!
//! The only file with unsafe code. What it gains: one thread waits for thousands of sockets and wakes within
//! 50 µs of its slot, where a runtime's timer wheel is a millisecond wide and a task per socket costs twice
//! as much for each packet.

#![allow(unsafe_code)] // System calls; each block says why it is sound.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd as _;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::time::Duration;
use std::time::Instant;

use socket2::SockAddr;

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

/// Becomes readable at a moment; for [`Epoll`].
///
/// A wait with a timeout sets the processor's timer each time, and again when something else ends the wait: in a
/// virtual machine 10 µs each time, more than a packet costs. This one stays set over any number of waits.
#[derive(Debug)]
pub struct Alarm {
    fd: OwnedFd,
    /// When it goes off; none when it is not set.
    at: Option<Instant>,
}

impl Alarm {
    /// Not set.
    ///
    /// # Errors
    /// When the process may open no more descriptors.
    pub fn new() -> io::Result<Alarm> {
        // SAFETY: no pointers; the result is checked.
        let fd = own(unsafe {
            libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK)
        })?;
        Ok(Alarm { fd, at: None })
    }

    /// Goes off at `at`, or before: where it is set for an earlier moment it stays so, and whoever it wakes sets it
    /// again. Must be called after it has gone off, or it stays readable.
    ///
    /// # Errors
    /// When the system refuses, which is a fault of ours.
    pub fn set(&mut self, now: Instant, at: Option<Instant>) -> io::Result<()> {
        let gone_off = self.at.is_some_and(|set| set <= now);
        if !gone_off && at.is_none_or(|at| self.at.is_some_and(|set| set <= at)) {
            return Ok(());
        }
        set_timer(&self.fd, at.map(|at| at.saturating_duration_since(now)))?;
        self.at = at;
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Wakes once a millisecond.
///
/// Two timers take turns, so that the one that is set is never the next to go off: that leaves the processor's timer
/// alone, which in a virtual machine saves a fifth of what a relayed packet costs at ten packets a beat.
#[derive(Debug)]
pub struct Beat {
    fds: [File; 2],
    /// Which goes off next.
    turn: usize,
    /// When it does.
    at: Option<Instant>,
}

impl Beat {
    /// From one beat to the next.
    const PERIOD: Duration = Duration::from_millis(1);

    /// Stands still until it is waited for.
    ///
    /// # Errors
    /// When the process may open no more descriptors.
    pub fn new() -> io::Result<Beat> {
        // SAFETY: no pointers; the result is checked.
        let timer = || own(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) });
        Ok(Beat { fds: [File::from(timer()?), File::from(timer()?)], turn: 0, at: None })
    }

    /// Waits for the next beat: a millisecond after the last, or after `now` when that has passed already.
    ///
    /// # Errors
    /// When the system refuses, which is a fault of ours.
    pub fn wait(&mut self, now: Instant) -> io::Result<()> {
        let at = match self.at.filter(|at| *at > now) {
            Some(at) => at,
            None => {
                self.turn = 0;
                set_timer(&self.fds[0], Some(Beat::PERIOD))?;
                set_timer(&self.fds[1], Some(2 * Beat::PERIOD))?;
                now + Beat::PERIOD
            }
        };
        let mut timer = &self.fds[self.turn];
        timer.read_exact(&mut [0; 8])?;
        self.turn ^= 1;
        self.at = Some(at + Beat::PERIOD);
        set_timer(timer, Some((at + 2 * Beat::PERIOD).saturating_duration_since(Instant::now())))
    }
}

/// Sets a timer to go off in so long, or never; it is not readable until then.
fn set_timer(fd: impl AsFd, left: Option<Duration>) -> io::Result<()> {
    // All zero would disarm it.
    let left = left.map(|left| left.max(Duration::from_nanos(1)));
    let value = libc::timespec {
        tv_sec: left.map_or(0, |left| left.as_secs() as libc::time_t),
        tv_nsec: left.map_or(0, |left| left.subsec_nanos().into()),
    };
    let once = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open, `once` outlives the call, and null is allowed for the old value.
    check(unsafe { libc::timerfd_settime(fd, 0, &raw const once, std::ptr::null_mut()) }).map(drop)
}

/// A datagram that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Octets of it in the buffer.
    pub length: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// When it came, since 1970 by the system's clock, if [`stamp_arrivals`] was on by then.
    pub arrived: Option<Duration>,
}

/// Has the kernel note when each datagram comes to a socket, or not.
///
/// # Errors
/// When the system refuses, which is a fault of ours.
pub fn stamp_arrivals(socket: impl AsFd, on: bool) -> io::Result<()> {
    let on = libc::c_int::from(on);
    let length = size_of_val(&on) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    let value = (&raw const on).cast();
    // SAFETY: the descriptor is open, and `value` points at `length` octets that outlive the call.
    check(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, value, length) }).map(drop)
}

/// Reads one datagram, and when it came.
///
/// # Errors
/// When nothing is there, the socket is not one of UDP, or the system refuses.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Datagram> {
    /// Room for one control message of a `timespec`, and aligned as such.
    #[repr(C, align(8))]
    struct Control([u8; 64]);
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let fd = socket.as_fd().as_raw_fd();
    let mut arrived = None;
    let mut receive = |from: *mut libc::c_void, from_length: *mut libc::socklen_t| {
        // SAFETY: a header of zeros is a valid one; its pointers are then set to what outlives the call, with their lengths.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
        (header.msg_control, header.msg_controllen) = ((&raw mut control).cast(), size_of::<Control>() as _);
        header.msg_name = from;
        // SAFETY: socket2 gives valid pointers to an address and its length; the descriptor is open. What the kernel wrote
        // into `control` is walked with the macros that are made for it; a `timespec` is read without regard to alignment.
        unsafe {
            header.msg_namelen = *from_length;
            let length = libc::recvmsg(fd, &raw mut header, 0);
            if length < 0 {
                return Err(io::Error::last_os_error());
            }
            *from_length = header.msg_namelen;
            let message = libc::CMSG_FIRSTHDR(&raw const header);
            if let Some(first) = message.as_ref()
                && (first.cmsg_level, first.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS)
            {
                let stamp = libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned();
                arrived = Some(Duration::new(stamp.tv_sec.max(0) as u64, stamp.tv_nsec as u32));
            }
            Ok(length as usize)
        }
    };
    // SAFETY: `receive` leaves the address of the sender and its true length behind when it succeeds.
    let (length, from) = unsafe { SockAddr::try_init(|from, length| receive(from.cast(), length)) }?;
    let from = from.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(Datagram { length, from, arrived })
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
    fn an_alarm_goes_off_once_and_an_earlier_one_stays() {
        let mut epoll = Epoll::new(4).expect("epoll");
        let mut alarm = Alarm::new().expect("timerfd");
        epoll.add(&alarm, 5).expect("added");
        let start = Instant::now();
        let at = |ms| Some(start + Duration::from_millis(ms));
        alarm.set(start, at(5)).expect("set");
        alarm.set(start, at(60_000)).expect("stays");
        alarm.set(start, None).expect("stays");
        assert_eq!(epoll.wait(None).expect("waits"), 1);
        let now = Instant::now();
        assert!(now >= start + Duration::from_millis(5), "never early");
        assert_eq!(epoll.token(0), 5);
        alarm.set(now, at(60_000)).expect("set");
        assert_eq!(epoll.wait(Some(Duration::ZERO)).expect("waits"), 0);
        alarm.set(now, Some(now)).expect("earlier, and due");
        assert_eq!(epoll.wait(None).expect("waits"), 1);
        alarm.set(Instant::now(), None).expect("disarmed");
        assert_eq!(epoll.wait(Some(Duration::ZERO)).expect("waits"), 0);
    }

    #[test]
    fn a_beat_comes_each_millisecond_and_not_before_it_is_time() {
        let mut beat = Beat::new().expect("timerfd");
        let start = Instant::now();
        for _ in 0..20 {
            beat.wait(Instant::now()).expect("waits");
        }
        assert!(start.elapsed() >= Duration::from_millis(20), "{:?}", start.elapsed());
    }

    #[test]
    fn a_datagram_tells_who_sent_it_and_when_it_came() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let bind = || std::net::UdpSocket::bind(address).expect("bound");
            let (ours, theirs) = (bind(), bind());
            ours.set_nonblocking(true).expect("set");
            let to = ours.local_addr().expect("an address");
            let mut buffer = [0; 16];
            let nothing = receive(&ours, &mut buffer).expect_err("nothing there");
            assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
            theirs.send_to(b"one", to).expect("sent");
            let from = theirs.local_addr().expect("an address");
            let first = receive(&ours, &mut buffer).expect("read");
            assert_eq!(first, Datagram { length: 3, from, arrived: None });
            assert_eq!(&buffer[..3], b"one");
            let since_1970 = || std::time::UNIX_EPOCH.elapsed().expect("after 1970");
            stamp_arrivals(&ours, true).expect("set");
            let before = since_1970();
            theirs.send_to(&[7; 40], to).expect("sent");
            let second = receive(&ours, &mut buffer).expect("read");
            // The kernel begins to note arrivals a moment after it was asked, and until then notes when it was read.
            let after = since_1970();
            assert_eq!((second.length, second.from), (16, from), "cut to the buffer");
            let arrived = second.arrived.expect("stamped");
            assert!(before <= arrived && arrived <= after, "{before:?} {arrived:?} {after:?}");
        }
    }

    #[test]
    fn the_file_limit_is_told() {
        assert!(raise_file_limit().expect("readable") >= 256);
    }
}
