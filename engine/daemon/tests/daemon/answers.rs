//! Answers that need no running container.

use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::api::{Api, call, ensure};

pub fn ping_has_dockers_headers() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    for method in ["GET", "HEAD"] {
        let answer = api.call(method, "/_ping", None)?.success()?;
        let header = |name: &str| {
            answer
                .headers
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        ensure!(
            header("api-version") == Some("1.51"),
            "{:?}",
            answer.headers
        );
        ensure!(
            header("ostype") == Some("linux") && header("swarm") == Some("inactive"),
            "{:?}",
            answer.headers
        );
        ensure!(
            header("docker-experimental") == Some("false"),
            "{:?}",
            answer.headers
        );
        ensure!(
            header("cache-control") == Some("no-cache, no-store, must-revalidate"),
            "{:?}",
            answer.headers
        );
        let text = if method == "GET" { "OK" } else { "" };
        ensure!(answer.text() == text, "{method}: {}", answer.text());
        ensure!(
            header("content-length") == Some(text.len().to_string().as_str()),
            "{method}: {:?}",
            answer.headers
        );
    }
    api.finish()
}

/// The answer to a request with a body that nobody reads: the client must get to write all of it first, or it
/// reports a broken pipe instead of the answer.
pub fn a_large_body_for_what_is_not_built() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let context = vec![b'x'; 4 << 20];
    let answer = rig::request(api.socket(), "POST", "/build", Some(&context))?;
    ensure!(answer.status == 501, "{}: {}", answer.status, answer.text());
    api.finish()
}

pub fn versions_and_unknown_routes() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let cases = [
        ("GET", "/v1.24/info", 200, ""),
        (
            "GET",
            "/v1.52/info",
            400,
            "client version 1.52 is too new. Maximum supported API version is 1.51",
        ),
        ("GET", "/nope", 404, "page not found"),
        ("PUT", "/info", 404, "page not found"),
        (
            "GET",
            "/services",
            503,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
        ),
        (
            "GET",
            "/containers/nope/json",
            404,
            "No such container: nope",
        ),
        ("GET", "/images/a/b/json", 404, "No such image: a/b:latest"),
        ("GET", "/containers/json?filters=x", 400, "invalid filter"),
        ("GET", "/networks/nope", 404, "network nope not found"),
    ];
    for (method, path, status, message) in cases {
        let answer = api.call(method, path, None)?;
        ensure!(
            answer.status == status,
            "{path}: {} instead of {status}",
            answer.status
        );
        if status >= 400 {
            ensure!(
                answer.json()? == json!({"message": message}),
                "{path}: {}",
                answer.text()
            );
        }
    }
    // The oldest clients read errors as text.
    let old = api.call("GET", "/v1.23/info", None)?;
    ensure!(
        old.status == 400
            && old.text()
                == "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
        "{} {}",
        old.status,
        old.text()
    );
    let build = api.call("POST", "/build", None)?;
    ensure!(
        build.status == 501 && build.text().contains("/build"),
        "{}",
        build.text()
    );
    ensure!(api.get("/plugins")? == json!([]), "plugins");
    ensure!(
        api.get("/volumes")? == json!({"Volumes": [], "Warnings": null}),
        "volumes"
    );
    api.finish()
}

pub fn a_refused_create_changes_nothing() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let body = |host: Value| json!({"Image": "busybox", "Cmd": ["true"], "HostConfig": host});
    let cases = [
        (
            "ok",
            json!({"Image": "nope"}),
            404,
            "No such image: nope:latest",
        ),
        (
            "-x",
            body(json!({})),
            400,
            "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        ),
        (
            "ok",
            body(json!({"Memory": 1000})),
            400,
            "Minimum memory limit allowed is 6MB",
        ),
        (
            "ok",
            body(json!({"CapAdd": ["FOO"]})),
            400,
            "invalid CapAdd: unknown capability: \"CAP_FOO\"",
        ),
        (
            "ok",
            body(json!({"Binds": ["/tmp:/x:foo"]})),
            500,
            "invalid mode: foo",
        ),
        (
            "ok",
            body(json!({"RestartPolicy": {"Name": "always"}, "AutoRemove": true})),
            400,
            "can't create 'AutoRemove' container with restart policy",
        ),
        (
            "ok",
            body(json!({"PortBindings": {"80/tcp": [{"HostPort": "80"}]}})),
            501,
            "published ports are not built yet in this engine",
        ),
        (
            "ok",
            json!({"Image": "busybox", "Entrypoint": [""]}),
            400,
            "no command specified",
        ),
        (
            "ok",
            json!([]),
            400,
            "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest",
        ),
        (
            "ok",
            Value::Null,
            400,
            "config cannot be empty in order to create a container",
        ),
        (
            "ok",
            json!({"HostConfig": {}}),
            400,
            "config cannot be empty in order to create a container",
        ),
        ("ok", json!({"Image": ""}), 400, "no command specified"),
        ("ok", json!({"Cmd": ["x"]}), 400, "no image specified"),
    ];
    for (name, body, status, message) in cases {
        let answer = api.call(
            "POST",
            &format!("/containers/create?name={name}"),
            Some(body),
        )?;
        ensure!(
            answer.status == status && answer.json()? == json!({"message": message}),
            "{message}: {} {}",
            answer.status,
            answer.text()
        );
    }
    ensure!(api.directories()?.is_empty(), "something was made");
    ensure!(
        api.get("/containers/json?all=1")? == json!([]),
        "something is listed"
    );
    // The name is still free.
    api.create("ok", &["true"], json!({}))?;
    let taken = api.call("POST", "/containers/create?name=ok", Some(body(json!({}))))?;
    ensure!(
        taken.status == 409 && taken.text().contains("is already in use by container"),
        "{}",
        taken.text()
    );
    api.delete("ok")?;
    api.finish()
}

pub fn the_filter_reference_cuts_an_images_names() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    for tag in ["a", "b"] {
        api.post(&format!("/images/busybox/tag?repo=dmn-cut&tag={tag}"))?;
    }
    let cases = [
        ("dmn-cut", json!(["dmn-cut:a", "dmn-cut:b"])),
        ("dmn-[b-d]ut:b", json!(["dmn-cut:b"])),
        ("busybox:*", json!(["busybox:latest"])),
        ("dmn-nobody", Value::Null),
    ];
    for (pattern, tags) in cases {
        let listed = api.get(&format!(
            "/images/json?filters=%7B%22reference%22:[%22{pattern}%22]%7D"
        ))?;
        ensure!(listed[0]["RepoTags"] == tags, "{pattern}: {listed}");
    }
    let bad = api.call(
        "GET",
        "/images/json?filters=%7B%22reference%22:[%22[%22]%7D",
        None,
    )?;
    ensure!(
        bad.status == 500 && bad.json()? == json!({"message": "syntax error in pattern"}),
        "{} {}",
        bad.status,
        bad.text()
    );
    api.finish()
}

pub fn a_bad_archive_is_a_status_or_a_message() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let before = api.get("/images/json")?;
    // Longer than all buffers: what is wrong is known long before the client has sent it.
    let garbage = vec![b'x'; 8 << 20];
    let send = |path: &str, archive: &[u8]| {
        rig::request(api.socket(), "POST", path, Some(archive)).map_err(Failed::from)
    };
    for (archive, text) in [
        (&garbage[..], "archive/tar: invalid tar header"),
        (b"xx", "unexpected EOF"),
    ] {
        let import = send("/images/create?fromSrc=-&repo=dmn-bad", archive)?;
        ensure!(
            import.status == 500 && import.json()? == json!({"message": text}),
            "import: {} {}",
            import.status,
            import.text()
        );
        let load = send("/images/load?quiet=1", archive)?;
        ensure!(
            load.status == 200
                && load.json()? == json!({"errorDetail": {"message": text}, "error": text}),
            "load: {} {}",
            load.status,
            load.text()
        );
    }
    ensure!(api.get("/images/json")? == before, "the images changed");
    api.finish()
}

pub fn one_of_many_gets_the_name() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    for round in 0..5 {
        let path = format!("/containers/create?name=round{round}");
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        call(
                            api.socket(),
                            "POST",
                            &path,
                            Some(json!({"Image": "busybox", "Cmd": ["true"]})),
                        )
                    })
                })
                .collect();
            tries
                .into_iter()
                .filter_map(|one| one.join().ok()?.ok())
                .map(|answer| answer.status)
                .collect()
        });
        let won = statuses.iter().filter(|status| **status == 201).count();
        let lost = statuses.iter().filter(|status| **status == 409).count();
        ensure!((won, lost) == (1, 15), "round {round}: {statuses:?}");
    }
    ensure!(api.directories()?.len() == 5, "{:?}", api.directories()?);
    api.daemon.remove_containers()?;
    api.finish()
}

pub fn a_second_daemon_is_refused() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let output = Command::new(rig::drydock_binary()?)
        .args([
            "daemon",
            "--config-file=/dev/null",
            "--bridge=dmnsecond",
            "--bip=10.231.9.1/24",
            "--data-root",
        ])
        .arg(api.daemon.data_root())
        .arg("--exec-root")
        .arg(api.daemon.exec_root().join("second"))
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && text.contains("another daemon uses the data root"),
        "{text}"
    );
    std::fs::remove_dir_all(api.daemon.exec_root().join("second"))?;
    // The first one is not disturbed.
    api.get("/info")?;
    api.finish()
}
