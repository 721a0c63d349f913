//! Each kind of fault goes red, and what is right stays green.

use serde_json::json;

use super::*;

const TEXT: &str = r##"
info: {version: "1.51"}
paths: {}
definitions:
  Base:
    type: object
    properties: {Id: {type: string}}
    required: [Id]
  Thing:
    allOf:
      - $ref: "#/definitions/Base"
      - type: object
        properties:
          Size: {type: integer, format: int64, minimum: 0}
          Small: {type: integer, format: uint16}
          State: {type: string, enum: [on, off]}
          Created: {type: string, format: dateTime}
          Labels: {type: object, additionalProperties: {type: string}}
          Free: {type: object}
          Names: {type: array, maxItems: 2, items: {type: string}}
          Maybe: {type: string, x-nullable: true}
          Ratio: {type: number, maximum: 1}
          Set: {type: object, additionalProperties: {type: object, enum: [{}]}}
          Ready: {type: boolean}
          Any: {}
          Parent: {$ref: "#/definitions/Base", x-nullable: true}
          Closed: {type: object, properties: {a: {type: string}}, additionalProperties: false}
"##;

fn found(mut value: Value) -> Vec<(String, &'static str)> {
    let description = Description::parse(TEXT).unwrap();
    let object = value.as_object_mut().unwrap();
    if object.remove("-").is_none() {
        object.insert("Id".into(), json!("x"));
    }
    let schema = description.definition("Thing").unwrap();
    faults(&description, schema, &value)
        .into_iter()
        .map(|fault| (fault.pointer, fault.what))
        .collect()
}

#[test]
fn what_is_described_passes() {
    let value = json!({
        "Size": 5, "Small": 65535, "State": "on", "Created": "2024-02-29T01:02:03.123456789Z",
        "Labels": {"a/b": "c"}, "Free": {"x": [1, null]}, "Names": ["a", "b"], "Maybe": null,
        "Ratio": 0.5, "Set": {"80/tcp": {}}, "Ready": false, "Any": null, "Parent": null,
        "Closed": {"a": "b"}
    });
    assert_eq!(found(value), []);
    assert_eq!(
        found(json!({"Created": "0001-01-01T00:00:00+00:00", "Any": 1, "Ratio": 1})),
        []
    );
}

#[test]
fn each_fault_is_found() {
    for (value, pointer, what) in [
        (json!({"-": 1}), "/Id", "missing"),
        (json!({"Size": "5"}), "/Size", "type"),
        (json!({"Size": 5.5}), "/Size", "type"),
        (json!({"Size": u64::MAX}), "/Size", "format"),
        (json!({"Size": -1}), "/Size", "range"),
        (json!({"Ratio": 1.5}), "/Ratio", "range"),
        (json!({"Small": 65536}), "/Small", "format"),
        (json!({"Small": -1}), "/Small", "format"),
        (json!({"State": "half"}), "/State", "value"),
        (json!({"State": null}), "/State", "null"),
        (json!({"Created": ""}), "/Created", "format"),
        (
            json!({"Created": "2024-02-29 01:02:03Z"}),
            "/Created",
            "format",
        ),
        (
            json!({"Created": "2024-02-29T01:02:03"}),
            "/Created",
            "format",
        ),
        (
            json!({"Created": "2024-02-29T01:02:03.Z"}),
            "/Created",
            "format",
        ),
        (json!({"Labels": {"a": 1}}), "/Labels/*", "type"),
        (json!({"Labels": null}), "/Labels", "null"),
        (json!({"Labels": []}), "/Labels", "type"),
        (json!({"Names": [1]}), "/Names/*", "type"),
        (json!({"Names": [null]}), "/Names/*", "null"),
        (json!({"Names": ["a", "b", "c"]}), "/Names", "range"),
        (json!({"Set": {"80/tcp": null}}), "/Set/*", "null"),
        (json!({"Set": {"80/tcp": {"a": 1}}}), "/Set/*", "value"),
        (json!({"Ready": "true"}), "/Ready", "type"),
        (json!({"Parent": {}}), "/Parent/Id", "missing"),
        (
            json!({"Parent": {"Id": "a", "no/t": 1}}),
            "/Parent/no~1t",
            "unknown field",
        ),
        (json!({"Closed": {"b": "c"}}), "/Closed/b", "unknown field"),
        (json!({"size": 5}), "/size", "unknown field"),
    ] {
        assert_eq!(
            found(value.clone()),
            [(pointer.to_owned(), what)],
            "{value}"
        );
    }
}

#[test]
fn the_same_fault_of_many_entries_is_one() {
    assert_eq!(found(json!({"Names": [1, 1]})).len(), 1);
}

#[test]
fn messages_name_what_is_there() {
    let description = Description::parse(TEXT).unwrap();
    let schema = description.definition("Base").unwrap();
    let fault = faults(&description, schema, &json!({"Id": [1]})).remove(0);
    assert_eq!(fault.detail, "[1], described as a string");
    let long = shown(&json!("é".repeat(200)));
    assert!(long.ends_with('…') && long.chars().count() == 81, "{long}");
}
