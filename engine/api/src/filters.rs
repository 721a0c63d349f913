//! The `filters` parameter: a JSON object, in the form of today (`{"label":["a"]}`) or in that of before 1.22
//! (`{"label":{"a":true}}`), which the docker CLI still sends.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Error;

/// Parsed filters. Values of one name are alternatives, names together are conditions, except where a
/// command says otherwise (labels are all required).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Parses the parameter; an empty one is no filter.
    ///
    /// # Errors
    /// 400 `invalid filter` for what is neither of the two forms.
    pub fn parse(text: &str) -> Result<Filters, Error> {
        if text.is_empty() {
            return Ok(Filters::default());
        }
        let invalid = || Error::invalid("invalid filter");
        let Ok(Value::Object(map)) = serde_json::from_str(text) else {
            return Err(invalid());
        };
        let values = |value: Value| match value {
            Value::Array(list) => list
                .into_iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect(),
            Value::Object(set) => Some(set.into_iter().map(|(name, _)| name).collect()),
            Value::Null => Some(Vec::new()),
            _ => None,
        };
        map.into_iter()
            .map(|(name, value)| Some((name, values(value)?)))
            .collect::<Option<_>>()
            .map(Filters)
            .ok_or_else(invalid)
    }

    /// Checks that every name is one that the route knows.
    ///
    /// # Errors
    /// 400 `invalid filter 'name'`.
    pub fn validate(&self, known: &[&str]) -> Result<(), Error> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Error::invalid(format!("invalid filter '{name}'"))),
            None => Ok(()),
        }
    }

    /// The values of a name; empty when it is not there.
    pub fn get(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether the name is there at all.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// True when the name is not there, or `value` is one of its values.
    pub fn allows(&self, name: &str, value: &str) -> bool {
        let values = self.get(name);
        values.is_empty() || values.iter().any(|wanted| wanted == value)
    }

    /// A filter with a truth value, None when it is not there.
    ///
    /// # Errors
    /// 400 `invalid filter 'dangling=[x]'`.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Error> {
        let values = self.get(name);
        if values.is_empty() {
            return Ok(None);
        }
        let is = |texts: [&str; 2]| values.iter().any(|value| texts.contains(&value.as_str()));
        match (is(["1", "true"]), is(["0", "false"])) {
            (true, false) => Ok(Some(true)),
            (false, true) => Ok(Some(false)),
            _ => Err(Error::invalid(format!(
                "invalid filter '{name}=[{}]'",
                values.join(" ")
            ))),
        }
    }

    /// Whether an object's labels meet the filters `label` (`key` or `key=value`, all of them) and `label!`
    /// (none of them).
    pub fn labels_match<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => label(key) == Some(value),
            None => label(wanted).is_some(),
        };
        self.get("label").iter().all(has) && !self.get("label!").iter().any(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let new = Filters::parse(r#"{"label":["a=b"],"status":["exited","dead"]}"#).unwrap();
        let old = Filters::parse(r#"{"label":{"a=b":true},"status":{"exited":true,"dead":true}}"#)
            .unwrap();
        assert_eq!(new.get("label"), old.get("label"));
        assert!(
            new.allows("status", "dead")
                && !new.allows("status", "running")
                && new.allows("id", "x")
        );
        assert_eq!(Filters::parse(""), Ok(Filters::default()));
    }

    #[test]
    fn what_is_neither_is_an_error() {
        for text in ["foo", "[]", r#"{"status":"running"}"#, r#"{"status":[1]}"#] {
            assert_eq!(
                Filters::parse(text),
                Err(Error::invalid("invalid filter")),
                "{text}"
            );
        }
        let unknown = Filters::parse(r#"{"foo":["x"]}"#)
            .unwrap()
            .validate(&["label"]);
        assert_eq!(unknown, Err(Error::invalid("invalid filter 'foo'")));
    }

    #[test]
    fn truth_values() {
        let filters = Filters::parse(r#"{"a":["1"],"b":["false"],"c":["x"]}"#).unwrap();
        assert_eq!(filters.boolean("a"), Ok(Some(true)));
        assert_eq!(filters.boolean("b"), Ok(Some(false)));
        assert_eq!(filters.boolean("d"), Ok(None));
        assert_eq!(
            filters.boolean("c"),
            Err(Error::invalid("invalid filter 'c=[x]'"))
        );
    }

    #[test]
    fn all_labels_are_required() {
        let filters = Filters::parse(r#"{"label":["a","b=1"],"label!":["c"]}"#).unwrap();
        let labels = |pairs: &'static [(&str, &str)]| {
            filters.labels_match(|key| {
                pairs
                    .iter()
                    .find(|(name, _)| *name == key)
                    .map(|(_, value)| *value)
            })
        };
        assert!(labels(&[("a", ""), ("b", "1")]));
        assert!(!labels(&[("a", "")]));
        assert!(!labels(&[("a", ""), ("b", "2")]));
        assert!(!labels(&[("a", ""), ("b", "1"), ("c", "")]));
    }
}
