//! The architectures that a filter can tell apart, and what Docker, the kernel and libseccomp call them.

/// An architecture that the engine itself runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// 64-bit x86, `amd64` in Docker's words.
    X86_64,
    /// 64-bit ARM, `arm64` in Docker's words.
    Aarch64,
}

/// What happens with the system calls of other architectures that the kernel also understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Foreign {
    /// x32 calls answer ENOSYS, as on a kernel without x32; a 32-bit call ends the process with SIGSYS.
    ///
    /// ENOSYS would be no kindness to 32-bit programs: exit(2) would fail too, and musl's retries it for ever.
    Refused,
    /// Those that the profile lists are filtered by its rules; the others are refused.
    AsProfile,
}

/// A table of system call numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Table {
    X86_64,
    X86,
    X32,
    Aarch64,
    Arm,
}

impl Architecture {
    /// The one this program was built for.
    pub const fn native() -> Architecture {
        #[cfg(target_arch = "x86_64")]
        return Architecture::X86_64;
        #[cfg(target_arch = "aarch64")]
        return Architecture::Aarch64;
    }

    /// The word in a profile's `includes` and `excludes`, which is Go's.
    pub(crate) const fn profile_name(self) -> &'static str {
        match self {
            Architecture::X86_64 => "amd64",
            Architecture::Aarch64 => "arm64",
        }
    }

    /// Its own table.
    pub(crate) const fn table(self) -> Table {
        match self {
            Architecture::X86_64 => Table::X86_64,
            Architecture::Aarch64 => Table::Aarch64,
        }
    }

    /// The tables that a kernel of this architecture may serve besides.
    pub(crate) const fn foreign_tables(self) -> &'static [Table] {
        match self {
            Architecture::X86_64 => &[Table::X86, Table::X32],
            Architecture::Aarch64 => &[Table::Arm],
        }
    }
}

/// Set in the number of every x32 system call (__X32_SYSCALL_BIT).
pub(crate) const X32_BIT: u32 = 0x4000_0000;

impl Table {
    /// The word in a profile's `architectures` and `archMap`, which is libseccomp's.
    pub(crate) const fn profile_name(self) -> &'static str {
        match self {
            Table::X86_64 => "SCMP_ARCH_X86_64",
            Table::X86 => "SCMP_ARCH_X86",
            Table::X32 => "SCMP_ARCH_X32",
            Table::Aarch64 => "SCMP_ARCH_AARCH64",
            Table::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// What the kernel puts into `seccomp_data.arch` (linux/audit.h). x32 has no value of its own.
    pub(crate) const fn audit_value(self) -> u32 {
        match self {
            Table::X86_64 | Table::X32 => 0xC000_003E,
            Table::X86 => 0x4000_0003,
            Table::Aarch64 => 0xC000_00B7,
            Table::Arm => 0x4000_0028,
        }
    }

    /// Registers of 32 bits: whatever the upper half of an argument holds, the kernel does not look at it.
    pub(crate) const fn has_32_bit_arguments(self) -> bool {
        matches!(self, Table::X86 | Table::Arm)
    }
}
