//! The capability sets of a thread (capabilities(7), capset(2), prctl(2)).

use std::io;

/// The header that capset(2) wants; version 3 means two words for each set.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// 32 bits of each set.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Word {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;

/// Drops every capability from the bounding set that is not in `keep` (PR_CAPBSET_DROP). What is not in the
/// bounding set cannot come back through a file with capabilities.
pub fn bound(keep: u64) -> io::Result<()> {
    for number in 0..64u64 {
        if keep >> number & 1 == 1 {
            continue;
        }
        // SAFETY: prctl with PR_CAPBSET_DROP takes integers and touches no memory.
        let returned = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        if returned != 0 {
            let error = io::Error::last_os_error();
            // The first number that the kernel does not know ends the list.
            if error.raw_os_error() == Some(libc::EINVAL) && number > 0 {
                return Ok(());
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Sets the effective, permitted and inheritable sets of this thread (capset(2)).
pub fn set(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let word = |shift: u32| Word {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let words = [word(0), word(32)];
    // SAFETY: header and words have the layout of version 3 and live until the call returns.
    let returned = unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) };
    crate::check(returned).map(drop)
}

/// The number of the last capability that the running kernel knows (/proc/sys/kernel/cap_last_cap).
pub fn last() -> io::Result<u32> {
    let text = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")?;
    text.trim()
        .parse()
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// Raises capabilities in the ambient set (PR_CAP_AMBIENT), so that they survive an exec as another user.
pub fn raise_ambient(set: u64) -> io::Result<()> {
    for number in (0..64u64).filter(|number| set >> number & 1 == 1) {
        // SAFETY: prctl with PR_CAP_AMBIENT takes integers and touches no memory.
        let returned = unsafe {
            libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_RAISE,
                number,
                0,
                0,
            )
        };
        crate::check(returned.into())?;
    }
    Ok(())
}
