//! Numbers as Go's strconv reads them with base 0, for templates and for flags, with its error texts.

/// A signed number in Go's notation (`10`, `0x1f`, `0o17`, `0b1`).
pub fn integer(text: &str) -> Result<i64, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let fault = |what: &str| format!("strconv.ParseInt: parsing {text:?}: {what}");
    let magnitude = magnitude(digits).map_err(fault)?;
    let value = if negative {
        -i128::from(magnitude)
    } else {
        i128::from(magnitude)
    };
    i64::try_from(value).map_err(|_| fault("value out of range"))
}

/// An unsigned number of at most `bits` bits.
pub fn unsigned(text: &str, bits: u32) -> Result<u64, String> {
    let fault = |what: &str| format!("strconv.ParseUint: parsing {text:?}: {what}");
    let value = magnitude(text).map_err(fault)?;
    if bits < 64 && value >> bits != 0 {
        return Err(fault("value out of range"));
    }
    Ok(value)
}

fn magnitude(digits: &str) -> Result<u64, &'static str> {
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err("invalid syntax");
    }
    u64::from_str_radix(digits, radix).map_err(|_| "value out of range")
}
