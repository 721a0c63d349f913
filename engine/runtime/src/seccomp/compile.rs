//! From decisions to classic BPF (seccomp(2), linux/filter.h).
//!
//! ```text
//! load the architecture; not ours: see the end
//! load the number
//! number >= 170?            a balanced tree: six comparisons decide among sixty ranges
//!   number >= 300? …
//!     return ALLOW          a leaf: a range of numbers with the same answer
//!     load argument 0 …     or the clauses of one call
//! another architecture: its own tree
//! return KILL_PROCESS
//! ```
//!
//! Jumps are relative and only forward, so every part is built by itself and put together; a conditional jump
//! reaches 255 instructions, a `ja` any distance.

use super::{
    Error,
    architecture::{Table, X32_BIT},
    profile::Operator,
    resolve::{Action, Clause, Condition, Policy},
};

/// `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jump_true: u8,
    pub(crate) jump_false: u8,
    pub(crate) value: u32,
}

/// Load a 32-bit word of `struct seccomp_data` (BPF_LD|BPF_W|BPF_ABS).
pub(crate) const LOAD: u16 = 0x20;
/// Jump if equal, greater, greater or equal; jump always; and; return.
pub(crate) const JUMP_EQUAL: u16 = 0x15;
pub(crate) const JUMP_GREATER: u16 = 0x25;
pub(crate) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
pub(crate) const JUMP: u16 = 0x05;
pub(crate) const AND: u16 = 0x54;
pub(crate) const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The most instructions that the kernel takes (BPF_MAXINSNS).
const MOST: usize = 4096;

impl Instruction {
    const fn new(code: u16, value: u32) -> Instruction {
        Instruction {
            code,
            jump_true: 0,
            jump_false: 0,
            value,
        }
    }

    const fn result(action: Action) -> Instruction {
        Instruction::new(RETURN, action.0)
    }

    /// As the kernel reads it.
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        let ([c0, c1], [v0, v1, v2, v3]) = (self.code.to_ne_bytes(), self.value.to_ne_bytes());
        [c0, c1, self.jump_true, self.jump_false, v0, v1, v2, v3]
    }
}

type Code = Vec<Instruction>;

/// The program for all policies; the first is the native one.
pub(crate) fn program(policies: &[Policy]) -> Result<Code, Error> {
    let mut code = vec![Instruction::new(LOAD, ARCHITECTURE)];
    for table in policies
        .iter()
        .map(|policy| policy.table)
        .filter(|table| *table != Table::X32)
    {
        let mut ranges = Vec::new();
        // x32 shares its architecture value with x86-64 and is the upper part of its numbers.
        for policy in policies
            .iter()
            .filter(|policy| policy.table.audit_value() == table.audit_value())
        {
            ranges.extend(self::ranges(policy));
        }
        let wide = ranges.last().is_some_and(|range| range.start >= X32_BIT);
        if table == Table::X86_64 && !wide {
            ranges.push(Range {
                start: X32_BIT,
                leaf: Leaf::Return(Action::ENOSYS),
            });
        }
        ranges.sort_by_key(|range| range.start);
        ranges.dedup_by(|next, previous| next.leaf == previous.leaf);
        let mut body = vec![Instruction::new(LOAD, NUMBER)];
        body.extend(tree(&ranges));
        // Not this architecture: over its tree, with the value still loaded.
        code.push(Instruction {
            code: JUMP_EQUAL,
            jump_true: 1,
            jump_false: 0,
            value: table.audit_value(),
        });
        code.push(jump(body.len()));
        code.extend(body);
    }
    code.push(Instruction::result(Action::KILL_PROCESS));
    if code.len() > MOST {
        Err(Error::TooLong(code.len()))
    } else {
        Ok(code)
    }
}

/// Numbers from `start` up to the next range.
#[derive(Debug)]
struct Range {
    start: u32,
    leaf: Leaf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Leaf {
    Return(Action),
    /// The first clause that holds, or the action.
    Check(Vec<Clause>, Action),
}

/// The ranges of a table, in order; the first begins at the table's lowest number.
fn ranges(policy: &Policy) -> Vec<Range> {
    let mut ranges = Vec::new();
    let mut next = if policy.table == Table::X32 {
        X32_BIT
    } else {
        0
    };
    for (number, clauses) in &policy.decisions {
        if *number > next {
            ranges.push(Range {
                start: next,
                leaf: Leaf::Return(policy.default),
            });
        }
        let leaf = match clauses.as_slice() {
            [Clause { conditions, action }] if conditions.is_empty() => Leaf::Return(*action),
            clauses => Leaf::Check(clauses.to_vec(), policy.default),
        };
        ranges.push(Range {
            start: *number,
            leaf,
        });
        next = number + 1;
    }
    if policy.newest.is_none_or(|newest| newest >= next) {
        ranges.push(Range {
            start: next,
            leaf: Leaf::Return(policy.default),
        });
    }
    if let Some(newest) = policy.newest {
        ranges.push(Range {
            start: newest + 1,
            leaf: Leaf::Return(Action::ENOSYS),
        });
    }
    ranges
}

fn tree(ranges: &[Range]) -> Code {
    match ranges {
        [] => vec![Instruction::result(Action::KILL_PROCESS)],
        [range] => leaf(&range.leaf),
        _ => {
            let (lower, upper) = ranges.split_at(ranges.len() / 2);
            let (left, right) = (tree(lower), tree(upper));
            let mut code = Vec::with_capacity(left.len() + right.len() + 2);
            let pivot = upper[0].start;
            match u8::try_from(left.len()) {
                Ok(distance) => {
                    code.push(Instruction {
                        code: JUMP_GREATER_OR_EQUAL,
                        jump_true: distance,
                        jump_false: 0,
                        value: pivot,
                    });
                }
                Err(_) => {
                    code.push(Instruction {
                        code: JUMP_GREATER_OR_EQUAL,
                        jump_true: 0,
                        jump_false: 1,
                        value: pivot,
                    });
                    code.push(jump(left.len()));
                }
            }
            code.extend(left);
            code.extend(right);
            code
        }
    }
}

fn jump(distance: usize) -> Instruction {
    // Programs have at most 4096 instructions; a longer one is refused at the end.
    Instruction::new(JUMP, u32::try_from(distance).unwrap_or(u32::MAX))
}

fn leaf(leaf: &Leaf) -> Code {
    match leaf {
        Leaf::Return(action) => vec![Instruction::result(*action)],
        Leaf::Check(clauses, default) => {
            let mut code: Code = clauses.iter().flat_map(clause).collect();
            code.push(Instruction::result(*default));
            code
        }
    }
}

/// Where a comparison leads: on, or to the end of the condition, or out of the clause.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Next,
    Holds,
    Fails,
}

/// An instruction whose jumps are not yet distances.
struct Step {
    instruction: Instruction,
    if_true: Target,
    if_false: Target,
}

/// Returns the action if all conditions hold, otherwise falls out at its end.
fn clause(clause: &Clause) -> Code {
    let conditions: Vec<Vec<Step>> = clause.conditions.iter().map(condition).collect();
    let length = conditions.iter().map(Vec::len).sum::<usize>() + 1;
    let mut code = Code::with_capacity(length);
    for steps in conditions {
        let end = code.len() + steps.len();
        for step in steps {
            let after = code.len() + 1;
            // At most six conditions of six steps: every distance fits.
            let distance = |target: Target| match target {
                Target::Next => 0,
                Target::Holds => (end - after) as u8,
                Target::Fails => (length - after) as u8,
            };
            let (jump_true, jump_false) = (distance(step.if_true), distance(step.if_false));
            code.push(Instruction {
                jump_true,
                jump_false,
                ..step.instruction
            });
        }
    }
    code.push(Instruction::result(clause.action));
    code
}

/// Falls through (or jumps to `Holds`) if the condition holds.
fn condition(condition: &Condition) -> Vec<Step> {
    let argument = condition.argument;
    let (mask, value) = match argument.op {
        Operator::MaskedEqual => (Some(argument.value), argument.value_two),
        _ => (None, argument.value),
    };
    // Registers are little endian in memory on every architecture here: the lower half comes first.
    let offset = ARGUMENTS + 8 * u32::from(argument.index);
    let mut steps = Vec::new();
    if !condition.lower_half {
        steps.extend(load(offset + 4, mask.map(|mask| (mask >> 32) as u32)));
        steps.extend(upper_half(argument.op, (value >> 32) as u32));
    }
    steps.extend(load(offset, mask.map(|mask| mask as u32)));
    steps.push(lower_half(argument.op, value as u32));
    steps
}

fn load(offset: u32, mask: Option<u32>) -> Vec<Step> {
    let step = |instruction| Step {
        instruction,
        if_true: Target::Next,
        if_false: Target::Next,
    };
    let mut steps = vec![step(Instruction::new(LOAD, offset))];
    steps.extend(mask.map(|mask| step(Instruction::new(AND, mask))));
    steps
}

/// Goes on if the upper halves are equal, so that the lower ones decide.
fn upper_half(operator: Operator, value: u32) -> Vec<Step> {
    let (if_greater, if_less) = match operator {
        Operator::Equal | Operator::MaskedEqual => (None, Target::Fails),
        Operator::NotEqual => (None, Target::Holds),
        Operator::Greater | Operator::GreaterOrEqual => (Some(Target::Holds), Target::Fails),
        Operator::Less | Operator::LessOrEqual => (Some(Target::Fails), Target::Holds),
    };
    let greater = if_greater.map(|if_true| Step {
        instruction: Instruction::new(JUMP_GREATER, value),
        if_true,
        if_false: Target::Next,
    });
    let equal = Step {
        instruction: Instruction::new(JUMP_EQUAL, value),
        if_true: Target::Next,
        if_false: if_less,
    };
    greater.into_iter().chain([equal]).collect()
}

fn lower_half(operator: Operator, value: u32) -> Step {
    let (code, holds) = match operator {
        Operator::Equal | Operator::MaskedEqual => (JUMP_EQUAL, true),
        Operator::NotEqual => (JUMP_EQUAL, false),
        Operator::Greater => (JUMP_GREATER, true),
        Operator::LessOrEqual => (JUMP_GREATER, false),
        Operator::GreaterOrEqual => (JUMP_GREATER_OR_EQUAL, true),
        Operator::Less => (JUMP_GREATER_OR_EQUAL, false),
    };
    let (if_true, if_false) = if holds {
        (Target::Next, Target::Fails)
    } else {
        (Target::Fails, Target::Next)
    };
    Step {
        instruction: Instruction::new(code, value),
        if_true,
        if_false,
    }
}
