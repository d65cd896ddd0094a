use std::collections::HashMap;

use super::*;

#[derive(Default)]
struct Fake {
    variables: Vec<(String, String)>,
    files: HashMap<PathBuf, String>,
}

impl Fake {
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    fn discover(&self) -> Result<Option<(String, String)>, DiscoveryError> {
        let found = discover(self)?;
        Ok(found.map(|found| (found.url.to_string(), found.origin)))
    }
}

impl Surroundings for Fake {
    fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    fn working_folder(&self) -> &Path {
        Path::new("/projects/app/src")
    }

    fn read_file(&self, path: &Path) -> Option<String> {
        self.files.get(path).cloned()
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn resolved(&self, path: &Path) -> Option<PathBuf> {
        match path.to_str() {
            Some("/usr/bin/node") => Some("/opt/node/bin/node".into()),
            _ => Some(path.to_owned()),
        }
    }
}

/// Every place filled; a test takes places away to see the next one win.
fn everywhere() -> Fake {
    Fake::default()
        .variable("NPM_Config_Registry", "http://127.0.0.1:1/")
        .variable("HOME", "/home/ada")
        .variable("PATH", "/bin:/usr/bin")
        .file("/usr/bin/node", "")
        .file("/projects/app/package.json", "{}")
        .file("/projects/app/.npmrc", "registry=http://127.0.0.1:2/")
        .file("/home/ada/.npmrc", "; mine\n\nregistry = http://127.0.0.1:3/")
        .file("/opt/node/etc/npmrc", "registry=http://127.0.0.1:4/")
}

#[test]
fn variable_project_user_and_global_are_asked_in_this_order() {
    let mut fake = everywhere();
    let found = |fake: &Fake| fake.discover().unwrap();
    let answer = |url: &str, origin: &str| Some((url.to_owned(), origin.to_owned()));
    assert_eq!(found(&fake), answer("http://127.0.0.1:1/", "npm config (NPM_Config_Registry)"));
    fake.variables.remove(0);
    assert_eq!(found(&fake), answer("http://127.0.0.1:2/", "npm config (project .npmrc, line 1)"));
    fake.files.remove(Path::new("/projects/app/.npmrc"));
    assert_eq!(found(&fake), answer("http://127.0.0.1:3/", "npm config (user .npmrc, line 3)"));
    fake.files.remove(Path::new("/home/ada/.npmrc"));
    assert_eq!(found(&fake), answer("http://127.0.0.1:4/", "npm config (global npmrc, line 1)"));
    fake.files.remove(Path::new("/opt/node/etc/npmrc"));
    assert_eq!(found(&fake), None);
}

#[test]
fn an_empty_variable_is_no_setting_and_a_configured_file_replaces_the_usual_one() {
    let fake = everywhere().variable("npm_config_userconfig", "/etc/mine");
    let fake = Fake { variables: fake.variables[1..].to_vec(), ..fake };
    let fake = fake.variable("npm_config_registry", "");
    let mut fake = fake.file("/etc/mine", "registry=http://127.0.0.1:5/");
    fake.files.remove(Path::new("/projects/app/.npmrc"));
    assert_eq!(fake.discover().unwrap().unwrap().0, "http://127.0.0.1:5/");
}

#[test]
fn variables_in_a_value_are_replaced_and_undefined_ones_refused() {
    let npmrc = "registry=http://127.0.0.1:${MYPORT}/npm/";
    let fake = Fake::default().variable("HOME", "/h").file("/h/.npmrc", npmrc);
    assert_eq!(
        fake.discover(),
        Err(DiscoveryError::UndefinedVariable {
            place: "/h/.npmrc line 1".into(),
            name: "MYPORT".into()
        })
    );
    let fake = fake.variable("MYPORT", "8081");
    assert_eq!(fake.discover().unwrap().unwrap().0, "http://127.0.0.1:8081/npm/");
}

#[test]
fn what_is_no_address_is_refused_rather_than_passed_over() {
    let fake = Fake::default().variable("HOME", "/h").file("/h/.npmrc", "registry=somewhere");
    assert!(matches!(fake.discover(), Err(DiscoveryError::NotAnAddress { .. })));
    assert!(from_npm("undefined").is_err());
    assert_eq!(from_npm("http://127.0.0.1:9").unwrap().url.as_str(), "http://127.0.0.1:9/");
}

#[test]
fn lines_are_read_as_npm_reads_them() {
    let raw = |text: &str| npmrc::find(text, "registry").map(|found| found.raw);
    assert_eq!(raw("registry=a").as_deref(), Some("a"));
    assert_eq!(raw("  registry  =  \"a b\"  ").as_deref(), Some("a b"));
    assert_eq!(raw("registry = a ; why").as_deref(), Some("a"));
    assert_eq!(raw("registry = a\\;b").as_deref(), Some("a;b"));
    assert_eq!(raw("registry=a\nregistry=b\r\n").as_deref(), Some("b"));
    assert_eq!(raw("#registry=a\n;registry=b"), None);
    assert_eq!(raw("@scope:registry=a"), None);
    assert_eq!(raw("[section]\nregistry=a"), None);
    assert_eq!(raw("registry="), None);
    assert_eq!(npmrc::find("\n\nregistry=a", "registry").unwrap().line, 3);
}

#[test]
fn optional_variables_may_lack() {
    let none = |_: &str| None;
    assert_eq!(npmrc::expand("a${B?}c", none).as_deref(), Ok("ac"));
    assert_eq!(npmrc::expand("a${B}c", none), Err("B".to_owned()));
    assert_eq!(npmrc::expand("a${Bc", none).as_deref(), Ok("a${Bc"));
    let some = |name: &str| Some(format!("<{name}>"));
    assert_eq!(npmrc::expand("${A}-${B}", some).as_deref(), Ok("<A>-<B>"));
}

#[test]
fn our_own_address_is_recognised_by_every_name_it_has() {
    let own = |upstream: &str, listen: &str, public: Option<&str>| {
        let public = public.map(|text| Url::parse(text).unwrap());
        is_own_address(&Url::parse(upstream).unwrap(), listen.parse().unwrap(), public.as_ref())
    };
    for same in ["http://127.0.0.1:7001/", "http://localhost:7001", "http://[::1]:7001/x"] {
        assert!(own(same, "127.0.0.1:7001", None), "{same}");
        assert!(own(same, "0.0.0.0:7001", None), "{same}");
        assert!(own(same, "[::]:7001", None), "{same}");
    }
    assert!(own("http://0.0.0.0:7001/", "127.0.0.1:7001", None));
    assert!(own("http://10.1.2.3:7001/", "10.1.2.3:7001", None));
    assert!(own("https://npm.example/", "127.0.0.1:7001", Some("https://npm.example/")));
    assert!(!own("http://127.0.0.1:4873/", "127.0.0.1:7001", None));
    assert!(!own("http://10.1.2.3:7001/", "127.0.0.1:7001", None));
    assert!(!own("http://localhost:7001/", "10.1.2.3:7001", None));
    assert!(!own("https://other.example/", "127.0.0.1:7001", Some("https://npm.example/")));
}

#[test]
fn the_token_of_a_registry_is_that_of_the_nearest_folder() {
    let fake = Fake::default()
        .variable("HOME", "/home/ada")
        .variable("SECRET", "of-the-environment")
        .file(
            "/home/ada/.npmrc",
            "//127.0.0.1:9/:_authToken=of-the-host\n\
             //127.0.0.1:9/npm/inner/:_authToken=${SECRET}\n\
             //127.0.0.1:7/:_authToken=${NOTHING}\n",
        );
    let token = |url: &str| find_token(&fake, &url.parse().unwrap());
    let found = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(token("http://127.0.0.1:9/"), found("of-the-host"));
    assert_eq!(token("http://127.0.0.1:9/npm/"), found("of-the-host"));
    assert_eq!(token("https://127.0.0.1:9/npm/inner/"), found("of-the-environment"));
    assert_eq!(token("http://127.0.0.1:8/"), Ok(None));
    assert!(matches!(
        token("http://127.0.0.1:7/"),
        Err(DiscoveryError::UndefinedVariable { name, .. }) if name == "NOTHING"
    ));
}
