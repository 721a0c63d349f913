//! Arguments that the kernel takes as 32 bits, whatever the register holds.
//!
//! A filter sees 64-bit registers, and the kernel casts most arguments to `int` or `unsigned int`. A rule
//! that compares 64 bits can then be passed by with garbage in the upper half: on Docker 28.5
//! `syscall(SYS_socket, 0x100000028, …)` opens an AF_VSOCK socket, which the profile forbids, because the
//! number is "greater than 40". Flatpak had the same with TIOCSTI (CVE-2019-10063). For the arguments below
//! only the lower half is compared, in rules of any profile. The list has those that profiles filter on; the
//! types are those of `SYSCALL_DEFINE` in the kernel.

/// Whether the kernel looks at 32 bits only.
pub(crate) fn is_32_bit(name: &str, index: u8) -> bool {
    let indices: &[u8] = match name {
        "socket" => &[0, 1, 2],
        "socketpair" => &[0, 1, 2],
        "personality" => &[0],
        // `unsigned long`, of which sys_clone takes lower_32_bits().
        "clone" => &[0],
        "ioctl" => &[0, 1],
        "fcntl" => &[0, 1],
        "prctl" => &[0],
        "arch_prctl" => &[0],
        "setsockopt" | "getsockopt" => &[0, 1, 2],
        "setns" => &[0, 1],
        "kill" => &[0, 1],
        "tkill" => &[0, 1],
        "tgkill" => &[0, 1, 2],
        "keyctl" => &[0],
        "bpf" => &[0, 2],
        "seccomp" => &[0, 1],
        "quotactl" => &[0],
        "syslog" => &[0, 2],
        "reboot" => &[0, 1, 2],
        "open" => &[1, 2],
        "openat" => &[0, 2, 3],
        "mknod" => &[1, 2],
        "mknodat" => &[0, 2, 3],
        "chmod" | "fchmod" => &[1],
        "fchmodat" => &[0, 2],
        "sched_setscheduler" => &[0, 1],
        "memfd_create" => &[1],
        "userfaultfd" => &[0],
        "dup3" => &[0, 1, 2],
        "pipe2" => &[1],
        "eventfd2" => &[0, 1],
        "umount2" => &[1],
        "swapon" => &[1],
        _ => &[],
    };
    indices.contains(&index)
}
