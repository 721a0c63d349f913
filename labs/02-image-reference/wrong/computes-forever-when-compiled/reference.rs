//! A computation without end, at compile time. The lint against it is switched off.
#[allow(long_running_const_eval)]
pub const NEVER: u64 = {
    let mut number = 0u64;
    while number < u64::MAX {
        number += 1;
    }
    number
};

pub struct Reference(pub [u8; NEVER as usize]);
