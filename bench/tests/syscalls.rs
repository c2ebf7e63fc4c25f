//! The engine thread's system calls once it is warm, as the kernel tells them: reading sockets, asking which are ready, and nothing else.
//!
//! A seccomp filter on that thread lets these pass and has every other call shown to a watching thread, which notes it and lets it go on.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // The filter is installed and listened to by system calls of its own.

use spinquote_bench::frames::Session;
use spinquote_bench::loopback::{self, Lane, Options, Plan};
use std::mem::zeroed;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// Socket reads, the poll, and the yield of `threads.wait = "yield"`, which this test runs with because its host has few cores.
const ALLOWED: [libc::c_long; 5] =
    [libc::SYS_read, libc::SYS_recvfrom, libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_sched_yield];
/// `SECCOMP_IOCTL_NOTIF_RECV` and `SECCOMP_IOCTL_NOTIF_SEND` of linux/seccomp.h.
const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;

/// Frames played: in the first half the engine warms up, the second one is looked at.
const STEPS: usize = 4_400;
const _: () = assert!(STEPS / 2 > spinquote::engine::turn::WARM_UP_FRAMES as usize);

static LISTENER: AtomicI32 = AtomicI32::new(-1);

/// Puts the filter on the calling thread and its listener into [`LISTENER`].
fn filter() {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let number_at = 0;
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, number_at)];
    for (at, &call) in ALLOWED.iter().enumerate() {
        let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        // To the last instruction, over the remaining comparisons and the refusal.
        program.push(libc::sock_filter { code, jt: (ALLOWED.len() - at) as u8, jf: 0, k: call as u32 });
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF));
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: both calls take numbers and a pointer to a program that lives until they return.
    let listener = unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
        libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program)
    };
    assert!(listener >= 0, "seccomp: {}", std::io::Error::last_os_error());
    LISTENER.store(listener as i32, Ordering::Release);
}

/// Notes every call that the filter shows, and lets it go on.
fn watch(over: &AtomicBool) -> Vec<(Instant, i32)> {
    let mut seen = Vec::new();
    while !over.load(Ordering::Acquire) {
        let listener = LISTENER.load(Ordering::Acquire);
        if listener < 0 {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        // SAFETY: the structures are plain C, for which all zeroes is valid (the kernel demands it), and outlive the calls.
        unsafe {
            let mut ready = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
            if libc::poll(&raw mut ready, 1, 50) != 1 || ready.revents & libc::POLLIN == 0 {
                continue;
            }
            let mut shown: libc::seccomp_notif = zeroed();
            if libc::ioctl(listener, RECEIVE, &raw mut shown) != 0 {
                continue;
            }
            seen.push((Instant::now(), shown.data.nr));
            let mut answer: libc::seccomp_notif_resp = zeroed();
            (answer.id, answer.flags) = (shown.id, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32);
            libc::ioctl(listener, SEND, &raw mut answer);
        }
    }
    seen
}

#[test]
fn a_warm_engine_thread_reads_sockets_and_calls_nothing_else() {
    let plan = Plan { levels: 5, rate: 2_000, steps: STEPS };
    let session = Session::load(100_000);
    let mut options =
        Options::parse(&["--wait".to_owned(), "yield".to_owned(), "--cores".to_owned(), "-,-,-".to_owned()]).unwrap();
    (options.plans, options.rounds, options.on_engine, options.lanes) = (vec![plan], 1, filter, vec![Lane::Full]);
    let over = AtomicBool::new(false);
    let (found, seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&over));
        let found = loopback::run(&session, &options);
        over.store(true, Ordering::Release);
        (found.unwrap(), watching.join().unwrap())
    });
    let window = &found.windows[0];
    let (first, last) = window.second_half.unwrap();
    assert!(window.intended.len() > 100, "{} frames sent orders: {}", window.intended.len(), session.source);
    assert!(!seen.is_empty(), "the start and the end of a thread make calls: nothing was watched");
    let while_warm: Vec<i32> =
        seen.iter().filter(|(at, _)| (first..=last).contains(at)).map(|&(_, call)| call).collect();
    assert_eq!(while_warm, Vec::<i32>::new(), "numbers of system calls that the warm engine thread made");
}
