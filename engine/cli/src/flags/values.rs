//! The values of flags: numbers, sizes, durations. Error texts are those that Docker's users see, which
//! come from Go's `strconv` and Docker's `go-units`.

pub use drydock_template::number::{integer, unsigned};

/// `true`, `T`, `1`, … as Go's strconv.ParseBool.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {text:?}: invalid syntax"
        )),
    }
}

/// A signed decimal number, as Go's strconv.ParseInt with base 10.
pub fn integer_base_ten(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_ascii_digit()) {
        return Err(format!(
            "strconv.ParseInt: parsing {text:?}: invalid syntax"
        ));
    }
    text.parse()
        .map_err(|_| format!("strconv.ParseInt: parsing {text:?}: value out of range"))
}

/// `512m`, `1.5g`, `64KiB`: bytes, in powers of 1024.
pub fn bytes(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Err("invalid size: ''".to_string());
    }
    let Some(position) = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ') else {
        return Err(format!("invalid size: '{text}'"));
    };
    let number = text[..=position]
        .strip_suffix(' ')
        .unwrap_or(&text[..=position]);
    let suffix = text[position + 1..].to_lowercase();
    let value: f64 = number
        .parse()
        .map_err(|_| format!("strconv.ParseFloat: parsing {number:?}: invalid syntax"))?;
    if value < 0.0 {
        return Err(format!("invalid size: '{text}'"));
    }
    let bad = || format!("invalid suffix: '{suffix}'");
    let unit = suffix
        .strip_suffix("ib")
        .or_else(|| suffix.strip_suffix('b'))
        .unwrap_or(&suffix);
    let power = match unit {
        "" if suffix != "ib" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(bad()),
    };
    // Sizes of more than 8 EiB do not exist; the conversion saturates there.
    #[allow(clippy::cast_possible_truncation)]
    Ok((value * 1024_f64.powi(power)) as i64)
}

/// [`bytes`], or `-1` for no limit.
pub fn swap_bytes(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { bytes(text) }
}

/// `1.5` CPUs as billionths. Exact decimal arithmetic: `0.1` is 100,000,000 and not one less.
pub fn nano_cpus(text: &str) -> Result<i64, String> {
    let bad = || format!("failed to parse {text} as a rational number");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.chars().all(|digit| digit.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(bad());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".to_string());
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| bad())?
    };
    let nanos: i64 = format!("{fraction:0<9}").parse().map_err(|_| bad())?;
    let value = whole
        .checked_mul(1_000_000_000)
        .and_then(|value| value.checked_add(nanos))
        .ok_or_else(bad)?;
    Ok(if negative { -value } else { value })
}

/// `1h2m3.5s` in nanoseconds, as Go's time.ParseDuration.
pub fn duration_nanos(text: &str) -> Result<i64, String> {
    let bad = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| bad())?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            unit => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        total += number * unit;
        rest = &rest[end..];
    }
    if total > 9.2e18 {
        return Err(bad());
    }
    // Below 2^63 after the check above.
    #[allow(clippy::cast_possible_truncation)]
    let nanos = total.round() as i64;
    Ok(if negative { -nanos } else { nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, value) in [
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("32k", 32 << 10),
            ("6m", 6 << 20),
            ("6M", 6 << 20),
            ("6MB", 6 << 20),
            ("6MiB", 6 << 20),
            ("1.5g", 3 << 29),
            ("1 g", 1 << 30),
            ("2t", 2 << 40),
        ] {
            assert_eq!(bytes(text), Ok(value), "{text}");
        }
        for (text, fault) in [
            ("5x", "invalid suffix: 'x'"),
            ("5bb", "invalid suffix: 'bb'"),
            ("5ib", "invalid suffix: 'ib'"),
            ("5kilo", "invalid suffix: 'kilo'"),
            ("-1", "invalid size: '-1'"),
            ("", "invalid size: ''"),
            ("m", "invalid size: 'm'"),
        ] {
            assert_eq!(bytes(text), Err(fault.to_string()), "{text}");
        }
        assert_eq!(swap_bytes("-1"), Ok(-1));
    }

    #[test]
    fn cpus() {
        assert_eq!(nano_cpus("0.1"), Ok(100_000_000));
        assert_eq!(nano_cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(nano_cpus(".5"), Ok(500_000_000));
        assert_eq!(
            nano_cpus("0.0000000001"),
            Err("value is too precise".to_string())
        );
        assert_eq!(
            nano_cpus("z"),
            Err("failed to parse z as a rational number".to_string())
        );
    }

    #[test]
    fn durations() {
        assert_eq!(duration_nanos("1m30s"), Ok(90_000_000_000));
        assert_eq!(duration_nanos("1.5ms"), Ok(1_500_000));
        assert_eq!(duration_nanos("0"), Ok(0));
        assert_eq!(duration_nanos("-2h"), Ok(-7_200_000_000_000));
        assert_eq!(
            duration_nanos("5"),
            Err("time: missing unit in duration \"5\"".to_string())
        );
        assert_eq!(
            duration_nanos("5y"),
            Err("time: unknown unit \"y\" in duration \"5y\"".to_string())
        );
        assert_eq!(
            duration_nanos("x"),
            Err("time: invalid duration \"x\"".to_string())
        );
    }

    #[test]
    fn numbers() {
        assert_eq!(integer("0x10"), Ok(16));
        assert_eq!(integer("-5"), Ok(-5));
        assert_eq!(integer("-9223372036854775808"), Ok(i64::MIN));
        assert!(
            integer("9223372036854775808")
                .unwrap_err()
                .ends_with("value out of range")
        );
        assert_eq!(unsigned("65535", 16), Ok(65535));
        assert!(
            unsigned("65536", 16)
                .unwrap_err()
                .ends_with("value out of range")
        );
        assert!(unsigned("-1", 16).unwrap_err().ends_with("invalid syntax"));
        assert_eq!(boolean("T"), Ok(true));
    }
}
