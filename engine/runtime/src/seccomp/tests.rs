//! The compiled program against a direct reading of the profile, for every system call and argument class.

use std::collections::BTreeSet;

use super::{
    architecture::Table,
    compile::Instruction,
    reference::Reference,
    simulate::{Call, parse, run},
    *,
};
use crate::capabilities::{DEFAULT, number};

const X86_64: u32 = 0xC000_003E;
const X86: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x5_0001;
const ENOSYS: u32 = 0x5_0026;
const KERNEL: KernelVersion = KernelVersion(6, 18);

fn options(capabilities: u64, architecture: Architecture, foreign: Foreign) -> Options {
    Options {
        capabilities,
        architecture,
        kernel: KERNEL,
        foreign,
    }
}

fn program(json: &str, options: &Options) -> Vec<Instruction> {
    parse(&compile_for(json, options).expect("a good profile"))
}

fn verdict(program: &[Instruction], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    run(
        program,
        &Call {
            number,
            architecture,
            arguments,
        },
    )
    .value
}

/// Every number of every table, the ends of the ranges, and numbers that no table has.
fn numbers_of_interest() -> impl Iterator<Item = u32> {
    (0..600).chain(0x4000_0000 - 2..0x4000_0000 + 600).chain([
        0x7fff_ffff,
        0x8000_0000,
        u32::MAX - 1,
        u32::MAX,
    ])
}

/// Values for the first two arguments: all socket families, all values that the profile's rules name with
/// their neighbours, each clone flag, and the same with something in the upper half.
fn values_of_interest() -> Vec<u64> {
    let mut values: BTreeSet<u64> = (0..=50).collect();
    for named in [8, 0x2_0000, 0x2_0008, 0xffff_ffff, 0x7E02_0000u64] {
        values.extend([named - 1, named, named + 1]);
    }
    values.extend((0..32).map(|bit| 1 << bit));
    let upper: Vec<u64> = values.iter().map(|value| value | 1 << 32).collect();
    values.extend(upper);
    values.extend([u64::MAX, 1 << 63, 0xffff_ffff_0000_0000]);
    values.into_iter().collect()
}

fn argument_lists() -> Vec<[u64; 6]> {
    let values = values_of_interest();
    let first = values.iter().map(|value| [*value, 0, 0, 0, 0, 0]);
    let second = values.iter().map(|value| [0, *value, 0, 0, 0, 0]);
    // The first three are enough to be refused and to be allowed once by each rule on arguments.
    [[0; 6], [38, 0, 0, 0, 0, 0], [0x7E02_0000, 0, 0, 0, 0, 0]]
        .into_iter()
        .chain(first)
        .chain(second)
        .collect()
}

/// The outcome for each list of arguments; only the first where the program does not look at arguments.
fn outcomes(
    program: &[Instruction],
    architecture: u32,
    number: u32,
    lists: &[[u64; 6]],
) -> impl Iterator<Item = ([u64; 6], u32)> {
    let indifferent = !run(
        program,
        &Call {
            number,
            architecture,
            arguments: lists[0],
        },
    )
    .looked_at_arguments;
    let lists = if indifferent { &lists[..1] } else { lists };
    lists.iter().map(move |arguments| {
        (
            *arguments,
            verdict(program, architecture, number, *arguments),
        )
    })
}

/// The compiled default profile and the profile itself say the same about every call.
#[test]
fn compiled_is_what_the_profile_says() {
    let capability_sets =
        (0..41)
            .map(|number| 1 << number)
            .chain([0, DEFAULT, DEFAULT | 1 << 21, (1 << 41) - 1]);
    let arguments = argument_lists();
    for capabilities in capability_sets {
        for architecture in [Architecture::X86_64, Architecture::Aarch64] {
            for foreign in [Foreign::Refused, Foreign::AsProfile] {
                let options = options(capabilities, architecture, foreign);
                let reference = Reference::new(DEFAULT_PROFILE, options);
                let program = program(DEFAULT_PROFILE, &options);
                for audit in [X86_64, X86, 0xC000_00B7, 0x4000_0028, 0xC000_00F3] {
                    for number in numbers_of_interest() {
                        // A rule on arguments that the program forgot would show with one of the first lists.
                        for arguments in &arguments[..3] {
                            let expected = reference.verdict(audit, number, arguments);
                            assert_eq!(
                                verdict(&program, audit, number, *arguments),
                                expected,
                                "{audit:#x} {number}"
                            );
                        }
                        for (arguments, found) in outcomes(&program, audit, number, &arguments) {
                            let expected = reference.verdict(audit, number, &arguments);
                            assert_eq!(
                                found, expected,
                                "{audit:#x} {number} {arguments:x?} {options:x?}"
                            );
                        }
                    }
                }
            }
        }
    }
}

/// Programs that a real Docker loaded; see profiles/README.md.
const DOCKER: [(u64, &[u8]); 4] = [
    (
        DEFAULT,
        include_bytes!("../../profiles/docker-28.5-x86_64/default.bpf"),
    ),
    (
        0,
        include_bytes!("../../profiles/docker-28.5-x86_64/none.bpf"),
    ),
    (
        DEFAULT | 1 << 21 | 1 << 19,
        include_bytes!("../../profiles/docker-28.5-x86_64/sysadmin.bpf"),
    ),
    (
        0x1ff_feff_ffff,
        include_bytes!("../../profiles/docker-28.5-x86_64/all.bpf"),
    ),
];

/// With Docker's architectures our program decides as the one that a real Docker loads, for every call and
/// argument, but for two things in which ours is stricter, and one that follows from the second:
/// * the profile here is newer than Docker 28.5 and also refuses AF_ALG (38);
/// * AF_ALG and AF_VSOCK (40) are refused with anything in the upper half of the argument, too;
/// * a personality that the kernel sees as an allowed value is allowed.
#[test]
fn decides_as_the_real_docker() {
    let lists = argument_lists();
    for (capabilities, docker) in DOCKER {
        let docker = parse(docker);
        let ours = program(
            DEFAULT_PROFILE,
            &options(capabilities, Architecture::X86_64, Foreign::AsProfile),
        );
        let mut closed = BTreeSet::new();
        for audit in [X86_64, X86] {
            for number in numbers_of_interest() {
                let looks = |program| {
                    run(
                        program,
                        &Call {
                            number,
                            architecture: audit,
                            arguments: [0; 6],
                        },
                    )
                };
                let count =
                    if looks(&docker).looked_at_arguments || looks(&ours).looked_at_arguments {
                        lists.len()
                    } else {
                        1
                    };
                for arguments in &lists[..count] {
                    let theirs = verdict(&docker, audit, number, *arguments);
                    let found = verdict(&ours, audit, number, *arguments);
                    if theirs == found {
                        continue;
                    }
                    let call = format!(
                        "{capabilities:#x} {audit:#x} {number} {arguments:x?}: {found:#x}, {theirs:#x}"
                    );
                    let socket = matches!((audit, number & 0xffff), (X86_64, 41) | (X86, 359));
                    let personality = matches!((audit, number & 0xffff), (X86_64, 135));
                    let (upper, family) = (arguments[0] >> 32, arguments[0] as u32);
                    if socket {
                        assert!(
                            found == EPERM
                                && theirs == ALLOW
                                && matches!((upper, family), (_, 38) | (1.., 40)),
                            "{call}"
                        );
                        closed.insert(family);
                    } else {
                        assert!(
                            personality && found == ALLOW && theirs == EPERM && upper != 0,
                            "{call}"
                        );
                    }
                }
            }
        }
        assert_eq!(closed, BTreeSet::from([38, 40]));
        assert_eq!(
            verdict(&docker, 0xC000_00B7, 0, [0; 6]),
            0,
            "foreign calls end the caller there, too"
        );
    }
}

/// On Docker 28.5 `syscall(SYS_socket, 0x100000028, SOCK_DGRAM, 0)` opens an AF_VSOCK socket in a container.
#[test]
fn the_upper_half_of_a_family_does_not_open_a_socket() {
    const AF_VSOCK: u64 = 40;
    let ours = program(
        DEFAULT_PROFILE,
        &options(DEFAULT, Architecture::X86_64, Foreign::Refused),
    );
    let docker = parse(DOCKER[0].1);
    for upper in [0, 1, 0x8000_0000, 0xffff_ffff] {
        let arguments = [AF_VSOCK | upper << 32, 0, 0, 0, 0, 0];
        assert_eq!(verdict(&ours, X86_64, 41, arguments), EPERM);
        assert_eq!(
            verdict(&docker, X86_64, 41, arguments),
            if upper == 0 { EPERM } else { ALLOW }
        );
    }
}

#[test]
fn socketcall_does_not_lead_around_the_rules() {
    const SOCKETCALL: u32 = 102;
    let of = |foreign| {
        program(
            DEFAULT_PROFILE,
            &options(DEFAULT, Architecture::X86_64, foreign),
        )
    };
    assert_eq!(
        verdict(&of(Foreign::AsProfile), X86, SOCKETCALL, [1; 6]),
        ALLOW
    );
    assert_eq!(
        verdict(&of(Foreign::Refused), X86, SOCKETCALL, [1; 6]),
        0x8000_0000
    );
    assert_eq!(
        verdict(&of(Foreign::Refused), X86_64, 0x4000_0000 + 39, [0; 6]),
        ENOSYS
    );
}

/// What research on Docker's profile found blocked among the calls of Linux 6.1 with the default capabilities.
const BLOCKED: &str = "syslog uselib ustat sysfs vhangup pivot_root _sysctl acct settimeofday mount umount2 swapon \
    swapoff reboot sethostname setdomainname iopl ioperm create_module init_module delete_module get_kernel_syms \
    query_module quotactl nfsservctl getpmsg putpmsg afs_syscall tuxcall security lookup_dcookie clock_settime \
    vserver mbind set_mempolicy get_mempolicy kexec_load add_key request_key keyctl migrate_pages unshare \
    move_pages perf_event_open fanotify_init open_by_handle_at setns kcmp finit_module kexec_file_load bpf \
    userfaultfd io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount fspick \
    clone3 pidfd_getfd process_madvise mount_setattr quotactl_fd set_mempolicy_home_node";

#[test]
fn blocks_the_67_calls_and_no_other() {
    let program = program(
        DEFAULT_PROFILE,
        &options(DEFAULT, Architecture::X86_64, Foreign::Refused),
    );
    let expected: BTreeSet<&str> = BLOCKED.split_whitespace().collect();
    assert_eq!(expected.len(), 67);
    const NEWEST_OF_6_1: u32 = 450;
    let known = super::numbers::names(Table::X86_64)
        .into_iter()
        .filter(|(_, number)| *number <= NEWEST_OF_6_1 && !matches!(number, 335 | 336));
    let blocked: BTreeSet<&str> = known
        .filter(|(_, number)| verdict(&program, X86_64, *number, [0; 6]) != ALLOW)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(blocked, expected);
    assert_eq!(
        verdict(&program, X86_64, 435, [0; 6]),
        ENOSYS,
        "clone3, so that callers fall back to clone"
    );
    assert_eq!(
        verdict(&program, X86_64, 467, [0; 6]),
        ENOSYS,
        "open_tree_attr, newer than the profile"
    );
}

#[test]
fn the_program_is_small() {
    let length = |foreign| {
        program(
            DEFAULT_PROFILE,
            &options(DEFAULT, Architecture::X86_64, foreign),
        )
        .len()
    };
    let (native, with_foreign) = (length(Foreign::Refused), length(Foreign::AsProfile));
    assert!(native < 200, "{native} instructions");
    assert!(
        with_foreign < 700,
        "{with_foreign} instructions; libseccomp needs 1281"
    );
    let docker = parse(DOCKER[0].1);
    let ours = program(
        DEFAULT_PROFILE,
        &options(DEFAULT, Architecture::X86_64, Foreign::AsProfile),
    );
    let steps = |program: &[Instruction]| {
        let call = |number| Call {
            number,
            architecture: X86_64,
            arguments: [0; 6],
        };
        (0..470)
            .map(|number| run(program, &call(number)).steps)
            .max()
    };
    assert!(steps(&ours) < Some(32), "{:?} steps", steps(&ours));
    println!(
        "{native} instructions, {with_foreign} with foreign calls, {} Docker's",
        docker.len()
    );
    println!(
        "at most {:?} steps for a call without arguments, Docker's {:?}",
        steps(&ours),
        steps(&docker)
    );
}

/// A profile of one rule on `lseek`, none of whose arguments is in the list of narrow ones.
fn one_rule(action: &str, arguments: &str) -> String {
    format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["lseek","removexattrat"],
            "action":"{action}","args":[{arguments}]}}]}}"#
    )
}

#[test]
fn every_operator_compares_64_bits() {
    let interesting = [
        0,
        1,
        2,
        0xffff_ffff,
        1 << 32,
        (1 << 32) + 1,
        5 << 32,
        (5 << 32) + 7,
        u64::MAX - 1,
        u64::MAX,
    ];
    for operator in ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"] {
        for value in interesting {
            for value_two in if operator == "MASKED_EQ" {
                &interesting[..]
            } else {
                &[0][..]
            } {
                let condition = format!(
                    r#"{{"index":5,"value":{value},"valueTwo":{value_two},"op":"SCMP_CMP_{operator}"}},
                       {{"index":0,"value":1,"op":"SCMP_CMP_LE"}}"#
                );
                let json = one_rule("SCMP_ACT_ALLOW", &condition);
                let options = options(0, Architecture::Aarch64, Foreign::Refused);
                let (program, reference) =
                    (program(&json, &options), Reference::new(&json, options));
                for argument in interesting {
                    for first in [0, 2] {
                        let arguments = [first, 0, 0, 0, 0, argument];
                        let expected = reference.verdict(0xC000_00B7, 62, &arguments);
                        assert_eq!(
                            verdict(&program, 0xC000_00B7, 62, arguments),
                            expected,
                            "{json} {arguments:x?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn every_action_has_its_value() {
    for (name, value) in [
        ("SCMP_ACT_ALLOW", ALLOW),
        ("SCMP_ACT_LOG", 0x7ffc_0000),
        ("SCMP_ACT_TRACE", 0x7ff0_0001),
        ("SCMP_ACT_TRAP", 0x3_0000),
        ("SCMP_ACT_KILL", 0),
        ("SCMP_ACT_KILL_THREAD", 0),
        ("SCMP_ACT_KILL_PROCESS", 0x8000_0000),
    ] {
        let program = program(
            &one_rule(name, ""),
            &options(0, Architecture::X86_64, Foreign::Refused),
        );
        assert_eq!(verdict(&program, X86_64, 8, [0; 6]), value, "{name}");
        assert_eq!(verdict(&program, X86_64, 9, [0; 6]), EPERM);
    }
}

#[test]
fn several_rules_for_one_call() {
    let profile =
        |rules: &str| format!(r#"{{"defaultAction":"SCMP_ACT_KILL","syscalls":[{rules}]}}"#);
    let rule = |action: &str, errno: u32, arguments: &str| {
        format!(
            r#"{{"names":["lseek"],"action":"{action}","errnoRet":{errno},"args":[{arguments}]}}"#
        )
    };
    let on = |index: u8, value: u64| {
        format!(r#"{{"index":{index},"value":{value},"op":"SCMP_CMP_EQ"}}"#)
    };
    let decide = |rules: &[String], arguments| {
        let options = options(0, Architecture::X86_64, Foreign::Refused);
        verdict(
            &program(&profile(&rules.join(",")), &options),
            X86_64,
            8,
            arguments,
        )
    };
    let errno = |errno: u32| rule("SCMP_ACT_ERRNO", errno, "");
    assert_eq!(
        decide(&[errno(5), errno(6)], [0; 6]),
        0x5_0005,
        "the first without conditions"
    );
    let conditional = rule("SCMP_ACT_ALLOW", 0, &on(0, 0));
    assert_eq!(
        decide(&[conditional.clone(), errno(6)], [0; 6]),
        0x5_0006,
        "without conditions before with"
    );
    let strict = rule("SCMP_ACT_ERRNO", 9, &on(1, 0));
    assert_eq!(
        decide(&[conditional, strict], [0; 6]),
        0x5_0009,
        "the stricter"
    );
    let either = rule("SCMP_ACT_ALLOW", 0, &[on(0, 1), on(0, 2)].join(","));
    for (value, expected) in [(1, ALLOW), (2, ALLOW), (3, 0)] {
        assert_eq!(
            decide(std::slice::from_ref(&either), [value, 0, 0, 0, 0, 0]),
            expected,
            "same argument: any"
        );
    }
}

#[test]
fn conditions_on_capabilities_and_kernels() {
    let with = |capabilities, kernel| {
        let options = Options {
            kernel,
            ..options(capabilities, Architecture::X86_64, Foreign::Refused)
        };
        program(DEFAULT_PROFILE, &options)
    };
    const PTRACE: u32 = 101;
    assert_eq!(
        verdict(&with(0, KernelVersion(4, 8)), X86_64, PTRACE, [0; 6]),
        ALLOW
    );
    assert_eq!(
        verdict(&with(0, KernelVersion(4, 7)), X86_64, PTRACE, [0; 6]),
        EPERM
    );
    let sys_ptrace = 1 << number("SYS_PTRACE").expect("a capability");
    assert_eq!(
        verdict(
            &with(sys_ptrace, KernelVersion(3, 10)),
            X86_64,
            PTRACE,
            [0; 6]
        ),
        ALLOW
    );
    assert!(KernelVersion::running().expect("a version") > KernelVersion(5, 0));
}

#[test]
fn a_profile_that_lets_through_lets_new_calls_through() {
    let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["lseek"],"action":"SCMP_ACT_ERRNO"}]}"#;
    let program = program(json, &options(0, Architecture::X86_64, Foreign::Refused));
    assert_eq!(verdict(&program, X86_64, 8, [0; 6]), EPERM);
    for number in [7, 9, 500, 0x3fff_ffff] {
        assert_eq!(verdict(&program, X86_64, number, [0; 6]), ALLOW, "{number}");
    }
    assert_eq!(
        verdict(&program, X86_64, 0x4000_0008, [0; 6]),
        ENOSYS,
        "x32 is no way around lseek"
    );
    assert_eq!(
        verdict(&program, X86, 19, [0; 6]),
        0x8000_0000,
        "nor are 32-bit calls"
    );
}

#[test]
fn bad_profiles_are_refused() {
    let refused = |json: &str| compile(json, 0).expect_err(json).to_string();
    assert!(refused("{").starts_with("decoding seccomp profile failed: "));
    assert!(refused("{}").contains("defaultAction"));
    assert!(refused(r#"{"defaultAction":"SCMP_ACT_MAYBE"}"#).contains("SCMP_ACT_MAYBE"));
    for (rest, message) in [
        (
            r#""architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]"#,
            "both 'architectures'",
        ),
        (
            r#""syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_ALLOW"}]"#,
            "both 'name' and 'names'",
        ),
        (
            r#""syscalls":[{"names":["b"],"action":"SCMP_ACT_NOTIFY"}]"#,
            "SCMP_ACT_NOTIFY is not supported",
        ),
        (
            r#""syscalls":[{"names":["b"],"action":"SCMP_ACT_ERRNO","errnoRet":4096}]"#,
            "errnoRet: 4096",
        ),
        (
            r#""syscalls":[{"names":["b"],"action":"SCMP_ACT_ALLOW","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]"#,
            "rule for b: no argument has the index 6",
        ),
        (
            r#""syscalls":[{"names":["b"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4"}}]"#,
            "minKernel: \"4\" is not a version",
        ),
        (
            r#""flags":["SECCOMP_FILTER_FLAG_LOG"]"#,
            "the flag SECCOMP_FILTER_FLAG_LOG",
        ),
        (r#""listenerPath":"/run/x.sock""#, "'listenerPath'"),
    ] {
        let error = refused(&format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO",{rest}}}"#));
        assert!(error.contains(message), "{error}");
    }
    let rules: Vec<String> = (0..2000)
        .map(|value| {
            format!(
                r#"{{"names":["lseek"],"action":"SCMP_ACT_ALLOW","args":[{{"index":1,"value":{value},"op":"SCMP_CMP_EQ"}}]}}"#
            )
        })
        .collect();
    let long = format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{}]}}"#,
        rules.join(",")
    );
    assert!(refused(&long).contains("more than the kernel takes"));
}

#[test]
fn x32_numbers_are_the_kernels() {
    let number = |name| super::numbers::number(Table::X32, name);
    assert_eq!(number("read"), Some(0x4000_0000));
    assert_eq!(number("execve"), Some(0x4000_0208));
    assert_eq!(number("pwritev2"), Some(0x4000_0223));
    assert_eq!(number("uselib"), None);
}

#[test]
fn the_default_program_is_made_once() {
    let first = default_program(DEFAULT, Architecture::native()).expect("a program");
    assert_eq!(
        default_program(DEFAULT, Architecture::native()),
        Ok(first.clone())
    );
    assert_ne!(
        default_program(DEFAULT | 1 << 21, Architecture::native()),
        Ok(first)
    );
}
