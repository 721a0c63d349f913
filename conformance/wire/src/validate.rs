//! A JSON value against a schema.
//!
//! Stricter than Swagger in one place: a field that the schema does not know is a fault, unless the schema has
//! `additionalProperties` or no fields at all. Swagger would let it pass, and a misspelt field with it.

use serde_json::Value;

use crate::description::Description;
use crate::schema::{Others, Schema};

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where: a JSON pointer (RFC 6901) in which `*` stands for any entry of an array or map.
    pub pointer: String,
    /// Which kind of fault, in a word or two: `null`, `unknown field`.
    pub what: &'static str,
    /// What is there and what is described.
    pub detail: String,
}

/// All faults of `value`.
pub(crate) fn faults(description: &Description, schema: &Schema, value: &Value) -> Vec<Fault> {
    let mut look = Look {
        description,
        faults: Vec::new(),
    };
    look.value(&[schema], value, "");
    look.faults
}

struct Look<'a> {
    description: &'a Description,
    faults: Vec<Fault>,
}

impl<'a> Look<'a> {
    fn fault(&mut self, pointer: &str, what: &'static str, detail: String) {
        let fault = Fault {
            pointer: pointer.to_owned(),
            what,
            detail,
        };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// `schemas` all hold for `value`.
    fn value(&mut self, schemas: &[&'a Schema], value: &Value, pointer: &str) {
        let description = self.description;
        let leaves: Vec<&Schema> = schemas
            .iter()
            .flat_map(|schema| description.leaves(schema))
            .collect();
        if value.is_null() {
            let nullable = schemas.iter().chain(&leaves).any(|schema| schema.nullable);
            if let Some(kind) = leaves.iter().find_map(|leaf| leaf.kind.as_deref())
                && !nullable
            {
                self.fault(
                    pointer,
                    "null",
                    format!("null, described as {}", named(kind)),
                );
            }
            return;
        }
        for leaf in &leaves {
            if let Some(kind) = &leaf.kind
                && !is(value, kind)
            {
                let detail = format!("{}, described as {}", shown(value), named(kind));
                return self.fault(pointer, "type", detail);
            }
        }
        for leaf in &leaves {
            self.scalar(leaf, value, pointer);
        }
        match value {
            Value::Object(fields) => self.object(&leaves, fields, pointer),
            Value::Array(entries) => self.array(&leaves, entries, pointer),
            _ => {}
        }
    }

    fn scalar(&mut self, leaf: &Schema, value: &Value, pointer: &str) {
        if !leaf.values.is_empty() && !leaf.values.contains(value) {
            let detail = format!(
                "{} is not among the values that are described",
                shown(value)
            );
            self.fault(pointer, "value", detail);
        }
        if let Some(format) = &leaf.format
            && !has_format(value, format)
        {
            self.fault(
                pointer,
                "format",
                format!("{} is no {format}", shown(value)),
            );
        }
        if let Some(number) = value.as_f64() {
            let low = leaf.minimum.is_some_and(|minimum| number < minimum);
            let high = leaf.maximum.is_some_and(|maximum| number > maximum);
            if low || high {
                let detail = format!("{number} is outside the range that is described");
                self.fault(pointer, "range", detail);
            }
        }
    }

    fn array(&mut self, leaves: &[&'a Schema], entries: &[Value], pointer: &str) {
        let few = |leaf: &&Schema| leaf.min_items.is_some_and(|least| entries.len() < least);
        let many = |leaf: &&Schema| leaf.max_items.is_some_and(|most| entries.len() > most);
        if leaves.iter().any(|leaf| few(leaf) || many(leaf)) {
            let detail = format!("{} entries, another number is described", entries.len());
            self.fault(pointer, "range", detail);
        }
        let items: Vec<&Schema> = leaves
            .iter()
            .filter_map(|leaf| leaf.items.as_deref())
            .collect();
        for entry in entries {
            self.value(&items, entry, &format!("{pointer}/*"));
        }
    }

    fn object(
        &mut self,
        leaves: &[&'a Schema],
        fields: &serde_json::Map<String, Value>,
        pointer: &str,
    ) {
        for name in leaves.iter().flat_map(|leaf| &leaf.required) {
            if !fields.contains_key(name) {
                let place = format!("{pointer}/{}", escaped(name));
                self.fault(
                    &place,
                    "missing",
                    "not there, described as required".to_owned(),
                );
            }
        }
        for (name, value) in fields {
            let known: Vec<&Schema> = leaves
                .iter()
                .filter_map(|leaf| leaf.properties.get(name))
                .collect();
            if !known.is_empty() {
                self.value(&known, value, &format!("{pointer}/{}", escaped(name)));
                continue;
            }
            match others(leaves) {
                Known::These(others) => self.value(&others, value, &format!("{pointer}/*")),
                Known::Any => {}
                Known::None => {
                    let place = format!("{pointer}/{}", escaped(name));
                    let detail = format!("{}, not described", shown(value));
                    self.fault(&place, "unknown field", detail);
                }
            }
        }
    }
}

/// What is known of fields that have no schema of their own.
enum Known<'a> {
    These(Vec<&'a Schema>),
    Any,
    None,
}

fn others<'a>(leaves: &[&'a Schema]) -> Known<'a> {
    let these: Vec<&Schema> = leaves
        .iter()
        .filter_map(|leaf| match &leaf.others {
            Some(Others::Are(schema)) => Some(schema.as_ref()),
            _ => None,
        })
        .collect();
    let open = |leaf: &&Schema| matches!(leaf.others, Some(Others::Allowed(true)));
    if !these.is_empty() {
        Known::These(these)
    } else if leaves.iter().any(open) || leaves.iter().all(|leaf| leaf.properties.is_empty()) {
        Known::Any
    } else {
        Known::None
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

/// Formats that the description uses and that can be told from a value. The others say nothing checkable
/// (`binary`) or are written where Docker means a text (`uri`).
fn has_format(value: &Value, format: &str) -> bool {
    let unsigned =
        |most: u64| value.as_u64().is_none_or(|number| number <= most) && !negative(value);
    match format {
        "int64" => value.is_i64() || !value.is_number(),
        "uint64" => unsigned(u64::MAX),
        "uint32" => unsigned(u32::MAX.into()),
        "uint16" => unsigned(u16::MAX.into()),
        "uint8" => unsigned(u8::MAX.into()),
        // Docker writes both.
        "date-time" | "dateTime" => value.as_str().is_none_or(is_date_time),
        _ => true,
    }
}

fn negative(value: &Value) -> bool {
    value.as_i64().is_some_and(|number| number < 0)
}

/// RFC 3339, section 5.6: `2006-01-02T15:04:05.999999999Z` or `…+07:00`.
fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return false;
    };
    let (time, zone) = match time.find(['Z', '+', '-']) {
        Some(position) => time.split_at(position),
        None => return false,
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, pattern)| {
                byte == pattern || (pattern == b'0' && byte.is_ascii_digit())
            })
    };
    shape(date, "0000-00-00")
        && shape(clock, "00:00:00")
        && digits(fraction)
        && (zone == "Z" || shape(zone, "+00:00") || shape(zone, "-00:00"))
}

/// With its article.
fn named(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}

/// A value in a message: its JSON, cut.
pub(crate) fn shown(value: &Value) -> String {
    const MOST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((position, _)) => format!("{}…", &text[..position]),
        None => text,
    }
}

/// A name as part of a pointer (RFC 6901, section 3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
