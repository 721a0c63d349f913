//! What a container cannot do, and images that try.

use std::os::unix::fs::symlink;

use libtest_mimic::Failed;

use crate::Test;
use crate::harness::Bench;

pub const TESTS: &[Test] = &[
    ("capabilities_are_dockers", capabilities_are_dockers),
    (
        "no_descriptor_of_the_engine_is_open",
        no_descriptor_of_the_engine_is_open,
    ),
    (
        "the_host_is_out_of_reach_through_the_working_directory",
        the_host_is_out_of_reach_through_the_working_directory,
    ),
    (
        "links_in_place_of_mount_points_are_refused",
        links_in_place_of_mount_points_are_refused,
    ),
    ("masked_and_read_only_paths", masked_and_read_only_paths),
    (
        "a_made_device_cannot_be_opened",
        a_made_device_cannot_be_opened,
    ),
    ("limits_are_in_force", limits_are_in_force),
    (
        "a_failed_start_leaves_nothing",
        a_failed_start_leaves_nothing,
    ),
];

fn capabilities_are_dockers(bench: &Bench) -> Result<(), Failed> {
    let (_, log) = bench.run(bench.script("grep -E '^(Cap|NoNewPrivs)' /proc/self/status"))?;
    let wanted = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\n";
    assert_eq!(log, wanted);
    let mut start = bench.script("grep -E '^(CapPrm|CapEff|CapBnd)' /proc/self/status");
    start.spec.process.user = "7:8".to_owned();
    let (_, log) = bench.run(start)?;
    assert_eq!(
        log,
        "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n"
    );
    Ok(())
}

fn no_descriptor_of_the_engine_is_open(bench: &Bench) -> Result<(), Failed> {
    let (_, log) = bench.run(bench.script("ls /proc/self/fd | wc -l; readlink /proc/self/exe"))?;
    // Four: 0, 1, 2 and the directory that ls has open.
    assert_eq!(log, "4\n/bin/sh\n");
    Ok(())
}

fn the_host_is_out_of_reach_through_the_working_directory(bench: &Bench) -> Result<(), Failed> {
    for number in 0..32 {
        for path in [
            format!("/proc/self/fd/{number}"),
            format!("/proc/1/fd/{number}"),
            format!("/proc/self/fd/{number}/.."),
        ] {
            let mut start = bench.script("ls");
            start.spec.process.cwd = path.clone();
            let error = bench.fail(start)?;
            assert!(
                error.contains("failed to enter the working directory"),
                "{path}: {error}"
            );
        }
    }
    Ok(())
}

fn links_in_place_of_mount_points_are_refused(bench: &Bench) -> Result<(), Failed> {
    let sentinel = bench.directory.path().join("sentinel");
    std::fs::create_dir(&sentinel)?;
    for name in ["proc", "sys", "dev"] {
        let link = bench.layer().join(name);
        symlink(&sentinel, &link)?;
        let error = bench.fail(bench.script("ls"))?;
        assert!(
            error.contains("must be mounted on ordinary directory"),
            "{name}: {error}"
        );
        std::fs::remove_file(&link)?;
        symlink("/bin", &link)?;
        let error = bench.fail(bench.script("ls"))?;
        assert!(
            error.contains("must be mounted on ordinary directory"),
            "{name}: {error}"
        );
        std::fs::remove_file(&link)?;
    }
    assert_eq!(
        std::fs::read_dir(&sentinel)?.count(),
        0,
        "something was made outside of the container"
    );
    Ok(())
}

fn masked_and_read_only_paths(bench: &Bench) -> Result<(), Failed> {
    let script = "wc -c < /proc/kcore; ls /proc/acpi /sys/firmware | grep -v : | grep . ; \
                  echo x > /proc/sys/kernel/domainname; echo x > /sys/fs/cgroup/x; mkdir /sys/x; exit 0";
    let (_, log) = bench.run(bench.script(script))?;
    let refusals = log
        .lines()
        .filter(|line| line.contains("Read-only file system"))
        .count();
    assert_eq!(refusals, 3, "{log}");
    Ok(())
}

fn a_made_device_cannot_be_opened(bench: &Bench) -> Result<(), Failed> {
    // A loop device and its control device: the nodes can be made (Docker keeps CAP_MKNOD), not opened.
    let script = "mknod /disk b 7 0 && mknod /control c 10 237 && head -c 1 /disk; head -c 1 /control; head -c 1 /dev/zero | wc -c";
    let (_, log) = bench.run(bench.script(script))?;
    assert_eq!(
        log.lines()
            .filter(|line| line.contains("Operation not permitted"))
            .count(),
        2,
        "{log}"
    );
    assert!(log.lines().any(|line| line == "1"), "{log}");
    // Shown to be able to fail: with all devices allowed it is another error, or none.
    let mut start = bench.script(script);
    start.spec.cgroup.all_devices = true;
    let (_, log) = bench.run(start)?;
    assert_eq!(
        log.lines()
            .filter(|line| line.contains("Operation not permitted"))
            .count(),
        0,
        "{log}"
    );
    Ok(())
}

fn limits_are_in_force(bench: &Bench) -> Result<(), Failed> {
    let mut start = bench.script("dd if=/dev/zero of=/dev/null bs=200M count=1; echo $?");
    start.spec.cgroup.memory = 16 << 20;
    start.spec.cgroup.memory_swap = 16 << 20;
    start.spec.process.args = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]
        .map(str::to_owned)
        .to_vec();
    let (record, _) = bench.run(start)?;
    assert_eq!((record.exit_code, record.oom_killed), (137, true));
    let mut start = bench.script("for i in 1 2 3 4 5 6; do sleep 5 & done; wait");
    start.spec.cgroup.pids_limit = 3;
    let (_, log) = bench.run(start)?;
    assert!(log.contains("can't fork"), "{log}");
    Ok(())
}

fn a_failed_start_leaves_nothing(bench: &Bench) -> Result<(), Failed> {
    for (change, wanted) in [
        (
            (|start| start.spec.process.args = vec!["nope".to_owned()])
                as fn(&mut drydock_shim::protocol::Start),
            "not found in $PATH",
        ),
        (
            |start| start.spec.process.user = "nobody-here".to_owned(),
            "unable to find user nobody-here",
        ),
        (
            |start| start.spec.process.user = "4294967296".to_owned(),
            "uids and gids must be in range",
        ),
        (
            |start| start.spec.sysctls = vec![("kernel.nope".to_owned(), "1".to_owned())],
            "open sysctl kernel.nope file: no such file or directory",
        ),
        (
            |start| start.spec.process.seccomp = Some(vec![0; 8]),
            "failed to load the seccomp program",
        ),
        (
            |start| start.spec.rootfs.layers = vec!["/nonexistent".into()],
            "failed to open the layer /nonexistent",
        ),
        (
            |start| start.spec.cgroup.cpuset_cpus = "99999".to_owned(),
            "cpuset.cpus",
        ),
    ] {
        let mut start = bench.script("true");
        change(&mut start);
        let error = bench.fail(start)?;
        assert!(error.contains(wanted), "{error}");
    }
    Ok(())
}
