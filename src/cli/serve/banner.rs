//! What `serve` says when it is ready: how to use the mirror, in one screen.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;

use super::milliseconds;
use crate::{
    admin_token,
    cli::{status::volume, text},
    config::{Config, Source, without_credentials},
};

/// Facts of a mirror that is ready.
pub struct Banner<'a> {
    /// Its settings.
    pub config: &'a Config,
    /// Where it listens, with the real port.
    pub listen: SocketAddr,
    /// Where the operations listener is.
    pub ops_listen: Option<SocketAddr>,
    /// Whether npm is still being asked for an upstream.
    pub asking_npm: bool,
    /// Whether the admin token was made in this start.
    pub new_token: bool,
    /// Time since the process started.
    pub ready_in: Duration,
}

impl Banner<'_> {
    fn url(&self) -> String {
        if let Some(url) = &self.config.public_url {
            return url.to_string();
        }
        let scheme = if self.config.server.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/", self.listen)
    }

    /// One JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        let source = self.config.row("upstream.url").map(|row| row.source.to_string());
        let upstream = self.config.upstream.url.as_ref();
        json!({
            "type": "ready",
            "version": env!("CARGO_PKG_VERSION"),
            "url": self.url(),
            "listen": self.listen,
            "ops_listen": self.ops_listen,
            "upstream": upstream.map(|url| without_credentials(url.as_str())),
            "upstream_source": upstream.and(source),
            "data": self.config.storage.path,
            "admin_token": admin_token::path(&self.config.storage.path),
            "ready_ms": milliseconds(self.ready_in),
        })
    }

    /// The lines for people.
    pub fn to_text(&self) -> String {
        let url = self.url();
        let folder = shown_folder(self.config);
        let token = if self.new_token { "new token" } else { "token" };
        let mut lines = vec![
            format!("espejo {}", env!("CARGO_PKG_VERSION")),
            String::new(),
            format!("  Registry    {url}"),
            format!("  Upstream    {}", self.upstream()),
            format!("  Storage     {folder}   {}", self.storage()),
            format!("  Sync        {}", self.sync()),
            String::new(),
            format!("  Use it      npm install --registry={url} NAME"),
            format!(
                "  Admin       {token} in {folder}/admin.token (readable by you only), or a sign-in \
                 link: espejo token link"
            ),
        ];
        if let Some(ops) = self.ops_listen {
            lines.push(format!("  Health      http://{ops}/readyz   /livez   /metrics"));
        }
        lines.push(format!(
            "  Ready in {}. Ctrl-C stops; running work is finished or handed back first.",
            text::span(self.ready_in)
        ));
        lines.join("\n")
    }

    fn upstream(&self) -> String {
        let Some(url) = &self.config.upstream.url else {
            return if self.asking_npm {
                "asking npm: npm config get registry".into()
            } else {
                "none, so sync is paused   try: espejo serve --upstream URL once; it is remembered"
                    .into()
            };
        };
        let url = without_credentials(url.as_str());
        let change = "change with: espejo serve --upstream URL";
        let offline = if self.config.upstream.offline { "   offline: nobody is asked" } else { "" };
        let source = self.config.row("upstream.url").map(|row| &row.source);
        match source {
            Some(Source::Discovered(origin)) => {
                format!("{url}   found in {origin}; stored, {change}{offline}")
            }
            Some(Source::Stored(origin)) => format!("{url}   stored {origin}; {change}{offline}"),
            Some(Source::Flag(flag)) => format!("{url}   from {flag}; stored{offline}"),
            Some(source) => format!("{url}   from {source}{offline}"),
            None => url,
        }
    }

    fn storage(&self) -> String {
        let storage = &self.config.storage;
        let database = if storage.database.is_some() { "PostgreSQL" } else { "SQLite" };
        if storage.kind == "s3" {
            return format!("{database} and bucket {}", storage.bucket);
        }
        match volume(&storage.path) {
            Some(volume) => {
                format!("{database} and files, {} free", text::bytes(volume.free_bytes))
            }
            None => format!("{database} and files"),
        }
    }

    fn sync(&self) -> String {
        let sync = &self.config.sync;
        let miss = match sync.on_miss.as_str() {
            "redirect" => "what is not here is redirected to upstream",
            "none" => "only what was synced is served",
            _ if sync.mode == "all" => {
                "packages are fetched whole when first asked for, then kept fresh"
            }
            _ => "packages are fetched when first asked for, then kept fresh",
        };
        format!("{}: {miss}", sync.mode)
    }

    /// What a listener on a public address still needs.
    pub fn public_warning(&self) -> Option<String> {
        let bare = self.config.server.tls.is_none() && self.config.public_url.is_none();
        (bare && !self.listen.ip().is_loopback()).then(|| {
            format!(
                "listening on {} without TLS: set tls.cert and tls.key, or public_url when a \
                 proxy in front has the certificate",
                self.listen
            )
        })
    }
}

fn shown_folder(config: &Config) -> String {
    let path = &config.storage.path;
    if path.is_absolute() || path.starts_with(".") || path.starts_with("..") {
        path.display().to_string()
    } else {
        format!("./{}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, Value};

    fn banner<'a>(config: &'a Config, listen: &str) -> Banner<'a> {
        Banner {
            config,
            listen: listen.parse().unwrap(),
            ops_listen: None,
            asking_npm: false,
            new_token: true,
            ready_in: Duration::from_millis(84),
        }
    }

    fn with_upstream(source: Source) -> Config {
        let value = Value::Text("http://ada:secret@127.0.0.1:4873/".into());
        Config::from_layers(&[Given { key: "upstream.url", value, source }], None).unwrap()
    }

    #[test]
    fn it_says_how_to_use_the_mirror_and_where_the_upstream_was_found() {
        let config = with_upstream(Source::Discovered("npm config (user .npmrc, line 3)".into()));
        let text = banner(&config, "127.0.0.1:7001").to_text();
        for part in [
            "  Registry    http://127.0.0.1:7001/\n",
            "  Upstream    http://127.0.0.1:4873/   found in npm config (user .npmrc, line 3); stored",
            "  Storage     ./espejo-data   SQLite and files, ",
            "  Sync        exist: packages are fetched when first asked for, then kept fresh\n",
            "  Use it      npm install --registry=http://127.0.0.1:7001/ NAME\n",
            "  Admin       new token in ./espejo-data/admin.token (readable by you only), or a sign-in link: espejo token link\n",
            "  Ready in 84 ms. Ctrl-C stops; running work is finished or handed back first.",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("secret") && !text.contains("Dashboard"));
    }

    #[test]
    fn without_an_upstream_it_says_so() {
        let config = Config::from_layers(&[], None).unwrap();
        assert!(banner(&config, "127.0.0.1:1").to_text().contains("none, so sync is paused"));
        assert!(banner(&config, "127.0.0.1:1").to_json()["upstream"].is_null());
    }

    #[test]
    fn only_a_public_address_without_tls_is_warned_about() {
        let config = Config::from_layers(&[], None).unwrap();
        assert!(banner(&config, "127.0.0.1:1").public_warning().is_none());
        assert!(banner(&config, "0.0.0.0:1").public_warning().is_some());
        let public = Given {
            key: "public_url",
            value: Value::Text("https://npm.example/".into()),
            source: Source::Default,
        };
        let config = Config::from_layers(&[public], None).unwrap();
        assert!(banner(&config, "0.0.0.0:1").public_warning().is_none());
        assert_eq!(banner(&config, "0.0.0.0:1").url(), "https://npm.example/");
    }
}
