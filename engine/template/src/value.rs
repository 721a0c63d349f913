//! What a template works on: JSON with its order kept, and where Docker's client has a Go struct, the struct.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A key that a map does not have.
    Missing,
    /// `null`, a nil pointer.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A nil list of a Go struct: prints as an empty list, and as `null` in JSON.
    NilList,
    /// A nil map of a Go struct.
    NilMap,
    /// An object whose keys are data.
    Map(Vec<(String, Value)>),
    /// An object whose keys are a Go struct's fields.
    Struct(Struct),
    /// What Go prints otherwise than it writes it as JSON.
    Shown(Box<Shown>),
}

/// A time or a duration.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Go's name of the type, for error texts.
    pub type_name: &'static str,
    /// As `%v` prints it.
    pub printed: String,
    /// As it is in JSON.
    pub value: Value,
}

/// A Go struct: its fields exist even where the JSON left them out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Struct {
    /// Go's name of the type, for error texts.
    pub type_name: String,
    /// The fields in Go's order.
    pub fields: Vec<Field>,
    /// What the method `Label` knows, for rows of a table.
    pub labels: Option<Vec<(String, String)>>,
}

/// A field of a [`Struct`].
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name in Go.
    pub name: String,
    /// Its name in JSON, where that is another one: `Id` of the field `ID`.
    pub key: Option<String>,
    /// Its value; Go's zero where the JSON had none.
    pub value: Value,
    /// It was in the JSON, and is written when this is written as JSON.
    pub sent: bool,
}

impl Value {
    /// A struct of texts, as the rows of tables are.
    pub fn row(type_name: &str, fields: Vec<(&str, Value)>) -> Value {
        let fields = fields
            .into_iter()
            .map(|(name, value)| Field {
                name: name.to_string(),
                key: None,
                value,
                sent: true,
            })
            .collect();
        Value::Struct(Struct {
            type_name: type_name.to_string(),
            fields,
            labels: None,
        })
    }

    /// The member of an object, or [`Value::Missing`].
    pub fn get(&self, name: &str) -> &Value {
        match self {
            Value::Map(entries) => entries
                .iter()
                .find(|(key, _)| key == name)
                .map_or(&Value::Missing, |(_, value)| value),
            Value::Struct(object) => object
                .fields
                .iter()
                .find(|field| field.name == name)
                .map_or(&Value::Missing, |field| &field.value),
            _ => &Value::Missing,
        }
    }

    /// The member of a map, to change it.
    pub fn entry_mut(&mut self, name: &str) -> Option<&mut Value> {
        match self {
            Value::Map(entries) => entries
                .iter_mut()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, or an empty one.
    pub fn text(&self) -> &str {
        match self {
            Value::Text(text) => text,
            _ => "",
        }
    }

    /// The number, or 0.
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(number) => *number,
            _ => 0,
        }
    }

    /// The truth, or false.
    pub fn bool(&self) -> bool {
        matches!(self, Value::Bool(true))
    }

    /// The list's members.
    pub fn list(&self) -> &[Value] {
        match self {
            Value::List(list) => list,
            _ => &[],
        }
    }

    /// The object's entries.
    pub fn entries(&self) -> &[(String, Value)] {
        match self {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Go's idea of truth: not zero, not empty, not nil.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Missing | Value::Null | Value::NilList | Value::NilMap => false,
            Value::Bool(yes) => *yes,
            Value::Int(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(list) => !list.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
            Value::Struct(_) => true,
            Value::Shown(shown) => shown.value.is_true(),
        }
    }

    /// Go's name of the type, for error texts.
    pub fn type_name(&self) -> &str {
        match self {
            Value::Missing | Value::Null => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::List(_) | Value::NilList => "[]interface {}",
            Value::Map(_) | Value::NilMap => "map[string]interface {}",
            Value::Struct(object) => &object.type_name,
            Value::Shown(shown) => shown.type_name,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_string())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    // A number above i64 loses its last digits; no field of the API has one.
    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
