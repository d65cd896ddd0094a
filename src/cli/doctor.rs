//! `espejo doctor`: looks for problems of this machine and this mirror.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use actors::upstream::{Upstream, UpstreamSettings};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use store::{maintenance::check_database_blocking, packages};

use super::{
    arguments::GlobalArguments,
    control::ControlClient,
    exit::Exit,
    open::open_rows,
    output::{Output, Paint},
    ports,
    problem::{Outcome, Problem},
    runtime,
    status::volume,
    text, upstream,
};
use crate::{
    admin_token,
    config::{Config, Source, without_credentials},
    control::messages::StatusAnswer,
};

/// A clock further away than this makes signatures and tokens look wrong.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(3);
/// How long the upstream may take.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(10);
/// Slower than this is worth a word.
const UPSTREAM_SLOW: Duration = Duration::from_secs(2);

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Also write a report for a bug report, secrets removed
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "espejo-report.json")]
    pub bundle: Option<PathBuf>,
}

/// How one look went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Fine.
    Ok,
    /// To be looked at.
    Warn,
    /// Wrong.
    Fail,
}

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    health: Health,
    text: String,
}

impl Check {
    fn ok(text: impl Into<String>) -> Self {
        Self { health: Health::Ok, text: text.into() }
    }

    fn warn(text: impl Into<String>) -> Self {
        Self { health: Health::Warn, text: text.into() }
    }

    fn fail(text: impl Into<String>) -> Self {
        Self { health: Health::Fail, text: text.into() }
    }
}

/// Looks at everything and says what it found.
///
/// # Errors
/// When the settings are refused; problems found are in the exit code.
pub fn run(arguments: &DoctorArguments, global: &GlobalArguments, output: &Output) -> Outcome {
    let mut config = global.settings()?;
    let mut checks = vec![data_folder(&config), database(&mut config), admin_token(&config)];
    if config.upstream.url.is_none()
        && !global.no_discovery
        && let Err(problem) = upstream::add_discovered(&mut config, true)
    {
        checks.push(Check::fail(problem.to_string().replace('\n', ";")));
    }
    let server = server_status(&config);
    checks.push(port(&config, server.as_ref().ok().and_then(Option::as_ref)));
    if let Err(problem) = &server {
        checks.push(Check::fail(problem.what.clone()));
    }
    checks.extend(runtime::small()?.block_on(ask_upstream(&config)));
    report(&checks, output);
    if let Some(path) = &arguments.bundle {
        write_bundle(path, &config, &checks, server.as_ref().ok().and_then(Option::as_ref))?;
        output.note(format_args!("Wrote {}, secrets removed", path.display()));
    }
    let failed = checks.iter().any(|check| check.health == Health::Fail);
    Ok(if failed { Exit::CheckFailed } else { Exit::Done })
}

fn report(checks: &[Check], output: &Output) {
    let number = |health| checks.iter().filter(|check| check.health == health).count();
    let (problems, warnings) = (number(Health::Fail), number(Health::Warn));
    if output.json {
        output.json(&json!({ "checks": checks, "problems": problems, "warnings": warnings }));
        return;
    }
    for check in checks {
        let mark = match check.health {
            Health::Ok => output.painted("[ok]  ", Paint::Good),
            Health::Warn => output.painted("[warn]", Paint::Warn),
            Health::Fail => output.painted("[fail]", Paint::Bad),
        };
        output.line(format_args!("{mark} {}", check.text));
    }
    let counted =
        |number: usize, noun: &str| text::counted(u64::try_from(number).unwrap_or_default(), noun);
    output.line(format_args!(
        "{}, {}. For a bug report, secrets removed: espejo doctor --bundle",
        counted(problems, "problem"),
        counted(warnings, "warning")
    ));
}

fn data_folder(config: &Config) -> Check {
    let folder = &config.storage.path;
    let shown = folder.display();
    let writable = fs::create_dir_all(folder).and_then(|()| {
        let probe = folder.join(".doctor");
        fs::write(&probe, b"x")?;
        fs::remove_file(&probe)
    });
    if let Err(error) = writable {
        return Check::fail(format!("data folder {shown} cannot be written: {error}"));
    }
    let Some(volume) = volume(folder) else {
        return Check::ok(format!("data folder {shown} writable"));
    };
    let free = text::bytes(volume.free_bytes);
    if volume.free_bytes < config.storage.keep_free_bytes {
        let limit = text::bytes(config.storage.keep_free_bytes);
        return Check::fail(format!(
            "data folder {shown} has {free} free, limit is {limit}, so nothing is fetched: free \
             space, or preview: espejo gc --dry-run"
        ));
    }
    Check::ok(format!("data folder {shown} writable, {free} free"))
}

fn database(config: &mut Config) -> Check {
    let opened = open_rows(config).and_then(|store| match store {
        None => Ok(Check::ok("no database yet; the first start makes it")),
        Some(store) => {
            upstream::add_stored_from(config, &store)?;
            let totals = store.read_blocking(packages::totals)?;
            check_database_blocking(&store)?;
            let packages = u64::try_from(totals.packages).unwrap_or_default();
            let held = text::counted(packages, "package");
            Ok(Check::ok(format!("database readable, integrity fine, {held}")))
        }
    });
    opened.unwrap_or_else(|problem| Check::fail(problem.to_string().replace('\n', ";")))
}

fn admin_token(config: &Config) -> Check {
    let path = admin_token::path(&config.storage.path);
    match fs::metadata(&path) {
        Ok(file) if file.permissions().mode() & 0o077 != 0 => Check::warn(format!(
            "{} can be read by others: chmod 600, or a new one: espejo token create admin",
            path.display()
        )),
        Ok(_) => Check::ok("admin token readable by its owner only"),
        Err(_) => Check::ok("no admin token yet; the next start makes it"),
    }
}

fn server_status(config: &Config) -> Result<Option<StatusAnswer>, Problem> {
    let Some(client) = ControlClient::connect(config)? else { return Ok(None) };
    runtime::small()?.block_on(client.get("status")).map(Some)
}

fn port(config: &Config, server: Option<&StatusAnswer>) -> Check {
    if let Some(server) = server {
        let state = if server.ready { "ready" } else { "not ready" };
        return Check::ok(format!("mirror running on {}, {state}", server.listen));
    }
    let address = config.listen;
    match TcpListener::bind(address) {
        Ok(_) => Check::ok(format!("port {} is free", address.port())),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let holder = ports::holder(address)
                .map_or_else(|| "another process".into(), |id| format!("process {id}"));
            Check::fail(format!(
                "port {} is taken by {holder}: stop it, or: espejo serve --listen {}:{}",
                address.port(),
                address.ip(),
                address.port().wrapping_add(10),
            ))
        }
        Err(error) => Check::fail(format!("cannot listen on {address}: {error}")),
    }
}

async fn ask_upstream(config: &Config) -> Vec<Check> {
    let Some(url) = &config.upstream.url else {
        return vec![Check::warn(
            "no upstream known, so nothing is fetched: espejo serve --upstream URL once",
        )];
    };
    let shown = without_credentials(url.as_str());
    if config.upstream.offline {
        return vec![Check::warn("upstream is not asked: upstream.offline is set")];
    }
    if let Err(problem) = upstream::refuse_own_address(config, url) {
        return vec![Check::fail(problem.to_string().replace('\n', ";"))];
    }
    // the way the engine goes: proxy, authorities, credentials and address rules included
    let settings = upstream::upstream_settings(config, url.clone(), "doctor".to_owned());
    let asked = settings.map(|settings| {
        Upstream::new(UpstreamSettings {
            connect_timeout: UPSTREAM_TIMEOUT,
            first_byte_timeout: UPSTREAM_TIMEOUT,
            ..settings
        })
    });
    let asked = match asked {
        Ok(Ok(asked)) => asked,
        Ok(Err(error)) => return vec![Check::fail(error.to_string())],
        Err(problem) => return vec![Check::fail(problem.to_string().replace('\n', ";"))],
    };
    match asked.probe().await {
        Ok(probe) => {
            let mut checks = vec![answered(&shown, probe.status, probe.took)];
            checks.extend(probe.date.map(clock_check));
            checks
        }
        Err(error) => vec![Check::fail(format!("upstream {shown}: {error}"))],
    }
}

fn answered(shown: &str, status: u16, took: Duration) -> Check {
    let time = text::span(took);
    match status {
        500.. => Check::fail(format!("upstream {shown} answers {status} after {time}")),
        _ if took > UPSTREAM_SLOW => {
            Check::warn(format!("upstream {shown} answers in {time}: slow"))
        }
        _ => Check::ok(format!("upstream {shown} answers in {time}")),
    }
}

fn clock_check(upstream: SystemTime) -> Check {
    let (away, ahead) = match SystemTime::now().duration_since(upstream) {
        Ok(ahead) => (ahead, true),
        Err(behind) => (behind.duration(), false),
    };
    // The header has whole seconds, so up to one of them is rounding.
    if away <= CLOCK_TOLERANCE {
        return Check::ok("clock agrees with upstream");
    }
    let side = if ahead { "ahead of" } else { "behind" };
    Check::warn(format!(
        "clock {} {side} upstream: turn on time sync, tokens may look expired",
        text::span(away)
    ))
}

fn write_bundle(
    path: &PathBuf,
    config: &Config,
    checks: &[Check],
    server: Option<&StatusAnswer>,
) -> Result<(), Problem> {
    let settings: Vec<_> = config
        .rows
        .iter()
        .filter(|row| row.source != Source::Default)
        .map(|row| {
            json!({ "key": row.setting.key, "value": row.shown(), "source": row.source.layer() })
        })
        .collect();
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "system": read("/proc/version"),
        "processors": std::thread::available_parallelism().map(usize::from).ok(),
        "settings": settings,
        "checks": checks,
        "status": server,
    });
    let text = serde_json::to_vec_pretty(&report)
        .map_err(|error| Problem::failed("the report cannot be written").why(error))?;
    fs::write(path, text)
        .map_err(|error| Problem::failed(format!("cannot write {}", path.display())).why(error))
}
