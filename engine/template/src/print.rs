//! Values as text: as Go's `%v` prints them, and as JSON.

use super::value::Value;

/// `%v`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Missing => "<no value>".to_string(),
        Value::Null => "<nil>".to_string(),
        Value::NilList => "[]".to_string(),
        Value::NilMap => "map[]".to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => float(*number),
        Value::Text(text) => text.clone(),
        Value::Shown(shown) => shown.printed.clone(),
        Value::List(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Map(entries) => {
            // Go prints maps sorted by key.
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key}:{}", plain(value)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
        Value::Struct(object) => {
            format!(
                "{{{}}}",
                object
                    .fields
                    .iter()
                    .map(|field| plain(&field.value))
                    .collect::<Vec<_>>()
                    .join(" ")
            )
        }
    }
}

/// `%v` of a float64: `1.5`, `1e+06`, `1.983082e+06`.
pub(super) fn float(number: f64) -> String {
    let exponent = if number == 0.0 {
        0.0
    } else {
        number.abs().log10().floor()
    };
    if (-4.0..21.0).contains(&exponent) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent
                .strip_prefix('-')
                .map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

/// Compact JSON. `for_html` escapes `<`, `>` and `&`, as Go's encoder does unless it is told not to.
pub fn json(value: &Value, for_html: bool) -> String {
    match value {
        Value::Missing | Value::Null | Value::NilList | Value::NilMap => "null".to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => float(*number),
        Value::Text(text) => quote(text, for_html),
        Value::Shown(shown) => json(&shown.value, for_html),
        Value::List(list) => format!(
            "[{}]",
            list.iter()
                .map(|value| json(value, for_html))
                .collect::<Vec<_>>()
                .join(",")
        ),
        Value::Map(entries) => object(entries.iter().map(|(key, value)| (key, value)), for_html),
        Value::Struct(record) => {
            // The rows of tables have a JSON method of their own, which escapes.
            let for_html =
                for_html || record.labels.is_some() || record.type_name.starts_with("*formatter.");
            let sent = record.fields.iter().filter(|field| field.sent);
            object(
                sent.map(|field| (field.key.as_ref().unwrap_or(&field.name), &field.value)),
                for_html,
            )
        }
    }
}

fn object<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>, for_html: bool) -> String {
    let entries: Vec<String> = entries
        .map(|(key, value)| format!("{}:{}", quote(key, for_html), json(value, for_html)))
        .collect();
    format!("{{{}}}", entries.join(","))
}

fn quote(text: &str, for_html: bool) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let quoted = quoted
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029");
    if !for_html {
        return quoted;
    }
    quoted
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// Go's json.Indent on a JSON text: its order, numbers and escapes stay as they are.
pub fn indent(text: &str, step: &str) -> String {
    let mut result = String::with_capacity(text.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if quoted {
            result.push(character);
            quoted = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        match character {
            '"' => {
                quoted = true;
                result.push('"');
            }
            '{' | '[' => {
                result.push(character);
                while characters.peek().is_some_and(|next| next.is_whitespace()) {
                    characters.next();
                }
                // Empty ones stay on one line.
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    result.push(end);
                } else {
                    depth += 1;
                    new_line(&mut result, step, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut result, step, depth);
                result.push(character);
            }
            ',' => {
                result.push(',');
                new_line(&mut result, step, depth);
            }
            ':' => result.push_str(": "),
            space if space.is_whitespace() => {}
            other => result.push(other),
        }
    }
    result
}

fn new_line(result: &mut String, step: &str, depth: usize) {
    result.push('\n');
    for _ in 0..depth {
        result.push_str(step);
    }
}

/// A duration as Go writes it: `200ms`, `1m30s`, `1.5s`.
pub fn duration(length: std::time::Duration) -> String {
    let nanoseconds = length.as_nanos();
    let fraction = |value: u128, unit: u128| {
        let rest = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        match rest.trim_end_matches('0') {
            "" => (value / unit).to_string(),
            rest => format!("{}.{rest}", value / unit),
        }
    };
    match nanoseconds {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{nanoseconds}ns"),
        1_000..1_000_000 => return format!("{}µs", fraction(nanoseconds, 1_000)),
        1_000_000..1_000_000_000 => return format!("{}ms", fraction(nanoseconds, 1_000_000)),
        _ => {}
    }
    let minutes = nanoseconds / (60 * 1_000_000_000);
    let seconds = fraction(nanoseconds % (60 * 1_000_000_000), 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        let text = |nanoseconds| duration(std::time::Duration::from_nanos(nanoseconds));
        for (nanoseconds, expected) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (200_000_000, "200ms"),
            (1_500_000_000, "1.5s"),
            (30_000_000_000, "30s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (5_400_050_000_000, "1h30m0.05s"),
        ] {
            assert_eq!(text(nanoseconds), expected);
        }
    }
}
