//! A profile evaluated directly for one call, with nothing of the compiler in between: what the tests hold
//! the compiled programs against. It reads the JSON by itself and asks one question at a time.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{Foreign, Options, architecture::Table, arguments, numbers};
use crate::capabilities;

pub(crate) struct Reference {
    profile: Value,
    options: Options,
    /// The rules that apply, by the names in them.
    spoken: HashMap<String, Vec<usize>>,
    names: HashMap<(Table, u32), Vec<&'static str>>,
    newest: HashMap<Table, u32>,
}

const ENOSYS: u32 = 0x5_0026;
const KILL_PROCESS: u32 = 0x8000_0000;

impl Reference {
    pub(crate) fn new(json: &str, options: Options) -> Reference {
        let profile: Value = serde_json::from_str(json).expect("JSON");
        let mut names: HashMap<(Table, u32), Vec<&'static str>> = HashMap::new();
        let mut newest = HashMap::new();
        for table in [
            Table::X86_64,
            Table::X86,
            Table::X32,
            Table::Aarch64,
            Table::Arm,
        ] {
            for (name, number) in numbers::names(table) {
                names.entry((table, number)).or_default().push(name);
            }
            let spoken_of: BTreeSet<&str> = rules(&profile)
                .filter(|rule| applies(rule, &options))
                .flat_map(rule_names)
                .collect();
            newest.insert(
                table,
                spoken_of
                    .iter()
                    .filter_map(|name| numbers::number(table, name))
                    .max()
                    .unwrap_or(0),
            );
        }
        let mut spoken: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, rule) in rules(&profile)
            .enumerate()
            .filter(|(_, rule)| applies(rule, &options))
        {
            for name in rule_names(rule) {
                spoken.entry(name.to_owned()).or_default().push(index);
            }
        }
        Reference {
            profile,
            options,
            spoken,
            names,
            newest,
        }
    }

    pub(crate) fn verdict(&self, architecture: u32, number: u32, arguments: &[u64; 6]) -> u32 {
        let table = match architecture {
            0xC000_003E if number >= 0x4000_0000 => Table::X32,
            0xC000_003E => Table::X86_64,
            0x4000_0003 => Table::X86,
            0xC000_00B7 => Table::Aarch64,
            0x4000_0028 => Table::Arm,
            _ => return KILL_PROCESS,
        };
        let native = self.options.architecture.table();
        if table != native {
            let served = self.options.architecture.foreign_tables().contains(&table);
            if !served || self.options.foreign == Foreign::Refused {
                return if table == Table::X32 && native == Table::X86_64 {
                    ENOSYS
                } else {
                    KILL_PROCESS
                };
            }
        }
        if number > self.newest[&table] {
            return ENOSYS;
        }
        let default = action(
            &self.profile["defaultAction"],
            &self.profile["defaultErrnoRet"],
        );
        let names = self
            .names
            .get(&(table, number))
            .map_or(&[][..], Vec::as_slice);
        let spoken: Vec<(&Value, &str)> = names
            .iter()
            .flat_map(|name| {
                self.spoken
                    .get(*name)
                    .into_iter()
                    .flatten()
                    .map(move |index| (*index, *name))
            })
            .map(|(index, name)| (&self.profile["syscalls"][index], name))
            .filter(|(rule, _)| action(&rule["action"], &rule["errnoRet"]) != default)
            .collect();
        let result = |rule: &Value| action(&rule["action"], &rule["errnoRet"]);
        if let Some((rule, _)) = spoken
            .iter()
            .find(|(rule, _)| list(&rule["args"]).next().is_none())
        {
            return result(rule);
        }
        let holding = spoken
            .iter()
            .filter(|(rule, name)| conditions_hold(rule, name, table, arguments));
        holding
            .map(|(rule, _)| result(rule))
            .min_by_key(|value| (*value).cast_signed())
            .unwrap_or(default)
    }
}

fn rules(profile: &Value) -> impl Iterator<Item = &Value> {
    list(&profile["syscalls"])
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn rule_names(rule: &Value) -> impl Iterator<Item = &str> {
    list(&rule["names"]).filter_map(Value::as_str)
}

fn applies(rule: &Value, options: &Options) -> bool {
    let architecture = if options.architecture == super::Architecture::X86_64 {
        "amd64"
    } else {
        "arm64"
    };
    let has = |name: &Value| {
        let number = capabilities::NAMES
            .iter()
            .position(|known| Some(*known) == name.as_str());
        number.is_some_and(|number| options.capabilities & (1 << number) != 0)
    };
    let (includes, excludes) = (&rule["includes"], &rule["excludes"]);
    if list(&excludes["arches"]).any(|name| name == architecture)
        || list(&excludes["caps"]).any(has)
    {
        return false;
    }
    let kernel = includes["minKernel"].as_str().is_none_or(|text| {
        let (major, minor) = text.split_once('.').expect("two numbers");
        (options.kernel.0, options.kernel.1)
            >= (major.parse().expect("major"), minor.parse().expect("minor"))
    });
    let arches: Vec<&Value> = list(&includes["arches"]).collect();
    kernel
        && (arches.is_empty() || arches.into_iter().any(|name| name == architecture))
        && list(&includes["caps"]).all(has)
}

fn conditions_hold(rule: &Value, name: &str, table: Table, arguments: &[u64; 6]) -> bool {
    let mut indices = BTreeSet::new();
    let repeated =
        list(&rule["args"]).any(|condition| !indices.insert(condition["index"].as_u64()));
    let mut results = list(&rule["args"]).map(|condition| {
        let index = condition["index"].as_u64().expect("index") as usize;
        let narrow = table.has_32_bit_arguments() || arguments::is_32_bit(name, index as u8);
        let cut = |value: u64| if narrow { value & 0xffff_ffff } else { value };
        let (argument, value) = (
            cut(arguments[index]),
            cut(condition["value"].as_u64().expect("value")),
        );
        let value_two = cut(condition["valueTwo"].as_u64().unwrap_or(0));
        match condition["op"].as_str().expect("op") {
            "SCMP_CMP_NE" => argument != value,
            "SCMP_CMP_LT" => argument < value,
            "SCMP_CMP_LE" => argument <= value,
            "SCMP_CMP_EQ" => argument == value,
            "SCMP_CMP_GE" => argument >= value,
            "SCMP_CMP_GT" => argument > value,
            "SCMP_CMP_MASKED_EQ" => argument & value == value_two,
            other => panic!("no such operator: {other}"),
        }
    });
    if repeated {
        results.any(|holds| holds)
    } else {
        results.all(|holds| holds)
    }
}

fn action(name: &Value, errno: &Value) -> u32 {
    let errno = errno.as_u64().unwrap_or(1) as u32;
    match name.as_str().expect("an action") {
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 + errno,
        "SCMP_ACT_ERRNO" => 0x5_0000 + errno,
        "SCMP_ACT_TRAP" => 0x3_0000,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => KILL_PROCESS,
        other => panic!("no such action: {other}"),
    }
}
