//! How fast the writer and the reader are: MiB of a container's output per second, lines of 100 bytes, in
//! chunks of 64 KiB as a pipe gives them. `cargo run --release -p drydock-logs --example throughput [FOLDER]`

use std::{env, fs, io, path::PathBuf, time::Instant};

use drydock_logs::plan::{FilePlan, Format, Plan};
use drydock_logs::{Log, ReadOptions, Stream, read};

const TOTAL: usize = 256 << 20;
const ROUNDS: usize = 5;

fn main() -> io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .map_or_else(env::temp_dir, PathBuf::from);
    let path = folder.join(format!("drydock-throughput-{}.log", std::process::id()));
    let outcome = measure(&path, Format::Json).and_then(|()| measure(&path, Format::Local));
    fs::remove_file(&path)?;
    outcome
}

fn measure(path: &std::path::Path, format: Format) -> io::Result<()> {
    let mut line: Vec<u8> = (b'!'..)
        .filter(u8::is_ascii_alphanumeric)
        .cycle()
        .take(99)
        .collect();
    line.push(b'\n');
    let chunk: Vec<u8> = line.iter().copied().cycle().take(64 << 10).collect();
    let (mut writing, mut reading) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        if path.exists() {
            fs::remove_file(path)?;
        }
        let mut writer = Log::open(&Plan::of_file(FilePlan::plain(path, format, 0, 1)), None)?;
        let begin = Instant::now();
        for round in 0..TOTAL / chunk.len() {
            writer.append(
                Stream::Stdout,
                1_795_262_400_123_456_789 + round as u64,
                &chunk,
            )?;
        }
        writer.finish()?;
        writing.push(rate(begin));
        let begin = Instant::now();
        let mut bytes = 0;
        for entry in read(path, format, &ReadOptions::default())? {
            bytes += entry?.line.len();
        }
        if bytes != TOTAL {
            return Err(io::Error::other(format!(
                "wrote {TOTAL} bytes and read {bytes}"
            )));
        }
        reading.push(rate(begin));
    }
    for (name, mut rates) in [("write", writing), ("read", reading)] {
        rates.sort_by(f64::total_cmp);
        println!(
            "{format:?} {name:5} {:6.0} MiB/s median of {ROUNDS} ({:.0} to {:.0})",
            rates[ROUNDS / 2],
            rates[0],
            rates[ROUNDS - 1]
        );
    }
    Ok(())
}

fn rate(begin: Instant) -> f64 {
    (TOTAL >> 20) as f64 / begin.elapsed().as_secs_f64()
}
