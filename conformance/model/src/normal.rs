//! What differs between two runs of the same engine, replaced by what it stands for.
//!
//! Ids, the tag in names, and durations say nothing about an engine. Each rule is about one of them; a rule that
//! hides more would hide a defect.

use serde_json::Value;

/// A container that a sequence made: a label such as `a#2`, the second that was created as `a`, and its id.
///
/// The label is by name and not by time, since two clients that create at once may come in either order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The label.
    pub label: String,
    /// The whole id.
    pub id: String,
}

/// How many characters of an id Docker shows.
const SHORT: usize = 12;

/// Replaces ids, long or short, by labels, other long ids by `ID`, and takes the tag out of names.
pub fn text(text: &str, tag: &str, known: &[Known]) -> String {
    let mut text = text.replace(&format!("conf-fuzz-{tag}-"), "conf-fuzz-");
    text = text.replace(&format!("conf.fuzz={tag}"), "conf.fuzz=");
    for container in known {
        let label = format!("[{}]", container.label);
        text = text.replace(&container.id, &label);
        if let Some(short) = container.id.get(..SHORT) {
            text = text.replace(short, &label);
        }
    }
    other_ids(&text)
}

/// Replaces what is left of 64 hexadecimal digits in a row, such as the id of an exec.
fn other_ids(text: &str) -> String {
    let mut result = String::new();
    let mut run = String::new();
    let flush = |run: &mut String, result: &mut String| {
        result.push_str(if run.len() == 64 { "[ID]" } else { run });
        run.clear();
    };
    for character in text.chars() {
        if character.is_ascii_digit() || ('a'..='f').contains(&character) {
            run.push(character);
        } else {
            flush(&mut run, &mut result);
            result.push(character);
        }
    }
    flush(&mut run, &mut result);
    result
}

/// [`text`] for every string and key in a JSON value.
pub fn value(value: &Value, tag: &str, known: &[Known]) -> Value {
    match value {
        Value::String(string) => Value::String(text(string, tag, known)),
        Value::Array(items) => items
            .iter()
            .map(|item| self::value(item, tag, known))
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, item)| (text(key, tag, known), self::value(item, tag, known)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// The `Status` of a list entry without its durations: `Up 3 seconds (Paused)` becomes `Up … (Paused)`.
pub fn status(status: &str) -> String {
    let (head, rest) = match status.split_once(") ") {
        Some((head, rest)) => (format!("{head}) "), rest),
        None => match status.strip_prefix("Up ") {
            Some(rest) => ("Up ".to_owned(), rest),
            None => return status.to_owned(),
        },
    };
    let tail = if rest.ends_with("(Paused)") {
        "… (Paused)"
    } else if rest.ends_with(" ago") {
        "… ago"
    } else {
        "…"
    };
    head + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn known() -> Vec<Known> {
        vec![Known {
            label: "a#1".into(),
            id: "0123456789ab".repeat(6)[..64].into(),
        }]
    }

    #[test]
    fn ids_become_labels() {
        let id = &known()[0].id;
        let message = format!(
            "container {id} of \"/conf-fuzz-7-a\" ({}) exec {}",
            &id[..12],
            "e".repeat(64)
        );
        assert_eq!(
            text(&message, "7", &known()),
            "container [a#1] of \"/conf-fuzz-a\" ([a#1]) exec [ID]"
        );
        assert_eq!(text("cafe and 1234", "7", &known()), "cafe and 1234");
    }

    #[test]
    fn values_are_normalised_inside() {
        let before = json!({"Names": ["/conf-fuzz-7-b"], "Labels": {"conf.fuzz": "x"}, "n": 1});
        assert_eq!(
            value(&before, "7", &known()),
            json!({"Names": ["/conf-fuzz-b"], "Labels": {"conf.fuzz": "x"}, "n": 1})
        );
    }

    #[test]
    fn durations_go() {
        assert_eq!(status("Up 3 seconds (Paused)"), "Up … (Paused)");
        assert_eq!(status("Up Less than a second"), "Up …");
        assert_eq!(status("Exited (137) 2 seconds ago"), "Exited (137) … ago");
        assert_eq!(
            status("Restarting (1) 1 second ago"),
            "Restarting (1) … ago"
        );
        assert_eq!(status("Created"), "Created");
    }
}
