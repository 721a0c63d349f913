//! Templates against what the stock client printed for the same data.

use super::evaluator::Options;
use super::parser::Template;
use super::print::{indent, json};
use super::schema;
use super::value::Value;

fn data() -> Value {
    serde_json::from_str(
        r#"{"Name":"/web","State":{"Status":"running","Running":true,"Pid":7,"Error":""},"Empty":null,
        "Config":{"Env":["A=1","B=<x>"],"Labels":{"k":"v","a":"b"}},"Size":1983082,"Rate":0.5}"#,
    )
    .unwrap()
}

fn run(template: &str) -> Result<String, String> {
    let options = Options {
        missing_is_error: true,
        header: false,
    };
    Template::parse("", template)?.execute(&data(), options)
}

#[test]
fn what_templates_print() {
    for (template, text) in [
        ("{{.Name}} {{.State.Status}}", "/web running"),
        (
            "{{.Config.Env}} {{.Config.Labels}} {{.Empty}} {{.Size}} {{.Rate}}",
            "[A=1 B=<x>] map[a:b k:v] <no value> 1983082 0.5",
        ),
        (
            "{{json .Config.Env}} {{json .State}}",
            r#"["A=1","B=<x>"] {"Status":"running","Running":true,"Pid":7,"Error":""}"#,
        ),
        ("{{range .Config.Env}}{{.}};{{end}}", "A=1;B=<x>;"),
        (
            "{{range $i, $e := .Config.Env}}{{$i}}={{$e}} {{end}}",
            "0=A=1 1=B=<x> ",
        ),
        (
            "{{range $k, $v := .Config.Labels}}{{$k}}{{$v}}{{end}}",
            "abkv",
        ),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        (
            "{{range .Config.Env}}{{if eq . \"B=<x>\"}}{{break}}{{end}}{{.}}{{end}}",
            "A=1",
        ),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        (
            "{{if .State.Error}}bad{{else if .State.Pid}}pid{{else}}?{{end}}",
            "pid",
        ),
        ("{{with .State}}{{.Pid}}{{$.Name}}{{end}}", "7/web"),
        ("{{$x := .Name}}{{$x}}{{$x = \"y\"}}{{$x}}", "/weby"),
        (
            "{{index .Config.Env 1}} {{index .Config.Labels \"k\"}} {{index .Config.Labels \"none\"}}.",
            "B=<x> v <no value>.",
        ),
        (
            "{{len .Config.Env}} {{len .Name}} {{slice .Name 1}} {{slice .Name 1 2}}",
            "2 4 web w",
        ),
        (
            "{{upper .Name}} {{lower \"ABC\"}} {{title \"foo bar\"}} {{.Name | upper | printf \"%q\"}}",
            "/WEB abc Foo Bar \"/WEB\"",
        ),
        (
            "{{join .Config.Env \",\"}} {{split \"a,b\" \",\"}} {{join (split \"a,b\" \",\") \"/\"}}",
            "A=1,B=<x> [a b] a/b",
        ),
        (
            "{{pad \"x\" 2 3}}|{{pad \"\" 2 3}}|{{truncate \"abcdef\" 3}}",
            "  x   ||abc",
        ),
        (
            "{{printf \"%q %-6s|%5d|%05d|%v|%t|%x\" \"n\" \"ab\" 3 3 nil true 255}}",
            "\"n\" ab    |    3|00003|<nil>|true|ff",
        ),
        (
            "{{print \"a\" 1 2 \"b\"}} {{println \"x\" 1}}",
            "a1 2b x 1\n",
        ),
        (
            "{{and true .Name}} {{or \"\" \"x\"}} {{not .Empty}}",
            "/web x true",
        ),
        (
            "{{eq 1 1}} {{ne \"a\" \"b\"}} {{lt 1 2}} {{ge 1 2}} {{eq .Name \"x\" \"/web\"}}",
            "true true true false true",
        ),
        ("a {{- /* no */ -}} b", "ab"),
        ("a {{- .State.Pid -}} b", "a7b"),
        ("{{\"\\t\"}}{{`raw\\t`}}{{'a'}}", "\traw\\t97"),
        ("{{(index .Config.Env 0)}} {{(.State).Pid}}", "A=1 7"),
    ] {
        assert_eq!(run(template).as_deref(), Ok(text), "{template}");
    }
}

#[test]
fn errors_are_gos() {
    for (template, text) in [
        ("{{.ID", "template: :1: unclosed action"),
        ("{{foo}}", "template: :1: function \"foo\" not defined"),
        ("{{if .Name}}x", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{}}", "template: :1: missing value for command"),
        ("{{$x}}", "template: :1: undefined variable \"$x\""),
        (
            "{{.Foo}}",
            "template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\"",
        ),
        (
            "{{.State.Health.Status}}",
            "template: :1:8: executing \"\" at <.State.Health.Status>: map has no entry for key \"Health\"",
        ),
        (
            "{{index .Config.Env 5}}",
            "template: :1:2: executing \"\" at <index .Config.Env 5>: error calling index: index out of range: 5",
        ),
    ] {
        assert_eq!(run(template).unwrap_err(), text, "{template}");
    }
}

#[test]
fn structs_print_as_gos() {
    let text = r#"{"Id":"x","State":{"Status":"running","Running":true,"Pid":7,"ExitCode":0,"Error":"",
        "StartedAt":"s","FinishedAt":"f"},"NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8089"}]}},
        "Mounts":[{"Type":"bind","Source":"/tmp","Destination":"/x","Mode":"ro","RW":false,"Propagation":"rprivate"}],
        "Config":{"ExposedPorts":{"80/tcp":{}}}}"#;
    let value = schema::apply("container", serde_json::from_str(text).unwrap());
    let run = |template: &str| {
        Template::parse("", template)
            .unwrap()
            .execute(&value, Options::default())
    };
    for (template, text) in [
        (
            "{{.State}}",
            "{running true false false false false 7 0  s f <nil>}",
        ),
        (
            "{{.NetworkSettings.Ports}} {{.Mounts}} {{.Config.ExposedPorts}}",
            "map[80/tcp:[{0.0.0.0 8089}]] [{bind  /tmp /x  ro false rprivate}] map[80/tcp:{}]",
        ),
        (
            "{{.State.Health}} {{.HostConfig}} {{.SizeRw}} {{.ExecIDs}}",
            "<nil> <nil> <nil> []",
        ),
        (
            "{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}",
            "8089",
        ),
    ] {
        assert_eq!(run(template).as_deref(), Ok(text), "{template}");
    }
    assert_eq!(
        json(value.get("Mounts"), true),
        r#"[{"Type":"bind","Source":"/tmp","Destination":"/x","Mode":"ro","RW":false,"Propagation":"rprivate"}]"#
    );
    assert!(
        run("{{.Foo}}")
            .unwrap_err()
            .ends_with("can't evaluate field Foo in type container.InspectResponse")
    );
}

#[test]
fn json_is_indented_as_go_does() {
    assert_eq!(
        indent(r#"[{"a":[],"b":{},"c":[1,{"d":"x:,{\"}"}]}]"#, "  "),
        "[\n  {\n    \"a\": [],\n    \"b\": {},\n    \"c\": [\n      1,\n      {\n        \"d\": \"x:,{\\\"}\"\n      }\n    ]\n  }\n]"
    );
}
