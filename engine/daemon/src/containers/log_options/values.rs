//! Values of options as Go's strconv, its time package and Docker's go-units read them, with their texts.

use std::time::Duration;

/// As strconv.ParseBool.
pub fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {text:?}: invalid syntax"
        )),
    }
}

/// As strconv.Atoi.
pub fn number(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("strconv.Atoi: parsing {text:?}: invalid syntax"));
    }
    text.parse()
        .map_err(|_| format!("strconv.Atoi: parsing {text:?}: value out of range"))
}

/// As strconv.ParseUint with base 10.
pub fn unsigned(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "strconv.ParseUint: parsing {text:?}: invalid syntax"
        ));
    }
    text.parse()
        .map_err(|_| format!("strconv.ParseUint: parsing {text:?}: value out of range"))
}

/// `10m` as bytes in powers of 1000: go-units' FromHumanSize.
pub fn decimal_size(text: &str) -> Result<u64, String> {
    size(text, 1000.0)
}

/// `10m` as bytes in powers of 1024: go-units' RAMInBytes.
pub fn binary_size(text: &str) -> Result<u64, String> {
    size(text, 1024.0)
}

fn size(text: &str, base: f64) -> Result<u64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let end = text
        .rfind(|letter: char| letter.is_ascii_digit() || matches!(letter, '.' | ' '))
        .ok_or_else(invalid)?;
    let (number, unit) = text.split_at(end + 1);
    let number: f64 = number
        .strip_suffix(' ')
        .unwrap_or(number)
        .parse()
        .map_err(|_| invalid())?;
    if number.is_nan() || number < 0.0 {
        return Err(invalid());
    }
    let lower = unit.to_lowercase();
    let wrong = || format!("invalid suffix: '{lower}'");
    let power = match lower.strip_suffix("ib").or(lower.strip_suffix('b')) {
        Some("") if lower == "ib" => return Err(wrong()),
        Some(prefix) => prefix,
        None => &lower,
    };
    let power = match power {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(wrong()),
    };
    // What is larger than 64 bits is as good as unlimited; the conversion saturates there.
    Ok((number * base.powi(power)) as u64)
}

/// `1m30s`, `-2ms`: time.ParseDuration. None before the text is negative.
pub fn duration(text: &str) -> Result<(bool, Duration), String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Ok((negative, Duration::ZERO));
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .ok_or_else(|| format!("time: missing unit in duration {text:?}"))?;
        let (number, after) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let end = after
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => {
                return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
            }
        };
        seconds += number * factor;
        rest = after;
    }
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| invalid())?;
    Ok((negative, duration))
}
