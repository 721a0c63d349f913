//! Runs classic BPF programs as the kernel's seccomp does, for tests.

use super::compile::{
    AND, Instruction, JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_OR_EQUAL, LOAD, RETURN,
};

/// Two that only other compilers use: jump if any bit is set (BPF_JMP|BPF_JSET|BPF_K).
const JUMP_SET: u16 = 0x45;

/// `struct seccomp_data` without the instruction pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u32,
    pub(crate) architecture: u32,
    pub(crate) arguments: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        let mut bytes = [0; 64];
        bytes[..4].copy_from_slice(&self.number.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.architecture.to_le_bytes());
        for (index, argument) in self.arguments.iter().enumerate() {
            bytes[16 + 8 * index..][..8].copy_from_slice(&argument.to_le_bytes());
        }
        let offset = offset as usize;
        assert!(
            offset.is_multiple_of(4) && offset < 64,
            "the kernel refuses a load at {offset}"
        );
        u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
    }
}

/// Reads a program as the kernel gets it.
pub(crate) fn parse(bytes: &[u8]) -> Vec<Instruction> {
    assert!(bytes.len().is_multiple_of(8) && !bytes.is_empty() && bytes.len() <= 8 * 4096);
    let instruction = |bytes: &[u8]| Instruction {
        code: u16::from_le_bytes([bytes[0], bytes[1]]),
        jump_true: bytes[2],
        jump_false: bytes[3],
        value: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    };
    bytes.chunks(8).map(instruction).collect()
}

/// How a program ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What it returned.
    pub(crate) value: u32,
    /// How many instructions that took.
    pub(crate) steps: usize,
    /// It looked at an argument, so other arguments may have another outcome.
    pub(crate) looked_at_arguments: bool,
}

/// Runs a program. Panics where the kernel would refuse it.
pub(crate) fn run(program: &[Instruction], call: &Call) -> Outcome {
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    let mut looked_at_arguments = false;
    loop {
        let Instruction {
            code,
            jump_true,
            jump_false,
            value,
        } = program[at];
        at += 1;
        steps += 1;
        let holds = match code {
            LOAD => {
                accumulator = call.word(value);
                looked_at_arguments |= value >= 16;
                continue;
            }
            AND => {
                accumulator &= value;
                continue;
            }
            JUMP => {
                at += value as usize;
                continue;
            }
            RETURN => {
                return Outcome {
                    value,
                    steps,
                    looked_at_arguments,
                };
            }
            JUMP_EQUAL => accumulator == value,
            JUMP_GREATER => accumulator > value,
            JUMP_GREATER_OR_EQUAL => accumulator >= value,
            JUMP_SET => accumulator & value != 0,
            other => panic!("no such instruction: {other:#x}"),
        };
        at += usize::from(if holds { jump_true } else { jump_false });
    }
}
