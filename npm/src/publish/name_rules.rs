//! What a new package may be called: the specification's expression and npm's own rules.

use crate::name::PackageName;

/// Modules of Node, which `require` finds before any package.
const CORE_MODULES: [&str; 56] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "freelist",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
    "_http_agent",
    "_http_client",
    "_http_common",
    "_http_incoming",
    "_http_outgoing",
    "_http_server",
    "_linklist",
    "_stream_duplex",
    "_stream_passthrough",
    "_stream_readable",
    "_stream_transform",
    "_stream_writable",
    "_tls_wrap",
];

/// Everything that is wrong with a name for a new package, in the words of npm's own check.
#[must_use]
pub fn new_name_errors(name: &PackageName) -> Vec<String> {
    let (whole, bare) = (name.as_str(), name.bare());
    let mut errors = Vec::new();
    let mut check = |wrong: bool, text: String| {
        if wrong {
            errors.push(text);
        }
    };
    let refused = |rule: &str| format!("name {rule}");
    check(bare.starts_with('.'), refused("cannot start with a period"));
    check(bare.starts_with('_'), refused("cannot start with an underscore"));
    check(whole.trim() != whole, refused("cannot contain leading or trailing spaces"));
    let lower = whole.to_lowercase();
    check(CORE_MODULES.contains(&&*lower), format!("{whole} is a core module name"));
    check(whole.len() > 214, refused("can no longer contain more than 214 characters"));
    check(lower != whole, refused("can no longer contain capital letters"));
    let special = bare.contains(['~', '\'', '!', '(', ')', '*']);
    check(special, refused("can no longer contain special characters (\"~'!()*\")"));
    check(!name.is_publishable() && !special, refused("can only contain URL-friendly characters"));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_new_packages_are_refused_with_every_reason() {
        for (text, errors) in [
            ("lamp", 0),
            ("@garden/lamp.js", 0),
            ("@garden/fs", 0),
            ("Lamp", 2),
            ("fs", 1),
            (".lamp", 2),
            ("_lamp", 2),
            ("la~mp", 1),
            ("lamp!", 1),
            ("la mp", 1),
            ("@Garden/lamp", 2),
        ] {
            let name = PackageName::parse(text).unwrap();
            assert_eq!(
                new_name_errors(&name).len(),
                errors,
                "{text}: {:?}",
                new_name_errors(&name)
            );
        }
    }
}
