//! Which JSON objects are Go structs in the stock client, so that `{{.State}}` prints `{running true …}` and
//! `{{.State.Health}}` prints `<nil>` although the JSON has no such key.
//!
//! A struct is a line: its name, Go's type, then its fields in Go's order. Behind a colon is the zero of a
//! field that JSON may leave out or send as null: `s` text, `i` number, `b` truth, `l` list, `m` map, `n`
//! nil, `t` a time and `d` a duration, which Go prints in words of its own; or the struct of the field itself, of its list (`[x`) or of its map (`{x`).

use super::value::{Field, Shown, Struct, Value};

const STRUCTS: &[(&str, &str, &str)] = &[
    (
        "container",
        "container.InspectResponse",
        "ID=Id:s Created:s Path:s Args:l State:state Image:s ResolvConfPath:s HostnamePath:s HostsPath:s LogPath:s \
         Name:s RestartCount:i Driver:s Platform:s ImageManifestDescriptor:n MountLabel:s ProcessLabel:s \
         AppArmorProfile:s ExecIDs:l HostConfig:host GraphDriver:driver SizeRw:n SizeRootFs:n Mounts:[mount \
         Config:config NetworkSettings:network",
    ),
    (
        "state",
        "container.State",
        "Status:s Running:b Paused:b Restarting:b OOMKilled:b Dead:b Pid:i ExitCode:i Error:s StartedAt:s \
         FinishedAt:s Health:health",
    ),
    (
        "health",
        "container.Health",
        "Status:s FailingStreak:i Log:[check",
    ),
    (
        "check",
        "container.HealthcheckResult",
        "Start:t End:t ExitCode:i Output:s",
    ),
    ("driver", "storage.DriverData", "Data:m Name:s"),
    (
        "mount",
        "container.MountPoint",
        "Type:s Name:s Source:s Destination:s Driver:s Mode:s RW:b Propagation:s",
    ),
    (
        "config",
        "container.Config",
        "Hostname:s Domainname:s User:s AttachStdin:b AttachStdout:b AttachStderr:b ExposedPorts:{empty Tty:b \
         OpenStdin:b StdinOnce:b Env:l Cmd:l Healthcheck:healthconfig ArgsEscaped:b Image:s Volumes:{empty \
         WorkingDir:s Entrypoint:l NetworkDisabled:b MacAddress:s OnBuild:l Labels:m StopSignal:s StopTimeout:n Shell:l",
    ),
    ("empty", "struct {}", ""),
    (
        "healthconfig",
        "container.HealthConfig",
        "Test:l Interval:d Timeout:d StartPeriod:d StartInterval:d Retries:i",
    ),
    (
        "network",
        "container.NetworkSettings",
        "Bridge:s SandboxID:s SandboxKey:s Ports:{[binding HairpinMode:b LinkLocalIPv6Address:s \
         LinkLocalIPv6PrefixLen:i SecondaryIPAddresses:l SecondaryIPv6Addresses:l EndpointID:s Gateway:s \
         GlobalIPv6Address:s GlobalIPv6PrefixLen:i IPAddress:s IPPrefixLen:i IPv6Gateway:s MacAddress:s Networks:{endpoint",
    ),
    ("binding", "nat.PortBinding", "HostIP=HostIp:s HostPort:s"),
    (
        "endpoint",
        "network.EndpointSettings",
        "IPAMConfig:n Links:l Aliases:l MacAddress:s DriverOpts:m GwPriority:i NetworkID:s EndpointID:s Gateway:s \
         IPAddress:s IPPrefixLen:i IPv6Gateway:s GlobalIPv6Address:s GlobalIPv6PrefixLen:i DNSNames:l",
    ),
    (
        "host",
        "container.HostConfig",
        "Binds:l ContainerIDFile:s LogConfig:logconfig NetworkMode:s PortBindings:{[binding RestartPolicy:restart \
         AutoRemove:b VolumeDriver:s VolumesFrom:l ConsoleSize:l Annotations:m CapAdd:l CapDrop:l CgroupnsMode:s \
         DNS=Dns:l DNSOptions=DnsOptions:l DNSSearch=DnsSearch:l ExtraHosts:l GroupAdd:l IpcMode:s Cgroup:s Links:l OomScoreAdj:i PidMode:s \
         Privileged:b PublishAllPorts:b ReadonlyRootfs:b SecurityOpt:l StorageOpt:m Tmpfs:m UTSMode:s UsernsMode:s \
         ShmSize:i Sysctls:m Runtime:s Isolation:s CPUShares=CpuShares:i Memory:i NanoCPUs=NanoCpus:i CgroupParent:s BlkioWeight:i \
         BlkioWeightDevice:l BlkioDeviceReadBps:l BlkioDeviceWriteBps:l BlkioDeviceReadIOps:l \
         BlkioDeviceWriteIOps:l CPUPeriod=CpuPeriod:i CPUQuota=CpuQuota:i CPURealtimePeriod=CpuRealtimePeriod:i CPURealtimeRuntime=CpuRealtimeRuntime:i CpusetCpus:s \
         CpusetMems:s Devices:[device DeviceCgroupRules:l DeviceRequests:l KernelMemory:i KernelMemoryTCP:i \
         MemoryReservation:i MemorySwap:i MemorySwappiness:n OomKillDisable:n PidsLimit:n Ulimits:[ulimit CpuCount:i \
         CpuPercent:i IOMaximumIOps:i IOMaximumBandwidth:i Mounts:l MaskedPaths:l ReadonlyPaths:l Init:n",
    ),
    ("logconfig", "container.LogConfig", "Type:s Config:m"),
    (
        "restart",
        "container.RestartPolicy",
        "Name:s MaximumRetryCount:i",
    ),
    (
        "device",
        "container.DeviceMapping",
        "PathOnHost:s PathInContainer:s CgroupPermissions:s",
    ),
    ("ulimit", "container.Ulimit", "Name:s Hard:i Soft:i"),
    (
        "event",
        "*events.Message",
        "Status=status:s ID=id:s From=from:s Type:s Action:s Actor:actor Scope=scope:s Time=time:i TimeNano=timeNano:i",
    ),
    (
        "image",
        "image.InspectResponse",
        "ID=Id:s RepoTags:l RepoDigests:l Parent:s Comment:s Created:s DockerVersion:s Author:s Config:imageconfig \
         Architecture:s Variant:s Os:s OsVersion:s Size:i VirtualSize:i GraphDriver:driver RootFS:rootfs Metadata:n \
         Descriptor:n Manifests:l",
    ),
    ("rootfs", "image.RootFS", "Type:s Layers:l"),
    (
        "imageconfig",
        "dockerspec.DockerOCIImageConfig",
        "User:s ExposedPorts:{empty Env:l Entrypoint:l Cmd:l Volumes:{empty WorkingDir:s Labels:m StopSignal:s \
         ArgsEscaped:b Healthcheck:n OnBuild:l Shell:l",
    ),
    (
        "server",
        "*types.Version",
        "Platform:platform Components:[component Version:s APIVersion=ApiVersion:s MinAPIVersion:s GitCommit:s \
         GoVersion:s Os:s Arch:s KernelVersion:s Experimental:b BuildTime:s",
    ),
    ("platform", "struct { Name string }", "Name:s"),
    (
        "component",
        "types.ComponentVersion",
        "Name:s Version:s Details:m",
    ),
    ("actor", "events.Actor", "ID:s Attributes:m"),
];

/// Gives a JSON value the shape of the struct `name`.
pub fn apply(name: &str, value: Value) -> Value {
    let Some((_, type_name, fields)) = STRUCTS.iter().find(|(known, ..)| *known == name) else {
        return value;
    };
    let Value::Map(mut entries) = value else {
        return value;
    };
    let mut list = Vec::new();
    for field in fields.split_whitespace() {
        let (name, kind) = field.split_once(':').unwrap_or((field, "n"));
        let (name, key) = name.split_once('=').unwrap_or((name, name));
        let found = entries
            .iter()
            .position(|(known, _)| known == key)
            .map(|position| entries.remove(position).1);
        let sent = found.is_some();
        list.push(Field {
            name: name.to_string(),
            key: (key != name).then(|| key.to_string()),
            value: typed(kind, found.unwrap_or(Value::Null)),
            sent,
        });
    }
    // The image's configuration is written without what is empty.
    if name == "imageconfig" {
        list.iter_mut()
            .for_each(|field: &mut Field| field.sent &= field.value.is_true());
    }
    // What an engine sends beyond Go's struct is still there to be asked for.
    list.extend(entries.into_iter().map(|(name, value)| Field {
        name,
        key: None,
        value,
        sent: true,
    }));
    Value::Struct(Struct {
        type_name: (*type_name).to_string(),
        fields: list,
        labels: None,
    })
}

/// A map of Go, which is printed and encoded in the order of its keys.
fn sorted(mut entries: Vec<(String, Value)>) -> Value {
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    Value::Map(entries)
}

fn typed(kind: &str, value: Value) -> Value {
    if value == Value::Null && kind.starts_with('[') {
        return Value::NilList;
    }
    if value == Value::Null && kind.starts_with('{') {
        return Value::NilMap;
    }
    if let Some(inner) = kind.strip_prefix('[') {
        return Value::List(
            value
                .list()
                .iter()
                .map(|item| typed(inner, item.clone()))
                .collect(),
        );
    }
    if let Some(inner) = kind.strip_prefix('{') {
        let entries = value.entries().iter();
        return sorted(
            entries
                .map(|(key, item)| (key.clone(), typed(inner, item.clone())))
                .collect(),
        );
    }
    match (kind, value) {
        ("s", Value::Null) => Value::from(""),
        ("i", Value::Null) => Value::Int(0),
        ("b", Value::Null) => Value::Bool(false),
        ("l", Value::Null) => Value::NilList,
        ("m", Value::Null) => Value::NilMap,
        ("m", Value::Map(entries)) => sorted(entries),
        ("n", value) => value,
        ("t", value) => time(value),
        ("d", value) => duration(value),
        (kind, value) => apply(kind, value),
    }
}

/// `2024-03-01T12:00:00.5Z` is printed as `2024-03-01 12:00:00.5 +0000 UTC`.
fn time(value: Value) -> Value {
    let text = value.text();
    let zone = text.len()
        - text
            .bytes()
            .rev()
            .position(|b| b"Z+-".contains(&b))
            .map_or(0, |at| at + 1);
    let (moment, zone) = text.split_at(zone);
    let moment = moment.replacen('T', " ", 1);
    let printed = match zone {
        "Z" => format!("{moment} +0000 UTC"),
        zone => {
            let zone = zone.replace(':', "");
            format!("{moment} {zone} {zone}")
        }
    };
    Value::Shown(Box::new(Shown {
        type_name: "time.Time",
        printed,
        value,
    }))
}

/// Nanoseconds, printed as `1m30s`.
fn duration(value: Value) -> Value {
    let nanoseconds = value.int();
    let printed =
        super::print::duration(std::time::Duration::from_nanos(nanoseconds.unsigned_abs()));
    let sign = if nanoseconds < 0 { "-" } else { "" };
    Value::Shown(Box::new(Shown {
        type_name: "time.Duration",
        printed: format!("{sign}{printed}"),
        value: Value::Int(nanoseconds),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::print::{json, plain};
    use super::*;

    #[test]
    fn times_and_durations_are_printed_as_go_does() {
        let text = "2026-11-28T06:22:34.13347049Z";
        let moment = typed("t", Value::from(text));
        assert_eq!(plain(&moment), "2026-11-28 06:22:34.13347049 +0000 UTC");
        assert_eq!(json(&moment, false), format!("{text:?}"));
        let zoned = typed("t", Value::from("2026-11-28T06:22:34-05:30"));
        assert_eq!(plain(&zoned), "2026-11-28 06:22:34 -0530 -0530");
        let half = typed("d", Value::Int(90_500_000_000));
        assert_eq!(
            (plain(&half), json(&half, false)),
            ("1m30.5s".into(), "90500000000".into())
        );
        assert_eq!(plain(&typed("d", Value::Null)), "0s");
    }
}
