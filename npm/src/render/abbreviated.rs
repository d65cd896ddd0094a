//! The abbreviated form: what an installer reads, and `time`.

use crate::json;
use crate::name::PackageName;
use crate::packument::VersionEntry;

use super::address::Addresses;
use super::{Document, splice, tags, write_members};

/// Members of a version that are kept, in the order they are written.
const KEPT: [&str; 21] = [
    "name",
    "version",
    "deprecated",
    "dependencies",
    "acceptDependencies",
    "optionalDependencies",
    "devDependencies",
    BUNDLE_DEPENDENCIES,
    "peerDependencies",
    "peerDependenciesMeta",
    "bin",
    "directories",
    "os",
    "cpu",
    "libc",
    "workspaces",
    "dist",
    "engines",
    "_hasShrinkwrap",
    HAS_INSTALL_SCRIPT,
    "funding",
];

const BUNDLE_DEPENDENCIES: &str = "bundleDependencies";
const HAS_INSTALL_SCRIPT: &str = "hasInstallScript";

impl Document<'_, '_> {
    pub(super) fn write_abbreviated(&self, name: &PackageName, out: &mut Vec<u8>) {
        let object = |key| self.scan.member(key).filter(|value| json::is_object(value));
        out.extend_from_slice(b"{\"name\":");
        json::write_string(out, self.scan.name.as_deref().unwrap_or(name.as_str()));
        if let Some(tags) = object("dist-tags") {
            out.extend_from_slice(b",\"dist-tags\":");
            if self.leaves_out_versions() {
                tags::write_repaired(out, self.scan, self.visible);
            } else {
                out.extend_from_slice(tags.get().as_bytes());
            }
        }
        if let Some(modified) = self.scan.modified() {
            out.extend_from_slice(b",\"modified\":");
            json::write_string(out, &modified);
        }
        if let Some(time) = object("time") {
            out.extend_from_slice(b",\"time\":");
            match self.hides() {
                true => self.write_time(out),
                false => out.extend_from_slice(time.get().as_bytes()),
            }
        }
        if object("versions").is_some() {
            out.extend_from_slice(b",\"versions\":");
            self.write_versions(out, write_manifest);
        }
        self.write_told(out);
        out.push(b'}');
    }
}

/// Writes the kept members of a manifest.
pub(super) fn write_manifest(out: &mut Vec<u8>, entry: &VersionEntry<'_>, addresses: &Addresses) {
    let picked = Picked::of(entry);
    let members = KEPT.iter().zip(picked.values).filter_map(|(key, value)| Some((key, value?)));
    write_members(out, members, |out, (key, value)| {
        json::write_string(out, key);
        out.push(b':');
        match value {
            Value::Dist(dist) => splice::write_dist(out, dist, &entry.key, addresses),
            Value::Raw(value) => out.extend_from_slice(value.as_bytes()),
        }
    });
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Raw(&'a str),
    Dist(&'a str),
}

/// The kept members of one manifest, at their places in [`KEPT`].
struct Picked<'a> {
    values: [Option<Value<'a>>; KEPT.len()],
}

impl<'a> Picked<'a> {
    fn of(entry: &VersionEntry<'a>) -> Self {
        let mut picked = Self { values: [None; KEPT.len()] };
        let (mut bundled, mut runs_scripts, mut gypfile) = (None, false, false);
        // a raw version is an object, so reading it cannot fail
        let _ = json::each_member(entry.raw.get(), |key, value| match &*key {
            "dist" => picked.put("dist", Value::Dist(value)),
            "scripts" => runs_scripts = has_install_script(value),
            "gypfile" => gypfile = value == "true",
            "bundledDependencies" => bundled = Some(value),
            key => picked.put(key, Value::Raw(value)),
        });
        // the older spelling, which clients of this form do not read
        picked.put_if_missing(BUNDLE_DEPENDENCIES, bundled);
        // npm's registry computes the flag; clients that ask before they run scripts need it
        picked.put_if_missing(HAS_INSTALL_SCRIPT, (runs_scripts || gypfile).then_some("true"));
        picked
    }

    fn put(&mut self, key: &str, value: Value<'a>) {
        let place = KEPT.iter().position(|kept| *kept == key);
        if let Some(slot) = place.and_then(|place| self.values.get_mut(place)) {
            *slot = Some(value);
        }
    }

    fn put_if_missing(&mut self, key: &str, value: Option<&'a str>) {
        let place = KEPT.iter().position(|kept| *kept == key);
        if let Some(slot) = place.and_then(|place| self.values.get_mut(place)) {
            *slot = slot.or(value.map(Value::Raw));
        }
    }
}

fn has_install_script(scripts: &str) -> bool {
    let mut found = false;
    // the only error is a `scripts` that is no object: no scripts then
    let _ = json::each_member(scripts, |key, _| {
        found |= matches!(&*key, "preinstall" | "install" | "postinstall");
    });
    found
}
