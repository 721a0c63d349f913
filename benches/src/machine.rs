//! What the machine is, as far as it explains start-up times.
//!
//! Steps of a start wait for the kernel's timer tick and for RCU grace periods, so HZ, the preemption
//! model and the number of processors belong beside every figure; the cgroup version decides which steps
//! there are.

use std::fs::{self, File};
use std::io::Read;

use serde::Serialize;

/// The facts. A fact that cannot be found out is `None`, and the report says "unknown".
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processor, as /proc/cpuinfo names it.
    pub processor: Option<String>,
    /// Processors that this program may use.
    pub processors: usize,
    /// Whether the processor says that a hypervisor is below it.
    pub virtual_machine: bool,
    /// Total memory in MiB.
    pub memory_mib: Option<u64>,
    /// `PRETTY_NAME` of os-release(5).
    pub system: Option<String>,
    /// `uname -r`.
    pub kernel: String,
    /// `uname -v`, which names the preemption model.
    pub kernel_version: String,
    /// The kernel's timer frequency, from its configuration.
    pub hz: Option<u32>,
    /// `v1`, `v2` or `hybrid`.
    pub cgroup: &'static str,
    /// Load average over one minute when the measurement began.
    pub load_before: Option<f64>,
    /// The same when it ended.
    pub load_after: Option<f64>,
}

impl Machine {
    /// Looks around. `load_after` is for the caller to fill in, with [`load_average`].
    pub fn look() -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let uname = rustix::system::uname();
        let kernel = uname.release().to_string_lossy().into_owned();
        Machine {
            processor: field(&cpuinfo, "model name", ':').map(str::to_owned),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            virtual_machine: field(&cpuinfo, "flags", ':')
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            memory_mib: memory_mib(),
            system: fs::read_to_string("/etc/os-release").ok().and_then(|text| {
                field(&text, "PRETTY_NAME", '=').map(|name| name.trim_matches('"').to_owned())
            }),
            hz: kernel_configuration(&kernel).as_deref().and_then(hz),
            kernel,
            kernel_version: uname.version().to_string_lossy().into_owned(),
            cgroup: cgroup(&fs::read_to_string("/proc/self/mounts").unwrap_or_default()),
            load_before: load_average(),
            load_after: None,
        }
    }

    /// The facts as lines of a Markdown list.
    pub fn describe(&self) -> Vec<String> {
        fn known<T: ToString>(fact: &Option<T>) -> String {
            fact.as_ref()
                .map_or_else(|| "unknown".to_owned(), T::to_string)
        }
        let guest = if self.virtual_machine {
            ", in a virtual machine"
        } else {
            ""
        };
        vec![
            format!(
                "processor: {} × {}{guest}",
                self.processors,
                known(&self.processor)
            ),
            format!("memory: {} MiB", known(&self.memory_mib)),
            format!("system: {}", known(&self.system)),
            format!(
                "kernel: {} ({}), HZ {}",
                self.kernel,
                self.kernel_version,
                known(&self.hz)
            ),
            format!("cgroup: {}", self.cgroup),
            format!(
                "load average: {} before, {} after",
                known(&self.load_before),
                known(&self.load_after)
            ),
        ]
    }
}

/// The load average over the last minute.
pub fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg")
        .ok()?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// The value after `name` and `separator` on the first line that begins with `name`.
fn field<'a>(text: &'a str, name: &str, separator: char) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let value = line
            .strip_prefix(name)?
            .trim_start()
            .strip_prefix(separator)?;
        Some(value.trim())
    })
}

fn memory_mib() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes: u64 = field(&meminfo, "MemTotal", ':')?
        .split(' ')
        .next()?
        .parse()
        .ok()?;
    Some(kibibytes / 1024)
}

/// The configuration the kernel was built with: from the kernel itself, else where distributions put it.
fn kernel_configuration(release: &str) -> Option<String> {
    if let Ok(file) = File::open("/proc/config.gz") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .ok()?;
        return Some(text);
    }
    fs::read_to_string(format!("/boot/config-{release}")).ok()
}

fn hz(configuration: &str) -> Option<u32> {
    field(configuration, "CONFIG_HZ", '=')?.parse().ok()
}

/// Which cgroup hierarchies are mounted. The kernel escapes no character of interest in mounts(5).
fn cgroup(mounts: &str) -> &'static str {
    let mounted = |kind: &str| {
        mounts.lines().any(|line| {
            let mut fields = line.split(' ').skip(1);
            let below = fields
                .next()
                .is_some_and(|path| path.starts_with("/sys/fs/cgroup"));
            below && fields.next() == Some(kind)
        })
    };
    match (mounted("cgroup"), mounted("cgroup2")) {
        (true, true) => "hybrid",
        (true, false) => "v1",
        (false, true) => "v2",
        (false, false) => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_mode_is_read_from_the_mounts() {
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let v1 = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n";
        let hybrid = format!("{v1}cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n");
        assert_eq!(cgroup(v2), "v2");
        assert_eq!(cgroup(v1), "v1");
        assert_eq!(cgroup(&hybrid), "hybrid");
        assert_eq!(cgroup("proc /proc proc rw 0 0\n"), "none");
    }

    #[test]
    fn hz_is_the_number_and_not_one_of_the_choices() {
        assert_eq!(
            hz("# CONFIG_HZ_100 is not set\nCONFIG_HZ_250=y\nCONFIG_HZ=250\n"),
            Some(250)
        );
        assert_eq!(hz("CONFIG_NO_HZ=y\n"), None);
    }

    #[test]
    fn fields_are_found_with_either_separator() {
        assert_eq!(
            field("a\t: 1\nmodel name\t: EPYC\n", "model name", ':'),
            Some("EPYC")
        );
        assert_eq!(
            field("NAME=x\nPRETTY_NAME=\"Debian\"\n", "PRETTY_NAME", '='),
            Some("\"Debian\"")
        );
    }
}
