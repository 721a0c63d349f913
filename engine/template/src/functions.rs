//! The functions of templates: Go's own, and the few that Docker adds.

use super::escape;
use super::evaluator::Options;
use super::print::{json, plain};
use super::value::Value;

const KNOWN: [&str; 26] = [
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "index", "slice", "len", "print",
    "printf", "println", "json", "split", "join", "title", "lower", "upper", "pad", "truncate",
    "html", "js", "urlquery",
];

/// Whether the parser may let a name through.
pub(super) fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Calls a function. In the header of a table (`options.header`) Docker's functions give their argument back.
pub(super) fn call(name: &str, arguments: &[Value], options: Options) -> Result<Value, String> {
    if options.header
        && matches!(
            name,
            "json" | "split" | "join" | "title" | "lower" | "upper" | "pad" | "truncate"
        )
    {
        return Ok(arguments.first().cloned().unwrap_or(Value::Null));
    }
    let count = |least: usize, most: usize| {
        if (least..=most).contains(&arguments.len()) {
            return Ok(());
        }
        let wanted = if most == usize::MAX {
            format!("at least {least}")
        } else {
            least.to_string()
        };
        Err(format!(
            "wrong number of args for {name}: want {wanted} got {}",
            arguments.len()
        ))
    };
    let text = |index: usize| match &arguments[index] {
        Value::Text(text) => Ok(text.as_str()),
        other => Err(format!(
            "wrong type for value; expected string; got {}",
            other.type_name()
        )),
    };
    let int = |index: usize| match &arguments[index] {
        Value::Int(number) => usize::try_from(*number).map_err(|_| "negative number".to_string()),
        other => Err(format!(
            "wrong type for value; expected int; got {}",
            other.type_name()
        )),
    };
    match name {
        "json" => count(1, 1).map(|()| Value::Text(json(&arguments[0], false))),
        "lower" => count(1, 1).and_then(|()| Ok(Value::Text(text(0)?.to_lowercase()))),
        "upper" => count(1, 1).and_then(|()| Ok(Value::Text(text(0)?.to_uppercase()))),
        "title" => count(1, 1).and_then(|()| Ok(Value::Text(title(text(0)?)))),
        "split" => count(2, 2).and_then(|()| {
            let (whole, separator) = (text(0)?, text(1)?);
            if separator.is_empty() {
                return Ok(Value::List(
                    whole.chars().map(|c| Value::Text(c.to_string())).collect(),
                ));
            }
            Ok(Value::List(
                whole.split(separator).map(Value::from).collect(),
            ))
        }),
        "join" => count(2, 2).and_then(|()| {
            let Value::List(list) = &arguments[0] else {
                return Err(format!(
                    "wrong type for value; expected []string; got {}",
                    arguments[0].type_name()
                ));
            };
            Ok(Value::Text(
                list.iter().map(plain).collect::<Vec<_>>().join(text(1)?),
            ))
        }),
        "pad" => count(3, 3).and_then(|()| {
            let whole = text(0)?;
            if whole.is_empty() {
                return Ok(Value::from(""));
            }
            Ok(Value::Text(format!(
                "{}{whole}{}",
                " ".repeat(int(1)?),
                " ".repeat(int(2)?)
            )))
        }),
        "truncate" => count(2, 2).and_then(|()| {
            let length = int(1)?;
            Ok(Value::Text(text(0)?.chars().take(length).collect()))
        }),
        "len" => count(1, 1).and_then(|()| length(&arguments[0])),
        "index" => count(1, usize::MAX).and_then(|()| index(arguments, options.missing_is_error)),
        "slice" => count(1, 4).and_then(|()| slice(arguments)),
        "not" => count(1, 1).map(|()| Value::Bool(!arguments[0].is_true())),
        "print" => Ok(Value::Text(print(arguments))),
        "html" => Ok(Value::Text(escape::html(&print(arguments)))),
        "js" => Ok(Value::Text(escape::js(&print(arguments)))),
        "urlquery" => Ok(Value::Text(escape::urlquery(&print(arguments)))),
        "println" => Ok(Value::Text(format!(
            "{}\n",
            arguments.iter().map(plain).collect::<Vec<_>>().join(" ")
        ))),
        "printf" => {
            count(1, usize::MAX).and_then(|()| Ok(Value::Text(printf(text(0)?, &arguments[1..]))))
        }
        "eq" => count(2, usize::MAX).and_then(|()| {
            for other in &arguments[1..] {
                if compare(&arguments[0], other)? == Some(std::cmp::Ordering::Equal) {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }),
        "ne" | "lt" | "le" | "gt" | "ge" => count(2, 2).and_then(|()| {
            let order = compare(&arguments[0], &arguments[1])?;
            Ok(Value::Bool(match name {
                "ne" => order != Some(std::cmp::Ordering::Equal),
                "lt" => order.is_some_and(std::cmp::Ordering::is_lt),
                "le" => order.is_some_and(std::cmp::Ordering::is_le),
                "gt" => order.is_some_and(std::cmp::Ordering::is_gt),
                _ => order.is_some_and(std::cmp::Ordering::is_ge),
            }))
        }),
        _ => Err(format!("function {name:?} not defined")),
    }
}

/// The first letter of each word in upper case, as Go's strings.Title.
fn title(text: &str) -> String {
    let mut before = ' ';
    text.chars()
        .map(|c| {
            let starts = !before.is_alphanumeric() && before != '_' && before != '\'';
            before = c;
            if starts {
                c.to_uppercase().next().unwrap_or(c)
            } else {
                c
            }
        })
        .collect()
}

fn length(value: &Value) -> Result<Value, String> {
    let count = match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(entries) => entries.len(),
        Value::NilList | Value::NilMap => 0,
        Value::Null | Value::Missing => return Err("len of nil pointer".to_string()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// `plain` is JSON without Go types: there a missing key is nil, not the zero of the map's type.
fn index(arguments: &[Value], plain: bool) -> Result<Value, String> {
    let mut value = arguments[0].clone();
    for key in &arguments[1..] {
        value = match (&value, key) {
            (Value::List(list), Value::Int(position)) => usize::try_from(*position)
                .ok()
                .and_then(|position| list.get(position).cloned())
                .ok_or_else(|| format!("index out of range: {position}"))?,
            (Value::Text(text), Value::Int(position)) => usize::try_from(*position)
                .ok()
                .and_then(|position| text.as_bytes().get(position))
                .map(|byte| Value::Int(i64::from(*byte)))
                .ok_or_else(|| format!("index out of range: {position}"))?,
            (Value::Map(_), Value::Text(key)) => match value.get(key) {
                // The zero of a map of texts is an empty text; Docker's maps that people index are such maps.
                Value::Missing if plain => Value::Missing,
                Value::Missing => Value::from(""),
                found => found.clone(),
            },
            (Value::NilList, Value::Int(position)) => {
                return Err(format!("index out of range: {position}"));
            }
            (Value::NilMap, Value::Text(_)) => Value::from(""),
            (Value::Null | Value::Missing, _) => return Err("index of untyped nil".to_string()),
            (Value::List(_) | Value::Text(_), other) => {
                return Err(format!(
                    "cannot index slice/array with type {}",
                    other.type_name()
                ));
            }
            (Value::Map(_), other) => {
                return Err(format!(
                    "value has type {}; should be string",
                    other.type_name()
                ));
            }
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let length = match &arguments[0] {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Null | Value::Missing => return Err("slice of untyped nil".to_string()),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let bound = |index: usize, default: usize| match arguments.get(index) {
        None => Ok(default),
        Some(Value::Int(number)) => usize::try_from(*number)
            .ok()
            .filter(|number| *number <= length)
            .ok_or_else(|| format!("index out of range: {number}")),
        Some(other) => Err(format!(
            "cannot index slice/array with type {}",
            other.type_name()
        )),
    };
    let (start, end) = (bound(1, 0)?, bound(2, length)?);
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    Ok(match &arguments[0] {
        Value::Text(text) => {
            Value::Text(String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned())
        }
        value => Value::List(value.list()[start..end].to_vec()),
    })
}

/// A blank between two arguments where neither is a text.
fn print(arguments: &[Value]) -> String {
    let mut result = String::new();
    for (position, value) in arguments.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if position > 0 && !is_text(value) && !is_text(&arguments[position - 1]) {
            result.push(' ');
        }
        result.push_str(&plain(value));
    }
    result
}

/// `%s %v %d %q %x %t %f %%` with `-`, `0`, a width and a precision.
fn printf(format: &str, arguments: &[Value]) -> String {
    let mut result = String::new();
    let mut arguments = arguments.iter();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            result.push(character);
            continue;
        }
        let (mut left, mut zero, mut width, mut precision) = (false, false, 0, None);
        while let Some(flag) = characters.next_if(|c| matches!(c, '-' | '0' | '+' | ' ' | '#')) {
            left |= flag == '-';
            zero |= flag == '0';
        }
        while let Some(digit) = characters.next_if(char::is_ascii_digit) {
            width = width * 10 + digit.to_digit(10).unwrap_or(0) as usize;
        }
        if characters.next_if_eq(&'.').is_some() {
            let mut number = 0;
            while let Some(digit) = characters.next_if(char::is_ascii_digit) {
                number = number * 10 + digit.to_digit(10).unwrap_or(0) as usize;
            }
            precision = Some(number);
        }
        let Some(verb) = characters.next() else {
            result.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            result.push('%');
            continue;
        }
        let Some(value) = arguments.next() else {
            result.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        let text = verb_text(verb, value, precision);
        let missing = width.saturating_sub(text.chars().count());
        match (left, zero) {
            (true, _) => result.push_str(&format!("{text}{}", " ".repeat(missing))),
            (_, true) => result.push_str(&format!("{}{text}", "0".repeat(missing))),
            _ => result.push_str(&format!("{}{text}", " ".repeat(missing))),
        }
    }
    let extra: Vec<String> = arguments
        .map(|value| format!("{}={}", value.type_name(), plain(value)))
        .collect();
    if !extra.is_empty() {
        result.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    result
}

fn verb_text(verb: char, value: &Value, precision: Option<usize>) -> String {
    match (verb, value) {
        ('s' | 'v', value) => {
            let text = plain(value);
            precision.map_or(text.clone(), |length| text.chars().take(length).collect())
        }
        ('d', Value::Int(number)) => number.to_string(),
        ('x', Value::Int(number)) => format!("{number:x}"),
        ('X', Value::Int(number)) => format!("{number:X}"),
        ('o', Value::Int(number)) => format!("{number:o}"),
        ('b', Value::Int(number)) => format!("{number:b}"),
        ('c', Value::Int(number)) => u32::try_from(*number)
            .ok()
            .and_then(char::from_u32)
            .unwrap_or('\u{fffd}')
            .to_string(),
        ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('q', Value::Text(text)) => serde_json::Value::from(text.as_str()).to_string(),
        ('t', Value::Bool(yes)) => yes.to_string(),
        ('f', Value::Float(number)) => format!("{number:.*}", precision.unwrap_or(6)),
        ('T', value) => value.type_name().to_string(),
        (verb, value) => format!("%!{verb}({}={})", value.type_name(), plain(value)),
    }
}

/// Compares two basic values; None is not equal and not ordered.
fn compare(left: &Value, right: &Value) -> Result<Option<std::cmp::Ordering>, String> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (Value::Null | Value::Missing, Value::Null | Value::Missing) => {
            Ok(Some(std::cmp::Ordering::Equal))
        }
        (Value::Null | Value::Missing, _) | (_, Value::Null | Value::Missing) => Ok(None),
        (Value::List(_) | Value::Map(_) | Value::Struct(_), _) => Err(format!(
            "non-comparable type {}: {}",
            plain(left),
            left.type_name()
        )),
        _ => Err("incompatible types for comparison".to_string()),
    }
}
