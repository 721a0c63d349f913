//! Which JSON objects are Go structs in the stock client, so that `{{.State}}` prints `{running true …}` and
//! `{{.State.Health}}` prints `<nil>` although the JSON has no such key.
//!
//! A struct is a line: its name, Go's type, then its fields in Go's order. Behind a colon is the zero of a
//! field that JSON may leave out or send as null: `s` text, `i` number, `b` truth, `l` list, `m` map, `n`
//! nil; or the struct of the field itself, of its list (`[x`) or of its map (`{x`).

use super::value::{Field, Struct, Value};

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
        "Start:s End:s ExitCode:i Output:s",
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
        "Test:l Interval:i Timeout:i StartPeriod:i StartInterval:i Retries:i",
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
        (kind, value) => apply(kind, value),
    }
}
