//! `system df`: what takes how much room.

use std::io::Write;

use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, Matches};
use crate::format::evaluator::Options;
use crate::format::human;
use crate::format::parser::Template;
use crate::format::value::Value;
use crate::{Context, output};

use super::ps::seconds_now;
use super::{images, ps, rows};

/// The flags.
pub const FLAGS: &[Flag] = &[
    Flag::text("format", rows::FORMAT_HELP),
    Flag::switch("verbose", "Show each object").short('v'),
];

const TABLE: &str = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
const IMAGES: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUMES: &str = "{{.Name}}\t{{.Links}}\t{{.Size}}";
const BUILDS: &str = "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}";

/// Shows the table of kinds, or each object.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let usage: Value = context.client.get_json("/system/df")?;
    let format = matches.text("format");
    if matches.switch("verbose") {
        return verbose(&usage, format);
    }
    let rows = [
        images_row(&usage),
        containers_row(&usage),
        volumes_row(&usage),
        builds_row(&usage),
    ];
    let headings = texts(
        "map",
        [
            ("Type", "TYPE".into()),
            ("TotalCount", "TOTAL".into()),
            ("Active", "ACTIVE".into()),
            ("Size", "SIZE".into()),
            ("Reclaimable", "RECLAIMABLE".into()),
        ],
    );
    rows::print(format, false, TABLE, &headings, &rows)
}

fn texts<const N: usize>(type_name: &str, fields: [(&str, String); N]) -> Value {
    let fields = fields.map(|(name, text)| (name, Value::Text(text)));
    Value::row(type_name, fields.to_vec())
}

/// What a kind takes in bytes: all of it, and what nothing uses.
struct Room {
    total: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
}

impl Room {
    fn row(&self, type_name: &str, title: &str, percent: bool) -> Value {
        let mut reclaimable = human::size(self.reclaimable, 4);
        if percent && self.size > 0 {
            let part = i128::from(self.reclaimable) * 100 / i128::from(self.size);
            reclaimable.push_str(&format!(" ({part}%)"));
        }
        texts(
            type_name,
            [
                ("Active", self.active.to_string()),
                ("Reclaimable", reclaimable),
                ("Size", human::size(self.size, 4)),
                ("TotalCount", self.total.to_string()),
                ("Type", title.to_string()),
            ],
        )
    }
}

fn images_row(usage: &Value) -> Value {
    let images = usage.get("Images").list();
    let in_use: Vec<&Value> = images
        .iter()
        .filter(|image| image.get("Containers").int() > 0)
        .collect();
    // Of an image in use, what it shares may be needed by others: Docker counts only the rest.
    let used: i64 = in_use
        .iter()
        .map(|image| image.get("Size").int() - image.get("SharedSize").int())
        .sum();
    let size = usage.get("LayersSize").int();
    let room = Room {
        total: images.len(),
        active: in_use.len(),
        size,
        reclaimable: size - used,
    };
    room.row("*formatter.diskUsageImagesContext", "Images", true)
}

fn containers_row(usage: &Value) -> Value {
    let containers = usage.get("Containers").list();
    let is_active = |container: &&Value| {
        let state = container.get("State").text();
        ["running", "paused", "restarting"].contains(&state)
    };
    let size = |container: &Value| container.get("SizeRw").int();
    let room = Room {
        total: containers.len(),
        active: containers.iter().filter(is_active).count(),
        size: containers.iter().map(size).sum(),
        reclaimable: containers
            .iter()
            .filter(|container| !is_active(container))
            .map(size)
            .sum(),
    };
    room.row("*formatter.diskUsageContainersContext", "Containers", true)
}

fn volumes_row(usage: &Value) -> Value {
    let volumes = usage.get("Volumes").list();
    let links = |volume: &Value| volume.get("UsageData").get("RefCount").int();
    let size = |volume: &Value| volume.get("UsageData").get("Size").int().max(0);
    let room = Room {
        total: volumes.len(),
        active: volumes.iter().filter(|volume| links(volume) > 0).count(),
        size: volumes.iter().map(size).sum(),
        reclaimable: volumes
            .iter()
            .filter(|volume| links(volume) == 0)
            .map(size)
            .sum(),
    };
    room.row("*formatter.diskUsageVolumesContext", "Local Volumes", true)
}

fn builds_row(usage: &Value) -> Value {
    let builds = usage.get("BuildCache").list();
    let in_use = |build: &&Value| build.get("InUse").bool();
    let room = Room {
        total: builds.len(),
        active: builds.iter().filter(in_use).count(),
        size: builds_size(builds),
        reclaimable: builds_size(builds)
            - builds
                .iter()
                .filter(in_use)
                .filter(|build| !build.get("Shared").bool())
                .map(|build| build.get("Size").int())
                .sum::<i64>(),
    };
    room.row("*formatter.diskUsageBuilderContext", "Build Cache", false)
}

/// What is shared with an image is counted there.
fn builds_size(builds: &[Value]) -> i64 {
    let own = builds.iter().filter(|build| !build.get("Shared").bool());
    own.map(|build| build.get("Size").int()).sum()
}

fn verbose(usage: &Value, format: &str) -> Outcome {
    let lists = [
        ("Images", image_rows(usage)),
        ("Containers", container_rows(usage)),
        ("Volumes", volume_rows(usage)),
        ("BuildCache", build_rows(usage)),
    ];
    if !matches!(format, "" | "table") {
        let lists = lists.map(|(name, rows)| (name, Value::List(rows)));
        let whole = Value::row("*formatter.diskUsageContext", lists.to_vec());
        return print_whole(&whole, format);
    }
    let [(_, images), (_, containers), (_, volumes), (_, builds)] = &lists;
    output::line("Images space usage:\n")?;
    rows::print("", false, IMAGES, &images::headings(), images)?;
    output::line("\nContainers space usage:\n")?;
    rows::print("", false, CONTAINERS, &ps::headings(), containers)?;
    output::line("\nLocal Volumes space usage:\n")?;
    rows::print("", false, VOLUMES, &volume_headings(), volumes)?;
    let size = human::size(builds_size(usage.get("BuildCache").list()), 4);
    output::line(&format!("\nBuild cache usage: {size}\n"))?;
    rows::print("", false, BUILDS, &build_headings(), builds)
}

/// A template sees all lists at once. Docker ends its own output without a newline.
fn print_whole(whole: &Value, format: &str) -> Outcome {
    let source = match format {
        "json" => "{{json .}}",
        other => other.strip_prefix("table").unwrap_or(other).trim(),
    };
    let source = source.replace("\\t", "\t").replace("\\n", "\n");
    let failed = |fault: String| Failure::new(format!("template parsing error: {fault}"));
    let template = Template::parse("", &source).map_err(|fault| failed(fault.to_string()))?;
    let text = template
        .execute(whole, Options::default())
        .map_err(|fault| failed(fault.to_string()))?;
    output::stdout().write_all(text.as_bytes())?;
    Ok(0)
}

fn image_rows(usage: &Value) -> Vec<Value> {
    let now = seconds_now();
    let row = |image: &Value| {
        // Only the first name, as in Docker.
        let name = image.get("RepoTags").list().first().map(Value::text);
        let (repository, tag) = name
            .and_then(|name| name.rsplit_once(':'))
            .unwrap_or(("<none>", "<none>"));
        images::row(image, repository, tag, "", false, now)
    };
    usage.get("Images").list().iter().map(row).collect()
}

fn container_rows(usage: &Value) -> Vec<Value> {
    let now = seconds_now();
    let row = |container: &Value| {
        let mut container = container.clone();
        // The image's size has a line of its own.
        if let Some(size) = container.entry_mut("SizeRootFs") {
            *size = Value::Int(0);
        }
        ps::row(&container, false, now)
    };
    usage.get("Containers").list().iter().map(row).collect()
}

fn volume_headings() -> Value {
    texts(
        "map",
        [
            ("Name", "VOLUME NAME".into()),
            ("Links", "LINKS".into()),
            ("Size", "SIZE".into()),
        ],
    )
}

fn volume_rows(usage: &Value) -> Vec<Value> {
    let row = |volume: &Value| {
        let data = volume.get("UsageData");
        let labels = volume.get("Labels").entries().iter();
        let labels: Vec<String> = labels
            .map(|(key, value)| format!("{key}={}", value.text()))
            .collect();
        let text = |key: &str| volume.get(key).text().to_string();
        texts(
            "*formatter.volumeContext",
            [
                ("Availability", "N/A".into()),
                ("Driver", text("Driver")),
                ("Group", "N/A".into()),
                ("Labels", labels.join(",")),
                ("Links", data.get("RefCount").int().to_string()),
                ("Mountpoint", text("Mountpoint")),
                ("Name", text("Name")),
                ("Scope", text("Scope")),
                ("Size", human::size(data.get("Size").int(), 4)),
                ("Status", "N/A".into()),
            ],
        )
    };
    usage.get("Volumes").list().iter().map(row).collect()
}

fn build_headings() -> Value {
    texts(
        "map",
        [
            ("ID", "CACHE ID".into()),
            ("CacheType", "CACHE TYPE".into()),
            ("Size", "SIZE".into()),
            ("CreatedSince", "CREATED".into()),
            ("LastUsedSince", "LAST USED".into()),
            ("UsageCount", "USAGE".into()),
            ("Shared", "SHARED".into()),
        ],
    )
}

fn build_rows(usage: &Value) -> Vec<Value> {
    let now = seconds_now();
    let row = |build: &Value| {
        let text = |key: &str| build.get(key).text().to_string();
        let moment =
            |key: &str| human::parse_time(build.get(key).text()).map(|(seconds, _)| seconds);
        let at = |key: &str| moment(key).map_or(String::new(), human::go_time);
        let since = |key: &str| {
            let ago = |seconds: i64| format!("{} ago", human::duration(now - seconds));
            moment(key).map_or(String::new(), ago)
        };
        let id = build.get("ID").text();
        texts(
            "*formatter.buildCacheContext",
            [
                ("CacheType", text("Type")),
                ("CreatedAt", at("CreatedAt")),
                ("CreatedSince", since("CreatedAt")),
                ("Description", text("Description")),
                ("ID", id.get(..12).unwrap_or(id).to_string()),
                ("InUse", build.get("InUse").bool().to_string()),
                ("LastUsedAt", at("LastUsedAt")),
                ("LastUsedSince", since("LastUsedAt")),
                ("Parent", text("Parent")),
                ("Shared", build.get("Shared").bool().to_string()),
                ("Size", human::size(build.get("Size").int(), 3)),
                ("UsageCount", build.get("UsageCount").int().to_string()),
            ],
        )
    };
    usage.get("BuildCache").list().iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_is_not_reclaimable() {
        let usage: Value = serde_json::from_str(
            r#"{"LayersSize": 3000, "Images": [
                {"Containers": 1, "Size": 2000, "SharedSize": 1000}, {"Containers": 0, "Size": 2000, "SharedSize": 1000}],
                "Containers": [{"State": "running", "SizeRw": 30}, {"State": "exited", "SizeRw": 10}, {"State": "created"}],
                "Volumes": [], "BuildCache": []}"#,
        )
        .unwrap();
        let show = |row: Value| {
            ["TotalCount", "Active", "Size", "Reclaimable"]
                .map(|key| row.get(key).text().to_owned())
        };
        assert_eq!(show(images_row(&usage)), ["2", "1", "3kB", "2kB (66%)"]);
        assert_eq!(show(containers_row(&usage)), ["3", "1", "40B", "10B (25%)"]);
        assert_eq!(show(volumes_row(&usage)), ["0", "0", "0B", "0B"]);
        assert_eq!(show(builds_row(&usage)), ["0", "0", "0B", "0B"]);
    }
}
