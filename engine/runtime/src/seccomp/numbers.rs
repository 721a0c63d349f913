//! The numbers of system calls by name, for every table that a profile can speak of.
//!
//! They come from the crate `syscalls`, which is generated from the kernel's own tables. x32 is not in it:
//! its calls have x86-64's numbers with one bit set, apart from the lists below (arch/x86/entry/syscalls/
//! syscall_64.tbl, the entries of ABI `64` and `x32`).

use syscalls::{aarch64, arm, x86, x86_64};

use super::architecture::{Table, X32_BIT};

/// The number of a call, None where the table has no such name.
pub(crate) fn number(table: Table, name: &str) -> Option<u32> {
    let number = match table {
        Table::X86_64 => name.parse::<x86_64::Sysno>().ok()?.id(),
        Table::X86 => name.parse::<x86::Sysno>().ok()?.id(),
        Table::Aarch64 => name.parse::<aarch64::Sysno>().ok()?.id(),
        Table::Arm => name.parse::<arm::Sysno>().ok()?.id(),
        Table::X32 => return x32(name),
    };
    Some(number.cast_unsigned())
}

/// x86-64's calls without those that x32 has in its own form or not at all.
fn x32(name: &str) -> Option<u32> {
    if let Some((_, number)) = ONLY_X32
        .iter()
        .zip(512..)
        .find(|(other, _)| **other == name)
    {
        return Some(X32_BIT | number);
    }
    if ONLY_64.contains(&name) {
        return None;
    }
    number(Table::X86_64, name).map(|number| X32_BIT | number)
}

/// Calls of x86-64 that x32 never had.
const ONLY_64: [&str; 11] = [
    "uselib",
    "_sysctl",
    "create_module",
    "get_kernel_syms",
    "query_module",
    "nfsservctl",
    "set_thread_area",
    "get_thread_area",
    "epoll_ctl_old",
    "epoll_wait_old",
    "vserver",
];

/// Calls that take structures with pointers; x32's own begin at 512.
const ONLY_X32: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// All names of a table, for tests that go through every call.
#[cfg(test)]
pub(crate) fn names(table: Table) -> Vec<(&'static str, u32)> {
    macro_rules! of {
        ($architecture:ident) => {{
            use $architecture::Sysno;
            // `iter` leaves out the last one.
            Sysno::iter()
                .chain([Sysno::last()])
                .map(|call| call.name())
                .collect()
        }};
    }
    let names: Vec<&'static str> = match table {
        Table::X86_64 | Table::X32 => of!(x86_64),
        Table::X86 => of!(x86),
        Table::Aarch64 => of!(aarch64),
        Table::Arm => of!(arm),
    };
    names
        .into_iter()
        .filter_map(|name| Some((name, number(table, name)?)))
        .collect()
}
