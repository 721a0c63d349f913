//! What the seccomp program costs: making it, and loading it into the kernel, beside the program that a real
//! Docker 28.5 loads. `cargo run --release -p drydock-runtime --example seccomp_cost [ROUNDS]`
//!
//! Every load happens in a process of its own (this example, started again), because programs add up. The
//! kinds take turns, so that a busy moment hits all alike.

use std::{env, error::Error, fs, path::PathBuf, process::Command, time::Instant};

use drydock_runtime::{
    capabilities::DEFAULT,
    seccomp::{
        Architecture, DEFAULT_PROFILE, Foreign, KernelVersion, Options, compile_for,
        default_program,
    },
};

const DOCKERS: &[u8] = include_bytes!("../profiles/docker-28.5-x86_64/default.bpf");

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    if let Some(path) = arguments.get(2).filter(|_| arguments[1] == "--load") {
        return load(&fs::read(path)?);
    }
    let rounds = arguments.get(1).map_or(Ok(100), |text| text.parse())?;
    let options = |foreign| Options {
        capabilities: DEFAULT,
        architecture: Architecture::native(),
        kernel: KernelVersion(6, 1),
        foreign,
    };
    let native = compile_for(DEFAULT_PROFILE, &options(Foreign::Refused))?;
    let foreign = compile_for(DEFAULT_PROFILE, &options(Foreign::AsProfile))?;
    for (name, foreign) in [
        ("compile", Foreign::Refused),
        ("compile with foreign calls", Foreign::AsProfile),
    ] {
        report(
            name,
            repeat(rounds, || {
                timed(|| compile_for(DEFAULT_PROFILE, &options(foreign)))
            })?,
        );
    }
    default_program(DEFAULT, Architecture::native())?;
    report(
        "take from the cache",
        repeat(rounds, || {
            timed(|| default_program(DEFAULT, Architecture::native()))
        })?,
    );

    let programs = [
        ("native", native),
        ("with foreign calls", foreign),
        ("Docker 28.5", DOCKERS.to_vec()),
    ];
    let mut times = vec![Vec::new(); programs.len()];
    for (index, (_, program)) in programs.iter().enumerate() {
        fs::write(file(index), program)?;
    }
    for _ in 0..rounds {
        for (index, times) in times.iter_mut().enumerate() {
            times.push(load_elsewhere(&file(index))?);
        }
    }
    for (index, ((name, program), times)) in programs.iter().zip(times).enumerate() {
        fs::remove_file(file(index))?;
        report(
            &format!("load {name}, {} instructions", program.len() / 8),
            times,
        );
    }
    Ok(())
}

fn file(index: usize) -> PathBuf {
    env::temp_dir().join(format!(
        "drydock-seccomp-{}-{index}.bpf",
        std::process::id()
    ))
}

/// In the new process: prints microseconds.
fn load(program: &[u8]) -> Result<(), Box<dyn Error>> {
    nix::sys::prctl::set_no_new_privs()?;
    let time = timed(|| drydock_sys::process::load_seccomp(program))?;
    println!("{time}");
    Ok(())
}

fn load_elsewhere(path: &PathBuf) -> Result<f64, Box<dyn Error>> {
    let output = Command::new(env::current_exe()?)
        .arg("--load")
        .arg(path)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn timed<T, E>(action: impl FnOnce() -> Result<T, E>) -> Result<f64, E> {
    let begin = Instant::now();
    action()?;
    Ok(begin.elapsed().as_secs_f64() * 1e6)
}

fn repeat<E>(rounds: usize, mut action: impl FnMut() -> Result<f64, E>) -> Result<Vec<f64>, E> {
    (0..rounds).map(|_| action()).collect()
}

fn report(name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[times.len() * part / 100];
    println!(
        "{name:38} median {:7.1} µs, p10 {:7.1}, p90 {:7.1}, n {}",
        at(50),
        at(10),
        at(90),
        times.len()
    );
}
