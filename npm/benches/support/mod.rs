//! Packuments made by code, with the proportions of real large ones.
//!
//! A version is about 5 KB: the package.json of a tool with many dependencies and scripts,
//! the registry's own fields, two signatures and attestations.

#![allow(dead_code, reason = "each bench uses its part")]

use std::fmt::Write;

const WORDS: [&str; 24] = [
    "core", "utils", "parser", "plugin", "runtime", "loader", "server", "client", "types", "react",
    "stream", "config", "helper", "node", "web", "build", "test", "data", "async", "cache",
    "router", "style", "schema", "worker",
];

/// A small deterministic generator, so that every run measures the same bytes.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % below
    }

    fn word(&mut self) -> &'static str {
        WORDS.get(self.next(WORDS.len())).copied().unwrap_or("core")
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        (0..length)
            .filter_map(|_| alphabet.as_bytes().get(self.next(alphabet.len())))
            .map(|&byte| char::from(byte))
            .collect()
    }

    fn base64(&mut self, length: usize) -> String {
        self.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", length)
    }

    fn hex(&mut self, length: usize) -> String {
        self.text("0123456789abcdef", length)
    }
}

/// The text of version number `index`; every fifth is a prerelease.
pub fn version(index: usize) -> String {
    let (major, minor, patch) = (index / 1_000, index / 20 % 50, index % 20);
    match index % 5 {
        4 => format!("{major}.{minor}.{patch}-canary.{index}"),
        _ => format!("{major}.{minor}.{patch}"),
    }
}

/// 40 MB and 8,000 versions; a hundredth of it when a bench only has to prove that it runs.
pub fn large_packument() -> Vec<u8> {
    let is_test = std::env::args().any(|argument| argument == "--test");
    packument(if is_test { 80 } else { 8_000 }, 5_500)
}

/// The length of a body as criterion wants it.
pub fn len(body: &[u8]) -> u64 {
    u64::try_from(body.len()).unwrap_or(u64::MAX)
}

/// A packument of so many versions, each of about `bytes_each` bytes.
pub fn packument(versions: usize, bytes_each: usize) -> Vec<u8> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut out = String::with_capacity(versions * (bytes_each + 600));
    let last = version(versions.saturating_sub(1));
    let _ = write!(
        out,
        r#"{{"_id":"big-tool","_rev":"{versions}-{}","name":"big-tool","dist-tags":{{"latest":"0.0.0","canary":"{last}"}},"versions":{{"#,
        random.hex(32)
    );
    for index in 0..versions {
        if index > 0 {
            out.push(',');
        }
        write_version(&mut out, &mut random, &version(index), bytes_each);
    }
    out.push_str(
        r#"},"time":{"created":"2019-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z""#,
    );
    for index in 0..versions {
        let _ = write!(
            out,
            r#","{}":"20{:02}-{:02}-{:02}T10:20:30.{:03}Z""#,
            version(index),
            19 + index / 1_200,
            index % 12 + 1,
            index % 28 + 1,
            index % 1_000
        );
    }
    out.push_str(r#"},"maintainers":[{"name":"a-maintainer","email":"a@example.org"}],"description":"A tool — für alle","readme":""#);
    for line in 0..600 {
        let _ = write!(
            out,
            r#"## {} {line}\n\nUse `{}` with \"{}\" to get it \u2014 works.\n\n"#,
            random.word(),
            random.word(),
            random.word()
        );
    }
    out.push_str(r#"","readmeFilename":"README.md","license":"MIT"}"#);
    out.into_bytes()
}

fn write_version(out: &mut String, random: &mut Random, version: &str, bytes_each: usize) {
    let start = out.len();
    let _ = write!(
        out,
        r#""{version}":{{"name":"big-tool","version":"{version}","description":"A tool — für alle","license":"MIT","author":{{"name":"An Author","email":"author@example.org"}},"bin":{{"big-tool":"bin/big-tool.js"}},"main":"./dist/node/index.js","types":"./dist/node/index.d.ts","engines":{{"node":"^14.18.0 || >=16.0.0"}},"repository":{{"type":"git","url":"git+https://example.org/big/tool.git","directory":"packages/tool"}},"homepage":"https://example.org/big/tool/tree/main/#readme","scripts":{{"dev":"rimraf dist && npm run build-bundle -w","build":"rimraf dist && run-s build-bundle build-types","lint":"eslint --ext .ts src/**","format":"prettier --write --parser typescript \"src/**/*.ts\""}},"exports":{{".":{{"import":"./dist/node/index.js","require":"./index.cjs"}},"./client":{{"types":"./client.d.ts"}},"./package.json":"./package.json"}}"#
    );
    out.push_str(r#","dependencies":{"#);
    write_dependencies(out, random, 12);
    out.push_str(r#"},"peerDependenciesMeta":{"sass":{"optional":true},"terser":{"optional":true}},"devDependencies":{"#);
    while out.len() - start + 1_900 < bytes_each {
        write_dependencies(out, random, 8);
        out.push(',');
    }
    write_dependencies(out, random, 1);
    let _ = write!(
        out,
        r#"}},"gitHead":"{}","_id":"big-tool@{version}","_nodeVersion":"18.12.1","_npmVersion":"8.19.2","dist":{{"integrity":"sha512-{}==","shasum":"{}","tarball":"https://registry.example.org/big-tool/-/big-tool-{version}.tgz","fileCount":{},"unpackedSize":{},"attestations":{{"url":"https://registry.example.org/-/npm/v1/attestations/big-tool@{version}","provenance":{{"predicateType":"https://example.org/provenance/v1"}}}},"signatures":[{{"keyid":"SHA256:{}","sig":"{}"}}]}},"_npmUser":{{"name":"a-maintainer","email":"a@example.org"}},"directories":{{}},"maintainers":[{{"name":"a-maintainer","email":"a@example.org"}},{{"name":"second","email":"second@example.org"}}],"_npmOperationalInternal":{{"host":"s3://npm-registry-packages","tmp":"tmp/big-tool_{version}_{}_0.{}"}},"_hasShrinkwrap":false}}"#,
        random.hex(40),
        random.base64(86),
        random.hex(40),
        random.next(300),
        random.next(9_000_000),
        random.base64(43),
        random.base64(96),
        random.next(2_000_000),
        random.next(1_000_000_000)
    );
}

fn write_dependencies(out: &mut String, random: &mut Random, count: usize) {
    for index in 0..count {
        if index > 0 {
            out.push(',');
        }
        let _ = write!(
            out,
            r#""@{}/{}-{}":"^{}.{}.{}""#,
            random.word(),
            random.word(),
            random.word(),
            random.next(9),
            random.next(30),
            random.next(12)
        );
    }
}
