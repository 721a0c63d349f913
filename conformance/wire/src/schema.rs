//! A schema of the description, as far as answers of engines use it (Swagger 2.0, "Schema Object").

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What one value may be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Schema {
    /// A definition to use instead: `#/definitions/NAME`.
    #[serde(rename = "$ref")]
    pub reference: Option<String>,
    /// `object`, `array`, `string`, `integer`, `number` or `boolean`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// A closer look at the kind: `int64`, `date-time`.
    pub format: Option<String>,
    /// Docker's mark for values that may be null.
    #[serde(rename = "x-nullable")]
    pub nullable: bool,
    /// The fields of an object.
    pub properties: BTreeMap<String, Schema>,
    /// What fields beside these are.
    #[serde(rename = "additionalProperties")]
    pub others: Option<Others>,
    /// Fields that must be there.
    pub required: Vec<String>,
    /// What each entry of an array is.
    pub items: Option<Box<Schema>>,
    /// Schemas that hold all at once.
    #[serde(rename = "allOf")]
    pub all_of: Vec<Schema>,
    /// The only values there are.
    #[serde(rename = "enum")]
    pub values: Vec<Value>,
    /// The least number.
    pub minimum: Option<f64>,
    /// The greatest number.
    pub maximum: Option<f64>,
    /// The least number of entries.
    #[serde(rename = "minItems")]
    pub min_items: Option<usize>,
    /// The greatest number of entries.
    #[serde(rename = "maxItems")]
    pub max_items: Option<usize>,
}

/// `additionalProperties`: whether there may be further fields, or what they are.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Others {
    /// Any, or none.
    Allowed(bool),
    /// These.
    Are(Box<Schema>),
}

impl Schema {
    /// The name of the definition that stands for this one.
    pub fn definition(&self) -> Option<&str> {
        self.reference.as_deref()?.strip_prefix("#/definitions/")
    }
}
