//! Bodies: what upstreams and clients send as JSON.

use std::collections::{BTreeMap, HashSet};

use espejo::extract::fields::Fields;
use espejo::handlers::{sync, tokens};
use npm::change::{generation_of, update_seq};
use npm::{
    ChangesPage, KnownVersion, PackageName, PackumentDiff, PackumentForm, PackumentScan,
    RenderOptions, Seq, render_manifest, render_packument,
};
use serde_json::Value;
use store::TokenKind;

/// A document that is taken is JSON, and so is everything that is made of it.
pub fn packument(data: &[u8]) {
    let Ok(scan) = PackumentScan::parse(data) else { return };
    let _ = (scan.shape(), scan.modified());
    let name = PackageName::parse("lamp").expect("a name");
    let told = BTreeMap::from([("1.0.0".to_owned(), "a \"word\" of ours".to_owned())]);
    let none = |_: &str| false;
    let first = scan.versions.first().map(|entry| entry.key.clone().into_owned());
    let first_hidden = |version: &str| Some(version) == first.as_deref();
    for hidden in [&none as &dyn Fn(&str) -> bool, &first_hidden] {
        let options =
            RenderOptions { name: &name, base_url: "http://mirror.test/npm", hidden, told: &told };
        for form in [PackumentForm::Full, PackumentForm::Abbreviated] {
            let rendered = render_packument(&scan, form, &options);
            is_document_without(&rendered, hidden);
            for entry in scan.versions.iter().take(4) {
                if let Some(manifest) = render_manifest(&scan, &entry.key, form, &options) {
                    is_object(&manifest);
                }
            }
        }
        for (_, version) in npm::shown_tags(&scan, hidden) {
            // a tag may lead nowhere, as upstream says it, but to nothing that is hidden
            assert!(scan.version(version).is_none() || !hidden(version), "{version:?}");
        }
    }
    facts_and_difference(&scan);
}

fn facts_and_difference(scan: &PackumentScan<'_>) {
    for entry in &scan.versions {
        let _ = entry.facts();
        let _ = scan.published_at(&entry.key);
    }
    let known: Vec<KnownVersion> = scan
        .versions
        .iter()
        .map(|entry| KnownVersion { version: entry.key.to_string(), digest: entry.digest() })
        .collect();
    let diff = PackumentDiff::between(&known, scan);
    assert_eq!(diff.unchanged.len(), scan.versions.len());
    assert!(diff.added.is_empty() && diff.changed.is_empty() && diff.removed.is_empty());
    let empty = PackumentScan::parse(b"{\"versions\":{}}").expect("a document");
    let kept: HashSet<&str> = scan.versions.iter().map(|entry| &*entry.key).collect();
    let body = npm::with_kept_versions(&empty, scan, &kept);
    let again = PackumentScan::parse(&body).expect("what is kept is a document");
    assert_eq!(again.versions.len(), scan.versions.len());
}

fn is_object(body: &[u8]) -> Option<Value> {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => {
            assert!(value.is_object(), "{value}");
            Some(value)
        }
        // serde_json's tree is less deep, has no lone surrogates and no numbers like 1e999
        Err(error) => {
            let text = error.to_string();
            let is_stricter = ["recursion limit", "surrogate", "hex escape", "out of range"]
                .iter()
                .any(|known| text.contains(known));
            assert!(is_stricter, "{text}: {}", String::from_utf8_lossy(body));
            None
        }
    }
}

fn is_document_without(body: &[u8], hidden: &dyn Fn(&str) -> bool) {
    let again = PackumentScan::parse(body);
    let again = again.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(body)));
    assert!(again.versions.iter().all(|entry| !hidden(&entry.key)));
    is_object(body);
}

/// A page of a feed never leads back, and never has one name twice.
pub fn changes(data: &[u8]) {
    let _ = npm::parse_name_list(data);
    let _ = update_seq(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = generation_of(text);
    }
    let Ok(page) = ChangesPage::parse(data) else { return };
    for since in [Seq::START, Seq::new(7), Seq::new(i64::MAX)] {
        let _ = (page.repeats(since), page.reaches(since));
        for head in [None, Some(Seq::new(100))] {
            for limit in [0, 1, 1_000, u32::MAX] {
                let Some(folded) = page.clone().fold(since, limit, head) else { continue };
                assert!(folded.next > since, "{since} leads to {}", folded.next);
                let names: HashSet<_> = folded.changes.iter().map(|change| &change.name).collect();
                assert_eq!(names.len(), folded.changes.len());
            }
        }
    }
}

/// Bodies of our own API.
pub fn bodies(data: &[u8]) {
    let _ = sync::wish::Wish::parse(data);
    let Ok(fields) = Fields::parse(data) else { return };
    for kind in [TokenKind::Classic, TokenKind::Granular] {
        if let Ok(wish) = tokens::wish::TokenWish::parse(&fields, kind) {
            assert!(
                wish.limits
                    .cidr
                    .iter()
                    .all(|range| { espejo::accounts::ranges::parse_range(range).is_some() })
            );
        }
    }
    for name in fields.given().map(str::to_owned).collect::<Vec<_>>() {
        let _ = (fields.text(&name), fields.trimmed(&name, 8), fields.flag(&name));
        let _ = (fields.number(&name, 0..=9), fields.list(&name, 3, 8));
        if let Ok(Some(inner)) = fields.object(&name) {
            assert!(inner.given().count() <= data.len());
        }
    }
}
