//! Signals taken one by one, by number, real-time signals among them, for which `nix` has no names (sigwaitinfo(2)).

use std::io;
use std::mem::MaybeUninit;

/// A set of signals.
#[derive(Clone, Copy)]
pub struct Set(libc::sigset_t);

impl Set {
    /// Every signal, but for the two that the C library keeps for itself.
    pub fn all() -> Set {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigfillset fills the whole set, and only fails for an invalid pointer.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            Set(set.assume_init())
        }
    }
}

/// Blocks signals in this process, which has one thread; returns what was blocked before.
pub fn block(signals: &Set) -> io::Result<Set> {
    let mut before = MaybeUninit::uninit();
    // SAFETY: both pointers are to sets that live until the call returns.
    let returned =
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const signals.0, before.as_mut_ptr()) };
    crate::check(returned.into())?;
    // SAFETY: the call has succeeded, so it has filled the set.
    Ok(Set(unsafe { before.assume_init() }))
}

/// Blocks exactly these signals from now on.
pub fn restore(signals: &Set) -> io::Result<()> {
    // SAFETY: the set lives until the call returns; the other pointer may be null.
    let returned = unsafe {
        libc::sigprocmask(
            libc::SIG_SETMASK,
            &raw const signals.0,
            std::ptr::null_mut(),
        )
    };
    crate::check(returned.into()).map(drop)
}

/// Waits for one of the signals, which must be blocked, and takes it; its number.
pub fn wait(signals: &Set) -> io::Result<i32> {
    // SAFETY: the set lives until the call returns; the place for particulars may be null.
    let returned = unsafe { libc::sigwaitinfo(&raw const signals.0, std::ptr::null_mut()) };
    crate::check(returned.into()).map(|number| number as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_time_signal_is_taken_by_its_number() {
        // In a process of its own: the others of this one have threads that would take it.
        match crate::process::fork_simply().unwrap() {
            crate::process::Fork::Child => {
                let taken = block(&Set::all()).and_then(|before| {
                    crate::process::kill(std::process::id() as i32, libc::SIGRTMIN() + 6)?;
                    let number = wait(&Set::all())?;
                    restore(&before)?;
                    Ok(number)
                });
                let right = matches!(taken, Ok(number) if number == libc::SIGRTMIN() + 6);
                crate::process::exit_now(if right { 7 } else { 1 });
            }
            crate::process::Fork::Parent(child) => {
                let mut status = 0;
                // SAFETY: waits for a child of ours and writes to one integer.
                let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
                assert_eq!((waited, libc::WEXITSTATUS(status)), (child, 7));
            }
        }
    }
}
