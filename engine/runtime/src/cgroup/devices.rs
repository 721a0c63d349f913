//! Who may open which device: the device rules of a container, for both versions of cgroups.
//!
//! Docker keeps CAP_MKNOD, so a container can make a node for the host's disk; that it cannot open it is
//! this file's doing. Version 1 takes the rules as lines; version 2 has no file for them but runs an eBPF
//! program (BPF_PROG_TYPE_CGROUP_DEVICE) at each mknod and open, which is made here.

use std::fmt;

use crate::spec;

/// One rule, `c 1:3 rwm` and whether it allows. Later rules win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) allow: bool,
    /// `c`, `b` or `a` for both.
    kind: char,
    major: Option<u64>,
    minor: Option<u64>,
    access: String,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number =
            |number: Option<u64>| number.map_or("*".to_owned(), |number| number.to_string());
        write!(
            formatter,
            "{} {}:{} {}",
            self.kind,
            number(self.major),
            number(self.minor),
            self.access
        )
    }
}

/// The default rules of Docker and runc, in their order: any node may be made, these may be opened
/// (null, zero, full, random, urandom, tty, console, the terminals of devpts, tun).
const DEFAULT: [(char, Option<u64>, Option<u64>, &str); 12] = [
    ('c', None, None, "m"),
    ('b', None, None, "m"),
    ('c', Some(1), Some(3), "rwm"),
    ('c', Some(1), Some(5), "rwm"),
    ('c', Some(1), Some(7), "rwm"),
    ('c', Some(1), Some(8), "rwm"),
    ('c', Some(1), Some(9), "rwm"),
    ('c', Some(5), Some(0), "rwm"),
    ('c', Some(5), Some(1), "rwm"),
    ('c', Some(5), Some(2), "rwm"),
    ('c', Some(136), None, "rwm"),
    ('c', Some(10), Some(200), "rwm"),
];

/// The default rules and those of `--device` and `--device-cgroup-rule`. Everything else is denied.
pub(super) fn rules(extra: &[spec::Device]) -> Vec<Rule> {
    let default = DEFAULT.iter().map(|&(kind, major, minor, access)| Rule {
        allow: true,
        kind,
        major,
        minor,
        access: access.to_owned(),
    });
    let extra = extra.iter().map(|device| Rule {
        allow: true,
        kind: device.kind,
        major: device.major,
        minor: device.minor,
        access: device.access.clone(),
    });
    default.chain(extra).collect()
}

/// One eBPF instruction (struct bpf_insn).
fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[0] = code;
    bytes[1] = destination | source << 4;
    bytes[2..4].copy_from_slice(&offset.to_ne_bytes());
    bytes[4..8].copy_from_slice(&immediate.to_ne_bytes());
    bytes
}

/// Instruction codes of linux/bpf.h, spelled out.
mod code {
    pub(super) const LOAD_WORD: u8 = 0x61;
    pub(super) const MOVE: u8 = 0xbf;
    pub(super) const MOVE_IMMEDIATE: u8 = 0xb7;
    pub(super) const AND_IMMEDIATE_32: u8 = 0x54;
    pub(super) const SHIFT_RIGHT_32: u8 = 0x74;
    pub(super) const JUMP_NOT_EQUAL: u8 = 0x55;
    pub(super) const JUMP_NOT_EQUAL_REGISTER: u8 = 0x5d;
    pub(super) const EXIT: u8 = 0x95;
}

/// The context's fields (struct bpf_cgroup_dev_ctx): access << 16 | kind, major, minor.
const ACCESS_TYPE: i16 = 0;
const MAJOR: i16 = 4;
const MINOR: i16 = 8;

/// The program: each rule in turn, the last first because later rules win; deny at the end.
///
/// r2 kind, r3 access, r4 major, r5 minor; r1 scratch; r0 the verdict.
pub(super) fn program(rules: &[Rule]) -> Vec<u8> {
    let mut program = vec![
        instruction(code::LOAD_WORD, 2, 1, ACCESS_TYPE, 0),
        instruction(code::AND_IMMEDIATE_32, 2, 0, 0, 0xffff),
        instruction(code::LOAD_WORD, 3, 1, ACCESS_TYPE, 0),
        instruction(code::SHIFT_RIGHT_32, 3, 0, 0, 16),
        instruction(code::LOAD_WORD, 4, 1, MAJOR, 0),
        instruction(code::LOAD_WORD, 5, 1, MINOR, 0),
    ];
    for rule in rules.iter().rev() {
        program.extend(rule_program(rule));
    }
    program.push(instruction(code::MOVE_IMMEDIATE, 0, 0, 0, 0));
    program.push(instruction(code::EXIT, 0, 0, 0, 0));
    program.concat()
}

/// A rule as tests that jump over its verdict when they do not hold.
fn rule_program(rule: &Rule) -> Vec<[u8; 8]> {
    let mut tests: Vec<Vec<[u8; 8]>> = Vec::new();
    let unless =
        |register: u8, value: i32| vec![instruction(code::JUMP_NOT_EQUAL, register, 0, 0, value)];
    match rule.kind {
        'b' => tests.push(unless(2, 1)),
        'c' => tests.push(unless(2, 2)),
        _ => {}
    }
    let bits = access_bits(&rule.access);
    if bits != 7 {
        // All of what is asked for must be allowed: (asked & bits) == asked.
        tests.push(vec![
            instruction(code::MOVE, 1, 3, 0, 0),
            instruction(code::AND_IMMEDIATE_32, 1, 0, 0, bits),
            instruction(code::JUMP_NOT_EQUAL_REGISTER, 1, 3, 0, 0),
        ]);
    }
    tests.extend(rule.major.map(|major| unless(4, major as i32)));
    tests.extend(rule.minor.map(|minor| unless(5, minor as i32)));
    let mut body = tests.concat();
    body.push(instruction(
        code::MOVE_IMMEDIATE,
        0,
        0,
        0,
        i32::from(rule.allow),
    ));
    body.push(instruction(code::EXIT, 0, 0, 0, 0));
    let length = body.len();
    for (index, bytes) in body.iter_mut().enumerate() {
        if matches!(
            bytes[0],
            code::JUMP_NOT_EQUAL | code::JUMP_NOT_EQUAL_REGISTER
        ) {
            let offset = (length - index - 1) as i16;
            bytes[2..4].copy_from_slice(&offset.to_ne_bytes());
        }
    }
    body
}

/// `rwm` as BPF_DEVCG_ACC_MKNOD 1, READ 2, WRITE 4.
fn access_bits(access: &str) -> i32 {
    access
        .chars()
        .map(|letter| match letter {
            'm' => 1,
            'r' => 2,
            'w' => 4,
            _ => 0,
        })
        .fold(0, |bits, bit| bits | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would, for the few instructions used here.
    fn run(program: &[u8], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0u64; 6];
        let mut at = 0;
        loop {
            let bytes = &program[at * 8..at * 8 + 8];
            let (destination, source) = (usize::from(bytes[1] & 15), usize::from(bytes[1] >> 4));
            let offset = i16::from_ne_bytes([bytes[2], bytes[3]]);
            let immediate = i32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            at += 1;
            match bytes[0] {
                code::LOAD_WORD => registers[destination] = context[offset as usize / 4].into(),
                code::MOVE => registers[destination] = registers[source],
                code::MOVE_IMMEDIATE => registers[destination] = immediate as u64,
                code::AND_IMMEDIATE_32 => registers[destination] &= immediate as u32 as u64,
                code::SHIFT_RIGHT_32 => {
                    registers[destination] = u64::from(registers[destination] as u32 >> immediate)
                }
                code::JUMP_NOT_EQUAL if registers[destination] != immediate as u64 => {
                    at += offset as usize
                }
                code::JUMP_NOT_EQUAL_REGISTER if registers[destination] != registers[source] => {
                    at += offset as usize
                }
                code::JUMP_NOT_EQUAL | code::JUMP_NOT_EQUAL_REGISTER => {}
                code::EXIT => return registers[0] == 1,
                other => panic!("instruction {other:#x} is not used here"),
            }
        }
    }

    const BLOCK: u32 = 1;
    const CHARACTER: u32 = 2;
    const MAKE: u32 = 1;
    const READ: u32 = 2;
    const WRITE: u32 = 4;

    #[test]
    fn the_default_program_decides_as_docker_does() {
        let program = program(&rules(&[]));
        assert!(run(&program, CHARACTER, READ | WRITE, 1, 3), "null");
        assert!(run(&program, CHARACTER, READ, 136, 17), "a terminal");
        assert!(run(&program, BLOCK, MAKE, 254, 0), "any node can be made");
        assert!(
            !run(&program, BLOCK, READ, 254, 0),
            "the disk cannot be opened"
        );
        assert!(
            !run(&program, BLOCK, READ | MAKE, 254, 0),
            "not even while making it"
        );
        assert!(!run(&program, CHARACTER, READ, 1, 1), "nor /dev/mem");
        assert!(
            !run(&program, BLOCK, READ, 1, 3),
            "a block device with null's numbers"
        );
        assert!(!run(&program, CHARACTER, READ, 10, 229), "nor fuse");
    }

    #[test]
    fn a_device_of_the_user_is_allowed_as_far_as_said() {
        let device = spec::Device {
            path: None,
            kind: 'c',
            major: Some(10),
            minor: Some(229),
            access: "r".into(),
            mode: 0o600,
        };
        let program = program(&rules(&[device]));
        assert!(run(&program, CHARACTER, READ, 10, 229));
        assert!(!run(&program, CHARACTER, READ | WRITE, 10, 229));
    }
}
