//! The whole result as JSON, for programs.

use std::collections::BTreeMap;

use rig::Rig;
use serde_json::json;

use super::{detail, word};
use crate::suite::{Results, Run};

/// The whole result. `schema_version` grows when a field changes its meaning or goes.
pub fn json(results: &Results, rigs: &[Rig]) -> serde_json::Value {
    let run = |run: &Run| {
        json!({
            "id": run.id, "topic": run.topic, "page": run.page, "line": run.line, "rig": run.rig.name(),
            "outcome": word(&run.outcome), "detail": detail(&run.outcome), "seconds": run.elapsed.as_secs_f64(),
        })
    };
    let by_name = |map: &BTreeMap<Rig, String>| {
        map.iter()
            .map(|(rig, text)| (rig.name().to_owned(), json!(text)))
            .collect::<serde_json::Map<_, _>>()
    };
    json!({
        "schema_version": 1,
        "rigs": rigs.iter().map(|rig| rig.name()).collect::<Vec<_>>(),
        "versions": by_name(&results.versions),
        "not_here": by_name(&results.not_here),
        "recorded": results.recorded,
        "order_seed": results.order_seed,
        "seconds": results.elapsed.as_secs_f64(),
        "all_well": results.all_well(),
        "errors": results.errors,
        "stale": results.stale,
        "wire": results.wire.iter().map(|(rig, report)| (rig.name(), report)).collect::<BTreeMap<_, _>>(),
        "runs": results.runs.iter().map(run).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn every_run_is_there_once() {
        let results = samples::results();
        let value = json(&results, &[Rig::Docker, Rig::Api, Rig::Drydock]);
        let runs = value["runs"].as_array().unwrap();
        let mut keys: Vec<String> = runs
            .iter()
            .map(|run| format!("{} {}", run["id"], run["rig"]))
            .collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), results.runs.len());
        assert_eq!(runs.len(), results.runs.len());
        assert_eq!(value["all_well"], json!(false));
        assert_eq!(runs[1]["outcome"], json!("fail"));
        assert_eq!(value["order_seed"], json!(7));
    }
}
